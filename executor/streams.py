"""Reading a stream while the child runs: chunks as they come, or lines."""

from __future__ import annotations

import asyncio
import codecs
from collections import deque
from collections.abc import AsyncIterator
from typing import Any, AnyStr, Generic, cast

from executor.pipes import Source

FULL = 256 * 1024  # bytes waiting for a slow reader, above which the child has to wait
LOW = 64 * 1024
LONG_LINE = 1024 * 1024


class Chunks(Generic[AnyStr]):
    """``async for`` over a stream's output as it was read. One reader a stream.

    A slow reader slows the child: at most ``FULL`` bytes and one pipe's fill wait for it. A reader
    that nobody holds any more, or that is closed (``aclose()``), lets the stream flow on without
    it. It keeps its Subprocess alive.
    """

    def __init__(
        self,
        run: object,
        source: Source,
        loop: asyncio.AbstractEventLoop,
        encoding: str | None,
        errors: str,
    ) -> None:
        self._run: object | None = run  # kept alive: else it would be killed as nobody's
        self._source: Source | None = source
        self._number = -1
        self._loop = loop
        self._decoder = codecs.getincrementaldecoder(encoding)(errors) if encoding else None
        self._waiting: deque[bytes] = deque()
        self._size = 0
        self._full = False
        self._finished = False
        self._error: Exception | None = None
        self._waiter: asyncio.Future[None] | None = None

    def begin(self) -> None:
        """Start with what has been read so far."""
        source = self._source
        if source is None:
            return
        if source.fd != -1:
            self._number = source.attach(self)
        earlier = source.capture.value()
        if earlier:
            self.feed(earlier)
        if source.fd == -1:
            self.finish()

    def feed(self, chunk: bytes) -> None:
        self._waiting.append(chunk)
        self._size += len(chunk)
        if self._waiter is not None:
            self._wake()
        if self._size >= FULL and not self._full:
            self._set_full(True)

    def finish(self) -> None:
        self._finished = True
        self._wake()

    def abort(self, error: Exception) -> None:
        """What was read is given first, then the error in place of the end."""
        self._error = error
        self.finish()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def __aiter__(self) -> AsyncIterator[AnyStr]:
        return self

    async def __anext__(self) -> AnyStr:
        """Cancelling it loses nothing: the next call gives the chunk."""
        while True:
            while not self._waiting:
                if self._finished:
                    return self._last()
                await self._wait()
            # in line: a loud child makes this the busiest place of the process
            chunk = self._waiting.popleft()
            self._size -= len(chunk)
            if self._full and self._size <= LOW:
                self._set_full(False)
            decoded: Any = chunk if self._decoder is None else self._decoder.decode(chunk)
            if decoded:
                return cast(AnyStr, decoded)

    async def _wait(self) -> None:
        if self._waiter is not None:
            raise RuntimeError("a stream has one reader at a time")
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _set_full(self, full: bool) -> None:
        if self._source is not None:
            self._full = full
            self._source.set_full(self._number, full)

    def _last(self) -> AnyStr:
        """What an unfinished character at the end gives; then the end."""
        if self._error is not None:
            raise self._error
        decoder, self._decoder = self._decoder, None
        rest: Any = b"" if decoder is None else decoder.decode(b"", True)
        if not rest:
            raise StopAsyncIteration
        return cast(AnyStr, rest)

    async def aclose(self) -> None:
        self._leave()

    def _leave(self) -> None:
        source, self._source = self._source, None
        self._finished = True
        self._waiting.clear()
        self._wake()
        if source is not None:
            source.detach(self._number)
        self._run = None

    def __del__(self) -> None:
        source = getattr(self, "_source", None)  # None also when the constructor has failed
        if source is None or source.fd == -1:
            return
        try:
            # this may be any thread: only the loop's own touches its epoll
            self._loop.call_soon_threadsafe(source.detach, self._number)
        except RuntimeError:  # the loop is closed, and with it the child's end has come
            return


class Lines(Generic[AnyStr]):
    r"""``async for`` over the lines of a stream, each with its ``\n``; the last one may lack it.

    Only ``\n`` ends a line. A line longer than ``limit`` comes in pieces, of which only the last
    ends with ``\n``, so that memory stays bounded.
    """

    def __init__(self, chunks: Chunks[AnyStr], limit: int) -> None:
        self._chunks: Chunks[AnyStr] = chunks
        self._limit = limit
        self._ready: deque[AnyStr] = deque()
        self._parts: list[AnyStr] = []
        self._size = 0

    def __aiter__(self) -> AsyncIterator[AnyStr]:
        return self

    async def __anext__(self) -> AnyStr:
        """Cancelling it loses nothing: the next call gives the line."""
        while not self._ready:
            try:
                chunk = await self._chunks.__anext__()
            except StopAsyncIteration:
                if not self._parts:
                    raise
                self._flush()
            else:
                self._split(chunk)
        return self._ready.popleft()

    def _split(self, chunk: AnyStr) -> None:
        newline: Any = b"\n" if isinstance(chunk, bytes) else "\n"
        parts: list[Any] = chunk.split(newline)
        first, *others = parts
        if not others:
            self._keep(chunk)
            return
        self._keep(first + newline)
        self._flush()
        self._ready.extend(line + newline for line in others[:-1])
        if others[-1]:
            self._keep(others[-1])

    def _keep(self, part: AnyStr) -> None:
        self._parts.append(part)
        self._size += len(part)
        if self._size >= self._limit:
            self._flush()

    def _flush(self) -> None:
        if self._parts:
            self._ready.append(self._parts[0][:0].join(self._parts))
            self._parts.clear()
            self._size = 0

    async def aclose(self) -> None:
        self._ready.clear()
        self._parts.clear()
        await self._chunks.aclose()
