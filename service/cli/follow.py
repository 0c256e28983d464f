"""A job's output as it comes: the journal, read through connections that may break."""

from __future__ import annotations

import time
from base64 import b64decode
from collections.abc import Iterator

import msgspec

from service.cli.client import CONNECT_S, PASSING, RETRY_S, Client, decode, job_path
from service.cli.errors import Failure, Refused, Unreachable
from service.jobs import Job

PATIENCE_S = 60.0


class Item(msgspec.Struct, frozen=True):
    """One item of the journal: output, bytes that were not kept, or at the end the job."""

    seq: int | None = None
    stream: str = ""
    text: str | None = None
    base64: str | None = None
    dropped: int = 0
    job: Job | None = None
    raw: bytes = b""

    def content(self) -> bytes:
        """Return the bytes of output."""
        if self.text is not None:
            return self.text.encode()
        return b64decode(self.base64 or "")


def items(client: Client, job_id: str, *, follow: bool) -> Iterator[Item]:
    """Yield the journal of a job; the last item of an ended job is the job itself.

    With `follow` it goes on until the job has ended. Where a connection breaks, the next one goes
    on after the last item, so none is lost and none comes twice. Raises Unreachable or Refused
    when that fails for a minute.
    """
    after: int | None = None
    well_until = time.monotonic()
    while True:
        began = time.monotonic()
        try:
            for line in lines(client, job_id, follow=follow, after=after):
                item = decode(line, Item)
                well_until = time.monotonic()
                after = after if item.seq is None else item.seq
                yield msgspec.structs.replace(item, raw=line)
                if item.job is not None:
                    return
            if not follow:
                return
            broken: Failure = Unreachable("the output ended before the job did")
        except (Unreachable, Refused) as exc:
            if isinstance(exc, Refused) and exc.problem.status not in PASSING:
                raise
            broken = exc
        if time.monotonic() - began > CONNECT_S + 1:
            well_until = time.monotonic()  # it was connected, to a job that was silent
        if time.monotonic() - well_until > PATIENCE_S:
            raise Failure(f"{broken.message}; the job is {job_id}") from broken
        # the process that served it is going, or nginx is: the next try may find another
        time.sleep(RETRY_S)


def lines(client: Client, job_id: str, *, follow: bool, after: int | None) -> Iterator[bytes]:
    """Yield the lines of NDJSON of one connection, whole ones only; empty ones are left out."""
    begun: list[bytes] = []
    for piece in client.stream(
        f"{job_path(job_id)}/output", follow="true" if follow else None, after=after
    ):
        first, newline, rest = piece.partition(b"\n")
        begun.append(first)
        if newline:
            # a line may be long and come in many pieces: it is put together once, at its end
            *whole, last = rest.split(b"\n")
            yield from filter(None, [b"".join(begun), *whole])
            begun = [last]
