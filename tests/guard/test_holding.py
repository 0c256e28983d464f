"""What a guard holds, and hands from one process to the next; the processes are scripts here."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ..service.conftest import PATIENCE_S, eventually, free_ports

# A process that joins, tells what it was given, and then does as it is told, line by line.
PROCESS = """
import asyncio, json, os, signal, subprocess, sys
from service.guard.process import die_with, join

options = dict(zip(sys.argv[1::2], sys.argv[2::2]))
if os.path.exists("refuse"):
    sys.exit(78)
die_with(int(options["--guard"]))
asking = socket = None


def say(**facts):
    os.write(out, json.dumps(facts).encode() + b"\\n")


def told_of(one):
    fds = {index: os.readlink(f"/proc/self/fd/{fd}") for index, fd in one.descriptors.items()}
    return [one.pid, one.state.decode(), fds]


async def main(link):
    loop = asyncio.get_running_loop()
    link.listen(lambda key: say(refused=key))
    loop.add_signal_handler(signal.SIGHUP, lambda: (link.leave(), say(left=os.getpid())))
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), open("orders", "rb"))
    held = link.take()
    say(pid=os.getpid(), held={key: told_of(one) for key, one in held.items()})
    children = []
    while line := await reader.readline():
        verb, *words = line.decode().split()
        if verb == "run":
            child = subprocess.Popen(["sh", "-c", " ".join(words[1:])], start_new_session=True)
            children.append(child)
            pidfd = os.pidfd_open(child.pid)
            say(child=child.pid, stored=link.store(words[0], child.pid, b"one", [pidfd, 0]))
        elif verb == "state":
            link.state(words[0], words[1].encode())
        elif verb == "close":
            link.close_descriptor(words[0], int(words[1]))
        elif verb == "remove":
            link.remove(words[0])
        elif verb == "many":
            say(stored=link.store("many", 0, b"", [0] * int(words[0])))
        elif verb == "reap":
            try:
                say(ending=await link.reap(words[0]))
            except ChildProcessError:
                say(ending="unknown")


out = os.open("told", os.O_WRONLY)
asyncio.run(main(join(int(options["--control-fd"]), can_leave=True, version=1)))
"""

GUARD = """
import ctypes, sys
ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER
import service.guard.child
service.guard.child.COMMAND = ("process.py",)
from service.guard.guard import main
sys.exit(main(sys.argv[1:]))
"""


class Guarded:
    """A guard whose process is the script."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        (directory / "process.py").write_text(PROCESS)
        for name in ("orders", "told"):
            os.mkfifo(directory / name)
        # both ends, so that no open waits and no end comes when a process dies
        self._orders = os.open(directory / "orders", os.O_RDWR)
        told = os.open(directory / "told", os.O_RDWR)
        self._told = open(told, "rb", buffering=0)  # noqa: SIM115
        (port,) = free_ports(1)
        self.guard = subprocess.Popen(
            [sys.executable, "-c", GUARD, "--port", str(port)],
            cwd=directory,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        )

    def order(self, line: str) -> None:
        os.write(self._orders, line.encode() + b"\n")

    def told(self) -> dict:
        """Return what the process says next."""
        return json.loads(self._told.readline())

    def stop(self) -> None:
        self.guard.kill()
        self.guard.wait()
        os.close(self._orders)
        self._told.close()


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Guarded]:
    guarded = Guarded(tmp_path)
    yield guarded
    guarded.stop()


def descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def test_what_is_stored_outlives_the_process_with_its_state_and_descriptors(guarded):
    first = guarded.told()
    assert first["held"] == {}
    guarded.order("run a exec sleep 60")
    child = guarded.told()["child"]
    guarded.order("state a two")
    guarded.order("close a 1")
    guarded.order("run b exec sleep 60")
    other = guarded.told()["child"]
    os.kill(first["pid"], signal.SIGKILL)
    held = guarded.told()["held"]
    assert list(held) == ["a", "b"]
    assert held["a"][:2] == [child, "two"] and list(held["a"][2]) == ["0"]
    assert held["b"][:2] == [other, "one"] and list(held["b"][2]) == ["0", "1"]
    os.kill(child, signal.SIGKILL)
    os.kill(other, signal.SIGKILL)


def test_how_an_inherited_child_has_ended_is_told_again_and_again(guarded):
    first = guarded.told()
    guarded.order("run a exec sleep 60")
    child = guarded.told()["child"]
    os.kill(first["pid"], signal.SIGKILL)
    guarded.told()
    guarded.order("reap a")
    assert guarded.told()["ending"] is None
    os.kill(child, signal.SIGTERM)
    eventually(lambda: Path(f"/proc/{child}/stat").read_text().split()[2] == "Z")
    for _ in range(2):
        guarded.order("reap a")
        status, user, system, rss = guarded.told()["ending"]
        assert status == signal.SIGTERM and user >= 0 and system >= 0 and rss > 0
    guarded.order("reap nobody")
    assert guarded.told()["ending"] == "unknown"
    before = descriptors(guarded.guard.pid)
    guarded.order("remove a")
    eventually(lambda: descriptors(guarded.guard.pid) == before - 2)


