"""`squall logs`: what a job has written."""

from __future__ import annotations

import click

from service.cli.client import job_path
from service.cli.commands import Context
from service.cli.follow import items
from service.cli.ids import resolve
from service.cli.output import write, write_item


@click.command()
@click.argument("job_id", metavar="ID")
@click.option("-f", "--follow", is_flag=True, help="Go on until the job has ended.")
@click.option("--stream", type=click.Choice(["stdout", "stderr"]), help="Only this one.")
@click.option("--json", "as_json", is_flag=True, help="The journal, one item a line.")
@click.pass_obj
def logs(context: Context, job_id: str, follow: bool, stream: str | None, as_json: bool) -> None:
    """Print a job's output byte for byte, each of its streams on the same one here."""
    client = context.client()
    job_id = resolve(client, job_id)
    client.get(job_path(job_id))  # there is such a job: only then a broken stream is worth patience
    for item in items(client, job_id, follow=follow):
        if stream and item.stream not in (stream, ""):
            continue
        if as_json:
            write("stdout", item.raw + b"\n")
        else:
            write_item(item)
