"""What is measured, a file for each letter of the bench."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from bench.figure import Figure
from bench.peers import Peer
from bench.place import Place


@dataclass(frozen=True)
class Run:
    """One run of the bench: where, and how much of it."""

    place: Place
    is_quick: bool
    turns: int

    def amount(self, whole: int, quick: int) -> int:
        """How many of something."""
        return quick if self.is_quick else whole

    def tell(self, text: str) -> None:
        """Say how far it is, to whoever watches."""
        print(text, file=sys.stderr, flush=True)


@dataclass(frozen=True)
class Measure:
    """A letter of the bench."""

    letter: str
    title: str
    peers: Sequence[Peer[Any]]
    take: Callable[[Run], list[Figure]]


@contextmanager
def ready(place: Place, peers: Iterable[Peer[Any]]) -> Iterator[dict[str, Any]]:
    """Have those peers ready that are installed: what each `ready` gave, by its name."""
    with ExitStack() as stack:
        yield {peer.name: stack.enter_context(peer.ready(place)) for peer in peers if peer.is_there}
