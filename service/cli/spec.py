"""What is asked of the service, from options and arguments: a spec, or changes to one."""

from __future__ import annotations

import os
import re
import signal
import sys
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
import msgspec
from click.shell_completion import CompletionItem

from service import jobs
from service.cli.times import duration
from service.jobs import Job, Limits, Spec, Stop

F = TypeVar("F", bound=Callable[..., Any])

BYTES = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


def label(text: str) -> tuple[str, str]:
    """Return the key and the value of `KEY=VALUE`, or of `KEY:VALUE` as HTTP has it."""
    if not (match := re.fullmatch(r"([^=:]+)[=:](.*)", text, re.DOTALL)):
        raise click.BadParameter(f"{text!r} is not KEY=VALUE or KEY:VALUE")
    return match[1], match[2]


def pair(text: str) -> tuple[str, str]:
    """Return the name and the value of `NAME=VALUE`."""
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise click.BadParameter(f"{text!r} is not NAME=VALUE")
    return name, value


def variable(text: str) -> tuple[str, str]:
    """Return the name and the value of `NAME=VALUE`, or of `NAME` with the caller's own value."""
    if "=" in text:
        return pair(text)
    if text not in os.environ:
        raise click.BadParameter(f"{text!r} is not set here; give {text}=VALUE")
    return text, os.environ[text]


def limit(text: str) -> tuple[str, int]:
    """Return the key and the number of `KEY=NUMBER`; the keys are those of the contract."""
    key, equals, value = text.partition("=")
    if not equals:
        raise click.BadParameter(f"{text!r} is not KEY=NUMBER; cpu_seconds=10 is")
    if key not in (known := Limits.__struct_fields__):
        raise click.BadParameter(f"no limit is called {key!r}; there are {', '.join(known)}")
    if not (match := re.fullmatch(r"(\d+)([KMGT]?)", value)):
        raise click.BadParameter(f"{value!r} is not a number; 100, 64K and 1G are")
    return key, int(match[1]) * BYTES[match[2]]


def signals(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Return the names of signals that begin so, for a shell to complete."""
    begun = incomplete.upper()
    names = [one.name for one in signal.Signals]
    short = [] if begun.startswith("SIG") else [name.removeprefix("SIG") for name in names]
    return [name for name in short or names if name.startswith(begun)]


def limits(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Return the keys of limits that begin so, for a shell to complete."""
    return [key for key in Limits.__struct_fields__ if key.startswith(incomplete)]


def files(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Have a shell complete the files that it knows, as it does by itself for a command."""
    return [CompletionItem(incomplete, type="file")]


def _told(struct: type[msgspec.Struct], field: str, more: str = "") -> str:
    """Return what a field means, as everybody is told."""
    return f"{jobs.described(struct)[field].description} {more}".replace("`", "").rstrip()


FIELDS = (
    click.option("-e", "--env", type=variable, multiple=True, metavar="NAME[=VALUE]",
                 help=_told(Spec, "env", "NAME alone passes on your own.")),
    click.option("-C", "--cwd", type=click.Path(file_okay=False), metavar="DIRECTORY",
                 help="Where to run. A new job runs in your own directory by default."),
    click.option("-t", "--timeout", type=duration, metavar="SECONDS",
                 help=_told(Spec, "timeout", "30, 1.5, 500ms, 1h30m.")),
    click.option("-l", "--label", type=label, multiple=True, metavar="KEY=VALUE",
                 help=_told(Spec, "labels", "KEY:VALUE is the same.")),
    click.option("--limit", type=limit, multiple=True, metavar="KEY=NUMBER", shell_complete=limits,
                 help=_told(Spec, "limits", "64K, 1G are numbers too.")),
    click.option("--stop", metavar="SIGNAL", shell_complete=signals,
                 help=_told(Stop, "signal", "SIGTERM by default.")),
    click.option("--grace", type=duration, metavar="SECONDS",
                 help=_told(Stop, "grace", "5 by default.")),
)  # fmt: skip
ARGS = click.argument(
    "args",
    nargs=-1,
    required=True,
    type=click.UNPROCESSED,
    metavar="COMMAND [ARGUMENT]...",
    shell_complete=files,
)


def options(command: F) -> F:
    """Give a command the options that make a spec, and its arguments."""
    return fields(ARGS(command))


def fields(command: F) -> F:
    """Give a command the options that make all of a spec but its arguments."""
    for option in reversed(FIELDS):
        command = option(command)
    return command


def build(*, args: tuple[str, ...], cwd: str | None, **asked: Any) -> dict[str, Any]:
    """Return the spec; fields that were not asked for are left out."""
    return {"args": list(args), "cwd": str(_directory(cwd)), **_asked(**asked)}


def changes(job: Job, *, cwd: str | None, **asked: Any) -> dict[str, Any]:
    """Return the fields to change for another run; what has names is changed name by name."""
    found = _asked(**asked)
    for field in ("env", "labels"):
        if field in found:
            found[field] = getattr(job, field) | found[field]
    for field in ("limits", "stop"):
        if field in found:
            found[field] = msgspec.to_builtins(getattr(job, field)) | found[field]
    return found if cwd is None else {"cwd": str(_directory(cwd)), **found}


def _asked(
    *,
    env: tuple[tuple[str, str], ...],
    timeout: float | None,
    label: tuple[tuple[str, str], ...],
    limit: tuple[tuple[str, int], ...],
    stop: str | None,
    grace: float | None,
) -> dict[str, Any]:
    how_to_stop = {"signal": signal_name(stop) if stop else None, "grace": grace}
    found = {
        "env": dict(env),
        "timeout": timeout,
        "labels": dict(label),
        "limits": dict(limit),
        "stop": {key: value for key, value in how_to_stop.items() if value is not None},
    }
    return {key: value for key, value in found.items() if value not in (None, {})}


def signal_name(text: str) -> str:
    """Return the name that the contract has for what people type: `TERM`, `sigterm`, `15`.

    A number that no signal has stays what it is, for the service to refuse by that.
    """
    if text.isdecimal():
        name = jobs.signal_name(int(text))
        return text if jobs.signal_number(name) is None else name
    upper = text.upper()
    return upper if upper.startswith("SIG") else f"SIG{upper}"


def encode(spec: dict[str, Any]) -> bytes:
    """Return the spec as JSON; raises click.UsageError where something in it is not UTF-8."""
    try:
        return msgspec.json.encode(spec)
    except UnicodeEncodeError as exc:
        raise click.UsageError("arguments must be UTF-8; other bytes can go in by stdin") from exc


def read_stdin(body_bytes: int) -> bytes:
    """Read standard input to its end; raises click.UsageError when it can't fit in a request."""
    # base64 makes four bytes of three; what is left is room for the rest of the spec
    most = (body_bytes - min(body_bytes // 4, 2**16)) // 4 * 3
    content = sys.stdin.buffer.read(most + 1)
    if len(content) > most:
        raise click.UsageError(
            f"standard input is longer than a request may be: {most:,} bytes here"
            " (http.body_bytes); write it to a file for the command to read"
        )
    return content


def stdin_field(content: bytes) -> dict[str, str]:
    """Return standard input as the contract carries any bytes."""
    return {"base64": b64encode(content).decode()}


def _directory(cwd: str | None) -> Path:
    try:
        return Path.cwd() if cwd is None else Path(cwd).absolute()
    except FileNotFoundError as exc:
        raise click.UsageError("your directory is gone; say where to run with --cwd") from exc
