"""The first bytes of a character wait a moment for the others, so that no chunk cuts one."""

from __future__ import annotations

import time
from collections.abc import Callable

from service.journal.text import unfinished
from service.journal.timers import Timers

WAIT_S = 0.02


class Characters:
    """Passes on what was read, in whole characters where it can be."""

    __slots__ = ("_add", "_begun", "_begun_at", "_timers")

    def __init__(self, timers: Timers, add: Callable[[int, bytes], None]) -> None:
        """Pass on to `add(stream, data)`."""
        self._timers = timers
        self._add = add
        self._begun = [b"", b""]
        self._begun_at = 0.0

    def write(self, stream: int, data: bytes) -> None:
        """Pass on all but a character that the end of `data` cuts."""
        if begun := self._begun[stream]:
            data, self._begun[stream] = begun + data, b""
        if count := unfinished(data):
            self._begun[stream], self._begun_at = data[-count:], time.monotonic()
            self._timers.call_later(WAIT_S, self._end_wait)
            data = data[:-count]
        if data:
            self._add(stream, data)

    def flush(self) -> None:
        """Pass on what waits, whole or not."""
        for stream, begun in enumerate(self._begun):
            if begun:
                self._begun[stream] = b""
                self._add(stream, begun)

    def _end_wait(self) -> None:
        left = self._begun_at + WAIT_S / 2 - time.monotonic()
        if left > 0:
            self._timers.call_later(left, self._end_wait)
        else:
            self.flush()
