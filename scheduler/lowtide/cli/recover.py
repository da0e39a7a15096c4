"""``lowtide recover``: close the journals that killed runs left open, and bring home those of other nodes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lowtide.cli.app import VERBS
from lowtide.cli.options import json_option
from lowtide.reports import figures
from lowtide.wiring import Wiring
from lowtide_core.quantities import JOULES_PER_KWH

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lowtide.service.carrying import Carried

_WHAT = {
    "new": "brought home",
    "grown": "brought home, more than before",
    "known": "was here already",
    "differs": "another run of this name is here, which is kept",
    "unreadable": "nothing in it can be read",
}


@click.command(help=VERBS["recover"])
@click.option("--spool", default="", metavar="DIR", help="Bring the journals of another node home from this folder.")
@click.option("--ended", is_flag=True, help="With --spool: nothing runs there any more; close what is open.")
@json_option()
def command(spool: str, ended: bool, as_json: bool) -> None:
    from lowtide.service.carrying import carry
    from lowtide_sampler.journal import recover

    if ended and not spool:
        raise click.UsageError("--ended goes with --spool: journals of this machine close themselves.")
    wiring = Wiring()
    carried = carry(Path(spool), wiring.paths.spool, ended=ended) if spool else ()
    found = recover(str(wiring.paths.spool))
    if as_json:
        import json

        brought = [run.result for run in carried if run.result is not None and run.what != "known"]
        click.echo(json.dumps([*brought, *found], indent=2))
        return
    for run in carried:
        click.echo(_carried_line(run))
    for result in found:
        energy = _energy(result)
        click.echo(f"run {result['run_id']}: {energy} up to its last reading, {figures.duration(result['duration_s'])}")
    if spool and not carried:
        click.echo(f"No journal in {spool}.")
    if not found and not spool:
        click.echo(f"No open journal in {wiring.paths.spool}.")


def _carried_line(run: Carried) -> str:
    energy = f"{_energy(run.result)}, " if run.result is not None else ""
    still = "; it has no end: carry it again when it has, or say --ended" if run.is_open else ""
    return f"run {run.run_id}: {energy}{_WHAT[run.what]}{still}"


def _energy(result: Mapping[str, Any]) -> str:
    if result["energy_j"] is None:
        return "energy unknown" if "no_reading" in result["flags"] else "energy counted by rank 0"
    energy, share = figures.kwh(result["energy_j"] / JOULES_PER_KWH), result["measured_share"]
    return energy if share is None else f"{energy} ({figures.percent(100 * share)} measured)"
