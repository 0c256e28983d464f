"""A job's output, whoever owns the job: read as it is, or followed until its last item.

A generator that holds a connection is closed by whoever iterates over it (`aclosing`): left to the
garbage collector, the connection would stay for as long as an exception's traceback does.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from pathlib import Path

from service.errors import OwnerGone
from service.jobs import Job
from service.journal import Journal, Reader, SentItem
from service.ledger import Ledger
from service.output.parts import AnyItem, Encoder
from service.peers.relay import Relay
from service.running.runner import Runner

# How much is read of a journal at a time: what a slow client costs in memory.
STEP_BYTES = 16 * 1024
LOOK_AGAIN_S = 1.0

Items = AsyncGenerator[Sequence[AnyItem], None]


class Outputs:
    """The output of every job: live in this process or another, in the ledger, or in files."""

    def __init__(self, ledger: Ledger, runner: Runner, relay: Relay, journals: Path) -> None:
        """Begin with the parts that know where an output is."""
        self.encoder = Encoder()
        self._ledger = ledger
        self._runner = runner
        self._relay = relay
        self._journals = journals

    async def reader(self, job: Job) -> Reader:
        """Return what reads the output of a job that is not another process's to tell."""
        if run := self._runner.runs.get(job.id):
            return run.journal
        if (inline := await self._ledger.journal(job.id)) is not None:
            return Journal.from_inline(inline)
        return Journal.open(self._journals, job.id)

    async def follow(
        self,
        job: Job,
        after: int,
        *,
        step_bytes: int = STEP_BYTES,
        only_here: bool = False,
        is_lossless: bool = False,
    ) -> Items:
        """Yield the items after a seq as they come, some at a time, until the job has ended and
        all is told.

        With `is_lossless` the job waits rather than that something is dropped before the next
        items are asked for. With `only_here` it raises OwnerGone when this process does not own
        the job. `step_bytes` is about how much is read at a time.
        """
        runner = self._runner
        while not job.has_ended:
            if run := runner.runs.get(job.id):
                following = run.journal.follow(after, step_bytes, is_lossless=is_lossless)
                async with aclosing(following):
                    async for items in following:
                        after = items[-1].seq
                        yield items
                await runner.waiters.wait(job.id, "ended", LOOK_AGAIN_S)
            elif job.owner == runner.owner:
                await runner.waiters.wait_here(job.id)
            elif only_here:
                raise OwnerGone("the job is not here")
            elif job.owner is None:
                await runner.waiters.wait(job.id, "claimed", LOOK_AGAIN_S)
            else:
                try:
                    async with aclosing(self._from_owner(job, after, is_lossless)) as sent:
                        async for item in sent:
                            after = item.seq
                            yield (item,)
                except OwnerGone:
                    pass  # another process will find out and clear up
                await runner.waiters.wait(job.id, "ended", LOOK_AGAIN_S)
            job = await self._ledger.get(job.id)
        async with aclosing(read(await self.reader(job), after, step_bytes)) as rest:
            async for some in rest:
                yield some

    async def _from_owner(
        self, job: Job, after: int, is_lossless: bool
    ) -> AsyncGenerator[SentItem, None]:
        path = f"/v1/jobs/{job.id}/output?follow=true&after={after}"
        path += "&lossless=true" if is_lossless else ""
        async with aclosing(self._relay.lines(job.owner or "", path)) as lines:
            async for line in lines:
                if not line.startswith(b'{"job"'):  # the last line, which is asked of the ledger
                    yield SentItem(line)


async def read(journal: Reader, after: int, step_bytes: int = STEP_BYTES) -> Items:
    """Yield the items that are there already."""
    while items := journal.items(after, max_bytes=step_bytes):
        yield items
        after = items[-1].seq
