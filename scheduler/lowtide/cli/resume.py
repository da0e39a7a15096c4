"""``lowtide resume``: let a job run on that was paused by ``lowtide pause``; its plan holds again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from lowtide.cli.app import VERBS
from lowtide.cli.jobview import wait_until
from lowtide.wiring import Wiring

if TYPE_CHECKING:
    from collections.abc import Sequence


@click.command(help=VERBS["resume"])
@click.argument("jobs", nargs=-1, required=True)
def command(jobs: Sequence[str]) -> None:
    from lowtide.dispatch.pausing import hold_at
    from lowtide.dispatch.wishes import request_resume

    wiring = Wiring()
    with wiring.store() as store:
        actor = wiring.actor(store, "resume")
        for job in jobs:
            record = request_resume(actor, store.jobs.get(job), wiring.now_utc())
            if hold_at(record, wiring.now_utc()) is None:
                record = wait_until(actor, record, wiring, lambda now: now.state != "paused")
            click.echo(f"job {record.job_id} {record.state}: {record.why}")
