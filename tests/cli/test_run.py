"""`squall run` behaves like the command itself."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import select
import signal
import socket
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.programs.processes import is_alive

from .conftest import SQUALL, Squall, error, wait_until

ECHO_BOTH = ["sh", "-c", "echo out; echo err >&2"]
TREE = ["sh", "-c", "sleep 300 & echo $$ $!; wait"]
DEAF = ["sh", "-c", 'trap "" TERM; echo $$; while :; do sleep 0.1; done']
COUNT = ["sh", "-c", "i=0; while [ $i -lt 60 ]; do i=$((i+1)); echo line $i; sleep 0.01; done"]


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (["true"], 0),
        (["sh", "-c", "exit 3"], 3),
        (["sh", "-c", "kill -KILL $$"], 137),
        (["sh", "-c", "kill -USR1 $$"], 138),
        (["/no/such/program"], 127),
        (["squall-no-such-program"], 127),
        (["/etc"], 126),
    ],
)
def test_exit_code_is_what_a_shell_would_have(
    squall: Squall, command: list[str], code: int
) -> None:
    assert squall("run", "--", *command).returncode == code


def test_timeout_is_124(squall: Squall) -> None:
    assert squall("run", "--timeout", "0.2", "sleep", "60").returncode == 124


def test_program_that_cannot_run_is_named(squall: Squall) -> None:
    done = squall("run", "squall-no-such-program")
    assert error(done).startswith("squall: ") and "squall-no-such-program" in error(done)
    assert done.stdout == b""


def test_missing_directory_is_not_a_missing_program(squall: Squall) -> None:
    done = squall("run", "--cwd", "/no/such/directory", "true")
    assert done.returncode == 126
    assert "/no/such/directory" in error(done)


def test_each_stream_comes_out_on_its_own(squall: Squall) -> None:
    done = squall("run", *ECHO_BOTH)
    assert (done.stdout, done.stderr) == (b"out\n", b"err\n")


def test_every_byte_comes_out_as_it_was(squall: Squall, tmp_path: Path) -> None:
    content = os.urandom(700_000) + bytes(range(256)) + "ünï€".encode() * 1000
    (tmp_path / "content").write_bytes(content)
    done = squall("run", "sh", "-c", "cat content; cat content >&2", cwd=tmp_path)
    assert done.stdout == content
    assert done.stderr == content


def test_runs_in_the_callers_directory(squall: Squall, tmp_path: Path) -> None:
    done = squall("run", "pwd", cwd=tmp_path)
    assert done.stdout.decode().strip() == str(tmp_path.resolve())


def test_relative_cwd_is_the_callers(squall: Squall, tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    done = squall("run", "--cwd", "inner", "pwd", cwd=tmp_path)
    assert done.stdout.decode().strip() == str((tmp_path / "inner").resolve())


def test_environment_is_what_was_asked_for(squall: Squall) -> None:
    done = squall("run", "-e", "A=1=2", "-e", "B", "sh", "-c", "echo $A $B $C", B="3", C="4")
    assert done.stdout == b"1=2 3\n"


def test_options_after_the_command_are_the_commands(squall: Squall) -> None:
    done = squall("run", "echo", "--timeout", "--json", "-h", "[red]")
    assert done.stdout == b"--timeout --json -h [red]\n"


def test_options_become_the_spec(squall: Squall) -> None:
    squall("run", "-t", "2m", "-l", "who=test_options", "--limit", "open_files=64",
           "--limit", "output_bytes=64K", "--stop", "int", "--grace", "1.5", "true")  # fmt: skip
    job = squall.newest()
    assert job["timeout"] == 120
    assert job["labels"] == {"who": "test_options"}
    assert job["limits"]["open_files"] == 64
    assert job["limits"]["output_bytes"] == 65_536
    assert job["stop"] == {"signal": "SIGINT", "grace": 1.5}


def test_large_output_to_a_file_is_whole(squall: Squall, blob: Path) -> None:
    with (blob.parent / "copy").open("wb") as copy:
        done = subprocess.run([SQUALL, "run", "cat", blob], env=squall.environ, stdout=copy)
    assert done.returncode == 0
    assert (blob.parent / "copy").read_bytes() == blob.read_bytes()
    assert squall.newest()["stdout"]["dropped"] > 0  # kept are head and tail only, as ever


def test_output_is_whole_however_little_of_it_is_kept(squall: Squall, tmp_path: Path) -> None:
    content = os.urandom(2_000_000)
    (tmp_path / "content").write_bytes(content)
    for kept in ("0", "1000"):
        done = squall("run", "--limit", f"output_bytes={kept}", "cat", "content", cwd=tmp_path)
        assert (done.returncode, done.stdout) == (0, content)


def test_a_slow_reader_holds_the_command_back(squall: Squall, tmp_path: Path) -> None:
    script = "head -c 30000000 /dev/zero; touch printed"
    with squall.start("run", "--cwd", str(tmp_path), "sh", "-c", script) as process:
        assert process.stdout is not None
        shown = process.stdout.read(1)
        job_id = squall.newest()["id"]
        path = f"/v1/jobs/{job_id}/stdout"
        # as much as all that lies between them can hold: it has stopped when nothing comes for long
        sizes = [-1, 0]
        while sizes[-1] != sizes[-2]:
            time.sleep(0.5)
            sizes.append(kept(squall, path))
        assert not (tmp_path / "printed").exists()
        shown += process.stdout.read()
        assert process.wait(30) == 0
    assert shown == bytes(30_000_000)


def test_large_output_over_breaking_connections_is_whole(
    squall: Squall, blob: Path, breaking: str
) -> None:
    with (blob.parent / "copy").open("wb") as copy:
        command = [SQUALL, "run", "--limit", "output_bytes=8M", "cat", blob]
        done = subprocess.run(command, env=squall.environ | {"SQUALL_URL": breaking}, stdout=copy)
    assert done.returncode == 0
    assert (blob.parent / "copy").read_bytes() == blob.read_bytes()


def test_output_that_was_lost_is_a_failure(squall: Squall, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    script = f"head -c 5000000 /dev/zero; echo end; cat {tmp_path}/fifo"
    # nobody reads from the start: this job does not wait
    job_id = squall("submit", "--limit", "output_bytes=1000", "sh", "-c", script).stdout.decode()
    wait_until(lambda: b"end" in squall("logs", job_id.strip()).stdout)
    with squall.start("logs", "-f", job_id.strip()) as process:
        assert process.stderr is not None
        assert b"bytes of stdout were not kept" in process.stderr.readline()
        (tmp_path / "fifo").write_text("")
        assert process.wait(30) == 125


def test_run_fails_when_its_reader_could_not_come_back_in_time(squall: Squall) -> None:
    command = ["head", "-c", "5000001", "/dev/zero"]

    def has_ended() -> bool:
        job = squall.newest()
        return (job["args"], job["state"]) == (command, "succeeded")

    def limits() -> Iterator[int]:
        yield 1_000_000  # the submission; who reads the output has to wait
        wait_until(has_ended)
        yield from itertools.repeat(10_000_000)

    with front(squall, limits(), 65_536) as url:
        done = squall("run", "--limit", "output_bytes=1000", *command, SQUALL_URL=url)
    assert done.returncode == 125
    assert "bytes of stdout were not kept" in error(done)
    assert len(done.stdout) == 1000


@pytest.mark.parametrize(("fd", "stream"), [(1, "stdout"), (2, "stderr")])
def test_output_that_has_no_place_is_a_failure(squall: Squall, fd: int, stream: str) -> None:
    script = f'exec "$@" {fd}>/dev/full'
    yes = ["sh", "-c", f"echo $$; exec yes >&{fd}"]
    command = ["sh", "-c", script, "sh", str(SQUALL), "run", *yes]
    done = subprocess.run(command, env=squall.environ, capture_output=True, timeout=60)
    assert done.returncode == 125
    told = f"squall: {stream} cannot be written: No space left on device\n"
    assert error(done) == (told if fd == 1 else "")
    job = squall.newest()
    wait_until(lambda: squall.job(job["id"])["state"] == "cancelled")
    again = ["sh", "-c", script, "sh", str(SQUALL), "logs", job["id"]]
    done = subprocess.run(again, env=squall.environ, capture_output=True, timeout=60)
    assert done.returncode == 125 and b"Traceback" not in done.stderr


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signal_cancels_the_job_with_its_children(squall: Squall, signum: int, code: int) -> None:
    with squall.start("run", *TREE) as process:
        pids = [int(word) for word in _line(process).split()]
        assert all(map(is_alive, pids))
        process.send_signal(signum)
        assert process.wait(30) == code
    wait_until(lambda: not any(map(is_alive, pids)))
    assert squall.newest()["state"] == "cancelled"


def test_second_interrupt_stops_waiting(squall: Squall) -> None:
    with squall.start("run", "--grace", "300", *DEAF) as process:
        pid = int(_line(process))
        job_id = squall.newest()["id"]
        process.send_signal(signal.SIGINT)
        wait_until(lambda: squall.job(job_id)["cancel_requested"])
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
    assert is_alive(pid)
    squall("signal", job_id, "KILL")
    wait_until(lambda: not is_alive(pid))


def test_ignored_interrupt_stays_ignored(squall: Squall) -> None:
    script = f'trap "" INT; exec {SQUALL} run sh -c "echo begun; sleep 0.5; echo ended"'
    with subprocess.Popen(
        ["sh", "-c", script], env=squall.environ, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
    ) as process:
        assert _line(process) == "begun"
        process.send_signal(signal.SIGINT)
        assert process.stdout is not None
        assert process.stdout.read() == b"ended\n"
    assert process.returncode == 0


def test_reader_that_goes_away_ends_job_and_command_quietly(squall: Squall) -> None:
    with squall.start("run", "sh", "-c", "echo $$; exec yes") as process:
        pid = int(_line(process))
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        assert process.wait(30) == 141
        assert process.stderr.read() == b""
    wait_until(lambda: not is_alive(pid))


def test_closed_streams_are_like_the_null_device(squall: Squall) -> None:
    script = f"{SQUALL} run sh -c 'cat; echo out; echo err >&2; exit 3' <&- >&- 2>&-"
    assert subprocess.run(["sh", "-c", script], env=squall.environ).returncode == 3
    script = f"{SQUALL} ps <&- >&-"
    assert subprocess.run(["sh", "-c", script], env=squall.environ).returncode == 0


def test_output_arrives_while_the_command_runs(squall: Squall, tmp_path: Path) -> None:
    with squall.start(
        "run", "sh", "-c", f"echo first; cat {_fifo(tmp_path)}; echo last"
    ) as process:
        assert _line(process) == "first"
        assert process.poll() is None
        (tmp_path / "fifo").write_text("between\n")
        assert process.stdout is not None
        assert process.stdout.read() == b"between\nlast\n"


def test_broken_connection_loses_nothing_and_doubles_nothing(
    squall: Squall, unreliable: str
) -> None:
    done = squall("run", "--label", "test=unreliable", *COUNT, SQUALL_URL=unreliable)
    assert done.stdout.decode().splitlines() == [f"line {i}" for i in range(1, 61)]
    assert done.returncode == 0
    # its acceptance was told twice, the first time to nobody; it ran once
    page = json.loads(squall("ps", "--json", "-l", "test=unreliable").stdout)
    assert len(page["jobs"]) == 1


def test_what_is_not_utf8_in_arguments_is_a_usage_error(squall: Squall) -> None:
    done = subprocess.run(
        [bytes(SQUALL), b"run", b"echo", b"\xff"],
        env=squall.environ, stdin=subprocess.DEVNULL, capture_output=True,
    )  # fmt: skip
    assert done.returncode == 2
    assert b"UTF-8" in done.stderr


def test_refused_spec_names_every_field(squall: Squall) -> None:
    done = squall("run", "--stop", "SIGNOTHING", "--grace", "2d", "true")
    assert done.returncode == 125
    assert "stop.signal: " in error(done)
    assert "stop.grace: " in error(done)


def kept(squall: Squall, path: str) -> int:
    """How many bytes of a running job's output are kept by now."""
    request = urllib.request.Request(squall.url + path, method="HEAD")
    token = (squall.state_dir / "token").read_text().strip()
    request.add_header("Authorization", f"Bearer {token}")
    with urllib.request.urlopen(request, timeout=30) as answer:
        return int(answer.headers["Content-Length"])


