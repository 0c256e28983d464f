"""Bad input: each a clear problem that names the field, and the service is unharmed."""

from __future__ import annotations

import http.client
import socket

import pytest

TRUE = {"args": ["true"]}
ID = "01a1fbfb-43ed-7000-a63e-87eb0967494d"


def problem(answer, status, *fields):
    assert answer.status == status, answer
    assert answer.headers["Content-Type"] == "application/problem+json"
    document = answer.json
    assert document["status"] == status
    assert document["type"] and document["title"] and document["detail"]
    assert {error["field"] for error in document.get("errors", [])} == set(fields)
    assert all(error["message"] for error in document.get("errors", []))
    return document


@pytest.mark.parametrize(
    ("spec", "fields"),
    [
        ({}, ["args"]),
        ({"args": []}, ["args"]),
        ({"args": "ls -l"}, ["args"]),
        ({"args": [""]}, ["args[0]"]),
        ({"args": ["ls", 1, None]}, ["args[1]", "args[2]"]),
        ({"args": ["a\0b", "c\0"]}, ["args[0]", "args[1]"]),
        ({"args": ["x"] * 10_000}, ["args"]),
        ({"args": ["x" * 200_000]}, ["args[0]"]),
        ({**TRUE, "nice": 3, "argv": []}, ["nice", "argv"]),
        ({**TRUE, "env": {"A=B": "x", "C": 1, "D": "\0"}}, ["env.A=B", "env.C", "env.D"]),
        ({**TRUE, "env": []}, ["env"]),
        ({**TRUE, "cwd": "relative"}, ["cwd"]),
        ({**TRUE, "cwd": "/a\0"}, ["cwd"]),
        ({**TRUE, "stdin": "text"}, ["stdin"]),
        ({**TRUE, "stdin": {}}, ["stdin"]),
        ({**TRUE, "stdin": {"text": "a", "base64": "YQ=="}}, ["stdin"]),
        ({**TRUE, "stdin": {"base64": "?"}}, ["stdin.base64"]),
        ({**TRUE, "timeout": 0}, ["timeout"]),
        ({**TRUE, "timeout": -1}, ["timeout"]),
        ({**TRUE, "timeout": 1e300}, ["timeout"]),
        ({**TRUE, "stop": {"signal": "SIGNONE", "grace": -1}}, ["stop.signal", "stop.grace"]),
        ({**TRUE, "limits": {"memory": 1, "cpu_seconds": "a"}}, [
            "limits.memory", "limits.cpu_seconds"]),
        ({**TRUE, "limits": {"open_files": -1}}, ["limits.open_files"]),
        ({**TRUE, "labels": {"a:b": "c", "d": 1}}, ["labels.a:b", "labels.d"]),
    ],
)  # fmt: skip
def test_every_wrong_field_is_named(service, spec, fields):
    problem(service.ask("POST", "/v1/jobs", spec), 422, *fields)


@pytest.mark.parametrize(
    ("field", "number"), [("timeout", "1e400"), ("timeout", "9" * 5000), ("nice", "1e400")]
)
def test_a_number_that_no_machine_has_is_a_wrong_field(service, field, number):
    body = f'{{"args": ["true"], "{field}": {number}}}'.encode()
    problem(service.ask("POST", "/v1/jobs", body), 422, field)


def test_one_impossible_number_in_a_batch_is_the_problem_of_its_item_alone(service):
    body = b'[{"args": ["true"]}, {"args": ["true"], "timeout": 1e400}, {"args": ["true"]}]'
    answer = service.ask("POST", "/v1/jobs", body)
    assert answer.status == 202
    assert [item.get("status", 202) for item in answer.json] == [202, 422, 202]


@pytest.mark.parametrize("unit", [b'{"a":', b'{"args":', b"[", b'{"args": ["true"], "env": {"a":'])
@pytest.mark.parametrize("is_batch", [False, True])
def test_deep_nesting_is_refused(service, unit, is_batch):
    body = unit * 50_000 if is_batch is False else b'[{"args": [1]},' + unit * 50_000
    assert service.ask("POST", "/v1/jobs", body).status == 422


