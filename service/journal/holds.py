"""Readers that want every byte: the job waits for them, as a pipe's writer does for its reader."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from service.journal.recent import RECENT_BYTES, Recent

GONE_S = 10.0  # so long the job waits for a reader that went away to come back
CROSSED_S = 1.0  # one that is back may be seen before the end of its last connection is
UNREAD_BYTES = 256 * 1024  # so much may be unread
HELD_BYTES = 576 * 1024  # so much stays in memory: what is unread, and a chunk more of each stream


class Hold:
    """One such reader: the number of the last item that it has taken."""

    __slots__ = ("before", "began_at", "seq", "timer")

    def __init__(self, seq: int, before: Hold | None) -> None:
        """Begin after an item; `before` may be the same reader's, on a connection that broke."""
        self.seq = seq
        self.before = before
        self.began_at = time.monotonic()
        self.timer: asyncio.TimerHandle | None = None  # runs while the reader is gone


class Holds:
    """All of them, for one journal; it costs nothing while there are none.

    No more than `UNREAD_BYTES` are unread by any of them, and what one has not read is in memory
    or among the bytes that are kept: nothing else is dropped before it was read.
    """

    __slots__ = ("_bound", "_holds", "_is_ending", "_last", "_on_change", "_recent", "_waiting")

    def __init__(
        self, recent: Recent, tail: int, last: Callable[[], int], on_change: Callable[[], None]
    ) -> None:
        """Watch the items in `recent`, of which the last `tail` bytes are kept after the end."""
        self._recent = recent
        self._bound = min(UNREAD_BYTES, tail)
        self._last = last
        self._on_change = on_change
        self._holds: list[Hold] = []
        self._is_ending = False
        self._waiting: list[asyncio.Future[None]] = []

    def __bool__(self) -> bool:
        """Whether there are any, or one may come back."""
        return bool(self._holds)

    def expect(self) -> None:
        """Hold on for a reader that is yet to come, as for one that is gone for a moment."""
        self._leave(self._add(0, None))

    def stop_expecting(self) -> None:
        """Hold on for nobody who is gone, now or later: the job is being stopped."""
        self._is_ending = True
        for hold in [hold for hold in self._holds if hold.timer is not None]:
            self._leave(hold)

    @contextmanager
    def held(self, after: int) -> Iterator[Hold]:
        """Hold the job for a reader that has all items up to `after`, and says what it takes.

        A reader that leaves without the last item has `GONE_S` to come back, on any connection.
        """
        hold = self._add(after, self._return(after))
        try:
            yield hold
        finally:
            if self._is_back(hold):
                self.end(hold)
            elif hold in self._holds:
                self._leave(hold)

    def take(self, hold: Hold, seq: int) -> None:
        """The reader has taken all items up to this number."""
        hold.seq = seq
        self._check()

    def end(self, hold: Hold) -> None:
        """The reader wants no more."""
        if hold in self._holds:  # else all were ended
            self._holds.remove(hold)
            self._changed()

    def pause(self) -> asyncio.Future[None] | None:
        """Return what is done when more may be written; None when that is now."""
        if not self._holds or self._unread() <= self._bound:
            return None
        waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiting)
        return waiting

    def close(self) -> None:
        """Hold no more."""
        for hold in self._holds:
            if hold.timer is not None:
                hold.timer.cancel()
        self._holds.clear()
        self._changed()

    def _add(self, seq: int, before: Hold | None) -> Hold:
        if before is not None:
            before.before = None  # no chain of all that ever were
        hold = Hold(seq, before)
        self._holds.append(hold)
        self._changed()
        return hold

    def _changed(self) -> None:
        self._recent.limit = HELD_BYTES if self._holds else RECENT_BYTES
        self._on_change()
        self._check()

    def _leave(self, hold: Hold) -> None:
        if hold.timer is not None:
            hold.timer.cancel()
        if self._is_ending:
            self.end(hold)
        else:
            hold.timer = asyncio.get_running_loop().call_later(GONE_S, self.end, hold)

    def _return(self, after: int) -> Hold | None:
        """End the wait for the reader that comes back: nobody says who it is, but it has got
        about as much as it was sent. Returns the one that it may be where none is gone yet.
        """
        gone = [hold for hold in self._holds if hold.timer is not None]
        nearest = min(gone or self._holds, key=lambda hold: abs(hold.seq - after), default=None)
        if nearest is None or nearest.timer is None:
            return nearest
        nearest.timer.cancel()
        self._holds.remove(nearest)
        return None

    def _is_back(self, hold: Hold) -> bool:
        """Whether the reader that goes is there again, on a connection that has just begun."""
        since = time.monotonic() - CROSSED_S
        return any(other.before is hold and other.began_at > since for other in self._holds)

    def _check(self) -> None:
        if self._waiting and (not self._holds or self._unread() <= self._bound // 2):
            waiting, self._waiting = self._waiting, []
            for one in waiting:
                if not one.done():
                    one.set_result(None)

    def _unread(self) -> int:
        """What the slowest one has not taken; more than any bound for one who still reads what
        was there before it came.
        """
        return max(map(self._unread_by, self._holds))

    def _unread_by(self, hold: Hold) -> int:
        if hold.seq >= self._last():
            return 0
        unread = self._recent.behind(hold.seq)
        return 1 << 62 if unread is None else unread
