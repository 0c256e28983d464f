"""Jobs: submit, list, get, rerun, cancel, signal, delete."""

from __future__ import annotations

import asyncio
import hashlib
import time
from typing import Annotated

import msgspec
from msgspec import Meta

from service import checks, journal
from service.errors import Conflict, Invalid, OwnerGone, Problem
from service.jobs import SIGNALS, Job, Spec, StoredSpec, signal_number
from service.ledger import Asked
from service.output.included import with_output
from service.running.runner import Accepted
from service.web.handler import Handler
from service.web.problems import problem_of, wrong_field
from service.web.query import Parameters, list_query, prefers_lossless, wait_preference

BATCH_MAX = 1000
KEY_MAX = 255
# A batch is looked through for so long at a time.
TURN_S = 0.005


class Signal(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of a request to signal a job."""

    signal: Annotated[str, Meta(extra_json_schema={"enum": SIGNALS})]


class _JobAnswer(Handler):
    """An answer that is one job, held until it has ended where the client prefers that."""

    def idempotency_key(self) -> str:
        """Return the request's Idempotency-Key, empty when there is none."""
        key = self.request.headers.get("Idempotency-Key")
        if key is None:
            return ""
        if not 0 < len(key) <= KEY_MAX:
            raise wrong_field("Idempotency-Key", f"must have 1 to {KEY_MAX} characters")
        return key

    async def answer_accepted(self, accepted: Accepted) -> None:
        """Answer with the one job that was accepted, now or by an earlier request."""
        (job,) = accepted.jobs
        self.set_header("Location", f"/v1/jobs/{job.id}")
        await self.answer_job(job, 200 if accepted.is_repeated else 202, accepted)

    async def answer_job(self, job: Job, status: int, accepted: Accepted | None = None) -> None:
        """Answer with the job; with its output where that was asked for, or waited for."""
        app, run = self.application, None
        include = Parameters(self.request, ("output",)).boolean("output")
        seconds = wait_preference(self.request, app.squall.http.wait_seconds)
        if seconds is not None:
            self.set_header("Preference-Applied", f"wait={seconds:g}")
            if not job.has_ended:
                run = accepted.runs.get(job.id) if accepted else None
                job = await app.runner.wait_ended(job, run, seconds)
            status = 200 if job.has_ended else 202
        if include or (include is None and seconds is not None and job.has_ended):
            if run is not None and run.end is not None:
                job = with_output(job, run.journal)
            else:  # it was put back, perhaps, and ran elsewhere
                job = with_output(job, await app.outputs.reader(job))
        self.answer(job, status)


class JobsHandler(_JobAnswer):
    """`/v1/jobs`: the collection."""

    async def post(self) -> None:
        """Accept one job, or a batch."""
        Parameters(self.request, ("output",)).boolean("output")  # before anything is accepted
        key = self.idempotency_key()
        body = self.body()
        fingerprint = hashlib.sha256(body).digest() if key else b""
        if body.lstrip()[:1] == b"[":
            await self._batch(body, key, fingerprint)
            return
        spec = checks.decode(body, Spec)
        if prefers_lossless(self.request):
            self.set_header("Preference-Applied", "lossless")
            spec = StoredSpec(**msgspec.structs.asdict(spec), awaits_reader=True)
        accepted = await self.application.runner.submit([spec], key=key, fingerprint=fingerprint)
        await self.answer_accepted(accepted)

    async def get(self) -> None:
        """List jobs, newest first."""
        page = await self.application.ledger.page(list_query(self.request))
        self.answer(page.document)

    async def _batch(self, body: bytes, key: str, fingerprint: bytes) -> None:
        specs = await _specs(checks.items(body, BATCH_MAX))
        good = [spec for spec in specs if isinstance(spec, Spec)]
        accepted = await self.application.runner.submit(good, key=key, fingerprint=fingerprint)
        jobs = iter(accepted.jobs)
        answer = [next(jobs) if isinstance(spec, Spec) else spec for spec in specs]
        self.answer(answer, 200 if accepted.is_repeated else 202)


class JobHandler(_JobAnswer):
    """`/v1/jobs/ID`: one job."""

    async def get(self, id: str) -> None:
        """Answer the job, with what it has printed so far where that is asked for."""
        job = await self.application.ledger.get(id)
        if "output=true" in (self.request.query or "") and await self.relayed(job):
            return
        await self.answer_job(job, 200)

    async def delete(self, id: str) -> None:
        """Forget an ended job and its output."""
        await self.application.ledger.forget(id)
        journal.remove(self.application.journals, id)
        self.set_status(204)
        self.finish()


class RerunHandler(_JobAnswer):
    """`/v1/jobs/ID/rerun`."""

    async def post(self, id: str) -> None:
        """Accept a new job with the spec of an earlier one; the body holds fields to change."""
        Parameters(self.request, ("output",)).boolean("output")  # before anything is accepted
        key = self.idempotency_key()
        body = self.body() if self.has_body else b"{}"
        spec = _changed(await self.application.ledger.asked(id), body)
        accepted = await self.application.runner.submit(
            [spec],
            key=key,
            fingerprint=hashlib.sha256(f"rerun {id} ".encode() + body).digest() if key else b"",
            rerun_of=id,
        )
        await self.answer_accepted(accepted)


class CancelHandler(Handler):
    """`/v1/jobs/ID/cancel`."""

    async def post(self, id: str) -> None:
        """Note the wish; the process that owns the job stops the command."""
        job, has_changed = await self.application.runner.cancel(id)
        try:
            if await self.relayed(job):
                return
        except OwnerGone:
            pass  # the wish is in the ledger, and a job whose owner died ends as lost
        self.answer(job, 202 if has_changed else 200)


class SignalHandler(Handler):
    """`/v1/jobs/ID/signal`."""

    async def post(self, id: str) -> None:
        """Let the owner signal the command's process group."""
        wanted = self.body_as(Signal).signal
        number = signal_number(wanted)
        if number is None:
            raise wrong_field("signal", f"no such signal: {wanted!r}")
        if await self.relayed(await self.application.ledger.get(id)):
            return
        self.application.runner.signal(id, number)
        self.set_status(204)
        self.finish()


def _changed(asked: Asked, changes: bytes) -> Spec:
    """Return what was asked with some fields changed, checked as if all of it had come now."""
    fields = msgspec.json.decode(msgspec.json.encode(asked.spec), type=dict[str, msgspec.Raw])
    checks.check_size(changes, Spec)
    given = checks.decode(changes, dict[str, msgspec.Raw])
    if not asked.has_all and "stdin" not in given:
        raise Conflict("the job's standard input was not kept: give 'stdin', or null for none")
    return checks.decode(msgspec.json.encode({**fields, **given}), Spec)


async def _specs(items: list[bytes]) -> list[Spec | Problem]:
    """Return each item as what it asks for, or what is wrong with it; others have their turns."""
    room = checks.Room(errors=BATCH_MAX)
    specs: list[Spec | Problem] = []
    until = time.monotonic() + TURN_S
    for item in items:
        specs.append(_spec_or_problem(item, room))
        if time.monotonic() > until:
            await asyncio.sleep(0)
            until = time.monotonic() + TURN_S
    return specs


def _spec_or_problem(item: bytes, room: checks.Room) -> Spec | Problem:
    try:
        return checks.decode(item, Spec, room)
    except Invalid as exc:
        return problem_of(exc)