def test_at_most_a_hundred_wrong_fields_are_told_and_the_problem_says_so(service):
    answer = service.ask("POST", "/v1/jobs", {"args": [1] * 4000, "env": {"A": 1}})
    assert len(answer.json["errors"]) == 100
    assert "the first 100 are told, there are more" in answer.json["detail"]
    exactly = service.ask("POST", "/v1/jobs", {"args": [1] * 100})
    assert len(exactly.json["errors"]) == 100
    assert "there are more" not in exactly.json["detail"]


@pytest.mark.parametrize(
    "body",
    [
        b'{"args": [%s]}' % b",".join([b"1"] * 4_000_000),
        b'{"args": [%s, 1]}' % b",".join([b'"a"'] * 2_000_000),
        b'{"args": [%s]}' % b",".join([b"[]"] * 2_700_000),
        b'{"args": ["a"], "%s": 1}' % (b"x" * 8_000_000),
        b'{"args": ["a"], "stop": {"signal": "%s"}}' % (b"x" * 8_000_000),
        b'{"args": ["a"], "env": {%s}}' % b",".join(b'"%06x":""' % n for n in range(600_000)),
        b"[%s]" % b",".join([b"1"] * 4_000_000),
    ],
    ids=["wrong items", "one wrong item", "lists", "a name", "a value", "an object", "a batch"],
)
def test_the_largest_body_makes_a_small_problem(service, body):
    answer = service.ask("POST", "/v1/jobs", body)
    assert answer.status == 422
    assert 0 < len(answer.json["errors"]) <= 100 and len(answer.body) < 50_000


def test_a_large_document_is_not_looked_through(service):
    answer = service.ask("POST", "/v1/jobs", b'{"args": [%s]}' % b",".join([b"1"] * 600_000))
    assert len(answer.json["errors"]) == 1 and "only the first is told" in answer.json["detail"]


def test_the_largest_spec_that_is_allowed_is_taken_whatever_its_strings_are(service):
    quotes = '"' * 1_000_000 + "\\" * 1_000_000
    spec = {
        "args": ["true", *['"' * 20] * 4095],
        "env": {f"A{n}": '"' * 20 for n in range(1024)},
        "labels": {f"a{n}": '"' for n in range(64)},
        "stdin": {"text": quotes},
    }
    assert service.ask("POST", "/v1/jobs", spec).status == 202


def test_the_problems_of_a_batch_are_bounded_together(service):
    item = b'{"args": [%s]}' % b",".join([b"1"] * 2000)
    answer = service.ask("POST", "/v1/jobs", b"[%s]" % b",".join([item] * 1000))
    told = [len(problem["errors"]) for problem in answer.json]
    assert len(told) == 1000 and min(told) == 1 and max(told) == 100 and sum(told) < 2001
    assert "only the first is told" in answer.json[-1]["detail"]


def test_a_problem_in_a_batch_is_whole(service):
    (item,) = service.ask("POST", "/v1/jobs", [{"args": []}]).json
    alone = service.ask("POST", "/v1/jobs", {"args": []}).json
    assert item == alone and list(item) == ["type", "title", "status", "detail", "errors"]


def test_refused_input_leaves_no_trace(service):
    before = service.ask("GET", "/v1/jobs").json["jobs"]
    service.ask("POST", "/v1/jobs", {**TRUE, "labels": {"a:b": "c"}})
    service.ask("POST", "/v1/jobs?output=perhaps", TRUE)
    service.ask("POST", "/v1/jobs", TRUE, headers={"Idempotency-Key": "x" * 256})
    assert service.ask("GET", "/v1/jobs").json["jobs"] == before


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b"[1,", b"nonsense", b"[" * 100_000])
def test_what_is_no_json_is_refused(service, body):
    problem(service.ask("POST", "/v1/jobs", body), 422, "")


