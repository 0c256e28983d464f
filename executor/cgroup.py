"""One cgroup (version 2) a run: whatever the command starts is in it, and dies with it.

A process can leave its group and session (setsid(2), a double fork), but not its cgroup. Needs a
directory below /sys/fs/cgroup that this process may write, and ``cgroup.kill`` (Linux 5.14).
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

log = logging.getLogger("executor")

RETRY_S = 0.005
RETRIES = 400

_numbers = itertools.count(1)


class Cgroup:
    """The directory ``path``; ``make()`` makes one."""

    __slots__ = ("_path", "_timer", "_tries")

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)
        self._timer: asyncio.TimerHandle | None = None
        self._tries = 0

    @classmethod
    def make(cls, parent: str) -> Self:
        """One of its own below ``parent``; ``OSError`` where it can't be made."""
        while True:
            path = Path(parent, f"executor-{os.getpid()}-{next(_numbers)}")
            # it may be there: a process that executes itself anew counts from 1 again
            with contextlib.suppress(FileExistsError):
                path.mkdir()
                return cls(path)

    def __str__(self) -> str:
        return str(self._path)

    @property
    def procs(self) -> str:
        return str(self._path / "cgroup.procs")

    def kill(self) -> None:
        """SIGKILL to all that is in it, also to what is being forked at this moment."""
        try:
            (self._path / "cgroup.kill").write_text("1")
        except OSError as error:
            log.warning("the cgroup %s could not be killed: %s", self._path, error)

    def remove(self) -> bool:
        """Whether it is gone: it can't be before the last process in it is."""
        try:
            self._path.rmdir()
        except FileNotFoundError:
            return True
        except OSError:  # EBUSY
            return False
        return True

    def remove_soon(self, loop: asyncio.AbstractEventLoop, then: Callable[[], None]) -> None:
        """Call ``then`` when it is gone, or given up after two seconds."""
        self._timer = None
        if self.remove():
            then()
        elif self._tries >= RETRIES:
            log.warning("the cgroup %s could not be removed", self._path)
            then()
        else:
            self._tries += 1
            self._timer = loop.call_later(RETRY_S, self.remove_soon, loop, then)

    def release(self) -> None:
        """It is left to another to remove it."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def remove_blocking(self, deadline: float) -> None:
        """The same where there is no loop, in ``time.monotonic()``'s time."""
        while not self.remove():
            if time.monotonic() >= deadline:
                log.warning("the cgroup %s could not be removed", self._path)
                return
            time.sleep(RETRY_S)
