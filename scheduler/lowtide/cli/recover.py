"""``lowtide recover``: close the journals that killed runs left open."""

from __future__ import annotations

import click

from lowtide.cli.app import VERBS
from lowtide.cli.options import json_option
from lowtide.reports import figures
from lowtide.wiring import Wiring
from lowtide_core.quantities import JOULES_PER_KWH


@click.command(help=VERBS["recover"])
@json_option()
def command(as_json: bool) -> None:
    from lowtide_sampler.journal import recover

    wiring = Wiring()
    found = recover(str(wiring.paths.spool))
    if as_json:
        import json

        click.echo(json.dumps(found, indent=2))
        return
    for result in found:
        energy = figures.kwh(result["energy_j"] / JOULES_PER_KWH)
        click.echo(f"run {result['run_id']}: {energy} up to its last reading, {figures.duration(result['duration_s'])}")
    if not found:
        click.echo(f"No open journal in {wiring.paths.spool}.")
