"""``lowtide pause``: hold a job that runs, whatever its plan says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from lowtide.cli.app import VERBS
from lowtide.cli.jobview import wait_until
from lowtide.reports import figures
from lowtide.wiring import Wiring

if TYPE_CHECKING:
    from collections.abc import Sequence


@click.command(help=VERBS["pause"])
@click.argument("jobs", nargs=-1, required=True)
def command(jobs: Sequence[str]) -> None:
    from lowtide.dispatch.pausing import must_run_from_utc
    from lowtide.dispatch.wishes import request_pause

    wiring = Wiring()
    with wiring.store() as store:
        actor = wiring.actor(store, "pause")
        for job in jobs:
            record = request_pause(actor, store.jobs.get(job), wiring.now_utc())
            record = wait_until(actor, record, wiring, lambda now: now.state not in ("starting", "running"))
            told = record.why if record.state == "paused" else "it is told to pause"
            click.echo(f"job {record.job_id} {record.state}: {told}")
            if record.state == "paused":
                now_utc = wiring.now_utc()
                latest = figures.local_time(must_run_from_utc(record, now_utc), now_utc)
                click.echo(f"  to meet its deadline it must run on {latest}: lowtide resume {record.job_id}")
