"""What runs, what waits and what has ended last, kept up to date by changes of state."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator

from service.cli.client import Client
from service.cli.listing import listed, page
from service.jobs import ENDED, Job

ENDS_KEPT = 50
RATE_S = 10.0


class Overview:
    """The jobs of one moment; `apply` moves on to the next."""

    def __init__(self, queued: set[str], running: list[Job], ended: list[Job]) -> None:
        """Take what the list says; `ended` are the newest."""
        self.queued = queued
        self._running = {job.id: job for job in running}
        self._ended = {job.id: job for job in ended}
        self._ends: deque[float] = deque()
        self._since = time.monotonic()

    def apply(self, job: Job) -> None:
        """Take a job as it is after a change."""
        self.queued.discard(job.id)
        self._running.pop(job.id, None)
        if job.state == "queued":
            self.queued.add(job.id)
        elif job.state == "running":
            self._running[job.id] = job
        else:
            self._ends.append(time.monotonic())
            self._ended[job.id] = job
            if len(self._ended) > ENDS_KEPT:
                del self._ended[next(iter(self._ended))]

    def follow_on(self, earlier: Overview) -> None:
        """Go on counting ends where an earlier overview stopped."""
        self._ends, self._since = earlier._ends, earlier._since

    def running(self) -> list[Job]:
        """Return what runs, the oldest first."""
        return sorted(self._running.values(), key=lambda job: job.started_at or job.created_at)

    def ended(self) -> list[Job]:
        """Return what has ended, the newest end first."""
        return sorted(self._ended.values(), key=lambda job: job.finished_at or "", reverse=True)

    def rate(self) -> float:
        """Return how many jobs a second have ended, over the last ten seconds."""
        now = time.monotonic()
        while self._ends and self._ends[0] < now - RATE_S:
            self._ends.popleft()
        return len(self._ends) / min(RATE_S, max(now - self._since, 1.0))


def read_overview(client: Client) -> Overview:
    """Ask the list."""
    newest = page(client.get("/v1/jobs", state=sorted(ENDED), limit=ENDS_KEPT))
    return Overview(
        {job.id for job in _in_state(client, "queued")},
        list(_in_state(client, "running")),
        sorted((job for job, _ in newest.parsed()), key=lambda job: job.finished_at or ""),
    )


def _in_state(client: Client, state: str) -> Iterator[Job]:
    return (job for job, _ in listed(client, state=state))
