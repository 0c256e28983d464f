"""The phases of a run, and the moves between them: no I/O."""

from __future__ import annotations


class Phase:
    """Where a run is; one object each."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def move(self, to: Phase) -> Phase:
        """``to``; ``RuntimeError`` where that is no legal move."""
        if to not in MOVES[self]:
            raise RuntimeError(f"a run that is {self} can't be {to}")
        return to

    def __repr__(self) -> str:
        return self.name


STARTING = Phase("starting")  # nothing runs, or nothing of it is watched yet
RUNNING = Phase("running")
DRAINING = Phase("draining")  # it has exited, and is our zombie; something of ours is not done yet
REAPED = Phase("reaped")  # its ids may belong to others; its cgroup may still be there
ENDED = Phase("ended")  # for ever: all is closed, the result is made
ABANDONED = Phase("abandoned")  # for ever: closed without a loop, nobody is told
RELEASED = Phase("released")  # for ever: given up as it was, another may go on with it

OVER = frozenset({ENDED, ABANDONED, RELEASED})

MOVES: dict[Phase, frozenset[Phase]] = {
    STARTING: frozenset({RUNNING, ABANDONED}),
    # to REAPED at once where nothing is open any more when it exits
    RUNNING: frozenset({DRAINING, REAPED, ABANDONED, RELEASED}),
    DRAINING: frozenset({REAPED, ABANDONED, RELEASED}),
    REAPED: frozenset({ENDED, ABANDONED, RELEASED}),
    ENDED: frozenset(),
    ABANDONED: frozenset(),
    RELEASED: frozenset(),
}
