"""``lowtide jobs``: what waits, runs and ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from lowtide.cli.app import VERBS
from lowtide.cli.jobview import job_json, job_row
from lowtide.cli.options import json_option
from lowtide.cli.text import table
from lowtide.wiring import Wiring

if TYPE_CHECKING:
    from collections.abc import Sequence


_HEADS = ("job", "state", "when", "where", "quote", "so far", "why")


@click.command(help=VERBS["jobs"])
@click.option("--state", "states", multiple=True, metavar="STATE", help="Only these: waits, runs, done, failed, ...")
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=20,
    show_default=True,
    metavar="N",
    help="At most so many, the newest first.",
)
@json_option()
def command(states: Sequence[str], limit: int, as_json: bool) -> None:
    from lowtide.jobs.states import parse_state

    wiring = Wiring()
    wanted = tuple(parse_state(state) for state in states)
    with wiring.store() as store:
        records = store.jobs.find(states=wanted or None, limit=limit)
        if as_json:
            import json

            click.echo(json.dumps([job_json(record, store) for record in records], indent=2))
            return
        rows = [job_row(record, store, wiring.now_utc()) for record in records]
    if not rows and states:
        click.echo(f"No job in state {' or '.join(states)}.")
        return
    if not rows:
        click.echo("No job yet. Try: lowtide submit --duration 30m --deadline 24h -- COMMAND")
        return
    click.echo("\n".join(table(_HEADS, rows, left={0, 1, 2, 3, 6})))
