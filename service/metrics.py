"""What is measured, by all processes together.

Each process keeps its numbers in mapped files named by its port (prometheus-client's mode for
several processes), so that any of them can answer for all, and a process that is started again
goes on where its predecessor stopped. What the ledger knows is asked of the ledger.
"""

from __future__ import annotations

import asyncio
import functools
import os
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, values
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.multiprocess import MultiProcessCollector

from service.jobs import End, State

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 7200, 36_000)
SHORT = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)
LAG_INTERVAL_S = 1.0


class Metrics:
    """The numbers of one process."""

    def __init__(self, directory: Path, port: int) -> None:
        """Open the mapped files; before any other metric is made in this process."""
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = self._directory = str(directory)
        # files named by the port, not by the pid: there are never more than processes
        self._name = str(port)
        values.ValueClass = values.MultiProcessValue(  # type: ignore[no-untyped-call]
            lambda: self._name
        )
        none = CollectorRegistry()
        self.ended = Counter(
            "squall_jobs_ended", "Jobs that ended", ["state", "reason"], registry=none
        )
        self.run = Histogram(
            "squall_job_duration_seconds", "How long commands ran", buckets=SECONDS, registry=none
        )
        self.queue_wait = Histogram(
            "squall_job_queue_wait_seconds",
            "How long jobs waited from acceptance to start",
            buckets=SECONDS,
            registry=none,
        )
        self.output = Counter(
            "squall_output_bytes", "Bytes that jobs printed", ["stream"], registry=none
        )
        self._ended = functools.cache(self.ended.labels)
        self._stdout, self._stderr = self.output.labels("stdout"), self.output.labels("stderr")
        self.spawn_errors = Counter(
            "squall_spawn_errors", "Commands that could not be started", registry=none
        )
        self.commit = Histogram(
            "squall_ledger_commit_seconds",
            "How long a group of writes took",
            buckets=SHORT,
            registry=none,
        )
        self.lag = Histogram(
            "squall_loop_lag_seconds",
            "How much later than asked a timer of the loop ran",
            buckets=SHORT,
            registry=none,
        )
        self.streams = Gauge(
            "squall_open_streams",
            "Answers that follow something",
            registry=none,
            multiprocess_mode="livesum",
        )
        self.streams.set(0)

    def leave(self) -> None:
        """Leave the files to the next process of this port; what is still counted is beside."""
        self._name += ".left"

    def job_ended(self, end: End, created_at: str) -> None:
        """Note how a job ended that was accepted at `created_at`."""
        self._ended(end.state, end.reason).inc()
        if end.stdout.bytes:
            self._stdout.inc(end.stdout.bytes)
        if end.stderr.bytes:
            self._stderr.inc(end.stderr.bytes)
        if end.reason == "spawn_error":
            self.spawn_errors.inc()
        if end.duration is not None:
            self.run.observe(end.duration)
        if end.started_at is not None:
            self.queue_wait.observe(max(_seconds(end.started_at) - _seconds(created_at), 0.0))

    async def watch_loop(self) -> None:
        """Measure the loop's lag, for ever."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + LAG_INTERVAL_S
            await asyncio.sleep(LAG_INTERVAL_S)
            self.lag.observe(max(loop.time() - due, 0.0))

    def text(self, tally: Mapping[State, int]) -> bytes:
        """Return all processes' numbers as Prometheus reads them; reads small files."""
        registry = CollectorRegistry()
        MultiProcessCollector(registry, path=self._directory)  # type: ignore[no-untyped-call]
        registry.register(_Tally(lambda: tally))
        return generate_latest(registry)


def _seconds(time: str) -> float:
    return datetime.fromisoformat(time).timestamp()


class _Tally:
    """What the ledger knows: how many jobs are in each state."""

    def __init__(self, tally: Callable[[], Mapping[State, int]]) -> None:
        self._tally = tally

    def collect(self) -> Any:
        family = GaugeMetricFamily("squall_jobs", "Jobs in the ledger, by state", labels=["state"])
        for state, jobs in self._tally().items():
            family.add_metric([state], jobs)
        yield family

    def describe(self) -> Any:
        return []
