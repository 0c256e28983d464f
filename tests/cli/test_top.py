"""`squall top` shows what runs, live."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import struct
import termios
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from fcntl import ioctl
from pathlib import Path

import pytest

from .conftest import PATIENCE_S, SQUALL, Squall, wait_until


class Screen:
    """`squall top` on a terminal of its own."""

    def __init__(self, squall: Squall, columns: int) -> None:
        self.pid, self.master = pty.fork()
        if self.pid == 0:
            os.execve(SQUALL, [str(SQUALL), "top"], squall.environ)
        ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", 30, columns, 0, 0))
        self.seen = ""

    def wait_for(self, text: str) -> None:
        deadline = time.monotonic() + 20
        while text not in self.seen:
            assert time.monotonic() < deadline, f"{text!r} does not come: {self.seen[-2000:]!r}"
            assert select.select([self.master], [], [], PATIENCE_S)[0], f"{text!r} does not come"
            self.seen += os.read(self.master, 65_536).decode(errors="replace")

    def end(self) -> int:
        """Return the exit code once it has ended."""
        try:
            while data := os.read(self.master, 65_536):
                self.seen += data.decode(errors="replace")
        except OSError:
            pass  # EIO: the other side is closed
        os.close(self.master)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


@contextmanager
def sleeping(squall: Squall, *args: str) -> Iterator[str]:
    """A job that runs, and its id."""
    job_id = squall("submit", "--", "sh", "-c", "sleep 300", *args).stdout.decode().strip()
    try:
        wait_until(lambda: squall.job(job_id)["state"] == "running")
        yield job_id
    finally:
        squall("cancel", job_id)


@pytest.mark.parametrize("columns", [20, 40, 120])
def test_a_job_is_shown_from_its_start_to_its_end(squall: Squall, columns: int) -> None:
    screen = Screen(squall, columns)
    screen.wait_for("running")
    with sleeping(squall, f"first-{columns}") as job_id:
        screen.wait_for(job_id[-12:][: columns // 5])
        os.write(screen.master, b"q")
        assert screen.end() == 0
    assert "\x1b[?1049l" in screen.seen


def test_its_end_is_told(squall: Squall) -> None:
    with sleeping(squall, "told"):
        screen = Screen(squall, 120)
        screen.wait_for("told")
    screen.wait_for("cancelled")
    os.write(screen.master, b"q")
    assert screen.end() == 0


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 0), (signal.SIGTERM, 143)])
def test_a_signal_leaves_the_terminal_as_it_was(squall: Squall, signum: int, code: int) -> None:
    screen = Screen(squall, 80)
    screen.wait_for("q quits")
    os.kill(screen.pid, signum)
    assert screen.end() == code
    assert "\x1b[?1049l" in screen.seen
    assert "\x1b[?25h" in screen.seen


def test_a_jobs_name_is_only_text(squall: Squall) -> None:
    with sleeping(squall, "\x1b]0;title\x07[red]\n"):
        screen = Screen(squall, 120)
        screen.wait_for(r"\x1b]0;title\x07[red]\n")
        os.write(screen.master, b"q")
        screen.end()
    assert "\x1b]0;" not in screen.seen and "\x07" not in screen.seen


def test_where_there_is_no_terminal_it_is_printed_once(squall: Squall) -> None:
    with sleeping(squall, "older") as older, sleeping(squall, "newer") as newer:
        done = squall("top")
    assert (done.returncode, done.stderr) == (0, b"")
    shown = done.stdout.decode()
    assert "\x1b" not in shown
    assert " running " in shown.splitlines()[0] and " queued " in shown.splitlines()[0]
    assert shown.index(older[-12:]) < shown.index(newer[-12:])


def test_as_json_every_change_is_a_line(squall: Squall) -> None:
    with squall.start("top", "--json") as process:
        assert process.stdout is not None
        done = threading.Event()

        def keep_running() -> None:  # until the stream, which begins now, has told of one
            while not done.is_set():
                squall("run", "-l", "test=top", "true")

        thread = threading.Thread(target=keep_running)
        thread.start()
        try:
            told: dict[str, list[str]] = {}
            while not any({"queued", "succeeded"} <= set(states) for states in told.values()):
                job = json.loads(process.stdout.readline())
                told.setdefault(job["id"], []).append(job["state"])
        finally:
            done.set()
            thread.join()
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE_S) == 0


def test_batch_that_waits_prints_each_job_as_it_ends(squall: Squall, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "jobs").write_text(
        json.dumps({"args": ["cat", f"{tmp_path}/fifo"]}) + '\n{"args": ["true"]}\n'
    )
    with squall.start("batch", "--wait", "--json", str(tmp_path / "jobs")) as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["args"] == ["true"]
        (tmp_path / "fifo").write_text("")
        assert json.loads(process.stdout.readline())["state"] == "succeeded"
        assert process.wait(PATIENCE_S) == 0
