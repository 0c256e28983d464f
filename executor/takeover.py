"""A run that was begun elsewhere, by another process or by this one before its exec."""

from __future__ import annotations

import asyncio
import os
import time

from executor.adopted import Adopted, Reap
from executor.child import Child
from executor.group import Group
from executor.handover import Handover, boot_time
from executor.options import Options
from executor.phase import ABANDONED, RUNNING
from executor.stop import Stop


class TakenOver(Child):
    """As a ``Child`` that was started: only its beginning differs, and who knows its end."""

    __slots__ = ()

    def __init__(
        self,
        options: Options,
        loop: asyncio.AbstractEventLoop,
        handover: Handover,
        reap: Reap | None,
    ) -> None:
        super().__init__(options, loop)
        to_mono = time.monotonic() - boot_time()
        self.pid = handover.pid
        self.started_at = handover.started_at
        self.started_mono = handover.started_boot + to_mono
        if handover.exited_boot is not None:
            self.exited_at = handover.exited_boot + to_mono
        self.ending = handover.ending
        self.exit = Adopted(loop, self._watch, self._on_exit, handover, reap, self.calls, self.note)
        self.group = Group(self.exit)
        self.group.take_over_cgroup(handover.cgroup)
        if handover.reason is not None:
            self.stopping = Stop(self, handover.steps)

    def begin(self, handover: Handover) -> None:
        """``OSError`` or ``ValueError`` when that can't be done: the descriptors stay the caller's,
        and nothing has changed.
        """
        self._watch.tenants.add(self)
        try:
            self.exit.begin()
            self.ends.resume(self, handover, self.options, self._watch)
            self._resume_clocks(handover)
        except BaseException:
            self._undo_begin(handover)
            raise
        self._move(RUNNING)

    def _resume_clocks(self, handover: Handover) -> None:
        now = boot_time()
        if handover.timeout_boot is not None:
            self.deadline.set_timeout(handover.timeout_boot - now)
        if handover.reason is not None:
            due = handover.step_boot
            self.stopping.resume(handover.reason, None if due is None else due - now)

    def _undo_begin(self, handover: Handover) -> None:
        pidfd = self.exit.pidfd
        self._let_go()
        self._move(ABANDONED)
        if pidfd != handover.descriptors.get("pidfd", -1):  # one of our own
            os.close(pidfd)

    def _drain_s(self) -> float | None:
        drain = super()._drain_s()
        if drain is None:
            return None
        return max(0.0, drain - (time.monotonic() - self.exited_at))
