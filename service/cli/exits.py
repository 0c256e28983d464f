"""How a job ended, as the exit code of a command."""

from __future__ import annotations

import errno
import os
import re
import shlex

from service.cli.errors import (
    EXIT_NOT_EXECUTABLE,
    EXIT_NOT_FOUND,
    EXIT_SIGNAL,
    EXIT_SQUALL,
    EXIT_TIMEOUT,
    note,
)
from service.cli.text import printable
from service.jobs import Job, signal_number

SIGTERM = 15
FOR_SHELL = re.compile(r"[|&;<>()$`*?#~'\"\\]")  # what only a shell would understand
HOLD_S = 60.0  # how long one request waits for a job; the next one goes on


def exit_code(job: Job, *, cancelled_by: int = SIGTERM) -> int:
    """Return what a shell would have: the command's own code, 128+N for a signal.

    Ends that are squall's: 124 for a timeout, 127 or 126 for a command that can't be run, 125 when
    nobody knows; a cancelled job ends as by the signal `cancelled_by`.
    """
    if job.reason == "spawn_error":
        return EXIT_NOT_FOUND if _is_missing(job) else EXIT_NOT_EXECUTABLE
    if job.has_timed_out:
        return EXIT_TIMEOUT
    if job.state == "cancelled":
        return EXIT_SIGNAL + cancelled_by
    if job.signal is not None:
        return EXIT_SIGNAL + (signal_number(job.signal) or 0)
    return EXIT_SQUALL if job.exit_code is None else job.exit_code


def explain(job: Job) -> None:
    """Say on standard error what the command itself could not say: why squall ended the job."""
    if job.error is not None:
        note(printable(job.error))
        if _is_missing(job) and len(job.args) == 1 and (better := _meant(job.args[0])):
            note(f"no shell reads a command; did you mean  squall run -- {printable(better)}")
    elif job.state == "lost":
        note(f"job {job.id} is lost: the process that ran it died, and nobody knows how it ended")


def _meant(line: str) -> str | None:
    """Return what to run where a whole command line was given as a program's name, else None."""
    if FOR_SHELL.search(line):
        return f"sh -c {shlex.quote(line)}"
    return line if len(line.split()) > 1 else None


def _is_missing(job: Job) -> bool:
    # the error of a missing directory to run in names that directory
    return job.error == f"{os.strerror(errno.ENOENT)}: {job.args[0]}"
