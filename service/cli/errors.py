"""What the command line refuses, in words for standard error, and the exit codes.

click.ClickException
└── Failure            one clear line, exit code 1
    ├── Unreachable    the service cannot be reached, or broke off
    ├── Refused        the service answered with a problem
    └── Unwritable     a job's output has no place here, exit code 125
"""

from __future__ import annotations

import sys

import click

from service.cli.text import printable
from service.errors import Problem

EXIT_REFUSED = 1
EXIT_USAGE = 2
EXIT_TIMEOUT = 124  # as timeout(1)
EXIT_SQUALL = 125  # `squall run` itself failed, not the command; as timeout(1) and env(1)
EXIT_NOT_EXECUTABLE = 126  # as a shell
EXIT_NOT_FOUND = 127  # as a shell
EXIT_SIGNAL = 128  # plus the signal's number, as a shell


class Failure(click.ClickException):
    """Something the command line cannot do; its message is shown as text, never interpreted."""

    exit_code = EXIT_REFUSED

    def show(self, file: object = None) -> None:
        """Print the message on standard error, one line for each of its lines."""
        note("\n".join(map(printable, self.message.splitlines())))


class Unreachable(Failure):
    """The service cannot be reached, or the connection broke before its answer was complete."""


class Refused(Failure):
    """The service answered, and not with what was asked for."""

    def __init__(self, problem: Problem, retry_after_s: float) -> None:
        """Say what the problem says; another try is worth it after `retry_after_s`."""
        super().__init__(told(problem))
        self.problem = problem
        self.retry_after_s = retry_after_s


class Unwritable(Failure):
    """What a job has written cannot be written here: a full disk, a limit on the size of files."""

    exit_code = EXIT_SQUALL


def told(problem: Problem) -> str:
    """Return a problem in one line; several wrong fields in a line each."""
    wrong = [str(error) for error in problem.errors]
    if len(wrong) > 1:
        return "\n  ".join([f"{len(wrong)} fields are wrong", *wrong])
    return wrong[0] if wrong else problem.detail or problem.title


def note(message: str) -> None:
    """Print a line of the command line's own on standard error; the text must be printable."""
    try:
        print(f"squall: {message}", file=sys.stderr, flush=True)
    except OSError:
        pass  # nobody reads the errors, or their disk is full; the exit code still tells
