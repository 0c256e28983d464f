"""Our ends of the child's pipes, non-blocking, on the watch of the loop.

O_NONBLOCK belongs to the open file, not to the descriptor: it is set on our ends only, and never on
what was handed to us from outside.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import weakref
from collections import deque
from collections.abc import Callable, Sized
from typing import TYPE_CHECKING, Any, Protocol

from executor.calls import CALLERS, Calls, error_of
from executor.capture import Capture
from executor.errors import Released
from executor.waiters import Waiters
from executor.watch import READ, WRITE, Watch

if TYPE_CHECKING:
    from executor.handover import OutputState

BLOCK = 65536  # more costs an mmap and munmap a read (CPython issue 121313)
TURN = 1 << 20  # bytes a turn of the loop, so that one loud child does not starve the others
LOUD = 4096  # bytes at once, of a child that is likely to write more at once
PIPE_SIZE = 1 << 20  # the most a pipe holds: /proc/sys/fs/pipe-max-size, by default
# 1 MiB no longer fits the cache of a core, and 64 of them are all that an ordinary user may have
GROWN_PIPE = 256 * 1024

OnOutput = Callable[[str, Any], object]  # an awaitable pauses the stream
Read = Callable[[str, int, int], Sized]  # in place of os.read(); 0 long at the end


class Listener(Protocol):
    """Takes the chunks of one stream while they come, for chunks() and lines()."""

    def feed(self, chunk: bytes) -> None: ...

    def finish(self) -> None: ...

    def abort(self, error: Exception) -> None:
        """Its end will never come here."""


class Owner(Protocol):
    """What an end of a pipe needs of the run it belongs to."""

    calls: Calls

    def fail(self, error: BaseException) -> None: ...

    def look(self) -> None:
        """Something of the run has ended: look whether all has."""


class Source:
    """Our end of stdout or stderr: reads it as it fills, until its end or ``end_soon()``.

    Reading rests while ``on_output`` is busy with the last chunk, or the listener is full: the
    child then finds a full pipe. Once the child has ended, a full listener no longer counts: what
    a pipe can still hold is bounded.
    """

    __slots__ = (
        "_full",
        "_grown",
        "_is_cancelled",
        "_last",
        "_listeners",
        "_owner",
        "_task",
        "_watch",
        "_watched",
        "capture",
        "fd",
        "listener",
        "name",
        "on_output",
    )

    def __init__(
        self,
        owner: Owner,
        watch: Watch,
        name: str,
        fd: int,
        capture: Capture,
        on_output: OnOutput | None,
    ) -> None:
        self.name = name
        self.fd = fd
        self.capture = capture
        self.on_output = on_output
        # weak: a reader that nobody holds must let the stream flow on
        self.listener: weakref.ref[Listener] | None = None
        self._listeners = 0
        self._owner: Owner = owner
        self._watch = watch
        self._watched = False
        self._full = False
        self._task: asyncio.Future[object] | None = None
        self._is_cancelled = False
        self._last: int | None = None  # bytes that may still be read, after end_soon()
        self._grown = False

    def begin(self) -> None:
        """``OSError`` when the kernel has no room to watch one descriptor more."""
        self._watch.add(self.fd, READ, self.read)
        self._watched = True

    def read(self) -> None:
        """Take what is there, and what comes meanwhile, up to a turn's share.

        A loud child is read in step with its writes: the pages of the pipe then stay in the cache
        of the core, and go back and forth without being allocated.
        """
        room = TURN
        while room > 0:
            size = self._read_block()
            if size < LOUD or self._task is not None or self._full or self.fd == -1:
                return
            room -= size
        if not self._grown:
            self._grow()

    def _read_block(self) -> int:
        """Bytes taken; 0 when the pipe is empty or at its end, which closes it."""
        try:
            chunk = os.read(self.fd, BLOCK)
        except BlockingIOError:
            return 0
        if chunk:
            self._take(chunk)
        else:
            self._last = None
            self._end()
        return len(chunk)

    def _grow(self) -> None:
        """A loud child: a larger pipe saves it and us most of the switches between the two."""
        self._grown = True
        try:
            fcntl.fcntl(self.fd, fcntl.F_SETPIPE_SZ, GROWN_PIPE)
        except OSError:  # over the user's share of pipe memory (pipe(7)): it stays as it is
            return

    def read_rest(self) -> None:
        """The child has ended: take what is left in the pipe, at most what a pipe can hold."""
        budget = PIPE_SIZE
        while self.fd != -1 and self._task is None and budget > 0:
            size = self._read_block()
            if not size:
                return
            budget -= size

    def end_soon(self) -> None:
        """Take what is in the pipe now, as soon as ``on_output`` is free, and end."""
        if self.fd == -1:
            return
        if self._last is None:
            self._last = PIPE_SIZE
        while self.fd != -1 and self._task is None:
            size = self._read_block() if self._last else 0
            if self.fd == -1:
                return
            self._last = max(0, self._last - size)
            if not size:
                self._end()
        self._rest()

    def cancel_output(self) -> None:
        """The run was stopped, and ``on_output`` has had its time: it gets no more, and is
        cancelled if it is still busy.
        """
        self.on_output = None
        if self._task is not None and not self._is_cancelled:
            self._is_cancelled = True
            self._task.cancel()

    def _take(self, chunk: bytes) -> None:
        self.capture.add(chunk)
        if self.listener is not None and (listener := self.listener()) is not None:
            listener.feed(chunk)
        if self.on_output is not None:
            self._hand_out(self.on_output, chunk)

    def _hand_out(self, on_output: OnOutput, chunk: Sized) -> None:
        try:
            self._task = self._owner.calls.on_output(on_output, self.name, chunk)
        except CALLERS as error:  # the run's failure
            self.on_output = None
            self._owner.fail(error)
            return
        if self._task is not None:
            self._task.add_done_callback(self._handed_out)
            self._rest()

    def _handed_out(self, task: asyncio.Future[object]) -> None:
        self._task = None
        error = error_of(task, cancelled_by_us=self._is_cancelled)
        if error is not None:
            self.on_output = None
            self._owner.fail(error)
        if self.fd == -1:
            self._owner.look()
        elif self._last is not None:
            self.end_soon()
        else:
            self._go_on()

    def attach(self, listener: Listener) -> int:
        """The next reader; its number. What one before it said of being full is forgotten."""
        self._listeners += 1
        self.listener = weakref.ref(listener)
        self._set_full(False)
        return self._listeners

    def detach(self, number: int) -> None:
        """That reader has gone; nothing when there is another one meanwhile."""
        if number == self._listeners:
            self.listener = None
            self._set_full(False)

    def set_full(self, number: int, full: bool) -> None:
        """Said by the listener of that number."""
        if number == self._listeners:
            self._set_full(full)

    def _set_full(self, full: bool) -> None:
        self._full = full
        if full:
            self._rest()
        elif self._last is None:
            self._go_on()

    def _rest(self) -> None:
        if self._watched:
            # out of the epoll altogether: it would tell of a hang-up again and again
            self._watched = False
            self._watch.remove(self.fd)

    def _go_on(self) -> None:
        if self.fd != -1 and not self._watched and self._task is None and not self._full:
            try:
                self.begin()
            except OSError as error:
                # nothing will tell of this pipe any more: what is in it at the exit is still read
                self._owner.fail(error)

    @property
    def is_open(self) -> bool:
        """Something may still come, or ``on_output`` is busy with what came."""
        return self.fd != -1 or self._task is not None

    @property
    def incomplete(self) -> bool:
        """Closed before its end."""
        return self._last is not None

    def _end(self) -> None:
        self._close_fd()
        if self.listener is not None and (listener := self.listener()) is not None:
            listener.finish()
        self._owner.look()

    def take_fd(self) -> int:
        """The descriptor, unwatched and the caller's."""
        self._rest()
        fd, self.fd = self.fd, -1
        return fd

    def release(self) -> None:
        """The descriptor is another's, a reader is told, ``on_output`` is cancelled."""
        self.take_fd()
        self.cancel_output()
        if self.listener is not None and (listener := self.listener()) is not None:
            listener.abort(Released("the run of this output was released"))
        self.close()

    def resume(self, state: OutputState) -> None:
        """Begin with what another has read."""
        self.capture.resume(state.total, state.head, state.tail)
        if state.incomplete and self.fd == -1:
            self._last = 0

    def close(self) -> None:
        """Close the descriptor and tell nobody; no cycle keeps the output from then on."""
        self._close_fd()
        self._owner = NOBODY
        self.on_output = None

    def _close_fd(self) -> None:
        if self.fd != -1:
            os.close(self.take_fd())


