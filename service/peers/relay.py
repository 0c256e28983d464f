"""Passes a request on to the process that owns the job, over that process's unix socket.

What needs the command itself (a signal, output that is being read) is its owner's to answer, and
any process may be asked. Bytes are passed as they come, no faster than the client takes them.
"""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from typing import Any

from tornado.httputil import HTTPServerRequest
from tornado.iostream import IOStream, StreamClosedError
from tornado.web import RequestHandler

from service.errors import OwnerGone
from service.state import StateDir

# Marks a request that was passed on: it is answered by whoever gets it, never passed on again.
HEADER = "X-Squall-Relayed"
_OWN_HEADERS = frozenset(
    {"connection", "content-length", "transfer-encoding", "expect", HEADER.lower()}
)
_CHUNK = 65_536
# An owner that lives answers in so long, or so much later than it was asked to wait; one that was
# stopped (SIGSTOP) takes connections all the same, and never does.
ANSWER_S = 10.0
_CHUNKED = re.compile(rb"\r\nTransfer-Encoding: chunked\r\n", re.IGNORECASE)


class Relay:
    """The way to the other processes."""

    def __init__(self, state: StateDir, token: str) -> None:
        """The sockets are below `state`; who answers at one wants the token too."""
        self._state = state
        self._token = token

    async def pass_on(
        self, handler: RequestHandler, owner: str, body: bytes = b"", *, held_s: float = 0.0
    ) -> None:
        """Let the owner answer this request, which it may hold for `held_s`; OwnerGone when it
        can't be reached, or does not answer.
        """
        stream = await self._connect(owner)
        with _closed_on_failure(stream, owner):
            async with asyncio.timeout(held_s + ANSWER_S):
                await stream.write(_head(handler.request, len(body)) + body)
                first = await stream.read_bytes(_CHUNK, partial=True)
        await _copy(first, stream, handler.detach())

    async def upload(self, request: HTTPServerRequest, owner: str) -> Upload:
        """Begin to pass a request on whose body is still to come; OwnerGone."""
        stream = await self._connect(owner)
        with _closed_on_failure(stream, owner):
            async with asyncio.timeout(ANSWER_S):
                await stream.write(_head(request, None))
        return Upload(stream)

    async def lines(self, owner: str, path: str) -> AsyncGenerator[bytes, None]:
        """Yield the lines of an answer to GET as they come, until its end.

        OwnerGone when there is no such answer, or when it breaks off before its end.
        """
        stream = await self._connect(owner)
        head = (
            f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{HEADER}: 1\r\nConnection: close\r\n"
            f"Authorization: Bearer {self._token}\r\n\r\n"
        )
        begun: list[bytes] = []
        try:
            await stream.write(head.encode())
            answer = await stream.read_until(b"\r\n\r\n", max_bytes=_CHUNK)
            if b" 200 " not in answer.partition(b"\r\n")[0] or not _CHUNKED.search(answer):
                raise OwnerGone(f"process {owner} no longer has the job")
            async for chunk in _chunks(stream):
                *ends, rest = chunk.split(b"\n")
                for end in ends:
                    begun.append(end)
                    yield b"".join(begun)
                    begun.clear()
                if rest:
                    begun.append(rest)
        except StreamClosedError as exc:
            raise OwnerGone(f"process {owner} went away") from exc
        finally:
            stream.close()

    async def _connect(self, owner: str) -> IOStream:
        if not owner.isdecimal():
            raise OwnerGone(f"{owner} is no process of this machine")
        try:
            stream = IOStream(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
        except OSError as exc:
            raise OwnerGone(f"process {owner} cannot be reached now: {exc.strerror}") from exc
        try:
            await stream.connect(str(self._state.socket(int(owner))))
        except (OSError, StreamClosedError) as exc:
            stream.close()
            raise OwnerGone(f"process {owner} cannot be reached") from exc
        return stream


@contextmanager
def _closed_on_failure(stream: IOStream, owner: str) -> Iterator[None]:
    """Close the connection unless all goes well; OwnerGone where it is the owner that failed."""
    try:
        yield
    except BaseException as exc:
        stream.close()
        if isinstance(exc, StreamClosedError):
            raise OwnerGone(f"process {owner} went away") from exc
        if isinstance(exc, TimeoutError):
            raise OwnerGone(f"process {owner} does not answer") from exc
        raise


class Upload:
    """A request on its way to the owner, its body passed on piece by piece."""

    def __init__(self, stream: IOStream) -> None:
        """The head was sent on `stream`, which is this object's from now on."""
        self._stream = stream

    async def write(self, data: bytes) -> None:
        """Pass a piece on; returns when the owner has taken it."""
        try:
            await self._stream.write(b"%x\r\n%s\r\n" % (len(data), data))
        except StreamClosedError:
            pass  # the owner has refused, or died: its answer, or none, says so

    def break_off(self) -> None:
        """Let the owner see that the body has no end."""
        self._stream.close()

    async def answer(self, handler: RequestHandler) -> None:
        """End the body and let the owner answer; OwnerGone when it doesn't."""
        try:
            await self.write_end()
            first = await self._stream.read_bytes(_CHUNK, partial=True)
        except StreamClosedError as exc:
            raise OwnerGone("the process that ran the job went away") from exc
        await _copy(first, self._stream, handler.detach())

    async def write_end(self) -> None:
        """End the body."""
        await self._stream.write(b"0\r\n\r\n")


async def _chunks(stream: IOStream) -> AsyncGenerator[bytes, None]:
    """Yield the chunks of a body (RFC 9112, 7.1) up to the last one, which is its end."""
    while size := int(await stream.read_until(b"\r\n", max_bytes=20), 16):
        yield (await stream.read_bytes(size + 2))[:-2]


def is_relayed(request: HTTPServerRequest) -> bool:
    """Whether another process passed this request on; from outside the header means nothing."""
    came_from: Any = getattr(request.connection, "context", None)
    return HEADER in request.headers and came_from.address_family == socket.AF_UNIX


def _head(request: HTTPServerRequest, body_size: int | None) -> bytes:
    """Return the head to send; a body of unknown size is sent in chunks."""
    # an answer to HTTP/1.0 has no chunks: its client would not know them
    lines = [f"{request.method} {request.uri} {request.version}"]
    for name, value in request.headers.get_all():
        if name.lower() not in _OWN_HEADERS:
            lines.append(f"{name}: {value}")
    size = "Transfer-Encoding: chunked" if body_size is None else f"Content-Length: {body_size}"
    lines += [f"{HEADER}: 1", "Connection: close", size, "", ""]
    return "\r\n".join(lines).encode("latin-1")


async def _copy(first: bytes, source: IOStream, sink: IOStream) -> None:
    try:
        await sink.write(first)
        while True:
            await sink.write(await source.read_bytes(_CHUNK, partial=True))
    except StreamClosedError:
        pass  # the answer is whole, or the client went away
    finally:
        source.close()
        sink.close()
