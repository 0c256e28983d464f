"""Clearing up after a process that died: its commands are killed, its jobs are lost."""

from __future__ import annotations

import asyncio
import logging
from datetime import datetime
from pathlib import Path

from service import jobs
from service.jobs import End, Job, Stream
from service.journal import Journal
from service.ledger import Ledger
from service.running import orphans

log = logging.getLogger(__name__)


async def recover(ledger: Ledger, journals: Path, owner: str) -> int:
    """Clear up after a dead owner and return how many jobs it lost.

    The caller sees to it that the owner is dead and stays so meanwhile. The commands are killed
    first: a job is not called lost while it may still do something.
    """
    unfinished = await ledger.unfinished(owner)
    if not unfinished:
        return 0
    leaders = {
        job.pid: datetime.fromisoformat(job.started_at).timestamp()
        for job in unfinished
        if job.pid and job.started_at
    }
    ids = {job.id for job in unfinished}
    if not await asyncio.to_thread(orphans.kill, ids, leaders):
        log.error("some processes of the jobs that %s left could not be killed", owner)
    for job in unfinished:
        await ledger.end(job.id, _lost(journals, job))
    log.warning("%s died and lost %d jobs", owner, len(unfinished))
    return len(unfinished)


def _lost(journals: Path, job: Job) -> End:
    journal = Journal.open(journals, job.id)
    return End(
        state="lost",
        reason="crash",
        error=f"process {job.owner} died while it owned the job",
        finished_at=jobs.now(),
        stdout=Stream(journal.bytes("stdout"), journal.dropped("stdout")),
        stderr=Stream(journal.bytes("stderr"), journal.dropped("stderr")),
    )
