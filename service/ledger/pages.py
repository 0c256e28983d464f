"""Lists of jobs: every statement walks an index from the newest job on and stops early.

What no index tells (text, a second label, a label with a state) is looked for in parts, a bounded
walk each, so that others read in between and the search ends when its time is up.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from typing import Any

import apsw
import msgspec

from service.jobs import STEP_MS, Job, State, least_id
from service.ledger import Query
from service.ledger.rows import COLUMNS, SPEC, job_of, size_of
from service.ledger.stored import read_spec

# The specs of a page have at most so many bytes, or it is one job.
PAGE_BYTES = 4 << 20
# Ids are made of hexadecimal digits and '-'.
BEFORE_ALL, AFTER_ALL = "", "~"
# A state of fewer jobs leads the walk in place of a label, which may be that of any number.
RARE = 20_000
WORDS_MAX = 4

# In the JSON of args no blank stands between two of them, and these characters are escaped.
_WORD = re.compile(r'[^ "\\\x00-\x1f]+')
_NEWEST = "ORDER BY id DESC LIMIT :limit"


class Part(msgspec.Struct, frozen=True):
    """What a walk found: the next one goes on before `before`, None at the end.

    `is_full` when the page is, with `size` bytes.
    """

    jobs: list[Job]
    before: str | None
    size: int = 0
    is_full: bool = False


def add_functions(db: apsw.Connection) -> None:
    """Let a connection run the statements of pages."""
    db.create_scalar_function("has_text", _has_text, 2, deterministic=True)


def is_searched(query: Query) -> bool:
    """Whether far more jobs may have to be looked at than are found."""
    return bool(query.text) or len(query.labels) + bool(query.labels and query.states) > 1


def read_part(
    db: apsw.Connection, query: Query, span: int | None = None, room: int = PAGE_BYTES
) -> Part:
    """Read up to a page with room for so many bytes; of the next `span` entries of an index only,
    where that is said.
    """
    by_label = bool(query.labels) and not _are_rare(db, query.states)
    least = _least(db, query, by_label, span) if span else None
    sql, bindings = _page_sql(msgspec.structs.replace(query, before=None), by_label)
    jobs: list[Job] = []
    size = 0
    for row in db.execute(sql, bindings | _range(query, least)):
        job = job_of(*row)
        size += size_of(row[SPEC])
        is_first = not jobs and room == PAGE_BYTES
        if len(jobs) == query.limit or (size > room and not is_first):
            return Part(jobs, jobs[-1].id if jobs else query.before, size, is_full=True)
        jobs.append(job)
    return Part(jobs, least, size)


def _range(query: Query, least: str | None) -> dict[str, str]:
    """Return the bindings for the ids to look at, and for those that the span of time allows."""
    before, in_step = query.before or AFTER_ALL, _in_step(query)
    return {
        "least": least or BEFORE_ALL,
        "before": before,
        "least_in_step": max(least or BEFORE_ALL, in_step[0]),
        "before_in_step": min(before, in_step[1]),
    }


def _in_step(query: Query) -> tuple[str, str]:
    """Return the least id of a span of time, and one beyond, unless its clock had stepped."""
    least = least_id(query.since) if query.since else BEFORE_ALL
    return least, least_id(query.until, STEP_MS) if query.until else AFTER_ALL


def _least(db: apsw.Connection, query: Query, by_label: bool, span: int) -> str | None:
    """Return the id down to which a walk looks at `span` entries; None when it meets the end."""
    sql = "SELECT id FROM jobs WHERE id < :before ORDER BY id DESC LIMIT 1 OFFSET :span"
    if by_label:
        sql = (
            "SELECT job_id FROM labels WHERE name = :name0 AND value = :value0"
            " AND job_id < :before ORDER BY job_id DESC LIMIT 1 OFFSET :span"
        )
    earliest, latest = _in_step(query)
    before = min(query.before or AFTER_ALL, latest)
    name, value = query.labels[0] if by_label else ("", "")
    bindings = {"name0": name, "value0": value, "before": before, "span": span}
    least: str | None = db.execute(sql, bindings).get
    return least if least is not None and least > earliest else None


def _are_rare(db: apsw.Connection, states: tuple[State, ...]) -> bool:
    """Whether few jobs are in these states; never so for all states."""
    counts = [db.execute("SELECT jobs FROM tally WHERE state = ?", (s,)).get for s in states]
    return bool(states) and sum(counts) < RARE


@functools.lru_cache
def _page_sql(query: Query, by_label: bool) -> tuple[str, dict[str, Any]]:
    """Return the statement for a page, and those of its bindings that are not `_range`'s.

    It yields one row more than the page.
    """
    bindings = {"limit": query.limit + 1, "since": query.since, "until": query.until}
    for number, (name, value) in enumerate(query.labels):
        bindings |= {f"name{number}": name, f"value{number}": value}
    bindings |= {f"state{number}": state for number, state in enumerate(query.states)}
    text, words = _text_sql(query.text)
    others = text + _time_sql(query)
    sources = " UNION ALL ".join(
        f"SELECT * FROM ({source} {_NEWEST})" for source in _sources(query, by_label, others)
    )
    return f"SELECT {COLUMNS} FROM jobs WHERE id IN ({sources}) {_NEWEST}", bindings | words


def _sources(query: Query, by_label: bool, others: str) -> Iterator[str]:
    """Select the ids of one state each, those in step with the clock and those that are not."""
    labels = [_label_sql(number) for number in range(len(query.labels))]
    for number in range(len(query.states) or 1):
        state = f" AND state = :state{number}" if query.states else ""
        rest = state + others
        if by_label:
            yield (
                "SELECT job_id AS id FROM labels CROSS JOIN jobs ON jobs.id = job_id"
                " WHERE name = :name0 AND value = :value0 AND job_id < :before_in_step"
                f" AND job_id >= :least_in_step{rest}{''.join(labels[1:])}"
            )
        else:
            yield (
                "SELECT id FROM jobs WHERE id < :before_in_step AND id >= :least_in_step"
                f"{rest}{''.join(labels)}"
            )
        if query.since or query.until:
            yield (
                "SELECT id FROM jobs INDEXED BY jobs_clock_stepped WHERE has_clock_stepped = 1"
                f" AND id < :before AND id >= :least{rest}{''.join(labels)}"
            )


def _label_sql(number: int) -> str:
    return (
        f" AND EXISTS (SELECT 1 FROM labels WHERE name = :name{number}"
        f" AND value = :value{number} AND job_id = jobs.id)"
    )


def _time_sql(query: Query) -> str:
    since = " AND created_at >= :since" if query.since else ""
    return since + (" AND created_at < :until" if query.until else "")


def _text_sql(text: str) -> tuple[str, dict[str, str]]:
    """Return the condition for a text, with its bindings.

    LIKE knows the cases of ASCII only, but is fast: it sees which rows `has_text` need not.
    """
    if not text:
        return "", {}
    text = text.casefold()
    bindings, likes = {"text": text}, []
    if text.isascii():
        for number, word in enumerate(sorted(_WORD.findall(text), key=len)[-WORDS_MAX:]):
            bindings[f"word{number}"] = "%" + re.sub(r"([%_^])", r"^\1", word) + "%"
            likes.append(f"spec LIKE :word{number} ESCAPE '^'")
        like = " AND ".join(likes) or "TRUE"
    else:
        like = "FALSE"
    # what is not ASCII may become so: the case-blind ß is ss
    return f" AND ({like} OR length(spec) < octet_length(spec)) AND has_text(spec, :text)", bindings


def _has_text(*arguments: Any) -> bool:
    spec, text = arguments
    return text in " ".join(read_spec(spec).args).casefold()
