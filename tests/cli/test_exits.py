"""What is said when a command could not be run at all."""

from __future__ import annotations

import pytest

from .conftest import Squall, error


@pytest.mark.parametrize(
    ("line", "better"),
    [
        ("ls | wc -l", "squall run -- sh -c 'ls | wc -l'"),
        ("echo $HOME", "squall run -- sh -c 'echo $HOME'"),
        ("echo 'a b'", """squall run -- sh -c 'echo '"'"'a b'"'"''"""),
        ("ls -l", "squall run -- ls -l"),
    ],
)
def test_a_command_line_in_one_word_is_met_with_how_to_run_it(
    squall: Squall, line: str, better: str
) -> None:
    done = squall("run", line)
    assert done.returncode == 127
    assert f"did you mean  {better}\n" in error(done)
    assert better in error(squall("submit", "--wait", line))


@pytest.mark.parametrize("args", [["nosuch"], ["nosuch", "a | b"], ["-C", "/nosuch", "ls | wc"]])
def test_other_failures_get_no_such_advice(squall: Squall, args: list[str]) -> None:
    assert "did you mean" not in error(squall("run", *args))
