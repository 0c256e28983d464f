"""Tells at once when another process of this machine has died.

A process writes who it is into the file that it holds locked; the others watch its pidfd, see
pidfd_open(2). It is only quicker than the regular look at who holds a lock, never needed for it.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Iterable

from service import proc
from service.state import StateDir

log = logging.getLogger(__name__)


def sign(lock: int, holder: int) -> None:
    """Write into our locked file with whose death its lock is free, and who we are."""
    found = proc.stat(holder)
    ticks = found.start_ticks if found else 0
    os.ftruncate(lock, 0)
    os.pwrite(lock, f"{holder} {ticks} {os.getpid()}\n".encode(), 0)


class Deaths:
    """The peers that live, watched on the running loop."""

    def __init__(self, state: StateDir, ports: Iterable[int]) -> None:
        """Watch nobody yet."""
        self._state = state
        self._ports = list(ports)
        self._fds: dict[int, int] = {}

    def watch(self, on_death: Callable[[int], None]) -> None:
        """Call `on_death(port)` once for each that lives now and dies; those watched stay so.

        Who cannot be watched now is left out: to be called again, now and then.
        """
        for port in self._ports:
            if port not in self._fds and (fd := self._open(port)) is not None:
                self._fds[port] = fd
                asyncio.get_running_loop().add_reader(fd, self._died, port, on_death)

    def close(self) -> None:
        """Watch nobody any more."""
        for port in list(self._fds):
            self._leave(port)

    def _died(self, port: int, on_death: Callable[[int], None]) -> None:
        self._leave(port)
        on_death(port)

    def _leave(self, port: int) -> None:
        fd = self._fds.pop(port)
        asyncio.get_running_loop().remove_reader(fd)
        os.close(fd)

    def _open(self, port: int) -> int | None:
        try:
            pid, ticks, _ = map(int, self._state.lock(port).read_text().split())
            fd = os.pidfd_open(pid)
        except (ValueError, FileNotFoundError, ProcessLookupError):
            return None  # nobody, or one that has not signed yet
        except OSError as exc:
            log.warning("process %d cannot be watched: %s", port, exc)
            return None
        try:
            found = proc.stat(pid)
        except OSError:
            found = None  # unknown: then it is not watched
        if found is not None and found.start_ticks == ticks:
            return fd
        os.close(fd)  # its number belongs to somebody else now
        return None
