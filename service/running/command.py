"""What every command gets: of the service, of its spec, and nothing else."""

from __future__ import annotations

import functools
import os
import pwd
from pathlib import Path
from signal import SIGKILL, SIGTERM
from typing import NamedTuple

from executor import Limits
from service import jobs

RLIMITS = ("address_space", "cpu_seconds", "open_files", "processes", "file_size", "core_size")


class Inherited(NamedTuple):
    """What every command gets from the service that its spec says nothing of."""

    umask: int
    soft_open_files: int
    cgroup: Path | None


@functools.cache
def base_environment() -> dict[str, str]:
    """Return what every job gets: enough for ordinary programs, nothing of the service's own."""
    name, home = _user()
    return {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": home if Path(home).is_dir() else "/",
        "USER": name,
        "LOGNAME": name,
        "LANG": "C.UTF-8",
    }


def _user() -> tuple[str, str]:
    """Return the name and home of the user that the service runs as."""
    try:
        user = pwd.getpwuid(os.getuid())
    except KeyError:  # a container may run as any number
        return str(os.getuid()), "/"
    return user.pw_name, user.pw_dir


@functools.lru_cache
def stop_steps(stop: jobs.Stop) -> tuple[tuple[int, float | None], ...]:
    return (jobs.signal_number(stop.signal) or SIGTERM, stop.grace), (SIGKILL, None)


@functools.lru_cache
def limits_of(limits: jobs.Limits) -> Limits | None:
    asked = {name: getattr(limits, name) for name in RLIMITS}
    return None if set(asked.values()) == {None} else Limits(**asked)
