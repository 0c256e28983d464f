"""The beginning of a process that follows another: it goes on with the jobs that run."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import ExitStack

from service.errors import is_no_room
from service.guard.process import Held
from service.ledger import Claim, Ledger, Start
from service.running.handover import Handovers, close, unpack
from service.running.run import Run

log = logging.getLogger(__name__)


async def take_over(
    ledger: Ledger, owner: str, handovers: Handovers, make_run: Callable[[Claim], Run]
) -> list[tuple[Run, Start]]:
    """Go on with what the guard holds of jobs that have not ended.

    `make_run` returns what a job's run is made of, its journal taken over. A job with which nobody
    can go on is let go of: it is lost, and cleared up as such. Raises what there is no room for now
    (NoRoom, OSError), and LedgerError; then those that were begun are to be released.
    """
    held = handovers.take()
    claims = await ledger.take_over(owner, list(held)) if held else []
    taken: list[tuple[Run, Start]] = []
    try:
        for claim in claims:
            taken += _run_on(handovers, held.pop(claim.id), claim, make_run)
    except BaseException:
        for run, _ in taken:
            run.release_at_once()
        raise
    for one in held.values():  # of jobs that had ended
        close(one)
        handovers.drop(one)
    if claims:
        log.info("%d of %d running jobs go on here", len(taken), len(claims))
    return taken


def _run_on(
    handovers: Handovers, held: Held, claim: Claim, make_run: Callable[[Claim], Run]
) -> list[tuple[Run, Start]]:
    try:
        with ExitStack() as opened:
            opened.callback(close, held)
            snapshot, descriptors = unpack(held)
            run = make_run(claim)
            opened.callback(run.journal.close)
            start = run.take_over(snapshot, descriptors)
            opened.pop_all()
    except Exception as exc:
        if is_no_room(exc):
            raise  # the next process may have some
        log.exception("job %s cannot be taken over", claim.id)
        handovers.drop(held)
        return []
    handovers.taken_over(run, held)
    return [(run, start)]
