"""What may not stay goes in small steps, and nothing grows without a bound."""

from __future__ import annotations

import apsw
import pytest

from service.jobs import End, Spec, now, rfc3339
from service.ledger import Bounds, Query, Start, expiry, sqlite
from service.ledger.sqlite import SqliteLedger
from tests.ledger.conftest import DAY_NS

pytestmark = pytest.mark.gen_test(timeout=30)

LIMIT = 100_000
FOR_EVER = 10**9


async def run(ledger: SqliteLedger, count: int = 1, key: str = "", **labels: str) -> list[str]:
    """Run jobs to their end, and return their ids."""
    ids = await begin(ledger, count, key, **labels)
    for id in ids:
        await end(ledger, id)
    return ids


async def begin(ledger: SqliteLedger, count: int = 1, key: str = "", **labels: str) -> list[str]:
    specs = [Spec(args=["true"], labels=labels)] * count
    submission = await ledger.submit(
        specs, queue_limit=LIMIT, owner="1", room=count, key=key, fingerprint=b""
    )
    ids = [job.id for job in submission.jobs]
    await ledger.start([Start(id, 1, now()) for id in ids])
    return ids


async def end(ledger: SqliteLedger, id: str) -> None:
    await ledger.end(id, End(state="succeeded", reason="exit", finished_at=now()))


async def listed(ledger: SqliteLedger) -> list[str]:
    return [job.id for job in (await ledger.page(Query(limit=1000))).jobs][::-1]


def count(ledger: SqliteLedger, table: str) -> int:
    return ledger._read_db.execute(f"SELECT count(*) FROM {table}").get


def keys(ledger: SqliteLedger) -> list[str]:
    return [key for (key,) in ledger._read_db.execute("SELECT key FROM submissions ORDER BY key")]


async def tidy(ledger: SqliteLedger, bounds: Bounds, limit: int) -> None:
    while await ledger.tidy(bounds, limit):
        pass


async def test_beyond_a_count_the_oldest_ended_jobs_go(ledger):
    running = await begin(ledger)
    ids = await run(ledger, 6, a="b", c="d")
    bounds = Bounds(rfc3339(0), count=2)
    assert await ledger.expire(bounds, 3) == ids[:3]
    assert await ledger.expire(bounds, 3) == ids[3:4]
    assert await ledger.expire(bounds, 3) == []
    assert await listed(ledger) == [*running, *ids[4:]]
    assert count(ledger, "labels") == 2 * len(ids[4:])


async def test_jobs_that_ran_long_hide_none_that_are_too_old(ledger, clock):
    clock.offset = -9 * DAY_NS
    long = await begin(ledger, 5)
    old = await run(ledger, 3)
    clock.offset = 0
    for id in long[:-1]:
        await end(ledger, id)
    young = await run(ledger)
    bounds = Bounds(rfc3339((clock() - DAY_NS) // 1000), count=FOR_EVER)
    assert await ledger.expire(bounds, 2) == old[:2]
    assert await ledger.expire(bounds, 2) == old[2:]
    assert await ledger.expire(bounds, 2) == []
    assert await listed(ledger) == [*long, *young]


async def test_others_wait_for_one_job_at_most_when_forgetting_takes_long(ledger, monkeypatch):
    monkeypatch.setattr(sqlite, "EXPIRE_S", 0)
    ids = await run(ledger, 5)
    bounds = Bounds(rfc3339(0), count=0)
    assert [await ledger.expire(bounds, 100) for _ in range(6)] == [*([id] for id in ids), []]


async def test_large_specs_are_read_a_few_at_a_time(ledger, monkeypatch):
    monkeypatch.setattr(expiry, "SPEC_BYTES", 30)
    ids = await run(ledger, 5)  # some 15 bytes each
    bounds = Bounds(rfc3339(0), count=0)
    forgotten = [await ledger.expire(bounds, 100) for _ in range(6)]
    assert [id for step in forgotten for id in step] == ids and not forgotten[-1]
    assert len([step for step in forgotten if step]) > 1


async def test_keys_go_with_their_jobs_but_not_while_one_may_run(ledger, clock):
    clock.offset = -9 * DAY_NS
    await begin(ledger, 2, key="runs")
    await run(ledger, key="old")
    clock.offset = 0
    await run(ledger, key="young")
    bounds = Bounds(rfc3339((clock() - DAY_NS) // 1000), count=FOR_EVER)
    await ledger.expire(bounds, 100)
    await tidy(ledger, bounds, 1)
    assert keys(ledger) == ["runs", "young"]
    again = await ledger.submit([], queue_limit=1, key="runs", fingerprint=b"")
    assert again.is_repeated and len(again.jobs) == 2


async def test_keys_of_jobs_beyond_the_count_do_not_pile_up(ledger):
    for number in range(6):
        await run(ledger, key=f"{number}")
    bounds = Bounds(rfc3339(0), count=2)
    await ledger.expire(bounds, 100)
    await tidy(ledger, bounds, 1)
    assert keys(ledger) == ["4", "5"]


async def test_old_events_go_in_steps(ledger, monkeypatch):
    monkeypatch.setattr(expiry, "EVENTS_KEPT", 10)
    await run(ledger, 30)
    before = count(ledger, "events")
    assert before == 90
    bounds = Bounds(rfc3339(0), count=FOR_EVER)
    removed = await ledger.tidy(bounds, 5)
    assert 0 < removed <= 5 * expiry.EVENTS_PER_JOB + 1
    await tidy(ledger, bounds, 5)
    assert count(ledger, "events") == 10
    assert [event.seq for event in await ledger.events(0, 1000)] == list(range(81, 91))


async def test_an_empty_ledger_has_nothing_to_remove(ledger):
    bounds = Bounds(now(), count=0)
    assert await ledger.expire(bounds, 9) == [] and await ledger.tidy(bounds, 9) == 0


def test_retention_scans_nothing(tmp_path):
    SqliteLedger(tmp_path / "l.db").close()
    db = apsw.Connection(str(tmp_path / "l.db"))
    steps: list[str] = []

    def explain(cursor: apsw.Cursor, sql: str, bindings: object) -> bool:
        if sql.startswith("SELECT"):
            plan = apsw.Connection(str(tmp_path / "l.db"))
            steps.extend(row[3] for row in plan.execute(f"EXPLAIN QUERY PLAN {sql}", bindings))
            plan.close()
        return True

    db.exec_trace = explain
    expiry.read_expired(db, Bounds(now(), count=FOR_EVER), 9)
    expiry.read_untidy(db, Bounds(now(), count=FOR_EVER), 9)
    db.close()
    assert any("submissions_created_at" in step for step in steps)
    assert not [step for step in steps if step.startswith(("SCAN submissions", "USE TEMP"))]
    allowed = ("SCAN jobs USING INDEX sqlite_autoindex_jobs_1",)  # the first one
    assert not [step for step in steps if step.startswith("SCAN jobs") and step not in allowed]


async def test_a_batch_of_events_is_bounded_in_bytes(ledger):
    size = sqlite.EVENTS_BYTES // 3
    specs = [Spec(args=["x" * size])] * 4 + [Spec(args=["y" * 2 * sqlite.EVENTS_BYTES])]
    jobs = (await ledger.submit(specs, queue_limit=LIMIT)).jobs
    seen: list[str] = []
    after = 0
    while events := await ledger.events(after, 100):
        bytes_ = sum(len(event.job.args[0]) for event in events)
        assert bytes_ <= sqlite.EVENTS_BYTES or len(events) == 1
        seen += [event.job.id for event in events]
        after = events[-1].seq
    assert seen == [job.id for job in jobs]
