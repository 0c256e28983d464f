"""The stop sequence of a run: one path for timeout, cancel and failure."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from functools import partial
from typing import Protocol

from executor.calls import CALLERS, Calls, error_of

Step = tuple[int | Callable[[int], object], float | None]

TIMEOUT = "timeout"
CANCELLED = "cancelled"
FAILED = "failed"


class Stopped(Protocol):
    """What the sequence needs of the run."""

    loop: asyncio.AbstractEventLoop
    calls: Calls
    pid: int

    def signal_all(self, number: int) -> None: ...

    def note(self, error: BaseException) -> None: ...

    def step_taken(self) -> None: ...

    def look(self) -> None: ...


class Stop:
    """Takes step after step, from ``begin()`` until the run has ended.

    A step that is a function may return an awaitable: it has the step's time, and is cancelled
    then. When it raises, the next step follows at once.
    """

    __slots__ = ("_run", "_steps", "_tasks", "_timer", "reason")

    def __init__(self, run: Stopped, steps: tuple[Step, ...]) -> None:
        self.reason: str | None = None
        self._run = run
        self._steps = steps  # those still to be taken
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: dict[asyncio.Future[object], bool] = {}  # and whether we have cancelled it

    def begin(self, reason: str) -> None:
        self.reason = reason
        self._next()

    def at_once(self) -> None:
        """SIGKILL to the whole group, in place of the steps that are left."""
        self._steps = ((signal.SIGKILL, None),)
        self._next()

    @property
    def is_over(self) -> bool:
        """The last step is taken."""
        return self.reason is not None and not self._steps

    @property
    def is_busy(self) -> bool:
        """Code of the caller's runs."""
        return bool(self._tasks)

    def cancel_tasks(self) -> None:
        for task, is_cancelled in self._tasks.items():
            if not is_cancelled:
                self._tasks[task] = True
                task.cancel()

    def close(self) -> None:
        """The run is over; no cycle keeps its output from then on."""
        self._cancel_timer()
        del self._run

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _next(self) -> None:
        self._cancel_timer()
        self.cancel_tasks()
        while self._steps:
            (what, seconds), self._steps = self._steps[0], self._steps[1:]
            if self._take(what):
                if seconds is not None:
                    self._timer = self._run.loop.call_later(seconds, self._next)
                break
        self._run.step_taken()

    def _take(self, what: int | Callable[[int], object]) -> bool:
        if not callable(what):
            self._run.signal_all(what)
            return True
        try:
            task = self._run.calls.step(what, self._run.pid)
        except CALLERS as error:  # shown at the end; the next step now
            self._run.note(error)
            return False
        if task is not None:
            self._tasks[task] = False
            task.add_done_callback(partial(self._done, self._steps))
        return True

    def _done(self, steps: tuple[Step, ...], task: asyncio.Future[object]) -> None:
        error = error_of(task, cancelled_by_us=self._tasks.pop(task))
        if error is not None:
            self._run.note(error)
            if self._steps is steps:  # its time is not over
                self._next()
        self._run.look()
