"""Open stdin: an interactive program driven over HTTP."""

from __future__ import annotations

import hashlib
import os
import socket

import pytest

from tests.service.conftest import eventually


@pytest.fixture(params=[0, 1], ids=["at the owner", "elsewhere"])
def port(service, request):
    return service.ports[request.param]


def write(service, job, data=b"", query="", port=None):
    headers = {"Content-Type": "application/octet-stream"}
    path = f"/v1/jobs/{job['id']}/stdin{query}"
    return service.ask("POST", path, data, headers=headers, port=port)


def test_an_interactive_program_is_driven(service, port):
    job = service.submit("python3", "-i", "-q", stdin="open", port=service.ports[0])
    assert write(service, job, b"6*7\n", port=port).status == 204
    path = f"/v1/jobs/{job['id']}/stdout"
    eventually(lambda: service.ask("GET", path, port=port).body == b"42\n")
    assert write(service, job, b"print('bye')\n", port=port).status == 204
    assert write(service, job, query="?close=true", port=port).status == 204
    assert service.wait_state(job["id"], "succeeded")["stdout"]["bytes"] == len(b"42\nbye\n")


def test_a_piece_waits_for_a_command_that_has_others_before_it(service, port):
    # with a limit a start takes some 20 ms: the last one's turn comes long after the answer
    spec = {"args": ["cat"], "stdin": "open", "limits": {"core_size": 0}}
    jobs = service.ask("POST", "/v1/jobs", [spec] * 40).json
    assert write(service, jobs[-1], b"early", "?close=true", port).status == 204
    for job in jobs[:-1]:
        assert write(service, job, query="?close=true", port=port).status == 204
    ended = service.wait_state(jobs[-1]["id"], "succeeded")
    assert ended["stdout"]["bytes"] == len(b"early")


def test_large_pieces_arrive_exactly(service, port):
    job = service.submit("sha256sum", stdin="open", port=service.ports[0])
    data = os.urandom(20_000_000)  # more than any other body may have
    assert write(service, job, data, port=port).status == 204
    assert write(service, job, b"end", "?close=true", port=port).status == 204
    ended = service.wait_state(job["id"], "succeeded")
    digest = hashlib.sha256(data + b"end").hexdigest()
    assert service.get(ended["id"], query="?output=true")["stdout"]["text"].startswith(digest)


def test_a_program_that_does_not_read_holds_the_sender_back(service, port):
    job = service.submit("sleep", "60", stdin="open", port=service.ports[0])
    service.wait_state(job["id"], "running")
    with socket.create_connection(("127.0.0.1", port)) as client:
        head = f"POST /v1/jobs/{job['id']}/stdin HTTP/1.1\r\nHost: localhost\r\n"
        head += f"Authorization: Bearer {service.token}\r\nContent-Length: {2**30}\r\n\r\n"
        client.sendall(head.encode())
        client.settimeout(1.0)
        sent = 0
        with pytest.raises(TimeoutError):
            while True:
                sent += client.send(bytes(65_536))
        assert sent < 64 * 2**20
    service.ask("POST", f"/v1/jobs/{job['id']}/cancel")
    service.wait_state(job["id"], "cancelled")


def test_a_job_without_open_stdin_is_409(service, port):
    job = service.submit("sleep", "60", port=service.ports[0])
    service.wait_state(job["id"], "running")
    assert write(service, job, b"x", port=port).status == 409
    service.ask("POST", f"/v1/jobs/{job['id']}/cancel")
    service.wait_state(job["id"], "cancelled")
    assert write(service, job, b"x", port=port).status == 409


def test_stdin_that_nobody_reads_any_more_is_409(service, port):
    script = "exec <&-; echo closed; sleep 60"
    job = service.submit("sh", "-c", script, stdin="open", port=service.ports[0])
    path = f"/v1/jobs/{job['id']}/stdout"
    eventually(lambda: service.ask("GET", path).body == b"closed\n")
    assert write(service, job, bytes(1_000_000), port=port).status == 409
    service.ask("POST", f"/v1/jobs/{job['id']}/cancel")


