"""`squall up`, `down`, `status` and `reload`."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import msgspec

from service import programs
from service.cli.commands import Context
from service.cli.errors import Failure, note
from service.errors import ServiceError
from service.programs.environment import environment_of, remembered
from service.programs.files import ProgramFiles
from service.settings import Loaded, load
from service.state import StateDir


@click.command()
@click.option("--host", metavar="ADDRESS", help="Where nginx listens; 127.0.0.1 otherwise.")
@click.option("--port", type=int, help="Its port; 8080 otherwise.")
@click.option(
    "--behind-proxy/--no-behind-proxy",
    default=None,
    help="A proxy that ends TLS stands in front; allows other addresses than loopback.",
)
@click.option("--count", type=int, help="How many processes; 4 otherwise.")
@click.option("--first-port", type=int, help="The port of the first one; 8885 otherwise.")
@click.option("--foreground", is_flag=True, help="Stay until Ctrl-C, TERM or `squall down`.")
@click.pass_obj
def up(
    context: Context,
    host: str | None,
    port: int | None,
    behind_proxy: bool | None,
    count: int | None,
    first_port: int | None,
    foreground: bool,
) -> None:
    """Start everything, and wait until it is ready.

    That is nginx, the processes and supervisord. Other settings than these come from the
    configuration file or the environment; `squall check-config` names them all. Where squall is up
    already, with other settings than flags, environment or another file ask for, nothing changes
    and the exit code is 1.
    """
    loaded = context.load(
        {
            ("front", "host"): host,
            ("front", "port"): port,
            ("front", "behind_proxy"): behind_proxy,
            ("processes", "count"): count,
            ("processes", "first_port"): first_port,
        }
    )

    def progress(name: str, event: str) -> None:
        if (name, event) == ("squall", "ready"):
            _say_up(context, "up", "Ctrl-C" if foreground else "squall down")
        else:
            _say(name, event)

    with _failures():
        if not programs.up(loaded, foreground=foreground, progress=progress):
            _check_same(context, loaded)
            _say_up(context, "up already", "squall down")


@click.command()
@click.pass_obj
def down(context: Context) -> None:
    """Stop everything, and leave nothing behind.

    No new work is taken, running jobs finish up to the drain limit, then all ends.
    """
    with _failures():
        was_up = programs.down(context.load(), progress=_say)
    _tell("squall is down" if was_up else "squall was not up")


@click.command()
@click.option("--json", "as_json", is_flag=True, help="An object: the address, and each process.")
@click.pass_obj
def status(context: Context, as_json: bool) -> int:
    """Show the processes.

    The exit code is 0 when all of them are ready.
    """
    with _failures():
        processes = programs.status(context.load())
    all_ready = bool(processes) and all(process.ready for process in processes)
    url = context.settings().front_url
    if as_json:
        click.echo(msgspec.json.encode({"url": url, "ready": all_ready, "processes": processes}))
    elif not processes:
        note("not up; `squall up` starts it")
    else:
        from service.cli import tables

        click.echo(url)
        tables.processes(processes)
        if any(process.state == "unsupervised" for process in processes):
            note("supervisord was killed: `squall down`, then `squall up`")
    return 0 if all_ready else 1


@click.command()
@click.pass_obj
def reload(context: Context) -> None:
    """Restart one process after another, without losing a request.

    Running jobs have up to the drain limit to finish. The configuration file is read anew.
    """
    with _failures():
        programs.reload(context.load(), progress=_say)


def _check_same(context: Context, asked: Loaded) -> None:
    """Raise Failure where what is up differs from what flags, environment and file ask for.

    What has changed in the file that it was started with is for `squall reload`.
    """
    running = context.settings()
    variables = environment_of(asked)
    wanted = load(environ=variables).settings  # paths are whole, as `up` takes them
    before = remembered(ProgramFiles(StateDir(running.state.dir)), asked)
    is_other_file = variables.get("SQUALL_CONFIG") != before.get("SQUALL_CONFIG")
    differing = []
    for (section, key), source in asked.sources.items():
        is_, want = (getattr(getattr(one, section), key) for one in (running, wanted))
        is_of_file = not source.startswith(("--", "SQUALL_"))
        if is_ != want and source != "default" and (is_other_file or not is_of_file):
            differing.append(f"  {section}.{key} is {is_}, not {want} ({source})")
    if differing:
        raise Failure(
            "\n".join(
                [
                    f"up already at {running.front_url}, and otherwise than asked for:",
                    *differing,
                    "`squall down`, then `squall up` again",
                ]
            )
        )


def _say(name: str, event: str) -> None:
    _tell(f"{name:<6}  {event}")


def _tell(line: str) -> None:
    """Print a line; what it tells of goes on although nobody reads it, or the disk is full."""
    try:
        click.echo(line)
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _say_up(context: Context, how: str, stop: str) -> None:
    settings = context.settings()
    _tell(f"squall is {how} at {settings.front_url}")
    _tell("  try it     squall run -- echo hello")
    _tell(f"  token      {Path(settings.state.dir, 'token')}; squall token prints it")
    _tell(f"  stop it    {stop}")


@contextmanager
def _failures() -> Iterator[None]:
    try:
        yield
    except ServiceError as exc:
        raise Failure(str(exc).removeprefix("squall is ")) from exc
