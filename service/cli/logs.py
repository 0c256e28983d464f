"""`squall logs`: what a job has written."""

from __future__ import annotations

from collections import deque

import click

from service.cli.client import Client, job_path
from service.cli.commands import Context
from service.cli.errors import EXIT_SQUALL
from service.cli.follow import Item, items
from service.cli.ids import resolve, suggestions
from service.cli.output import write, write_item
from service.cli.tail import Tail


@click.command()
@click.argument("job_id", metavar="ID", shell_complete=suggestions())
@click.option("-f", "--follow", is_flag=True, help="Go on until the job has ended.")
@click.option(
    "-n",
    "--tail",
    type=click.IntRange(0),
    metavar="NUMBER",
    help="Begin with the last so many lines; with --json, items.",
)
@click.option("--stream", type=click.Choice(["stdout", "stderr"]), help="Only this one.")
@click.option("--json", "as_json", is_flag=True, help="The journal, one item a line.")
@click.pass_obj
def logs(
    context: Context,
    job_id: str,
    follow: bool,
    tail: int | None,
    stream: str | None,
    as_json: bool,
) -> int:
    """Print a job's output, byte for byte.

    Each of its streams goes to the same one here. With -f the job waits where its output is read
    slowly; the exit code is 125 when some of it was not kept before.
    """
    client = context.client()
    job_id = resolve(client, job_id)
    client.get(job_path(job_id))  # there is such a job: only then a broken stream is worth patience
    last = None
    if tail is not None:
        last = _write_last(client, job_id, tail, stream, as_json=as_json)
        if not follow or last.job is not None:
            return 0
    is_whole = True
    for item in items(client, job_id, follow=follow, after=last.seq if last else None):
        if _is_wanted(item, stream):
            is_whole = is_whole and not item.dropped
            _write(item, as_json=as_json)
    return EXIT_SQUALL if follow and not is_whole else 0


def _write_last(
    client: Client, job_id: str, count: int, stream: str | None, *, as_json: bool
) -> Item:
    """Write the end of what is there by now; returns the last item of all, to go on after."""
    last, lines = Item(), Tail(count)
    documents: deque[Item] = deque(maxlen=count)
    for last in items(client, job_id, follow=False):
        if last.job is None and _is_wanted(last, stream):
            documents.append(last) if as_json else lines.add(last)
    for item in documents:
        _write(item, as_json=True)
    lines.write()
    if as_json and last.job is not None:
        _write(last, as_json=True)
    return last


def _is_wanted(item: Item, stream: str | None) -> bool:
    return stream is None or item.stream in (stream, "")


def _write(item: Item, *, as_json: bool) -> None:
    if as_json:
        write("stdout", item.raw + b"\n")
    else:
        write_item(item)
