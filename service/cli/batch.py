"""`squall batch`: many jobs from a file, one spec a line."""

from __future__ import annotations

import io
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import BinaryIO, NamedTuple

import click
import msgspec

from service.cli.client import Client, decode
from service.cli.commands import Context
from service.cli.errors import Refused, note, told
from service.cli.events import ends
from service.cli.jobs import print_json
from service.cli.text import printable
from service.errors import Problem

ARRAY_MAX = 1_000  # jobs in one request, by the contract

Advance = Callable[[int], None]


class Line(NamedTuple):
    """One spec, as JSON, and where it stands in the file."""

    number: int
    spec: bytes


class Answer(msgspec.Struct, frozen=True):
    """What became of one spec: a job, with its id, or a problem."""

    id: str | None = None


@click.command()
@click.argument("file", type=click.File("rb"))
@click.option("-w", "--wait", is_flag=True, help="Wait until all have ended.")
@click.option("--json", "as_json", is_flag=True, help="Print each job instead of its id.")
@click.pass_obj
def batch(context: Context, file: BinaryIO, wait: bool, as_json: bool) -> int:
    """Submit the jobs of a file, and print their ids.

    FILE has a JSON object a line ("-" is standard input), each what POST /v1/jobs takes:
    {"args": ["echo", "hello"]}. A full queue is waited for.
    With --wait and --json each job is printed when it ends.
    The exit code is 1 when a job was refused, or with --wait when one did not succeed.
    """
    client = context.client()
    batch = Batch(client, context.settings().http.body_bytes)
    is_terminal = sys.stdout.isatty()
    ids = []
    try:
        with progress("accepted", _count_lines(file)) as advance:
            for job_id, job in batch.submit(file, advance):
                ids.append(job_id)
                if as_json and not wait:
                    print_json(job)
                elif not as_json and not is_terminal:
                    click.echo(job_id)
    finally:
        if is_terminal and not as_json:
            click.echo(f"{len(ids):,} jobs accepted, {batch.refused:,} refused")
    failed = _wait(client, ids, as_json=as_json) if wait else 0
    return 1 if batch.refused or failed else 0


class Batch:
    """Submits the lines of a file in groups, as large as the service takes."""

    def __init__(self, client: Client, body_bytes: int) -> None:
        """Begin; a request may have `body_bytes`."""
        self.refused = 0
        self._client = client
        self._body_bytes = body_bytes
        self._at_once = ARRAY_MAX

    def submit(self, file: BinaryIO, advance: Advance) -> Iterator[tuple[str, bytes]]:
        """Yield the id and the JSON of each job as it is accepted; says of others what is wrong."""
        lines = self._lines(file)
        while group := list(islice(lines, ARRAY_MAX)):
            while group:
                sent = self._fitting(group)
                for line, answer in zip(sent, self._send(sent), strict=False):
                    if job_id := decode(answer, Answer).id:
                        yield job_id, answer
                    else:
                        self._refuse(line.number, told(decode(answer, Problem)))
                    advance(1)
                    group.pop(0)

    def _lines(self, file: BinaryIO) -> Iterator[Line]:
        for number, line in enumerate(file, 1):
            if not (spec := line.strip()):
                continue
            try:
                msgspec.json.decode(spec, type=dict)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
                self._refuse(number, f"not a JSON object: {exc}")
                continue
            if len(spec) + 2 > self._body_bytes:
                self._refuse(number, "longer than a request may be (http.body_bytes)")
                continue
            yield Line(number, spec)

    def _fitting(self, group: list[Line]) -> list[Line]:
        """Return the first lines of `group`, as many as may go in one request now."""
        room, fitting = self._body_bytes - 1, []
        for line in group[: self._at_once]:
            room -= len(line.spec) + 1
            if room < 0:
                break
            fitting.append(line)
        return fitting

    def _send(self, group: list[Line]) -> list[bytes]:
        """Return an answer for each line, none when there was no room and it is time to try again.

        A group is accepted as a whole or not at all, so the next one is half as long then.
        """
        body = b"[" + b",".join(line.spec for line in group) + b"]"
        headers = {"Idempotency-Key": os.urandom(16).hex()}
        try:
            reply = self._client.request(
                "POST", "/v1/jobs", body, headers=headers, passing=(502, 504)
            )
        except Refused as exc:
            if exc.problem.status != 503:
                raise
            self._at_once = max(1, len(group) // 2)
            time.sleep(exc.retry_after_s)
            return []
        self._at_once = min(ARRAY_MAX, self._at_once * 2)
        return [bytes(raw) for raw in decode(reply.body, list[msgspec.Raw])]

    def _refuse(self, number: int, why: str) -> None:
        self.refused += 1
        first, *rest = why.splitlines()
        note("\n".join(printable(line) for line in (f"line {number}: {first}", *rest)))


@contextmanager
def progress(what: str, total: int | None) -> Iterator[Advance]:
    """Show a bar on standard error while the block runs, if a person can see it there."""
    if not sys.stderr.isatty():
        yield lambda _count: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeElapsedColumn as Elapsed

    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), Elapsed()
    console = Console(stderr=True, no_color=bool(os.environ.get("NO_COLOR")))
    with Progress(*columns, console=console) as bars:
        task = bars.add_task(what, total=total)
        yield lambda count: bars.advance(task, count)


def _wait(client: Client, ids: list[str], *, as_json: bool) -> int:
    """Wait for all; returns how many did not succeed."""
    failed = 0
    with progress("ended", len(ids)) as advance:
        for job, content in ends(client, ids):
            failed += job is None or job.state != "succeeded"
            if as_json and job is not None:
                print_json(content)
            advance(1)
    if failed:
        note(f"{failed:,} of {len(ids):,} jobs did not succeed")
    return failed


def _count_lines(file: BinaryIO) -> int | None:
    """Count the lines that hold something, where the file can be read twice."""
    try:
        position = file.tell()
    except (OSError, io.UnsupportedOperation):
        return None  # a pipe
    count = sum(1 for line in file if line.strip())
    file.seek(position)
    return count
