"""What a newer version stored is read by an older one; requests are read strictly."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest

from service import checks
from service.errors import Invalid
from service.jobs import End, Limits, Spec, Stdin, Stop, Usage, now
from service.ledger import Query
from service.ledger.sqlite import SqliteLedger

pytestmark = pytest.mark.gen_test(timeout=30)

NEWER: dict[str, Any] = {
    "args": ["a"] * 5000,  # more than a request may have
    "env": {"A": "b"},
    "sandbox": {"network": False},
    "stop": {"signal": "SIGINT", "grace": 1e6, "notify": True},
    "limits": {"cpu_seconds": 3, "memory_bytes": 1 << 30, "file_size": {"soft": 1}},
    "labels": {f"n{number}": "x" for number in range(100)},
    "timeout": "PT3S",
}


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[SqliteLedger]:
    ledger = SqliteLedger(tmp_path / "l.db")
    yield ledger
    ledger.close()


@pytest.fixture
def newer(tmp_path: Path, ledger: SqliteLedger) -> Iterator[apsw.Connection]:
    """A connection by which another version writes."""
    db = apsw.Connection(str(tmp_path / "l.db"))
    yield db
    db.close()


async def submit(ledger: SqliteLedger) -> str:
    return (await ledger.submit([Spec(args=["x"])], queue_limit=9)).jobs[0].id


async def test_a_newer_spec_is_read_without_what_is_not_known(ledger, newer):
    id = await submit(ledger)
    stdin = {"text": "in", "encoding": "latin-1"}
    newer.execute("UPDATE jobs SET spec = ?, stdin = ?", (json.dumps(NEWER), json.dumps(stdin)))
    job = await ledger.get(id)
    assert job.args == NEWER["args"] and job.env == {"A": "b"} and job.timeout is None
    assert job.stop == Stop("SIGINT", 1e6) and job.limits == Limits(cpu_seconds=3)
    assert job.labels == NEWER["labels"]
    assert (await ledger.page(Query(text="A A A"))).jobs == [job]
    assert (await ledger.events(0, 9))[0].job == job
    (claim,) = await ledger.claim("1", 1)
    assert claim.spec.args == job.args and claim.spec.stdin == Stdin(text="in")
    assert (await ledger.asked(id)).spec == claim.spec
    with pytest.raises(Invalid, match="sandbox"):
        checks.decode(json.dumps(NEWER).encode(), Spec)


async def test_a_newer_end_is_read_as_it_is(ledger, newer):
    id = await submit(ledger)
    await ledger.claim("1", 1)
    end = End(state="failed", reason="exit", finished_at=now(), usage=Usage(1, 2, 3))
    await ledger.end(id, end)
    usage = {"user_seconds": 1, "system_seconds": 2, "max_rss_bytes": 3, "swaps": 4}
    newer.execute("UPDATE jobs SET reason = 'dependency', usage = ?", (json.dumps(usage),))
    job = await ledger.get(id)
    assert (job.reason, job.usage) == ("dependency", Usage(1, 2, 3))
    newer.execute("UPDATE jobs SET usage = ?", ('{"user": "1s"}',))
    assert (await ledger.get(id)).usage is None


@pytest.mark.parametrize("stdin", ['"pty"', '{"file": "/etc/motd"}', "not JSON"])
async def test_a_stdin_of_another_kind_is_none(ledger, newer, stdin):
    await submit(ledger)
    newer.execute("UPDATE jobs SET stdin = ?", (stdin,))
    (claim,) = await ledger.claim("1", 1)
    assert claim.spec.stdin is None


@pytest.mark.parametrize("spec", ["not JSON", "[]", '{"args": "ls"}', "{}", '{"args": [1]}'])
async def test_one_spec_that_cannot_be_read_spoils_no_list(ledger, newer, spec):
    id = await submit(ledger)
    newer.execute("UPDATE jobs SET spec = ?", (spec,))
    other = await submit(ledger)
    assert [job.id for job in (await ledger.page(Query())).jobs] == [other, id]
    assert [job.id for job in (await ledger.page(Query(text="x"))).jobs] == [other]
    assert (await ledger.get(id)).args == []
    assert {claim.id for claim in await ledger.claim("1", 9)} == {other, id}
    assert len(await ledger.events(0, 9)) == 2
