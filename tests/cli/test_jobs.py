"""`submit`, `ps`, `show`, `cancel` and `signal`."""

from __future__ import annotations

import json
import re

import pytest

from .conftest import Squall, error, is_alive, json_lines, wait_until

ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}")
SLEEP = ["sleep", "300"]


def test_submit_prints_the_id_and_does_not_wait(squall: Squall) -> None:
    done = squall("submit", *SLEEP)
    job_id = done.stdout.decode().strip()
    assert ID.fullmatch(job_id)
    assert squall.job(job_id)["state"] in ("queued", "running")
    squall("cancel", job_id)


def test_submit_that_waits_exits_as_run_does(squall: Squall) -> None:
    done = squall("submit", "--wait", "sh", "-c", "exit 3")
    assert done.returncode == 3
    assert ID.fullmatch(done.stdout.decode().strip())


def test_submit_gives_the_ended_job_with_its_output_as_json(squall: Squall) -> None:
    done = squall("submit", "--wait", "--json", "echo", "hello")
    job = json.loads(done.stdout)
    assert (job["state"], job["stdout"]["text"]) == ("succeeded", "hello\n")


def test_submit_reads_stdin_only_when_asked(squall: Squall) -> None:
    taken = squall("submit", "--wait", "--json", "--stdin", "cat", stdin=b"to the command")
    assert json.loads(taken.stdout)["stdout"]["text"] == "to the command"
    left = squall("submit", "--wait", "--json", "cat", stdin=b"not to the command")
    assert json.loads(left.stdout)["stdout"]["bytes"] == 0


def test_stdin_longer_than_a_request_is_a_usage_error(squall: Squall) -> None:
    done = squall("submit", "-i", "cat", stdin=b"x" * 10_000, SQUALL_HTTP_BODY_BYTES="8192")
    assert done.returncode == 2
    assert "http.body_bytes" in error(done)


def test_ps_lists_the_newest_first(squall: Squall) -> None:
    ids = [squall.submit("true") for _ in range(3)]
    done = squall("ps", "--json", "--limit", "3")
    page = json.loads(done.stdout)
    assert [job["id"] for job in page["jobs"]] == ids[::-1]
    rest = json.loads(squall("ps", "--json", "--cursor", page["next_cursor"]).stdout)
    assert not set(ids) & {job["id"] for job in rest["jobs"]}


def test_ps_filters_by_state_and_label(squall: Squall) -> None:
    squall("submit", "-w", "-l", "n=1", "-l", "test=filters", "false")
    squall("submit", "-w", "-l", "n=2", "-l", "test=filters", "true")
    done = squall("ps", "--json", "-l", "test=filters", "-s", "failed", "-s", "lost")
    assert [job["labels"]["n"] for job in json.loads(done.stdout)["jobs"]] == ["1"]


def test_ps_without_matches_says_so(squall: Squall) -> None:
    done = squall("ps", "--label", "no=such")
    assert (done.returncode, done.stdout) == (0, b"")
    assert "no such jobs" in error(done)


def test_show_gives_the_contracts_object(squall: Squall) -> None:
    job_id = squall.submit("sh", "-c", "exit 3")
    job = squall.job(job_id)
    assert (job["id"], job["exit_code"], job["reason"]) == (job_id, 3, "exit")


def test_show_takes_the_end_of_an_id_as_tables_have_it(squall: Squall) -> None:
    job_id = squall.submit("true")
    assert job_id[-12:] in squall("ps").stdout.decode()
    assert squall.job(job_id[-12:])["id"] == job_id
    assert squall.job(job_id[-8:].upper())["id"] == job_id


@pytest.mark.parametrize("given", ["zz", "0123", "../../metrics", "01234567-"])
def test_what_is_no_id_is_refused_without_asking(squall: Squall, given: str) -> None:
    done = squall("show", given, SQUALL_URL="http://127.0.0.1:1")
    assert done.returncode == 1
    assert "is not a job's id" in error(done)


def test_unknown_id_is_refused(squall: Squall) -> None:
    for given in ("ffffffff", "01890000-0000-7000-8000-000000000000"):
        done = squall("show", given)
        assert (done.returncode, done.stdout) == (1, b"")
        assert error(done).startswith("squall: ") and error(done).count("\n") == 1


def test_cancel_stops_a_running_job(squall: Squall) -> None:
    job_id = squall("submit", *SLEEP).stdout.decode().strip()
    wait_until(lambda: squall.job(job_id)["state"] == "running")
    pid = squall.job(job_id)["pid"]
    done = squall("cancel", "--json", job_id)
    assert [job["id"] for job in json_lines(done.stdout)] == [job_id]
    wait_until(lambda: squall.job(job_id)["state"] == "cancelled")
    assert not is_alive(pid)


def test_cancel_of_an_ended_job_says_how_it_ended(squall: Squall) -> None:
    job_id = squall.submit("true")
    done = squall("cancel", job_id)
    assert (done.returncode, done.stdout.decode()) == (0, f"{job_id} has succeeded before\n")


def test_cancel_goes_on_after_an_unknown_id(squall: Squall) -> None:
    job_id = squall("submit", *SLEEP).stdout.decode().strip()
    done = squall("cancel", "ffffffff", job_id)
    assert done.returncode == 1
    wait_until(lambda: squall.job(job_id)["state"] == "cancelled")


@pytest.mark.parametrize("name", ["USR1", "sigusr1", "10"])
def test_signal_goes_by_any_of_its_names(squall: Squall, name: str) -> None:
    job_id = squall("submit", *SLEEP).stdout.decode().strip()
    wait_until(lambda: squall.job(job_id)["state"] == "running")
    assert squall("signal", job_id, name).returncode == 0
    wait_until(lambda: squall.job(job_id)["signal"] == "SIGUSR1")


def test_signal_that_does_not_exist_is_refused_by_field(squall: Squall) -> None:
    job_id = squall("submit", *SLEEP).stdout.decode().strip()
    done = squall("signal", job_id, "NOTHING")
    assert done.returncode == 1
    assert "signal: no such signal" in error(done)
    squall("cancel", job_id)


def test_signal_to_an_ended_job_is_refused(squall: Squall) -> None:
    done = squall("signal", squall.submit("true"), "TERM")
    assert done.returncode == 1
    assert error(done).count("\n") == 1
