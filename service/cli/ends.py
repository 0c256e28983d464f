"""The ends of many jobs, told by the service instead of asked for one by one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from service.cli.client import Client, job_path
from service.cli.errors import Refused
from service.cli.events import changes
from service.cli.listing import listed
from service.jobs import Job

FEW = 20


def ends(client: Client, ids: Iterable[str]) -> Iterator[tuple[Job | None, bytes]]:
    """Yield each job with its JSON as it ends; None for one that is forgotten by now."""
    awaited = set(ids)
    if not awaited:
        return
    for change in changes(client):
        found = _missed(client, awaited) if change is None else [(change.job, change.raw)]
        for job, content in found:
            if job.id in awaited and job.has_ended:
                awaited.discard(job.id)
                yield job, content
        if change is None:
            for job_id in _forgotten(client, awaited):
                awaited.discard(job_id)
                yield None, b""
        if not awaited:
            return


def _missed(client: Client, awaited: set[str]) -> Iterator[tuple[Job, bytes]]:
    """Yield jobs from the list, back to the oldest that is awaited: ids are in order of time."""
    oldest = min(awaited)
    for job, content in listed(client):
        if job.id < oldest:
            return
        yield job, content


def _forgotten(client: Client, awaited: set[str]) -> list[str]:
    """Return those of the awaited jobs that the service no longer knows, once few are left."""
    return (
        [job_id for job_id in awaited if not _is_known(client, job_id)]
        if len(awaited) <= FEW
        else []
    )


def _is_known(client: Client, job_id: str) -> bool:
    try:
        client.get(job_path(job_id))
    except Refused as exc:
        if exc.problem.status != 404:
            raise
        return False
    return True
