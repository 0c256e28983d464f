"""Processes of this machine, as /proc shows them."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterable
from pathlib import Path

from service import proc
from service.programs.errors import FleetError


def is_alive(pid: int) -> bool:
    """Tell whether a process runs; one that ended and was not waited for yet does not."""
    return _stat(pid)[0] not in ("Z", "X")


def parent(pid: int) -> int:
    """Return the id of a process's parent; 0 when it is gone."""
    return _stat(pid)[1]


def everyone() -> list[int]:
    """Return the ids of all processes."""
    return proc.pids()


def children(parent: int) -> dict[int, str]:
    """Return the living children of a process with their command lines."""
    stats = ((pid, _stat(pid)) for pid in everyone())
    return {
        pid: command_line(pid)
        for pid, (state, its_parent) in stats
        if state not in ("Z", "X") and its_parent == parent
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


def command_line(pid: int) -> str:
    """Return what a process was started as; empty when it is gone."""
    return proc.command_line(pid)


def signal_all(pids: Iterable[int], signal: int) -> None:
    """Send a signal to each process that is still there."""
    for pid in pids:
        try:
            os.kill(pid, signal)
        except ProcessLookupError:
            pass  # it ended by itself
        except PermissionError as exc:
            raise FleetError(f"process {pid} is another user's: stop it as that user") from exc


def _stat(pid: int) -> tuple[str, int]:
    """Return a process's state and its parent; a dead child of nobody's when it is gone."""
    found = proc.stat(pid)
    return (found.state, found.parent) if found else ("X", 0)
