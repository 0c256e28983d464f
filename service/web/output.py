"""A job's output: the raw bytes of a stream, and the journal of both."""

from __future__ import annotations

from contextlib import aclosing

from service.jobs import Job
from service.journal import Reader
from service.output.outputs import Items, read
from service.peers.relay import is_relayed
from service.web.handler import encode
from service.web.query import SEQ_MAX, Parameters, byte_range
from service.web.streaming import RECONNECT_MS, Parts, StreamingHandler

CHUNK_BYTES = 256 * 1024


class StreamHandler(StreamingHandler):
    """`/v1/jobs/ID/stdout` and `/stderr`: the bytes of one stream that were kept."""

    async def get(self, id: str, stream: str) -> None:
        """Answer the bytes so far, or with `follow` go on until the job has ended."""
        should_follow = Parameters(self.request, ("follow",)).boolean("follow")
        job = await self.application.ledger.get(id)
        if should_follow:
            await self._follow(job, stream)
        elif not await self.relayed(job):
            await self._answer(await self.application.outputs.reader(job), stream)

    head = get

    async def _answer(self, journal: Reader, stream: str) -> None:
        extent = journal.extent(stream)
        size = extent.kept
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
            data = journal.read(stream, start, min(CHUNK_BYTES, stop - start), extent)
            if not data:  # forgotten, or dropped meanwhile: a short answer says so
                self.detach().close()
                return
            start += len(data)
            self.write(data)
            await self.flush()

    async def _follow(self, job: Job, stream: str) -> None:
        only_here = is_relayed(self.request)
        items = self.application.outputs.follow(job, 0, only_here=only_here)
        await self.stream("application/octet-stream", _content(items, stream))


class OutputHandler(StreamingHandler):
    """`/v1/jobs/ID/output`: the journal as NDJSON or as server-sent events."""

    async def get(self, id: str) -> None:
        """Answer the items after a seq; with `follow`, go on until the job has ended."""
        parameters = Parameters(self.request, ("follow", "after"))
        after = self.last_event_id()
        if after is None:
            after = parameters.number("after", 0, least=0, most=SEQ_MAX)
        job = await self.application.ledger.get(id)
        if parameters.boolean("follow"):
            only_here = is_relayed(self.request)
            items = self.application.outputs.follow(job, after, only_here=only_here)
        elif await self.relayed(job):
            return
        else:
            items = read(await self.application.outputs.reader(job), after)
        if "text/event-stream" in self.request.headers.get("Accept", ""):
            await self.stream("text/event-stream", self._events(job.id, items))
        else:
            await self.stream("application/x-ndjson", self._ndjson(job.id, items))

    async def _ndjson(self, id: str, items: Items) -> Parts:
        async with aclosing(items):
            async for item in items:
                yield item.json() + b"\n"
        job = await self.application.ledger.get(id)
        if job.has_ended:
            yield b'{"job":' + encode(job) + b"}\n"

    async def _events(self, id: str, items: Items) -> Parts:
        yield f"retry: {RECONNECT_MS}\n\n".encode()
        async with aclosing(items):
            async for item in items:
                yield b"event: output\nid: %d\ndata: %s\n\n" % (item.seq, item.json())
        job = await self.application.ledger.get(id)
        if job.has_ended:
            yield b"event: end\ndata: %s\n\n" % encode(job)


async def _content(items: Items, stream: str) -> Parts:
    async with aclosing(items):
        async for item in items:
            if item.stream == stream and item.data:
                yield item.data
