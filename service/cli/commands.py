"""The group `squall`: its global options, and the commands by name."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from service import __version__
from service.cli.errors import Failure
from service.errors import SettingsError
from service.settings import Key, Loaded, Settings, in_force, load
from service.state import StateDir

if TYPE_CHECKING:
    from service.cli.client import Client

# name -> (module, function), in the order of `squall --help`
COMMANDS = {
    "up": ("programs", "up"),
    "down": ("programs", "down"),
    "status": ("programs", "status"),
    "reload": ("programs", "reload"),
    "run": ("run", "run"),
    "submit": ("submit", "submit"),
    "rerun": ("submit", "rerun"),
    "batch": ("batch", "batch"),
    "ps": ("jobs", "ps"),
    "top": ("top", "top"),
    "show": ("jobs", "show"),
    "logs": ("logs", "logs"),
    "cancel": ("jobs", "cancel"),
    "signal": ("jobs", "send_signal"),
    "rm": ("jobs", "rm"),
    "token": ("config", "token"),
    "check-config": ("config", "check_config"),
    "completion": ("completion", "completion"),
    "version": ("config", "version"),
}


class Context:
    """Which service a command is about; `click.pass_obj` hands it to commands."""

    def __init__(self, config: str | None, url: str | None) -> None:
        """Begin with the options of the whole command line; nothing is read yet."""
        self.config = config
        self.url = url

    def load(self, flags: Mapping[Key, object] = {}) -> Loaded:
        """Return what is in force; raises Failure that lists what is wrong."""
        try:
            return load(self.config, flags=flags)
        except SettingsError as exc:
            raise Failure(str(exc)) from exc

    def settings(self) -> Settings:
        """Return the settings of the service that runs here.

        `squall up` leaves them in the state directory, so that nobody has to repeat its flags and
        environment for each command.
        """
        settings = self.load().settings
        try:
            return in_force(StateDir(settings.state.dir).settings) or settings
        except SettingsError as exc:
            raise Failure(str(exc)) from exc

    def client(self) -> Client:
        """Return a client of the service."""
        from service.cli.address import open_client

        return open_client(self.settings(), self.url)


class Commands(click.Group):
    """Imports a command's module when the command is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Return a command, None when there is no such one."""
        if name not in COMMANDS:
            return None
        module, function = COMMANDS[name]
        command: click.Command = getattr(importlib.import_module(f"service.cli.{module}"), function)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; a reader of its output that went away ends it without a word."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            # what is still buffered has no reader: keep the flush at exit from complaining
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 141  # as if by SIGPIPE


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--config",
    type=click.Path(),
    metavar="FILE",
    help="Settings, a TOML file; SQUALL_CONFIG otherwise.",
)
@click.option(
    "--url",
    envvar="SQUALL_URL",
    metavar="URL",
    show_envvar=True,
    help="The service to talk to; the front of this machine's otherwise.",
)
@click.version_option(__version__, "-V", "--version", message="squall %(version)s")
@click.pass_context
def squall(ctx: click.Context, config: str | None, url: str | None) -> None:
    """Run operating-system commands as jobs: durable, live, honest about how each one ended."""
    ctx.obj = Context(config, url)
