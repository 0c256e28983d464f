"""`squall logs` prints what a job has written."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from .conftest import Squall, json_lines

BOTH = ["sh", "-c", "echo out; echo err >&2; echo more"]


def test_logs_print_each_stream_on_its_own(squall: Squall) -> None:
    done = squall("logs", squall.submit(*BOTH))
    assert (done.stdout, done.stderr) == (b"out\nmore\n", b"err\n")


def test_logs_print_one_stream(squall: Squall) -> None:
    done = squall("logs", "--stream", "stderr", squall.submit(*BOTH))
    assert (done.stdout, done.stderr) == (b"", b"err\n")


def test_logs_are_the_bytes_themselves(squall: Squall, tmp_path: Path) -> None:
    content = os.urandom(300_000)
    (tmp_path / "content").write_bytes(content)
    job_id = squall.submit("cat", str(tmp_path / "content"))
    assert squall("logs", job_id).stdout == content


def test_logs_as_json_are_the_journal(squall: Squall) -> None:
    job_id = squall.submit(*BOTH)
    *items, last = json_lines(squall("logs", "--json", job_id).stdout)
    assert "".join(item["text"] for item in items if item["stream"] == "stdout") == "out\nmore\n"
    assert [item["seq"] for item in items] == sorted(item["seq"] for item in items)
    assert last["job"]["id"] == job_id


def test_logs_of_a_running_job_end_unless_followed(squall: Squall, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    done = squall("submit", "sh", "-c", f"echo first; cat {tmp_path}/fifo; echo last")
    job_id = done.stdout.decode().strip()
    with squall.start("logs", "-f", job_id) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"first\n"
        assert squall("logs", job_id).stdout == b"first\n"
        (tmp_path / "fifo").write_text("between\n")
        assert process.stdout.read() == b"between\nlast\n"
    assert process.returncode == 0


def test_interrupted_logs_leave_the_job_alone(squall: Squall) -> None:
    job_id = squall("submit", "sh", "-c", "echo begun; sleep 300").stdout.decode().strip()
    with squall.start("logs", "-f", job_id) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"begun\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
    assert squall.job(job_id)["state"] == "running"
    squall("cancel", job_id)


def test_reader_that_goes_away_is_no_error(squall: Squall) -> None:
    job_id = squall.submit("seq", "200000")
    with squall.start("logs", job_id) as process:
        assert process.stdout is not None and process.stderr is not None
        assert process.stdout.readline() == b"1\n"
        process.stdout.close()
        assert process.wait(30) == 141
        assert process.stderr.read() == b""
