"""What the figures should be: ratios within one run on two cores, and what squall takes alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from bench.figure import Figure

Figures = Mapping[str, Figure]
Value = Callable[[Figures], float]


@dataclass(frozen=True)
class Goal:
    """A bound on a value that is read from the figures; KeyError there: it was not measured."""

    letter: str
    what: str
    value: Value
    least: float | None = None
    most: float | None = None

    def is_met(self, value: float) -> bool:
        """Whether a value lies within the bound."""
        if self.least is not None and value < self.least:
            return False
        return self.most is None or value <= self.most


@dataclass(frozen=True)
class Verdict:
    """A goal and what was measured."""

    goal: Goal
    value: float

    def row(self) -> dict[str, Any]:
        """Return it as a row of a table."""
        goal = self.goal
        wanted = f"at least {goal.least:g}" if goal.least is not None else f"at most {goal.most:g}"
        return {
            "goal": goal.letter,
            "what": goal.what,
            "wanted": wanted,
            "measured": round(self.value, 3),
            "met": "yes" if goal.is_met(self.value) else "no",
        }


def judge(figures: Iterable[Figure]) -> list[Verdict]:
    """Compare with every goal of which all figures and peers were measured."""
    by_key = {figure.key: figure for figure in figures}
    verdicts = []
    for goal in GOALS:
        try:
            verdicts.append(Verdict(goal, goal.value(by_key)))
        except (KeyError, ValueError):
            continue  # not measured in this run, or none of its peers is installed
    return verdicts


def ratio(key: str, peer: str) -> Value:
    """How many times as good as a peer squall is."""
    return lambda figures: figures[key].ratio(peer)


def best(key: str, *peers: str) -> Value:
    """How many times as good as the best of those peers that took part."""
    return lambda figures: min(
        figures[key].ratio(peer) for peer in peers if peer in figures[key].turns
    )


def median(key: str) -> Value:
    """What squall takes."""
    return lambda figures: figures[key].median()


QUEUES = ("Celery", "RQ", "Huey")

GOALS = (
    Goal("a", "webhook, /bin/true, 16 connections", ratio("a.true.16", "webhook"), least=1.0),
    Goal("a", "the C loop, batches of 16", ratio("a.batches", "C loop"), least=0.75),
    Goal("b", "the best queue, one by one", best("b.single", *QUEUES), least=4.0),
    Goal("b", "the best queue, batches of 100", best("b.batches", *QUEUES), least=6.0),
    Goal("c", "classic stack, 1,000 connections", ratio("c.1000", "classic stack"), least=2.0),
    Goal("c", "errors and timeouts", median("c.errors"), most=0),
    Goal("c", "1,000,000 jobs to 10,000", ratio("c.growth.1000", "10,000 jobs"), least=0.9),
    Goal("d", "submit, 1,000,000 to 1,000", median("d.submit"), most=1.2),
    Goal("d", "get, 1,000,000 to 1,000", median("d.get"), most=1.2),
    Goal("d", "list, 1,000,000 to 1,000", median("d.list"), most=1.2),
    Goal("d", "claim, 1,000,000 to 1,000", median("d.claim"), most=1.2),
    Goal("e", "kB for a running job", median("e.memory"), most=60),
    Goal("e", "99 % of /livez, ms", median("e.livez"), most=50),
    Goal("e", "cancel all, s", median("e.cancel"), most=3),
    Goal("f", "1 GB captured, to `command > file`", ratio("f.captured", "> file"), least=0.6),
    Goal("g", "squall up until the first answer, s", median("g.first"), most=3),
)
