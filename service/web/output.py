"""A job's output: the raw bytes of a stream, and the journal of both."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import aclosing

from service.jobs import Job
from service.journal import Reader
from service.output.outputs import STEP_BYTES, Items, read
from service.output.parts import PART_BYTES, AnyItem, packed, slices
from service.peers.relay import is_relayed
from service.web.handler import encode
from service.web.problems import wrong_field
from service.web.query import SEQ_MAX, Parameters, byte_range
from service.web.streaming import EVENTS, RECONNECT_MS, Parts, StreamingHandler

CHUNK_BYTES = 64 * 1024

# All readers together; each has its share of it, between the least that is worth a turn and the
# most that makes a quick one quicker.
STEPS_BYTES, STEP_BYTES_MAX = 16 * 1024 * 1024, 192 * 1024
PARTS_BYTES, PART_BYTES_MAX = 8 * 1024 * 1024, 96 * 1024


class _Output(StreamingHandler):
    """What both kinds of output have in common."""

    def follow(self, job: Job, after: int, *, is_lossless: bool) -> Items:
        """Follow the job to its end, through the process that owns it."""
        return self.application.outputs.follow(
            job,
            after,
            step_bytes=self._step_bytes,
            only_here=is_relayed(self.request),
            is_lossless=is_lossless,
        )

    @property
    def _step_bytes(self) -> int:
        return self.application.streams.share(STEPS_BYTES, STEP_BYTES, STEP_BYTES_MAX)

    @property
    def part_bytes(self) -> int:
        """About how much is sent at a time."""
        return self.application.streams.share(PARTS_BYTES, PART_BYTES, PART_BYTES_MAX)

    def follow_and_lossless(self, parameters: Parameters) -> tuple[bool, bool]:
        """Read two parameters: whether to go on to the end, and whether the job is to wait."""
        should_follow = bool(parameters.boolean("follow"))
        is_lossless = bool(parameters.boolean("lossless"))
        if is_lossless and not should_follow:
            raise wrong_field("lossless", "only together with follow=true")
        return should_follow, is_lossless


class StreamHandler(_Output):
    """`/v1/jobs/ID/stdout` and `/stderr`: the bytes of one stream that were kept."""

    async def get(self, id: str, stream: str) -> None:
        """Answer the bytes so far, or with `follow` go on until the job has ended."""
        parameters = Parameters(self.request, ("follow", "lossless"))
        should_follow, is_lossless = self.follow_and_lossless(parameters)
        job = await self.application.ledger.get(id)
        if should_follow:
            items = self.follow(job, 0, is_lossless=is_lossless)
            await self.stream("application/octet-stream", _content(items, stream, self.part_bytes))
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
            await self.application.streams.turn()
            self.write(data)
            await self.flush()


class OutputHandler(_Output):
    """`/v1/jobs/ID/output`: the journal as NDJSON or as server-sent events."""

    async def get(self, id: str) -> None:
        """Answer the items after a seq; with `follow`, go on until the job has ended."""
        parameters = Parameters(self.request, ("follow", "lossless", "after"))
        after = self.last_event_id()
        if after is None:
            after = parameters.number("after", 0, least=0, most=SEQ_MAX)
        should_follow, is_lossless = self.follow_and_lossless(parameters)
        job = await self.application.ledger.get(id)
        if should_follow:
            items = self.follow(job, after, is_lossless=is_lossless)
        elif await self.relayed(job):
            return
        else:
            reader = await self.application.outputs.reader(job)
            items = read(reader, after, self._step_bytes)
        # without `follow`, what a job has printed that ended meanwhile is not all told: nor its end
        known = None if should_follow else job
        if EVENTS in self.request.headers.get("Accept", ""):
            await self.stream(EVENTS, self._events(job.id, items, known))
        else:
            await self.stream("application/x-ndjson", self._ndjson(job.id, items, known))

    async def _ndjson(self, id: str, items: Items, known: Job | None) -> Parts:
        json = self.application.outputs.encoder.json

        def lines(some: Sequence[AnyItem]) -> Iterator[bytes]:
            for item in some:
                yield from json(id, item)
                yield b"\n"

        async for part in _parts(items, lines, self.part_bytes):
            yield part
        job = known or await self.application.ledger.get(id)
        if job.has_ended:
            yield b'{"job":' + encode(job) + b"}\n"

    async def _events(self, id: str, items: Items, known: Job | None) -> Parts:
        """With `end` the client knows that this was all; without, it would ask again for ever."""
        json = self.application.outputs.encoder.json
        # with the first event: some clients take a block without data for an empty event
        retry = f"retry: {RECONNECT_MS}\n".encode()

        def events(some: Sequence[AnyItem]) -> Iterator[bytes]:
            nonlocal retry
            for item in some:
                yield b"%sevent: output\nid: %d\ndata: " % (retry, item.seq)
                yield from json(id, item)
                yield b"\n\n"
                retry = b""

        async for part in _parts(items, events, self.part_bytes):
            yield part
        job = known or await self.application.ledger.get(id)
        yield b"%sevent: end\ndata: %s\n\n" % (retry, encode(job))


async def _parts(
    items: Items, form: Callable[[Sequence[AnyItem]], Iterator[bytes]], part_bytes: int
) -> Parts:
    async with aclosing(items):
        async for some in items:
            for part in packed(form(some), part_bytes):
                yield part


async def _content(items: Items, stream: str, part_bytes: int) -> Parts:
    def content(some: Sequence[AnyItem]) -> Iterator[bytes]:
        for item in some:
            if item.stream == stream:
                yield from slices(item.data)

    async for part in _parts(items, content, part_bytes):
        yield part
