"""a: commands that the client waits for, through nginx."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from bench import fleet, submit, wrk
from bench.figure import SQUALL, Figure, in_turns
from bench.measures import Measure, Run, ready
from bench.peers.c_loop import C_LOOP
from bench.peers.fcgiwrap import FCGIWRAP
from bench.peers.webhook import WEBHOOK

COMMANDS = {"true": ["/bin/true"], "echo": ["/bin/echo", "hello"]}
AT_ONCE = (1, 16, 64)
WAIT_S = 60
BATCH = 16


def take(run: Run) -> list[Figure]:
    """Runs a second, at several numbers of connections; and in batches of which all have ended."""
    figures = []
    with (
        ready(run.place, (WEBHOOK, FCGIWRAP)) as services,
        ready(run.place, (C_LOOP,)) as loops,
        fleet.up(run.place) as squall,
    ):
        for name, args in COMMANDS.items():
            requests = {SQUALL: squall.post(*args, wait=WAIT_S)}
            requests |= {peer: commands[name] for peer, commands in services.items()}
            for at_once in AT_ONCE:
                contestants: dict[str, Callable[[], float]] = {
                    peer: partial(_rate, run, request, at_once)
                    for peer, request in requests.items()
                }
                contestants |= {peer: partial(loop, args, at_once) for peer, loop in loops.items()}
                what = f"{args[0]}, {at_once} connections"
                key = f"a.{name}.{at_once}"
                figures.append(in_turns(key, what, "runs/s", contestants, run.turns))
                run.tell(f"{what}: done")
        figures.append(_batches(run, squall, loops))
    return figures


def _rate(run: Run, request: wrk.Request, at_once: int) -> float:
    seconds = run.amount(5, 2)
    done = wrk.load(request, run.place.path, connections=at_once, seconds=seconds)
    if done.errors:
        raise RuntimeError(f"{request.url}: {done}")
    return done.rate


def _batches(
    run: Run, squall: fleet.Fleet, loops: dict[str, Callable[[list[str], int], float]]
) -> Figure:
    jobs = run.amount(3200, 800)
    contestants: dict[str, Callable[[], float]] = {SQUALL: lambda: submit.rate(squall, jobs, BATCH)}
    contestants |= {peer: partial(loop, COMMANDS["true"], BATCH) for peer, loop in loops.items()}
    what = f"/bin/true, batches of {BATCH}, until all have ended"
    return in_turns("a.batches", what, "runs/s", contestants, run.turns)


MEASURE = Measure("a", "Runs that are waited for", (WEBHOOK, FCGIWRAP, C_LOOP), take)
