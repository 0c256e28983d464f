"""What every handler has: who may call, JSON in and out, errors as problems."""

from __future__ import annotations

import functools
import logging
import re
from asyncio import Future
from collections.abc import Awaitable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import msgspec
from tornado.httputil import HTTPServerRequest
from tornado.web import Application, HTTPError, RequestHandler, stream_request_body

from service import checks
from service.errors import LedgerError, NotFound, ServiceError
from service.jobs import ID_PATTERN, Job
from service.ledger import Ledger
from service.metrics import Metrics
from service.output.outputs import Outputs
from service.peers.relay import Relay, is_relayed
from service.running.runner import Runner
from service.settings import Settings
from service.state import StateDir
from service.web import problems
from service.web.access import Access
from service.web.query import wait_preference
from service.web.readiness import Readiness
from service.web.sessions import Sessions
from service.web.streams import Streams

T = TypeVar("T")
log = logging.getLogger(__name__)
encode = msgspec.json.Encoder().encode

# An error of Tornado's own, by its status, as one of ours.
_TORNADO: Mapping[int, type[ServiceError]] = {
    400: problems.BadRequest,
    413: problems.TooLarge,
}

METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE")


class _AnyMethod(tuple[str, ...]):
    """Every method there is: `prepare` says which a handler has, once access was checked."""

    def __contains__(self, method: object) -> bool:
        return True


class App(Application):
    """The parts that handlers work with."""

    def __init__(
        self,
        routes: list[Any],
        ledger: Ledger,
        runner: Runner,
        metrics: Metrics,
        settings: Settings,
        token: str,
    ) -> None:
        """Begin with the parts; those of HTTP alone are made here."""
        self.ledger = ledger
        self.runner = runner
        self.metrics = metrics
        self.squall = settings
        self.state = StateDir(settings.state.dir)
        self.journals: Path = self.state.journals
        self.access = Access(token, settings.front, Sessions(self.state.sessions))
        self.relay = Relay(self.state, token)
        self.outputs = Outputs(ledger, runner, self.relay, self.journals)
        self.readiness = Readiness(ledger)
        self.streams = Streams(settings.http.streams, settings.jobs.running)
        super().__init__(routes, log_function=_log_request)


