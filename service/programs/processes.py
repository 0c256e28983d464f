"""Processes that are not our children: how they are, what they hold, and waiting for them."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from service import proc
from service.programs.errors import ProgramError

INTERVAL_S = 0.05


def is_alive(pid: int) -> bool:
    """Tell whether a process runs; one that ended and was not waited for yet does not."""
    found = proc.stat(pid)
    return found is not None and found.is_alive


def parent(pid: int) -> int:
    """Return the id of a process's parent; 0 when it is gone."""
    found = proc.stat(pid)
    return found.parent if found else 0


def children(parent: int) -> dict[int, str]:
    """Return the living children of a process with their command lines."""
    stats = {pid: found for pid in proc.pids() if (found := proc.stat(pid)) is not None}
    return {
        pid: proc.command_line(pid)
        for pid, found in stats.items()
        if found.is_alive and found.parent == parent
    }


def age(pid: int) -> float | None:
    """Return the seconds since a process was started; None when it is gone."""
    found = proc.stat(pid)
    if found is None:
        return None
    started_s = found.start_ticks / os.sysconf("SC_CLK_TCK")
    return max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - started_s)


def open_files(pid: int) -> set[str]:
    """Return what a process holds open, by name; nothing when this user may not know."""
    names = set()
    try:
        for fd in Path("/proc", str(pid), "fd").iterdir():
            with contextlib.suppress(FileNotFoundError):  # closed meanwhile
                names.add(str(fd.readlink()))
    except (PermissionError, FileNotFoundError, ProcessLookupError):
        pass  # another user's process, or one that ended meanwhile
    return names


def signal_all(pids: Iterable[int], signal: int) -> None:
    """Send a signal to each process that is still there."""
    for pid in pids:
        try:
            os.kill(pid, signal)
        except ProcessLookupError:
            pass  # it ended by itself
        except PermissionError as exc:
            raise ProgramError(f"process {pid} is another user's: stop it as that user") from exc


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    """Ask again and again, as nothing tells us; False when the time was up before it held."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(INTERVAL_S)
    return True
