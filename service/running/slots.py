"""How many more jobs may run here at this moment."""

from __future__ import annotations

import time

# Without room on the machine nothing is tried for this long; twice as long after each failure.
PAUSE_S = 0.05
PAUSE_MAX_S = 2.0


class Slots:
    """Free places for jobs, and whether the machine has room for them.

    A start that finds no descriptor, memory or process closes all for a moment. After it one job
    is tried alone; with the first that starts, all are open again.
    """

    def __init__(self, count: int) -> None:
        """Begin with all of them free."""
        self._free = count
        self._pause_s = 0.0  # how long the last pause was; 0 when the machine has room
        self._opens_at = 0.0
        self._is_closed = False

    @property
    def free(self) -> int:
        """How many jobs may be claimed now."""
        if self._is_closed or time.monotonic() < self._opens_at:
            return 0
        # more may have been taken over than there are places now
        return max(0, min(self._free, 1) if self._pause_s else self._free)

    def take(self, count: int) -> None:
        """Keep some for jobs that are being claimed."""
        self._free -= count

    def give_back(self, count: int) -> None:
        """Have some back: no job came for them, or theirs have ended."""
        self._free += count

    def close(self) -> None:
        """Offer none any more."""
        self._is_closed = True

    def found_room(self) -> None:
        """Note that a job has started."""
        self._pause_s = 0.0

    def found_no_room(self) -> float:
        """Note that the machine had none for a job; return the seconds until the next try."""
        self._pause_s = min(2 * self._pause_s, PAUSE_MAX_S) or PAUSE_S
        self._opens_at = time.monotonic() + self._pause_s
        return self._pause_s
