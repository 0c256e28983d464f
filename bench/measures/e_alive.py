"""e: thousands of commands that run at once."""

from __future__ import annotations

import asyncio
import json

from bench import client, fleet, submit, usage
from bench.figure import SQUALL, Figure
from bench.fleet import Fleet
from bench.measures import Measure, Run
from bench.place import wait_until

BATCH = 500
SLEEP = {"args": ["/bin/sleep", "30"]}
TRUE = json.dumps({"args": ["/bin/true"]}).encode()
ASK_EVERY_S = 0.02
CANCELLING = 16


def take(run: Run) -> list[Figure]:
    """Memory and processor time of a running job, answers meanwhile, and the end of them all."""
    jobs = run.amount(2000, 1000)
    values: dict[str, list[float]] = {}
    for _ in range(min(run.turns, run.amount(2, 1))):  # each takes half a minute
        # room for jobs that are submitted while the others sleep
        with fleet.up(run.place, JOBS_RUNNING=jobs) as squall:
            for key, value in _one(run, squall, jobs).items():
                values.setdefault(key, []).append(value)
        run.tell(f"{jobs:,} jobs at once: done")
    return [
        Figure(key, what.format(f"{jobs:,}"), unit, {SQUALL: values[key]}, less_is_better=True)
        for key, (what, unit) in SHOWN.items()
    ]


SHOWN = {
    "e.memory": ("memory of a running job, of {}", "kB"),
    "e.processor": ("processor time to start a job, of {}", "ms"),
    "e.idle": ("processor time while {} sleep", "% of a core"),
    "e.livez": ("99 % of /livez while {} sleep", "ms"),
    "e.submit": ("99 % of a submit while {} sleep", "ms"),
    "e.start": ("start {} jobs", "s"),
    "e.cancel": ("cancel {} jobs", "s"),
}


def _one(run: Run, squall: Fleet, jobs: int) -> dict[str, float]:
    pids = squall.pids()
    memory, processor = usage.memory(pids), usage.processor(pids)
    with usage.stopwatch() as starting:
        bodies = [json.dumps([SLEEP] * BATCH).encode()] * (jobs // BATCH)
        answers = asyncio.run(submit.post(squall, bodies))
        wait_until(lambda: not squall.ask(squall.get(QUEUED))["jobs"], "all run")
    ids = [job["id"] for answer in answers for job in json.loads(answer.body)]
    used = usage.processor(pids) - processor
    with usage.stopwatch() as asking:
        before = usage.processor(pids)
        asyncio.run(asyncio.sleep(2))
    idle = (usage.processor(pids) - before) / asking[0]
    grown = usage.memory(pids) - memory
    count = run.amount(300, 150)
    livez = asyncio.run(_paced(squall, ("GET", "/livez", b""), count))
    submits = asyncio.run(_paced(squall, ("POST", "/v1/jobs", TRUE), count))
    with usage.stopwatch() as cancelling:
        requests = [("POST", f"/v1/jobs/{id}/cancel", b"") for id in ids]
        asyncio.run(client.each(squall.port, squall.token, requests, CANCELLING))
        wait_until(squall.is_idle, "all are cancelled")
    return {
        "e.memory": grown / jobs / 1000,
        "e.processor": used / jobs * 1e3,
        "e.idle": idle * 100,
        "e.livez": client.percentile(livez, 0.99) * 1e3,
        "e.submit": client.percentile(submits, 0.99) * 1e3,
        "e.start": starting[0],
        "e.cancel": cancelling[0],
    }


QUEUED = "/v1/jobs?state=queued&limit=1"


async def _paced(squall: Fleet, request: tuple[str, str, bytes], count: int) -> list[float]:
    connection = await client.connect(squall.port, squall.token)
    seconds = []
    for _ in range(count):
        answer = await connection.ask(*request)
        if answer.status not in (200, 202):
            raise RuntimeError(f"{request}: {answer}")
        seconds.append(answer.seconds)
        await asyncio.sleep(ASK_EVERY_S)
    await connection.close()
    return seconds


MEASURE = Measure("e", "Thousands at once", (), take)
