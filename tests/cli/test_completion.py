"""What a shell is told when a person presses TAB."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from pathlib import Path

import pytest

from .conftest import SQUALL, Squall


def completed(squall: Squall, line: str, **environ: str) -> list[str]:
    """Return what fish is told for a line with the cursor at its end."""
    asked = {"COMP_WORDS": f"squall {line}", "COMP_CWORD": line.rpartition(" ")[2]}
    done = squall(_SQUALL_COMPLETE="fish_complete", **asked, **environ)
    assert (done.returncode, done.stderr) == (0, b"")
    return done.stdout.decode().split("\n")[:-1] if done.stdout.strip() else []


def values(squall: Squall, line: str) -> list[str]:
    """Return the words alone."""
    return [told.partition(",")[2].partition("\t")[0] for told in completed(squall, line)]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_there_is_a_script_for_each_shell(squall: Squall, shell: str) -> None:
    done = squall("completion", shell)
    assert done.returncode == 0
    assert f"_SQUALL_COMPLETE={shell}_complete".encode() in done.stdout


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash reads the script")
def test_bash_completes_by_the_script(squall: Squall) -> None:
    script = squall("completion", "bash").stdout.decode()
    asked = "COMP_WORDS=(squall ca) COMP_CWORD=1; _squall_completion squall ca squall"
    command = ["bash", "-c", f'{script}\n{asked}; echo "${{COMPREPLY[@]}}"']
    environ = squall.environ | {"PATH": f"{SQUALL.parent}:/bin:/usr/bin"}
    done = subprocess.run(command, capture_output=True, text=True, env=environ)
    assert done.stdout == "cancel\n"


def test_commands_options_and_their_values_complete(squall: Squall) -> None:
    assert values(squall, "re") == ["reload", "rerun"]
    assert "--since" in values(squall, "ps --s")
    assert values(squall, "ps --state fa") == ["failed"]
    assert "USR1" in values(squall, "signal x u")
    assert values(squall, "run --stop SIGHU") == ["SIGHUP"]
    assert values(squall, "submit --limit cpu") == ["cpu_seconds"]


def test_files_complete_for_a_command(squall: Squall) -> None:
    for line in ("run gzip da", "run -- da", "submit --wait ./da"):
        assert completed(squall, line) == [f"file,{line.split()[-1]}"]


def test_ids_complete_from_the_recent_jobs(squall: Squall) -> None:
    job_id = squall.submit("echo", "to be completed")
    short = job_id[-12:]
    assert values(squall, "show ")[0] == short
    assert values(squall, f"logs -f {short[:6]}") == [short]
    assert job_id in values(squall, f"rm {job_id[:9]}")
    assert any("echo 'to be completed'" in told for told in completed(squall, "rerun "))


def test_only_jobs_that_a_command_can_be_about_complete(squall: Squall) -> None:
    ended = squall.submit("true")[-12:]
    running = squall("submit", "sleep", "300").stdout.decode().strip()[-12:]
    try:
        assert running in values(squall, "cancel ") and ended not in values(squall, "cancel ")
        assert ended in values(squall, "rm ") and running not in values(squall, "rm ")
    finally:
        squall("cancel", running)


def test_ids_complete_at_the_address_of_the_line(squall: Squall) -> None:
    short = squall.submit("true")[-12:]
    given = {"SQUALL_URL": "http://127.0.0.1:1"}
    assert completed(squall, "show ", **given) == []
    assert any(short in told for told in completed(squall, f"--url {squall.url} show ", **given))


def test_a_service_that_is_down_or_silent_is_passed_over_quickly(
    squall: Squall, tmp_path: Path
) -> None:
    assert completed(squall, "show ", SQUALL_URL="http://127.0.0.1:1") == []
    assert completed(squall, "show ", SQUALL_STATE_DIR=str(tmp_path)) == []
    assert completed(squall, "show ", SQUALL_FRONT_PORT="nonsense") == []
    with socket.create_server(("127.0.0.1", 0)) as silent:
        began = time.monotonic()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        assert completed(squall, "show ", SQUALL_URL=url) == []
        assert time.monotonic() - began < 30  # it is a second, and an answer is waited for 60
