"""Writes that can't be made: what is told is what stands in the ledger, and nothing is stranded."""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import apsw
import pytest

from service.errors import LedgerError, NotFound, QueryTooSlow
from service.jobs import End, Spec, now
from service.ledger import connection, sqlite, thread
from service.ledger.sqlite import SqliteLedger

pytestmark = pytest.mark.gen_test(timeout=60)

TRUE = Spec(args=["/bin/true"])
LIMIT = 1000
FOR_EVER = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"


class Sync:
    """Lets the log's sync fail: its descriptor is a pipe's meanwhile, which can't be synced."""

    def __init__(self, ledger: SqliteLedger) -> None:
        self._fd = ledger._wal._fd
        self._kept = os.dup(self._fd)
        self._pipe = os.pipe()

    def fail(self) -> None:
        os.dup2(self._pipe[0], self._fd)

    def heal(self) -> None:
        os.dup2(self._kept, self._fd)

    def close(self) -> None:
        self.heal()
        for fd in (self._kept, *self._pipe):
            os.close(fd)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "l.db"


@pytest.fixture
def ledger(path: Path) -> Iterator[SqliteLedger]:
    ledger = SqliteLedger(path)
    yield ledger
    ledger.close()


@pytest.fixture
def other(path: Path, ledger: SqliteLedger) -> Iterator[SqliteLedger]:
    other = SqliteLedger(path)
    yield other
    other.close()


@pytest.fixture
def sync(ledger: SqliteLedger) -> Iterator[Sync]:
    sync = Sync(ledger)
    yield sync
    sync.close()


@pytest.fixture
def sql(path: Path, ledger: SqliteLedger) -> Iterator[apsw.Connection]:
    """Another process's connection."""
    db = apsw.Connection(str(path))
    yield db
    db.close()


class WhenTold(logging.Handler):
    """Does something on the writer's thread, right when it says that a sync has failed."""

    def __init__(self, act: Callable[[], object]) -> None:
        super().__init__()
        self._act = act

    def emit(self, record: logging.LogRecord) -> None:
        if record.getMessage().startswith("what is written cannot be made durable"):
            self._act()


@pytest.fixture
def when_told() -> Iterator[Callable[[Callable[[], object]], None]]:
    log = logging.getLogger("service.ledger.writer")
    before = list(log.handlers)
    yield lambda act: log.addHandler(WhenTold(act))
    log.handlers = before


async def states(ledger: SqliteLedger) -> dict[str, int]:
    return {state: jobs for state, jobs in (await ledger.tally()).items() if jobs}


async def test_an_operation_too_large_for_the_disk_takes_nothing_else_with_it(ledger, other):
    await ledger.submit([TRUE] * 2, queue_limit=LIMIT)
    (claim, _) = await ledger.claim("1", 2)
    pages = ledger._db.pragma("page_count")
    ledger._db.execute(f"PRAGMA max_page_count = {pages + 20}")
    huge = Spec(args=["x" * 100_000])
    end = End(state="lost", reason="crash", finished_at=now())
    results = await asyncio.gather(
        ledger.submit([TRUE], queue_limit=LIMIT),
        ledger.submit([huge] * 10, queue_limit=LIMIT),
        ledger.end(claim.id, end),
        return_exceptions=True,
    )
    assert isinstance(results[1], LedgerError) and "full" in str(results[1])
    assert results[2] is None and results[0].jobs
    assert await states(other) == {"queued": 2, "lost": 1}


async def test_an_operation_that_takes_too_long_takes_nothing_else_with_it(
    ledger, other, monkeypatch
):
    monkeypatch.setattr(connection, "OPERATION_S", 0.1)
    results = await asyncio.gather(
        ledger.submit([TRUE], queue_limit=LIMIT),
        ledger._writes.call(lambda: ledger._db.execute(f"INSERT INTO probe {FOR_EVER}")),
        ledger.submit([TRUE], queue_limit=LIMIT),
        return_exceptions=True,
    )
    assert isinstance(results[1], QueryTooSlow)
    assert await states(other) == {"queued": 2}


async def test_what_is_read_has_a_time_limit(ledger, monkeypatch):
    monkeypatch.setattr(connection, "OPERATION_S", 0.1)
    slow = ledger._reads.call(lambda: ledger._read_db.execute(FOR_EVER).fetchall())
    unknown = ledger.get("unknown")
    with pytest.raises(QueryTooSlow, match=r"more than 0\.1 s"):
        await slow
    with pytest.raises(NotFound):
        await unknown


async def test_a_submission_that_cannot_be_made_durable_is_not_there(ledger, other, sync):
    (older,) = (await other.submit([TRUE], queue_limit=LIMIT)).jobs
    sync.fail()
    spec = Spec(args=["true"], labels={"a": "b"})
    for _ in range(2):
        with pytest.raises(LedgerError, match="not durable"):
            await ledger.submit(
                [spec] * 2, queue_limit=LIMIT, owner="1", room=2, key="k", fingerprint=b"1"
            )
        assert await states(other) == {"queued": 1}
        assert await other.owners() == []
    with pytest.raises(LedgerError, match="not durable"):
        await ledger.probe()
    sync.heal()
    await ledger.probe()
    again = await ledger.submit(
        [spec] * 2, queue_limit=LIMIT, owner="1", room=2, key="k", fingerprint=b"1"
    )
    assert not again.is_repeated
    assert [claim.id for claim in again.claims] == [older.id, again.jobs[0].id]
    assert await states(other) == {"queued": 3}
    labels = "SELECT count(*) FROM labels"
    assert other._read_db.execute(labels).get == 2


