"""`squall batch` submits the lines of a file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from service.cli.client import Client
from service.cli.events import ends

from .conftest import Squall, error, json_lines


def test_batch_prints_the_ids_in_the_order_of_the_lines(squall: Squall, tmp_path: Path) -> None:
    path = _file(tmp_path, *({"args": ["true"], "labels": {"line": str(n)}} for n in range(5)))
    done = squall("batch", path)
    assert done.returncode == 0
    ids = done.stdout.decode().split()
    assert [squall.job(job_id)["labels"]["line"] for job_id in ids] == list("01234")


def test_batch_of_more_than_one_request_is_accepted_whole(squall: Squall, tmp_path: Path) -> None:
    path = _file(tmp_path, *({"args": ["true"]} for _ in range(1_100)))
    done = squall("batch", path, "--wait", "--json")
    assert done.returncode == 0, error(done)
    jobs = json_lines(done.stdout)
    assert {job["state"] for job in jobs} == {"succeeded"}
    assert len({job["id"] for job in jobs}) == 1_100


def test_batch_names_the_lines_that_are_refused_and_takes_the_others(
    squall: Squall, tmp_path: Path
) -> None:
    path = _file(tmp_path, {"args": ["true"]}, {"args": []}, {"args": ["true"], "nope": 1})
    with Path(path).open("a") as file:
        file.write('no JSON\n\n[1]\n{"args": ["false"]}\n')
    done = squall("batch", path)
    assert done.returncode == 1
    assert len(done.stdout.split()) == 2
    for line, words in ((2, "args"), (3, "nope: unknown field"), (4, "JSON"), (6, "object")):
        (said,) = (text for text in error(done).split("squall: ") if f"line {line}:" in text)
        assert words in said


def test_batch_reads_standard_input(squall: Squall) -> None:
    done = squall("batch", "-", stdin=b'{"args": ["true"]}\n')
    assert (done.returncode, len(done.stdout.split())) == (0, 1)


def test_batch_that_waits_tells_of_failures(squall: Squall) -> None:
    done = squall("batch", "--wait", "-", stdin=b'{"args": ["false"]}\n{"args": ["true"]}\n')
    assert done.returncode == 1
    assert "1 of 2 jobs did not succeed" in error(done)


def test_jobs_that_are_forgotten_are_not_waited_for(squall: Squall) -> None:
    ended = squall.submit("true")
    gone = {f"{ended[:-12]}{number:012x}" for number in range(50)}
    client = Client(squall.url, (squall.state_dir / "token").read_text().strip())
    told = [job for job, _ in ends(client, {ended, *gone})]
    assert sorted(job.id for job in told if job) == [ended]
    assert told.count(None) == 50


def test_batch_shows_a_bar_to_a_person(squall: Squall, tmp_path: Path) -> None:
    shown = squall.on_terminal("batch", _file(tmp_path, *({"args": ["true"]} for _ in range(3))))
    assert "3/3" in shown
    assert "3 jobs accepted, 0 refused" in shown


def _file(directory: Path, *specs: Mapping[str, object]) -> str:
    path = directory / "jobs.jsonl"
    path.write_text("".join(json.dumps(spec) + "\n" for spec in specs))
    return str(path)
