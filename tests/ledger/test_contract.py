"""The contract of every ledger: each test runs on each backend, with two processes' views of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import apsw
import msgspec
import pytest

from service.errors import Conflict, Full, KeyReused, NotFound
from service.jobs import End, Job, Spec, Stdin, Stop, Stream, Usage, now
from service.ledger import Asked, Leader, Ledger, Query, Start
from service.ledger.sqlite import SqliteLedger

pytestmark = pytest.mark.gen_test(timeout=30)

TRUE = Spec(args=["/bin/true"])
LIMIT = 1000
SUCCESS = End(
    state="succeeded", reason="exit", finished_at="2026-01-01T00:00:01.000000Z", exit_code=0,
    pid=7, started_at="2026-01-01T00:00:00.000000Z",
)  # fmt: skip
CANCELLED = End(state="cancelled", reason="cancelled", finished_at=now())


def of_a_newer_version(path: Path) -> SqliteLedger:
    """Open a ledger to which another version has added columns and tables."""
    if not (path / "l.db").exists():
        SqliteLedger(path / "l.db").close()
        db = apsw.Connection(str(path / "l.db"))
        for table in ("jobs", "labels", "submissions", "events", "tally", "probe"):
            db.execute(f"ALTER TABLE {table} ADD COLUMN added TEXT NOT NULL DEFAULT 'later'")
        db.execute("CREATE TABLE added (name TEXT)")
        db.execute("PRAGMA user_version = 999")
        db.close()
    return SqliteLedger(path / "l.db")


BACKENDS: dict[str, Callable[[Path], Ledger]] = {
    "sqlite": lambda path: SqliteLedger(path / "l.db"),
    "sqlite of a newer version": of_a_newer_version,
}


@pytest.fixture(params=list(BACKENDS))
def views(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Ledger, Ledger]]:
    """One ledger, as two processes see it."""
    opened = [BACKENDS[request.param](tmp_path) for _ in range(2)]
    yield opened[0], opened[1]
    for ledger in opened:
        ledger.close()


@pytest.fixture
def ledger(views: tuple[Ledger, Ledger]) -> Ledger:
    return views[0]


@pytest.fixture
def other(views: tuple[Ledger, Ledger]) -> Ledger:
    return views[1]


async def submit(ledger: Ledger, spec: Spec = TRUE, **options: object) -> Job:
    submission = await ledger.submit([spec], queue_limit=LIMIT, **options)  # type: ignore[arg-type]
    return submission.jobs[0]


async def run_to_end(ledger: Ledger, end: End = SUCCESS, journal: bytes | None = None) -> str:
    await submit(ledger)
    (claim,) = await ledger.claim("1", 1)
    await ledger.end(claim.id, end, journal)
    return claim.id


async def test_submitted_job_is_seen_by_every_process_with_all_that_was_asked(ledger, other):
    spec = Spec(
        args=["sh", "-c", "echo ü"], env={"A": "b"}, cwd="/tmp", timeout=2.5,
        stop=Stop("SIGINT", 1.5), labels={"app": "web"},
    )  # fmt: skip
    job = await submit(ledger, spec)
    assert job.state == "queued" and job.owner is None
    seen = await other.get(job.id)
    assert seen == job
    for name in ("args", "env", "cwd", "timeout", "stop", "labels"):
        assert getattr(seen, name) == getattr(spec, name)


async def test_what_was_asked_is_there_after_the_end_too(ledger, other):
    specs = [TRUE, Spec(args=["cat"], stdin=Stdin(text="short")), Spec(args=["cat"], stdin="open")]
    jobs = (await ledger.submit(specs, queue_limit=LIMIT, owner="1", room=3)).jobs
    for job in jobs:
        await ledger.end(job.id, SUCCESS)
    asked = [await other.asked(job.id) for job in jobs]
    assert [one.spec for one in asked] == specs
    assert [one.has_all for one in asked] == [True, True, False]
    with pytest.raises(NotFound):
        await ledger.asked("no-such-job")


async def test_long_stdin_leaves_with_the_end_and_its_lack_is_told(ledger, other):
    spec = Spec(args=["cat"], stdin=Stdin(text="x" * 100_000))
    job = await submit(ledger, spec, owner="1", room=1)
    assert await other.asked(job.id) == Asked(spec, has_all=True)
    await ledger.end(job.id, SUCCESS)
    assert await other.asked(job.id) == Asked(Spec(args=["cat"]), has_all=False)


async def test_open_stdin_that_got_nothing_is_nothing_to_miss(ledger, other):
    spec = Spec(args=["cat"], stdin="open")
    job = await submit(ledger, spec, owner="1", room=1)
    await ledger.end(job.id, SUCCESS, got_input=False)
    assert await other.asked(job.id) == Asked(Spec(args=["cat"]), has_all=True)


async def test_a_job_tells_which_one_it_runs_again(ledger, other):
    first = await submit(ledger)
    again = await submit(ledger, rerun_of=first.id)
    assert again.rerun_of == (await other.get(again.id)).rerun_of == first.id
    assert first.rerun_of is None


async def test_a_handover_is_counted_and_gives_what_runs_on(ledger, other):
    spec = Spec(args=["cat"], stdin="open", timeout=5)
    told = Spec(args=["cat"], stdin=Stdin(text="x" * 1000))
    first, second, ended = (
        await ledger.submit([spec, told, TRUE], queue_limit=LIMIT, owner="1", room=3)
    ).jobs
    await ledger.start([Start(first.id, 4711, now())])
    await ledger.end(ended.id, SUCCESS)
    stranger = await submit(ledger, owner="2", room=1)
    ids = [first.id, second.id, ended.id, stranger.id, "no-such-job"]
    claims = {claim.id: claim.spec for claim in await ledger.take_over("1", ids)}
    assert claims == {first.id: spec, second.id: Spec(args=["cat"])}
    await ledger.take_over("1", [first.id])
    counts = [(await other.get(id)).handovers for id in ids[:4]]
    assert counts == [2, 1, 0, 0]
    assert (await other.get(first.id)).state == "running"


async def test_claims_take_the_oldest_first_and_each_job_once(ledger, other):
    ids = [job.id for job in (await ledger.submit([TRUE] * 20, queue_limit=LIMIT)).jobs]
    assert ids == sorted(ids)
    first = await ledger.claim("1", 3)
    assert [claim.id for claim in first] == ids[:3]
    both = await asyncio.gather(ledger.claim("1", 20), other.claim("2", 20))
    rest = [claim.id for claims in both for claim in claims]
    assert sorted(rest) == ids[3:]
    assert await other.claim("2", 1) == []


async def test_submission_with_room_claims_its_own_jobs_when_nobody_waits(ledger, other):
    specs = [Spec(args=["cat"], stdin=Stdin(text=str(n)), labels={"n": str(n)}) for n in range(3)]
    submission = await ledger.submit(specs, queue_limit=LIMIT, owner="1", room=2)
    ids = [job.id for job in submission.jobs]
    assert [claim.id for claim in submission.claims] == ids[:2]
    assert [claim.spec for claim in submission.claims] == specs[:2]
    assert [(await other.get(id)).owner for id in ids] == ["1", "1", None]
    assert [job.id for job in await other.unfinished("1")] == ids[:2]
    assert [claim.id for claim in await other.claim("2", 3)] == ids[2:]


async def test_submission_with_room_claims_the_oldest_that_wait_first(ledger, other):
    older = (await ledger.submit([TRUE] * 2, queue_limit=LIMIT)).jobs
    submission = await ledger.submit([TRUE] * 2, queue_limit=LIMIT, owner="1", room=3)
    first, last = submission.jobs
    assert [claim.id for claim in submission.claims] == [*(job.id for job in older), first.id]
    assert [claim.id for claim in await other.claim("2", 9)] == [last.id]


async def test_repeated_submission_claims_nothing(ledger, other):
    asked = {"queue_limit": LIMIT, "key": "k", "fingerprint": b"1"}
    first = await ledger.submit([TRUE], owner="1", room=1, **asked)
    again = await other.submit([TRUE], owner="2", room=1, **asked)
    assert again.is_repeated and again.claims == []
    assert again.jobs[0].id == first.jobs[0].id and again.jobs[0].owner == "1"


async def test_claim_brings_stdin_and_the_end_removes_it(ledger, other):
    await submit(ledger, Spec(args=["cat"], stdin=Stdin(text="in")))
    (claim,) = await other.claim("2", 1)
    assert claim.spec.stdin == Stdin(text="in")
    await other.end(claim.id, SUCCESS)
    assert claim.spec.args == (await ledger.get(claim.id)).args


async def test_start_and_end_are_written_down(ledger, other):
    job = await submit(ledger)
    await ledger.claim("1", 1)
    await ledger.start([Start(job.id, 4711, "2026-01-01T00:00:00.000000Z")])
    running = await other.get(job.id)
    assert (running.state, running.pid, running.owner) == ("running", 4711, "1")
    end = End(
        state="failed", reason="signal", finished_at="2026-01-01T00:00:02.000000Z", duration=2.0,
        signal="SIGKILL", usage=Usage(0.5, 0.25, 4096), stdout=Stream(10, 4), stderr=Stream(1, 0),
    )  # fmt: skip
    await ledger.end(job.id, end, b"journal")
    ended = await other.get(job.id)
    for name in ("state", "reason", "finished_at", "duration", "signal", "usage", "stdout"):
        assert getattr(ended, name) == getattr(end, name)
    assert (ended.pid, ended.exit_code) == (4711, None)
    assert await other.journal(job.id) == b"journal"


async def test_start_and_end_of_a_short_job_are_one_write(ledger, other):
    id = await run_to_end(ledger)
    job = await other.get(id)
    assert (job.state, job.pid, job.started_at) == ("succeeded", 7, SUCCESS.started_at)


@pytest.mark.parametrize(
    "end",
    [CANCELLED, msgspec.structs.replace(SUCCESS, finished_at="2026-01-01T00:00:02.000000Z")],
    ids=["cancelled", "succeeded at another time"],
)
async def test_an_ended_job_never_moves_again(ledger, end):
    id = await run_to_end(ledger)
    with pytest.raises(ValueError, match="cannot go from succeeded"):
        await ledger.end(id, end)
    with pytest.raises(ValueError, match="cannot go from succeeded"):
        await ledger.start([Start(id, 1, now())])


async def test_what_is_written_again_changes_nothing(ledger, other):
    await ledger.submit([TRUE], queue_limit=LIMIT)
    (claim,) = await ledger.claim("1", 1)
    start = Start(claim.id, 7, SUCCESS.started_at)
    for view in (ledger, other):
        await view.start([start])
    for view in (ledger, other):
        await view.end(claim.id, SUCCESS, b"journal")
    await other.end(claim.id, SUCCESS)
    assert await ledger.journal(claim.id) == b"journal"
    states = [event.job.state for event in await ledger.events(0, 100)]
    assert states == ["queued", "running", "succeeded"]


async def test_one_illegal_move_takes_nothing_else_with_it(ledger, other):
    ended = await run_to_end(ledger)
    await ledger.submit([TRUE] * 3, queue_limit=LIMIT)
    first, second, third = await ledger.claim("1", 3)
    at = SUCCESS.started_at
    results = await asyncio.gather(
        submit(ledger, Spec(args=["before"])),
        ledger.end(first.id, SUCCESS),
        ledger.end(ended, CANCELLED),
        ledger.end(second.id, None),
        ledger.start([Start(ended, 1, at), Start("unknown", 1, at), Start(third.id, 9, at)]),
        submit(ledger, Spec(args=["after"])),
        return_exceptions=True,
    )
    kinds = [type(result) for result in results]
    assert kinds == [Job, type(None), ValueError, AttributeError, ValueError, Job]
    for job in (results[0], results[-1]):
        assert (await other.get(job.id)).state == "queued"
    states = [(await other.get(claim.id)).state for claim in (first, second, third)]
    assert states == ["succeeded", "queued", "running"]


async def test_a_job_that_was_not_claimed_cannot_start(ledger):
    job = await submit(ledger)
    with pytest.raises(ValueError, match="not claimed"):
        await ledger.start([Start(job.id, 1, now())])
    assert (await ledger.get(job.id)).state == "queued"


async def test_cancel_of_a_waiting_job_ends_it_and_it_is_never_claimed(ledger, other):
    job = await submit(ledger)
    cancelled, has_changed = await other.request_cancel(job.id)
    assert has_changed and cancelled.state == "cancelled" and cancelled.cancel_requested
    assert await ledger.claim("1", 1) == []
    assert (await other.request_cancel(job.id))[1] is False


async def test_cancel_of_a_claimed_job_is_a_wish(ledger, other):
    job = await submit(ledger)
    await ledger.claim("1", 1)
    wished, has_changed = await other.request_cancel(job.id)
    assert has_changed and wished.state == "queued" and wished.cancel_requested
    await ledger.end(job.id, CANCELLED)
    assert (await other.get(job.id)).state == "cancelled"


async def test_a_full_queue_refuses_a_batch_whole(ledger):
    await ledger.submit([TRUE] * 3, queue_limit=4)
    with pytest.raises(Full):
        await ledger.submit([TRUE] * 2, queue_limit=4)
    assert (await ledger.tally())["queued"] == 3
    await ledger.submit([TRUE], queue_limit=4)


async def test_one_refusal_does_not_touch_the_others_of_its_group(ledger):
    results = await asyncio.gather(
        *(ledger.submit([TRUE], queue_limit=2) for _ in range(4)),
        ledger.get("unknown"),
        return_exceptions=True,
    )
    assert [type(result) for result in results[2:]] == [Full, Full, NotFound]
    assert (await ledger.tally())["queued"] == 2


async def test_a_repeated_key_gives_the_same_jobs_and_another_body_is_refused(ledger, other):
    first = await ledger.submit([TRUE, TRUE], queue_limit=LIMIT, key="k", fingerprint=b"1")
    again = await other.submit([TRUE, TRUE], queue_limit=LIMIT, key="k", fingerprint=b"1")
    assert again.is_repeated and not first.is_repeated
    assert [job.id for job in again.jobs] == [job.id for job in first.jobs]
    with pytest.raises(KeyReused):
        await other.submit([TRUE], queue_limit=LIMIT, key="k", fingerprint=b"2")
    assert (await other.tally())["queued"] == 2


async def test_the_same_key_at_the_same_instant_is_accepted_once(ledger, other):
    calls = [
        view.submit([TRUE], queue_limit=LIMIT, key="k", fingerprint=b"1")
        for view in (ledger, other) * 8
    ]
    submissions = await asyncio.gather(*calls)
    assert len({submission.jobs[0].id for submission in submissions}) == 1
    assert sum(not submission.is_repeated for submission in submissions) == 1


async def test_forget_removes_an_ended_job_only(ledger, other):
    job = await submit(ledger, Spec(args=["true"], labels={"a": "b"}))
    with pytest.raises(Conflict):
        await other.forget(job.id)
    await ledger.claim("1", 1)
    with pytest.raises(Conflict):
        await other.forget(job.id)
    await ledger.end(job.id, SUCCESS)
    await other.forget(job.id)
    with pytest.raises(NotFound):
        await ledger.get(job.id)
    assert (await ledger.page(Query(labels=(("a", "b"),)))).jobs == []
    assert set((await ledger.tally()).values()) == {0}


async def test_unknown_ids_are_not_found(ledger):
    for call in (ledger.get("x"), ledger.forget("x"), ledger.request_cancel("x")):
        with pytest.raises(NotFound):
            await call
    with pytest.raises(NotFound):
        await ledger.end("x", SUCCESS)


async def test_pages_are_newest_first_and_cover_every_job_once(ledger):
    ids = [job.id for job in (await ledger.submit([TRUE] * 25, queue_limit=LIMIT)).jobs]
    seen, before = [], None
    while True:
        page = await ledger.page(Query(limit=10, before=before))
        seen += [job.id for job in page.jobs]
        if page.next_cursor is None:
            break
        before = page.next_cursor
    assert seen == ids[::-1]


async def test_lists_filter_by_any_state_and_all_labels(ledger):
    red = Spec(args=["true"], labels={"colour": "red", "size": "s"})
    blue = Spec(args=["true"], labels={"colour": "blue", "size": "s"})
    first, second, third, fourth = (
        await ledger.submit([red, blue, red, TRUE], queue_limit=LIMIT)
    ).jobs
    await ledger.claim("1", 1)
    await ledger.end(first.id, SUCCESS)
    await ledger.request_cancel(second.id)

    async def found(**query: object) -> list[str]:
        page = await ledger.page(Query(**query))  # type: ignore[arg-type]
        return [job.id for job in page.jobs]

    assert await found(states=("queued",)) == [fourth.id, third.id]
    assert await found(states=("succeeded", "cancelled")) == [second.id, first.id]
    assert await found(labels=(("size", "s"),)) == [third.id, second.id, first.id]
    assert await found(labels=(("size", "s"), ("colour", "red"))) == [third.id, first.id]
    assert await found(labels=(("colour", "red"),), states=("queued", "lost")) == [third.id]
    assert await found(labels=(("colour", "green"),)) == []
    assert await found(labels=(("size", "s"),), limit=1, before=third.id) == [second.id]


async def test_progress_tells_claimed_from_ended(ledger, other):
    jobs = (await ledger.submit([TRUE] * 3, queue_limit=LIMIT)).jobs
    ended, claimed, waiting = (job.id for job in jobs)
    await other.claim("2", 2)
    await other.end(ended, SUCCESS)
    progress = await ledger.progress([ended, claimed, waiting, "unknown"])
    assert progress == {ended: "ended", claimed: "claimed", "unknown": "ended"}


async def test_a_dead_owners_jobs_are_found_and_may_be_lost_from_either_state(ledger, other):
    first, second, _ = (await ledger.submit([TRUE] * 3, queue_limit=LIMIT)).jobs
    await ledger.claim("1", 2)
    await ledger.start([Start(first.id, 1, now())])
    assert await other.owners() == ["1"]
    assert {job.id for job in await other.unfinished("1")} == {first.id, second.id}
    for job in (first, second):
        await other.end(job.id, End(state="lost", reason="crash", finished_at=now()))
    assert await other.owners() == []
    assert (await other.tally())["lost"] == 2


async def test_what_was_accepted_is_there_after_reopening(tmp_path):
    for number, open_ledger in enumerate(BACKENDS.values()):
        path = tmp_path / str(number)
        path.mkdir()
        ledger = open_ledger(path)
        job = await submit(ledger)
        ledger.close()
        ledger = open_ledger(path)
        assert await ledger.get(job.id) == job
        await ledger.probe()
        ledger.close()


async def test_a_cancelled_await_leaves_the_ledger_usable(ledger):
    task = asyncio.ensure_future(submit(ledger))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    job = await submit(ledger)
    assert (await ledger.get(job.id)).id == job.id


async def test_a_claim_given_back_waits_in_its_old_place(ledger, other):
    older, younger = [await submit(ledger), await submit(ledger)]
    assert [claim.id for claim in await ledger.claim("1", 1)] == [older.id]
    assert await ledger.unclaim("1", [older.id]) == []
    assert await other.get(older.id) == older
    assert [claim.id for claim in await other.claim("2", 2)] == [older.id, younger.id]


async def test_a_claim_given_back_by_somebody_else_or_too_late_stays(ledger):
    job = await submit(ledger, owner="1", room=1)
    await ledger.unclaim("2", [job.id])
    assert (await ledger.get(job.id)).owner == "1"
    await ledger.start([Start(job.id, 7, now())])
    await ledger.unclaim("1", [job.id, "unknown"])
    assert (await ledger.get(job.id)).state == "running"


async def test_a_claim_given_back_is_cancelled_where_that_was_wished(ledger):
    jobs = [await submit(ledger, owner="1", room=1) for _ in range(2)]
    await ledger.request_cancel(jobs[0].id)
    assert await ledger.unclaim("1", [job.id for job in jobs]) == [jobs[0].id]
    assert [(await ledger.get(job.id)).state for job in jobs] == ["cancelled", "queued"]


async def test_an_owner_finds_the_wishes_to_cancel_its_unfinished_jobs(ledger, other):
    mine, ended, foreign, waits = [
        await submit(ledger, owner=owner, room=len(owner)) for owner in ("1", "1", "2", "")
    ]
    for job in (mine, ended, foreign, waits):
        await other.request_cancel(job.id)
    await ledger.end(ended.id, CANCELLED)
    assert await ledger.cancels("1") == [mine.id]


async def test_the_processes_of_running_jobs_are_kept_until_their_ends(ledger, other):
    jobs = [await submit(ledger, owner="1", room=1) for _ in range(3)]
    starts = [Start(job.id, 7 + n, now(), "boot", 100 + n) for n, job in enumerate(jobs[:2])]
    await ledger.start([*starts, Start(jobs[2].id, 9, now())])
    await ledger.end(jobs[0].id, SUCCESS)
    assert await other.leaders("1") == [Leader(jobs[1].id, 8, "boot", 101)]
