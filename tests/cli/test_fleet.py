"""`up`, `status`, `reload` and `down`, with real nginx and supervisord."""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
import time
from pathlib import Path

import pytest

from .conftest import PATIENCE_S, SQUALL, Squall, error, free_port, wait_until


def test_status_and_down_of_what_is_not_up(squall: Squall, tmp_path: Path) -> None:
    status = squall("status", SQUALL_STATE_DIR=str(tmp_path))
    assert (status.returncode, status.stdout) == (1, b"")
    assert "squall up" in error(status)
    found = json.loads(squall("status", "--json", SQUALL_STATE_DIR=str(tmp_path)).stdout)
    assert (found["ready"], found["processes"]) == (False, [])
    down = squall("down", SQUALL_STATE_DIR=str(tmp_path))
    assert (down.returncode, down.stdout) == (0, b"squall was not up\n")


def test_up_refuses_wrong_settings_in_clear_lines(squall: Squall, tmp_path: Path) -> None:
    done = squall("up", "--host", "0.0.0.0", "--port", "70000", SQUALL_STATE_DIR=str(tmp_path))
    assert (done.returncode, done.stdout) == (1, b"")
    assert "front.host" in error(done) and "(--host)" in error(done)
    assert "front.port" in error(done) and "(--port)" in error(done)
    assert not list(tmp_path.iterdir())


def test_up_names_the_port_that_is_taken(squall: Squall, tmp_path: Path) -> None:
    taken = squall.url.rpartition(":")[2]
    done = squall("up", "--port", taken, SQUALL_STATE_DIR=str(tmp_path))
    assert done.returncode == 1
    assert f"port {taken} is taken" in error(done)


