"""`squall submit`: a job to be run in the background."""

from __future__ import annotations

import os
from typing import Any

import click

from service.cli import spec
from service.cli.commands import Context
from service.cli.exits import HOLD_S, exit_code, explain
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
    headers = {"Idempotency-Key": os.urandom(16).hex()}
    reply = client.request("POST", "/v1/jobs", spec.encode(document), headers=headers)
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
