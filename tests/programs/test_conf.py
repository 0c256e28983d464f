"""The committed configuration files, and what is filled in."""

from __future__ import annotations

import configparser
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import msgspec
import pytest

from service.descriptors import share_out
from service.programs import ProgramError, conf
from service.settings import Settings
from service.state import StateDir

from .conftest import EACH_NGINX, ROOT

COMMITTED = (ROOT / "nginx" / "upstream.conf").read_text()


def settings(**sections: Mapping[str, object]) -> Settings:
    return msgspec.convert(sections, Settings)


def nginx_complains(binary: Path, state: Path, text: str) -> str:
    for name in ("run", "log", "tmp"):
        (state / name).mkdir(exist_ok=True)
    (state / "nginx.conf").write_text(text)
    argv = [str(binary), "-e", "stderr", "-p", str(state), "-c", "nginx.conf", "-q", "-t"]
    done = subprocess.run(argv, stderr=subprocess.PIPE, text=True, timeout=30)
    return f"exit {done.returncode}: {done.stderr}" if done.returncode else done.stderr


def without_comments(text: str) -> str:
    return re.sub(r" *#.*", "", text)


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("tls") / "both in one.pem"
    argv = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    argv += ["-nodes", "-subj", "/CN=squall", "-keyout", str(made)]
    argv += ["-out", str(made.with_suffix(".crt"))]
    try:
        subprocess.run(argv, check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("needs openssl to make a certificate")
    made.write_text(made.read_text() + made.with_suffix(".crt").read_text())
    return made


@pytest.mark.parametrize("binary", EACH_NGINX)
def test_nginx_takes_the_committed_file_as_it_is(binary: Path, tmp_path: Path) -> None:
    assert nginx_complains(binary, tmp_path, COMMITTED) == ""


@pytest.mark.parametrize("binary", EACH_NGINX)
@pytest.mark.parametrize(
    "given",
    [
        {},
        {"processes": {"count": 1, "first_port": 9000}},
        {"processes": {"count": 64}},
        {"front": {"host": "::1", "port": 8443}},
        {"front": {"host": "0.0.0.0", "behind_proxy": True}},
        {"http": {"body_bytes": 1024, "body_seconds": 0.2, "wait_seconds": 0.5}},
    ],
    ids=["default", "one", "many", "ipv6", "behind-proxy", "small"],
)
def test_nginx_takes_what_is_filled_in(
    binary: Path, given: dict[str, dict[str, object]], tmp_path: Path
) -> None:
    assert nginx_complains(binary, tmp_path, conf.nginx(settings(**given))) == ""


@pytest.mark.parametrize("binary", EACH_NGINX)
def test_nginx_takes_a_certificate(binary: Path, certificate: Path, tmp_path: Path) -> None:
    front = {"tls_certificate": str(certificate), "tls_key": str(certificate)}
    text = conf.nginx(settings(front=front))
    assert "listen 127.0.0.1:8080 ssl" in text
    assert nginx_complains(binary, tmp_path, text) == ""


def test_a_relative_certificate_is_refused() -> None:
    with pytest.raises(ProgramError, match=r"front\.tls_certificate: give the absolute path"):
        conf.nginx(settings(front={"tls_certificate": "a.pem", "tls_key": "a.pem"}))


def test_with_default_settings_only_what_follows_the_machine_differs() -> None:
    filled = conf.nginx(Settings())
    differing = [
        line
        for line, was in zip(filled.splitlines(), COMMITTED.splitlines(), strict=True)
        if line != was
    ]
    of_the_machine = {
        "worker_processes",
        "worker_rlimit_nofile",
        "worker_connections",
        "limit_conn",
        "root",
    }
    assert {line.split()[0] for line in differing} <= of_the_machine


@pytest.mark.parametrize("cores", [1, 2, 8, 64])
@pytest.mark.parametrize("open_files", [256, 1024, 20_000, 1_048_576])
def test_streams_leave_room_for_requests(cores: int, open_files: int) -> None:
    capacity = conf.Capacity.of(cores, open_files, open_files)
    assert capacity.workers == cores
    assert capacity.connections <= open_files
    assert 1 <= capacity.streams * 2 <= capacity.connections * 3 // 4
    assert capacity.streams * cores <= max(open_files * 3 // 4, cores)
    if open_files >= 20_000:
        assert capacity.streams * cores >= 7_000


def test_two_cores_with_twenty_thousand_descriptors_hold_ten_thousand_streams() -> None:
    clients = 4 * share_out(64, 20_000).clients
    capacity = conf.Capacity.of(2, 20_000, clients)
    # the kernel spreads connections at random: a worker may get some hundreds more than its half
    assert capacity.streams > 5_000 + 500


def test_what_supervisord_needs_raises_no_limit_of_a_job() -> None:
    text = conf.supervisord(Settings(), StateDir("/state"), Path("/usr/sbin/nginx"))
    assert int(parsed(text)["supervisord"]["minfds"]) < 64


def test_every_setting_arrives_in_nginx() -> None:
    text = conf.nginx(
        settings(
            front={"host": "0.0.0.0", "port": 81, "behind_proxy": True},
            processes={"count": 2, "first_port": 9000},
            http={"body_bytes": 4096, "body_seconds": 7, "wait_seconds": 90},
        )
    )
    for line in (
        "listen 0.0.0.0:81 backlog=4096 reuseport deferred sndbuf=128k;",
        "client_body_timeout 7s;",
        "client_max_body_size 4096;",
        "proxy_read_timeout 150s;",
        "proxy_set_header X-Scheme $http_x_forwarded_proto;",
    ):
        assert line in text
    assert re.findall(r"server 127\.0\.0\.1:(\d+) max_fails=0;", text) == [
        "9001",
        "9000",
    ]


def test_the_upstream_is_as_the_contract_says() -> None:
    text = without_comments(COMMITTED)
    assert re.findall(r"server 127\.0\.0\.1:(\d+)", text) == ["8888", "8887", "8886", "8885"]
    assert text.index("least_conn;") < text.index("keepalive 64;")
    assert "non_idempotent" not in text
    for line in (
        "keepalive_timeout 65s;",
        "proxy_http_version 1.1;",
        'proxy_set_header Connection "";',
        "proxy_set_header Host $http_host;",
        "proxy_set_header X-Real-IP $remote_addr;",
        "proxy_set_header X-Scheme $scheme;",
        'proxy_set_header X-Squall-Relayed "";',
        "client_header_timeout 10s;",
        "sendfile on;",
        "tcp_nopush on;",
        "tcp_nodelay on;",
        "server_tokens off;",
    ):
        assert line in text


def test_a_template_without_a_line_to_fill_in_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    edited = tmp_path / "nginx" / "upstream.conf"
    edited.parent.mkdir()
    edited.write_text(COMMITTED.replace("client_max_body_size", "# client_max_body_size"))
    monkeypatch.setattr("service.programs.files.PACKAGE_DIR", tmp_path)
    with pytest.raises(
        ProgramError, match=r"nginx/upstream\.conf: .*client_max_body_size 8388608;"
    ):
        conf.nginx(Settings())


def parsed(text: str) -> configparser.RawConfigParser:
    parser = configparser.RawConfigParser(inline_comment_prefixes=(" ;",))
    parser.read_string(text)
    return parser


def test_supervisord_is_given_the_ports_the_python_and_the_time_to_drain() -> None:
    text = conf.supervisord(
        settings(processes={"count": 2, "first_port": 9000}, jobs={"drain": 100}),
        StateDir("/state dir"),
        Path("/opt/my nginx/nginx"),
    )
    service, nginx = parsed(text)["program:service"], parsed(text)["program:nginx"]
    assert service["command"] == (f"{sys.executable} -S -m service.guard --port %(process_num)d")
    assert service["directory"] == str(ROOT)
    assert (service["numprocs"], service["numprocs_start"]) == ("2", "9000")
    assert int(service["stopwaitsecs"]) > 100
    argv = shlex.split(nginx["command"])
    assert nginx["directory"] == str(ROOT)
    assert argv[:3] == [sys.executable, "-m", "service.programs.front"]
    assert argv[3:5] == ["/opt/my nginx/nginx", "/state dir"]
    assert argv[-1] == ("daemon off; user root;" if os.geteuid() == 0 else "daemon off;")


def test_supervisord_listens_on_a_unix_socket_of_its_owner_only() -> None:
    parser = parsed((ROOT / "supervisor" / "supervisord.conf").read_text())
    assert "inet_http_server" not in parser
    assert parser["unix_http_server"]["chmod"] == "0700"
    socket = parser["unix_http_server"]["file"]
    assert parser["supervisorctl"]["serverurl"] == f"unix://{socket}"


def test_supervisord_waits_for_nginx_longer_than_nginx_for_its_clients() -> None:
    parser = parsed((ROOT / "supervisor" / "supervisord.conf").read_text())
    found = re.search(r"worker_shutdown_timeout (\d+)s;", COMMITTED)
    assert found
    assert int(parser["program:nginx"]["stopwaitsecs"]) > int(found[1])
