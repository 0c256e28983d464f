"""Changes of state of all jobs as they happen, and the ends of many among them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from service.cli.client import Client, decode
from service.cli.resume import lines, resumed
from service.jobs import Job

# The service sends a heartbeat every 15 seconds: a connection without them is dead.
SILENCE_S = 40.0


class Change(NamedTuple):
    """A job right after it has changed its state, and as JSON; `id` rises by one."""

    id: int
    job: Job
    raw: bytes


def changes(client: Client) -> Iterator[Change | None]:
    """Yield every change from now on; None where the list is to be asked for what is missed here.

    None comes when the first connection stands, after a gap, and in every long silence. Raises
    Unreachable or Refused when no connection has worked for a minute.
    """
    last: int | None = None

    def connect() -> Iterator[Change | None]:
        return _changes(client, last)

    for change in resumed(connect):
        if change is not None:
            if last is not None and change.id != last + 1:
                yield None
            last = change.id
        yield change


def ends(client: Client, ids: Iterable[str]) -> Iterator[tuple[Job | None, bytes]]:
    """Yield each job with its JSON as it ends; None for one that is forgotten by now."""
    awaited = set(ids)
    if not awaited:
        return
    for change in changes(client):
        known = _listed_since(client, min(awaited)) if change is None else {}
        for job, content in known.values() if change is None else [(change.job, change.raw)]:
            if job.id in awaited and job.has_ended:
                awaited.discard(job.id)
                yield job, content
        if change is None:
            for job_id in awaited - known.keys():
                awaited.discard(job_id)
                yield None, b""
        if not awaited:
            return


def _changes(client: Client, after: int | None) -> Iterator[Change | None]:
    number = 0
    for line in lines(client.stream("/v1/events", timeout_s=SILENCE_S, after=after)):
        if line.startswith(b"id: "):
            number = int(line[4:])
        elif line.startswith(b"data: "):
            yield Change(number, decode(line[6:], Job), line[6:])
        elif line.startswith(b":"):
            yield None


def _listed_since(client: Client, oldest: str) -> dict[str, tuple[Job, bytes]]:
    """Return the jobs of the list back to `oldest`: ids are in order of time."""
    found = {}
    for job, content in client.jobs():
        if job.id < oldest:
            break
        found[job.id] = job, content
    return found
