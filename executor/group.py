"""All that a run has started: its process group, and its cgroup where it was given one."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from signal import SIGKILL

from executor.cgroup import Cgroup
from executor.exits import Exit
from executor.result import signal_name

log = logging.getLogger("executor")


class Group:
    """Signals may come from any thread; what has left the process group (setsid(2)) is only reached
    by the cgroup.
    """

    __slots__ = ("_cgroup", "_is_swept", "_leader")

    def __init__(self, leader: Exit) -> None:
        self._leader = leader
        self._is_swept = False
        self._cgroup: Cgroup | None = None

    def make_cgroup(self, parent: str) -> None:
        """Before the leader is spawned; ``OSError`` where it can't be made."""
        self._cgroup = Cgroup.make(parent)

    def take_over_cgroup(self, path: str | None) -> None:
        """One that was made for this run by another."""
        if path is not None:
            self._cgroup = Cgroup(path)

    @property
    def cgroup(self) -> str | None:
        """The directory of the cgroup, where there is one."""
        return None if self._cgroup is None else str(self._cgroup)

    @property
    def procs(self) -> str | None:
        """The file that lists the processes of the cgroup."""
        return None if self._cgroup is None else self._cgroup.procs

    def signal(self, number: int) -> None:
        """To whoever is there to get it; SIGKILL to the cgroup too."""
        if number == SIGKILL and self._cgroup is not None:
            self._cgroup.kill()
        try:
            self._leader.send(number)
        except PermissionError:  # a set-user-id program: it ends by itself or not at all
            text = "not allowed to send %s to process group %d"
            log.warning(text, signal_name(number), self._leader.pid)

    def kill(self) -> None:
        """SIGKILL to all of it; never raises."""
        try:
            self.signal(SIGKILL)
        except OSError as error:
            log.warning("process %d could not be killed: %s", self._leader.pid, error)

    def sweep(self) -> bool:
        """Kill what is left of it; whether that is done for the first time.

        Before the leader is reaped, so that the group's id can't belong to another.
        """
        is_first = not self._is_swept
        if is_first:
            self._is_swept = True
            self.signal(SIGKILL)
        return is_first

    def remove_soon(self, loop: asyncio.AbstractEventLoop, then: Callable[[], None]) -> None:
        """Call ``then`` when the cgroup is gone, at once where there is none."""
        if self._cgroup is None:
            then()
        else:
            self._cgroup.remove_soon(loop, then)

    def release(self) -> None:
        """The cgroup is left to another to remove it."""
        if self._cgroup is not None:
            self._cgroup.release()

    def remove(self, deadline: float) -> None:
        """The same without a loop, in ``time.monotonic()``'s time."""
        if self._cgroup is not None:
            self._cgroup.remove_blocking(deadline)
