"""One run from its start to its end: the machine behind ``Subprocess``.

It has ended when the child has exited AND every pipe is at its end or draining is over: never by
one of the two alone (CPython issue 119710, Go issue 23019). The story, phase by phase:

    starting   streams opened, the command spawned, its exit and our pipe ends watched
    running    until the exit is seen; the deadline is the timeout, which begins the stop
    draining   pipes are read to their end, input is handed on; the deadline is that of ``drain``,
               then that of a grace, once what is left of the group is killed (if it is)
    reaped     the ids are given back, all is closed; what is left of a cgroup goes
    ended      the result is made, waiters are woken, the callback is called
    released   given up as it is: another process may go on with it
    abandoned  the loop was closed, or this is a forked copy: nobody is told

Code of the caller's (``on_output``, an input source, a stop step) is waited for before the end.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from executor.calls import Calls, failure_of
from executor.changes import Changes, OnChange
from executor.deadline import Deadline
from executor.dropped import drop
from executor.ends import Ends
from executor.exits import Exit, reap_orphans
from executor.group import Group
from executor.handover import Handover, describe
from executor.options import Options
from executor.phase import (
    ABANDONED,
    DRAINING,
    ENDED,
    OVER,
    REAPED,
    RELEASED,
    RUNNING,
    STARTING,
    Phase,
)
from executor.result import Ending, Result, make_result
from executor.spawn import spawn
from executor.stdio import Stdio
from executor.stop import FAILED, TIMEOUT, Stop
from executor.waiters import Waiters
from executor.watch import ABANDON_S, watch_of


class Child:
    """Runs on the thread of its loop. ``result`` is set once, last of all, and never changed."""

    __slots__ = (
        "_watch",
        "calls",
        "changes",
        "deadline",
        "ending",
        "ends",
        "exit",
        "exited_at",
        "failure",
        "group",
        "is_unwanted",
        "loop",
        "on_late",
        "options",
        "phase",
        "pid",
        "result",
        "started_at",
        "started_mono",
        "stopping",
        "waiters",
    )

    def __init__(self, options: Options, loop: asyncio.AbstractEventLoop) -> None:
        self.options = options
        self.loop = loop
        self.phase = STARTING
        self.pid = 0
        self.calls = Calls(loop, options.args)
        self.ends = Ends()
        self.stopping = Stop(self, options.stop)
        on_change = options.on_change
        self.changes = None if on_change is None else Changes(self, on_change)
        self.failure: BaseException | None = None
        self.result: Result[Any] | None = None
        self._watch = watch_of(loop)
        self.exit = Exit(loop, self._watch, self._on_exit)
        self.group = Group(self.exit)
        self.deadline = Deadline(loop, self._on_deadline)
        self.on_late: Callable[[], None] | None = None
        self.ending: Ending | None = None
        self.started_at = self.started_mono = self.exited_at = 0.0
        self.is_unwanted = False
        self.waiters = Waiters()

    def _move(self, phase: Phase) -> None:
        self.phase = self.phase.move(phase)

    # starting

    def start(self) -> None:
        """``OSError`` when that can't be done; then nothing is left of it."""
        self.options.command.audit()
        reap_orphans()
        stdio = Stdio(self.options)
        try:
            self._spawn(stdio)
            self._begin(stdio)
        except BaseException:
            try:
                self._undo_start()
            finally:
                stdio.close()
            raise

    def _undo_start(self) -> None:
        if self.pid:
            self.kill()
            self.abandon(time.monotonic() + ABANDON_S)
        else:
            self.group.remove(0.0)

    def _spawn(self, stdio: Stdio) -> None:
        if self.options.cgroup is not None:
            self.group.make_cgroup(self.options.cgroup)
        self.started_at = time.time()
        self.started_mono = time.monotonic()
        procs = self.group.procs
        # no call with a star: a signal handler could raise between its end and the assignment
        self.exit.pid = self.pid = spawn(self.options.command, procs, stdio.their_ends)

    def _begin(self, stdio: Stdio) -> None:
        # no await from the spawn to here (CPython issues 103847, 125502, 133536)
        stdio.close_theirs()
        self._watch.tenants.add(self)
        self.exit.begin()
        self.ends.begin(self, stdio, self.options, self._watch, self.loop)
        self.deadline.set_timeout(self.options.timeout)
        self._move(RUNNING)

    # running: what may stop it

    def _on_deadline(self) -> None:
        if self.phase is DRAINING:
            self._end_drain()
        elif self.exit.has_come():
            self._on_exit()
        elif self.on_late is not None:
            drop(self)
            self.on_late()
        else:
            self.deadline.forget_timeout()
            self.stop(TIMEOUT)

    def stop(self, reason: str) -> bool:
        """Begin the stop sequence; False when it is begun already or there is nothing to stop. The
        first reason wins.
        """
        if self.stopping.reason is not None or not self._can_be_stopped():
            return False
        self.stopping.begin(reason)
        return True

    def stop_at_once(self) -> None:
        """SIGKILL in place of the steps that are left."""
        if self.phase is RUNNING or self.phase is DRAINING:
            self.stopping.at_once()

    def _can_be_stopped(self) -> bool:
        if self._is_open():
            return self.phase is RUNNING or self.phase is DRAINING
        # a zombie that nothing of ours waits for has ended by itself: we'll hear of it
        return self.phase is RUNNING and not self.exit.has_come()

    def fail(self, error: BaseException) -> None:
        """The caller's own code failed: the run is stopped, and the error shown at its end."""
        self.note(error)
        self.stop(FAILED)

    def note(self, error: BaseException) -> None:
        if self.failure is None:
            self.failure = failure_of(error)

    def step_taken(self) -> None:
        if self.phase is DRAINING:
            self.deadline.set_drain_again(self.options.drain, self.stopping.is_over)

    def signal(self, number: int, group: bool = True) -> bool:
        """False when there is nobody to get it. ``PermissionError`` for a set-user-id program."""
        return self.exit.send(number, group)

    def signal_all(self, number: int) -> None:
        self.group.signal(number)

    # draining

    def _on_exit(self) -> None:
        """The child has exited, or so it seems."""
        if self.phase is DRAINING:
            self.look()
        elif not self._is_open() and not self._sweeps():
            self._reap()
        elif self.exit.has_come():
            self._drain()
        else:
            self.exit.again()

    def _drain(self) -> None:
        self._move(DRAINING)
        self.exited_at = self.exited_at or time.monotonic()
        self.exit.ignore()
        self.ends.end_with_child()
        self.look()
        if self.phase is DRAINING:
            self.deadline.set_drain(self._drain_s(), self.stopping.is_over)

    def _drain_s(self) -> float | None:
        return 0.0 if self.is_unwanted or self.on_late is not None else self.options.drain

    def _end_drain(self) -> None:
        if self._sweeps() and self.group.sweep():
            # who held the pipe dies now; what it wrote is still to be read
            self.deadline.set_last_grace(self.options.drain)
            return
        self.stopping.cancel_tasks()
        self.ends.cut(cancel_output=self._is_over_for_callers())
        self.look()

    def look(self) -> None:
        """Go on to the end if nothing is left to wait for."""
        if self.phase is DRAINING and not self._is_open():
            self._reap()

    def _is_open(self) -> bool:
        return self.ends.is_open or self.stopping.is_busy

    def _is_over_for_callers(self) -> bool:
        return self.stopping.reason is not None or self.is_unwanted

    def _sweeps(self) -> bool:
        return self._is_over_for_callers() or self.options.kill_group

    # reaped, ended

    def _reap(self) -> None:
        if self._sweeps():
            self.group.sweep()
        if self.changes is not None:
            self.changes.tell_ending()
        ending = self.exit.reap()
        if ending is None:
            self.exit.again()
            return
        self._move(REAPED)
        self.exited_at = self.exited_at or time.monotonic()
        self.ending = ending
        self.changes = None  # no cycle keeps the output from then on
        self.ends.close()
        self.exit.close()
        self.stopping.close()
        self.deadline.close()
        self.group.remove_soon(self.loop, self._end)

    def _end(self) -> None:
        self._watch.tenants.discard(self)
        self._conclude()
        callback, result = self.options.callback, self.result
        if self.failure is not None and (callback is not None or not self.waiters.futures):
            self.calls.report("a Subprocess was stopped, as code given to it failed", self.failure)
        self.waiters.wake()
        if callback is not None and result is not None:
            facts = (result.status, result.stdout, result.stderr, result.has_timed_out)
            self.calls.callback(callback, *facts)

    def _conclude(self) -> None:
        self._move(ENDED)
        error: BaseException | None
        try:
            self.result, error = make_result(self)
        except Exception as unexpected:  # no memory for the output: waiters are told all the same
            error = unexpected
        if error is not None:
            self.note(error)

    async def ended(self) -> None:
        """Return when it is over; cancelling it leaves the run as it is."""
        if not self.is_over:
            await self.waiters.wait(self.loop)

    @property
    def is_over(self) -> bool:
        """For ever. Without a result, where it was abandoned or released."""
        return self.phase in OVER

    # released: as it is, another may go on with it

    def tell_changes(self, on_change: OnChange) -> None:
        """``RuntimeError`` when it is too late."""
        if self.is_over or self.phase is REAPED:
            raise RuntimeError(f"a run that is {self.phase} does not change any more")
        self.changes = Changes(self, on_change)

    def release(self) -> Handover:
        """``RuntimeError``, ``ValueError`` when that can't be done; then nothing has changed."""
        if self.changes is not None and self.changes.is_telling:
            raise RuntimeError("on_change can't release the run that it is told of")
        handover = describe(self)
        self._let_go()
        self._move(RELEASED)
        self.waiters.wake()
        return handover

    def _let_go(self) -> None:
        """Nothing of ours is left of it, and no descriptor is closed."""
        self._watch.tenants.discard(self)
        self.group.release()
        self.ends.release()
        if self.phase is not REAPED:  # else they are closed already
            self.exit.take_pidfd()
            self.deadline.close()
            self.stopping.release()

    # abandoned

    def kill(self) -> None:
        """SIGKILL to all of it, on any thread; never raises."""
        self.group.kill()

    def abandon(self, deadline: float) -> None:
        """The loop is closed, or the start failed half-way: once killed, it is reaped and closed,
        and nobody is told.
        """
        if self.is_over:
            return
        self._watch.tenants.discard(self)
        if self.phase is REAPED:
            self._conclude()
        else:
            self._move(ABANDONED)
            self.ends.close()
            if not self.loop.is_closed():  # a start that was interrupted at its end
                self.deadline.close()
            self.exit.wait_blocking(max(0.0, deadline - time.monotonic()))
            self.exit.close()
        self.group.remove(deadline)

    def close_copy(self) -> None:
        """In a forked copy of the process: the child is not ours."""
        if not self.is_over:
            self._move(ABANDONED)
        self.ends.close()
        self.exit.close()
