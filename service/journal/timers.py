"""The timers of one journal: at most one for each thing that is to be done later."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Timers:
    """They run on the running loop, until `close`."""

    __slots__ = ("_handles", "_is_closed")

    def __init__(self) -> None:
        """Begin without any."""
        self._handles: dict[Callable[[], None], asyncio.TimerHandle] = {}
        self._is_closed = False

    def call_later(self, delay: float, callback: Callable[[], None]) -> None:
        """Call this after a delay, unless it is to be called already."""
        if callback not in self._handles and not self._is_closed:
            loop = asyncio.get_running_loop()
            self._handles[callback] = loop.call_later(delay, self._fire, callback)

    def close(self) -> None:
        """Call nothing any more."""
        self._is_closed = True
        for handle in self._handles.values():
            handle.cancel()
        self._handles.clear()

    def _fire(self, callback: Callable[[], None]) -> None:
        del self._handles[callback]
        callback()