@pytest.mark.parametrize("media_type", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_another_content_type_is_refused(service, media_type):
    headers = {"Content-Type": media_type}
    problem(service.ask("POST", "/v1/jobs", TRUE, headers=headers), 415)


@pytest.mark.parametrize(
    "path", ["/v1/jobs", f"/v1/jobs/{ID}", "/openapi.json", "/nowhere", f"/v1/jobs/{ID}/stdout"]
)
@pytest.mark.parametrize("authorization", [None, "Bearer wrong", "Basic eA==", "Bearer", "\xff"])
def test_nobody_is_answered_without_the_token(service, path, authorization):
    headers = {"Authorization": authorization} if authorization else {}
    answer = service.ask("GET", path, headers=headers, token=None)
    problem(answer, 401)
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8080", "localhost.evil.example", "[", ""]
)
def test_a_foreign_host_is_refused(service, host):
    problem(service.ask("GET", "/v1/jobs", headers={"Host": host}), 403)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:8080", "LOCALHOST:1", "[::1]:8080"])
def test_our_own_hosts_are_served(service, host):
    assert service.ask("GET", "/v1/jobs", headers={"Host": host}).status == 200


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://localhost.evil.example"]
)
def test_a_foreign_origin_is_refused(service, origin):
    problem(service.ask("POST", "/v1/jobs", TRUE, headers={"Origin": origin}), 403)


def test_a_body_too_large_is_refused_whole(start_service):
    service = start_service(SQUALL_HTTP_BODY_BYTES=2000)
    problem(service.ask("POST", "/v1/jobs", {"args": ["x" * 3000]}), 413)
    assert service.ask("POST", "/v1/jobs", TRUE).status == 202
    with socket.create_connection(("127.0.0.1", service.ports[0])) as client:
        head = "POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\n"
        head += f"Authorization: Bearer {service.token}\r\n"
        head += "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
        client.sendall(head.encode() + (b"5dc\r\n" + b" " * 1500 + b"\r\n") * 2 + b"0\r\n\r\n")
        assert client.recv(4096).split(b"\r\n")[0].split()[1] in (b"413", b"400")
    assert len(service.ask("GET", "/v1/jobs").json["jobs"]) == 1


@pytest.mark.parametrize("many", ["9" * 5000, "0" * 5000])
def test_numbers_of_thousands_of_digits_are_only_numbers(service, many):
    job = service.run("printf", "0123456789")
    path = f"/v1/jobs/{job['id']}"

    def asked(below, **headers):
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return service.ask("GET", path + below, headers=named)

    is_great = many[0] == "9"
    from_there = asked("/stdout", Range=f"bytes={many}-")
    assert (from_there.status, len(from_there.body)) == (
        (416, len(from_there.body)) if is_great else (206, 10)
    )
    up_to_there = asked("/stdout", Range=f"bytes=2-{many}")
    assert (up_to_there.status, up_to_there.body) == (
        (206, b"23456789") if is_great else (200, b"0123456789")
    )
    the_last = asked("/stdout", Range=f"bytes=-{many}")
    assert the_last.status == (206 if is_great else 416)
    assert asked("", Prefer=f"wait={many}").status == 200
    after = asked(f"/output?after={many}")
    assert after.status == (422 if is_great else 200)
    assert asked("/output", Last_Event_ID=many).status == 422
    assert service.ask("GET", f"/v1/events?after={'9' * 5000}").status == 422
    assert service.ask("GET", f"/v1/jobs?limit={many}").status == 422


def test_nobody_outside_can_say_that_a_request_was_passed_on(service):
    job = service.submit("sleep", "4713", port=service.ports[1])
    service.wait_state(job["id"], "running")
    owner = int(service.get(job["id"])["owner"])
    (other,) = set(service.ports) - {owner}
    answer = service.ask(
        "POST",
        f"/v1/jobs/{job['id']}/signal",
        {"signal": "SIGKILL"},
        port=other,
        headers={"X-Squall-Relayed": "1"},
    )
    assert answer.status == 204, "the process that was asked did not pass it on"
    service.wait_state(job["id"], "failed")


def test_a_range_is_whole_where_the_client_names_a_validator(service):
    job = service.run("printf", "0123456789")
    headers = {"Range": "bytes=2-3", "If-Range": '"abc"'}
    answer = service.ask("GET", f"/v1/jobs/{job['id']}/stdout", headers=headers)
    assert (answer.status, answer.body) == (200, b"0123456789")


