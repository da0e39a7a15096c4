"""``lowtide submit``: plan it, keep it, and say who will run it."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import click

from lowtide.asking import Asked, plan_request
from lowtide.assembly.quote import quote
from lowtide.cli.app import VERBS
from lowtide.cli.home import with_home
from lowtide.cli.options import Sectioned, asked_options, json_option, signal_option
from lowtide.jobs.states import FINAL, IN_FLIGHT
from lowtide.reports import figures
from lowtide.wiring import Wiring

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from lowtide.store import Store
    from lowtide.store.jobs import JobRecord

_POLL_S = 1.0


class _Submit(Sectioned):
    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        has_end = "--" in args
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            if has_end or error.possibilities:
                raise
            told = f"{error.message} If it belongs to the job's command, write -- before that."
            raise click.NoSuchOption(error.option_name, told, error.possibilities, ctx) from None


@click.command(cls=_Submit, help=VERBS["submit"], context_settings={"ignore_unknown_options": False})
@asked_options
@signal_option()
@click.option("--engine", default="local", show_default=True, metavar="NAME", help="What runs it.")
@click.option("--retries", default=0, show_default=True, metavar="N", help="Run again if an attempt is lost.")
@click.option("--name", default="", metavar="TEXT", help="A name for tables and reports.")
@click.option("--env", "environment", multiple=True, metavar="NAME=VALUE", help="For the job; kept, so no secrets.")
@click.option("--working-dir", default="", metavar="DIR", help="Where it runs. Default: here.")
@click.option("--key", default="", metavar="TEXT", help="The same key again is the same job.")
@click.option("--wait", is_flag=True, help="Run it from here, and end as it ends (0, or 1 if it failed).")
@json_option("Print the job as JSON, and nothing else.")
@click.argument("argv", nargs=-1, required=True, metavar="-- COMMAND...")
def command(
    argv: Sequence[str],
    signal: str,
    engine: str,
    retries: int,
    name: str,
    environment: Sequence[str],
    working_dir: str,
    key: str,
    wait: bool,
    as_json: bool,
    **typed: object,
) -> int:
    from lowtide.dispatch.pausing import require_suspendable
    from lowtide.service.submitting import Order, parse_environment, submit

    wiring = Wiring()
    now_utc = wiring.now_utc()
    asked = wiring.with_history(Asked(**typed, fixed_width=True))  # type: ignore[arg-type]
    settings = wiring.settings if asked.zone or asked.region or asked.regions else with_home(wiring)
    runner = wiring.engine(engine)
    if asked.pausable:
        require_suspendable(engine, runner)
    request = wiring.with_promises(plan_request(asked, settings, now_utc=now_utc), now_utc, key=key)
    found = quote(request, wiring.chain(signal, as_of_utc=now_utc))
    order = Order(
        argv=tuple(argv),
        working_dir=os.path.abspath(working_dir or os.curdir),  # noqa: PTH100  a text, as the engine will get it
        environment=parse_environment(environment),
        engine=engine,
        retries=retries,
        name=name,
        signal=signal,
        key=key,
    )
    with wiring.store() as store:
        record = submit(store, found, order, environ=wiring.environ, now_utc=now_utc, who="submit")
        if not as_json:
            click.echo(_accepted(record, store, now_utc, waits_here=wait))
        if wait:
            try:
                record = wait_for(wiring, store, record, tell=lambda line: click.echo(line, err=True))
            except KeyboardInterrupt:
                click.echo(f"\n{_left_behind(store.jobs.get(record.job_id), store, wiring.now_utc())}", err=True)
                raise
        if as_json:
            import json

            from lowtide.cli.jobview import job_json

            click.echo(json.dumps(job_json(record, store), indent=2))
        elif wait:
            click.echo(f"job {record.job_id} {record.state}: {record.why}")
    return 0 if not wait or record.state == "done" else 1


def _accepted(record: JobRecord, store: Store, now_utc: datetime, *, waits_here: bool) -> str:
    plan = record.plan
    quoted = figures.grams(plan.emissions_g)
    if plan.emissions_low_g is not None and plan.emissions_high_g is not None:
        quoted = figures.grams_in_band(plan.emissions_g, plan.emissions_low_g, plan.emissions_high_g)
    saves = "" if plan.saved_pct is None else f", saves {plan.saved_pct:.0f} %"
    when = figures.local_time(plan.start_utc, now_utc)
    starts = "starts" if when.startswith("at once") else "waits for"
    if record.spec.manner.widths is not None:
        when += f", at width {plan.segments[0].width}"
    first = f"job {record.job_id} {starts} {when} · quote {quoted}{saves}"
    return f"{first}\n{'it runs from here' if waits_here else who_runs(store, now_utc)}"


def who_runs(store: Store, now_utc: datetime) -> str:
    """Whether anybody will start the job: never left unsaid."""
    alive = store.services.alive(now_utc)
    if any(service.kind == "serve" for service in alive):
        return "lowtide serve is running, it will start it"
    if alive:
        ago_s = (now_utc - alive[0].beat_utc).total_seconds()
        ran = f"lowtide tick ran {figures.duration(ago_s)} ago"
        return f"{ran}: if cron runs it, the first one after its time will start it"
    return "nobody will start it yet: run lowtide serve, or lowtide tick from cron every few minutes"


def _away_s(record: JobRecord, now_utc: datetime) -> float:
    """How long nothing is going to happen to the job: until it starts, or goes on; s."""
    from lowtide.dispatch.pausing import hold_at

    if record.state == "waiting":
        return (record.plan.start_utc - now_utc).total_seconds()
    hold = hold_at(record, now_utc) if record.state == "paused" else None
    return 0.0 if hold is None or hold.until_utc is None else (hold.until_utc - now_utc).total_seconds()


def _left_behind(record: JobRecord, store: Store, now_utc: datetime) -> str:
    """What becomes of a job that nobody waits for any more."""
    if record.state == "waiting":
        return f"job {record.job_id} still waits: {who_runs(store, now_utc)}"
    if record.state in IN_FLIGHT:
        return f"job {record.job_id} goes on; lowtide cancel {record.job_id} ends it"
    return f"job {record.job_id} {record.state}: {record.why}"


def wait_for(wiring: Wiring, store: Store, record: JobRecord, *, tell: Callable[[str], None]) -> JobRecord:
    """Does for this one job what ``serve`` does for all, until it has ended and is settled as far as can be."""
    from lowtide.service.ticks import run_tick

    context = wiring.tick_context(store, "submit --wait")
    told = ""
    while record.state not in FINAL:
        run_tick(context, wiring.now_utc(), only=(record.job_id,))
        record = store.jobs.get(record.job_id)
        if record.state not in FINAL:
            if record.why != told:
                tell(f"job {record.job_id} {record.state}: {record.why}")
                told = record.why
            time.sleep(min(30 * _POLL_S, max(_POLL_S, _away_s(record, wiring.now_utc()))))
    run_tick(context, wiring.now_utc(), only=(record.job_id,))
    return store.jobs.get(record.job_id)
