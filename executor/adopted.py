"""How we learn the end of a child that was taken over: ours, or that of another process by now."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable

from executor.calls import CALLERS, Calls, error_of
from executor.exits import Exit
from executor.handover import Handover
from executor.peek import PEEK
from executor.result import Ending, Usage
from executor.watch import Watch

# the wait status as of waitpid(2), and the usage where it is known; None: it can't be known now
Reap = Callable[[], Awaitable[tuple[int, Usage | None] | None]]

LAST_WAIT_S = 1.0  # for another process to reap the child, which the kernel tells us of


class Adopted(Exit):
    """As ``Exit``; ``reap()`` answers ``None`` until it is known how the child ended, and tells
    ``seen`` then.

    Who knows, the first that there is: the Handover, ``ask``, wait4(2) as long as the child is
    ours, the kernel by its pidfd once another process has reaped it.
    """

    __slots__ = ("_ask", "_asking", "_calls", "_failed", "_give_up_at", "_known")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        watch: Watch,
        seen: Callable[[], None],
        handover: Handover,
        ask: Reap | None,
        calls: Calls,
        failed: Callable[[BaseException], None],
    ) -> None:
        super().__init__(loop, watch, seen)
        self.pid = handover.pid
        self.pidfd = handover.descriptors.get("pidfd", -1)
        self._known = handover.ending
        self._ask = ask
        self._calls = calls
        self._failed = failed
        self._asking: asyncio.Future[tuple[int, Usage | None] | None] | None = None
        self._give_up_at: float | None = None

    def begin(self) -> None:
        """``ValueError`` for a stranger without a pidfd: its id may be anybody's."""
        if self.pidfd == -1 and self._known is not None:
            self._lose_id()
            self.again()
        elif self.pidfd == -1 and not self._is_ours():
            raise ValueError("a child of another process is taken over by its pidfd only")
        else:
            if self.pidfd != -1:
                os.set_inheritable(self.pidfd, False)
            super().begin()

    def _is_ours(self) -> bool:
        """Whether we are its parent, and have not reaped it."""
        try:
            if self.pidfd == -1:
                os.waitid(os.P_PID, self.pid, PEEK)
            else:
                os.waitid(os.P_PIDFD, self.pidfd, PEEK)
        except ChildProcessError:
            return False
        return True

    def has_come(self) -> bool:
        if self.pidfd == -1:
            return self._known is not None or super().has_come()
        return self._is_readable()

    def again(self) -> None:
        if self._asking is None:
            super().again()

    def peek(self) -> Ending | None:
        """Of a stranger, who is reaped when we ask for it, nothing."""
        is_told = self._known is not None or self._ask is not None
        return super().peek() if not is_told and self._is_ours() else None

    def reap(self) -> Ending | None:
        if self._known is not None:
            return self._reap_known(self._known)
        if not self.has_come():
            return None
        if self._ask is not None:
            self._begin_asking(self._ask)
            return self._known
        if self._is_ours():
            return super().reap()
        return self._reap_stranger()

    def _reap_known(self, known: Ending) -> Ending:
        # who looked may have died before reaping it, or was this process before its exec
        if not self._is_over and self._is_ours():
            super().reap()
        self._lose_id()
        return known

    def _reap_stranger(self) -> Ending | None:
        ending = self._from_pidfd()
        if ending.status is None and self._is_held():
            if self._give_up_at is None:
                self._give_up_at = time.monotonic() + LAST_WAIT_S
            if time.monotonic() < self._give_up_at:
                return None
        self._lose_id()
        return ending

    def _begin_asking(self, ask: Reap) -> None:
        if self._asking is not None:
            return
        self.ignore()
        self._lose_id()  # from now on it may become another's at any moment
        try:
            self._asking = self._calls.reap(ask)
        except CALLERS as error:
            self._failed(error)
            self._known = self._from_pidfd()
        else:
            self._asking.add_done_callback(self._answered)

    def _answered(self, asking: asyncio.Future[tuple[int, Usage | None] | None]) -> None:
        if asking is not self._asking:  # we have let go of it
            return
        self._asking = None
        error = error_of(asking, cancelled_by_us=False)
        if error is None:
            try:
                self._known = _ending(asking.result())
            except (TypeError, ValueError) as wrong:
                error = wrong
        if error is not None:
            self._failed(error)
        if self._known is None:
            self._known = self._from_pidfd()
        self._seen()

    def wait_blocking(self, seconds: float) -> None:
        """Without a loop nobody can be asked: it is reaped if it is ours."""
        self._ask = None
        if self._is_ours():
            super().wait_blocking(seconds)
        elif self.pidfd != -1:
            self._is_readable(seconds)

    def take_pidfd(self) -> int:
        self._ask = None
        self._failed = _nobody
        asking, self._asking = self._asking, None
        if asking is not None and not self._loop.is_closed():
            asking.cancel()
        return super().take_pidfd()


def _nobody(error: BaseException) -> None:
    """In place of who is told of a failure, afterwards."""


def _ending(answer: tuple[int, Usage | None] | None) -> Ending | None:
    if answer is None:
        return None
    raw, usage = answer
    return Ending(os.waitstatus_to_exitcode(raw), os.WCOREDUMP(raw), usage)