class ReadByCaller(Source):
    """Its bytes are taken out of the pipe by a function of the caller's; here they are counted.

    When that fails the stream is not read any more, and closed once the child has exited: what is
    in the pipe stays there until then.
    """

    __slots__ = ("_has_failed", "_read_it")

    def __init__(
        self,
        owner: Owner,
        watch: Watch,
        name: str,
        fd: int,
        capture: Capture,
        on_output: OnOutput | None,
        read: Read,
    ) -> None:
        super().__init__(owner, watch, name, fd, capture, on_output)
        self._read_it = read
        self._has_failed = False

    def _read_block(self) -> int:
        if self._has_failed:
            return 0
        try:
            chunk = self._owner.calls.read(self._read_it, self.name, self.fd, BLOCK)
            size = len(chunk)
        except BlockingIOError:
            return 0
        except CALLERS as error:
            self._has_failed = True
            self._rest()
            self._owner.fail(error)
            return 0
        self.capture.total += size
        if size and self.on_output is not None:
            self._hand_out(self.on_output, chunk)
        elif not size:
            self._last = None
            self._end()
        return size

    def read_rest(self) -> None:
        super().read_rest()
        if self._has_failed:
            self.end_soon()

    def _go_on(self) -> None:
        if not self._has_failed:
            super()._go_on()


