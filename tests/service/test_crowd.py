"""Many readers of one job, most of them slow."""

from __future__ import annotations

import contextlib
import http.client
import json
import signal
import socket
import threading

import pytest

from tests.service.conftest import eventually
from tests.service.test_output import peak_kib, stream

MIB = 1 << 20
GATED = "while ! test -e gate; do sleep 0.02; done; head -c {} /dev/zero"


def follow(service, id, route, port=None):
    """Open a stream that reads no more than it is told to."""
    client = socket.create_connection(("127.0.0.1", port or service.ports[0]))
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    request = f"GET /v1/jobs/{id}/{route}?follow=true HTTP/1.1\r\nHost: localhost\r\n"
    client.sendall(f"{request}Authorization: Bearer {service.token}\r\n\r\n".encode())
    assert client.recv(15) == b"HTTP/1.1 200 OK"
    return client


@pytest.mark.parametrize("route", ["stdout", "output"])
def test_a_crowd_of_slow_readers_costs_little_memory(start_service, tmp_path, route):
    service = start_service(1)
    pid = service.processes[service.ports[0]].pid
    job = service.submit("sh", "-c", GATED.format(100 * MIB), cwd=str(tmp_path))
    service.wait_state(job["id"], "running")
    clients = [follow(service, job["id"], route) for _ in range(200)]
    for client in clients:
        client.setblocking(False)
    try:
        (tmp_path / "gate").touch()
        while service.get(job["id"])["state"] == "running":
            for client in clients:
                with contextlib.suppress(BlockingIOError):
                    client.recv(2048)
        assert peak_kib(pid) < 100 * 1024
    finally:
        for client in clients:
            client.close()


def test_the_kernel_holds_little_of_what_a_reader_does_not_take(start_service, tmp_path):
    service = start_service(1)
    process = service.processes[service.ports[0]]
    job = service.submit("sh", "-c", GATED.format(100 * MIB), cwd=str(tmp_path))
    service.wait_state(job["id"], "running")
    with follow(service, job["id"], "stdout") as client:
        (tmp_path / "gate").touch()
        service.wait_state(job["id"], "succeeded")
        process.send_signal(signal.SIGSTOP)
        try:
            client.settimeout(0.5)
            held = 0
            with pytest.raises(TimeoutError):
                while data := client.recv(65_536):
                    held += len(data)
        finally:
            process.send_signal(signal.SIGCONT)
    assert 0 < held < MIB


def test_all_readers_that_keep_up_get_the_same(service):
    job = service.submit("sh", "-c", "sleep 0.5; seq 200000; seq 200000 >&2")
    bodies = {}

    def read(number):
        path = f"/v1/jobs/{job['id']}/output?follow=true"
        bodies[number] = service.ask("GET", path, port=service.ports[number % 2]).body

    threads = [threading.Thread(target=read, args=(number,)) for number in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(bodies.values())) == 1
    *items, last = [json.loads(line) for line in bodies[0].splitlines()]
    told = "".join(item["text"] for item in items if item["stream"] == "stdout")
    assert told == "".join(f"{number}\n" for number in range(1, 200_001))
    assert last["job"]["state"] == "succeeded"


@pytest.mark.parametrize("path", ["/v1/jobs/{}/stdout?follow=true", "/v1/events"])
def test_beyond_the_bound_a_stream_is_refused_and_all_else_is_served(start_service, path):
    service = start_service(1, SQUALL_HTTP_STREAMS=3)
    job = service.submit("sleep", "60")
    path = path.format(job["id"])
    open_ = [stream(service, path) for _ in range(3)]
    refused = service.ask("GET", path)
    assert (refused.status, refused.json["title"]) == (503, "Service Unavailable")
    assert int(refused.headers["Retry-After"]) > 0
    assert service.run("echo", "fine")["stdout"]["text"] == "fine\n"
    open_.pop()[0].close()
    eventually(lambda: _is_served(service, path))
    for connection, _ in open_:
        connection.close()
    service.ask("POST", f"/v1/jobs/{job['id']}/cancel")


def _is_served(service, path):
    connection = http.client.HTTPConnection("127.0.0.1", service.ports[0], timeout=30)
    try:
        connection.request("GET", path, headers={"Authorization": f"Bearer {service.token}"})
        return connection.getresponse().status == 200
    finally:
        connection.close()
