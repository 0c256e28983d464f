"""The command `squall`.

    commands        the group: global options, and where each command is
    run             a job as if it were the command itself; stdin is passed on by `stdin`
    submit, batch   jobs to be run in the background, the first time or again
    jobs            ps, show, cancel, signal, rm
    logs, top       a job's output (`tail` keeps its last lines); what runs, live
    programs        up, down, status, reload
    config          check-config, token, version
    completion      what makes a shell complete

    address         where the service is        client      HTTP
    ids             which job is meant          resume      streams over connections that break
    follow          a job's journal             events      changes of state, ends of many jobs
    spec            options to a job's spec     exits       a job's end as an exit code
    tables          for a person                text        durations, ages, printable names
    times           durations, moments as people type them
    output, stdin   our own streams             errors      failures and exit codes

Modules of commands are imported when their command is called: `squall run` should start at once.
"""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path

import click

from service.cli.commands import squall


def main() -> None:
    """Run the command line, and exit with its code."""
    _fill_closed_streams()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # what this locale cannot write
    try:
        status = squall.main(prog_name="squall", standalone_mode=False)
    except click.ClickException as exc:
        exc.show()
        status = exc.exit_code
    except click.Abort:  # Ctrl-C
        status = 130
    sys.exit(status)


def _fill_closed_streams() -> None:
    """Put the null device where a standard stream is closed: no socket may get its number."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode))  # noqa: SIM115 - for good
