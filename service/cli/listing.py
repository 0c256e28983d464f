"""The list of jobs, page by page."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from service.cli.client import Client, Reply, decode
from service.jobs import Job

PAGE = 1_000


class Page(msgspec.Struct, frozen=True):
    """A page of the list, each job as JSON."""

    jobs: list[msgspec.Raw]
    next_cursor: str | None = None

    def parsed(self) -> Iterator[tuple[Job, bytes]]:
        """Yield each job, and its JSON."""
        for raw in self.jobs:
            yield decode(bytes(raw), Job), bytes(raw)


def page(reply: Reply) -> Page:
    """Return the page that an answer is."""
    return decode(reply.body, Page)


def listed(client: Client, **query: Any) -> Iterator[tuple[Job, bytes]]:
    """Yield jobs with their JSON, the newest first; a page is asked for when it is needed."""
    cursor: str | None = None
    while True:
        found = page(client.get("/v1/jobs", limit=PAGE, cursor=cursor, **query))
        yield from found.parsed()
        if (cursor := found.next_cursor) is None:
            return
