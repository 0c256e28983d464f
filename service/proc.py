"""Processes of this machine, as /proc shows them; see proc(5).

A process that is gone, or another user's and hidden, is None. Any other OSError is raised: a look
that found no descriptor free (EMFILE) knows nothing, and must not pass for "gone".
"""

from __future__ import annotations

import functools
import os
from pathlib import Path
from typing import NamedTuple

PF_KTHREAD = 0x0020_0000  # <linux/sched.h>


class Stat(NamedTuple):
    """What /proc/PID/stat says; `start_ticks` count from the boot, whatever the clock does."""

    state: str
    parent: int
    group: int
    session: int
    start_ticks: int
    is_kernel: bool
    has_environment: (
        bool | None
    )  # None in an exec, before the new one is there; and of other users'

    @property
    def is_alive(self) -> bool:
        """Whether it runs: not one that has ended and was not waited for yet."""
        return self.state not in ("Z", "X")


def pids() -> list[int]:
    """Return the ids of all processes."""
    return [int(name) for name in os.listdir("/proc") if name.isdecimal()]  # noqa: PTH208


def stat(pid: int) -> Stat | None:
    """Return what is known of a process; None when it is gone, or hidden from us (hidepid=1)."""
    try:
        text = _read(pid, "stat")
    except PermissionError:
        return None
    if text is None:
        return None
    # the name in parentheses may hold anything; state, ppid, pgrp, session follow
    state, *fields = text.rpartition(b")")[2].split()
    parent, group, session, _, _, flags, *rest = map(int, fields)
    start_ticks, (env_start, env_end) = rest[12], rest[40:42]
    is_kernel = bool(flags & PF_KTHREAD)
    has_environment = None if not env_end else env_start != env_end
    return Stat(state.decode(), parent, group, session, start_ticks, is_kernel, has_environment)


def environ(pid: int) -> list[bytes]:
    """Return the environment it was started with; nothing when it is gone or another user's."""
    try:
        return (_read(pid, "environ") or b"").split(b"\0")
    except PermissionError:
        return []


def command_line(pid: int) -> str:
    """Return what a process was started as; empty when it is gone."""
    words = (_read(pid, "cmdline") or b"").split(b"\0")
    return b" ".join(words).decode(errors="replace").strip()


@functools.cache
def boot_id() -> str:
    """Return what tells this boot of the machine from every other."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def _read(pid: int, name: str) -> bytes | None:
    try:
        # a look goes through every process: pathlib would take as long as the kernel
        with open(f"/proc/{pid}/{name}", "rb", buffering=0) as file:  # noqa: PTH123
            return file.read()
    except (FileNotFoundError, ProcessLookupError):
        return None
