"""Bytes on the processes' own port that no well-behaved client sends."""

from __future__ import annotations

import random
import re
import socket
import time

import pytest

PATIENCE_S = 30
ROUNDS = 1000


def connect(port):
    return socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S)


def read_to_end(client):
    answer = b""
    try:
        while data := client.recv(65_536):
            answer += data
    except ConnectionResetError:
        pass  # it closed while we were still sending
    return answer


def test_a_head_that_does_not_come_is_cut_off_and_others_are_served(start_service):
    service = start_service()
    (port,) = service.ports
    nothing = [connect(port) for _ in range(5)]
    begun = [connect(port) for _ in range(5)]
    after_an_answer = connect(port)
    after_an_answer.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert b" 200 " in after_an_answer.recv(4096)
    held = connect(port)
    job = service.submit("sleep", "60")
    held.sendall(
        f"GET /v1/jobs/{job['id']} HTTP/1.1\r\nHost: localhost\r\nPrefer: wait=60\r\n"
        f"Authorization: Bearer {service.token}\r\n\r\n".encode()
    )
    for client in (*begun, after_an_answer):
        client.sendall(b"GET /livez HTTP/1.1\r\n")
    slow = time.monotonic()
    for client in (*nothing, *begun, after_an_answer):
        assert read_to_end(client) == b""
        client.close()
    assert time.monotonic() - slow < PATIENCE_S
    assert service.ask("GET", "/livez").status == 200
    service.ask("POST", f"/v1/jobs/{job['id']}/cancel")
    assert b'"cancelled"' in held.recv(65_536), "an answer that is waited for was cut off"
    held.close()


def statuses(answer):
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", answer)]


def send(port, request):
    """Send bytes and the end of them; returns all that comes back."""
    with connect(port) as client:
        try:
            client.sendall(request)
            client.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # it has refused already
        return read_to_end(client)


def logged_errors(service):
    logs = service.directory.joinpath("log").glob("*.log")
    lines = [line for log in logs for line in log.read_text().splitlines()]
    return [line for line in lines if '"error"' in line or "Traceback" in line]


LINE = b"POST /v1/jobs HTTP/1.1"
HOST = b"Host: localhost"
JSON = b"Content-Type: application/json"
BODY = b'{"args":["true"]}'
NUMBER = b"9" * 5000

HEADS = {
    "a length twice": [LINE, HOST, JSON, b"Content-Length: 17, 17"],
    "two lengths": [LINE, HOST, JSON, b"Content-Length: 17", b"Content-Length: 17"],
    "lengths that differ": [LINE, HOST, JSON, b"Content-Length: 17, 18"],
    "a length with a sign": [LINE, HOST, JSON, b"Content-Length: +17"],
    "a negative length": [LINE, HOST, JSON, b"Content-Length: -1"],
    "a length in words": [LINE, HOST, JSON, b"Content-Length: seventeen"],
    "a length without a value": [LINE, HOST, JSON, b"Content-Length:"],
    "a length of many digits": [LINE, HOST, JSON, b"Content-Length: " + NUMBER],
    "a length of zeros": [LINE, HOST, JSON, b"Content-Length: " + b"0" * 5000],
    "a length in other digits": [LINE, HOST, JSON, b"Content-Length: \xb2"],
    "length and chunks": [LINE, HOST, JSON, b"Content-Length: 17", b"Transfer-Encoding: chunked"],
    "an unknown coding": [LINE, HOST, JSON, b"Transfer-Encoding: gzip"],
    "chunks of no size": [LINE, HOST, JSON, b"Transfer-Encoding: chunked"],
    "no host": [LINE, JSON, b"Content-Length: 17"],
    "two hosts": [LINE, HOST, b"Host: evil.example", b"Content-Length: 17"],
    "a host that is none": [LINE, b"Host: [", b"Content-Length: 17"],
    "a port that is none": [LINE, b"Host: localhost:" + NUMBER],
    "an origin that is none": [LINE, HOST, b"Origin: http://[::1"],
    "no version": [b"GET /livez", HOST],
    "another version": [b"GET /livez HTTP/2.0", HOST],
    "no method": [b" /livez HTTP/1.1", HOST],
    "an absolute target": [b"GET http://localhost/livez HTTP/1.1", HOST],
    "an asterisk": [b"OPTIONS * HTTP/1.1", HOST],
    "an authority": [b"CONNECT localhost:80 HTTP/1.1", HOST],
    "bytes in the path": [b"GET /v1/jobs/\xff\xfe HTTP/1.1", HOST],
    "escapes in the path": [b"GET /v1/jobs/%ff%fe/output HTTP/1.1", HOST],
    "half an escape": [b"GET /v1/jobs/%/stdout?%=%ff HTTP/1.1", HOST],
    "a NUL": [b"GET /livez\0 HTTP/1.1", HOST],
    "a header without a colon": [LINE, HOST, b"nonsense"],
    "a header without a name": [LINE, HOST, b": x"],
    "a folded header": [LINE, HOST, b"X-A: 1", b" 2"],
    "a long path": [b"GET /" + b"a" * 70_000 + b" HTTP/1.1", HOST],
    "many headers": [b"GET /livez HTTP/1.1", HOST, *[b"X: y"] * 9_000],
    "a cookie that is none": [b"GET /session HTTP/1.1", HOST, b"Cookie: squall_8080=\xff;;="],
    "a cookie of numbers": [b"GET /session HTTP/1.1", HOST, b"Cookie: squall_8080=2|1:0|" + NUMBER],
    "an authorization in bytes": [LINE, HOST, b"Authorization: Bearer \xff\xfe"],
    "a range of numbers": [b"GET /livez HTTP/1.1", HOST, b"Range: bytes=" + NUMBER + b"-"],
    "to be continued": [LINE, HOST, JSON, b"Content-Length: 17", b"Expect: 100-continue"],
}


