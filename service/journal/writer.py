"""Records what came from the job as numbered chunks."""

from __future__ import annotations

import time
from functools import partial

from service.journal.layout import Layout
from service.journal.pieces import pieces
from service.journal.recent import Recent
from service.journal.record import Record
from service.journal.store import Store

EXTEND_BYTES = 16 * 1024  # a chunk that is so long does not grow
GROW_S = 0.005  # how long a chunk grows by small reads, until somebody sees it


class Writer:
    """Cuts, numbers and records chunks; small ones that come together become one."""

    __slots__ = ("_last", "_last_at", "_last_stream", "_layout", "_recent", "_store", "seq")

    def __init__(self, store: Store, recent: Recent) -> None:
        """Record what is in a store, there and in what followers read from memory."""
        self.seq = 0
        self._store = store
        self._layout: Layout = store.layout
        self._recent = recent
        self._last: Record | None = None  # the last chunk, while it may grow
        self._last_stream = 0
        self._last_at = 0.0

    def record(
        self, stream: int, end: int, data: bytes | None = None, at: int | None = None
    ) -> bool:
        """Record what came, up to `end`; returns whether there is a new chunk, of which followers
        are to know. `data` is what came: it must be given where somebody follows.
        """
        store = self._store
        offset = store.ends[stream]
        size = end - offset
        if size <= 0:
            return False
        now = time.monotonic()
        if (last := self._last) and self._may_grow(last, stream, size, now):
            self._grow(last, stream, size, data)
            return False
        look = partial(store.look, stream) if data is None else partial(_look, data, offset)
        for length in pieces(self._layout, offset, size, look):
            piece = None if data is None else look(store.ends[stream], length)
            if not self._append(stream, length, piece, at):
                break
        self._last_at = now
        store.trim(stream)
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

    def _grow(self, last: Record, stream: int, size: int, data: bytes | None) -> None:
        record = Record(last.seq, last.at, last.offset, last.length + size)
        if self._store.put(stream, record, is_new=False):
            self._last = record
            if self._recent.is_on and data is not None:
                self._recent.grow(record, data[:size])

    def _append(self, stream: int, size: int, data: bytes | None, at: int | None) -> bool:
        at = at or time.time_ns() // 1000
        record = Record(self.seq + 1, at, self._store.ends[stream], size)
        if not self._store.put(stream, record, is_new=True):
            return False
        self.seq = record.seq
        self._last, self._last_stream = record, stream
        if self._recent.is_on and data is not None:
            self._recent.add(record, stream, data)
        return True


def _look(data: bytes, start: int, offset: int, size: int) -> bytes:
    return data[offset - start : offset - start + size]
