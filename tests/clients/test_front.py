"""The same strange requests through nginx: what clients meet where squall runs as a whole."""

from __future__ import annotations

import random

import pytest

from tests.clients.test_raw import HEADS, WHOLE, damaged, send, statuses, whole
from tests.service.conftest import eventually

ROUNDS = 300
# What nginx says to a Transfer-Encoding that it does not know, and to another HTTP.
NGINX = (501, 505)
TRUE = {"args": ["true"]}


@pytest.mark.parametrize("head", HEADS.values(), ids=HEADS.keys())
def test_a_strange_head_is_no_error_of_ours(front, head):
    known = b"Authorization: Bearer " + front.token.encode()
    answer = send(front.ports[0], b"\r\n".join([*head, known, b"Connection: close", b"", b"{}"]))
    assert all(status < 500 or status in NGINX for status in statuses(answer)), answer[:500]


def test_requests_that_are_damaged_at_random_are_no_error_of_ours(front):
    chance = random.Random(9)
    for _ in range(ROUNDS):
        line, body = chance.choice(WHOLE)
        request = damaged(chance, whole(line, body, front.token))
        answer = send(front.ports[0], request)
        assert all(status < 500 or status in NGINX for status in statuses(answer)), request
    assert front.run("echo", "fine")["stdout"]["text"] == "fine\n"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b'{"args": ["true"], "timeout": 1e400}', "timeout"),
        (b'{"args":' * 50_000 + b"1" + b"}" * 50_000, ""),
        (b'{"args": [%s]}' % b",".join([b"1"] * 4_000_000), "args[0]"),
    ],
    ids=["1e400", "nesting", "8 MiB"],
)
def test_a_body_that_cannot_be_read_is_a_problem_that_names_it(front, body, field):
    answer = front.ask("POST", "/v1/jobs", body)
    assert (answer.status, answer.json["errors"][0]["field"]) == (422, field)


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("TRACE", "/v1/jobs", "GET, HEAD, POST, DELETE"),
        ("PATCH", "/v1/jobs", "GET, POST"),
        ("BREW", "/livez", "GET"),
        ("POST", "/static/icon.svg", "GET, HEAD"),
    ],
)
def test_a_method_that_is_not_allowed_is_told_which_are(front, method, path, allowed):
    answer = front.ask(method, path)
    assert (answer.status, answer.headers["Allow"]) == (405, allowed)
    assert answer.json["status"] == 405 and answer.json["detail"]


def test_who_signed_out_is_out_on_every_process(front):
    begun = front.ask("POST", "/session", {"token": front.token}, token=None)
    headers = {"Cookie": begun.headers["Set-Cookie"].partition(";")[0]}

    def is_known(port=None):
        return front.ask("GET", "/v1/jobs", headers=headers, port=port, token=None).status == 200

    assert all(map(is_known, [None, *front.process_ports]))
    assert front.ask("DELETE", "/session", headers=headers, token=None).status == 204
    assert not any(map(is_known, [None, *front.process_ports]))


def test_only_the_own_origin_is_ours(front):
    own = f"http://127.0.0.1:{front.ports[0]}"
    assert front.ask("POST", "/v1/jobs", TRUE, headers={"Origin": own}).status == 202
    for other in ("http://127.0.0.1:3000", "http://localhost", own.replace("http", "https")):
        assert front.ask("POST", "/v1/jobs", TRUE, headers={"Origin": other}).status == 403


def test_a_request_is_passed_on_whatever_its_headers_say(front):
    job = front.submit("sleep", "4714")
    front.wait_state(job["id"], "running")
    headers = {"X-Squall-Relayed": "1"}
    for _ in range(8):  # nginx asks one process after another
        stopped = front.ask("GET", f"/v1/jobs/{job['id']}/stdout", headers=headers)
        assert stopped.status == 200
        answer = front.ask(
            "POST", f"/v1/jobs/{job['id']}/signal", {"signal": "SIGCONT"}, headers=headers
        )
        assert answer.status == 204
    front.ask("POST", f"/v1/jobs/{job['id']}/cancel")
    eventually(lambda: front.get(job["id"])["state"] == "cancelled")
