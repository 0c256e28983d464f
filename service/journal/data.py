"""The bytes of one stream in a file of its own.

The place of a byte there is its offset in the stream, and the size of the file is how many bytes
were ever taken, also when the writer was killed: bytes go from the pipe into the file by
splice(2), in one step that no signal divides.
"""

from __future__ import annotations

import os
import select
from pathlib import Path

from service.journal.hole import punch

EXCESS_BYTES = 64 << 20  # so much that is dropped may lie there where it can't be given back
_PAGE = 4096


class Data:
    """An open file of bytes."""

    __slots__ = ("_dropped", "_fd", "_refusal", "size")

    def __init__(self, fd: int, size: int) -> None:
        """`create` and `open` are the ways to make one, which owns its descriptor."""
        self._fd = fd
        self.size = size
        self._dropped = 0  # up to here nothing between head and tail is left
        self._refusal: OSError | None = None

    @classmethod
    def create(cls, path: Path) -> Data:
        """Make a file in a directory that is there; raises OSError."""
        flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        return cls(os.open(path, flags, 0o600), 0)

    @classmethod
    def open(cls, path: Path, flags: int = os.O_RDONLY) -> Data:
        """Open a file; FileNotFoundError when there is none."""
        fd = os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC)
        return cls(fd, os.fstat(fd).st_size)

    def close(self) -> None:
        """Close the descriptor."""
        os.close(self._fd)

    @property
    def changed_at(self) -> int:
        """When bytes were added last, as Unix time in microseconds."""
        return os.fstat(self._fd).st_mtime_ns // 1000

    def append(self, data: bytes) -> None:
        """Add bytes; OSError when the disk is full: `size` says how many are there."""
        self._check()
        rest = memoryview(data)
        while rest:  # at a full disk a part is written, and the next call says so
            count = os.pwrite(self._fd, rest, self.size)
            self.size += count
            rest = rest[count:]

    def splice(self, fd: int, size: int) -> int:
        """Add what is in a pipe, up to `size` bytes; returns how many, 0 at the pipe's end.

        Raises BlockingIOError when it is empty, and OSError when the disk is full: then all that
        was not added is still in the pipe.
        """
        self._check()
        flags = os.SPLICE_F_NONBLOCK | os.SPLICE_F_MOVE
        count = os.splice(fd, self._fd, size, offset_dst=self.size, flags=flags)
        self.size += count
        return count

    def read(self, offset: int, size: int) -> bytes:
        """Return bytes; zeros for what was dropped, or what a power failure took."""
        return os.pread(self._fd, size, offset).ljust(size, b"\0")

    def cut(self, size: int) -> None:
        """Forget what lies beyond a size."""
        self.size = size
        os.ftruncate(self._fd, size)

    def drop(self, start: int, end: int, step: int) -> None:
        """Give back the room of the bytes from `start` to `end`, once there are `step` more."""
        start = max(self._dropped, -(-start // _PAGE) * _PAGE)
        end = end // _PAGE * _PAGE
        if end - start < step:
            return
        try:
            punch(self._fd, start, end - start)
        except OSError as exc:
            # tried again at the next step; but a disk is not to be filled with what nobody keeps
            self._refusal = exc if end - start > EXCESS_BYTES else None
        else:
            self._dropped, self._refusal = end, None

    def _check(self) -> None:
        if self._refusal is not None:
            raise self._refusal


def is_at_end(fd: int) -> bool:
    """Whether nothing will ever come out of a pipe; BlockingIOError when nothing is there yet.

    Takes nothing out of it.
    """
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    events = dict(poll.poll(0)).get(fd, 0)
    if not events:
        raise BlockingIOError
    return not events & select.POLLIN
