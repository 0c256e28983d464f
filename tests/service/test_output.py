"""A job's output: raw with ranges, as a journal, and followed while it is written."""

from __future__ import annotations

import http.client
import json
import os
import time

import pytest

from tests.service.conftest import eventually


@pytest.fixture(params=[0, 1], ids=["at the owner", "elsewhere"])
def port(service, request):
    return service.ports[request.param]


def stream(service, path, port=None, **headers):
    """Open an answer without reading it."""
    connection = http.client.HTTPConnection("127.0.0.1", port or service.ports[0], timeout=60)
    headers = {"Authorization": f"Bearer {service.token}", **headers}
    connection.request("GET", path, headers=headers)
    return connection, connection.getresponse()


@pytest.fixture(scope="module")
def alphabet(service):
    return service.run("printf", "abcdefghij")


@pytest.mark.parametrize(
    ("given", "status", "body", "content_range"),
    [
        (None, 200, b"abcdefghij", None),
        ("bytes=0-0", 206, b"a", "bytes 0-0/10"),
        ("bytes=2-4", 206, b"cde", "bytes 2-4/10"),
        ("bytes=7-", 206, b"hij", "bytes 7-9/10"),
        ("bytes=7-100", 206, b"hij", "bytes 7-9/10"),
        ("bytes=-2", 206, b"ij", "bytes 8-9/10"),
        ("bytes=-100", 206, b"abcdefghij", "bytes 0-9/10"),
        ("bytes=10-", 416, None, "bytes */10"),
        ("bytes=-0", 416, None, "bytes */10"),
        ("bytes=4-2", 200, b"abcdefghij", None),
        ("bytes=0-1,3-4", 200, b"abcdefghij", None),
        ("lines=1-2", 200, b"abcdefghij", None),
    ],
)
def test_ranges_of_raw_output(service, alphabet, port, given, status, body, content_range):
    path = f"/v1/jobs/{alphabet['id']}/stdout"
    answer = service.ask("GET", path, headers={"Range": given} if given else {}, port=port)
    assert answer.status == status
    assert body is None or answer.body == body
    assert answer.headers.get("Content-Range") == content_range


def test_head_tells_the_size(service, alphabet):
    answer = service.ask("HEAD", f"/v1/jobs/{alphabet['id']}/stdout")
    assert (answer.status, answer.headers["Content-Length"], answer.body) == (200, "10", b"")


def test_large_binary_output_is_exact_on_every_process(service, port, tmp_path):
    data = os.urandom(3_000_000)
    (tmp_path / "data").write_bytes(data)
    job = service.run("sh", "-c", f"cat {tmp_path}/data; printf e >&2", port=service.ports[0])
    assert job["stdout"]["bytes"] == 3_000_000 and job["stdout"]["dropped"] == 0
    path = f"/v1/jobs/{job['id']}"
    assert service.ask("GET", path + "/stdout", port=port).body == data
    assert service.ask("GET", path + "/stderr", port=port).body == b"e"


def test_output_over_the_bound_keeps_head_and_tail(service, port):
    script = "for i in $(seq 1000 9999); do printf $i; done"
    job = service.run("sh", "-c", script, limits={"output_bytes": 1000}, port=service.ports[0])
    assert job["stdout"]["bytes"] == 36_000 and job["stdout"]["dropped"] == 35_000
    assert job["state"] == "succeeded"
    body = service.ask("GET", f"/v1/jobs/{job['id']}/stdout", port=port).body
    whole = "".join(map(str, range(1000, 10_000))).encode()
    assert body == whole[:500] + whole[-500:]


def test_the_journal_has_both_streams_in_order_and_ends_with_the_job(service, port):
    script = "for i in 1 2 3; do echo o$i; sleep 0.05; echo e$i >&2; sleep 0.05; done"
    job = service.run("sh", "-c", script, port=service.ports[0])
    answer = service.ask("GET", f"/v1/jobs/{job['id']}/output", port=port)
    assert answer.headers["Content-Type"] == "application/x-ndjson"
    *items, last = [json.loads(line) for line in answer.body.splitlines()]
    assert last == {"job": service.get(job["id"])}
    assert [item["seq"] for item in items] == list(range(1, len(items) + 1))
    told = [(item["stream"], item["text"]) for item in items]
    assert told == [
        (stream, f"{stream[3]}{i}\n") for i in (1, 2, 3) for stream in ("stdout", "stderr")
    ]
    assert [item["offset"] for item in items if item["stream"] == "stdout"] == [0, 3, 6]
    resumed = service.ask("GET", f"/v1/jobs/{job['id']}/output?after=4", port=port)
    assert [json.loads(line) for line in resumed.body.splitlines()] == [*items[4:], last]


