"""The table of verbs and the commands behind it say the same."""

from __future__ import annotations

import json
import re
from importlib import import_module

import click
import pytest

from lowtide.cli.app import VERBS, lowtide, run


@pytest.mark.parametrize("verb", [verb for verb in VERBS if verb != "run"])
def test_every_verb_has_its_command_with_the_same_line(verb: str) -> None:
    command = import_module(f"lowtide.cli.{verb.replace('-', '_')}").command
    assert isinstance(command, click.Command)
    assert command.help == VERBS[verb]


def test_help_fits_a_screen() -> None:
    context = click.Context(lowtide, info_name="lowtide", max_content_width=100)
    assert len(lowtide.get_help(context).splitlines()) <= 31
    for verb in VERBS:
        if verb != "run":
            command = import_module(f"lowtide.cli.{verb.replace('-', '_')}").command
            text = command.get_help(click.Context(command, info_name=verb, max_content_width=100))
            assert len(text.splitlines()) <= 32, verb


@pytest.mark.parametrize("verb", ["plan", "submit"])
def test_every_option_is_shown_by_help_or_by_more(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([verb, "--help"]) == run([verb, "--more"]) == 0
    shown = capsys.readouterr().out
    command = import_module(f"lowtide.cli.{verb}").command
    options = [name for parameter in command.params if isinstance(parameter, click.Option) for name in parameter.opts]
    assert not [name for name in options if not re.search(rf"^  {re.escape(name)}\b", shown, re.MULTILINE)]


def test_a_named_job_is_known_by_its_name(capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["submit", "--duration", "5s", "--deadline", "60s", "--zone", "DE", "--signal", "climatology"]
    assert run([*asked, "--name", "a rather long name of a job", "--json", "--", "true"]) == 0
    job_id = json.loads(capsys.readouterr().out)["job_id"]
    assert run(["jobs"]) == 0
    assert f"{job_id} a rather long n…" in capsys.readouterr().out
    assert run(["show", "a rather long name of a job"]) == 2
    assert f"The newest job of that name is {job_id}." in capsys.readouterr().err
