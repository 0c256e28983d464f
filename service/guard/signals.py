"""Signals as something to poll: a descriptor that is readable when one has come.

Of `signal` itself only the part in C: the rest of it takes a megabyte for the names.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # typeshed knows the public one only
import os
from _signal import SIGCHLD, SIGHUP, SIGINT, SIGKILL, SIGQUIT, SIGTERM

__all__ = ["SIGCHLD", "SIGHUP", "SIGINT", "SIGKILL", "SIGQUIT", "SIGTERM", "STOPS", "Signals"]

STOPS = (SIGTERM, SIGINT, SIGQUIT)


class Signals:
    """Those that a guard minds, from now on and for as long as it lives."""

    def __init__(self) -> None:
        """Mind them in place of dying of them; on the main thread."""
        self.descriptor, write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        _signal.set_wakeup_fd(write, warn_on_full_buffer=False)  # full: we look anyway
        for number in (*STOPS, SIGHUP, SIGCHLD):
            _signal.signal(number, _noted)

    def take(self) -> set[int]:
        """Return the numbers of those that have come since."""
        try:
            return set(os.read(self.descriptor, 65_536))
        except BlockingIOError:
            return set()


def _noted(number: int, frame: object) -> None:
    """What set_wakeup_fd(3) tells of needs a handler, in which nothing is left to do."""