def test_a_piece_that_is_sent_again_arrives_once(service, port):
    job = service.submit("cat", stdin="open", port=service.ports[0])
    assert write(service, job, b"abc", "?offset=0", port=port).status == 204
    assert write(service, job, b"abc", "?offset=0", port=port).status == 204
    assert write(service, job, b"bcde", "?offset=1", port=port).status == 204
    assert write(service, job, b"fg", port=port).status == 204  # what says nothing comes after
    assert write(service, job, b"", "?offset=7&close=true", port=port).status == 204
    ended = service.wait_state(job["id"], "succeeded")
    assert service.get(ended["id"], query="?output=true")["stdout"]["text"] == "abcdefg"


def test_a_piece_beyond_what_has_come_is_409_with_the_offset(service, port):
    job = service.submit("cat", stdin="open", port=service.ports[0])
    assert write(service, job, b"abc", "?offset=0", port=port).status == 204
    refused = write(service, job, b"x", "?offset=5&close=true", port=port)
    assert (refused.status, refused.json["offset"]) == (409, 3)
    assert "3 bytes" in refused.json["detail"]
    assert write(service, job, b"d", "?offset=3&close=true", port=port).status == 204
    ended = service.wait_state(job["id"], "succeeded")
    assert service.get(ended["id"], query="?output=true")["stdout"]["text"] == "abcd"


def test_what_the_owner_says_against_a_large_piece_is_not_lost(service):
    job = service.submit("cat", stdin="open", port=service.ports[0])
    large = bytes(3_000_000)
    for _ in range(10):
        refused = write(service, job, large, "?offset=5", port=service.ports[1])
        assert (refused.status, refused.json["offset"]) == (409, 0)
    service.ask("POST", f"/v1/jobs/{job['id']}/cancel")


def test_the_piece_that_closes_stdin_may_be_sent_again(service, port):
    script = "cat; exec <&-; echo; sleep 60"
    job = service.submit("sh", "-c", script, stdin="open", port=service.ports[0])
    for _ in range(2):
        assert write(service, job, b"abc", "?offset=0&close=true", port=port).status == 204
    path = f"/v1/jobs/{job['id']}/stdout"
    eventually(lambda: service.ask("GET", path).body == b"abc\n")
    assert write(service, job, b"abcd", "?offset=0", port=port).status == 409
    service.ask("POST", f"/v1/jobs/{job['id']}/cancel")


@pytest.mark.parametrize("offset", ["-1", "x", "1e3", str(2**60)])
def test_an_offset_that_is_none_is_named(service, offset):
    job = service.submit("cat", stdin="open", port=service.ports[0])
    refused = write(service, job, b"", f"?offset={offset}")
    assert (refused.status, refused.json["errors"][0]["field"]) == (422, "offset")
    service.ask("POST", f"/v1/jobs/{job['id']}/cancel")


def test_a_piece_that_breaks_off_elsewhere_is_gone_on_with(service):
    job = service.submit("cat", stdin="open", port=service.ports[0])
    data = os.urandom(3_000_000)
    with socket.create_connection(("127.0.0.1", service.ports[1])) as client:
        head = (
            f"POST /v1/jobs/{job['id']}/stdin?offset=0&close=true HTTP/1.1\r\nHost: localhost\r\n"
        )
        head += f"Authorization: Bearer {service.token}\r\nContent-Length: {len(data)}\r\n\r\n"
        client.sendall(head.encode() + data[:1_000_000])
    for port in service.ports:
        query = "?offset=0&close=true"
        assert write(service, job, data, query, port=port).status in (204, 409)  # it has ended
    ended = service.wait_state(job["id"], "succeeded")
    assert service.ask("GET", f"/v1/jobs/{ended['id']}/stdout").body == data
