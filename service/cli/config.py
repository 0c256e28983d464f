"""`squall check-config`, `token` and `version`."""

from __future__ import annotations

import click
import msgspec

from service import __version__
from service.cli.commands import Context


@click.command("check-config")
@click.option("--json", "as_json", is_flag=True, help="An object: each key's value and source.")
@click.pass_obj
def check_config(context: Context, as_json: bool) -> None:
    """Print every setting, and where it comes from.

    Or all that is wrong with them; the exit code is 1 then.
    """
    loaded = context.load()
    found = {
        f"{section}.{key}": (getattr(getattr(loaded.settings, section), key), source)
        for (section, key), source in loaded.sources.items()
    }
    if as_json:
        document = {
            key: {"value": value, "source": source} for key, (value, source) in found.items()
        }
        click.echo(msgspec.json.encode(document))
        return
    # a JSON value is one of TOML too, for all the types that settings have
    lines = [
        (f"{key} = {msgspec.json.encode(value).decode()}", src)
        for key, (value, src) in found.items()
    ]
    width = max(len(line) for line, _ in lines)
    for line, source in lines:
        click.echo(f"{line:<{width}}  ({source})")


@click.command()
@click.pass_obj
def token(context: Context) -> None:
    """Print the token of the service on this machine."""
    from service.cli.address import read_token

    click.echo(read_token(context.settings()))


@click.command()
@click.option("--json", "as_json", is_flag=True, help="An object.")
def version(as_json: bool) -> None:
    """Print the version."""
    click.echo(
        msgspec.json.encode({"version": __version__}) if as_json else f"squall {__version__}"
    )
