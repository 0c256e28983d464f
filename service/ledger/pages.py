"""The SQL of pages: every part walks an index from the newest job on and stops early."""

from __future__ import annotations

import functools
from typing import Any

from service.ledger import Query
from service.ledger.rows import COLUMNS

_NEWEST = "ORDER BY id DESC LIMIT :limit"


@functools.lru_cache
def page_sql(query: Query) -> tuple[str, dict[str, Any]]:
    """Return the statement for a page, with its bindings; it yields one row more than the page."""
    bindings: dict[str, Any] = {"limit": query.limit + 1, "before": query.before or "~"}
    for number, (name, value) in enumerate(query.labels):
        bindings |= {f"name{number}": name, f"value{number}": value}
    states = tuple(dict.fromkeys(query.states))
    bindings |= {f"state{number}": state for number, state in enumerate(states)}
    conditions = [f"state = :state{number}" for number in range(len(states))] or ["TRUE"]
    sources = " UNION ALL ".join(
        f"SELECT * FROM ({_source(condition, len(query.labels))})" for condition in conditions
    )
    return (
        f"SELECT {COLUMNS} FROM jobs WHERE id IN ({sources}) ORDER BY id DESC LIMIT :limit",
        bindings,
    )


def _source(condition: str, labels: int) -> str:
    """Select the ids that meet one condition; the first label, where there is one, leads."""
    if not labels:
        return f"SELECT id FROM jobs WHERE id < :before AND {condition} {_NEWEST}"
    others = "".join(
        f" AND EXISTS (SELECT 1 FROM labels WHERE name = :name{number}"
        f" AND value = :value{number} AND job_id = jobs.id)"
        for number in range(1, labels)
    )
    return (
        "SELECT id FROM labels CROSS JOIN jobs ON id = job_id"
        f" WHERE name = :name0 AND value = :value0 AND job_id < :before AND {condition}{others}"
        " ORDER BY job_id DESC LIMIT :limit"
    )
