"""What a child gets on its stdin, and who hands it on."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterable, Callable
from typing import Any

from executor.calls import error_of
from executor.pipes import NOBODY, Owner, Sink

Encode = Callable[[str, bool], bytes]  # the text, and whether it is the last


class Input:
    """Owns our end of stdin, and the task that reads the caller's source: the run has not ended
    before that task has, whose cleanup is part of it.
    """

    __slots__ = ("_encode", "_had_text", "_is_cancelled", "_owner", "_pump", "_sink")

    def __init__(self, owner: Owner, sink: Sink, encode: Encode) -> None:
        self._owner = owner
        self._sink = sink
        self._encode = encode
        self._pump: asyncio.Task[None] | None = None
        self._is_cancelled = False
        self._had_text = False

    def begin(self, given: Any, loop: asyncio.AbstractEventLoop) -> None:
        """``given``: all of it as bytes, a source, or ``None`` where the caller writes."""
        if isinstance(given, bytes):
            self._sink.put(given)
            self._sink.end()
        elif given is not None:
            # not eager: nothing of the caller's runs inside start()
            self._pump = asyncio.Task(self._hand_on(given), loop=loop)
            self._pump.add_done_callback(self._pumped)

    async def _hand_on(self, source: AsyncIterable[bytes | str]) -> None:
        iterator = aiter(source)
        try:
            async for chunk in iterator:
                await self._sink.write(self._bytes(chunk))
            self._put_last()
        except BrokenPipeError:
            if not self._sink.broken:  # the source's own
                raise
        finally:
            close = getattr(iterator, "aclose", None)
            if close is not None:
                await close()

    def _bytes(self, chunk: bytes | str) -> bytes:
        if not isinstance(chunk, str):
            return chunk
        self._had_text = True
        return self._encode(chunk, False)

    def _put_last(self) -> None:
        if self._had_text:  # a stateful encoding may have a last word (ISO 2022)
            self._sink.put(self._encode("", True))

    def _pumped(self, pump: asyncio.Task[None]) -> None:
        self._pump = None
        # cancelled by another: what the child got is not all of its input
        error = error_of(pump, cancelled_by_us=self._is_cancelled)
        if error is not None:
            self._owner.fail(error)
        self._sink.end()
        self._owner.look()

    async def write(self, data: bytes | str) -> None:
        if self._sink.ends and not self._sink.broken:
            raise ValueError("stdin is closed")
        await self._sink.write(self._bytes(data))

    def end(self) -> None:
        """Close as soon as all is handed on."""
        if not self._sink.ends:
            self._put_last()
        self._sink.end()

    @property
    def has_source(self) -> bool:
        """An iterator of the caller's is being read."""
        return self._pump is not None

    def state(self) -> tuple[bytes, bool, bool]:
        """As ``Sink.state()``."""
        return self._sink.state()

    def resume(self, data: bytes, ends: bool) -> None:
        """Go on with what another has left; ``OSError`` when there is no room to watch it."""
        self._sink.resume(data, ends)

    def release(self) -> None:
        """What is not handed on yet is another's to hand on."""
        self._sink.release()
        self._owner = NOBODY

    def end_with_child(self) -> None:
        """The child has exited: what was written is handed on, nothing more is taken."""
        if self._pump is not None:
            self._is_cancelled = True
            self._pump.cancel()
        self._sink.end_with_child()

    def cut(self) -> None:
        """Draining is over: what has not been taken never will be."""
        self._sink.cut()

    @property
    def fd(self) -> int:
        return self._sink.fd

    @property
    def is_open(self) -> bool:
        return self._sink.fd != -1 or self._pump is not None

    @property
    def incomplete(self) -> bool:
        return self._sink.incomplete

    def close(self) -> None:
        """Close the descriptor and tell nobody."""
        self._sink.close()
        self._owner = NOBODY
        if self._pump is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed
                self._pump.cancel()
