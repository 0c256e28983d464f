"""The phases of a run, and the moves between them: no I/O."""

from __future__ import annotations

from enum import Enum


class Phase(Enum):
    """Where a run is. ``ENDED`` and ``ABANDONED`` are for ever."""

    STARTING = "starting"  # nothing runs, or nothing of it is watched yet
    RUNNING = "running"
    DRAINING = "draining"  # it has exited, and is our zombie; something of ours is not done yet
    REAPED = "reaped"  # its ids may belong to others; its cgroup may still be there
    ENDED = "ended"  # all is closed, the result is made
    ABANDONED = "abandoned"  # closed without a loop: nobody is told


MOVES: dict[Phase, frozenset[Phase]] = {
    Phase.STARTING: frozenset({Phase.RUNNING, Phase.ABANDONED}),
    # to REAPED at once where nothing is open any more when it exits
    Phase.RUNNING: frozenset({Phase.DRAINING, Phase.REAPED, Phase.ABANDONED}),
    Phase.DRAINING: frozenset({Phase.REAPED, Phase.ABANDONED}),
    Phase.REAPED: frozenset({Phase.ENDED, Phase.ABANDONED}),
    Phase.ENDED: frozenset(),
    Phase.ABANDONED: frozenset(),
}