@stream_request_body
class Handler(RequestHandler):
    """The base of all handlers: nobody is served without a token unless `is_public`."""

    SUPPORTED_METHODS = _AnyMethod(METHODS)
    is_public = False

    application: App

    def initialize(self) -> None:
        """Begin with an empty body."""
        self._body: list[bytes] = []
        self._body_size = 0

    def set_default_headers(self) -> None:
        """Say nothing of the server, and keep answers out of caches and sniffers."""
        self.clear_header("Server")
        self.set_header("Cache-Control", "no-store")
        self.set_header("X-Content-Type-Options", "nosniff")
        if self.application.runner.is_draining:
            self.set_header("Connection", "close")

    def compute_etag(self) -> None:
        """Make no Etag: answers change, and hashing them costs time."""

    def prepare(self) -> Awaitable[None] | None:
        """Check who asks, and for what, before a byte of the body is read."""
        self.application.access.check(self.request)
        if not self.is_public:
            self.application.access.authenticate(self.request)
        if self.request.method not in self.methods():
            raise problems.MethodNotAllowed(self.request.method or "", self.methods())
        if "id" in self.path_kwargs:
            self.path_kwargs["id"] = _job_id(self.path_kwargs["id"])
        self._check_size(content_length(self.request))
        return None

    @property
    def body_limit(self) -> int:
        """The largest body that this handler takes, in bytes."""
        return self.application.squall.http.body_bytes

    def data_received(self, chunk: bytes) -> Awaitable[None] | None:
        """Collect the body, up to the limit; `body` tells when there was more."""
        self._body_size += len(chunk)
        if self._body_size <= self.body_limit:
            self._body.append(chunk)
        return None

    @property
    def has_body(self) -> bool:
        """Whether the request came with a body that isn't empty."""
        return self._body_size > 0

    def body(self) -> bytes:
        """Return the whole JSON body; NotJson when it is something else."""
        media_type = self.request.headers.get("Content-Type", "").partition(";")[0].strip()
        if media_type.lower() != "application/json":
            raise problems.NotJson("the body must be sent as 'Content-Type: application/json'")
        self._check_size(self._body_size)
        return b"".join(self._body)

    def body_as(self, type_: type[T]) -> T:
        """Return the JSON body as a value of a type; Invalid names every wrong field."""
        return checks.decode(self.body(), type_)

    def _check_size(self, size: int) -> None:
        if size > self.body_limit:
            raise problems.TooLarge(f"the body may have at most {self.body_limit} bytes")

    def finish(self, chunk: str | bytes | dict[str, Any] | None = None) -> Future[None]:
        """Send the answer. One that comes before the request was read says that it is the last."""
        if not self.request._body_future.done():
            # Tornado closes the connection then, and tells nobody: what nginx sends on it next,
            # a POST it may be, would be lost
            self.set_header("Connection", "close")
        return super().finish(chunk)

    def answer(self, value: object, status: int = 200) -> None:
        """Send a JSON document."""
        self.set_status(status)
        self.set_header("Content-Type", "application/json")
        self.finish(value if isinstance(value, bytes) else encode(value))

    async def relayed(self, job: Job) -> bool:
        """Whether the process that owns a job which is not ours answers; OwnerGone if it can't."""
        is_ours = job.owner in (None, self.application.runner.owner)
        if is_ours or job.has_ended or is_relayed(self.request):
            return False
        held_s = wait_preference(self.request, self.application.squall.http.wait_seconds) or 0.0
        body = b"".join(self._body)
        await self.application.relay.pass_on(self, job.owner or "", body, held_s=held_s)
        return True

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Send the problem that an exception stands for."""
        error = kwargs["exc_info"][1]
        if isinstance(error, HTTPError) and not isinstance(error, ServiceError):
            kind = _TORNADO.get(error.status_code, problems.BadRequest)
            error = kind(error.get_message() or error.reason or f"HTTP {error.status_code}")
        if isinstance(error, LedgerError):
            self.application.readiness.doubt(error)
        problem = problems.problem_of(error)
        self.set_status(problem.status)
        self.set_header("Content-Type", problems.MEDIA_TYPE)
        for name, value in problems.headers_of(error).items():
            self.set_header(name, value)
        self.finish(encode(problem))

    @classmethod
    @functools.cache
    def methods(cls) -> list[str]:
        """Return the methods that this handler has."""
        base = RequestHandler
        return [n for n in METHODS if getattr(cls, n.lower()) is not getattr(base, n.lower())]

    def log_exception(
        self,
        typ: type[BaseException] | None,
        value: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        """Log what is no refusal: a bug, with its trace."""
        if not isinstance(value, ServiceError | HTTPError) and typ and value:
            log.error("%s %s", self.request.method, self.request.path, exc_info=(typ, value, tb))


class NoRoute(Handler):
    """Answers for every path that has no route."""

    def prepare(self) -> None:
        """Refuse, whatever the method, whoever may ask."""
        self.application.access.check(self.request)
        self.application.access.authenticate(self.request)
        raise NotFound("no such route")


def content_length(request: HTTPServerRequest) -> int:
    """Return the Content-Length, 0 when there is none; BadRequest when it isn't one number."""
    given = request.headers.get("Content-Length", "0")
    if not (given.isascii() and given.isdecimal() and len(given) < 20):
        raise problems.BadRequest("the Content-Length is not a number of bytes")
    return int(given)


def _job_id(given: str) -> str:
    """Return a job's id as the ledger has it; NotFound when no job can have it."""
    id = given.lower()
    if not re.fullmatch(ID_PATTERN, id):
        raise NotFound("no such job: an id looks like 01a1fbfb-43ed-7000-a63e-87eb0967494d")
    return id


def _log_request(handler: RequestHandler) -> None:
    request: HTTPServerRequest = handler.request
    level = logging.WARNING if handler.get_status() >= 500 else logging.DEBUG
    milliseconds = 1000 * request.request_time()
    log.log(
        level,
        "%d %s %s %.1f ms",
        handler.get_status(),
        request.method,
        request.path,  # never the query: a client may have put a secret there
        milliseconds,
    )
