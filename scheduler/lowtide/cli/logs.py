"""``lowtide logs``: what a job printed."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import click

from lowtide.cli.app import VERBS
from lowtide.wiring import Wiring
from lowtide_core.errors import InputError, StateError
from lowtide_core.ports import Logged


@click.command(help=VERBS["logs"])
@click.argument("job")
@click.option("--attempt", "number", type=int, metavar="N", help="Which attempt. Default: the last.")
def command(job: str, number: int | None) -> None:
    wiring = Wiring()
    with wiring.store() as store:
        record = store.jobs.get(job)
    wanted = [attempt for attempt in record.attempts if number in (None, attempt.number)]
    if not wanted:
        raise StateError(
            f"Job {record.job_id} has no attempt{'' if number is None else f' {number}'}: it is {record.state}.",
            hint=f"lowtide show {record.job_id} tells more.",
        )
    engine = wiring.engine(wanted[-1].engine)
    if not isinstance(engine, Logged):
        raise InputError(f"The engine {wanted[-1].engine!r} keeps no logs.", hint="Look where it puts them.")
    try:
        with Path(engine.log_path(wanted[-1].key)).open("rb") as log:
            shutil.copyfileobj(log, sys.stdout.buffer)
    except FileNotFoundError:
        raise StateError(f"Job {record.job_id} has printed nothing yet.", hint="Wait for it to start.") from None
