"""A guard's children beside its process: what others have left to it, as it is their subreaper.

They are jobs whose process has died, which stay zombies until their end is asked for, and what
was started by a job and has outlived its parent, which nobody waits for; see prctl(2),
PR_SET_CHILD_SUBREAPER.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:  # half a megabyte at run time
    from collections.abc import Callable

_ANY = os.WEXITED | os.WNOHANG | os.WNOWAIT


def reap_strangers(is_kept: Callable[[int], bool]) -> None:
    """Reap those that have ended, but for those that are kept."""
    while (pid := _ended()) is not None and not is_kept(pid):
        reap(pid)
    if pid is not None:
        # it would be shown again and again, in front of all others
        for child in _children():
            if not is_kept(child):
                reap(child)


def ending(pid: int) -> tuple[object, ...] | None:
    """Reap a child; return status, user and system seconds and KiB, as wait4(2) has them.

    None when it has not ended; ChildProcessError when it is no child.
    """
    found, status, usage = os.wait4(pid, os.WNOHANG)
    if found == 0:
        return None
    return status, usage.ru_utime, usage.ru_stime, usage.ru_maxrss


def _ended() -> int | None:
    try:
        found = os.waitid(os.P_ALL, 0, _ANY)
    except ChildProcessError:
        return None
    return None if found is None else found.si_pid


def reap(pid: int) -> None:
    """Reap a child if it has ended; of no effect if it is none."""
    try:
        if pid:  # 0 stands for any child
            os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        pass  # gone meanwhile


def _children() -> list[int]:
    pid = os.getpid()
    try:
        with open(f"/proc/self/task/{pid}/children", "rb", buffering=0) as file:  # noqa: PTH123
            return [int(child) for child in file.read().split()]
    except OSError:
        return []  # no descriptor now: the next one that ends has us look again
