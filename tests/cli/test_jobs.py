"""`submit`, `rerun`, `ps`, `show`, `cancel`, `signal` and `rm`."""

from __future__ import annotations

import json
import re

import pytest

from service.programs.processes import is_alive

from .conftest import Squall, error, json_lines, wait_until

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
    done = squall("ps", "--json", "-n", "3")
    page = json.loads(done.stdout)
    assert [job["id"] for job in page["jobs"]] == ids[::-1]
    rest = json.loads(squall("ps", "--json", "--cursor", page["next_cursor"]).stdout)
    assert not set(ids) & {job["id"] for job in rest["jobs"]}


def test_ps_filters_by_state_and_label(squall: Squall) -> None:
    squall("submit", "-w", "-l", "n=1", "-l", "test=filters", "false")
    squall("submit", "-w", "-l", "n=2", "-l", "test=filters", "true")
    done = squall("ps", "--json", "-l", "test=filters", "-s", "failed", "-s", "lost")
    assert [job["labels"]["n"] for job in json.loads(done.stdout)["jobs"]] == ["1"]


@pytest.mark.parametrize("label", ["test=forms", "test:forms"])
def test_labels_are_given_as_http_has_them_too(squall: Squall, label: str) -> None:
    job_id = squall("submit", "-w", "-l", label, "-l", "at:12=00", "true").stdout.decode().strip()
    assert squall.job(job_id)["labels"] == {"test": "forms", "at": "12=00"}
    for given in ("test=forms", "test:forms"):
        newest = json.loads(squall("ps", "--json", "-n", "1", "-l", given).stdout)["jobs"][0]
        assert newest["id"] == job_id


def test_ps_finds_by_text_and_time(squall: Squall) -> None:
    job_id = squall.submit("echo", "A needle 4711")
    accepted = squall.job(job_id)["created_at"]

    def found(*args: str) -> list[str]:
        done = squall("ps", "--json", *args)
        assert done.returncode == 0, error(done)
        return [job["id"] for job in json.loads(done.stdout)["jobs"]]

    assert found("-q", "NEEDLE 47") == [job_id]
    assert found("-q", "needle 47", "--since", "1h", "--until", "now") == [job_id]
    assert found("-q", "needle 47", "--since", accepted) == [job_id]
    assert found("-q", "needle 47", "--since", "yesterday", "--until", "today") == []
    assert found("-q", "needle 47", "--until", accepted) == []


@pytest.mark.parametrize("given", ["soon", "2026-13-01", "1x", "25:00", "99999999999w"])
def test_what_is_no_time_is_wrong_usage(squall: Squall, given: str) -> None:
    done = squall("ps", "--since", given)
    assert done.returncode == 2
    assert "is not a time" in error(done)


def test_ps_without_matches_says_so(squall: Squall) -> None:
    done = squall("ps", "--label", "no=such")
    assert (done.returncode, done.stdout) == (0, b"")
    assert "no such jobs" in error(done)


def test_show_gives_the_contracts_object(squall: Squall) -> None:
    job_id = squall.submit("sh", "-c", "exit 3")
    job = squall.job(job_id)
    assert (job["id"], job["exit_code"], job["reason"]) == (job_id, 3, "exit")


def test_a_job_is_found_by_any_part_of_its_id(squall: Squall) -> None:
    job_id = squall.submit("true")
    assert job_id[-12:] in squall("ps").stdout.decode()
    for part in (job_id[-12:], job_id[-8:].upper(), job_id[:-4], job_id[4:-4], job_id[20:30]):
        assert squall.job(part)["id"] == job_id


def test_a_part_that_several_ids_have_is_refused_with_the_candidates(squall: Squall) -> None:
    ids = [squall("submit", "echo", str(n)).stdout.decode().strip() for n in range(2)]
    done = squall("show", ids[0][:4])
    assert (done.returncode, done.stdout) == (1, b"")
    assert f"{ids[0][:4]} is in the ids of several jobs" in error(done)
    for number, job_id in enumerate(ids):
        assert re.search(rf"{job_id}  \w+ +echo {number}", error(done))


