"""How a process shares out the descriptors that the system grants it; see getrlimit(2).

Jobs and connections are bounded, so that neither takes those that the other needs, and some are
left for what the process opens for a moment: a file, a socket to a peer, the pipes of a start.
"""

from __future__ import annotations

import resource
from typing import NamedTuple

# A running job has its stdin, stdout and stderr, its pidfd, and the three files of its journal.
JOB = 7
# Ledger, logs, metrics and sockets are some 30; the others are spare.
OWN = 64


class Shares(NamedTuple):
    """How many there may be at once."""

    limit: int
    jobs: int
    clients: int
    peers: int


def raise_limit() -> int:
    """Use all the descriptors that the system grants; return the soft limit that was in force."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return soft


def share_out(jobs: int, limit: int | None = None) -> Shares:
    """Share out `limit` descriptors, by default those of this process.

    `jobs` are wanted to run at once: they get up to half of what is to be had, connections of
    clients half of the rest, and those of peers a quarter; relays and spare ones have the others.
    Of each there is always one, however little that leaves.
    """
    if limit is None:
        limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    left = limit - OWN
    jobs = max(min(jobs, left // 2 // JOB), 1)
    left = max(left - jobs * JOB, 4)
    return Shares(limit, jobs, left // 2, left // 4)
