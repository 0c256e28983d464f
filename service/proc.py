"""Processes of this machine, as /proc shows them; see proc(5).

A process that is gone is None. Any other OSError is raised: a look that found no descriptor free
(EMFILE) knows nothing, and must not pass for "gone".
"""

from __future__ import annotations

import functools
import os
from pathlib import Path
from typing import NamedTuple


class Stat(NamedTuple):
    """What /proc/PID/stat says; `start_ticks` count from the boot, whatever the clock does."""

    state: str
    parent: int
    group: int
    session: int
    start_ticks: int
    has_environment: bool  # false in an exec, before the new one is there; and of other users'

    @property
    def is_alive(self) -> bool:
        """Whether it runs: not one that has ended and was not waited for yet."""
        return self.state not in ("Z", "X")


def pids() -> list[int]:
    """Return the ids of all processes."""
    return [int(name) for name in os.listdir("/proc") if name.isdecimal()]  # noqa: PTH208


def stat(pid: int) -> Stat | None:
    """Return what is known of a process; None when it is gone."""
    text = _read(pid, "stat")
    if text is None:
        return None
    # the name in parentheses may hold anything; state, ppid, pgrp, session follow
    fields = text.rpartition(b")")[2].split()
    state, parent, group, session = fields[:4]
    env_end = fields[48]
    return Stat(
        state.decode(), int(parent), int(group), int(session), int(fields[19]), env_end != b"0"
    )


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
