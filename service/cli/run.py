"""`squall run`: a job as if it were the command itself."""

from __future__ import annotations

import os
import signal
import sys
from queue import SimpleQueue
from threading import Thread
from types import FrameType
from typing import Any

import click

from service.cli import spec
from service.cli.client import Client
from service.cli.commands import Context
from service.cli.errors import EXIT_SIGNAL, EXIT_SQUALL, Failure, Unwritable, note
from service.cli.exits import exit_code, explain
from service.cli.follow import items
from service.cli.output import write_item
from service.cli.stdin import Forwarder, has_input
from service.jobs import Job


@click.command(context_settings={"allow_interspersed_args": False})
@spec.options
@click.option(
    "-N",
    "--no-stdin",
    is_flag=True,
    help="Leave standard input alone; it is empty for the command.",
)
@click.pass_obj
def run(context: Context, /, no_stdin: bool, **asked: Any) -> int:
    """Run a command as a job, as if it ran here.

    Its output arrives as it is written, each stream on the same one here, and standard input is
    passed on as it comes. Where the output is read slowly, the command waits, as in a pipeline.
    Ctrl-C cancels the job; a second one stops waiting for it.

    The exit code is the command's own, 128+N for signal N, 124 for a timeout, 127 or 126 when the
    command cannot be run, and 125 when squall itself fails or output was lost.
    """
    try:
        client = context.client()
        document = spec.build(**asked)
        if not no_stdin and has_input():
            document["stdin"] = "open"
        return _run(client, document)
    except Failure as exc:
        exc.show()
        return EXIT_SQUALL


class Canceller:
    """Cancels the job at the first signal; the second one ends the waiting, and this process.

    The request is made by a thread of its own, so that neither a full terminal nor a silent job
    can hold it up.
    """

    def __init__(self, client: Client) -> None:
        """Start to listen for signals; one that was ignored (nohup, `&`) stays so."""
        self.signum = 0
        self._client = client
        self._signals: SimpleQueue[int] = SimpleQueue()
        self._job_ids: SimpleQueue[str] = SimpleQueue()
        for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(signum) is not signal.SIG_IGN:
                signal.signal(signum, self._on_signal)
        Thread(target=self._cancel, daemon=True).start()

    def accepted(self, job_id: str) -> None:
        """Say which job it is about; a signal that came before is heard now."""
        self._job_ids.put(job_id)

    def _on_signal(self, signum: int, _frame: FrameType | None) -> None:
        if self.signum:
            os._exit(EXIT_SIGNAL + signum)
        self.signum = signum
        self._signals.put(signum)

    def _cancel(self) -> None:
        self._signals.get()
        job_id = self._job_ids.get()
        if sys.stderr.isatty():
            note(f"cancelling {job_id}; once more to stop waiting")
        try:
            self._client.cancel(job_id)
        except Failure as exc:
            exc.show()


def _run(client: Client, document: dict[str, Any]) -> int:
    canceller = Canceller(client)
    headers = {"Idempotency-Key": os.urandom(16).hex(), "Prefer": "lossless"}
    job = client.request("POST", "/v1/jobs", spec.encode(document), headers=headers).job()
    canceller.accepted(job.id)
    forwarder = Forwarder(client, job.id) if "stdin" in document else None
    try:
        ended, is_whole = _stream(client, job)
    except (BrokenPipeError, Unwritable):
        # the output has no place any more: the command itself would get SIGPIPE, or an error
        client.cancel(job.id)
        raise
    explain(ended)
    was_stopped = ended.has_timed_out or ended.state == "cancelled"
    if (forwarder is not None and forwarder.has_failed) or not (is_whole or was_stopped):
        return EXIT_SQUALL
    return exit_code(ended, cancelled_by=canceller.signum or signal.SIGTERM)


def _stream(client: Client, job: Job) -> tuple[Job, bool]:
    """Copy the output until the job has ended; returns it as it is then, and whether every byte
    was there.
    """
    is_whole = True
    for item in items(client, job.id, follow=True):
        write_item(item)
        is_whole = is_whole and not item.dropped
        job = item.job or job
    return job, is_whole
