"""Writes what was read from the job as numbered chunks."""

from __future__ import annotations

import time

from service.journal.layout import Layout
from service.journal.pieces import pieces
from service.journal.recent import Recent
from service.journal.record import Record
from service.journal.store import Store

EXTEND_BYTES = 16 * 1024  # a chunk that is so long does not grow
GROW_S = 0.005  # how long a chunk grows by small reads, until somebody sees it


class Writer:
    """Cuts, numbers and stores chunks; small ones that come together become one."""

    __slots__ = ("_last", "_last_at", "_last_stream", "_layout", "_recent", "_store", "seq")

    def __init__(self, store: Store, recent: Recent) -> None:
        """Write to a store, and to what followers read from memory."""
        self.seq = 0
        self._store = store
        self._layout: Layout = store.layout
        self._recent = recent
        self._last: Record | None = None  # the last chunk, while it may grow
        self._last_stream = 0
        self._last_at = 0.0

    def add(self, stream: int, data: bytes) -> bool:
        """Write `data`; returns whether there is a new chunk, of which followers are to know."""
        if not self._store.has_room(len(data)):
            self._store.lost[stream] += len(data)
            return False
        now = time.monotonic()
        if (last := self._last) and self._may_grow(last, stream, len(data), now):
            self._grow(last, stream, data)
            return False
        for piece in pieces(self._layout, self._store.ends[stream], data):
            self._append(stream, piece)
        self._last_at = now
        return True

    def freeze(self) -> None:
        """Let the last chunk be as it is, for somebody sees it."""
        self._last = None

    def _may_grow(self, last: Record, stream: int, size: int, now: float) -> bool:
        """Whether the last chunk takes this in: small, just read, and nobody has seen it."""
        head = self._layout.head
        return (
            stream == self._last_stream
            and now - self._last_at < GROW_S
            and last.length + size <= min(EXTEND_BYTES, self._layout.piece)
            and (last.end + size <= head or last.offset > head)
        )

    def _grow(self, last: Record, stream: int, data: bytes) -> None:
        record = Record(last.seq, last.at, last.offset, last.length + len(data))
        if self._store.put(stream, record, data, is_new=False):
            self._last = record
            self._recent.grow(record, data)

    def _append(self, stream: int, data: bytes) -> None:
        record = Record(self.seq + 1, time.time_ns() // 1000, self._store.ends[stream], len(data))
        if self._store.put(stream, record, data, is_new=True):
            self.seq = record.seq
            self._last, self._last_stream = record, stream
            self._recent.add(record, stream, data)
