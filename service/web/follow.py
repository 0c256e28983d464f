"""Follows a job's journal from any process, whoever owns the job, until its last item.

A generator that holds a connection is closed by whoever iterates over it (`aclosing`): left to the
garbage collector, the connection would stay for as long as an exception's traceback does.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from service.errors import OwnerGone
from service.jobs import Job
from service.journal import Item, Journal, Reader
from service.web.handler import App
from service.web.recording import recording

# How much is read of a journal at a time: what a slow client costs in memory.
STEP_BYTES = 256 * 1024
LOOK_AGAIN_S = 1.0

Items = AsyncGenerator[Item, None]


async def follow(app: App, job: Job, after: int, *, only_here: bool) -> Items:
    """Yield the items after a seq as they come; returns when the job has ended and all is told.

    With `only_here` it also returns when this process does not own the job.
    """
    while not job.has_ended:
        if run := app.runner.runs.get(job.id):
            async with aclosing(_live(run.journal, after)) as items:
                async for item in items:
                    after = item.seq
                    yield item
            await app.runner.waiting.wait(job.id, "ended", LOOK_AGAIN_S)
        elif job.owner == app.runner.owner:
            await app.runner.waiting.wait_here(job.id)
        elif only_here:
            return
        elif job.owner is None:
            await app.runner.waiting.wait(job.id, "claimed", LOOK_AGAIN_S)
        else:
            try:
                async with aclosing(_from_owner(app, job, after)) as items:
                    async for item in items:
                        after = item.seq
                        yield item
            except OwnerGone:
                pass  # another process will find out and clear up
            await app.runner.waiting.wait(job.id, "ended", LOOK_AGAIN_S)
        job = await app.ledger.get(job.id)
    journal = await recording(app, job)
    async with aclosing(read(journal, after)) as items:
        async for item in items:
            after = item.seq
            yield item


async def read(journal: Reader, after: int) -> Items:
    """Yield the items that are there already."""
    while items := journal.items(after, max_bytes=STEP_BYTES):
        for item in items:
            yield item
        after = items[-1].seq


async def _live(journal: Journal, after: int) -> Items:
    async with aclosing(journal.follow(after, max_bytes=STEP_BYTES)) as following:
        async for items in following:
            for item in items:
                yield item


async def _from_owner(app: App, job: Job, after: int) -> Items:
    path = f"/v1/jobs/{job.id}/output?follow=true&after={after}"
    async with aclosing(app.relay.lines(job.owner or "", path)) as lines:
        async for line in lines:
            if not line.startswith(b'{"job"'):  # the last line, which is asked of the ledger
                yield Item.from_json(line.rstrip(b"\n"))
