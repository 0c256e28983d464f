"""Live output through a real nginx, on each of four processes."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import signal
import socket
import time

import pytest

from service.programs import processes
from tests.service.conftest import eventually
from tests.service.test_output import peak_kib

LINES = "for i in $(seq 40); do echo out$i; echo err$i >&2; sleep 0.01; done"


class Stream:
    """An answer that is read line by line."""

    def __init__(self, front, path, port=None, **headers):
        self.connection = http.client.HTTPConnection(
            "127.0.0.1", port or front.ports[0], timeout=60
        )
        headers["Authorization"] = f"Bearer {front.token}"
        self.connection.request("GET", path, headers=headers)
        self.response = self.connection.getresponse()
        assert self.response.status == 200

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.response.close()
        self.connection.close()

    def __iter__(self):
        while line := self.response.readline():
            yield json.loads(line)


def journal(front, id, after=0, port=None):
    with Stream(front, f"/v1/jobs/{id}/output?follow=true&after={after}", port) as lines:
        *items, end = lines
    return items, end["job"]


def text(items, stream):
    return "".join(item["text"] for item in items if item["stream"] == stream)


def test_following_on_each_process_gives_the_same(front):
    job = front.submit("sh", "-c", LINES)
    told = [journal(front, job["id"], port=port) for port in (None, *front.process_ports)]
    items, end = told[0]
    assert end["state"] == "succeeded"
    assert text(items, "stdout") == "".join(f"out{i}\n" for i in range(1, 41))
    assert text(items, "stderr") == "".join(f"err{i}\n" for i in range(1, 41))
    for others, other_end in told[1:]:
        assert other_end == end
        assert text(others, "stdout") == text(items, "stdout")
        assert text(others, "stderr") == text(items, "stderr")


def test_a_resume_at_every_number_gives_exactly_the_rest(front):
    job = front.run("sh", "-c", LINES)
    items, end = journal(front, job["id"])
    assert [item["seq"] for item in items] == list(range(1, len(items) + 1))
    for after in range(len(items) + 1):
        assert journal(front, job["id"], after) == (items[after:], end)


def test_a_reader_that_breaks_off_everywhere_misses_nothing(front):
    job = front.submit("sh", "-c", LINES)
    items, after = [], 0
    while True:
        with Stream(front, f"/v1/jobs/{job['id']}/output?follow=true&after={after}") as lines:
            line = next(iter(lines), None)
        if line is None:
            continue
        if "job" in line:
            break
        items.append(line)
        after = line["seq"]
    assert text(items, "stdout") == "".join(f"out{i}\n" for i in range(1, 41))
    assert text(items, "stderr") == "".join(f"err{i}\n" for i in range(1, 41))


def test_nothing_on_the_way_holds_a_line_back(front):
    job = front.submit("sh", "-c", "for i in 1 2 3; do date +%s.%N; sleep 0.5; done")
    with Stream(front, f"/v1/jobs/{job['id']}/output?follow=true") as lines:
        gaps = [time.time() - float(line["text"]) for line in lines if "text" in line]
    # not a claim of speed: a buffer on the way would hold all three back to the end
    assert len(gaps) == 3 and min(gaps) < 0.4


@pytest.mark.gen_test(timeout=120)
async def test_a_thousand_followers_of_one_job_all_get_everything(front):
    gate = front.directory / "gate"
    script = f"echo begin; while ! test -e {gate}; do sleep 0.05; done; echo end"
    job = front.submit("sh", "-c", script)
    request = (
        f"GET /v1/jobs/{job['id']}/stdout?follow=true HTTP/1.0\r\nHost: localhost\r\n"
        f"Authorization: Bearer {front.token}\r\n\r\n"
    )
    following = 0

    async def follow():
        nonlocal following
        reader, writer = await asyncio.open_connection("127.0.0.1", front.ports[0])
        writer.write(request.encode())
        await reader.readuntil(b"begin\n")
        following += 1
        if following == 1000:
            gate.touch()
        rest = await reader.read()
        writer.close()
        await writer.wait_closed()
        return rest

    rests = await asyncio.gather(*(follow() for _ in range(1000)))
    assert set(rests) == {b"end\n"}


def test_a_slow_follower_costs_neither_memory_nor_the_jobs_time(front):
    pids = [pid for name, pid in front.pids().items() if name != "nginx"]
    before = {pid: peak_kib(pid) for pid in pids}
    job = front.submit("head", "-c", str(2**30), "/dev/zero")
    with socket.create_connection(("127.0.0.1", front.ports[0])) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        request = f"GET /v1/jobs/{job['id']}/stdout?follow=true HTTP/1.0\r\nHost: localhost\r\n"
        client.sendall(f"{request}Authorization: Bearer {front.token}\r\n\r\n".encode())
        got = 0
        while front.get(job["id"])["state"] in ("queued", "running"):
            got += len(client.recv(100))  # about a kilobyte a second
            time.sleep(0.1)
    ended = front.get(job["id"])
    assert ended["state"] == "succeeded" and ended["stdout"]["bytes"] == 2**30
    assert got < 100_000
    for pid, kib in before.items():
        assert peak_kib(pid) - kib < 48 * 1024


def test_a_killed_owner_is_followed_by_one_from_which_the_stream_goes_on(front):
    script = "echo so far; read x; echo more"
    job = front.submit("sh", "-c", script, stdin="open")
    eventually(lambda: front.get(job["id"])["state"] == "running")
    owner = front.get(job["id"])["owner"]
    other = next(port for port in front.process_ports if str(port) != owner)
    with Stream(front, f"/v1/jobs/{job['id']}/output?follow=true", other) as stream:
        lines = iter(stream)
        assert next(lines)["text"] == "so far\n"
        os.kill(front.pids()[owner], signal.SIGKILL)
        eventually(lambda: front.get(job["id"])["handovers"] == 1)
        front.wait_ready_at(int(owner))
        assert front.ask("POST", f"/v1/jobs/{job['id']}/stdin", b"go\n").status == 204
        assert next(lines)["text"] == "more\n"
        assert next(lines)["job"]["state"] == "succeeded"


def test_a_killed_guard_ends_the_stream_with_what_was_printed(front):
    job = front.submit("sh", "-c", "echo so far; sleep 4712")
    eventually(lambda: front.get(job["id"])["state"] == "running")
    owner = front.get(job["id"])["owner"]
    other = next(port for port in front.process_ports if str(port) != owner)
    with Stream(front, f"/v1/jobs/{job['id']}/output?follow=true", other) as stream:
        lines = iter(stream)
        assert next(lines)["text"] == "so far\n"
        os.kill(processes.parent(front.pids()[owner]), signal.SIGKILL)
        end = next(lines)["job"]
    assert (end["state"], end["reason"], end["stdout"]["bytes"]) == ("lost", "crash", 7)
    assert front.ask("GET", f"/v1/jobs/{job['id']}/stdout").body == b"so far\n"
    eventually(lambda: owner in front.pids())
    front.wait_ready_at(int(owner))


def test_a_raw_stream_is_whole_or_broken_when_a_process_stops(front):
    job = front.submit("sh", "-c", "while :; do echo x; sleep 0.01; done")
    path = f"/v1/jobs/{job['id']}/stdout?follow=true"
    eventually(lambda: front.get(job["id"])["state"] == "running")
    owner = front.get(job["id"])["owner"]
    streams = [Stream(front, path) for _ in range(12)]
    for stream in streams:
        assert stream.response.readline() == b"x\n"
    os.kill(front.pids()[owner], signal.SIGTERM)  # it stops the job after two seconds
    broken = 0
    for stream in streams:
        with stream:
            try:
                whole = b"x\n" + stream.response.read()
            except http.client.IncompleteRead:
                broken += 1
            else:
                assert len(whole) == front.get(job["id"])["stdout"]["bytes"]
    assert broken  # some were at the process that stopped
    eventually(lambda: owner in front.pids())
    front.wait_ready_at(int(owner))


def test_events_come_through_nginx_from_all_processes(front):
    with Stream(front, "/v1/events") as stream:
        ids = {front.run("true", port=port)["id"] for port in front.process_ports}
        ended = set()
        while not ids <= ended:
            line = stream.response.readline()
            if line.startswith(b"data: "):
                job = json.loads(line[6:])
                if job["state"] == "succeeded":
                    ended.add(job["id"])
