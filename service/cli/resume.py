"""Streams that go on over connections that break."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import TypeVar

from service.cli.client import CONNECT_S, PASSING, RETRY_S
from service.cli.errors import Refused, Unreachable

T = TypeVar("T")

PATIENCE_S = 60.0


def resumed(connect: Callable[[], Iterator[T]], *, until_closed: bool = False) -> Iterator[T]:
    """Yield from one connection after the other; `connect` begins each where the last one stopped.

    With `until_closed` it ends with the first connection that is closed in order. Raises
    Unreachable or Refused when none has worked for a minute, at once for a refusal that will stay.
    """
    well_until = time.monotonic()
    while True:
        began = time.monotonic()
        try:
            for one in connect():
                well_until = time.monotonic()
                yield one
            if until_closed:
                return
            broken: Unreachable | Refused = Unreachable("the service ended a stream too early")
        except (Unreachable, Refused) as exc:
            if isinstance(exc, Refused) and exc.problem.status not in PASSING:
                raise
            broken = exc
        if time.monotonic() - began > CONNECT_S + 1:
            well_until = time.monotonic()  # it was connected, to something silent
        if time.monotonic() - well_until > PATIENCE_S:
            raise broken
        # the process that served it is going, or nginx is: the next try may find another
        time.sleep(RETRY_S)


def lines(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the lines of a stream, whole ones only; empty ones are left out."""
    begun: list[bytes] = []
    for piece in pieces:
        first, newline, rest = piece.partition(b"\n")
        begun.append(first)
        if newline:
            # a line may be long and come in many pieces: it is put together once, at its end
            *whole, last = rest.split(b"\n")
            yield from filter(None, [b"".join(begun), *whole])
            begun = [last]
