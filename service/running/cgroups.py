"""A cgroup (version 2) for each job, where the operator has given a place for them.

A process can drop its environment and leave its group and session, but not its cgroup. Those of
one owner's jobs lie in a directory of the owner's, so that whoever clears up after it finds them;
see cgroups(7), cgroup.kill.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Collection
from pathlib import Path

import executor
from service.errors import SettingsError

log = logging.getLogger(__name__)

LOOK_AGAIN_S = 0.01


class Cgroups:
    """The cgroups of all jobs, by their owners."""

    def __init__(self, place: str) -> None:
        """`place` is a directory of the cgroup file system that this process may write."""
        self._place = Path(place)

    def of(self, owner: str) -> Path:
        """Return where the jobs of an owner have theirs."""
        return self._place / f"squall-{owner}"

    async def create(self, owner: str) -> None:
        """Make an owner's directory and try it out; SettingsError when jobs can't be put there."""
        directory = self.of(owner)
        try:
            directory.mkdir(exist_ok=True)
            if not (directory / "cgroup.kill").exists():
                directory.rmdir()
                raise SettingsError(f"jobs.cgroup: {self._place} is no cgroup v2 of Linux 5.14")
            await executor.run(["true"], cgroup=directory)
        except OSError as exc:
            raise SettingsError(f"jobs.cgroup: {self._place} cannot be used: {exc}") from exc
        log.info("each job has a cgroup of its own in %s", directory)

    def clear(self, owner: str, spared: Collection[Path] = (), timeout_s: float = 5.0) -> bool:
        """Kill all that is left of an owner's jobs, but for those whose cgroups are spared; blocks.

        Returns whether all is gone in time.
        """
        directory = self.of(owner)
        if not directory.exists():
            return True
        jobs = [job for job in directory.iterdir() if job.is_dir() and job not in spared]
        killed = jobs if spared else [directory]
        for group in killed:
            (group / "cgroup.kill").write_text("1")
        deadline = time.monotonic() + timeout_s
        for group in killed:
            while "populated 1" in (group / "cgroup.events").read_text():
                if time.monotonic() > deadline:
                    return False
                time.sleep(LOOK_AGAIN_S)
        for job in jobs:
            job.rmdir()
        return True

    def remove(self, owner: str) -> None:
        """Remove an owner's directory, once its jobs have ended."""
        try:
            self.of(owner).rmdir()
        except OSError as exc:
            log.warning("%s cannot be removed: %s", self.of(owner), exc)