class Nobody:
    """Owns what is left of a run that is over."""

    calls: Calls

    def fail(self, error: BaseException) -> None:
        """Nobody is told."""

    def look(self) -> None:
        """Nothing is left to see."""


NOBODY = Nobody()


class Sink:
    """Our end of stdin: hands on what was written, in order, as the child takes it."""

    __slots__ = (
        "_owner",
        "_pending",
        "_waiters",
        "_watch",
        "_watched",
        "broken",
        "ends",
        "fd",
        "incomplete",
    )

    def __init__(self, owner: Owner, watch: Watch, fd: int) -> None:
        self.fd = fd
        self.broken = False  # nobody reads it any more
        self.incomplete = False
        self._owner: Owner = owner
        self._watch = watch
        self._watched = False
        self.ends = False
        self._pending: deque[memoryview] = deque()
        self._waiters = Waiters()

    def put(self, data: bytes | bytearray | memoryview) -> None:
        """Hand ``data`` on as fast as the child takes it."""
        if len(data) and self.fd != -1:
            # a copy, unless it can't change: what waits here may outlive a cancelled write()
            kept = data if isinstance(data, bytes) else bytes(memoryview(data))
            self._pending.append(memoryview(kept))
            if not self._watched:
                self.flush()

    def flush(self) -> None:
        pending = self._pending
        while pending and self.fd != -1:
            try:
                count = os.write(self.fd, pending[0])
            except BlockingIOError:
                self._wait_writable()
                return
            except BrokenPipeError:
                # nobody reads: a program need not take all its input (Go issue 9173)
                self.broken = True
                self._end()
                return
            if count == len(pending[0]):
                pending.popleft()
            else:
                pending[0] = pending[0][count:]
        self._rest()

    def _wait_writable(self) -> None:
        if not self._watched:
            self._watch.add(self.fd, WRITE, self.flush)
            self._watched = True

    def _rest(self) -> None:
        """All is handed on."""
        if self._watched and self.fd != -1:
            self._watch.remove(self.fd)
        self._watched = False
        self._waiters.wake()
        if self.ends:
            self._end()

    def state(self) -> tuple[bytes, bool, bool]:
        """What is not in the pipe yet, whether nothing follows it, whether some was given up."""
        return b"".join(self._pending), self.ends, self.incomplete

    def resume(self, data: bytes, ends: bool) -> None:
        """Begin with what another has left; nothing of it is written when there is an ``OSError``
        for want of room to watch the pipe.
        """
        if data and self.fd != -1:
            self._wait_writable()
            self._pending.append(memoryview(data))
        if ends:
            self.end()

    async def write(self, data: bytes | bytearray | memoryview) -> None:
        """Return when all that was put is handed on; ``BrokenPipeError`` if nobody reads it."""
        if not self.broken:
            try:
                self.put(data)
            except OSError as error:  # no room to watch it: the rest can't be handed on
                self._owner.fail(error)
                self.cut()
                raise
        if self._pending:
            await self._waiters.wait(asyncio.get_running_loop())
        if self.fd == -1 and not (self.ends and not self.broken):
            raise BrokenPipeError(errno.EPIPE, "the child reads no input any more")

    def end(self) -> None:
        """Close as soon as all is handed on."""
        self.ends = True
        if not self._pending and self.fd != -1:
            self._end()

    def end_with_child(self) -> None:
        """The child has exited: what was written is handed on, nothing more is taken."""
        if not self.ends:
            self.broken = True
        self.end()

    def cut(self) -> None:
        """What has not been taken never will be."""
        if self.fd != -1:
            self.incomplete = True
            self._end()

    def _end(self) -> None:
        self._close_fd()
        self._pending.clear()
        self._waiters.wake()
        self._owner.look()

    def take_fd(self) -> int:
        """The descriptor, unwatched and the caller's."""
        if self._watched:
            self._watched = False
            self._watch.remove(self.fd)
        fd, self.fd = self.fd, -1
        return fd

    def release(self) -> None:
        """The descriptor is another's, and what waits here; who has written it is told."""
        self.take_fd()
        self._pending.clear()
        self._waiters.wake()
        self.close()

    def close(self) -> None:
        """As ``Source.close()``."""
        self._close_fd()
        self._owner = NOBODY

    def _close_fd(self) -> None:
        if self.fd != -1:
            os.close(self.take_fd())
