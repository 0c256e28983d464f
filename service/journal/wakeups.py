"""Wakes those who follow a journal."""

from __future__ import annotations

import asyncio
import time

QUIET_S = 0.002  # followers are woken at once, and then not again within this time


class Wakeups:
    """One event for all followers; it costs nothing while nobody waits."""

    __slots__ = ("_event", "_timer", "_woken_at")

    def __init__(self) -> None:
        """Start with nobody waiting."""
        self._event: asyncio.Event | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._woken_at = 0.0

    async def wait(self) -> None:
        """Wait for the next change; may be cancelled."""
        if self._event is None:
            self._event = asyncio.Event()
        await self._event.wait()

    async def take(self) -> None:
        """Take a change that is there already: at once, or soon when followers were woken just
        now, so that small changes are taken together. May be cancelled.
        """
        now = time.monotonic()
        if now >= self._woken_at + QUIET_S:
            self._woken_at = now
            return
        event = self._event = self._event or asyncio.Event()
        self.notify()
        await event.wait()

    def notify(self) -> None:
        """Tell those who wait: now, or soon when that was done just now."""
        if self._event is None or self._timer is not None:
            return
        left = self._woken_at + QUIET_S - time.monotonic()
        if left <= 0:
            self.notify_now()
        else:
            self._timer = asyncio.get_running_loop().call_later(left, self.notify_now)

    def notify_now(self) -> None:
        """Tell those who wait."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._event is not None:
            self._woken_at = time.monotonic()
            self._event.set()
            self._event = None
