"""The one deadline of a run: in turn that of its timeout, of draining, and of a last grace."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

LAST_GRACE_S = 1.0  # for pipes, once all that could be killed is


class Deadline:
    """Calls ``passed`` when it is over. Setting it anew takes the place of what was set."""

    __slots__ = ("_loop", "_passed", "_timeout_at", "_timer")

    def __init__(self, loop: asyncio.AbstractEventLoop, passed: Callable[[], None]) -> None:
        self._loop = loop
        self._passed = passed
        self._timer: asyncio.TimerHandle | None = None
        self._timeout_at: float | None = None

    def set_timeout(self, seconds: float | None) -> None:
        if seconds is not None:
            self._timeout_at = self._loop.time() + seconds
            self._set(self._timeout_at)

    def forget_timeout(self) -> None:
        """It has stopped the run: from now on the steps bound it."""
        self._timeout_at = None

    @property
    def timeout_at(self) -> float | None:
        """In the loop's time; ``None`` without one, and once it has stopped the run."""
        return self._timeout_at

    def set_drain(self, drain: float | None, is_stopped: bool) -> None:
        """At the exit. ``drain=None`` is bounded by the timeout all the same, also by one that is
        over already, and by the last of the stop steps.
        """
        if drain is not None:
            self.set(drain)
        elif is_stopped:  # who holds the pipe now has left the group
            self.set(LAST_GRACE_S)
        else:
            self._set(self._timeout_at)

    def set_drain_again(self, drain: float | None, is_stopped: bool) -> None:
        """After a stop step: a bound that ``drain`` gave stays."""
        if drain is None or self._timer is None:
            self.set_drain(drain, is_stopped)

    def set_last_grace(self, drain: float | None) -> None:
        self.set(LAST_GRACE_S if drain is None else min(drain, LAST_GRACE_S))

    def set(self, seconds: float) -> None:
        self._set(self._loop.time() + seconds)

    def _set(self, at: float | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if at is None else self._loop.call_at(at, self._over)

    def _over(self) -> None:
        self._timer = None
        self._passed()

    def close(self) -> None:
        """The run is over; no cycle keeps its output from then on."""
        self._set(None)
        del self._passed