def test_a_zombie_waits_until_it_is_asked_for_and_strangers_do_not(guarded):
    first = guarded.told()
    guarded.order("run a exit 3")  # nobody waits for it here
    kept = guarded.told()["child"]
    guarded.order("run b (sleep 60 & echo $! > stranger); exec sleep 60")
    other = guarded.told()["child"]
    stranger = guarded.directory / "stranger"
    eventually(lambda: stranger.exists() and stranger.read_text().endswith("\n"))
    os.kill(first["pid"], signal.SIGKILL)
    guarded.told()
    pid = int(stranger.read_text())
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: not Path(f"/proc/{pid}").exists())  # reaped, though `kept` is in front of it
    assert Path(f"/proc/{kept}/stat").read_text().split()[2] == "Z"
    guarded.order("reap a")
    assert os.waitstatus_to_exitcode(guarded.told()["ending"][0]) == 3
    os.kill(other, signal.SIGKILL)


def test_hup_has_the_next_one_take_over_what_the_process_before_has_left(guarded):
    first = guarded.told()
    guarded.order("run a exec sleep 60")
    child = guarded.told()["child"]
    guarded.guard.send_signal(signal.SIGHUP)
    assert guarded.told() == {"left": first["pid"]}
    second = guarded.told()
    assert second["pid"] != first["pid"] and list(second["held"]) == ["a"]
    assert Path(f"/proc/{first['pid']}").exists()  # it may still answer somebody
    os.kill(first["pid"], signal.SIGKILL)
    eventually(lambda: not Path(f"/proc/{first['pid']}").exists())
    os.kill(second["pid"], signal.SIGKILL)
    assert list(guarded.told()["held"]) == ["a"]
    os.kill(child, signal.SIGKILL)


def test_a_next_one_that_refuses_replaces_nothing(guarded):
    first = guarded.told()
    guarded.order("run a exec sleep 60")
    child = guarded.told()["child"]
    (guarded.directory / "refuse").touch()
    guarded.guard.send_signal(signal.SIGHUP)
    guarded.order("reap a")
    assert guarded.told()["ending"] == "unknown"  # it is still the first one's
    (guarded.directory / "refuse").unlink()
    assert guarded.guard.poll() is None and Path(f"/proc/{first['pid']}").exists()
    guarded.guard.send_signal(signal.SIGHUP)
    assert guarded.told() == {"left": first["pid"]}
    assert list(guarded.told()["held"]) == ["a"]
    os.kill(child, signal.SIGKILL)


def test_a_guard_that_holds_something_never_ends_by_itself(guarded):
    first = guarded.told()
    guarded.order("run a exec sleep 60")
    child = guarded.told()["child"]
    (guarded.directory / "refuse").touch()
    os.kill(first["pid"], signal.SIGKILL)
    eventually(lambda: not Path(f"/proc/{first['pid']}").exists())
    (guarded.directory / "refuse").unlink()
    assert list(guarded.told()["held"]) == ["a"]
    os.kill(child, signal.SIGKILL)


def test_what_is_held_when_it_is_stopped_without_a_process_is_killed(guarded):
    first = guarded.told()
    guarded.order("run a exec sleep 60")
    child = guarded.told()["child"]
    (guarded.directory / "refuse").touch()
    os.kill(first["pid"], signal.SIGKILL)
    eventually(lambda: not Path(f"/proc/{first['pid']}").exists())
    guarded.guard.send_signal(signal.SIGTERM)
    guarded.guard.wait(PATIENCE_S)
    eventually(lambda: not is_alive(child))


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except OSError:
        return False


def test_without_descriptors_a_run_is_refused_and_nothing_of_it_stays(guarded):
    guarded.told()
    before = descriptors(guarded.guard.pid)
    subprocess.run(["prlimit", f"--pid={guarded.guard.pid}", f"--nofile={before + 3}"], check=True)
    guarded.order("many 10")
    assert guarded.told() == {"stored": True}
    assert guarded.told() == {"refused": "many"}
    eventually(lambda: descriptors(guarded.guard.pid) == before)
    guarded.order("many 2")
    assert guarded.told() == {"stored": True}
    eventually(lambda: descriptors(guarded.guard.pid) == before + 2)


def test_a_thousand_runs_are_handed_over_by_a_small_guard(guarded):
    first = guarded.told()
    for number in range(300):
        guarded.order(f"run {number} exec sleep 60")
        guarded.told()
    rollup = Path(f"/proc/{guarded.guard.pid}/smaps_rollup").read_text()
    os.kill(first["pid"], signal.SIGKILL)
    held = guarded.told()["held"]
    assert len(held) == 300
    for pid, *_ in held.values():
        os.kill(pid, signal.SIGKILL)
    assert "Rss" in rollup
