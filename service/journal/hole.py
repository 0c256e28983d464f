"""Giving back the room of a part of a file, which then reads as zeros; see fallocate(2)."""

from __future__ import annotations

import ctypes
import errno
import functools
import os
from collections.abc import Callable

_KEEP_SIZE, _PUNCH_HOLE = 1, 2


def punch(fd: int, offset: int, size: int) -> None:
    """Give back whole pages; OSError, EOPNOTSUPP where the file system has no holes."""
    while _fallocate()(fd, _KEEP_SIZE | _PUNCH_HOLE, offset, size):
        number = ctypes.get_errno()
        if number != errno.EINTR:
            raise OSError(number, os.strerror(number))


@functools.cache
def _fallocate() -> Callable[[int, int, int, int], int]:
    libc = ctypes.CDLL(None, use_errno=True)
    # musl has the first only, and its offsets are always of 64 bits
    found = getattr(libc, "fallocate64", None) or libc.fallocate
    found.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]
    return found
