"""Processes of this machine, as /proc shows them; waiting for what they do."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from service.programs.errors import ProgramError

INTERVAL_S = 0.05


def is_alive(pid: int) -> bool:
    """Tell whether a process runs; one that ended and was not waited for yet does not."""
    return _stat(pid)[0] not in ("Z", "X")


def parent(pid: int) -> int:
    """Return the id of a process's parent; 0 when it is gone."""
    return int(_stat(pid)[1])


def everyone() -> list[int]:
    """Return the ids of all processes."""
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdecimal()]


def children(parent: int) -> dict[int, str]:
    """Return the living children of a process with their command lines."""
    stats = ((pid, _stat(pid)) for pid in everyone())
    return {
        pid: command_line(pid)
        for pid, (state, its_parent) in stats
        if state not in ("Z", "X") and int(its_parent) == parent
    }


def age(pid: int) -> float | None:
    """Return the seconds since a process was started; None when it is gone."""
    try:
        fields = Path("/proc", str(pid), "stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    started_s = int(fields[19]) / os.sysconf("SC_CLK_TCK")
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
    try:
        words = Path("/proc", str(pid), "cmdline").read_bytes().split(b"\0")
    except OSError:
        return ""  # it ended meanwhile
    return b" ".join(words).decode(errors="replace").strip()


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


def _stat(pid: int) -> tuple[str, str]:
    """Return a process's state and its parent; a dead child of nobody's when it is gone."""
    try:
        fields = Path("/proc", str(pid), "stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return "X", "0"
    return fields[0], fields[1]
