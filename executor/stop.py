"""The stop sequence of a run: one path for timeout, cancel and failure."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Protocol

from executor.calls import CALLERS, Calls, error_of

if TYPE_CHECKING:
    from executor.changes import Changes

Step = tuple[int | Callable[[int], object], float | None]

TIMEOUT = "timeout"
CANCELLED = "cancelled"
FAILED = "failed"


class Stopped(Protocol):
    """What the sequence needs of the run."""

    loop: asyncio.AbstractEventLoop
    calls: Calls
    changes: Changes | None
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

    __slots__ = ("_run", "_tasks", "_timer", "reason", "steps")

    def __init__(self, run: Stopped, steps: tuple[Step, ...]) -> None:
        self.reason: str | None = None
        self._run = run
        self.steps = steps  # those still to be taken
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: dict[asyncio.Future[object], bool] = {}  # and whether we have cancelled it

    def begin(self, reason: str) -> None:
        self.reason = reason
        self._next()

    def resume(self, reason: str, seconds: float | None) -> None:
        """It was begun by another: the next step is due in so many seconds."""
        self.reason = reason
        if seconds is not None and self.steps:
            self._timer = self._run.loop.call_later(max(0.0, seconds), self._next)

    @property
    def due_at(self) -> float | None:
        """When the next step is due, in the loop's time."""
        return None if self._timer is None else self._timer.when()

    def at_once(self) -> None:
        """SIGKILL to the whole group, in place of the steps that are left."""
        self.steps = ((signal.SIGKILL, None),)
        self._next()

    @property
    def is_over(self) -> bool:
        """The last step is taken."""
        return self.reason is not None and not self.steps

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

    def release(self) -> None:
        """Another goes on with it; no code of the caller's does."""
        self._cancel_timer()
        self.steps = ()
        self.cancel_tasks()
        self._tasks.clear()

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _next(self) -> None:
        self._cancel_timer()
        self.cancel_tasks()
        while self.steps:
            self._tell(step_is_due=True)
            (what, seconds), self.steps = self.steps[0], self.steps[1:]
            if self._take(what):
                if seconds is not None:
                    self._timer = self._run.loop.call_later(seconds, self._next)
                break
        self._tell(step_is_due=False)
        self._run.step_taken()

    def _tell(self, step_is_due: bool) -> None:
        if self._run.changes is not None:
            self._run.changes.tell(step_is_due)

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
            task.add_done_callback(partial(self._done, self.steps))
        return True

    def _done(self, steps: tuple[Step, ...], task: asyncio.Future[object]) -> None:
        is_cancelled = self._tasks.pop(task, None)
        if is_cancelled is None:  # release() has let go of it
            return
        error = error_of(task, cancelled_by_us=is_cancelled)
        if error is not None:
            self._run.note(error)
            if self.steps is steps:  # its time is not over
                self._next()
        self._run.look()
