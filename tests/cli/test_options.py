"""Options of all commands together."""

from __future__ import annotations

from collections import defaultdict

import click
import pytest

from service.cli.commands import COMMANDS, squall

GROUP = click.Context(squall)
OPTIONS = [
    (name, option)
    for name in COMMANDS
    for option in squall.get_command(GROUP, name).params  # type: ignore[union-attr]
    if isinstance(option, click.Option)
]


def test_an_option_means_one_thing_wherever_it_is() -> None:
    meanings = defaultdict(set)
    for _, option in OPTIONS:
        for spelling in option.opts:
            meanings[spelling].add((option.make_metavar(GROUP), option.multiple))
    assert {name: found for name, found in meanings.items() if len(found) > 1} == {}


@pytest.mark.parametrize(
    ("spelling", "commands"),
    [
        ("-n", {"ps", "logs"}),  # how many
        ("--limit", {"run", "submit", "rerun"}),  # a limit of a job
        ("-N", {"run", "rerun"}),
    ],
)
def test_what_once_meant_two_things_means_one(spelling: str, commands: set[str]) -> None:
    assert {name for name, option in OPTIONS if spelling in option.opts} == commands


def test_every_option_says_what_it_does() -> None:
    assert [f"{name} {option.opts[0]}" for name, option in OPTIONS if not option.help] == []


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_of_commands_tells_each_in_a_whole_sentence(name: str) -> None:
    command = squall.get_command(GROUP, name)
    assert command is not None
    assert not command.get_short_help_str(62).endswith("...")
