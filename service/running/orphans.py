"""Processes of jobs whose owner is dead: found by the mark that every job carries.

The mark is `SQUALL_JOB_ID` in the environment, which children inherit, into other sessions too;
it needs no record, so it also finds a command that was started in the owner's last moment. A
command that dropped its environment is found by its session, which its recorded pid leads.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

MARK = "SQUALL_JOB_ID"
_MARK = f"{MARK}=".encode()
_PROC = Path("/proc")
# /proc's boot time is in whole seconds; a pid can't have been used again that soon
START_SLACK_S = 2.0


def kill(ids: set[str], leaders: Mapping[int, float], timeout_s: float = 5.0) -> bool:
    """Kill every process of these jobs and wait until none is left; blocks.

    `leaders` maps the recorded pids to the Unix times when they were started. Returns whether
    all are gone in time: one that sleeps in the kernel, or belongs to another user, may stay.
    """
    marks = {_MARK + id.encode() for id in ids}
    deadline = time.monotonic() + timeout_s
    while targets := set(_marked(marks)) | set(_in_sessions(leaders)):
        if time.monotonic() > deadline:
            return False
        for pid in targets:
            _kill_if(pid, marks, leaders)
        time.sleep(0.01)
    return True


def _marked(marks: set[bytes]) -> Iterator[int]:
    for pid in _pids():
        if _has_mark(pid, marks):
            yield pid


def _in_sessions(leaders: Mapping[int, float]) -> Iterator[int]:
    alive = {
        pid
        for pid, started_at in leaders.items()
        if (stat := _stat(pid)) and stat[0] == pid and abs(stat[1] - started_at) < START_SLACK_S
    }
    if alive:
        yield from (pid for pid in _pids() if (stat := _stat(pid)) and stat[0] in alive)


def _kill_if(pid: int, marks: set[bytes], leaders: Mapping[int, float]) -> None:
    try:
        fd = os.pidfd_open(pid)
    except OSError:
        return  # gone meanwhile
    try:
        # looked at again through the descriptor's lifetime: the number may belong to a stranger now
        stat = _stat(pid)
        if _has_mark(pid, marks) or (stat is not None and stat[0] in leaders):
            signal.pidfd_send_signal(fd, signal.SIGKILL)
    except OSError:
        pass  # it ended between the look and the signal, or is another user's
    finally:
        os.close(fd)


def _has_mark(pid: int, marks: set[bytes]) -> bool:
    try:
        environ = (_PROC / str(pid) / "environ").read_bytes()
    except OSError:
        return False  # gone, or another user's
    return not marks.isdisjoint(environ.split(b"\0"))


def _stat(pid: int) -> tuple[int, float] | None:
    """Return a process's session and its start as a Unix time; None when it is gone or a zombie."""
    try:
        # proc(5): the name in parentheses may hold anything; state, ppid, pgrp, session follow
        fields = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    if fields[0] == "Z":
        return None
    return int(fields[3]), _boot_time() + int(fields[19]) / os.sysconf("SC_CLK_TCK")


def _pids() -> Iterator[int]:
    return (int(name) for name in os.listdir(_PROC) if name.isdecimal())  # noqa: PTH208


def _boot_time() -> float:
    return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