async def test_a_claim_that_cannot_be_made_durable_is_open_to_others(ledger, other, sync):
    ids = [job.id for job in (await other.submit([TRUE] * 3, queue_limit=LIMIT)).jobs]
    sync.fail()
    with pytest.raises(LedgerError, match="not durable"):
        await ledger.claim("1", 2)
    assert [claim.id for claim in await other.claim("2", 9)] == ids


async def test_what_ran_is_written_and_a_cancel_stands_without_a_durable_log(ledger, other, sync):
    (job, *waiting) = (await ledger.submit([TRUE] * 3, queue_limit=LIMIT)).jobs
    await ledger.claim("1", 1)
    sync.fail()
    for each in waiting:
        cancelled, has_changed = await ledger.request_cancel(each.id)
        assert has_changed and cancelled.state == "cancelled"
    await ledger.end(job.id, End(state="lost", reason="crash", finished_at=now()))
    assert await states(other) == {"cancelled": 2, "lost": 1}


async def test_a_sync_that_fails_once_is_made_by_way_of_the_database(
    ledger, other, sync, path, when_told
):
    sync.fail()
    when_told(sync.heal)
    (job,) = (await ledger.submit([TRUE], queue_limit=LIMIT)).jobs
    assert (await other.get(job.id)).state == "queued"
    await ledger.probe()
    # the log that could not be synced is not needed any more
    shutil.copy(path, path.with_name("copy.db"))
    copy = apsw.Connection(str(path.with_name("copy.db")))
    assert copy.execute("SELECT id FROM jobs").fetchall() == [(job.id,)]
    copy.close()


async def test_a_submission_of_which_others_have_a_job_stands(ledger, other, sync, sql, when_told):
    """It runs, so that is what is told: the other process made it durable when it claimed it."""
    sync.fail()
    when_told(
        lambda: sql.execute("UPDATE jobs SET owner = '2' WHERE id = (SELECT max(id) FROM jobs)")
    )
    submission = await ledger.submit([TRUE] * 3, queue_limit=LIMIT, owner="1", room=2)
    assert len(submission.jobs) == 3 and submission.claims == []
    assert [job.id for job in await other.unfinished("2")] == [submission.jobs[-1].id]
    assert await other.unfinished("1") == []
    sync.heal()
    assert len(await ledger.claim("1", 9)) == 2


async def test_what_cannot_be_undone_at_once_is_undone_before_anything_else(
    ledger, other, sync, sql, when_told, monkeypatch
):
    monkeypatch.setattr("service.ledger.writer.BUSY_MILLISECONDS", 50)
    sync.fail()
    when_told(lambda: sql.execute("BEGIN IMMEDIATE"))
    with pytest.raises(LedgerError, match="not durable"):
        await ledger.submit([TRUE], queue_limit=LIMIT, owner="1", room=1)
    assert [job.owner for job in await other.unfinished("1")] == ["1"]
    sql.execute("ROLLBACK")
    sync.heal()
    await ledger.probe()
    assert await states(other) == {}


async def test_a_bug_in_what_is_told_of_a_commit_does_not_fail_it(tmp_path):
    def on_commit(seconds: float) -> None:
        raise LookupError("no such histogram")

    ledger = SqliteLedger(tmp_path / "l.db", on_commit)
    (job,) = (await ledger.submit([TRUE], queue_limit=LIMIT)).jobs
    assert (await ledger.get(job.id)).state == "queued"
    ledger.close()


class Stopped:
    """Another process that was stopped (SIGSTOP) in its turn to write."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(f"{path}.turn", os.O_RDWR)
        fcntl.flock(self._fd, fcntl.LOCK_EX)

    def go_on(self) -> None:
        os.close(self._fd)


async def test_a_write_whose_turn_does_not_come_is_refused_and_not_made_later(
    ledger, other, path, monkeypatch
):
    monkeypatch.setattr(thread, "WAIT_S", 0.2)
    await ledger.submit([TRUE], queue_limit=LIMIT)
    stopped = Stopped(path)
    writes = [ledger.submit([TRUE], queue_limit=LIMIT), ledger.claim("1", 1), ledger.probe()]
    refused = await asyncio.gather(*writes, return_exceptions=True)
    assert [type(one) for one in refused] == [LedgerError] * 3
    with pytest.raises(LedgerError, match="does not go on"):
        await ledger.submit([TRUE], queue_limit=LIMIT)  # at once: nothing piles up behind them
    assert ledger._writes._queue.empty()
    assert await states(ledger) == {"queued": 1}  # who only reads waits for nobody
    stopped.go_on()
    while True:
        try:
            await ledger.probe()
            break
        except LedgerError:
            await asyncio.sleep(0.01)
    assert await states(other) == {"queued": 1}
    assert len(await other.claim("2", 9)) == 1


async def test_a_ledger_is_closed_although_the_turn_to_write_does_not_come(path, monkeypatch):
    monkeypatch.setattr(thread, "WAIT_S", 0.2)
    ledger = SqliteLedger(path)
    stopped = Stopped(path)
    with pytest.raises(LedgerError):
        await ledger.probe()
    ledger.close()
    stopped.go_on()


def test_a_ledger_is_not_opened_while_the_turn_to_write_does_not_come(path, ledger, monkeypatch):
    monkeypatch.setattr(sqlite, "BUSY_MILLISECONDS", 100)
    stopped = Stopped(path)
    with pytest.raises(LedgerError, match="does not go on"):
        SqliteLedger(path)
    stopped.go_on()
