"""d: what a large ledger costs: the same requests to one of 1,000 and one of 1,000,000 jobs."""

from __future__ import annotations

import asyncio
import json
import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from bench import client, filled, fleet
from bench.figure import SQUALL, Figure
from bench.fleet import Fleet
from bench.measures import Measure, Run
from bench.place import wait_until
from service.jobs import End, Spec, now
from service.ledger.sqlite import SqliteLedger

FEW, MANY = 1_000, 1_000_000
TRUE = json.dumps({"args": ["/bin/true"]}).encode()
CLAIMS = 20


def take(run: Run) -> list[Figure]:
    """How many times as long each takes with many jobs as with few, the two in turns."""
    states = {jobs: filled.state(run.place, jobs) for jobs in (FEW, MANY)}
    run.tell("ledgers filled")
    figures = []
    with fleet.up(run.place, states[FEW]) as few, fleet.up(run.place, states[MANY]) as many:
        for name, one in (("submit", _submit), ("get", _get), ("list", _list)):
            measures = [partial(_over_http, run, squall, one) for squall in (few, many)]
            figures.append(_growth(run, name, measures))
            for squall in (few, many):
                wait_until(squall.is_idle, "the jobs end")
    figures.append(_growth(run, "claim", [partial(_claim, run, states[n]) for n in (FEW, MANY)]))
    return figures


Requests = Callable[[Fleet, int], list[tuple[str, str, bytes]]]


def _growth(run: Run, name: str, measures: Sequence[Callable[[], float]]) -> Figure:
    few, many = measures
    ratios, pairs = [], []
    for _ in range(2 * run.turns):
        pairs.append((few(), many()))
        ratios.append(pairs[-1][1] / pairs[-1][0])
    shown = statistics.median(pair[1] for pair in pairs) * 1e3
    what = f"{name}: {MANY:,} jobs to {FEW:,} (it takes {shown:.2f} ms)"
    run.tell(f"{what}: done")
    return Figure(f"d.{name}", what, "times as long", {SQUALL: ratios}, less_is_better=True)


def _over_http(run: Run, squall: Fleet, requests: Requests) -> float:
    count = run.amount(400, 150)
    asked = requests(squall, count)
    answers = asyncio.run(client.each(squall.port, squall.token, asked, 1))
    return statistics.median(answer.seconds for answer in answers)


def _submit(squall: Fleet, count: int) -> list[tuple[str, str, bytes]]:
    return [("POST", "/v1/jobs", TRUE)] * count


def _get(squall: Fleet, count: int) -> list[tuple[str, str, bytes]]:
    page = squall.ask(squall.get("/v1/jobs?limit=1000"))
    ids = [job["id"] for job in page["jobs"]]
    return [("GET", f"/v1/jobs/{ids[n * 7 % len(ids)]}", b"") for n in range(count)]


def _list(squall: Fleet, count: int) -> list[tuple[str, str, bytes]]:
    return [("GET", "/v1/jobs?limit=50", b"")] * count


def _claim(run: Run, state: Path) -> float:
    """Seconds that a claim of some waiting jobs takes, straight from the ledger."""
    return asyncio.run(_claims(state / "ledger.db", run.amount(60, 30)))


async def _claims(path: Path, count: int) -> float:
    ledger = SqliteLedger(path)
    spec = Spec(args=["/bin/true"])
    try:
        submission = await ledger.submit([spec] * count * CLAIMS, queue_limit=1_000_000)
        seconds = []
        for _ in range(count):
            begin = time.perf_counter()
            await ledger.claim("1", CLAIMS)
            seconds.append(time.perf_counter() - begin)
        await _end_all(ledger, [job.id for job in submission.jobs])
    finally:
        ledger.close()
    return statistics.median(seconds)


async def _end_all(ledger: SqliteLedger, ids: list[str]) -> None:
    end = End(state="lost", reason="crash", finished_at=now())
    await asyncio.gather(*(ledger.end(id, end) for id in ids))


MEASURE = Measure("d", "Growth with the ledger", (), take)
