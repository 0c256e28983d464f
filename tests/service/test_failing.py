"""What fails while something else has failed: no job without its end, nothing dies unseen."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
from pathlib import Path

import pytest

from service.errors import LedgerError, QueryTooSlow
from service.jobs import Spec, now
from service.journal import Journal
from service.ledger import Claim
from service.ledger.sqlite import SqliteLedger
from service.running import orphans
from service.running.run import Run
from service.running.sweep import Sweep
from service.tasks import Background
from service.web.readiness import Readiness
from tests.service.conftest import PATIENCE_S, Service, eventually
from tests.service.kept import Kept, as_somebody, ledger_of


def journal_of(service: Service, id: str) -> Path:
    """Return where the output of a job lies in a file."""
    return service.directory / "journals" / id[-2:] / f"{id}.journal"


def log_of(service: Service, port: int) -> str:
    return (service.directory / "log" / f"{port}.log").read_text()


def test_a_job_has_its_end_though_what_it_left_cannot_be_looked_for(start_service):
    service = start_service()
    (port,) = service.ports
    job = service.submit("sleep", "4720")
    service.wait_state(job["id"], "running")
    with Kept(service) as kept, kept.no_descriptors():
        assert kept.ask("POST", f"/v1/jobs/{job['id']}/cancel").status == 202
        eventually(lambda: kept.get(job["id"])["state"] == "cancelled")
    assert "could not be killed" in log_of(service, port)
    assert service.run("echo", "again")["stdout"]["text"] == "again\n"


@pytest.mark.parametrize("failure", [OSError(errno.EIO, "of the disk"), KeyError("a bug")])
def test_no_failure_of_the_look_for_what_is_left_goes_further(monkeypatch, caplog, failure):
    def fail(ids: object) -> bool:
        raise failure

    async def main() -> None:
        sweep = Sweep()
        await asyncio.gather(sweep.clear("job"), sweep.clear("other"))
        await sweep.clear("next")

    monkeypatch.setattr(orphans, "kill", fail)
    asyncio.run(main())
    assert "cannot be looked for" in caplog.text


def test_whatever_a_start_meets_is_the_end_of_its_job(tmp_path, caplog):
    async def main() -> Run:
        claim = Claim("job", Spec(args=["true"]), now())
        ended: list[Run] = []
        no_settings: object = None  # a bug: what no start expects
        run = Run(claim, Journal(tmp_path, "job", output_bytes=9), no_settings, ended.append)
        assert run.start() is None
        assert ended == [run]
        run.close()
        return run

    end = asyncio.run(main()).end
    assert (end.state, end.reason) == ("failed", "spawn_error")
    assert "NoneType" in end.error and "job could not be started" in caplog.text


def test_a_job_that_was_ended_by_somebody_else_keeps_no_slot_and_no_drain(start_service):
    service = start_service(SQUALL_JOBS_RUNNING=1)
    (port,) = service.ports
    job = service.submit("cat", stdin="open")
    service.wait_state(job["id"], "running")
    with ledger_of(service) as db:
        sql = "UPDATE jobs SET state = 'lost', reason = 'crash', finished_at = ? WHERE id = ?"
        db.execute(sql, (job["created_at"], job["id"]))
    path = f"/v1/jobs/{job['id']}/signal"
    assert service.ask("POST", path, {"signal": "SIGKILL"}).status == 204
    eventually(lambda: "had ended before its command did" in log_of(service, port))
    assert service.run("echo", "next")["stdout"]["text"] == "next\n"
    assert service.get(job["id"])["state"] == "lost"
    service.kill(port, signal.SIGTERM)
    assert service.processes[port].wait(30) == 0


def test_a_background_task_that_died_makes_the_process_not_ready_until_it_runs(start_service):
    service = start_service()
    (port,) = service.ports
    service.kill(port, signal.SIGTERM)
    service.processes[port].wait(30)
    lock = service.directory / "run" / "retention.lock"
    lock.unlink()
    lock.mkdir()
    service.processes[port].stderr.close()
    service.processes[port] = service.start(port)

    def ready() -> tuple[int, str]:
        try:
            answer = service.ask("GET", "/readyz", token=None)
        except OSError:
            return 0, ""
        return answer.status, answer.json.get("detail", "")

    eventually(lambda: ready()[0] == 503)
    assert "retention" in ready()[1]
    assert service.run("echo", "goes on")["state"] == "succeeded"
    lock.rmdir()
    eventually(lambda: ready()[0] == 200)
    assert '"retention failed, and is started again"' in log_of(service, port)


def test_a_background_task_that_awaits_something_cancelled_is_started_again_and_can_be_stopped():
    async def main() -> tuple[int, str | None]:
        started = 0
        runs_again = asyncio.Event()

        async def work() -> None:
            nonlocal started
            started += 1
            if started == 1:
                lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
                lost.cancel()
                await lost
            runs_again.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                raise OSError("what a cancelled look may meet") from None

        background = Background()
        background.start("the work", work)
        await asyncio.wait_for(runs_again.wait(), PATIENCE_S)
        problem = background.problem
        await asyncio.wait_for(background.stop(), PATIENCE_S)
        return started, problem

    started, problem = asyncio.run(main())
    assert started == 2
    assert problem is not None and "the work failed" in problem


def test_a_query_that_takes_too_long_does_not_make_the_process_unready(tmp_path):
    ledger = SqliteLedger(tmp_path / "l.db")
    readiness = Readiness(ledger)
    readiness.doubt(QueryTooSlow("it takes too long"))
    assert readiness.problem is None
    readiness.doubt(LedgerError("the disk is full"))
    assert readiness.problem == "the disk is full"
    ledger.close()


def test_a_journal_that_cannot_be_read_costs_its_own_output_only(start_service):
    service = start_service()
    (port,) = service.ports
    jobs = [service.submit("sh", "-c", "echo some; exec sleep 4721") for _ in range(2)]
    for job in jobs:
        service.wait_state(job["id"], "running")
        eventually(journal_of(service, job["id"]).exists)
    spoilt, sound = (job["id"] for job in jobs)
    service.kill(port)
    service.processes[port].wait()
    journal_of(service, spoilt).unlink()
    journal_of(service, spoilt).mkdir()
    service.restart(port)
    lost = service.get(spoilt)
    assert (lost["state"], lost["stdout"]["bytes"]) == ("lost", 0)
    assert "cannot be read" in lost["error"]
    lost = service.get(sound)
    assert (lost["state"], lost["stdout"]["bytes"]) == ("lost", 5)
    assert "cannot be read" not in lost["error"]


def test_a_journal_that_cannot_be_read_keeps_no_peer_from_its_own_work(start_service):
    service = start_service(2)
    first, second = service.ports
    job = service.submit("sh", "-c", "echo some; exec sleep 4722", port=first)
    service.wait_state(job["id"], "running")
    eventually(journal_of(service, job["id"]).exists)
    os.kill(service.processes[first].pid, signal.SIGSTOP)
    journal_of(service, job["id"]).unlink()
    journal_of(service, job["id"]).symlink_to("nowhere")
    service.kill(first)
    assert service.wait_state(job["id"], "lost", port=second)["reason"] == "crash"
    assert service.run("echo", "works", port=second)["stdout"]["text"] == "works\n"


def test_a_user_without_a_name_runs_jobs(start_service):
    service = start_service(prefix=as_somebody(54_321))
    job = service.run("sh", "-c", 'echo "$USER $HOME"')
    assert job["stdout"]["text"] == "54321 /\n"
