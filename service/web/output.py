"""A job's output: the raw bytes of a stream, and the journal of both."""

from __future__ import annotations

import asyncio
from base64 import b64decode
from collections.abc import AsyncIterator

import msgspec
from tornado.iostream import StreamClosedError

from service.jobs import Job
from service.journal import Reader
from service.web.follow import Line, follow, read
from service.web.handler import Handler, encode
from service.web.problems import wrong_field
from service.web.query import Parameters, byte_range
from service.web.recording import recording
from service.web.relay import is_relayed

CHUNK_BYTES = 256 * 1024
RECONNECT_MS = 500
SEQ_MAX = 2**53


class _Streaming(Handler):
    """An answer that goes on while the job does.

    It ends early when the client goes away, or when this process drains: the client then asks
    another one to go on where this one stopped.
    """

    _task: asyncio.Task[object] | None = None

    async def stream(self, media_type: str, parts: AsyncIterator[bytes]) -> None:
        """Send the parts as they come; nothing on their way may hold them back."""
        self.set_header("Content-Type", media_type)
        self.set_header("X-Accel-Buffering", "no")
        self._task = task = asyncio.current_task()
        streams = self.application.streams
        if not is_relayed(self.request):
            streams.add(self)
        try:
            await self.flush()
            async for part in parts:
                await self.send(part)
        except StreamClosedError:
            pass  # the client went away between two parts
        except asyncio.CancelledError:
            if task is None or not self._is_stopped:
                raise
            task.uncancel()
        finally:
            streams.discard(self)

    _is_stopped = False

    def stop(self) -> None:
        """End the answer where it is."""
        if self._task is not None:
            self._is_stopped = True
            self._task.cancel()

    def on_connection_close(self) -> None:
        """Stop following for a client that is gone."""
        self.stop()

    async def send(self, data: bytes) -> None:
        """Send a part; returns when the client has taken it, so memory doesn't follow the job."""
        self.write(data)
        await self.flush()


class StreamHandler(_Streaming):
    """`/v1/jobs/ID/stdout` and `/stderr`: the bytes of one stream that were kept."""

    async def get(self, id: str, stream: str) -> None:
        """Answer the bytes so far, or with `follow` go on until the job has ended."""
        should_follow = Parameters(self.request, ("follow",)).boolean("follow")
        job = await self.application.ledger.get(id)
        if should_follow:
            await self._follow(job, stream)
        elif not await self.relayed(job):
            await self._answer(await recording(self.application, job), stream)

    head = get

    async def _answer(self, journal: Reader, stream: str) -> None:
        size = journal.kept(stream)
        self.set_header("Content-Type", "application/octet-stream")
        self.set_header("Accept-Ranges", "bytes")
        part = byte_range(self.request, size)
        start, stop = part or (0, size)
        if part is not None:
            self.set_status(206)
            self.set_header("Content-Range", f"bytes {start}-{stop - 1}/{size}")
        self.set_header("Content-Length", stop - start)
        if self.request.method == "HEAD":
            return
        while start < stop:
            data = journal.read(stream, start, min(CHUNK_BYTES, stop - start))
            start += len(data)
            self.write(data)
            await self.flush()

    async def _follow(self, job: Job, stream: str) -> None:
        only_here = is_relayed(self.request)
        lines = follow(self.application, job, 0, only_here=only_here)
        await self.stream("application/octet-stream", _content(lines, stream))


class OutputHandler(_Streaming):
    """`/v1/jobs/ID/output`: the journal as NDJSON or as server-sent events."""

    async def get(self, id: str) -> None:
        """Answer the items after a seq; with `follow`, go on until the job has ended."""
        parameters = Parameters(self.request, ("follow", "after"))
        after = self._after(parameters)
        job = await self.application.ledger.get(id)
        if parameters.boolean("follow"):
            only_here = is_relayed(self.request)
            lines = follow(self.application, job, after, only_here=only_here)
        elif await self.relayed(job):
            return
        else:
            lines = read(await recording(self.application, job), after)
        if "text/event-stream" in self.request.headers.get("Accept", ""):
            await self.stream("text/event-stream", self._events(job.id, lines))
        else:
            await self.stream("application/x-ndjson", self._ndjson(job.id, lines))

    def _after(self, parameters: Parameters) -> int:
        if last := self.request.headers.get("Last-Event-ID"):
            if not (last.isascii() and last.isdecimal() and len(last) < 16):
                raise wrong_field("Last-Event-ID", "must be the id of an event of this stream")
            return int(last)
        return parameters.number("after", 0, least=0, most=SEQ_MAX)

    async def _ndjson(self, id: str, lines: AsyncIterator[Line]) -> AsyncIterator[bytes]:
        async for _, line in lines:
            yield line + b"\n"
        job = await self.application.ledger.get(id)
        if job.has_ended:
            yield b'{"job":' + encode(job) + b"}\n"

    async def _events(self, id: str, lines: AsyncIterator[Line]) -> AsyncIterator[bytes]:
        yield f"retry: {RECONNECT_MS}\n\n".encode()
        async for seq, line in lines:
            yield b"event: output\nid: %d\ndata: %s\n\n" % (seq, line)
        job = await self.application.ledger.get(id)
        if job.has_ended:
            yield b"event: end\ndata: %s\n\n" % encode(job)


class _Item(msgspec.Struct):
    stream: str
    text: str = ""
    base64: str = ""


_item = msgspec.json.Decoder(_Item).decode


async def _content(lines: AsyncIterator[Line], stream: str) -> AsyncIterator[bytes]:
    async for _, line in lines:
        item = _item(line)
        if item.stream == stream:
            yield b64decode(item.base64) if item.base64 else item.text.encode()
