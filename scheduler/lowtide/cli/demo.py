"""``lowtide demo``: the whole path on this machine, with a state folder of its own."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lowtide.asking import Asked, plan_request, regions_request
from lowtide.cli.app import VERBS
from lowtide.settings import paths
from lowtide.wiring import Wiring
from lowtide_core.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

_HOME = "GB"
_PATIENCE = "2s"
_TRAIN_S = 15


@click.command(help=VERBS["demo"])
def command() -> int:
    wiring = Wiring(demo_environment(os.environ))
    wiring.paths.state.mkdir(parents=True, exist_ok=True)
    _greenest(wiring)
    _best_time(wiring)
    return _real_job(wiring)


def demo_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment with the demo's own settings and state: nothing of the user's is read or changed."""
    state = paths(environ).state / "demo"
    mine = {
        "LOWTIDE_STATE": str(state),
        "LOWTIDE_CONFIG": str(state / "config.toml"),
        "LOWTIDE_HOME": _HOME,
        "LOWTIDE_HTTP_TIMEOUT_S": _PATIENCE,
    }
    kept = {name: value for name, value in environ.items() if not name.startswith("LOWTIDE_")}
    offline = {"LOWTIDE_OFFLINE": environ["LOWTIDE_OFFLINE"]} if environ.get("LOWTIDE_OFFLINE") else {}
    return {**kept, **offline, **mine}


def _head(number: int, text: str, typed: str) -> None:
    click.echo(click.style(f"\n{number}. {text}", bold=True))
    click.echo(click.style(f"   $ lowtide {typed}\n", dim=True))


def _greenest(wiring: Wiring) -> None:
    from lowtide.assembly.ranking import rank
    from lowtide.cli.regions import lines

    _head(1, "Which region is greenest for an H100?", "regions --gpu H100 --duration 4h")
    now_utc = wiring.now_utc()
    asked = Asked(duration="4h", gpu="H100")
    request = regions_request(asked, wiring.settings, providers="", residency="", now_utc=now_utc)
    ranking = rank(request, wiring.chain(embedded=True))
    click.echo("\n".join(lines(ranking, request, now_utc, show_all=False)))


def _best_time(wiring: Wiring) -> None:
    from lowtide.assembly.quote import quote
    from lowtide.cli.plan import lines

    _head(2, f"When should a 4 h job run at home in {_HOME}?", "plan --duration 4h --deadline 24h --power 300W")
    now_utc = wiring.now_utc()
    asked = Asked(duration="4h", deadline="24h", power="300W")
    found = quote(plan_request(asked, wiring.settings, now_utc=now_utc), wiring.chain(tries=1))
    click.echo("\n".join(lines(found, now_utc)))
    live = found.plan.forecast.kind == "forecast"
    told = "NESO's live forecast answered" if live else f"NESO did not answer within {_PATIENCE}: embedded climatology"
    click.echo(f"({told})")


def _real_job(wiring: Wiring) -> int:
    from lowtide.assembly.quote import quote
    from lowtide.cli.report import write_whole
    from lowtide.cli.submit import wait_for
    from lowtide.reports.build import build
    from lowtide.reports.html_report import to_html
    from lowtide.reports.text_report import receipt
    from lowtide.service.submitting import Order, submit

    script = training_script()
    typed = f"submit --duration 20s --deadline 40s --cpus 2 --wait -- python {script.name}"
    _head(3, f"A real job: {script.name} trains a small network for {_TRAIN_S} s, planned, run and measured", typed)
    now_utc = wiring.now_utc()
    asked = Asked(duration="20s", deadline="40s", cpus=min(2, os.cpu_count() or 1))
    found = quote(plan_request(asked, wiring.settings, now_utc=now_utc), wiring.chain(tries=1))
    order = Order((sys.executable, str(script), "--seconds", str(_TRAIN_S)), str(script.parent), {}, name="demo")
    with wiring.store() as store:
        record = submit(store, found, order, environ=wiring.environ, now_utc=now_utc, who="demo")
        record = wait_for(wiring, store, record, tell=lambda line: click.echo(f"   {line}"))
        report = build(store, (record,), wiring.now_utc())
    click.echo("\n".join(["", *receipt(report.rows[0])]))
    target = wiring.paths.state / "report.html"
    write_whole(target, to_html(report))
    click.echo(f"\nThe same as a page: {target}")
    return 0 if record.state == "done" else 1


def training_script() -> Path:
    """``examples/train.py``, where it lies in the repository or in the installed package."""
    package = Path(__file__).parents[1]
    for folder in (package / "examples", package.parents[1] / "examples"):
        if (folder / "train.py").is_file():
            return folder / "train.py"
    raise InputError("The demo's training script is not there.", hint="Run the demo from the repository: make demo.")