def test_a_follower_reads_output_while_the_job_runs(service, port, tmp_path):
    gate = tmp_path / "gate"
    script = f"echo first; while ! test -e {gate}; do sleep 0.02; done; echo second; exit 5"
    job = service.submit("sh", "-c", script, port=service.ports[0])
    connection, response = stream(service, f"/v1/jobs/{job['id']}/output?follow=true", port)
    first = json.loads(response.readline())
    assert (first["text"], first["seq"]) == ("first\n", 1)
    assert service.get(job["id"], port)["state"] in ("queued", "running")
    gate.touch()
    assert json.loads(response.readline())["text"] == "second\n"
    end = json.loads(response.readline())["job"]
    assert (end["state"], end["exit_code"]) == ("failed", 5)
    assert response.readline() == b""
    connection.close()


def test_raw_following_goes_on_until_the_end(service, port):
    script = "for i in 1 2 3 4; do echo $i; echo no >&2; sleep 0.05; done"
    job = service.submit("sh", "-c", script, port=service.ports[0])
    path = f"/v1/jobs/{job['id']}/stdout?follow=true"
    assert service.ask("GET", path, port=port).body == b"1\n2\n3\n4\n"


def test_events_carry_ids_and_resume_after_the_last(service, port):
    job = service.run("sh", "-c", "echo a; sleep 0.05; echo b", port=service.ports[0])
    path = f"/v1/jobs/{job['id']}/output"
    headers = {"Accept": "text/event-stream"}
    answer = service.ask("GET", path, headers=headers, port=port)
    assert answer.headers["Content-Type"] == "text/event-stream"
    assert answer.headers["X-Accel-Buffering"] == "no"
    events = answer.body.decode().split("\n\n")
    # with the first event: alone, some clients take it for an empty event
    # with the first event: alone, some clients take it for an empty event
    assert events[1].startswith("retry: 500\nevent: output\nid: 1\ndata: {")
    assert events[3].startswith("event: end\ndata: {") and events[4:] == [""]
    again = service.ask("GET", path, headers={**headers, "Last-Event-ID": "1"}, port=port)
    assert again.body.decode().split("\n\n") == [":", "retry: 500\n" + events[2], *events[3:]]


def test_following_a_queued_job_begins_when_it_runs(start_service):
    service = start_service(2, SQUALL_JOBS_RUNNING=1)
    blockers = [service.submit("sleep", "60", port=port) for port in service.ports]
    for blocker in blockers:
        service.wait_state(blocker["id"], "running")
    job = service.submit("echo", "late")
    connections = [
        stream(service, f"/v1/jobs/{job['id']}/output?follow=true", port) for port in service.ports
    ]
    service.ask("POST", f"/v1/jobs/{blockers[1]['id']}/cancel")
    for connection, response in connections:
        assert json.loads(response.readline())["text"] == "late\n"
        assert json.loads(response.readline())["job"]["state"] == "succeeded"
        connection.close()


def test_a_client_that_vanishes_leaves_nothing_behind(service, port):
    job = service.submit("sh", "-c", "while :; do echo x; sleep 0.02; done")
    pids = [process.pid for process in service.processes.values()]

    def descriptors():
        return sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in pids)

    eventually(lambda: service.get(job["id"], query="?output=true")["stdout"]["bytes"] > 4)
    before = descriptors()
    for _ in range(20):
        connection, response = stream(service, f"/v1/jobs/{job['id']}/output?follow=true", port)
        response.readline()
        connection.close()
    eventually(lambda: descriptors() <= before + 1)
    assert service.get(job["id"])["state"] == "running"
    service.ask("POST", f"/v1/jobs/{job['id']}/cancel")


def test_a_gigabyte_leaves_memory_flat(service, port):
    before = {pid: peak_kib(pid) for pid in (p.pid for p in service.processes.values())}
    job = service.submit("head", "-c", str(2**30), "/dev/zero", port=service.ports[0])
    connection, response = stream(service, f"/v1/jobs/{job['id']}/output?follow=true", port)
    response.readline()
    time.sleep(0.2)  # a slow reader: it takes nothing more until the job has ended
    ended = service.wait_state(job["id"], "succeeded")
    connection.close()
    assert ended["stdout"]["bytes"] == 2**30
    assert ended["stdout"]["dropped"] == 2**30 - 16 * 2**20
    for pid, kib in before.items():
        assert peak_kib(pid) - kib < 48 * 1024


def peak_kib(pid: int) -> int:
    with open(f"/proc/{pid}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))


def test_a_download_of_a_job_that_is_forgotten_breaks_off(service):
    job = service.run("head", "-c", str(16 * 2**20), "/dev/zero")
    path = f"/v1/jobs/{job['id']}"
    connection, response = stream(service, path + "/stdout")
    assert len(response.read(1000)) == 1000
    assert service.ask("DELETE", path).status == 204
    with pytest.raises(http.client.IncompleteRead):
        response.read()
    connection.close()
    assert service.run("echo", "fine")["stdout"]["text"] == "fine\n"
