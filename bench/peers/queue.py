"""What the queues have in common: a driver that submits jobs and waits for all their results."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Mapping

from bench.needs import python
from bench.peers import APPS

PATIENCE_S = 900
WORKERS = 4  # as many as squall has processes

# Submits so many jobs of /bin/true, in batches of a size; returns the jobs a second.
Drive = Callable[[int, int], float]


def driver(app: str, env: Mapping[str, str]) -> Drive:
    """Return what runs `apps/APP.py JOBS BATCH`, which prints seconds, with the peers' Python."""

    def drive(jobs: int, batch: int) -> float:
        done = subprocess.run(
            [python(), APPS / f"{app}.py", str(jobs), str(batch)],
            env={**os.environ, **env},
            cwd=APPS,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_S,
        )
        if done.returncode:
            raise RuntimeError(f"{app}: {done.stderr}")
        return jobs / float(done.stdout.split()[-1])

    return drive
