"""Tables are for a person, and nothing in them is taken for more than text."""

from __future__ import annotations

import pytest

from .conftest import Squall

GREEN = "\x1b[32m"
EVIL = [
    "printf",
    "",
    "\x1b]0;title\x07",
    "[red]no markup[/red]",
    "two\nlines",
    "\u202eback",
    ":boom:",
]


def test_state_is_in_colour_on_a_terminal(squall: Squall) -> None:
    squall.submit("true")
    shown = squall.on_terminal("ps", "-n", "1")
    assert f"{GREEN}succeeded" in shown
    for heading in ("ID", "STATE", "AGE", "DURATION", "EXIT", "COMMAND"):
        assert heading in shown


@pytest.mark.parametrize("command", ["ps", "show"])
def test_no_color_means_no_escapes_at_all(squall: Squall, command: str) -> None:
    job_id = squall.submit("true")
    args = [job_id] if command == "show" else []
    assert "\x1b" not in squall.on_terminal(command, *args, NO_COLOR="1")


def test_no_escapes_where_it_is_no_terminal(squall: Squall) -> None:
    squall.submit("true")
    done = squall("ps", FORCE_COLOR="1")
    assert b"succeeded" in done.stdout
    assert b"\x1b" not in done.stdout


@pytest.mark.parametrize("command", ["ps", "show"])
def test_what_a_job_is_called_is_only_text(squall: Squall, command: str) -> None:
    done = squall("submit", "-w", "-l", "evil=\x1b[2J[b]", *EVIL)
    job_id = done.stdout.decode().strip()
    args = [job_id] if command == "show" else ["-n", "1"]
    shown = squall.on_terminal(command, *args, columns=200, NO_COLOR="1")
    assert r"\x1b]0;title\x07" in shown
    assert "[red]no markup[/red]" in shown
    assert r"two\nlines" in shown
    assert r"\u202eback" in shown
    assert ":boom:" in shown
    assert not {"\x1b", "\x07", "\u202e"} & set(shown)


def test_what_a_problem_quotes_is_only_text(squall: Squall) -> None:
    shown = squall.on_terminal("run", "\x1b]0;title\x07")
    assert r"\x1b]0;title\x07" in shown
    assert "\x1b" not in shown


def test_labels_have_a_column_where_there_are_any(squall: Squall) -> None:
    squall("submit", "-w", "-l", "app=web", "-l", "n=1", "true")
    squall("submit", "-w", "true")
    assert b"app=web n=1" in squall("ps", "-n", "2").stdout
    assert b"LABELS" not in squall("ps", "-n", "1").stdout
    shown = squall.on_terminal("ps", "-n", "2", columns=80, NO_COLOR="1")
    assert "LABELS" in shown and "app=web n=1" in shown
    narrow = squall.on_terminal("ps", "-n", "2", columns=60, NO_COLOR="1")
    assert "LABELS" not in narrow and "true" in narrow


@pytest.mark.parametrize("columns", [50, 60, 80, 200])
def test_no_line_is_longer_than_the_terminal(squall: Squall, columns: int) -> None:
    squall("submit", "-w", "-t", "0.01", "-l", f"name={'v' * 90}", "sleep", "1", "x" * 90)
    shown = squall.on_terminal("ps", columns=columns, NO_COLOR="1")
    assert max(len(line) for line in shown.splitlines()) <= columns
    assert "COMMAND" in shown


def test_words_are_those_of_the_contract(squall: Squall) -> None:
    job_id = squall("submit", "-w", "nosuch").stdout.decode().strip()
    assert b"spawn_error" in squall("ps", "-n", "1").stdout
    job = squall.job(job_id)
    told = [line.split()[0] for line in squall("show", job_id).stdout.decode().splitlines()]
    assert told and set(told) <= set(job)
    assert told == [name for name in job if name in told]


def test_what_a_locale_cannot_write_is_escaped(squall: Squall) -> None:
    squall.submit("echo", "世界")
    done = squall("ps", "-n", "1", PYTHONIOENCODING="latin-1")
    assert (done.returncode, done.stderr) == (0, b"")
    assert rb"\u4e16\u754c" in done.stdout


def test_long_commands_are_cut_on_a_terminal_only(squall: Squall) -> None:
    squall.submit("echo", "x" * 500)
    shown = squall.on_terminal("ps", "-n", "1", columns=80)
    assert all(len(line.rstrip()) <= 80 for line in shown.splitlines() if "\x1b" not in line)
    assert "…" in shown
    assert b"x" * 500 in squall("ps", "-n", "1").stdout


def test_show_tells_how_it_ended(squall: Squall) -> None:
    job_id = squall("submit", "-t", "0.1", "-l", "a=b", "sleep", "9").stdout.decode().strip()
    squall("logs", "-f", job_id)
    shown = squall.on_terminal("show", job_id)
    for words in (job_id, "failed", "timeout", "sleep 9", "a=b", "100 ms"):
        assert words in shown
