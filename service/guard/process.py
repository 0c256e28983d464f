"""What a process owes its guard, and gets from it."""

from __future__ import annotations

import ctypes
import os
import signal
import socket

_PR_SET_PDEATHSIG = 1  # prctl(2)


def die_with(guard: int) -> None:
    """Have the kernel kill this process when its guard, its parent of that pid, has died.

    Two processes on one port would be two owners of the same jobs. Call it on the main thread of
    a process that the guard's main thread has started: the kernel minds threads here.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != guard:  # it died before it could be said
        os.kill(os.getpid(), signal.SIGKILL)


def listener(fd: int) -> socket.socket:
    """Return the listening socket that the guard has left at `fd`; jobs do not inherit it."""
    os.set_inheritable(fd, False)
    return socket.socket(fileno=fd)
