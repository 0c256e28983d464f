"""c: the list of jobs, asked for by many at once."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from bench import filled, fleet, wrk
from bench.figure import SQUALL, Figure, in_turns
from bench.measures import Measure, Run, ready
from bench.peers.classic import CLASSIC
from bench.wrk import Load, Request

FEW, MANY = 10_000, 1_000_000
CONNECTIONS = (100, 1000)
THREADS = 12
PATH = "/v1/jobs?limit=10"


def take(run: Run) -> list[Figure]:
    """Lists a second from a ledger of few and of many jobs, and what was not answered."""
    states = {jobs: filled.state(run.place, jobs) for jobs in (FEW, MANY)}
    run.tell("ledgers filled")
    errors: dict[str, float] = {}
    figures = []
    with (
        ready(run.place, (CLASSIC,)) as classic,
        fleet.up(run.place, states[FEW]) as few,
        fleet.up(run.place, states[MANY]) as many,
    ):
        requests = {f"{FEW:,} jobs": few.get(PATH), SQUALL: many.get(PATH), **classic}
        for connections in CONNECTIONS:
            contestants: dict[str, Callable[[], float]] = {
                name: partial(_rate, run, request, connections, partial(_count, errors, name))
                for name, request in requests.items()
            }
            what = f"GET {PATH}, {connections} connections"
            together = in_turns(f"c.{connections}", what, "lists/s", contestants, run.turns)
            figures += _apart(together, connections, classic)
            run.tell(f"{what}: done")
    each = {name: [count] for name, count in errors.items()}
    figures.append(Figure("c.errors", "errors and timeouts, in all", "requests", each, True))
    return figures


def _rate(run: Run, request: Request, connections: int, count: Callable[[Load], None]) -> float:
    seconds = run.amount(10, 3)
    done = wrk.load(
        request, run.place.path, connections=connections, seconds=seconds, threads=THREADS
    )
    count(done)
    return done.rate


def _count(errors: dict[str, float], name: str, load: Load) -> None:
    errors[name] = errors.get(name, 0.0) + load.errors


def _apart(figure: Figure, connections: int, classic: object) -> list[Figure]:
    """Two figures of one: beside the classic stack, and beside the smaller ledger."""
    small = f"{FEW:,} jobs"
    stack = {name: turns for name, turns in figure.turns.items() if name != small}
    growth = {name: figure.turns[name] for name in (SQUALL, small)}
    what = f"{figure.what}, {MANY:,} jobs"
    return [
        Figure(figure.key, what, figure.unit, stack),
        Figure(f"c.growth.{connections}", what, figure.unit, growth),
    ]


MEASURE = Measure("c", "The list, under load", (CLASSIC,), take)
