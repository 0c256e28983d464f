"""Tables for a person.

Colour and style on a terminal only, and not where NO_COLOR is set. Cells are text: nothing in them
is taken as markup, and what a terminal would act on is written as an escape.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from service.cli.text import age, command, duration, printable, size
from service.jobs import Job, Stream

if TYPE_CHECKING:
    from service.programs import Process

COLOURS = {
    "queued": "yellow",
    "running": "cyan",
    "succeeded": "green",
    "failed": "red",
    "cancelled": "magenta",
    "lost": "bold red",
}
PROCESS_COLOURS = {"running": "green", "starting": "yellow", "stopping": "yellow"}

# wide enough for any row: what is not a terminal gets its lines whole
ENDLESS = 1_000_000
NARROW = 60


def console() -> Console:
    """Return where tables go: standard output."""
    is_terminal = sys.stdout.isatty()
    return Console(
        force_terminal=is_terminal,
        color_system="auto" if is_terminal and not os.environ.get("NO_COLOR") else None,
        width=None if is_terminal else ENDLESS,
        markup=False,
        emoji=False,
        highlight=False,
    )


def jobs(shown: Iterable[Job]) -> None:
    """Print jobs, one a row."""
    _print(of_jobs(shown))


def of_jobs(shown: Iterable[Job]) -> Table:
    """Return a table of jobs, one a row; the id is the last part of the whole one.

    A narrow terminal gets the columns that matter most.
    """
    out = console()
    is_narrow = out.width < NARROW
    table = _table("ID", "STATE", *(() if is_narrow else ("AGE",)), "TIME")
    table.expand = out.is_terminal  # the command has what the others leave, and is cut there
    if not is_narrow:
        table.add_column("EXIT", no_wrap=True)
    table.add_column("COMMAND", no_wrap=True, overflow="ellipsis", ratio=1)
    now = datetime.now(UTC)
    for job in shown:
        created = [] if is_narrow else [age(_since(job.created_at, now))]
        end = [] if is_narrow else [ending(job)]
        time = duration(_time(job, now))
        name = Text(command(job.args))
        table.add_row(job.id.rpartition("-")[2], state(job.state), *created, time, *end, name)
    return table


def job(shown: Job) -> None:
    """Print everything about a job, one fact a row."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in _facts(shown):
        if value:
            table.add_row(name, value)
    _print(table)


def processes(shown: Iterable[Process]) -> None:
    """Print the processes of the fleet, one a row."""
    table = _table("PROCESS", "STATE", "READY", "PID", "GUARD", "UPTIME")
    for process in shown:
        table.add_row(
            process.name,
            Text(process.state, PROCESS_COLOURS.get(process.state, "red")),
            Text("yes", "green") if process.ready else Text("no", "red"),
            str(process.pid or ""),
            str(process.guard_pid or ""),
            "" if process.uptime is None else age(process.uptime),
        )
    _print(table)


def state(name: str) -> Text:
    """Return a state in its colour."""
    return Text(name, COLOURS.get(name, ""))


def ending(job: Job) -> Text:
    """Return how a job ended in a word: its exit code, its signal, or the reason."""
    if job.reason in ("timeout", "output_limit", "spawn_error", "crash"):
        return Text(job.reason.replace("_", " "), "red")
    if job.signal is not None:
        return Text(printable(job.signal))
    return Text("" if job.exit_code is None else str(job.exit_code))


def _print(table: Table) -> None:
    out = console()
    with out.capture() as printed:
        out.print(table)
    # without the spaces that fill up the last column
    click.echo("\n".join(line.rstrip() for line in printed.get().splitlines()))


def _facts(job: Job) -> Iterable[tuple[str, str | Text]]:
    yield "id", job.id
    yield "state", state(job.state)
    yield "reason", job.reason or ""
    yield "error", _text(job.error)
    yield "command", _text(command(job.args))
    yield "cwd", _text(job.cwd)
    yield "env", _pairs(job.env)
    yield "labels", _pairs(job.labels)
    yield "timeout", duration(job.timeout)
    yield (
        "limits",
        _pairs(
            {key: str(n) for key in job.limits.__struct_fields__ if (n := getattr(job.limits, key))}
        ),
    )
    yield "stop", f"{printable(job.stop.signal)}, then SIGKILL after {duration(job.stop.grace)}"
    yield "created", job.created_at
    yield "started", job.started_at or ""
    yield "finished", job.finished_at or ""
    yield "duration", duration(_time(job, datetime.now(UTC)))
    yield "process", job.owner or ""
    yield "pid", str(job.pid or "")
    yield "exit", "" if job.exit_code is None else str(job.exit_code)
    yield "signal", job.signal or ""
    yield "cancel", "requested" if job.cancel_requested else ""
    if job.usage is not None:
        user, system = duration(job.usage.user_seconds), duration(job.usage.system_seconds)
        yield "cpu", f"{user} user, {system} system"
        yield "memory", f"{size(job.usage.max_rss_bytes)} at most"
    yield "stdout", _stream(job.stdout)
    yield "stderr", _stream(job.stderr)


def _stream(stream: Stream) -> str:
    if not stream.dropped:
        return size(stream.bytes)
    return f"{size(stream.bytes)}, {size(stream.dropped)} of it not kept"


def _pairs(pairs: dict[str, str]) -> Text:
    return Text("\n".join(printable(f"{key}={value}") for key, value in pairs.items()))


def _text(value: str | None) -> Text:
    return Text(printable(value or ""))


def _table(*names: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for name in names:
        table.add_column(name, no_wrap=True)
    return table


def _time(job: Job, now: datetime) -> float | None:
    if job.duration is None and job.started_at is not None and not job.has_ended:
        return max(0.0, _since(job.started_at, now))
    return job.duration


def _since(time: str, now: datetime) -> float:
    return (now - datetime.fromisoformat(time)).total_seconds()
