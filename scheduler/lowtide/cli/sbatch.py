"""``lowtide sbatch``: what a Slurm user knows, with one word more."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from lowtide.asking import plan_request
from lowtide.assembly.quote import quote
from lowtide.cli.app import VERBS
from lowtide.cli.home import with_home
from lowtide.cli.submit import require_handed_over
from lowtide.reports import figures
from lowtide.wiring import Wiring

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from lowtide.planning.types import Plan


@click.command(
    help=VERBS["sbatch"],
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
    options_metavar="[OPTIONS OF sbatch]",
    epilog="Beside the options of sbatch: --duration TIME (shorter than the limit), --slack TIME (in place of a "
    "deadline), --zone ZONE, --power POWER, --gpu-model MODEL, --signal-source NAME|FILE, --pausable yes, "
    "--checkpoints yes. --test-only plans and starts nothing.",
)
@click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="SCRIPT [ARGS]...")
def command(words: Sequence[str]) -> int:
    """The time limit, begin, deadline, accelerators and processors of the script's #SBATCH lines are the question."""
    import os

    from lowtide.dispatch.pausing import require_suspendable
    from lowtide.dispatch.start import hand_over
    from lowtide.service.batch import order_of, question_of, read_batch
    from lowtide.service.submitting import check_engine, submit

    wiring = Wiring()
    now_utc = wiring.now_utc()
    batch = read_batch(words, None if sys.stdin.isatty() else sys.stdin.read() if _wants_stdin(words) else None)
    settings = wiring.settings if "zone" in batch.options else with_home(wiring)
    asked, settings = question_of(batch, settings, now_utc)
    engine = wiring.engine("slurm")
    if asked.pausable:
        require_suspendable("slurm", engine)
    order = order_of(batch, wiring.paths.engine("slurm"), os.getcwd())  # noqa: PTH109  a text, as Slurm will get it
    check_engine(engine, order)
    request = wiring.with_promises(plan_request(asked, settings, now_utc=now_utc), now_utc)
    found = quote(request, wiring.chain(order.signal, as_of_utc=now_utc))
    if batch.only_test:
        click.echo(_planned(found.plan, now_utc), err=True)
        return 0
    with wiring.store() as store:
        record = submit(store, found, order, environ=wiring.environ, now_utc=now_utc, who="sbatch")
        record = hand_over(wiring.actor(store, "sbatch"), record, now_utc)
    require_handed_over(record)
    ref = "" if record.attempt is None else record.attempt.ref
    click.echo(ref if batch.parsable else f"Submitted batch job {ref}")
    click.echo(f"lowtide: job {record.job_id}, {_planned(record.plan, now_utc)}", err=True)
    return 0


def _wants_stdin(words: Sequence[str]) -> bool:
    """Whether the command line names no script of its own."""
    from lowtide.service.batch import OWN_OPTIONS
    from lowtide_providers.engines.slurm_options import read_words

    given, rest = read_words(words, also=OWN_OPTIONS)
    return not rest and "wrap" not in given


def _planned(plan: Plan, now_utc: datetime) -> str:
    saves = "" if plan.saved_pct is None else f", saves {plan.saved_pct:.0f} %"
    return f"begins {figures.local_time(plan.start_utc, now_utc)} · quote {figures.grams(plan.emissions_g)}{saves}"
