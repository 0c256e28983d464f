"""Writing to the open stdin of a running job, in pieces of any size, no faster than it reads."""

from __future__ import annotations

import time

from tornado.http1connection import HTTP1Connection

from service.errors import Conflict
from service.jobs import SECONDS_MAX, Job
from service.peers.relay import Upload, is_relayed
from service.running.run import Run
from service.web.handler import Handler
from service.web.query import SEQ_MAX, Parameters

# How long a piece waits for a job that is accepted and not started yet.
BEGIN_S = 10.0
PIECE_MAX = 2**53


class StdinHandler(Handler):
    """`/v1/jobs/ID/stdin`.

    With `offset` a piece says how many bytes were sent before it, so that it can be sent again
    when a connection broke: what has come already is left out.
    """

    _target: _Command | Upload | None = None
    _failure: Conflict | None = None

    async def prepare(self) -> None:
        """Find the command before a byte of the body is read."""
        super().prepare()
        connection = self.request.connection
        if isinstance(connection, HTTP1Connection):
            connection.set_max_body_size(PIECE_MAX)
            connection.set_body_timeout(SECONDS_MAX)
        parameters = Parameters(self.request, ("close", "offset"))
        self._should_close = parameters.boolean("close")
        offset = None
        if parameters.one("offset") is not None:
            offset = parameters.number("offset", 0, least=0, most=SEQ_MAX)
        try:
            self._target = await self._found(offset)
        except Conflict as exc:
            if not is_relayed(self.request):
                raise
            self._failure = exc  # closed while the body comes, the connection would lose it

    @property
    def body_limit(self) -> int:
        """No limit: nothing of the body is kept."""
        return PIECE_MAX

    async def data_received(self, chunk: bytes) -> None:
        """Pass a piece on; the next one is read from the client when this one is taken."""
        if self._failure is None and self._target is not None:
            try:
                await self._target.write(chunk)
            except Conflict as exc:
                self._failure = exc  # told once the client has sent everything

    async def post(self, id: str) -> None:
        """Close the stdin where that is asked for, and say that all is written."""
        if isinstance(self._target, Upload):
            await self._target.answer(self)
            return
        if self._failure is not None:
            raise self._failure
        if self._should_close and self._target is not None:
            self._target.close()
        self.set_status(204)
        self.finish()

    def on_connection_close(self) -> None:
        """Break off what is passed on: the owner must not take a part for the whole."""
        if isinstance(self._target, Upload):
            self._target.break_off()

    async def _found(self, offset: int | None) -> _Command | Upload:
        job, run = await self._begun(self.path_kwargs["id"])
        if run is not None:
            return _Command(run, offset)
        if job.has_ended or job.owner is None or is_relayed(self.request):
            raise Conflict("the job is not running")
        return await self.application.relay.upload(self.request, job.owner)

    async def _begun(self, id: str) -> tuple[Job, Run | None]:
        """Return the job, and its run where that is here, once its command was started: 202 says
        only that it will be.
        """
        app, until = self.application, time.monotonic() + BEGIN_S
        while True:
            job, run = await app.ledger.get(id), app.runner.runs.get(id)
            left = until - time.monotonic()
            is_elsewhere = run is None and job.owner not in (None, app.runner.owner)
            if left <= 0 or job.has_ended or is_elsewhere or (run and run.has_begun):
                return job, run
            if run is not None:
                await run.wait_begun(left)
            elif job.owner is not None:
                await app.runner.waiters.wait_here(id)
            elif not await app.runner.waiters.wait(id, "claimed", left):
                return job, None


class _Command:
    """The command, when it runs here."""

    def __init__(self, run: Run, offset: int | None) -> None:
        run.check_stdin(offset)
        self._run = run
        self._offset = offset

    async def write(self, data: bytes) -> None:
        offset = self._offset
        if offset is not None:
            self._offset = offset + len(data)
        await self._run.write_stdin(data, offset)

    def close(self) -> None:
        self._run.close_stdin()
