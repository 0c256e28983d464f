"""The three standard streams of a child, opened: its ends and ours."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from collections.abc import Sequence
from typing import Any, Protocol

PIPE = subprocess.PIPE
STDOUT = subprocess.STDOUT
DEVNULL = subprocess.DEVNULL

INHERIT = -1


class Wanted(Protocol):
    """What was asked for, already checked."""

    @property
    def stdin(self) -> Any: ...
    @property
    def stdout(self) -> Any: ...
    @property
    def stderr(self) -> Any: ...
    @property
    def pipesize(self) -> int: ...
    @property
    def pass_fds(self) -> Sequence[int]: ...


class Stdio:
    """Owns each descriptor it opens, until ``take_...()`` hands one of ours over."""

    __slots__ = ("_pipesize", "_theirs", "stderr", "stdin", "stdout", "their_ends")

    def __init__(self, wanted: Wanted) -> None:
        self.stdin = self.stdout = self.stderr = -1  # our ends
        self._theirs: list[int] = []
        self._pipesize = wanted.pipesize
        _check_given(wanted)
        try:
            stdin = self._open_stdin(wanted.stdin)
            stdout = self._open_stdout(wanted)
            stderr = self._open_stderr(wanted, stdout)
        except BaseException:
            self.close()
            raise
        self.their_ends = (stdin, stdout, stderr)

    def _open_stdin(self, wanted: Any) -> int:
        if wanted != PIPE:
            return self._open(wanted, os.O_RDONLY)
        theirs, self.stdin = self._pipe()
        self._theirs.append(theirs)
        os.set_blocking(self.stdin, False)
        return theirs

    def _open_stdout(self, wanted: Wanted) -> int:
        if wanted.stdout != PIPE:
            return self._open(wanted.stdout, os.O_WRONLY)
        self.stdout, theirs = self._pipe()
        self._theirs.append(theirs)
        os.set_blocking(self.stdout, False)
        return theirs

    def _open_stderr(self, wanted: Wanted, stdout: int) -> int:
        if wanted.stderr == STDOUT:
            return stdout if stdout != INHERIT else 1
        if wanted.stderr != PIPE:
            if _is_path(wanted.stderr) and wanted.stderr == wanted.stdout:
                return stdout  # one open file, so that neither overwrites the other
            return self._open(wanted.stderr, os.O_WRONLY)
        self.stderr, theirs = self._pipe()
        self._theirs.append(theirs)
        os.set_blocking(self.stderr, False)
        return theirs

    def _open(self, wanted: Any, flags: int) -> int:
        if wanted is None:
            return INHERIT
        if wanted == DEVNULL:
            path: Any = os.devnull
        elif _is_path(wanted):
            path = wanted
            # a FIFO would make the loop wait for its other side, a terminal become ours
            flags |= os.O_NONBLOCK | os.O_NOCTTY
            flags |= os.O_CREAT | os.O_TRUNC if flags & os.O_WRONLY else 0
        else:
            return wanted if isinstance(wanted, int) else wanted.fileno()
        fd = os.open(path, flags | os.O_CLOEXEC, 0o666)
        self._theirs.append(fd)
        if flags & os.O_NONBLOCK:
            os.set_blocking(fd, True)
        return fd

    def _pipe(self) -> tuple[int, int]:
        ends = os.pipe()
        if self._pipesize > 0 and sys.platform == "linux":
            try:
                fcntl.fcntl(ends[0], fcntl.F_SETPIPE_SZ, self._pipesize)
            except BaseException:
                os.close(ends[0])
                os.close(ends[1])
                raise
        return ends

    def take_stdin(self) -> int:
        fd, self.stdin = self.stdin, -1
        return fd

    def take_stdout(self) -> int:
        fd, self.stdout = self.stdout, -1
        return fd

    def take_stderr(self) -> int:
        fd, self.stderr = self.stderr, -1
        return fd

    def close_theirs(self) -> None:
        while self._theirs:
            os.close(self._theirs.pop())

    def close(self) -> None:
        """All that is still ours to close."""
        self.close_theirs()
        for fd in (self.stdin, self.stdout, self.stderr):
            if fd != -1:
                os.close(fd)
        self.stdin = self.stdout = self.stderr = -1


def _check_given(wanted: Wanted) -> None:
    """``OSError`` for a closed descriptor, before one that we open gets its number."""
    for stream in (wanted.stdin, wanted.stdout, wanted.stderr):
        if stream is None or _is_path(stream) or (isinstance(stream, int) and stream < 0):
            continue
        os.fstat(stream if isinstance(stream, int) else stream.fileno())
    for fd in wanted.pass_fds:
        os.fstat(fd)


def _is_path(wanted: Any) -> bool:
    return isinstance(wanted, (str, bytes, os.PathLike))


def check_stream(name: str, wanted: Any) -> Any:
    """``wanted`` when it can be a standard stream, else ``TypeError`` or ``ValueError``."""
    if wanted is None or _is_path(wanted):
        return wanted
    if isinstance(wanted, bool):
        raise TypeError(f"{name} must be a descriptor, a file, a path or PIPE, not {wanted!r}")
    if isinstance(wanted, int):
        if wanted == STDOUT and name != "stderr":
            raise ValueError(f"{name}=STDOUT has no meaning: only stderr can go where stdout goes")
        if wanted < 0 and wanted not in (PIPE, DEVNULL, STDOUT):
            raise ValueError(f"{name} is no descriptor: {wanted}")
        return wanted
    if callable(getattr(wanted, "fileno", None)):
        wanted.fileno()  # io.UnsupportedOperation is a ValueError: a BytesIO has no descriptor
        return wanted
    raise TypeError(f"{name} must be a descriptor, a file, a path or PIPE, not {wanted!r}")
