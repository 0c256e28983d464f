"""Sessions, and the page's files: what the service answers, whoever asks."""

from __future__ import annotations

import json
import re
from http.cookies import SimpleCookie

import pytest

from service.web.page import HEADERS, MEDIA_TYPES, STATIC

from .conftest import Front

TRUE = {"args": ["true"]}


def begin(front: Front, port: int | None = None, **headers: str) -> tuple[str, str, str]:
    """Sign in; returns the Cookie header to send, the XSRF token, and the cookie as it was set."""
    status, answered, body = front.ask("POST", "/session", {"token": front.token}, headers, port)
    assert status == 200, body
    assert front.token not in str(answered) + body.decode()
    cookie = answered["Set-Cookie"]
    return cookie.partition(";")[0], json.loads(body)["xsrf"], cookie


def test_a_session_reads_and_with_its_header_changes(front: Front) -> None:
    cookie, xsrf, _ = begin(front)
    assert front.ask("GET", "/v1/jobs", headers={"Cookie": cookie})[0] == 200
    both = {"Cookie": cookie, "X-XSRFToken": xsrf}
    assert front.ask("POST", "/v1/jobs", TRUE, both)[0] == 202


@pytest.mark.parametrize("xsrf", [None, "", "x", "0" * 64, "\xff"])
def test_a_change_without_the_header_is_refused(front: Front, xsrf: str | None) -> None:
    headers = {"Cookie": begin(front)[0]}
    if xsrf is not None:
        headers["X-XSRFToken"] = xsrf
    before = ids(front, headers)
    assert front.ask("POST", "/v1/jobs", TRUE, headers)[0] == 403
    assert ids(front, headers) == before


def ids(front: Front, headers: dict[str, str]) -> list[str]:
    """Return the ids of the jobs: those of earlier tests may still change their states."""
    return [
        job["id"] for job in json.loads(front.ask("GET", "/v1/jobs", headers=headers)[2])["jobs"]
    ]


def test_the_header_of_another_session_is_refused(front: Front) -> None:
    headers = {"Cookie": begin(front)[0], "X-XSRFToken": begin(front)[1]}
    assert front.ask("POST", "/v1/jobs", TRUE, headers)[0] == 403


def test_a_wrong_token_begins_no_session(front: Front) -> None:
    for token in ("", "x", front.token + "x", front.token[:-1], "\ud83d\ude00"):
        status, headers, _ = front.ask("POST", "/session", {"token": token})
        assert (status, headers["Set-Cookie"]) == (401, None)


def test_another_site_cannot_begin_a_session(front: Front) -> None:
    origin = {"Origin": "https://evil.example"}
    assert front.ask("POST", "/session", {"token": front.token}, origin)[0] == 403
    form = {"Content-Type": "text/plain"}
    assert front.ask("POST", "/session", {"token": front.token}, form)[0] == 415


def test_a_forged_cookie_is_no_session(front: Front) -> None:
    name, _, value = begin(front)[0].partition("=")
    parts = value.strip('"').split("|")
    earlier = f"10:{int(parts[2].partition(':')[2]) - 1}"
    for forged in (
        "",
        "1",
        front.token,
        value[:-2] + ("0" if value[-2] != "0" else "1") + '"',
        "|".join([*parts[:2], earlier, *parts[3:]]),
    ):
        cookie = {"Cookie": f"{name}={forged}"}
        assert front.ask("GET", "/v1/jobs", headers=cookie)[0] == 401
        assert json.loads(front.ask("GET", "/session", headers=cookie)[2])["is_signed_in"] is False


def test_a_session_holds_on_every_process(front: Front) -> None:
    cookie, xsrf, _ = begin(front, front.ports[0])
    for port in front.ports:
        headers = {"Cookie": cookie, "X-XSRFToken": xsrf}
        assert front.ask("POST", "/v1/jobs", TRUE, headers, port)[0] == 202


def test_the_cookie_is_for_this_site_only_and_for_no_script(front: Front) -> None:
    (morsel,) = SimpleCookie(begin(front)[2]).values()
    assert morsel["httponly"] and morsel["samesite"] == "Strict" and morsel["path"] == "/"
    assert not morsel["secure"]  # nobody speaks TLS here


def test_the_cookie_of_a_client_that_speaks_tls_is_secure(front: Front) -> None:
    (morsel,) = SimpleCookie(begin(front, front.ports[0], **{"X-Scheme": "https"})[2]).values()
    assert morsel["secure"]


def test_signing_out_takes_the_cookie_away(front: Front) -> None:
    cookie = begin(front)[0]
    status, headers, _ = front.ask("DELETE", "/session", headers={"Cookie": cookie})
    assert status == 204
    assert headers["Set-Cookie"].startswith(cookie.partition("=")[0] + '="";')


def files() -> list[str]:
    found = (path for path in STATIC.rglob("*") if path.suffix in MEDIA_TYPES)
    return ["/", *(f"/static/{path.relative_to(STATIC)}" for path in found)]


def test_nginx_and_a_process_serve_the_same_files(front: Front) -> None:
    assert len(files()) > 20
    for path in files():
        status, headers, body = front.ask("GET", path)
        alone = front.ask("GET", path, port=front.ports[0])
        assert (status, body) == (alone[0], alone[2]) and status == 200
        kind = headers["Content-Type"].replace("image/svg+xml; charset=utf-8", "image/svg+xml")
        assert kind == alone[1]["Content-Type"]
        for name, value in {**HEADERS, "X-Content-Type-Options": "nosniff"}.items():
            assert headers.get_all(name) == alone[1].get_all(name) == [value], (path, name)


@pytest.mark.parametrize(
    "path",
    [
        "/static/",
        "/static/js",
        "/static/../page.py",
        "/static/..%2fpage.py",
        "/static/%2e%2e/page.py",
        "/static//etc/passwd",
        "/static/js/nothing.js",
        "/index.html",
    ],
)
def test_nothing_else_is_served(front: Front, path: str) -> None:
    for port in (front.front_port, front.ports[0]):
        assert front.ask("GET", path, port=port)[0] in (400, 401, 403, 404), port


def test_a_file_that_the_client_has_is_not_sent_again(front: Front) -> None:
    for port in (front.front_port, front.ports[0]):
        headers = front.ask("GET", "/static/js/main.js", port=port)[1]
        same = {"If-None-Match": headers["ETag"]}
        assert front.ask("GET", "/static/js/main.js", headers=same, port=port)[::2] == (304, b"")


def test_no_script_of_ours_makes_html_of_a_text() -> None:
    for path in (STATIC / "js").glob("*.js"):
        assert not re.search(
            r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function|DOMParser",
            path.read_text(),
        ), path


def test_what_is_not_ours_comes_with_its_licence() -> None:
    for directory in (STATIC / "vendor").iterdir():
        assert (
            "MIT" in (directory / "LICENSE").read_text()
            or "Permission is hereby granted" in (directory / "LICENSE").read_text()
        )
