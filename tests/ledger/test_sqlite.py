"""What is true of the SQLite ledger beyond the contract."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import apsw
import pytest

from service.errors import LedgerError
from service.jobs import Spec
from service.ledger.connection import SQLITE_MIN
from service.ledger.sqlite import SqliteLedger

TRUE = Spec(args=["/bin/true"])

# Submits for ever, printing each id once it was promised to be durable.
SUBMITTER = """
import asyncio, sys, pathlib
from service.jobs import Spec
from service.ledger.sqlite import SqliteLedger
async def main():
    ledger = SqliteLedger(pathlib.Path(sys.argv[1]))
    while True:
        submission = await ledger.submit([Spec(args=["true"])] * 3, queue_limit=10**6)
        for job in submission.jobs:
            print(job.id, flush=True)
asyncio.run(main())
"""


def test_the_bundled_sqlite_is_sound():
    assert tuple(map(int, apsw.sqlite_lib_version().split("."))) >= SQLITE_MIN


def test_an_unsound_sqlite_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(apsw, "sqlite_lib_version", lambda: "3.40.1")
    with pytest.raises(LedgerError, match=r"3\.40\.1 can corrupt"):
        SqliteLedger(tmp_path / "l.db")


def test_a_file_that_is_no_database_is_refused(tmp_path):
    (tmp_path / "l.db").write_bytes(b"not a database, " * 500)
    with pytest.raises(LedgerError, match="not a database"):
        SqliteLedger(tmp_path / "l.db")


@pytest.mark.gen_test(timeout=60)
async def test_what_was_promised_survives_kill_9_of_several_writers(tmp_path: Path):
    path = tmp_path / "l.db"
    SqliteLedger(path).close()
    command = [sys.executable, "-c", SUBMITTER, str(path)]
    writers = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(3)]
    promised: list[bytes] = []
    for writer in writers:
        assert writer.stdout is not None
        promised += [writer.stdout.readline() for _ in range(30)]
    for writer in writers:
        os.kill(writer.pid, signal.SIGKILL)
    for writer in writers:
        out, _ = writer.communicate()
        promised += [line for line in out.splitlines(keepends=True) if line.endswith(b"\n")]
    ledger = SqliteLedger(path)
    try:
        for line in promised:
            assert (await ledger.get(line.decode().strip())).state == "queued"
        assert apsw.Connection(str(path)).pragma("integrity_check") == "ok"
    finally:
        ledger.close()


@pytest.mark.gen_test(timeout=30)
async def test_a_ledger_that_cannot_be_written_says_so_and_recovers(tmp_path: Path):
    ledger = SqliteLedger(tmp_path / "l.db")
    blocker = apsw.Connection(str(tmp_path / "l.db"))
    try:
        ledger._db.set_busy_timeout(50)
        blocker.execute("BEGIN IMMEDIATE")
        with pytest.raises(LedgerError, match="cannot be written"):
            await ledger.submit([TRUE], queue_limit=10)
        with pytest.raises(LedgerError):
            await ledger.probe()
        blocker.execute("ROLLBACK")
        await ledger.submit([TRUE], queue_limit=10)
        await ledger.probe()
    finally:
        blocker.close()
        ledger.close()


@pytest.mark.gen_test(timeout=60)
async def test_two_processes_that_claim_at_once_never_get_the_same_job(tmp_path: Path):
    path = tmp_path / "l.db"
    ledger = SqliteLedger(path)
    code = """
import asyncio, sys, pathlib
from service.ledger.sqlite import SqliteLedger
async def main():
    ledger = SqliteLedger(pathlib.Path(sys.argv[1]))
    while claims := await ledger.claim(sys.argv[2], 7):
        for claim in claims:
            print(claim.id)
asyncio.run(main())
"""
    try:
        await ledger.submit([TRUE] * 900, queue_limit=1000)
        command = [sys.executable, "-c", code, str(path)]
        claimers = [
            subprocess.Popen([*command, str(n)], stdout=subprocess.PIPE, text=True)
            for n in range(3)
        ]
        ids = [id for claimer in claimers for id in claimer.communicate()[0].split()]
        assert len(ids) == len(set(ids)) == 900
    finally:
        ledger.close()
