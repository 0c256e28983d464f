"""`squall completion`: what makes a shell complete commands, options and ids of jobs."""

from __future__ import annotations

import click
from click.shell_completion import BashComplete, FishComplete, ZshComplete

SHELLS = {"bash": BashComplete, "zsh": ZshComplete, "fish": FishComplete}


@click.command(
    epilog="\b\nFor good:\n"
    "  bash   echo 'eval \"$(squall completion bash)\"' >> ~/.bashrc\n"
    "  zsh    echo 'eval \"$(squall completion zsh)\"' >> ~/.zshrc\n"
    "  fish   squall completion fish > ~/.config/fish/completions/squall.fish"
)
@click.argument("shell", type=click.Choice(list(SHELLS)))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the script by which a shell completes.

    It completes commands, options, their values, and ids of jobs.
    """
    made = SHELLS[shell](ctx.find_root().command, {}, "squall", "_SQUALL_COMPLETE")
    click.echo(made.source())