@pytest.fixture
def blob(tmp_path: Path) -> Path:
    """A file of 60 MB, much more than is kept of a stream."""
    (tmp_path / "blob").write_bytes(os.urandom(60_000_000))
    return tmp_path / "blob"


@pytest.fixture
def unreliable(squall: Squall) -> Iterator[str]:
    """An address of the service where connections break: after no byte of the first answer, after
    some 2,000 of the others.
    """
    with front(squall, itertools.chain([0], itertools.repeat(2000)), 700) as url:
        yield url


@pytest.fixture
def breaking(squall: Squall) -> Iterator[str]:
    """An address of the service where each connection breaks after 10 MB of the answer."""
    with front(squall, itertools.repeat(10_000_000), 65_536) as url:
        yield url


@contextlib.contextmanager
def front(squall: Squall, limits: Iterator[int], block: int) -> Iterator[str]:
    port = int(squall.url.rpartition(":")[2])
    with socket.create_server(("127.0.0.1", 0)) as server:

        def forward(client: socket.socket, left: int) -> None:
            with client, socket.create_connection(("127.0.0.1", port)) as service:
                while True:
                    for ready in select.select([client, service], [], [])[0]:
                        data = ready.recv(block)
                        left -= len(data) if ready is service else 0
                        if not data or left < 0:
                            return
                        (service if ready is client else client).sendall(data)

        def quietly(client: socket.socket, left: int) -> None:
            with contextlib.suppress(ConnectionError):  # one of the two broke off first
                forward(client, left)

        def accept() -> None:
            for left in limits:
                try:
                    client, _ = server.accept()
                except OSError:
                    return  # the test is over
                threading.Thread(target=quietly, args=(client, left), daemon=True).start()

        thread = threading.Thread(target=accept)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)
        thread.join()


def _line(process: subprocess.Popen[bytes]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().decode().rstrip("\n")


def _fifo(directory: Path) -> Path:
    os.mkfifo(directory / "fifo")
    return directory / "fifo"
