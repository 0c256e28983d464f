"""d: what a large ledger costs: the same requests to one of 1,000 and one of 1,000,000 jobs."""

from __future__ import annotations

import asyncio
import json
import secrets
import statistics
import time
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from pathlib import Path

from bench import client, filled, fleet
from bench.figure import SQUALL, Figure
from bench.fleet import Fleet
from bench.measures import Measure, Run
from bench.place import wait_until
from service.jobs import End, Spec, now, rfc3339
from service.ledger import Bounds
from service.ledger.sqlite import SqliteLedger

FEW, MANY = 1_000, 1_000_000
LABELS = dict([filled.LABEL])
TRUE = json.dumps({"args": ["/bin/true"], "labels": LABELS}).encode()
CLAIMS = 20
EXPIRED = 200


def take(run: Run) -> list[Figure]:
    """How many times as long each takes with many jobs as with few, the two in turns."""
    states = {jobs: filled.state(run.place, jobs, has_labels_and_keys=True) for jobs in (FEW, MANY)}
    run.tell("ledgers filled")
    figures = []
    with fleet.up(run.place, states[FEW]) as few, fleet.up(run.place, states[MANY]) as many:
        for name, one in REQUESTS.items():
            measures = [partial(_over_http, run, squall, one) for squall in (few, many)]
            figures.append(_growth(run, name, measures))
            for squall in (few, many):
                wait_until(squall.is_idle, "the jobs end")
    for name, verb in (("claim", _claims), ("keyed submit", _keyed), ("expire", _expired)):
        measures = [partial(_at_once, run, states[jobs], verb) for jobs in (FEW, MANY)]
        figures.append(_growth(run, name, measures))
    return figures


Requests = Callable[[Fleet, int], list[tuple[str, str, bytes]]]
Seconds = AsyncIterator[float]


def _growth(run: Run, name: str, measures: Sequence[Callable[[], float]]) -> Figure:
    few, many = measures
    ratios, pairs = [], []
    for _ in range(2 * run.turns):
        pairs.append((few(), many()))
        ratios.append(pairs[-1][1] / pairs[-1][0])
    shown = statistics.median(pair[1] for pair in pairs) * 1e3
    what = f"{name}: {MANY:,} jobs to {FEW:,} (it takes {shown:.2f} ms)"
    run.tell(f"{what}: done")
    return Figure(
        f"d.{name.replace(' ', '-')}", what, "times as long", {SQUALL: ratios}, less_is_better=True
    )


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


def _list(query: str, squall: Fleet, count: int) -> list[tuple[str, str, bytes]]:
    return [("GET", f"/v1/jobs?limit=50{query}", b"")] * count


REQUESTS: dict[str, Requests] = {
    "submit": _submit,
    "get": _get,
    "list": partial(_list, ""),
    "list of a span": partial(_list, "&until=2999-01-01T00:00:00Z&since=2000-01-01T00:00:00Z"),
    "list of a text": partial(_list, "&q=CONVERT%20-resize"),
    "list of a label and a rare state": partial(_list, "&label=app:thumbnails&state=lost"),
}


def _at_once(run: Run, state: Path, verb: Callable[[SqliteLedger, int], Seconds]) -> float:
    """Seconds that it takes straight from the ledger."""
    return asyncio.run(_with_ledger(state / "ledger.db", verb, run.amount(60, 30)))


async def _with_ledger(
    path: Path, verb: Callable[[SqliteLedger, int], Seconds], count: int
) -> float:
    ledger = SqliteLedger(path)
    try:
        return statistics.median([seconds async for seconds in verb(ledger, count)])
    finally:
        ledger.close()


async def _claims(ledger: SqliteLedger, count: int) -> Seconds:
    """Claim some waiting jobs."""
    spec = Spec(args=["/bin/true"])
    submission = await ledger.submit([spec] * count * CLAIMS, queue_limit=1_000_000)
    for _ in range(count):
        begin = time.perf_counter()
        await ledger.claim("1", CLAIMS)
        yield time.perf_counter() - begin
    await _end_all(ledger, [job.id for job in submission.jobs])


async def _keyed(ledger: SqliteLedger, count: int) -> Seconds:
    """Submit a job with a key of its own."""
    for _ in range(count):
        key = secrets.token_hex()
        begin = time.perf_counter()
        submission = await ledger.submit(
            [Spec(args=["/bin/true"], labels=LABELS)],
            queue_limit=1_000_000, owner="1", room=1, key=key, fingerprint=key.encode(),
        )  # fmt: skip
        yield time.perf_counter() - begin
        await _end_all(ledger, [submission.jobs[0].id])


async def _expired(ledger: SqliteLedger, count: int) -> Seconds:
    """Forget the oldest jobs, labels and all: a step of the retention; as many come again."""
    for _ in range(count // 10):
        spec = Spec(args=["/bin/true"], labels=LABELS)
        submission = await ledger.submit([spec] * EXPIRED, queue_limit=1_000_000)
        await _end_all(ledger, [job.id for job in submission.jobs])
        bounds = Bounds(rfc3339(0), sum((await ledger.tally()).values()) - EXPIRED)
        begin = time.perf_counter()
        forgotten = 0
        while ids := await ledger.expire(bounds, EXPIRED):
            forgotten += len(ids)
        yield time.perf_counter() - begin
        assert forgotten == EXPIRED
        await ledger.tidy(bounds, EXPIRED)


async def _end_all(ledger: SqliteLedger, ids: list[str]) -> None:
    end = End(state="lost", reason="crash", finished_at=now())
    await asyncio.gather(*(ledger.end(id, end) for id in ids))


MEASURE = Measure("d", "Growth with the ledger", (), take)
