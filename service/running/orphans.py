"""Processes of jobs whose owner is dead: found by the mark that every job carries.

The mark is `SQUALL_JOB_ID` in the environment, which children inherit, into other sessions too;
it needs no record, so it also finds a command that was started in the owner's last moment. A
command that dropped its environment is found by its session, which its recorded process leads.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterable, Sequence

from service import proc
from service.errors import is_no_room
from service.ledger import Leader

MARK = "SQUALL_JOB_ID"
LOOK_AGAIN_S = 0.01
NO_ROOM_S = 0.1
# What shows no environment in so many looks is in no exec, and no command of ours.
EXEC_LOOKS = 20


def kill(ids: Iterable[str], leaders: Sequence[Leader] = (), timeout_s: float = 5.0) -> bool:
    """Kill every process of these jobs and wait until none is left; blocks.

    `leaders` are the recorded processes of these jobs, for those without a mark. Returns whether
    all are gone in time: one that sleeps in the kernel, or belongs to another user, may stay, and
    without a free descriptor nobody can tell.
    """
    marks = {f"{MARK}={id}".encode() for id in ids}
    deadline, clean_looks = time.monotonic() + timeout_s, 0
    while time.monotonic() < deadline:
        try:
            sessions = {leader.pid for leader in leaders if _is_alive(leader)}
            looks = {pid: _is_theirs(pid, marks, sessions) for pid in proc.pids()}
            found = [pid for pid, is_theirs in looks.items() if is_theirs]
            clean_looks = 0 if found else clean_looks + 1
            if clean_looks and (clean_looks == EXEC_LOOKS or None not in looks.values()):
                return True
            for pid in found:
                _kill_if_theirs(pid, marks, sessions)
        except OSError as exc:
            if not is_no_room(exc):
                raise
            time.sleep(NO_ROOM_S)  # what can't be looked at is not gone
        time.sleep(LOOK_AGAIN_S)
    return False


def _is_alive(leader: Leader) -> bool:
    """Whether the very process lives: since this boot, and started at the same tick."""
    if leader.boot_id != proc.boot_id():
        return False
    stat = proc.stat(leader.pid)
    return stat is not None and stat.is_alive and stat.start_ticks == leader.start_ticks


def _is_theirs(pid: int, marks: set[bytes], sessions: set[int]) -> bool | None:
    """Whether a process is of these jobs; None when that can't be told at this moment."""
    environ = proc.environ(pid)
    if not marks.isdisjoint(environ):
        return True
    stat = proc.stat(pid) if sessions or environ == [b""] else None
    if stat is None or not stat.is_alive or stat.is_kernel:
        return False
    if stat.session in sessions:
        return True
    # in an exec there is none for some 100 µs, and then the next program's
    is_unknown = environ == [b""] and stat.has_environment is not False
    return None if is_unknown else False


def _kill_if_theirs(pid: int, marks: set[bytes], sessions: set[int]) -> None:
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return  # gone meanwhile
    try:
        # looked at again through the descriptor's lifetime: the number may belong to a stranger now
        if _is_theirs(pid, marks, sessions):
            signal.pidfd_send_signal(fd, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass  # it ended between the look and the signal, or is another user's
    finally:
        os.close(fd)
