"""``lowtide cancel``: end jobs, or keep them from starting."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from lowtide.cli.app import VERBS
from lowtide.jobs.states import FINAL
from lowtide.wiring import Wiring
from lowtide_core.errors import StateError

if TYPE_CHECKING:
    from collections.abc import Sequence

_PATIENCE_S = 3.0


@click.command(help=VERBS["cancel"])
@click.argument("jobs", nargs=-1, required=True)
def command(jobs: Sequence[str]) -> None:
    from lowtide.dispatch.reconcile import reconcile, request_cancel

    wiring = Wiring()
    with wiring.store() as store:
        actor = wiring.actor(store, "cancel")
        for job in jobs:
            record = store.jobs.get(job)
            if record.state in FINAL:
                raise StateError(
                    f"Job {record.job_id} cannot be cancelled: it is {record.state} ({record.why}).",
                    hint=f"lowtide show {record.job_id} tells more.",
                )
            record = request_cancel(actor, record, wiring.now_utc())
            give_up_s = time.monotonic() + _PATIENCE_S
            while record.state not in FINAL and time.monotonic() < give_up_s:
                time.sleep(0.2)
                reconcile(actor, wiring.now_utc(), only=(record.job_id,))
                record = store.jobs.get(record.job_id)
            told = "it is told to end" if record.state not in FINAL else record.why
            click.echo(f"job {record.job_id} {record.state}: {told}")
