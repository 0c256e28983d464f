"""Who may ask: Host, Origin, sessions; and what a stranger can cause."""

from __future__ import annotations

import os

import pytest

from service.errors import SettingsError
from service.settings import load
from service.web.sessions import SESSIONS_MAX

TRUE = {"args": ["true"]}


def sign_in(service, port=None):
    """Begin a session; returns the headers that a browser sends from then on."""
    answer = service.ask("POST", "/session", {"token": service.token}, port=port, token=None)
    assert answer.status == 200, answer
    cookie = answer.headers["Set-Cookie"].partition(";")[0]
    return {"Cookie": cookie, "X-XSRFToken": answer.json["xsrf"]}


def is_signed_in(service, headers, port):
    told = service.ask("GET", "/session", headers=headers, port=port, token=None).json
    status = service.ask("GET", "/v1/jobs", headers=headers, port=port, token=None).status
    assert (told["is_signed_in"], status) in ((True, 200), (False, 401))
    return status == 200


def test_who_signed_out_is_out_on_every_process(service):
    first, second = service.ports
    here, there = sign_in(service, first), sign_in(service, second)
    for port in service.ports:
        assert is_signed_in(service, here, port) and is_signed_in(service, there, port)
    out = service.ask("DELETE", "/session", headers=here, port=second, token=None)
    assert out.status == 204
    for port in service.ports:
        assert not is_signed_in(service, here, port)
        assert is_signed_in(service, there, port), "another session is another one's"
    post = service.ask("POST", "/v1/jobs", TRUE, headers=here, token=None)
    assert post.status == 401


def test_a_session_outlives_a_restart_and_so_does_its_end(start_service):
    service = start_service()
    (port,) = service.ports
    kept, ended = sign_in(service), sign_in(service)
    service.ask("DELETE", "/session", headers=ended, token=None)
    service.kill(port)
    service.restart(port)
    assert is_signed_in(service, kept, port) and not is_signed_in(service, ended, port)


def test_sessions_are_bounded_and_the_oldest_ends(start_service):
    service = start_service()
    (port,) = service.ports
    oldest = sign_in(service)
    for session in service.directory.joinpath("sessions").iterdir():
        os.utime(session, times=(0, session.stat().st_mtime - 1))  # the clock of files is coarse
    for number in range(SESSIONS_MAX):
        service.directory.joinpath("sessions", f"other-{number}").touch()
    newest = sign_in(service)
    assert len(list(service.directory.joinpath("sessions").iterdir())) == SESSIONS_MAX
    assert is_signed_in(service, newest, port) and not is_signed_in(service, oldest, port)


def ask_from(service, origin, host=None, **headers):
    headers |= {"Origin": origin} | ({"Host": host} if host else {})
    return service.ask("POST", "/v1/jobs", TRUE, headers=headers).status


def test_an_origin_is_ours_only_by_scheme_host_and_port(start_service):
    service = start_service(SQUALL_FRONT_PORT=8123)
    (port,) = service.ports
    front = "127.0.0.1:8123"
    for name in ("127.0.0.1", "localhost", "[::1]", "LOCALHOST"):
        assert ask_from(service, f"http://{name}:8123", front) == 202
        assert ask_from(service, f"https://{name}:8123", front) == 403
        assert ask_from(service, f"http://{name}:3000", front) == 403
        assert ask_from(service, f"http://{name}", front) == 403
    assert ask_from(service, f"http://127.0.0.1:{port}") == 202, "the page of the process itself"
    assert ask_from(service, "http://localhost:9000", "localhost:9000") == 202, "by a tunnel"
    for origin in ("null", "", "http://", "localhost:8123", "http://localhost:8123/", "file://"):
        assert ask_from(service, origin, front) == 403


def test_the_hosts_that_are_allowed_are_so_in_any_case_of_letters(start_service):
    service = start_service(SQUALL_FRONT_ALLOWED_HOSTS="Squall.Example.org,other.example:8443")

    def ask_by(host):
        return service.ask("GET", "/v1/jobs", headers={"Host": host}).status

    for host in ("squall.example.org", "SQUALL.example.org:80", "other.example"):
        assert ask_by(host) == 200
    assert ask_by("example.org") == 403
    front = "127.0.0.1:8080"
    assert ask_from(service, "http://squall.example.org:8080", front) == 202
    assert ask_from(service, "http://squall.example.org", front) == 403
    assert ask_from(service, "http://squall.example.org", "squall.example.org") == 202
    assert ask_from(service, "http://other.example:8443", front) == 202
    assert ask_from(service, "https://other.example:8443", front) == 403


@pytest.mark.parametrize("host", ["http://a.example", "a b", "a.example:x", "a@b", "a/b"])
def test_an_allowed_host_that_is_none_is_refused_as_a_setting(host):
    with pytest.raises(SettingsError, match=r"front\.allowed_hosts: not a name"):
        load(environ={"SQUALL_FRONT_ALLOWED_HOSTS": host})


def test_behind_a_proxy_that_ends_tls_the_origin_is_https(start_service):
    service = start_service(
        SQUALL_FRONT_ALLOWED_HOSTS="squall.example.org", SQUALL_FRONT_BEHIND_PROXY="true"
    )
    assert ask_from(service, "https://squall.example.org", "127.0.0.1:8080") == 202
    by_name = ("https://squall.example.org:8443", "squall.example.org:8443")
    assert ask_from(service, *by_name) == 202
    assert ask_from(service, *by_name, **{"X-Scheme": "https"}) == 202
    assert ask_from(service, "https://squall.example.org:9999", "squall.example.org") == 403


def test_asking_whether_it_is_ready_writes_nothing(start_service):
    service = start_service(SQUALL_RETENTION_INTERVAL=3600)
    before = written(service)
    for _ in range(200):
        assert service.ask("GET", "/readyz", token=None).status == 200
    assert written(service) == before


def written(service):
    """Return what a write to the ledger changes."""
    wal = service.directory / "ledger.db-wal"
    return wal.stat().st_size, wal.stat().st_mtime_ns
