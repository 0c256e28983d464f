"""`squall submit` and `rerun`: a job to be run in the background."""

from __future__ import annotations

import os
from typing import Any

import click

from service.cli import spec
from service.cli.client import Client, job_path
from service.cli.commands import Context
from service.cli.errors import Failure, Refused
from service.cli.exits import HOLD_S, exit_code, explain
from service.cli.ids import resolve, suggestions
from service.cli.jobs import print_json


@click.command(context_settings={"allow_interspersed_args": False})
@spec.options
@click.option("-i", "--stdin", is_flag=True, help="Give standard input to the command.")
@click.option("-w", "--wait", is_flag=True, help="Wait for its end, and exit as `run` does.")
@click.option("--json", "as_json", is_flag=True, help="Print the job instead of its id.")
@click.pass_obj
def submit(context: Context, /, stdin: bool, wait: bool, as_json: bool, **asked: Any) -> int:
    """Have a command run as a job, and print the job's id."""
    client = context.client()
    document = spec.build(**asked)
    if stdin:
        content = spec.read_stdin(context.settings().http.body_bytes)
        document["stdin"] = spec.stdin_field(content)
    return _submit(client, "/v1/jobs", document, wait=wait, as_json=as_json)


@click.command()
@click.argument("job_id", metavar="ID", shell_complete=suggestions())
@spec.fields
@click.option("-i", "--stdin", is_flag=True, help="Give standard input to the command.")
@click.option("-N", "--no-stdin", is_flag=True, help="Let standard input be empty.")
@click.option("-w", "--wait", is_flag=True, help="Wait for its end, and exit as `run` does.")
@click.option("--json", "as_json", is_flag=True, help="Print the new job instead of its id.")
@click.pass_obj
def rerun(
    context: Context,
    /,
    job_id: str,
    stdin: bool,
    no_stdin: bool,
    wait: bool,
    as_json: bool,
    **asked: Any,
) -> int:
    """Run a job again, and print the id of the new one.

    All is as it was, standard input too where the service has kept it; the options change that.
    """
    client = context.client()
    path = job_path(resolve(client, job_id))
    changed = spec.changes(client.get(path).job(), **asked)
    if stdin:
        content = spec.read_stdin(context.settings().http.body_bytes)
        changed["stdin"] = spec.stdin_field(content)
    elif no_stdin:
        changed["stdin"] = None
    try:
        return _submit(client, f"{path}/rerun", changed, wait=wait, as_json=as_json)
    except Refused as exc:
        if exc.problem.status == 409 and "stdin" not in changed:
            raise Failure(
                "the job's standard input was not kept; --stdin gives it yours, --no-stdin none"
            ) from exc
        raise


def _submit(
    client: Client, path: str, document: dict[str, Any], *, wait: bool, as_json: bool
) -> int:
    headers = {"Idempotency-Key": os.urandom(16).hex()}
    reply = client.request("POST", path, spec.encode(document), headers=headers)
    if not as_json:
        click.echo(reply.job().id)
    if wait:
        reply = client.wait_ended(reply.job().id, longest_s=HOLD_S)
    if as_json:
        print_json(reply.body)
    if not wait:
        return 0
    explain(reply.job())
    return exit_code(reply.job())
