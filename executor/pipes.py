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
from collections.abc import Callable
from typing import Protocol

from executor.capture import Capture
from executor.errors import CALLERS
from executor.watch import READ, WRITE, Watch

BLOCK = 65536  # more costs an mmap and munmap a read (CPython issue 121313)
TURN = 1 << 20  # bytes a turn of the loop, so that one loud child does not starve the others
LOUD = 4096  # bytes at once, of a child that is likely to write more at once
PIPE_SIZE = 1 << 20  # the most a pipe holds: /proc/sys/fs/pipe-max-size, by default
GROWN_PIPE = 1 << 20  # a larger one no longer fits the cache of a core, and is slower again

OnOutput = Callable[[str, bytes], object]  # an awaitable pauses the stream


class Listener(Protocol):
    """Takes the chunks of one stream while they come, for chunks() and lines()."""

    def feed(self, chunk: bytes) -> None: ...

    def finish(self) -> None: ...


class Owner(Protocol):
    """What an end of a pipe needs of the run it belongs to."""

    def call(
        self, on_output: OnOutput, name: str, chunk: bytes
    ) -> asyncio.Future[object] | None: ...

    def fail(self, error: BaseException) -> None: ...

    def closed(self, end: Source | Sink) -> None: ...


class Source:
    """Our end of stdout or stderr: reads it as it fills, until its end or its last call.

    Reading rests while ``on_output`` is busy with the last chunk, or the listener is full: the
    child then finds a full pipe. Once the child has ended, a full listener no longer counts: what
    a pipe can still hold is bounded.
    """

    __slots__ = (
        "_full",
        "_grown",
        "_last",
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
        # weak: a reader that is dropped must let the stream flow on
        self.listener: weakref.ref[Listener] | None = None
        self._owner = owner
        self._watch = watch
        self._watched = False
        self._full = False
        self._task: asyncio.Future[object] | None = None
        self._last: int | None = None  # bytes that may still be read, once the last call is out
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
            if size < LOUD or self._task is not None or self._full:
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
            self.close()
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

    def last_call(self) -> None:
        """Take what is in the pipe now, as soon as ``on_output`` is free, and close."""
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
                self.close()
        self._rest()

    def dismiss(self) -> None:
        """The run was stopped, and ``on_output`` has had its time: it gets no more, and is
        cancelled if it is still busy.
        """
        self.on_output = None
        task, self._task = self._task, None
        if task is not None:
            task.remove_done_callback(self._handed_out)
            task.cancel()

    def _take(self, chunk: bytes) -> None:
        self.capture.add(chunk)
        if self.listener is not None and (listener := self.listener()) is not None:
            listener.feed(chunk)
        if self.on_output is not None:
            self._hand_out(self.on_output, chunk)

    def _hand_out(self, on_output: OnOutput, chunk: bytes) -> None:
        try:
            self._task = self._owner.call(on_output, self.name, chunk)
        except CALLERS as error:  # the run's failure
            self.on_output = None
            self._owner.fail(error)
            return
        if self._task is not None:
            self._task.add_done_callback(self._handed_out)
            self._rest()

    def _handed_out(self, task: asyncio.Future[object]) -> None:
        self._task = None
        error = asyncio.CancelledError() if task.cancelled() else task.exception()
        if error is not None:
            self.on_output = None
            self._owner.fail(error)
        if self.fd == -1:
            self._owner.closed(self)
        elif self._last is not None:
            self.last_call()
        else:
            self._go_on()

    def set_full(self, full: bool) -> None:
        """Said by the listener."""
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

    def part(self) -> None:
        """The run has ended: no cycle may keep its output until a garbage collection."""
        del self._owner
        self.on_output = None

    def close(self) -> None:
        self.discard()
        if self.listener is not None and (listener := self.listener()) is not None:
            listener.finish()
        self._owner.closed(self)

    def discard(self) -> None:
        """Close the descriptor and tell nobody."""
        if self.fd != -1:
            self._rest()
            fd, self.fd = self.fd, -1
            os.close(fd)


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
        self._owner = owner
        self._watch = watch
        self._watched = False
        self.ends = False
        self._pending: deque[memoryview] = deque()
        self._waiters: deque[asyncio.Future[None]] = deque()

    def put(self, data: bytes | bytearray | memoryview) -> None:
        """Hand ``data`` on as fast as the child takes it."""
        if len(data):
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
                self.close()
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
        self._wake()
        if self.ends:
            self.close()

    def _wake(self) -> None:
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)

    async def write(self, data: bytes | bytearray | memoryview) -> None:
        """Return when all that was put is handed on; ``BrokenPipeError`` if nobody reads it."""
        if self.fd != -1:
            try:
                self.put(data)
            except OSError as error:  # no room to watch it: the rest can't be handed on
                self._owner.fail(error)
                self.give_up()
                raise
        if self._pending:
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            await waiter
        if self.fd == -1 and not (self.ends and not self.broken):
            raise BrokenPipeError(errno.EPIPE, "the child reads no input any more")

    def end(self) -> None:
        """Close as soon as all is handed on."""
        self.ends = True
        if not self._pending and self.fd != -1:
            self.close()

    def end_with_child(self) -> None:
        """The child has exited: what was written is handed on, nothing more is taken."""
        if not self.ends:
            self.broken = True
        self.end()

    def part(self) -> None:
        """The run has ended: as ``Source.part()``."""
        del self._owner

    def give_up(self) -> None:
        """Draining is over: what has not been taken never will be."""
        if self.fd != -1:
            self.incomplete = True
            self.close()

    def close(self) -> None:
        self.discard()
        self._pending.clear()
        self._wake()
        self._owner.closed(self)

    def discard(self) -> None:
        """Close the descriptor and tell nobody."""
        if self.fd != -1:
            if self._watched:
                self._watch.remove(self.fd)
            fd, self.fd = self.fd, -1
            os.close(fd)
