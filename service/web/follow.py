"""Follows a job's journal from any process, whoever owns the job, until its last item."""

from __future__ import annotations

from collections.abc import AsyncIterator

import msgspec

from service.errors import OwnerGone
from service.jobs import Job
from service.journal import Journal, Reader
from service.web.handler import App
from service.web.recording import recording

# How much is read of a journal at a time: what a slow client costs in memory.
STEP_BYTES = 256 * 1024
LOOK_AGAIN_S = 1.0

# An item, as it goes to clients, with its seq.
Line = tuple[int, bytes]


async def follow(app: App, job: Job, after: int, *, only_here: bool) -> AsyncIterator[Line]:
    """Yield the items after a seq as they come; returns when the job has ended and all is told.

    With `only_here` it also returns when this process does not own the job.
    """
    while not job.has_ended:
        if run := app.runner.runs.get(job.id):
            async for seq, line in _live(run.journal, after):
                after = seq
                yield seq, line
            await app.runner.waiting.wait(job.id, "ended", LOOK_AGAIN_S)
        elif only_here:
            return
        elif job.owner is None:
            await app.runner.waiting.wait(job.id, "claimed", LOOK_AGAIN_S)
        else:
            try:
                async for seq, line in _from_owner(app, job, after):
                    after = seq
                    yield seq, line
            except OwnerGone:
                pass  # another process will find out and clear up
            await app.runner.waiting.wait(job.id, "ended", LOOK_AGAIN_S)
        job = await app.ledger.get(job.id)
    journal = await recording(app, job)
    async for seq, line in read(journal, after):
        after = seq
        yield seq, line


async def read(journal: Reader, after: int) -> AsyncIterator[Line]:
    """Yield the items that are there already."""
    while items := journal.items(after, max_bytes=STEP_BYTES):
        for item in items:
            yield item.seq, item.json()
        after = items[-1].seq


async def _live(journal: Journal, after: int) -> AsyncIterator[Line]:
    async for items in journal.follow(after, max_bytes=STEP_BYTES):
        for item in items:
            yield item.seq, item.json()


class _Seq(msgspec.Struct):
    seq: int | None = None


_seq = msgspec.json.Decoder(_Seq).decode


async def _from_owner(app: App, job: Job, after: int) -> AsyncIterator[Line]:
    path = f"/v1/jobs/{job.id}/output?follow=true&after={after}"
    async for line in app.relay.lines(job.owner or "", path):
        if (seq := _seq(line).seq) is not None:
            yield seq, line.rstrip(b"\n")
