"""How we learn that a child has ended (pidfd) and how (wait4), and whether its id is still its."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import math
import os
import select
import signal
import struct
import threading
import time
from collections.abc import Callable

from executor.peek import PEEK, peek
from executor.result import Ending, Usage
from executor.watch import READ, Watch

FIRST_RETRY_S = 0.001
LAST_RETRY_S = 0.05

_PROCESS_GROUP = 1 << 2  # PIDFD_SIGNAL_PROCESS_GROUP, kernel 6.9
# linux/pidfd.h, kernel 6.15: how a process ended, also after somebody has reaped it
_PIDFD_GET_INFO = 0xC040FF0B
_PIDFD_INFO_EXIT = 1 << 3
_INFO = struct.Struct("=QQ11Ii")


class Exit:
    """Calls ``seen``, on the loop, when the child has ended; reaps it when told to.

    Until ``reap()`` has answered, the child is kept as a zombie, so that its process id and its
    process group's id can belong to nobody else. ``send()`` may come from any thread.
    """

    __slots__ = ("_delay", "_is_over", "_loop", "_seen", "_timer", "_watch", "pid", "pidfd")

    def __init__(
        self, loop: asyncio.AbstractEventLoop, watch: Watch, seen: Callable[[], None]
    ) -> None:
        self.pid = 0
        self.pidfd = -1
        self._loop = loop
        self._watch = watch
        self._is_over = False
        self._seen = seen
        self._delay = FIRST_RETRY_S
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """``pid`` is known. ``OSError`` when there is no descriptor left for it."""
        try:
            if self.pidfd == -1:
                self.pidfd = os.pidfd_open(self.pid)
        except (AttributeError, OSError) as error:
            # no such call (before Linux 5.3, or forbidden): ask again and again.
            # ESRCH: SIGCHLD is ignored, the kernel has reaped the child already
            if isinstance(error, OSError) and error.errno not in _NO_PIDFD:
                raise
            self.again()
            return
        self._watch.add(self.pidfd, READ, self._seen)

    def ignore(self) -> None:
        """The exit is known: the pidfd stays readable, and the loop would spin."""
        if self.pidfd != -1:
            self._watch.remove(self.pidfd)

    def again(self) -> None:
        """It has not come: wait for the next event, or ask later where none can tell of it (there
        is no pidfd, or it is readable and wait gives nothing: a traced child).
        """
        if self.pidfd != -1 and not self._is_readable():
            with contextlib.suppress(OSError):  # no room to watch it: ask later
                self._watch.add_again(self.pidfd, READ, self._seen)
                return
        self.ignore()
        self._timer = self._loop.call_later(self._delay, self._seen)
        self._delay = min(2 * self._delay, LAST_RETRY_S)

    def _is_readable(self, seconds: float = 0.0) -> bool:
        poll = select.poll()
        poll.register(self.pidfd, select.POLLIN)
        return bool(poll.poll(math.ceil(seconds * 1000)))

    def has_come(self) -> bool:
        """Whether the child has ended; leaves it as a zombie."""
        try:
            return os.waitid(os.P_PID, self.pid, PEEK) is not None
        except ChildProcessError:  # reaped by another
            return True

    def peek(self) -> Ending | None:
        """How the child ended, where that can be told before ``reap()``; leaves it as a zombie."""
        return peek(self.pid)

    def reap(self) -> Ending | None:
        """How the child ended, ``None`` when it has not."""
        with _ids:
            try:
                pid, raw, used = os.wait4(self.pid, os.WNOHANG)
            except ChildProcessError:
                self._is_over = True
                return self._from_pidfd()
            if pid == 0:
                return None
            self._is_over = True
        usage = Usage(used.ru_utime, used.ru_stime, used.ru_maxrss * 1024)
        return Ending(os.waitstatus_to_exitcode(raw), os.WCOREDUMP(raw), usage)

    def _from_pidfd(self) -> Ending:
        """Somebody else has reaped the child: newer kernels can still tell how it ended."""
        request = bytearray(_INFO.size)
        _INFO.pack_into(request, 0, _PIDFD_INFO_EXIT, *(0,) * 13)
        try:
            fcntl.ioctl(self.pidfd, _PIDFD_GET_INFO, request)
        except (OSError, ValueError):  # an older kernel, or no pidfd at all
            return Ending(None, False, None)
        mask, *_, raw = _INFO.unpack(request)
        if not mask & _PIDFD_INFO_EXIT:
            return Ending(None, False, None)
        return Ending(os.waitstatus_to_exitcode(raw), os.WCOREDUMP(raw), None)

    def send(self, number: int, group: bool = True) -> bool:
        """Send a signal to the child, or to its group; False when there is nobody to get it.

        ``PermissionError`` for a set-user-id program.
        """
        with _ids:
            if self._is_over:
                return False
            try:
                if self.pidfd == -1:
                    self._send_by_id(number, group)
                elif group:
                    self._send_to_group(number)
                else:
                    signal.pidfd_send_signal(self.pidfd, number)
            except ProcessLookupError:
                return False
        return True

    def _send_to_group(self, number: int) -> None:
        """Its members can be reached also when somebody else has reaped the child (SIGCHLD is
        ignored), since the pidfd holds on to what the id stood for.
        """
        try:
            signal.pidfd_send_signal(self.pidfd, number, None, _PROCESS_GROUP)
        except OSError as error:
            if error.errno not in _NO_GROUP_FLAG:
                raise
            if self._is_held():
                os.killpg(self.pid, number)

    def _is_held(self) -> bool:
        """Whether the process id still is the child's: it lives, or is a zombie of ours."""
        try:
            signal.pidfd_send_signal(self.pidfd, 0)
        except ProcessLookupError:
            return False
        except PermissionError:  # it runs as another user
            return True
        return True

    def _send_by_id(self, number: int, group: bool) -> None:
        try:
            os.waitid(os.P_PID, self.pid, PEEK)
        except ChildProcessError as error:  # reaped by another: the id may be anybody's
            raise ProcessLookupError from error
        (os.killpg if group else os.kill)(self.pid, number)

    def wait_blocking(self, seconds: float) -> None:
        """For a killed child when there is no loop: reap it within that time, or leave it to
        ``reap_orphans()``.
        """
        deadline = time.monotonic() + seconds
        if self.pidfd != -1:
            self._is_readable(seconds)
        while self.reap() is None:
            left = deadline - time.monotonic()
            if left <= 0:
                _orphans.add(self.pid)
                return
            time.sleep(min(FIRST_RETRY_S, left))

    def _lose_id(self) -> None:
        """No signal is sent from now on."""
        with _ids:
            self._is_over = True

    def take_pidfd(self) -> int:
        """The pidfd (or -1), unwatched and the caller's; no signal is sent from now on, nothing is
        told.
        """
        self._seen = _ended  # no cycle: what is done with goes at once
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        with _ids:
            self._is_over = True
            fd, self.pidfd = self.pidfd, -1
        if fd != -1:
            self._watch.remove(fd)
        return fd

    def close(self) -> None:
        """As ``take_pidfd()``, and closes it."""
        fd = self.take_pidfd()
        if fd != -1:
            os.close(fd)


def _ended() -> None:
    """In place of what is to be called at the end, afterwards."""


_NO_PIDFD = frozenset({errno.ENOSYS, errno.EPERM, errno.ESRCH})
# an older kernel, or a filter that knows no flags and refuses the call with EPERM
_NO_GROUP_FLAG = frozenset({errno.EINVAL, errno.ENOSYS, errno.EPERM})

# held where an id or a pidfd is used or ceases to be ours: a finalizer, on whatever thread, must
# not signal what it has come to mean since. Re-entrant, as a finalizer may run anywhere
_ids = threading.RLock()


def _renew_ids() -> None:
    """In a forked copy of this process: who held it is not there."""
    global _ids
    _ids = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_ids)

# children that were killed when there was no loop, and had not died when we looked (disk sleep)
_orphans: set[int] = set()


def reap_orphans() -> None:
    for pid in list(_orphans):
        try:
            gone = os.waitpid(pid, os.WNOHANG)[0] != 0
        except ChildProcessError:  # reaped by another
            gone = True
        if gone:
            _orphans.discard(pid)
