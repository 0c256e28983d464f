"""Words for a person."""

from __future__ import annotations

import pytest

from service.cli.text import age, command, duration, printable, size


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (None, ""),
        (0.0004, "0 ms"),
        (0.25, "250 ms"),
        (0.9996, "1 s"),
        (2.54, "2.5 s"),
        (59.96, "1m 00s"),
        (185, "3m 05s"),
        (3599.7, "1h 00m"),
        (7_440, "2h 04m"),
        (86_399.9, "1d 00h"),
        (273_600, "3d 04h"),
    ],
)
def test_duration_has_two_units_at_most(seconds: float | None, words: str) -> None:
    assert duration(seconds) == words


@pytest.mark.parametrize(
    ("seconds", "words"), [(-5, "0s"), (59.9, "59s"), (60, "1m"), (7_300, "2h"), (500_000, "5d")]
)
def test_age_has_one_unit(seconds: float, words: str) -> None:
    assert age(seconds) == words


@pytest.mark.parametrize(
    ("count", "words"),
    [(0, "0 B"), (999, "999 B"), (1_500, "1.5 kB"), (999_960, "1.0 MB"), (10**13, "10.0 TB")],
)
def test_size_is_decimal(count: int, words: str) -> None:
    assert size(count) == words


def test_command_can_be_typed_again() -> None:
    assert command(["sh", "-c", "echo 'a b'"]) == """sh -c 'echo '"'"'a b'"'"''"""


def test_printable_leaves_nothing_for_a_terminal_to_act_on() -> None:
    every = "".join(map(chr, range(0x11_0000)))
    assert printable(every).isprintable()
    assert printable("grüße 世界 🙂") == "grüße 世界 🙂"
    assert printable("\x1b[2J\r\n\u202e\udcff") == r"\x1b[2J\r\n\u202e\udcff"
