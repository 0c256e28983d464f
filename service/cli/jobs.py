"""`squall ps`, `show`, `cancel`, `signal` and `rm`."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from typing import Any

import click
import msgspec

from service.cli import spec
from service.cli.client import Client, Reply, job_path
from service.cli.commands import Context
from service.cli.errors import Failure, Refused, note
from service.cli.ids import Ids, resolve, suggestions
from service.cli.text import printable
from service.cli.times import moment
from service.jobs import ENDED, MOVES

UNFINISHED = sorted(MOVES.keys() - ENDED)


def print_json(body: bytes) -> None:
    """Print an answer as it came, in one line."""
    click.echo(body.rstrip(b"\n"))


@click.command()
@click.option(
    "-s", "--state", type=click.Choice(list(MOVES)), multiple=True, help="May be repeated."
)
@click.option(
    "-l",
    "--label",
    type=spec.label,
    multiple=True,
    metavar="KEY=VALUE",
    help="Only jobs with this label; may be repeated.",
)
@click.option(
    "-q",
    "--query",
    "q",
    metavar="TEXT",
    help="Only jobs with this text in the command, in any case.",
)
@click.option(
    "--since",
    type=moment,
    metavar="TIME",
    help="Only jobs accepted since: 2h, 3d (ago), today, yesterday, 14:30, 2026-11-20, RFC 3339.",
)
@click.option("--until", type=moment, metavar="TIME", help="Only jobs accepted before that.")
@click.option(
    "-n",
    "--last",
    type=click.IntRange(1, 1000),
    default=20,
    show_default=True,
    metavar="NUMBER",
    help="How many at most.",
)
@click.option("--cursor", help="Go on after a page; `next_cursor` of its --json.")
@click.option("--json", "as_json", is_flag=True, help="Print the service's own answer.")
@click.pass_obj
def ps(
    context: Context,
    /,
    state: tuple[str, ...],
    label: tuple[tuple[str, str], ...],
    last: int,
    cursor: str | None,
    as_json: bool,
    **span: str | None,
) -> None:
    """List jobs, the newest first."""
    client = context.client()
    query: dict[str, Any] = {"state": state, "label": [f"{n}:{v}" for n, v in label], **span}
    if as_json:
        return print_json(client.get("/v1/jobs", limit=last, cursor=cursor, **query).body)
    from service.cli import tables

    # a page may be shorter than asked for
    shown = [job for job, _ in islice(client.jobs(limit=last, cursor=cursor, **query), last)]
    if not shown:
        is_any = not (any(query.values()) or cursor)
        return note("no jobs yet; `squall run -- date`" if is_any else "no such jobs")
    tables.jobs(shown)
    return None


@click.command()
@click.argument("job_id", metavar="ID", shell_complete=suggestions())
@click.option("--json", "as_json", is_flag=True, help="Print the service's own answer.")
@click.pass_obj
def show(context: Context, job_id: str, as_json: bool) -> None:
    """Show all that is known about a job."""
    client = context.client()
    reply = client.get(job_path(resolve(client, job_id)))
    if as_json:
        return print_json(reply.body)
    from service.cli import tables

    tables.job(reply.job())
    return None


@click.command()
@click.argument(
    "job_ids", metavar="ID...", nargs=-1, required=True, shell_complete=suggestions(*UNFINISHED)
)
@click.option("--json", "as_json", is_flag=True, help="Print each job, one a line.")
@click.pass_obj
def cancel(context: Context, job_ids: tuple[str, ...], as_json: bool) -> int:
    """Stop jobs, all of their processes.

    First comes the signal that was agreed on, SIGKILL after the grace. A queued job never
    starts; one that has ended stays as it is.
    """

    def cancel_one(client: Client, job_id: str) -> None:
        reply = client.cancel(job_id)
        if as_json:
            print_json(reply.body)
        else:
            click.echo(_said_of_cancel(reply))

    return _each(context, job_ids, cancel_one)


@click.command("signal")
@click.argument("job_id", metavar="ID", shell_complete=suggestions("running"))
@click.argument("name", metavar="SIGNAL", type=spec.signal_name, shell_complete=spec.signals)
@click.pass_obj
def send_signal(context: Context, job_id: str, name: str) -> None:
    """Send a signal to all processes of a running job.

    TERM, SIGTERM and 15 are the same.
    """
    client = context.client()
    path = f"{job_path(resolve(client, job_id))}/signal"
    client.request("POST", path, msgspec.json.encode({"signal": name}))


@click.command()
@click.argument(
    "job_ids", metavar="ID...", nargs=-1, required=True, shell_complete=suggestions(*sorted(ENDED))
)
@click.pass_obj
def rm(context: Context, job_ids: tuple[str, ...]) -> int:
    """Delete ended jobs and their output.

    The id of each is printed.
    """

    def delete(client: Client, job_id: str) -> None:
        try:
            client.request("DELETE", job_path(job_id))
        except Refused as exc:
            if exc.problem.status != 409:
                raise
            raise Failure(f"{exc.message}; `squall cancel` stops it") from exc
        click.echo(job_id)

    return _each(context, job_ids, delete)


def _each(context: Context, texts: tuple[str, ...], act: Callable[[Client, str], None]) -> int:
    """Act on each job that is meant; returns 1 where one of them failed, and says of each why."""
    client, failed = context.client(), 0
    ids = Ids(client)
    for text in texts:
        try:
            act(client, ids.resolve(text))
        except Failure as exc:
            name = f"{printable(text)}: " if len(texts) > 1 and text not in exc.message else ""
            Failure(f"{name}{exc.message}").show()
            failed += 1
    return 1 if failed else 0


def _said_of_cancel(reply: Reply) -> str:
    job = reply.job()
    if not job.has_ended:
        return f"{job.id} is {job.state}, and will be cancelled"
    has_changed = reply.status == 202
    return f"{job.id} is {job.state}" if has_changed else f"{job.id} had ended: {job.state}"
