"""`squall ps`, `show`, `cancel` and `signal`."""

from __future__ import annotations

import click
import msgspec

from service.cli import spec
from service.cli.client import Page, decode, job_path
from service.cli.commands import Context
from service.cli.errors import Failure, note
from service.cli.ids import resolve
from service.jobs import Job

STATES = ["queued", "running", "succeeded", "failed", "cancelled", "lost"]


def print_json(body: bytes) -> None:
    """Print an answer as it came, in one line."""
    click.echo(body.rstrip(b"\n"))


@click.command()
@click.option("-s", "--state", type=click.Choice(STATES), multiple=True, help="May be repeated.")
@click.option(
    "-l",
    "--label",
    type=spec.pair,
    multiple=True,
    metavar="NAME=VALUE",
    help="Only jobs with this label; may be repeated.",
)
@click.option(
    "-n",
    "--limit",
    type=click.IntRange(1, 1000),
    default=20,
    show_default=True,
    help="How many at most.",
)
@click.option("--cursor", help="Go on after a page; `next_cursor` of its --json.")
@click.option("--json", "as_json", is_flag=True, help="Print the service's own answer.")
@click.pass_obj
def ps(
    context: Context,
    state: tuple[str, ...],
    label: tuple[tuple[str, str], ...],
    limit: int,
    cursor: str | None,
    as_json: bool,
) -> None:
    """List jobs, the newest first."""
    labels = [f"{name}:{value}" for name, value in label]
    reply = context.client().get("/v1/jobs", state=state, label=labels, limit=limit, cursor=cursor)
    if as_json:
        return print_json(reply.body)
    from service.cli import tables

    shown = [job for job, _ in decode(reply.body, Page).parsed()]
    if not shown:
        return note("no such jobs" if state or label else "no jobs yet; `squall run -- date`")
    tables.jobs(shown)
    return None


@click.command()
@click.argument("job_id", metavar="ID")
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
@click.argument("job_ids", metavar="ID...", nargs=-1, required=True)
@click.option("--json", "as_json", is_flag=True, help="Print each job, one a line.")
@click.pass_obj
def cancel(context: Context, job_ids: tuple[str, ...], as_json: bool) -> int:
    """Stop jobs: first the signal that was agreed on, SIGKILL after the grace.

    A queued job never starts; one that has ended stays as it is.
    """
    client, failed = context.client(), 0
    for job_id in job_ids:
        try:
            reply = client.cancel(resolve(client, job_id))
        except Failure as exc:
            exc.show()
            failed += 1
            continue
        if as_json:
            print_json(reply.body)
        else:
            click.echo(_said_of_cancel(reply.job()))
    return 1 if failed else 0


@click.command("signal")
@click.argument("job_id", metavar="ID")
@click.argument("name", metavar="SIGNAL", type=spec.signal_name)
@click.pass_obj
def send_signal(context: Context, job_id: str, name: str) -> None:
    """Send a signal to all processes of a running job; TERM, SIGTERM and 15 are the same."""
    client = context.client()
    path = f"{job_path(resolve(client, job_id))}/signal"
    client.request("POST", path, msgspec.json.encode({"signal": name}))


def _said_of_cancel(job: Job) -> str:
    if not job.has_ended:
        return f"{job.id} is being stopped"
    return f"{job.id} is cancelled" if job.state == "cancelled" else f"{job.id} has {_ended(job)}"


def _ended(job: Job) -> str:
    return {"succeeded": "succeeded before", "failed": "failed before"}.get(job.state, "been lost")