@pytest.mark.parametrize("head", HEADS.values(), ids=HEADS.keys())
@pytest.mark.parametrize("is_known", [True, False], ids=["with the token", "without it"])
def test_a_strange_head_is_refused_and_no_error_of_ours(service, head, is_known):
    errors = logged_errors(service)
    known = [b"Authorization: Bearer " + service.token.encode()] if is_known else []
    answer = send(service.ports[0], b"\r\n".join([*head, *known, b"", BODY]))
    assert all(status < 500 for status in statuses(answer)), answer[:500]
    assert service.ask("GET", "/livez").status == 200
    assert logged_errors(service) == errors


ID = b"01a1fbfb-43ed-7000-a63e-87eb0967494d"
SPEC = (
    b'{"args":["true","\\ud83d\\ude00"],"env":{"A":"b"},"cwd":"/","stdin":{"base64":"YQ=="},'
    b'"timeout":1.5e0,"stop":{"signal":"SIGINT","grace":1},"limits":{"open_files":64},'
    b'"labels":{"a":"b"}}'
)
WHOLE = [
    (b"POST /v1/jobs?output=true HTTP/1.1", SPEC),
    (b"POST /v1/jobs HTTP/1.1", b"[" + SPEC + b"," + SPEC + b"]"),
    (b"POST /v1/jobs/" + ID + b"/rerun HTTP/1.1", SPEC),
    (b"POST /v1/jobs/" + ID + b"/signal HTTP/1.1", b'{"signal":"SIGINT"}'),
    (b"POST /v1/jobs/" + ID + b"/stdin?close=true HTTP/1.1", b"in"),
    (b"POST /session HTTP/1.1", b'{"token":"x"}'),
    (b"DELETE /v1/jobs/" + ID + b" HTTP/1.1", b""),
    (b"GET /v1/jobs?state=lost&label=a:b&since=2026-11-21T02:40:00Z&q=x&limit=7 HTTP/1.1", b""),
    (b"GET /v1/jobs/" + ID + b"/output?after=3 HTTP/1.1", b""),
    (b"GET /static/css/page.css HTTP/1.1", b""),
]


def whole(line, body, token):
    headers = [
        line,
        HOST,
        JSON,
        b"Authorization: Bearer " + token.encode(),
        b"Prefer: wait=1",
        b"Range: bytes=1-2",
        b"Last-Event-ID: 3",
        b"Cookie: squall_8080=2|1:0|10:1|1:x|1:y|z",
        b"Origin: http://localhost:8080",
        b"Content-Length: %d" % len(body),
    ]
    return b"\r\n".join([*headers, b"", body])


def damaged(chance, request):
    request = bytearray(request)
    for _ in range(chance.randrange(1, 6)):
        at = chance.randrange(len(request))
        request[at : at + chance.randrange(4)] = chance.randbytes(chance.randrange(4))
    return bytes(request)


def test_requests_that_are_damaged_at_random_are_no_error_of_ours(service):
    chance, errors = random.Random(9), logged_errors(service)
    for _ in range(ROUNDS):
        line, body = chance.choice(WHOLE)
        request = damaged(chance, whole(line, body, service.token))
        answer = send(service.ports[0], request)
        assert all(status < 500 for status in statuses(answer)), request
    assert logged_errors(service) == errors
    assert service.run("echo", "fine")["stdout"]["text"] == "fine\n"