def test_a_part_is_looked_for_beyond_one_page_of_the_list(squall: Squall) -> None:
    first = squall.submit("true")
    line = b'{"args": ["true"], "env": {"A": "%s"}}\n' % (b"x" * 60_000)
    assert squall("batch", "-", stdin=line * 99).returncode == 0
    assert squall.job(first[-12:])["id"] == first
    shown = squall("ps", "-n", "99").stdout.splitlines()
    assert len(shown) == 100


@pytest.mark.parametrize("given", ["zz", "012", "../../metrics", "0123 4567"])
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
    assert (done.returncode, done.stdout.decode()) == (0, f"{job_id} had ended: succeeded\n")


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
    assert "no such signal: '99'" in error(squall("signal", job_id, "99"))
    squall("cancel", job_id)


def test_signal_to_an_ended_job_is_refused(squall: Squall) -> None:
    done = squall("signal", squall.submit("true"), "TERM")
    assert done.returncode == 1
    assert error(done).count("\n") == 1


def test_rerun_is_a_new_job_with_the_same_command(squall: Squall) -> None:
    first = squall.job(squall.submit("sh", "-c", "exit 3"))
    done = squall("rerun", "--wait", first["id"][-12:])
    assert done.returncode == 3
    again = squall.job(done.stdout.decode().strip())
    assert again["id"] != first["id"] and again["rerun_of"] == first["id"]
    assert (again["args"], again["cwd"]) == (first["args"], first["cwd"])
    assert first["id"] in squall("show", again["id"]).stdout.decode()


def test_options_of_rerun_change_one_thing_each(squall: Squall) -> None:
    first = squall(
        "submit", "-w", "-e", "A=1", "-e", "B=1", "-l", "n=1", "--limit", "open_files=50",
        "--grace", "2", "-C", "/", "true",
    ).stdout.decode().strip()  # fmt: skip
    done = squall(
        "rerun", "--json", "-e", "B=2", "-l", "m=2", "--limit", "processes=500", "--stop", "INT",
        "-t", "2m", first,
    )  # fmt: skip
    job = json.loads(done.stdout)
    assert (job["env"], job["labels"]) == ({"A": "1", "B": "2"}, {"n": "1", "m": "2"})
    assert (job["limits"]["open_files"], job["limits"]["processes"]) == (50, 500)
    assert job["stop"] == {"signal": "SIGINT", "grace": 2}
    assert (job["timeout"], job["cwd"]) == (120, "/")


def test_rerun_has_the_input_that_was_kept(squall: Squall) -> None:
    done = squall("submit", "-w", "--stdin", "cat", stdin=b"kept")
    again = json.loads(squall("rerun", "-w", "--json", done.stdout.decode().strip()).stdout)
    assert again["stdout"]["text"] == "kept"


def test_rerun_without_the_input_is_refused_and_says_what_to_do(squall: Squall) -> None:
    assert squall("run", "cat", stdin=b"typed").stdout == b"typed"
    job_id = squall.newest()["id"]
    refused = squall("rerun", job_id)
    assert (refused.returncode, refused.stdout) == (1, b"")
    assert "was not kept" in error(refused) and "--no-stdin" in error(refused)
    given = json.loads(squall("rerun", "-w", "--json", "-i", job_id, stdin=b"again").stdout)
    assert given["stdout"]["text"] == "again"
    none = json.loads(squall("rerun", "-w", "--json", "-N", job_id).stdout)
    assert (none["state"], none["stdout"]["bytes"]) == ("succeeded", 0)


def test_rerun_of_what_ran_at_a_terminal_needs_no_input(squall: Squall) -> None:
    assert "here" in squall.on_terminal("run", "echo", "here")
    job_id = squall.newest()["id"]
    assert squall("rerun", "--wait", job_id).returncode == 0


def test_rm_deletes_ended_jobs_and_prints_their_ids(squall: Squall) -> None:
    ids = [squall.submit("true") for _ in range(2)]
    done = squall("rm", ids[0], ids[1][-12:])
    assert (done.returncode, done.stdout.decode().split()) == (0, ids)
    assert squall("show", ids[0]).returncode == 1


def test_rm_goes_on_after_a_job_that_may_still_run(squall: Squall) -> None:
    running = squall("submit", *SLEEP).stdout.decode().strip()
    ended = squall.submit("true")
    done = squall("rm", running, ended)
    assert (done.returncode, done.stdout.decode().split()) == (1, [ended])
    assert running in error(done) and "squall cancel" in error(done)
    squall("cancel", running)
