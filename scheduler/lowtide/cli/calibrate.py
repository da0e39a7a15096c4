"""``lowtide calibrate``: measure what this node draws at rest, so that later runs need not guess it."""

from __future__ import annotations

import os

import click

from lowtide.cli.app import VERBS
from lowtide.cli.options import json_option
from lowtide_core.errors import InputError, StateError


@click.command(help=VERBS["calibrate"])
@click.option(
    "--seconds",
    default="30",
    show_default=True,
    metavar="N",
    help="How long to measure; leave the node alone meanwhile.",
)
@click.option("--wall", metavar="POWER", help="What a meter at the wall shows meanwhile, such as 85W.")
@click.option("--busy", is_flag=True, help="Measure under load: every CPU is kept busy. Calibrate at rest first.")
@json_option()
def command(seconds: str, wall: str | None, busy: bool, as_json: bool) -> None:
    from lowtide_sampler.calibration import CalibrationError, calibrate, describe, parse_calibrate

    asked = ["--seconds", seconds, *(["--wall", wall] if wall else []), *(["--busy"] if busy else [])]
    try:
        calibration, path = calibrate(parse_calibrate(asked), os.environ)
    except ValueError as error:
        raise InputError(str(error)) from error
    except CalibrationError as error:
        raise StateError(str(error)) from error
    if as_json:
        import json

        click.echo(json.dumps({**calibration._asdict(), "path": path}, indent=2))
        return
    for line in describe(calibration, path):
        click.echo(line)
