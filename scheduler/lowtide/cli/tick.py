"""``lowtide tick``: one round of what ``serve`` does."""

from __future__ import annotations

from datetime import timedelta

import click

from lowtide.cli.app import VERBS
from lowtide.cli.text import without_request
from lowtide.wiring import Wiring

_COMES_AGAIN = timedelta(hours=1)
"""How long after a tick the next one is still counted on."""


@click.command(help=VERBS["tick"])
def command() -> int:
    from lowtide.service.serve import beat
    from lowtide.service.ticks import run_tick

    wiring = Wiring()
    with wiring.store() as store:
        now_utc = wiring.now_utc()
        beat(store, "tick", now_utc, _COMES_AGAIN)
        reports = [run_tick(wiring.tick_context(store, "tick"), now_utc)]
        record = wiring.record(store)
        if record is not None:
            reports.append(record(now_utc))
    for report in reports:
        for line in report.did:
            click.echo(line)
        for line in report.failed:
            click.echo(f"lowtide: {without_request(line)}", err=True)
    return 4 if reports[0].failed else 0
