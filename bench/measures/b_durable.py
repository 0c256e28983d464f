"""b: jobs that are submitted and not waited for, until all have ended with their results stored."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from bench import fleet, submit
from bench.figure import SQUALL, Figure, in_turns
from bench.measures import Measure, Run, ready
from bench.peers.celery import CELERY
from bench.peers.huey import HUEY
from bench.peers.rq import RQ

QUEUES = (CELERY, RQ, HUEY)
BATCH = 100


def take(run: Run) -> list[Figure]:
    """Jobs a second, one by one and in batches, each until the last result is stored."""
    jobs = run.amount(10_000, 1_000)
    figures = []
    with ready(run.place, QUEUES) as drives, fleet.up(run.place) as squall:
        for key, how, batch in (
            ("b.single", "one by one", 1),
            ("b.batches", f"in batches of {BATCH}", BATCH),
        ):
            contestants: dict[str, Callable[[], float]] = {
                SQUALL: partial(submit.rate, squall, jobs, batch)
            }
            contestants |= {name: partial(drive, jobs, batch) for name, drive in drives.items()}
            what = f"{jobs:,} jobs of /bin/true {how}"
            figures.append(in_turns(key, what, "jobs/s", contestants, run.turns))
            run.tell(f"{what}: done")
    return figures


MEASURE = Measure("b", "Jobs until their results are stored", QUEUES, take)
