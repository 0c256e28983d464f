"""`squall logs --tail`: the last lines, byte for byte."""

from __future__ import annotations

from .conftest import Squall, json_lines, wait_until

FIVE = "for i in 1 2 3 4 5; do echo out $i; echo err $i >&2; sleep 0.01; done"


def test_the_last_lines_of_both_streams_come_out_on_their_own(squall: Squall) -> None:
    job_id = squall.submit("sh", "-c", FIVE)
    done = squall("logs", "--tail", "4", job_id)
    assert (done.stdout, done.stderr) == (b"out 4\nout 5\n", b"err 4\nerr 5\n")


def test_the_last_lines_of_one_stream(squall: Squall) -> None:
    job_id = squall.submit("sh", "-c", f"{FIVE}; printf 'no end'")
    done = squall("logs", "-n", "2", "--stream", "stdout", job_id)
    assert (done.stdout, done.stderr) == (b"out 5\nno end", b"")
    assert squall("logs", "-n", "0", job_id).stdout == b""
    assert squall("logs", "-n", "99", job_id).stdout == squall("logs", job_id).stdout


def test_a_line_that_came_in_pieces_is_one(squall: Squall) -> None:
    pieces = "echo before; for i in 1 2 3; do printf 'piece '; sleep 0.05; done; printf '\\377\\n'"
    job_id = squall.submit("sh", "-c", pieces)
    assert squall("logs", "-n", "1", job_id).stdout == b"piece piece piece \xff\n"


def test_what_was_not_kept_is_told_where_it_falls(squall: Squall) -> None:
    job_id = (
        squall("submit", "-w", "--limit", "output_bytes=1000", "sh", "-c", "yes | head -c 100000")
        .stdout.decode()
        .strip()
    )
    near, all_of_it = squall("logs", "-n", "5", job_id), squall("logs", "-n", "9999", job_id)
    assert (near.stdout, near.stderr) == (b"y\n" * 5, b"")
    assert b"were not kept" in all_of_it.stderr


def test_following_goes_on_after_the_last_lines(squall: Squall) -> None:
    job_id = squall("submit", "sh", "-c", "echo 1; echo 2; printf 3; read -r x < /dev/zero").stdout
    name = job_id.decode().strip()
    wait_until(lambda: squall("logs", name).stdout == b"1\n2\n3")
    with squall.start("logs", "-f", "-n", "2", name) as follow:
        assert follow.stdout is not None
        assert follow.stdout.read(3) == b"2\n3"
        squall("cancel", name)
        assert follow.stdout.read() == b""
    assert follow.returncode == 0


def test_items_are_the_lines_of_json(squall: Squall) -> None:
    job_id = squall.submit("sh", "-c", FIVE)
    *items, end = json_lines(squall("logs", "--json", "-n", "2", job_id).stdout)
    assert end["job"]["id"] == job_id
    assert [item["seq"] for item in items] == [
        item["seq"] for item in json_lines(squall("logs", "--json", job_id).stdout)[-3:-1]
    ]
