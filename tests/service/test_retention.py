"""Ended jobs go after an age, beyond a count, beyond a total size; running ones never."""

from __future__ import annotations

import pytest

from service.jobs import End, Spec, now
from service.ledger import Query
from service.ledger.sqlite import SqliteLedger
from service.running.retention import Retention
from service.settings import RetentionSettings
from tests.service.conftest import eventually

OFTEN = {"SQUALL_RETENTION_INTERVAL": 0.1}


def ids(service):
    return {job["id"] for job in service.ask("GET", "/v1/jobs?limit=1000").json["jobs"]}


def journals(service):
    return [path for path in (service.directory / "journals").rglob("*") if path.is_file()]


def test_an_age(start_service):
    service = start_service(2, SQUALL_RETENTION_AGE=1, **OFTEN)
    running = service.submit("sleep", "60")["id"]
    for _ in range(3):
        service.run("true", labels={"a": "b"})
    assert len(ids(service)) == 4
    eventually(lambda: ids(service) == {running})


def test_a_count_keeps_the_newest(start_service):
    service = start_service(SQUALL_RETENTION_COUNT=2, **OFTEN)
    jobs = [service.run("true")["id"] for _ in range(6)]
    eventually(lambda: ids(service) == set(jobs[-2:]))


def test_a_total_size_removes_the_oldest_output(start_service):
    service = start_service(SQUALL_RETENTION_OUTPUT_BYTES=1_000_000, **OFTEN)
    small = service.run("echo", "small")["id"]
    large = [service.run("head", "-c", "400000", "/dev/zero")["id"] for _ in range(5)]
    eventually(lambda: len(ids(service)) <= 3)
    assert {small, large[-1]} <= ids(service)
    eventually(lambda: sum(path.stat().st_blocks * 512 for path in journals(service)) <= 1_000_000)


def test_deleting_a_job_removes_its_files(start_service):
    service = start_service()
    id = service.run("head", "-c", "400000", "/dev/zero")["id"]
    assert len(journals(service)) > 0
    assert service.ask("DELETE", f"/v1/jobs/{id}").status == 204
    assert journals(service) == []


@pytest.mark.gen_test(timeout=30)
async def test_a_file_that_cannot_be_removed_keeps_nothing_else(tmp_path):
    ledger = SqliteLedger(tmp_path / "l.db")
    journals = tmp_path / "journals"
    specs = [Spec(args=["true"])] * 3
    submission = await ledger.submit(specs, queue_limit=9, owner="1", room=3, key="k")
    ids = [job.id for job in submission.jobs]
    for id in ids:
        await ledger.end(id, End(state="lost", reason="crash", finished_at=now()))
        journal = journals / id[-2:] / f"{id}.journal"
        journal.parent.mkdir(parents=True, exist_ok=True)
        journal.mkdir() if id == ids[1] else journal.write_bytes(b"")
    settings = RetentionSettings(age=0, count=0)
    await Retention(ledger, journals, tmp_path / "lock", settings)._look()
    assert [path.stem for path in journals.glob("??/*")] == [ids[1]]
    assert (await ledger.page(Query())).jobs == []
    again = await ledger.submit(specs, queue_limit=9, key="k")
    assert not again.is_repeated, "its key is gone, too"
    ledger.close()
