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
import msgspec
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
# The columns of a table of jobs, and how wide a terminal must be for each.
COLUMNS = {
    "ID": 0,
    "STATE": 0,
    "AGE": 70,
    "DURATION": 0,
    "EXIT": 70,
    "LABELS": 80,
    "COMMAND": 0,
}


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

    A narrow terminal gets the columns that matter most; labels have one where there are any.
    """
    out, jobs = console(), list(shown)
    names = [name for name, width in COLUMNS.items() if out.width >= width]
    if not any(job.labels for job in jobs) and "LABELS" in names:
        names.remove("LABELS")
    rows = [_cells(job) for job in jobs]
    table = _table(*names)
    table.expand = out.is_terminal  # the command has what the others leave, and is cut there
    others = names[: -2 if "LABELS" in names else -1]
    taken = sum(2 + max([len(name), *(len(row[name]) for row in rows)]) for name in others)
    for name, column in zip(names, table.columns, strict=True):
        column.overflow = "ellipsis"
        column.max_width = max((out.width - taken) // 3, 8) if name == "LABELS" else None
        column.ratio = 1 if name == "COMMAND" else None
    for row in rows:
        table.add_row(*(row[name] for name in names))
    return table


def _cells(job: Job) -> dict[str, str | Text]:
    now = datetime.now(UTC)
    return {
        "ID": job.id.rpartition("-")[2],
        "STATE": state(job.state),
        "AGE": age(_since(job.created_at, now)),
        "DURATION": duration(_time(job, now)),
        "EXIT": ending(job),
        "LABELS": Text(printable(" ".join(f"{k}={v}" for k, v in job.labels.items()))),
        "COMMAND": Text(command(job.args)),
    }


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
    """Print processes, one a row."""
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
    if job.reason not in (None, "exit", "signal", "cancelled"):
        return Text(job.reason, "red")
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
    """Yield every field of the contract by its name, in words for a person."""
    limits = msgspec.to_builtins(job.limits)
    yield "id", job.id
    yield "state", state(job.state)
    yield "reason", job.reason or ""
    yield "error", _text(job.error)
    yield "args", _text(command(job.args))
    yield "env", _pairs(job.env)
    yield "cwd", _text(job.cwd)
    yield "timeout", duration(job.timeout)
    yield "stop", f"{printable(job.stop.signal)}, then SIGKILL after {duration(job.stop.grace)}"
    yield "limits", _pairs({key: str(n) for key, n in limits.items() if n is not None})
    yield "labels", _pairs(job.labels)
    yield "created_at", job.created_at
    yield "started_at", job.started_at or ""
    yield "finished_at", job.finished_at or ""
    yield "duration", duration(_time(job, datetime.now(UTC)))
    yield "owner", job.owner or ""
    yield "pid", str(job.pid or "")
    yield "exit_code", "" if job.exit_code is None else str(job.exit_code)
    yield "signal", job.signal or ""
    yield "has_timed_out", "true" if job.has_timed_out else ""
    yield "cancel_requested", "true" if job.cancel_requested else ""
    if job.usage is not None:
        user, system = duration(job.usage.user_seconds), duration(job.usage.system_seconds)
        memory = size(job.usage.max_rss_bytes)
        yield "usage", f"{user} user, {system} system, {memory} of memory at most"
    yield "stdout", _stream(job.stdout)
    yield "stderr", _stream(job.stderr)
    yield "rerun_of", job.rerun_of or ""


def _stream(stream: Stream) -> str:
    if not stream.dropped:
        return size(stream.bytes)
    return f"{size(stream.bytes)}, {size(stream.dropped)} dropped"


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
