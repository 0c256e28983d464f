"""Which job is meant: by its id, or by any part of one."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from itertools import islice
from threading import Thread
from typing import TYPE_CHECKING

from click.shell_completion import CompletionItem

from service.cli.errors import Failure
from service.cli.text import command, printable
from service.jobs import ID_PATTERN, Job, State

if TYPE_CHECKING:
    import click

    from service.cli.client import Client

PART = re.compile(r"[0-9a-f-]{4,36}")
RECENT = 1_000
RECENT_BYTES = 64 * 2**20  # a job may be megabytes
CANDIDATES = 10
SUGGESTED = 50
SUGGEST_S = 1.0


class Ids:
    """Finds jobs by parts of their ids among the newest thousand, which are asked for once."""

    def __init__(self, client: Client) -> None:
        """Begin; nothing is asked for before a part of an id comes."""
        self._client = client

    def resolve(self, text: str) -> str:
        """Return the whole id that `text` is, or is a part of.

        A part has 4 characters at least. Raises Failure where none of the newest jobs has it, or
        several have: then it names them.
        """
        part = text.lower()
        if re.fullmatch(ID_PATTERN, part):
            return part
        if not PART.fullmatch(part):
            raise Failure(
                f"{printable(text)!r} is not a job's id, nor 4 characters or more out of one"
            )
        found = [(job_id, told) for job_id, told in self._recent if part in job_id]
        if len(found) == 1:
            return found[0][0]
        if found:
            lines = [f"{part} is in the ids of several jobs:", *_candidates(found)]
            raise Failure("\n".join(lines))
        count = len(self._recent)
        raise Failure(f"none of the newest {count:,} jobs has {part} in its id; give all of it")

    @functools.cached_property
    def _recent(self) -> list[tuple[str, str]]:
        """The ids of the newest jobs, and what is told of each."""
        found, size = [], 0
        for job, content in islice(self._client.jobs(), RECENT):
            found.append((job.id, _told(job)))
            size += len(content)
            if size > RECENT_BYTES:
                break
        return found


def resolve(client: Client, text: str) -> str:
    """Return the whole id of one job; see `Ids.resolve`."""
    return Ids(client).resolve(text)


def suggestions(
    *states: State,
) -> Callable[[click.Context, click.Parameter, str], list[CompletionItem]]:
    """Return what completes the id of a job in one of `states`, of any without, for a shell.

    It answers within a second, and without a word where the service does not.
    """

    def suggest(
        ctx: click.Context, _param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        found: list[CompletionItem] = []
        # a thread, as nothing else bounds a look-up of a name
        asking = Thread(
            target=lambda: found.extend(_suggested(ctx, states, incomplete)), daemon=True
        )
        asking.start()
        asking.join(SUGGEST_S)
        return list(found)

    return suggest


def _suggested(
    ctx: click.Context, states: tuple[State, ...], incomplete: str
) -> list[CompletionItem]:
    from service.cli.commands import Context

    given = ctx.find_root().params
    try:
        client = Context(given.get("config"), given.get("url")).client()
        jobs = [job for job, _ in client.page(limit=SUGGESTED, state=states).parsed()]
    except Exception:  # no service, no token, wrong settings: the person is typing, not asking
        return []
    return [
        CompletionItem(spelling, help=_told(job))
        for job in jobs
        for spelling in (job.id.rpartition("-")[2], job.id)
        if spelling.startswith(incomplete.lower()) and (incomplete or spelling != job.id)
    ]


def _candidates(found: list[tuple[str, str]]) -> list[str]:
    lines = [f"  {job_id}  {told}" for job_id, told in found[:CANDIDATES]]
    more = len(found) - CANDIDATES
    return [*lines, f"  and {more:,} more"] if more > 0 else lines


def _told(job: Job) -> str:
    told = f"{job.state:<9}  {command(job.args)}"
    return told if len(told) <= 60 else f"{told[:59]}…"