def test_from_up_to_down(tmp_path_factory: pytest.TempPathFactory) -> None:
    port, first = free_port(), free_port(2)
    fleet = Squall("", tmp_path_factory.mktemp("f"))
    flags = ["--port", str(port), "--first-port", str(first), "--count", "2"]
    try:
        up = fleet("up", *flags, SQUALL_JOBS_DRAIN="20")
        assert up.returncode == 0, error(up)
        assert f"squall is up at http://127.0.0.1:{port}\n" in up.stdout.decode()
        assert b"squall down" in up.stdout
        young = json.loads(fleet("status", "--json").stdout)["processes"]
        assert {process["state"] for process in young} == {"running"}
        again = fleet("up", *flags)
        assert (again.returncode, again.stdout.splitlines()[0]) == (
            0, f"squall is up already at http://127.0.0.1:{port}".encode()
        )  # fmt: skip

        # what can't be had while it is up is never ignored in silence
        other_port = f"front.port is {port}, not {port + 1} (--port)"
        more_jobs = "jobs.running is 64, not 3 (SQUALL_JOBS_RUNNING)"
        other_file = fleet.state_dir / "other.toml"
        other_file.write_text("[jobs]\nrunning = 5\n")
        jobs_of_file = f"jobs.running is 64, not 5 ({other_file}:2)"
        for other, wrong in (
            (fleet("up", "--port", str(port + 1)), other_port),
            (fleet("up", SQUALL_JOBS_RUNNING="3"), more_jobs),
            (fleet("--config", str(other_file), "up"), jobs_of_file),
        ):
            assert (other.returncode, other.stdout) == (1, b"")
            assert f"up already at http://127.0.0.1:{port}" in error(other)
            assert wrong in error(other) and "squall down" in error(other)
        assert fleet("up").returncode == 0

        status = json.loads(fleet("status", "--json").stdout)
        assert status["ready"] and status["url"] == f"http://127.0.0.1:{port}"
        assert [p["name"] for p in status["processes"]] == [str(first), str(first + 1), "nginx"]
        assert "UPTIME" in fleet.on_terminal("status")

        # the flags of `up` need not be repeated, and a reload is not noticed by those who follow
        count = "for i in 1 2 3 4 5 6 7 8; do echo $i; sleep 0.5; done; exit 3"
        with fleet.start("run", "sh", "-c", count) as run:
            assert run.stdout is not None
            assert run.stdout.readline() == b"1\n"
            with fleet.start("logs", "-f", fleet.newest()["id"]) as logs:
                assert logs.stdout is not None
                assert logs.stdout.readline() == b"1\n"
                reload = fleet("reload")
                assert reload.returncode == 0, error(reload)
                assert reload.stdout.count(b"ready") >= 3
                assert run.stdout.read().split() == b"2 3 4 5 6 7 8".split()
                assert logs.stdout.read().split() == b"2 3 4 5 6 7 8".split()
            assert logs.returncode == 0
        assert run.returncode == 3

        # nor by those who talk to a program, or wait for many
        with (
            subprocess.Popen(
                [SQUALL, "run", "cat"], env=fleet.environ,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            ) as talk,
            fleet.start("batch", "--wait", str(_sleeps(fleet.state_dir))) as batch,
        ):  # fmt: skip
            assert talk.stdin is not None and talk.stdout is not None
            talk.stdin.write(b"before\n")
            talk.stdin.flush()
            assert talk.stdout.readline() == b"before\n"
            reloading = threading.Thread(target=fleet, args=["reload"])
            reloading.start()
            for number in range(40):
                talk.stdin.write(b"%d\n" % number)
                talk.stdin.flush()
                assert talk.stdout.readline() == b"%d\n" % number
                time.sleep(0.1)
            talk.stdin.close()
            assert talk.wait(PATIENCE_S) == 0
            reloading.join()
            assert batch.wait(PATIENCE_S) == 0

        # the process that runs a job dies: the next one goes on with it
        count = "echo begun; sleep 0.5; kill -KILL $PPID; sleep 2; echo on; exit 4"
        kept = fleet("run", "sh", "-c", count)
        assert (kept.returncode, kept.stdout) == (4, b"begun\non\n"), error(kept)
        assert fleet.newest()["handovers"] == 1

        # its guard dies: nobody can say how the job would have ended
        dies = "echo begun; sleep 0.5; kill -KILL $(cut -d' ' -f4 /proc/$PPID/stat); sleep 60"
        lost = fleet("run", "sh", "-c", dies)
        assert (lost.returncode, lost.stdout) == (125, b"begun\n")
        assert error(lost).count("\n") == 1
        assert fleet.newest()["state"] == "lost"
        wait_until(lambda: fleet("status").returncode == 0)
    finally:
        down = fleet("down")
    assert down.stdout.decode().splitlines()[-1] == "squall is down"
    assert fleet("ps").returncode == 1


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificate")
def test_front_with_a_certificate_of_its_own_is_trusted(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    fleet = Squall("", tmp_path_factory.mktemp("t"))
    certificate, key = fleet.state_dir / "certificate.pem", fleet.state_dir / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-nodes", "-newkey", "rsa:2048", "-subj", "/CN=squall.example",
         "-out", certificate, "-keyout", key],
        check=True, capture_output=True,
    )  # fmt: skip
    fleet.environ |= {
        "SQUALL_FRONT_TLS_CERTIFICATE": str(certificate),
        "SQUALL_FRONT_TLS_KEY": str(key),
        "SQUALL_FRONT_PORT": str(free_port()),
        "SQUALL_PROCESSES_FIRST_PORT": str(free_port()),
    }
    try:
        up = fleet("up", "--count", "1")
        assert up.returncode == 0, error(up)
        assert fleet("run", "echo", "hello").stdout == b"hello\n"
        other = fleet("--url", f"https://localhost:{fleet.environ['SQUALL_FRONT_PORT']}", "ps")
        assert other.returncode == 1
        assert "certificate" in error(other)
    finally:
        fleet("down")


def _sleeps(directory: Path) -> Path:
    """A file of jobs that take a few seconds."""
    path = directory / "sleeps.jsonl"
    path.write_text("".join(f'{{"args": ["sleep", "{n / 10}"]}}\n' for n in range(40)))
    return path
