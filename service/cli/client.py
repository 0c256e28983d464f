"""The service, as its HTTP clients see it.

Every request has a connection of its own: nothing is shared between threads, and no request ever
goes out on a connection that the other side is just closing.
"""

from __future__ import annotations

import http.client
import socket
import ssl
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import closing, contextmanager
from typing import Any, NamedTuple, TypeVar
from urllib.parse import quote, urlencode, urlsplit

import msgspec

from service.cli.errors import Failure, Refused, Unreachable
from service.errors import Problem
from service.jobs import Job

T = TypeVar("T")

CONNECT_S = 10.0
ANSWER_S = 60.0
READ_BYTES = 64 * 1024
TRIES = 4
RETRY_S = 0.2
PAGE = 1_000  # the longest page, by the contract

# What another process, or the same one a little later, may answer otherwise: no process behind
# the front, full or draining.
PASSING = (502, 503, 504)


class Reply(NamedTuple):
    """A whole answer."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    def job(self) -> Job:
        """Return the job that the body is."""
        return decode(self.body, Job)


class Page(msgspec.Struct, frozen=True):
    """A page of the list, each job as JSON."""

    jobs: list[msgspec.Raw]
    next_cursor: str | None = None

    def parsed(self) -> Iterator[tuple[Job, bytes]]:
        """Yield each job, and its JSON."""
        for raw in self.jobs:
            yield decode(bytes(raw), Job), bytes(raw)


class Client:
    """Requests to one address, with one token."""

    def __init__(self, url: str, token: str, *, tls: ssl.SSLContext | None = None) -> None:
        """Begin with no connection; `tls` is what to trust, if not what the system does."""
        self.url = url
        self._parts = urlsplit(url)
        self._token = token
        self._tls = tls

    def request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        *,
        headers: Mapping[str, str] = {},
        timeout_s: float | None = ANSWER_S,
        passing: Collection[int] = PASSING,
    ) -> Reply:
        """Send one request and return its answer; raises Refused, Unreachable.

        What may be sent twice without harm (GET, POST with an Idempotency-Key, cancel) is sent
        again, a few times and not for long, when the connection breaks or the answer has one of
        the statuses `passing`.
        """
        may_repeat = method == "GET" or "Idempotency-Key" in headers or path.endswith("/cancel")
        for _ in range(TRIES - 1 if may_repeat else 0):
            try:
                return self._request(method, path, body, headers, timeout_s)
            except Broken:
                time.sleep(RETRY_S)
            except Refused as exc:
                if exc.problem.status not in passing:
                    raise
                time.sleep(exc.retry_after_s)
        return self._request(method, path, body, headers, timeout_s)

    def get(self, path: str, **query: Any) -> Reply:
        """GET a path; a query parameter may be a list, and is left out when None."""
        return self.request("GET", f"{path}{_query(query)}")

    def page(self, **query: Any) -> Page:
        """Return one page of the list of jobs."""
        return decode(self.get("/v1/jobs", **query).body, Page)

    def jobs(self, *, cursor: str | None = None, **query: Any) -> Iterator[tuple[Job, bytes]]:
        """Yield jobs with their JSON, the newest first; a page is asked for when it is needed."""
        query = {"limit": PAGE, **query}
        while True:
            page = self.page(cursor=cursor, **query)
            yield from page.parsed()
            if (cursor := page.next_cursor) is None:
                return

    def stream(self, path: str, *, timeout_s: float | None = None, **query: Any) -> Iterator[bytes]:
        """GET a path and yield its body as it arrives; raises Refused, Unreachable.

        The last piece is the end of the body: a body that breaks off, or is silent for longer than
        `timeout_s`, raises Unreachable.
        """
        with closing(self._connection(timeout_s)) as connection:
            with _translated(self.url):
                response = self._send(connection, "GET", f"{path}{_query(query)}", None, {})
                if response.status != 200:
                    raise _refused(response.status, response.headers, response.read())
            while True:
                with _translated(self.url):
                    piece = response.read1(READ_BYTES)
                if not piece:
                    return
                yield piece

    def wait_ended(self, job_id: str, *, longest_s: float) -> Reply:
        """Return the job once it has ended, with its output; one request holds `longest_s`."""
        headers = {"Prefer": f"wait={longest_s:.0f}"}
        path = job_path(job_id)
        while True:
            reply = self.request("GET", path, headers=headers, timeout_s=longest_s + ANSWER_S)
            if reply.job().has_ended:
                return reply

    def cancel(self, job_id: str) -> Reply:
        """Ask for the job's end; returns the job as it is now."""
        return self.request("POST", f"{job_path(job_id)}/cancel")

    def _request(
        self,
        method: str,
        path: str,
        body: bytes | None,
        headers: Mapping[str, str],
        timeout_s: float | None,
    ) -> Reply:
        with closing(self._connection(timeout_s)) as connection, _translated(self.url):
            response = self._send(connection, method, path, body, headers)
            content = response.read()
        if not 200 <= response.status < 300:
            raise _refused(response.status, response.headers, content)
        return Reply(response.status, response.headers, content)

    def _connection(self, timeout_s: float | None) -> http.client.HTTPConnection:
        host, port = self._parts.hostname or "", self._parts.port
        connection: http.client.HTTPConnection
        if self._parts.scheme == "https":
            context = self._tls or ssl.create_default_context()
            connection = http.client.HTTPSConnection(host, port, timeout=CONNECT_S, context=context)
        else:
            connection = http.client.HTTPConnection(host, port, timeout=CONNECT_S)
        try:
            connection.connect()
        except OSError as exc:
            raise _not_there(self.url, exc) from exc
        connection.sock.settimeout(timeout_s)
        # a peer that vanished without a word is noticed on a stream that is silent for hours
        connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        return connection

    def _send(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        path: str,
        body: bytes | None,
        headers: Mapping[str, str],
    ) -> http.client.HTTPResponse:
        every = {"Authorization": f"Bearer {self._token}", "Connection": "close"}
        if body is not None:
            every["Content-Type"] = "application/json"
        target = self._parts.path.rstrip("/") + path
        try:
            connection.request(method, target, body, {**every, **headers})
        except (BrokenPipeError, ConnectionResetError):
            pass  # refused before all of the body was sent: the answer is there to be read
        return connection.getresponse()


