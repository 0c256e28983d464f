"""Where descriptors are few: streams are bounded, requests wait or are told to come again."""

from __future__ import annotations

import json
import re
import socket
import tempfile
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from .conftest import Fleet

OPEN_FILES = 256
TRUE = json.dumps({"args": ["true"]}).encode()


@pytest.fixture(scope="module")
def narrow(clone: Path) -> Iterator[Fleet]:
    """A fleet whose programs have hardly any descriptors."""
    with tempfile.TemporaryDirectory(prefix="squall-") as home:
        fleet = Fleet(clone, Path(home), ("prlimit", f"--nofile={OPEN_FILES}:{OPEN_FILES}"))
        fleet.environ["SQUALL_PROCESSES_COUNT"] = "4"  # so many that nginx is full before they are
        fleet.squall("up")
        yield fleet
        fleet.squall("down", code=None)


def ask(fleet: Fleet, head: str) -> tuple[socket.socket, bytes]:
    """Send a request without a body on a connection of its own; returns what comes first."""
    connection = socket.create_connection(("127.0.0.1", fleet.front_port), timeout=60)
    fields = "".join(f"{name}: {value}\r\n" for name, value in fleet.headers().items())
    connection.sendall(f"{head} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n".encode())
    return connection, connection.recv(65_536)


def most(fleet: Fleet) -> int:
    """Return how many streams all workers of nginx take."""
    text = (fleet.state / "nginx.conf").read_text()
    found = re.search(r"worker_processes (\d+);.*limit_conn streams (\d+);", text, re.S)
    assert found
    return int(found[1]) * int(found[2])


# as a client would write it, and as one might who would rather not be counted
STREAMS = [
    "GET /v1/events",
    "GET /v1/jobs/0/output?follow=true",
    "GET /v1/jobs/0/stdout?after=1&f%6fllow=true",
    "POST /v1/jobs/0/stdin",
    "GET /v1/jobs/0 HTTP/1.1\r\nPrefer: respond-async, wait=20\r\nX-Rest:",
]


def test_streams_leave_room_for_requests(narrow: Fleet) -> None:
    with ExitStack() as streams:
        told = []
        for _ in range(most(narrow) + 20):
            connection, answer = ask(narrow, "GET /v1/events")
            streams.enter_context(connection)
            told.append(answer)
        refused = [answer for answer in told if answer.startswith(b"HTTP/1.1 503")]
        held = [answer for answer in told if answer.startswith(b"HTTP/1.1 200")]
        assert len(refused) >= 20 and len(held) + len(refused) == len(told), set(told)
        for line in (b"Retry-After: ", b"Content-Type: application/problem+json"):
            assert line in refused[0]
        # each worker has all that it takes now, and answers what is no stream all the same
        for _ in range(20):
            for head in STREAMS:
                connection, answer = ask(narrow, head)
                streams.enter_context(connection)
                if answer.startswith(b"HTTP/1.1 503"):
                    break
            else:
                continue
            assert narrow.request("POST", "/v1/jobs", TRUE)[0] == 202


@pytest.mark.parametrize("head", STREAMS)
def test_every_kind_of_stream_is_counted(narrow: Fleet, head: str) -> None:
    with ExitStack() as streams:
        for _ in range(most(narrow) + 20):
            streams.enter_context(ask(narrow, "GET /v1/events")[0])
        answers = []
        for _ in range(10):
            connection, answer = ask(narrow, head)
            streams.enter_context(connection)
            answers.append(answer)
    assert any(answer.startswith(b"HTTP/1.1 503") for answer in answers), answers


def test_a_crowd_is_answered_or_told_to_come_again(narrow: Fleet) -> None:
    def post(_: int) -> int:
        status, headers, body = narrow.request("POST", "/v1/jobs", TRUE)
        if status == 503:
            assert "Retry-After" in headers
            assert json.loads(body)["status"] == 503
        return status

    with ThreadPoolExecutor(200) as crowd:
        answers = Counter(crowd.map(post, range(600)))
    assert answers[202] and answers.keys() <= {202, 503}


def test_who_says_nothing_is_put_out_for_those_who_do(narrow: Fleet) -> None:
    with ExitStack() as silent:
        for _ in range(2 * OPEN_FILES):
            connection = socket.create_connection(("127.0.0.1", narrow.front_port), timeout=60)
            silent.enter_context(connection)
        assert narrow.request("POST", "/v1/jobs", TRUE)[0] == 202
