"""The stdin of a running job: what is sent while it runs, or all that it is given.

What is sent goes through a file in memory, from which splice(2) moves it into the pipe. The place
up to which that was done is the file's own, moved in the same step of the kernel, and shared with
whoever holds the descriptor too: so a process that takes over goes on exactly there.
"""

from __future__ import annotations

import asyncio
import ctypes
import fcntl
import os
import struct
import termios
from collections.abc import Callable

from service.errors import Conflict, NoRoom, StdinGap

# What is there at once needs nobody to hand it on: less than any pipe holds.
PIPE_BYTES = 65_536
MOVE_BYTES = 1 << 20
PAGE = 4096
_PUNCH = 0x02 | 0x01  # FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE


def given(content: bytes) -> int:
    """Return a descriptor from which a command reads this; OSError without room for it."""
    if len(content) < PIPE_BYTES:
        read, write = os.pipe2(os.O_CLOEXEC)
        try:
            os.write(write, content)
        finally:
            os.close(write)
        return read
    file = os.memfd_create("stdin", os.MFD_CLOEXEC)
    try:
        _append(file, content)
        return os.open(f"/proc/self/fd/{file}", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        os.close(file)


class OpenStdin:
    """Our end of an open stdin; all of it on the loop's thread."""

    def __init__(self, pipe: int, file: int, on_close: Callable[[], None]) -> None:
        """Own the pipe's end, if it is open, and the file; `create` makes them.

        `on_close` is called right before the pipe is closed: others may hold it open too.
        """
        self._pipe = pipe
        self._file = file
        self._on_close = on_close
        self._is_watched = self._is_ending = self._is_broken = False
        self._turn = asyncio.Lock()  # so that never more than one piece waits in the file
        self._waiter: asyncio.Future[None] | None = None
        self._punched = 0

    @classmethod
    def create(cls, on_close: Callable[[], None]) -> tuple[int, OpenStdin]:
        """Return the end that the command reads, which is the caller's to close, and ours."""
        file = os.memfd_create("stdin", os.MFD_CLOEXEC)
        try:
            read, write = os.pipe2(os.O_CLOEXEC)
        except OSError:
            os.close(file)
            raise
        os.set_blocking(write, False)
        return read, cls(write, file, on_close)

    def go_on(self, *, is_ending: bool) -> None:
        """Go on where another process was; with `is_ending` no more comes."""
        self._is_ending = is_ending
        self._move()

    @property
    def descriptors(self) -> dict[str, int]:
        """The pipe, while it is open, and the file, by name."""
        found = {"stdin": self._pipe, "input": self._file}
        return {name: fd for name, fd in found.items() if fd != -1}

    @property
    def is_open(self) -> bool:
        """Whether the command may still get something."""
        return self._pipe != -1

    @property
    def is_ending(self) -> bool:
        """Whether it was asked to end, after all that was sent."""
        return self._is_ending

    @property
    def bytes(self) -> int:
        """How many bytes were sent so far."""
        return os.fstat(self._file).st_size if self._file != -1 else 0

    def check(self, offset: int | None) -> None:
        """Raise StdinGap when bytes before `offset` are missing."""
        if offset is not None and offset > self.bytes:
            raise StdinGap(self.bytes)

    async def write(self, data: Content, offset: int | None) -> None:
        """Send bytes, and return when the command's pipe has them; Conflict when it never will.

        `offset` says how many come before these: those that were sent already are left out. What
        is sent goes out in this order, whoever waits for it.
        """
        async with self._turn:
            await self._all_moved()  # what somebody has sent who went away
            self.check(offset)
            if offset is not None:
                data = data[self.bytes - offset :]
            if not data:
                return
            if self._is_ending or not self.is_open:
                raise _conflict()
            _append(self._file, data)
            self._move()
            await self._all_moved()
            if self._is_broken:
                raise _conflict()

    def end(self) -> None:
        """Let the command read the end, after all that was sent."""
        self._is_ending = True
        self._move()

    def close(self) -> None:
        """Let go of it as it is; who waits is told that nobody reads it."""
        self._is_broken |= self.is_open and self._moved < self.bytes
        self._close_pipe()
        if self._file != -1:
            os.close(self._file)
            self._file = -1

    def let_go(self) -> dict[str, int]:
        """Leave the descriptors to the caller, by name; who waits learns that it is not known
        whether the command got it.
        """
        found = self.descriptors
        self._rest()
        self._is_broken = True
        self._pipe = self._file = -1
        self._wake()
        return found

    @property
    def _moved(self) -> int:
        return os.lseek(self._file, 0, os.SEEK_CUR)

    async def _all_moved(self) -> None:
        if self.is_open and self._moved < self.bytes:
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter

    def _move(self) -> None:
        try:
            while self.is_open and (rest := self.bytes - self._moved) > 0:
                os.splice(self._file, self._pipe, min(rest, MOVE_BYTES), flags=_FLAGS)
        except BlockingIOError:
            self._watch()
            self._punch()
        except BrokenPipeError:  # nobody reads it: a program need not take all its input
            self._is_broken = True
            self._close_pipe()
        else:
            self._rest()
            self._punch()
            self._wake()
            if self._is_ending:
                self._close_pipe()

    def _watch(self) -> None:
        if not self._is_watched:
            asyncio.get_running_loop().add_writer(self._pipe, self._move)
            self._is_watched = True

    def _rest(self) -> None:
        if self._is_watched:
            asyncio.get_running_loop().remove_writer(self._pipe)
            self._is_watched = False

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _punch(self) -> None:
        """Give back what the command has taken; what the pipe holds is still the file's pages."""
        if self._pipe == -1 or (moved := self._moved) - self._punched < MOVE_BYTES:
            return
        (unread,) = struct.unpack("i", fcntl.ioctl(self._pipe, termios.FIONREAD, b"\0" * 4))
        end = (moved - unread) // PAGE * PAGE
        if end > self._punched:
            _libc.fallocate(self._file, _PUNCH, _off(self._punched), _off(end - self._punched))
            self._punched = end

    def _close_pipe(self) -> None:
        if self._pipe != -1:
            self._rest()
            self._on_close()
            os.close(self._pipe)
            self._pipe = -1
            self._wake()


Content = bytes  # inside OpenStdin, `bytes` is a property

_FLAGS = os.SPLICE_F_NONBLOCK | os.SPLICE_F_MOVE
_libc = ctypes.CDLL(None, use_errno=True)
_off = ctypes.c_int64


def _append(file: int, data: bytes) -> None:
    place = start = os.fstat(file).st_size
    view = memoryview(data)
    try:
        while view:
            done = os.pwrite(file, view, place)
            place, view = place + done, view[done:]
    except OSError as exc:
        os.ftruncate(file, start)  # nothing of it was sent
        raise NoRoom(f"no memory for what is sent to the job: {exc.strerror}") from exc


def _conflict() -> Conflict:
    return Conflict("nobody reads the job's stdin any more")
