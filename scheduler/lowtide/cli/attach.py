"""``lowtide attach`` as part of the help; the console script hands it to the sampler before this is imported."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from lowtide.cli.app import VERBS

if TYPE_CHECKING:
    from collections.abc import Sequence


@click.command(help=VERBS["attach"], context_settings={"ignore_unknown_options": True, "help_option_names": []})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def command(arguments: Sequence[str]) -> int:
    from lowtide_sampler.main import attach_main

    return attach_main(list(arguments))