class Broken(Unreachable):
    """A connection broke before the answer was complete: nobody knows whether it was heard."""


def job_path(job_id: str) -> str:
    """Return the path of a job; whatever was typed stays one segment of it."""
    return f"/v1/jobs/{quote(job_id, safe='')}"


def decode(body: bytes, type_: type[T]) -> T:
    """Decode an answer; raises Failure when it is not what the contract says."""
    try:
        return msgspec.json.decode(body, type=type_)
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        raise Failure(f"the service sent something else than expected: {exc}") from exc


def _query(parameters: Mapping[str, Any]) -> str:
    given = {key: value for key, value in parameters.items() if value is not None}
    return f"?{urlencode(given, doseq=True)}" if given else ""


@contextmanager
def _translated(url: str) -> Iterator[None]:
    try:
        yield
    except (OSError, http.client.HTTPException) as exc:
        what = "no answer in time" if isinstance(exc, TimeoutError) else str(exc)
        raise Broken(f"the connection to {url} broke: {what}") from exc


def _not_there(url: str, exc: OSError) -> Unreachable:
    if isinstance(exc, ConnectionRefusedError):
        return Unreachable(f"nothing listens at {url}; `squall up` starts the service")
    return Unreachable(f"{url} cannot be reached: {exc}")


def _refused(status: int, headers: http.client.HTTPMessage, body: bytes) -> Refused:
    try:
        problem = msgspec.json.decode(body, type=Problem)
    except (msgspec.DecodeError, UnicodeDecodeError):
        # not ours: nginx says by itself that it has no process, or that a body is too large
        problem = Problem(title="", status=status, detail=_by_nginx(status))
    if status == 401:
        problem = msgspec.structs.replace(
            problem, errors=[], detail="the token was refused; `squall token` prints this machine's"
        )
    retry_after = headers.get("Retry-After", "")
    problem = msgspec.structs.replace(problem, status=status)
    return Refused(problem, float(retry_after) if retry_after.isdecimal() else RETRY_S)


def _by_nginx(status: int) -> str:
    if status in (502, 503, 504):
        return f"no process answers behind the front ({status}); see `squall status`"
    if status == 413:
        return "too large for one request (http.body_bytes)"
    return f"the answer is {status} {http.client.responses.get(status, '')}".rstrip()
