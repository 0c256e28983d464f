"""What a process that stops leaves of the answers that it holds."""

from __future__ import annotations

import fcntl
import http.client
import signal
import socket
import threading
import time
from pathlib import Path

import pytest

from tests.service.conftest import eventually
from tests.service.test_output import stream

ESTABLISHED = "01"

LINES = ("sh", "-c", "while :; do echo x; sleep 0.02; done")


@pytest.fixture
def pair(start_service):
    return start_service(2, SQUALL_JOBS_DRAIN=30)


@pytest.mark.parametrize("query", ["stdout?follow=true", "output?follow=true"])
@pytest.mark.parametrize("stopped", [0, 1], ids=["by its owner", "by who relays"])
def test_a_stream_that_is_stopped_does_not_look_whole(pair, query, stopped):
    job = pair.submit(*LINES, port=pair.ports[0])
    connections = [stream(pair, f"/v1/jobs/{job['id']}/{query}", port) for port in pair.ports]
    for _, response in connections:
        assert response.readline()
    pair.kill(pair.ports[stopped], signal.SIGTERM)
    connection, response = connections[stopped]
    with pytest.raises(http.client.IncompleteRead):
        response.read()
    connection.close()
    # the other one goes on to the end of the job, which its owner lets run for a while
    assert connections[1 - stopped][1].readline()
    pair.ask("POST", f"/v1/jobs/{job['id']}/cancel", port=pair.ports[1 - stopped])
    connection, response = connections[1 - stopped]
    assert response.read().endswith(b"}\n" if "output" in query else b"")
    connection.close()


def test_to_a_client_without_chunks_it_is_a_reset(pair):
    job = pair.submit(*LINES)
    with socket.create_connection(("127.0.0.1", pair.ports[0])) as client:
        request = f"GET /v1/jobs/{job['id']}/stdout?follow=true HTTP/1.0\r\nHost: localhost\r\n"
        client.sendall(f"{request}Authorization: Bearer {pair.token}\r\n\r\n".encode())
        assert client.recv(1000).startswith(b"HTTP/1.1 200")
        pair.kill(pair.ports[0], signal.SIGTERM)
        with pytest.raises(ConnectionResetError):
            while client.recv(65_536):
                pass
    pair.ask("POST", f"/v1/jobs/{job['id']}/cancel", port=pair.ports[1])


def test_server_sent_events_end_and_go_on_elsewhere(pair):
    job = pair.submit(*LINES)
    path = f"/v1/jobs/{job['id']}/output?follow=true"
    connection, response = stream(pair, path, Accept="text/event-stream")
    assert response.readline() == b":\n"
    pair.kill(pair.ports[0], signal.SIGTERM)
    assert b"event: end" not in response.read()
    connection.close()
    pair.ask("POST", f"/v1/jobs/{job['id']}/cancel", port=pair.ports[1])


def test_who_waits_for_a_job_elsewhere_waits_while_the_process_lives(pair, tmp_path):
    job = pair.submit("cat", stdin="open", port=pair.ports[0])
    pair.wait_state(job["id"], "running")
    answers = []

    def wait():
        headers = {"Prefer": "wait=25"}
        path = f"/v1/jobs/{job['id']}"
        answers.append(pair.ask("GET", path, port=pair.ports[1], headers=headers))

    waiting = threading.Thread(target=wait)
    waiting.start()
    time.sleep(0.5)  # it is held; sooner, it is held all the same
    pair.kill(pair.ports[1], signal.SIGTERM)
    eventually(lambda: pair.ask("GET", "/readyz", port=pair.ports[0]).status == 200)
    time.sleep(0.5)
    assert not answers
    close = pair.ask("POST", f"/v1/jobs/{job['id']}/stdin?close=true", b"", port=pair.ports[0])
    assert close.status == 204
    waiting.join()
    assert (answers[0].status, answers[0].json["state"]) == (200, "succeeded")
    assert pair.processes[pair.ports[1]].wait(30) == 0


def test_at_the_drain_limit_who_waits_learns_how_it_is(start_service):
    pair = start_service(2, SQUALL_JOBS_DRAIN=1)
    job = pair.submit("sleep", "60", port=pair.ports[0])
    answers = []

    def wait():
        headers = {"Prefer": "wait=50"}
        path = f"/v1/jobs/{job['id']}"
        answers.append(pair.ask("GET", path, port=pair.ports[1], headers=headers))

    waiting = threading.Thread(target=wait)
    waiting.start()
    time.sleep(0.5)
    pair.kill(pair.ports[1], signal.SIGTERM)
    waiting.join()
    assert (answers[0].status, answers[0].json["state"]) == (202, "running")


def test_a_job_that_comes_after_the_drain_limit_is_stopped_as_the_others_were(start_service):
    service = start_service(1, SQUALL_JOBS_DRAIN=0.1)
    (port,) = service.ports
    answers = []
    with (service.directory / "ledger.db.turn").open("rb+") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)  # its claim stays on its way
        body = {"args": ["sleep", "60"]}
        submitting = threading.Thread(
            target=lambda: answers.append(service.ask("POST", "/v1/jobs", body))
        )
        submitting.start()
        eventually(lambda: connections(port) == 1)
        assert service.ask("GET", "/livez").status == 200  # what came before it was read
        service.kill(port, signal.SIGTERM)
        log = service.directory / "log" / f"{port}.log"
        eventually(lambda: "the drain limit is over" in log.read_text())
    assert service.processes[port].wait(30) == 0
    submitting.join()
    assert answers[0].status == 202
    service.restart(port)
    job = service.get(answers[0].json["id"])
    assert job["state"] == "cancelled" and job["error"] == "stopped because the service was stopped"


def connections(port):
    """Return how many connections the process has accepted, or is about to."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(row[1].endswith(f":{port:04X}") and row[3] == ESTABLISHED for row in rows)
