"""`squall run` passes standard input on as it comes."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
import pty
import select
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from service.programs.processes import is_alive

from .conftest import PATIENCE_S, SQUALL, Squall, wait_until

MIB = 2**20


def start(squall: Squall, *command: str, **environ: str) -> subprocess.Popen[bytes]:
    """Start `squall run` with pipes on all its streams."""
    return subprocess.Popen(
        [SQUALL, "run", *command], env=squall.environ | environ,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def say(process: subprocess.Popen[bytes], content: bytes) -> None:
    assert process.stdin is not None
    process.stdin.write(content)
    process.stdin.flush()


def hear(process: subprocess.Popen[bytes]) -> bytes:
    assert process.stdout is not None
    return process.stdout.readline()


def test_every_byte_reaches_the_command(squall: Squall) -> None:
    content = os.urandom(3 * MIB)
    assert squall("run", "cat", stdin=content).stdout == content


def test_what_is_larger_than_a_request_reaches_the_command(squall: Squall, tmp_path: Path) -> None:
    content = os.urandom(20 * MIB)
    (tmp_path / "content").write_bytes(content)
    with (tmp_path / "content").open() as file:
        shown = subprocess.check_output(
            [SQUALL, "run", "sha256sum"], stdin=file, env=squall.environ, timeout=PATIENCE_S
        )
    assert shown.decode().split()[0] == hashlib.sha256(content).hexdigest()


def test_each_piece_is_passed_on_as_it_comes(squall: Squall) -> None:
    with start(squall, "cat") as process:
        for line in (b"one\n", b"two\n"):
            say(process, line)
            assert hear(process) == line
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(PATIENCE_S) == 0


def test_an_interactive_program_is_driven(squall: Squall) -> None:
    with start(squall, "--", "python3", "-i", "-q") as process:
        say(process, b"6*7\n")
        assert hear(process) == b"42\n"
        say(process, b"raise SystemExit(3)\n")
        assert process.wait(PATIENCE_S) == 3


def test_a_command_that_reads_nothing_ends_while_input_stays_open(squall: Squall) -> None:
    with start(squall, "true") as process:
        assert process.wait(PATIENCE_S) == 0


def test_a_command_that_reads_nothing_ends_under_a_flood_of_input(squall: Squall) -> None:
    with Path(os.devnull.replace("null", "zero")).open() as zeros:
        done = subprocess.run(
            [SQUALL, "run", "sh", "-c", "sleep 0.5; exit 4"], stdin=zeros, env=squall.environ,
            capture_output=True, timeout=PATIENCE_S,
        )  # fmt: skip
    assert (done.returncode, done.stderr) == (4, b"")


def test_a_command_that_closes_its_input_ends_the_forwarding_quietly(squall: Squall) -> None:
    script = "echo begun; head -n 1; exec <&-; sleep 0.3; echo end"
    done = squall("run", "sh", "-c", script, stdin=b"first\n" + bytes(MIB))
    assert (done.returncode, done.stdout, done.stderr) == (0, b"begun\nfirst\nend\n", b"")


def test_the_null_device_is_no_input_to_pass_on(squall: Squall) -> None:
    assert squall("run", "cat").returncode == 0


def test_no_stdin_leaves_a_loops_input_alone(squall: Squall) -> None:
    script = f"while read -r word; do {SQUALL} run -N -- echo got $word; done"
    done = subprocess.run(
        ["bash", "-c", script], env=squall.environ, input=b"a\nb\nc\n", capture_output=True
    )
    assert done.stdout == b"got a\ngot b\ngot c\n"


def test_no_stdin_leaves_the_rest_of_a_script_alone(squall: Squall) -> None:
    script = f"{SQUALL} run --no-stdin cat\necho after\n".encode()
    done = subprocess.run(["bash"], env=squall.environ, input=script, capture_output=True)
    assert done.stdout == b"after\n"


def test_input_waits_for_a_job_that_waits_in_the_queue(squall: Squall) -> None:
    blockers = "".join('{"args": ["sleep", "300"]}\n' for _ in range(64)).encode()
    ids = squall("batch", "-", stdin=blockers).stdout.decode().split()
    try:
        wait_until(lambda: squall.job(ids[-1])["state"] == "running")
        with start(squall, "cat") as process:
            say(process, b"patient\n")
            assert process.stdin is not None
            process.stdin.close()
            wait_until(lambda: squall.newest()["args"] == ["cat"])
            assert squall.newest()["state"] == "queued"
            squall("cancel", ids[0])
            assert hear(process) == b"patient\n"
            assert process.wait(PATIENCE_S) == 0
    finally:
        squall("cancel", *ids)


class Terminal:
    """`squall run` on a terminal of its own, as a person has it."""

    def __init__(self, squall: Squall, *command: str) -> None:
        self.pid, self.master = pty.fork()
        if self.pid == 0:
            os.execve(SQUALL, [str(SQUALL), "run", *command], squall.environ)
        self.seen = ""

    def type(self, text: str) -> None:
        os.write(self.master, text.encode())

    def wait_for(self, text: str) -> None:
        """Read what is shown until `text` comes; forgets what came before it."""
        while text not in self.seen:
            assert select.select([self.master], [], [], PATIENCE_S)[0], f"{text!r} does not come"
            self.seen += os.read(self.master, 65_536).decode()
        self.seen = self.seen.partition(text)[2]

    def wait(self) -> int:
        """Return the exit code."""
        with contextlib.suppress(OSError):  # EIO: the other side is closed
            while os.read(self.master, 65_536):
                pass
        os.close(self.master)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def test_a_terminal_is_passed_on_line_by_line_until_ctrl_d(squall: Squall) -> None:
    terminal = Terminal(squall, "sh", "-c", "while read -r n; do echo =$((n*2)); done; exit 5")
    terminal.type("21\n")
    terminal.wait_for("=42")
    terminal.type("4\n")
    terminal.wait_for("=8")
    terminal.type("\x04")
    assert terminal.wait() == 5


def test_ctrl_c_on_a_terminal_cancels_the_job(squall: Squall) -> None:
    terminal = Terminal(squall, "sh", "-c", "echo PID=$$.; cat")
    terminal.wait_for("PID=")
    terminal.wait_for(".")
    pid = squall.newest()["pid"]
    terminal.type("\x03")
    assert terminal.wait() == 130
    wait_until(lambda: not is_alive(pid))


def test_in_the_background_the_terminal_is_left_to_the_shell(squall: Squall) -> None:
    script = f"set -m; {SQUALL} run sh -c 'sleep 1; echo done' & wait $!; echo code=$?"
    pid, master = pty.fork()
    if pid == 0:
        os.execve("/bin/bash", ["bash", "-c", script], squall.environ)
    os.write(master, b"for the shell\n")
    seen = b""
    while b"code=" not in seen:
        assert select.select([master], [], [], PATIENCE_S)[0], seen
        seen += os.read(master, 65_536)
    os.close(master)
    os.waitpid(pid, 0)
    assert b"code=0" in seen
    assert b"Stopped" not in seen


def test_a_piece_whose_answer_is_lost_arrives_once(squall: Squall, cutting: str) -> None:
    content = os.urandom(MIB)
    done = squall("run", "cat", stdin=content, SQUALL_URL=cutting)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout == content


def test_input_that_cannot_arrive_whole_cancels_the_job(
    squall: Squall, losing: tuple[str, threading.Event]
) -> None:
    url, has_lost = losing
    with start(squall, "--", "sh", "-c", "trap '' PIPE; cat >&2", SQUALL_URL=url) as process:
        say(process, b"lost\n")
        assert has_lost.wait(PATIENCE_S)
        say(process, b"more\n")
        assert process.wait(PATIENCE_S) == 125
        assert process.stderr is not None
        assert b"standard input did not arrive whole" in process.stderr.read()
    assert squall.newest()["state"] == "cancelled"


def test_term_while_input_is_open_cancels_the_job(squall: Squall) -> None:
    with start(squall, "sh", "-c", "echo begun; cat") as process:
        assert hear(process) == b"begun\n"
        job_id = squall.newest()["id"]
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_S) == 143
    wait_until(lambda: squall.job(job_id)["state"] == "cancelled")


@pytest.fixture
def cutting(squall: Squall) -> Iterator[str]:
    """An address of the service where stdin arrives, and every other answer to that is lost."""
    lost = itertools.cycle([True, False])

    def answer(request: bytes, answer: bytes) -> bytes | None:
        return None if b"/stdin?" in request and next(lost) else answer

    with between(squall, answer) as url:
        yield url


@pytest.fixture
def losing(squall: Squall) -> Iterator[tuple[str, threading.Event]]:
    """An address of the service that takes a piece of stdin, says so, and forgets it."""
    has_lost = threading.Event()

    def answer(request: bytes, answer: bytes) -> bytes | None:
        if b"/stdin?offset=0" not in request:
            return answer
        has_lost.set()
        return b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n"

    with between(squall, answer, passes=lambda request: b"/stdin?offset=0" not in request) as url:
        yield url, has_lost


@contextlib.contextmanager
def between(
    squall: Squall,
    change: Callable[[bytes, bytes], bytes | None],
    passes: Callable[[bytes], bool] = lambda request: True,
) -> Iterator[str]:
    """A proxy that changes the answers, or breaks off in their place."""
    port = int(squall.url.rpartition(":")[2])
    with socket.create_server(("127.0.0.1", 0)) as server:

        def forward(client: socket.socket) -> None:
            with client, socket.create_connection(("127.0.0.1", port)) as service:
                first = b""
                while True:
                    for ready in select.select([client, service], [], [])[0]:
                        data = ready.recv(65_536)
                        if ready is client:
                            first = first or data
                            if data and passes(first):
                                service.sendall(data)
                            elif data:
                                client.sendall(change(first, b"") or b"")
                                return
                        answer = change(first, data) if data and ready is service else data
                        if not answer:
                            return
                        if ready is service:
                            client.sendall(answer)

        def quietly(client: socket.socket) -> None:
            with contextlib.suppress(ConnectionError):  # one of the two broke off first
                forward(client)

        def accept() -> None:
            while True:
                try:
                    client, _ = server.accept()
                except OSError:
                    return  # the test is over
                threading.Thread(target=quietly, args=(client,), daemon=True).start()

        thread = threading.Thread(target=accept)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)
        thread.join()
