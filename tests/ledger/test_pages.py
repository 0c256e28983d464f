"""Lists by time, by text and by labels; pages that are bounded in bytes and in time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import apsw
import pytest

from service.errors import QueryTooSlow
from service.jobs import End, Job, Spec, now, rfc3339
from service.ledger import Query, pages, sqlite
from service.ledger.sqlite import SqliteLedger
from tests.ledger.conftest import DAY_NS

pytestmark = pytest.mark.gen_test(timeout=30)

LIMIT = 100_000


async def submit(ledger: SqliteLedger, *commands: str, **labels: str) -> list[Job]:
    specs = [Spec(args=command.split(" "), labels=labels) for command in commands]
    return (await ledger.submit(specs, queue_limit=LIMIT)).jobs


async def listed(ledger: SqliteLedger, **query: object) -> list[str]:
    """Return the ids of all pages."""
    asked = Query(**query)  # type: ignore[arg-type]
    ids: list[str] = []
    while True:
        page = await ledger.page(asked)
        ids += [job.id for job in page.jobs]
        if page.next_cursor is None:
            return ids
        asked = Query(**query | {"before": page.next_cursor})  # type: ignore[arg-type]


def newest_first(*batches: Sequence[Job]) -> list[str]:
    return sorted((job.id for batch in batches for job in batch), reverse=True)


async def test_since_is_inclusive_and_until_is_exclusive(ledger):
    (first,) = await submit(ledger, "a")
    (second,) = await submit(ledger, "b")
    (third,) = await submit(ledger, "c")
    assert await listed(ledger, since=second.created_at) == [third.id, second.id]
    assert await listed(ledger, until=second.created_at) == [first.id]
    span = {"since": first.created_at, "until": third.created_at}
    assert await listed(ledger, **span) == [second.id, first.id]
    assert await listed(ledger, **span, limit=1) == [second.id, first.id]
    assert await listed(ledger, since=third.created_at, until=first.created_at) == []
    assert await listed(ledger, until=rfc3339(0)) == []


@pytest.mark.parametrize("days", [-1, 1])
async def test_times_are_those_of_created_at_when_the_clock_was_set(ledger, clock, days):
    """Ids stay in the order of submission, and so do lists; `created_at` is the clock's."""
    before = await submit(ledger, "before", "before")
    clock.offset = days * DAY_NS
    after = await submit(ledger, "after", "after", app="web")
    clock.offset = 0
    again = await submit(ledger, "again")
    assert await listed(ledger) == [job.id for job in (*again, *after[::-1], *before[::-1])]

    half_a_day = rfc3339((clock() + days * DAY_NS // 2) // 1000)
    earlier, later = ("since", "until") if days > 0 else ("until", "since")
    assert await listed(ledger, **{earlier: half_a_day}) == newest_first(after)
    assert await listed(ledger, **{later: half_a_day}) == newest_first(before, again)
    assert await listed(ledger, **{earlier: half_a_day}, text="AFTER") == newest_first(after)
    assert await listed(ledger, **{earlier: half_a_day}, limit=1) == newest_first(after)
    query = {earlier: half_a_day, "labels": (("app", "web"),), "states": ("queued",)}
    assert await listed(ledger, **query) == newest_first(after)
    assert await listed(ledger, since=after[0].created_at, until=after[0].created_at) == []


@pytest.mark.parametrize(
    ("command", "text"),
    [
        ("convert in.jpg out.png", "CONVERT IN"),
        ("convert in.jpg out.png", "g o"),
        ("échelle GRÜSSE", "grüße"),
        ("straße", "STRASSE"),
        ("strasse", "straße"),
        ("Kelvin", "kelvin"),
        ('say "hi\\there"', '"HI\\t'),
        ("a%b_c^d", "%b_c^"),
        ("\tx\n", "\tX\n"),
    ],
)
async def test_text_is_found_whatever_its_case(ledger, command, text):
    (job,) = await submit(ledger, command)
    await submit(ledger, "something else", "abbcd")
    assert await listed(ledger, text=text) == [job.id]


@pytest.mark.parametrize("text", ["app", "tmp", "PATH", "ab", "args", "b c d", "\\n", ","])
async def test_text_is_looked_for_in_the_arguments_only(ledger, text):
    spec = Spec(args=["a", "b", "c\nd"], env={"PATH": "x"}, cwd="/tmp", labels={"app": "web"})
    await ledger.submit([spec], queue_limit=LIMIT)
    assert await listed(ledger, text=text) == []


async def test_all_that_is_asked_for_must_hold(ledger):
    red = await submit(ledger, "run one", "run two", colour="red")
    blue = await submit(ledger, "run one", "run two", colour="blue")
    await ledger.request_cancel(blue[1].id)
    text = {"text": "TWO"}
    assert await listed(ledger, **text) == [blue[1].id, red[1].id]
    assert await listed(ledger, **text, states=("cancelled",)) == [blue[1].id]
    assert await listed(ledger, **text, labels=(("colour", "red"),)) == [red[1].id]
    assert await listed(ledger, **text, until=blue[0].created_at) == [red[1].id]
    query = {"labels": (("colour", "blue"),), "states": ("cancelled", "queued")}
    assert await listed(ledger, **text, **query, since=red[0].created_at) == [blue[1].id]
    assert await listed(ledger, **query, limit=1) == [blue[1].id, blue[0].id]


@pytest.mark.parametrize("rare", [0, 1_000_000], ids=["label leads", "state leads"])
async def test_a_search_in_many_parts_finds_every_job_once(ledger, monkeypatch, rare):
    monkeypatch.setattr(pages, "RARE", rare)
    monkeypatch.setattr(sqlite, "SEARCH_SPAN", 7)
    monkeypatch.setattr(sqlite, "SEARCH_PART_S", -1)  # it never grows
    jobs = await submit(ledger, *(f"job {n % 5}" for n in range(100)), app="web")
    wanted = [job.id for job in jobs if job.args[1] == "3"][::-1]
    for job in jobs[::2]:
        await ledger.request_cancel(job.id)
    for limit in (1, 2, 3, 1000):
        assert await listed(ledger, text="JOB 3", limit=limit) == wanted
        labels = (("app", "web"),)
        assert await listed(ledger, text="job 3", labels=labels, limit=limit) == wanted
        query = {"labels": labels, "states": ("cancelled",), "limit": limit}
        assert await listed(ledger, **query) == [job.id for job in jobs[::2]][::-1]


async def test_a_search_answers_what_it_has_when_its_time_is_up(ledger, monkeypatch):
    monkeypatch.setattr(sqlite, "SEARCH_SPAN", 10)
    monkeypatch.setattr(sqlite, "SEARCH_S", 0)
    jobs = await submit(ledger, "wanted", *["other"] * 30, "wanted")
    page = await ledger.page(Query(text="wanted"))
    assert page.jobs == [jobs[-1]] and page.next_cursor is not None
    page = await ledger.page(Query(text="wanted", before=page.next_cursor))
    assert page.jobs == [jobs[0]], "it goes on for longer when it has found nothing"
    monkeypatch.setattr(sqlite, "SEARCH_IN_VAIN_S", 0)
    page = await ledger.page(Query(text="wanted", before=jobs[-1].id))
    assert page.jobs == [] and page.next_cursor is not None
    assert await listed(ledger, text="wanted") == [jobs[-1].id, jobs[0].id]


async def test_so_many_searches_at_once_and_no_more(ledger, monkeypatch):
    monkeypatch.setattr(sqlite, "SEARCH_SPAN", 1)
    monkeypatch.setattr(sqlite, "SEARCH_PART_S", -1)
    await submit(ledger, *["x"] * 2000)
    long = [asyncio.create_task(ledger.page(Query(text="y"))) for _ in range(sqlite.SEARCHES)]
    waiting = asyncio.create_task(ledger.page(Query(text="z")))
    await asyncio.sleep(0)  # each has begun now
    monkeypatch.setattr(sqlite, "SEARCH_TURN_S", 0)
    with pytest.raises(QueryTooSlow, match="too many searches"):
        await ledger.page(Query(text="x"))
    for search in long:
        search.cancel()
    assert (await waiting).jobs == []


async def test_a_page_is_bounded_in_bytes_and_a_huge_job_comes_alone(ledger):
    size = pages.PAGE_BYTES // 3
    xs = ["x" * size, "x" + "é" * (size // 2 - 1), "x" * size, "x" + "€" * (size // 3 - 1)]
    jobs = await submit(ledger, *xs, "x" * size, "y" * 2 * pages.PAGE_BYTES, "z")
    for query in (Query(), Query(text="x"), Query(labels=())):
        page = await ledger.page(query)
        assert 0 < sum(len(job.args[0].encode()) for job in page.jobs) <= pages.PAGE_BYTES
    ids = [job.id for job in jobs][::-1]
    page = await ledger.page(Query(before=ids[1]))
    assert [job.id for job in page.jobs] == ids[2:4], "two and a half would be too much"
    page = await ledger.page(Query(before=ids[0]))
    assert [job.id for job in page.jobs] == [ids[1]]
    assert await listed(ledger) == ids
    assert await listed(ledger, text="x") == ids[2:]
    assert await listed(ledger, text="Y") == [ids[1]]


@pytest.mark.parametrize(
    "query",
    [
        Query(),
        Query(states=("failed", "lost")),
        Query(since=now(), until=now()),
        Query(labels=(("a", "b"), ("c", "d")), states=("failed",), since=now()),
        Query(text="x", until=now()),
    ],
)
@pytest.mark.parametrize("by_label", [False, True])
def test_no_list_scans_or_sorts(tmp_path, query, by_label):
    SqliteLedger(tmp_path / "l.db").close()
    db = apsw.Connection(str(tmp_path / "l.db"))
    pages.add_functions(db)
    sql, bindings = pages._page_sql(query, by_label and bool(query.labels))
    bindings = bindings | pages._range(query, None)
    steps = [row[3] for row in db.execute("EXPLAIN QUERY PLAN " + sql, bindings)]
    assert not [step for step in steps if step.startswith(("SCAN jobs", "SCAN labels", "USE TEMP"))]
    db.close()


async def test_a_rare_state_leads_the_walk_of_a_label(ledger):
    jobs = await submit(ledger, *["x"] * 50, app="web")
    (claim,) = await ledger.claim("1", 1)
    await ledger.end(claim.id, End(state="lost", reason="crash", finished_at=now()))
    db = ledger._read_db
    assert pages._are_rare(db, ("lost",)) and not pages._are_rare(db, ())
    query = {"labels": (("app", "web"),), "states": ("lost",)}
    assert await listed(ledger, **query) == [jobs[0].id]


async def test_others_read_while_a_search_goes_on(ledger, monkeypatch):
    monkeypatch.setattr(sqlite, "SEARCH_SPAN", 1)
    monkeypatch.setattr(sqlite, "SEARCH_PART_S", -1)
    monkeypatch.setattr(sqlite, "SEARCH_S", 1000)
    jobs = await submit(ledger, *["x"] * 2000)
    search = asyncio.create_task(ledger.page(Query(text="y")))
    for job in jobs[:5]:
        assert (await ledger.get(job.id)).id == job.id
    assert not search.done()
    search.cancel()
    await asyncio.wait([search])
    assert search.cancelled()
