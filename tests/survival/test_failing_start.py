"""A process that fails while it takes over, or after it, takes no job with it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ..guard.guarded import Guarded, kill
from ..service.conftest import eventually

# While a file says so, something raises in the process: an error of the disk, or no descriptor.
FAULTS = """
import errno, os, pathlib, sys
if sys.argv[:1] == ["-m"]:
    import service.running.recovery, service.running.run, service.running.runner
    faults = pathlib.Path(os.environ["FAULTS"])

    def failing(name, inner):
        def outer(*args, **kwargs):
            if (faults / name).exists():
                (faults / f"{name}.met").touch()
                raise OSError(int((faults / name).read_text()), name)
            return inner(*args, **kwargs)
        return outer

    recovery = service.running.recovery.Recovery
    recovery.clear_up_here = failing("clear_up", recovery.clear_up_here)
    run = service.running.run.Run
    run.take_over = failing("take_over", run.take_over)
"""


@pytest.fixture
def guarded() -> Iterator[Guarded]:
    with tempfile.TemporaryDirectory(prefix="squall-") as directory:
        state = Path(directory, "state")
        state.mkdir()
        Path(directory, "sitecustomize.py").write_text(FAULTS)
        service = Guarded(state, 1, PYTHONPATH=directory, FAULTS=directory)
        yield service
        service.stop()


@pytest.mark.parametrize("fault", ["clear_up", "take_over"])
def test_a_start_that_fails_for_want_of_room_kills_no_job(guarded, fault):
    first = guarded.run_on("sh", "-c", "echo one; sleep 60")
    second = guarded.run_on("sh", "-c", "echo two; read x; exit 3", stdin="open")
    faults = Path(guarded.environ["FAULTS"])
    (faults / fault).write_text("24")  # EMFILE
    dead = guarded.pid
    kill(guarded)
    eventually(lambda: (faults / f"{fault}.met").exists())
    (faults / fault).unlink()
    eventually(lambda: guarded.pid not in (None, dead))
    guarded.wait_ready(guarded.port)
    path = f"/v1/jobs/{second['id']}"
    assert guarded.get(first["id"])["state"] == "running"
    assert guarded.ask("POST", f"{path}/stdin", b"x\n").status == 204
    ended = guarded.wait_state(second["id"], "failed", "lost")
    assert (ended["reason"], ended["exit_code"]) == ("exit", 3)
    guarded.ask("POST", f"/v1/jobs/{first['id']}/cancel")
    guarded.wait_state(first["id"], "cancelled")
    assert guarded.ask("GET", f"/v1/jobs/{first['id']}/stdout").body == b"one\n"
