"""``lowtide serve``: rounds until it is told to stop."""

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING

import click

from lowtide.cli.app import VERBS
from lowtide.cli.text import without_request
from lowtide.wiring import Wiring
from lowtide_core.quantities import parse_duration_s

if TYPE_CHECKING:
    from lowtide.service.ticks import TickReport


@click.command(help=VERBS["serve"])
@click.option("--interval", default="10s", show_default=True, metavar="TIME", help="Between two rounds.")
def command(interval: str) -> None:
    from lowtide.service.serve import serve

    interval_s = parse_duration_s(interval)
    wiring, stop = Wiring(), threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with wiring.store() as store:
        click.echo(f"lowtide serve: a round every {interval}, store {store.database.name}; Ctrl-C ends it", err=True)
        serve(
            wiring.tick_context(store, "serve"),
            store,
            interval_s=interval_s,
            stop=stop,
            tell=_tell,
            record=wiring.record(store),
        )
    click.echo("lowtide serve: stopped; jobs that run go on", err=True)


def _tell(report: TickReport) -> None:
    for line in (*report.did, *report.failed):
        click.echo(without_request(line), err=True)
