"""``lowtide sampler``: the program that measures, for nodes without lowtide."""

from __future__ import annotations

from pathlib import Path

import click

from lowtide.cli.app import VERBS
from lowtide.cli.options import json_option
from lowtide.wiring import Wiring
from lowtide_core.errors import InputError


@click.group(help=VERBS["sampler"])
def command() -> None:
    pass


@command.command(help="Write it as one file that runs on Python 3.9 or newer, with nothing installed.")
@click.option("--output", default="", metavar="FILE", help="Where to write it (default: the state folder).")
@json_option()
def build(output: str, as_json: bool) -> None:
    from lowtide.sampler_file import build_sampler, sampler_file

    try:
        built = build_sampler(Path(output)) if output else sampler_file(Wiring().paths.state)
    except OSError as error:
        raise InputError(
            f"The sampler cannot be written: {error.strerror} ({error.filename}).", hint="Name another --output."
        ) from error
    if as_json:
        import json

        click.echo(
            json.dumps({"path": str(built.path), "version": built.version, "nvidia_ml_py": built.nvidia or None})
        )
        return
    bundled = (
        f"with nvidia-ml-py {built.nvidia}" if built.nvidia else "without nvidia-ml-py, which is not installed here"
    )
    click.echo(f"{built.path} · version {built.version} · {bundled}")
    click.echo(f"on a node: python3 -I -S {built.path.name} run -- COMMAND")
