"""A figure: what was measured, for squall and for the peers beside it, once a turn."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

SQUALL = "squall"


@dataclass(frozen=True)
class Figure:
    """One thing measured. `key` names it in goals and JSON; `turns` has each peer's values."""

    key: str
    what: str
    unit: str
    turns: dict[str, list[float]] = field(default_factory=dict)
    less_is_better: bool = False

    @property
    def peers(self) -> list[str]:
        """Everybody who took part, in the order of the turns."""
        return list(self.turns)

    def median(self, peer: str = SQUALL) -> float:
        """The median of a peer's turns."""
        return statistics.median(self.turns[peer])

    def spread(self, peer: str = SQUALL) -> float:
        """How far a peer's turns lie apart: (most - least) / median."""
        values = self.turns[peer]
        middle = self.median(peer)
        return (max(values) - min(values)) / middle if middle else 0.0

    def ratio(self, peer: str, of: str = SQUALL) -> float:
        """How many times as good as a peer: above 1 is better, whichever way the unit goes.

        Infinite beside a peer with nothing, unless squall has the same.
        """
        ours, theirs = self.median(of), self.median(peer)
        if self.less_is_better:
            ours, theirs = theirs, ours
        if theirs:
            return ours / theirs
        return math.inf if ours else 1.0


def in_turns(
    key: str,
    what: str,
    unit: str,
    contestants: Mapping[str, Callable[[], float]],
    turns: int,
    *,
    less_is_better: bool = False,
) -> Figure:
    """Measure all contestants one after the other, `turns` times over."""
    values: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(turns):
        for name, measure in contestants.items():
            values[name].append(measure())
    return Figure(key, what, unit, values, less_is_better)


def single(key: str, what: str, unit: str, values: Iterable[float]) -> Figure:
    """A figure of squall alone, of which less is better."""
    return Figure(key, what, unit, {SQUALL: list(values)}, less_is_better=True)
