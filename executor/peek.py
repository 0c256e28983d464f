"""How a child of ours has ended, told without reaping it.

``os.waitid()`` leaves out what the kernel charged to it; the system call itself tells that too.
"""

from __future__ import annotations

import functools
import os
import platform
import struct
import sys
from collections.abc import Callable
from typing import Any

from executor.result import Ending, Usage

PEEK = os.WEXITED | os.WNOHANG | os.WNOWAIT

# waitid(2), where long has 64 bits
_NUMBERS = {"x86_64": 247, "aarch64": 95, "riscv64": 95}
_CHILD = struct.Struct("=16xiIi")  # siginfo_t: si_pid, si_uid, si_status
_CODE = struct.Struct("=8xi")
_USED = struct.Struct("=qqqqq")  # struct rusage: two times, each seconds and microseconds; max RSS


def peek(pid: int) -> Ending | None:
    """``None`` while it runs, and when it is no child of ours."""
    call = _waitid()
    if call is None:
        return _without_usage(pid)
    info, used = bytearray(128), bytearray(144)
    if not call(pid, info, used):
        return _without_usage(pid)
    found, _, status = _CHILD.unpack_from(info)
    if found == 0:
        return None
    (code,) = _CODE.unpack_from(info)
    user, user_us, system, system_us, rss = _USED.unpack_from(used)
    usage = Usage(user + user_us * 1e-6, system + system_us * 1e-6, rss * 1024)  # as os.wait4()
    return _ending(code, status, usage)


def _without_usage(pid: int) -> Ending | None:
    try:
        info = os.waitid(os.P_PID, pid, PEEK)
    except ChildProcessError:
        return None
    return None if info is None else _ending(info.si_code, info.si_status, None)


def _ending(code: int, status: int, usage: Usage | None) -> Ending:
    if code == os.CLD_EXITED:
        return Ending(status, False, usage)
    return Ending(-status, code == os.CLD_DUMPED, usage)


@functools.cache
def _waitid() -> Callable[[int, bytearray, bytearray], bool] | None:
    """The system call, where we know its number: whether it worked."""
    number = _NUMBERS.get(platform.machine())
    if sys.platform != "linux" or number is None or struct.calcsize("P") != 8:
        return None
    import ctypes  # only here: few need it

    syscall: Any = ctypes.CDLL(None).syscall
    syscall.restype = ctypes.c_long
    info_type, used_type = ctypes.c_char * 128, ctypes.c_char * 144
    long = ctypes.c_long

    def call(pid: int, info: bytearray, used: bytearray) -> bool:
        told, spent = info_type.from_buffer(info), used_type.from_buffer(used)
        words = (long(number), long(os.P_PID), long(pid), told, long(PEEK), spent)
        return bool(syscall(*words) == 0)

    return call
