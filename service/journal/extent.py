"""Which bytes of a stream are kept."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from service.journal.layout import Layout
from service.journal.record import Record


class Source(Protocol):
    """Where a journal's records and bytes come from; streams are 0 and 1."""

    layout: Layout
    lost: list[Record | None]
    """For each stream, what was lost after all that is there. Its number is 0 until the end."""

    def count(self, stream: int) -> int:
        """How many records the stream has had."""

    def end(self, stream: int) -> int:
        """The offset after the last record."""

    def record(self, stream: int, number: int) -> Record:
        """Return one of the first `slots` or of the last `oldest` of them."""

    def data(self, stream: int, offset: int, size: int) -> bytes:
        """Return bytes that are kept."""


class Extent(NamedTuple):
    """At one moment, the bytes in [0, head) and [start, total) are kept; `head` is `start` when
    all are.
    """

    head: int
    start: int
    total: int

    @property
    def kept(self) -> int:
        """How many bytes are kept."""
        return self.head + self.total - self.start

    def offset(self, place: int) -> int:
        """Return the offset of a byte by its place among those that are kept."""
        return place if place < self.head else place - self.head + self.start


def extent(source: Source, stream: int) -> Extent:
    """Return what is kept of a stream."""
    layout, count, total = source.layout, source.count(stream), source.end(stream)
    head, start = (layout.head, total - layout.tail) if total > layout.output_bytes else (total, 0)
    if count > layout.slots + layout.oldest:
        # records are gone too: the oldest one of the last ones stands for them as dropped
        head = min(head, source.record(stream, layout.slots - 1).end)
        start = max(start, source.record(stream, count - layout.oldest).end)
    return Extent(head, max(head, start), total)
