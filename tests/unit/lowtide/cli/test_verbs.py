"""The table of verbs and the commands behind it say the same."""

from __future__ import annotations

from importlib import import_module

import click
import pytest

from lowtide.cli.app import VERBS, lowtide


@pytest.mark.parametrize("verb", [verb for verb in VERBS if verb != "run"])
def test_every_verb_has_its_command_with_the_same_line(verb: str) -> None:
    command = import_module(f"lowtide.cli.{verb}").command
    assert isinstance(command, click.Command)
    assert command.help == VERBS[verb]


def test_help_fits_a_screen() -> None:
    context = click.Context(lowtide, info_name="lowtide", max_content_width=100)
    assert len(lowtide.get_help(context).splitlines()) <= 30
    for verb in VERBS:
        if verb != "run":
            command = import_module(f"lowtide.cli.{verb}").command
            text = command.get_help(click.Context(command, info_name=verb, max_content_width=100))
            assert len(text.splitlines()) <= 32, verb
