"""The ends of many jobs, told by the service instead of asked for one by one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from service.cli.client import Client
from service.cli.events import changes
from service.cli.listing import listed
from service.jobs import Job


def ends(client: Client, ids: Iterable[str]) -> Iterator[tuple[Job | None, bytes]]:
    """Yield each job with its JSON as it ends; None for one that is forgotten by now."""
    awaited = set(ids)
    if not awaited:
        return
    for change in changes(client):
        known = _listed(client, min(awaited)) if change is None else {}
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


def _listed(client: Client, oldest: str) -> dict[str, tuple[Job, bytes]]:
    """Return the jobs of the list back to `oldest`: ids are in order of time."""
    found = {}
    for job, content in listed(client):
        if job.id < oldest:
            break
        found[job.id] = job, content
    return found