def test_who_has_shown_no_token_yet_may_send_little(service):
    body = {"token": "x" * 5000}
    problem(service.ask("POST", "/session", body, token=None), 413)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("limit=x", "limit"),
        ("limit=" + "1" * 5000, "limit"),
        ("limit=%C2%B2", "limit"),
        ("state=done", "state"),
        ("label=novalue", "label"),
        ("cursor=zzz", "cursor"),
        ("since=yesterday", "since"),
        ("since=2026-11-21", "since"),
        ("until=2026-11-21T02:40:00", "until"),
        ("until=2026-13-21T02:40:00Z", "until"),
        ("q=" + "x" * 1001, "q"),
        ("&".join(f"label=a:{n}" for n in range(65)), "label"),
        ("sate=queued", "sate"),
    ],
)
def test_wrong_parameters_of_the_list_are_named(service, query, field):
    problem(service.ask("GET", f"/v1/jobs?{query}"), 422, field)


def test_unknown_jobs_routes_and_methods_are_told_apart(service):
    problem(service.ask("GET", f"/v1/jobs/{ID}"), 404)
    problem(service.ask("POST", f"/v1/jobs/{ID}/cancel"), 404)
    problem(service.ask("DELETE", f"/v1/jobs/{ID}"), 404)
    assert problem(service.ask("GET", "/v2/jobs"), 404)["detail"] == "no such route"
    assert problem(service.ask("PUT", "/v2/jobs"), 404)["detail"] == "no such route"
    assert service.ask("PUT", "/v2/jobs", token=None).status == 401


@pytest.mark.parametrize("id", ["abc", "not-an-id", "%20", "..%2f..", "%00", ID + "0", "%e2%82%ac"])
@pytest.mark.parametrize("below", ["", "/output", "/stdout", "/cancel", "/signal", "/stdin"])
def test_what_is_no_id_is_no_job(service, id, below):
    method = "POST" if below in ("/cancel", "/signal", "/stdin") else "GET"
    document = problem(service.ask(method, f"/v1/jobs/{id}{below}"), 404)
    assert document["detail"].startswith("no such job: an id looks like")


def test_an_id_may_be_in_capital_letters(service):
    job = service.run("true")
    assert service.get(job["id"].upper())["id"] == job["id"]


@pytest.mark.parametrize("method", ["PUT", "PATCH", "OPTIONS", "TRACE", "BREW", "get", "__class__"])
@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/v1/jobs", "GET, POST"),
        (f"/v1/jobs/{ID}", "GET, DELETE"),
        (f"/v1/jobs/{ID}/stdout", "GET, HEAD"),
        ("/livez", "GET"),
        ("/", "GET, HEAD"),
    ],
)
def test_a_method_that_a_route_lacks_is_405_and_told_which_it_has(service, method, path, allowed):
    answer = service.ask(method, path)
    assert problem(answer, 405)["detail"] == f"there is no {method} here: {allowed}"
    assert answer.headers["Allow"] == allowed
    assert service.ask(method, path, token=None).status == (401 if "jobs" in path else 405)


def test_a_wrong_signal_is_named(service):
    job = service.submit("sleep", "30")
    path = f"/v1/jobs/{job['id']}/signal"
    problem(service.ask("POST", path, {"signal": "SIGWHAT"}), 422, "signal")
    problem(service.ask("POST", path, {}), 422, "signal")
    service.ask("POST", f"/v1/jobs/{job['id']}/cancel")


def test_the_service_is_unharmed_by_all_of_this(service):
    assert service.run("echo", "fine")["stdout"]["text"] == "fine\n"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing", 401),
        ("GET", "/v1/jobs", 401),
        ("POST", "/v1/jobs", 401),
        ("PUT", "/v1/jobs", 401),
        ("GET", "/static/nothing.js", 404),
        ("GET", "/no/page", 404),
        ("GET", "/livez", 200),
    ],
)
def test_a_connection_that_is_closed_after_an_answer_is_said_to_be(service, method, path, status):
    connection = http.client.HTTPConnection("127.0.0.1", service.ports[0], timeout=30)
    connection.request(method, path, headers={"Accept": "text/html"} if "page" in path else {})
    first = connection.sock
    response = connection.getresponse()
    response.read()
    assert response.status == status
    if response.headers.get("Connection") != "close":
        connection.request("GET", "/livez")
        assert connection.sock is first
        assert connection.getresponse().status == 200
    connection.close()
