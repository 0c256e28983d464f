"""The first bytes of a character wait a moment for the others, so that no chunk cuts one."""

from __future__ import annotations

import time
from collections.abc import Callable

from service.journal.recent import Recent
from service.journal.store import Store
from service.journal.text import unfinished
from service.journal.timers import Timers
from service.journal.writer import Writer

WAIT_S = 0.02


class Characters:
    """Has what came recorded, in whole characters where it can be."""

    __slots__ = ("_begun_at", "_on_chunk", "_recent", "_store", "_timers", "_writer")

    def __init__(
        self,
        timers: Timers,
        store: Store,
        recent: Recent,
        writer: Writer,
        on_chunk: Callable[[], None],
    ) -> None:
        """Look at the end of what came to a store; `on_chunk` is called when there is more."""
        self._timers = timers
        self._store = store
        self._recent = recent
        self._writer = writer
        self._on_chunk = on_chunk
        self._begun_at = 0.0

    def record(self, stream: int, data: bytes | None = None, at: int | None = None) -> None:
        """Record what came, but for a character that its end cuts.

        `data` is what came, where that is known, and `at` when it came, where that is not now.
        """
        start, end = self._store.ends[stream], self._store.size(stream)
        if data is None or len(data) != end - start:
            data = self._read(stream, start, end)
        if cut := unfinished(self._last(stream, start, end) if data is None else data):
            self._begun_at = time.monotonic()
            self._timers.call_later(WAIT_S, self._end_wait)
        if self._writer.record(stream, end - cut, data, at):
            self._on_chunk()

    def flush(self) -> None:
        """Record what waits, whole or not."""
        for stream in (0, 1):
            start, end = self._store.ends[stream], self._store.size(stream)
            if end > start and self._writer.record(stream, end, self._read(stream, start, end)):
                self._on_chunk()

    def _read(self, stream: int, start: int, end: int) -> bytes | None:
        """Return what came where somebody follows; nobody else has bytes pass through here."""
        if not self._recent.is_on:
            return None
        try:
            return self._store.data(stream, start, end - start)
        except OSError:
            self._recent.clear()  # then they read for themselves, and hear of it
            return None

    def _last(self, stream: int, start: int, end: int) -> bytes:
        start = max(start, end - 3)
        return self._store.look(stream, start, end - start)

    def _end_wait(self) -> None:
        left = self._begun_at + WAIT_S / 2 - time.monotonic()
        if left > 0:
            self._timers.call_later(left, self._end_wait)
        else:
            self.flush()
