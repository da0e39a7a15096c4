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
from lowtide_core.errors import InputError, Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from lowtide.store import Store
    from lowtide.store.jobs import JobRecord

_POLL_S = 1.0
_BEGUN_BY_US = ("kubernetes",)
"""Engines that keep a job until its time, and do not know of time themselves."""


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
@click.option("--option", "options", multiple=True, metavar="NAME=VALUE", help="For the engine: partition=gpu.")
@click.option("--checkpoints", is_flag=True, help="Started anew it goes on from what it has saved.")
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
    options: Sequence[str],
    checkpoints: bool,
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
    from lowtide.dispatch.remote import require_goes_on
    from lowtide.dispatch.start import hand_over
    from lowtide.service.submitting import Order, check_engine, parse_environment, submit
    from lowtide_core.ports import Remote, Restarting

    wiring = Wiring()
    now_utc = wiring.now_utc()
    asked = wiring.with_history(Asked(**typed, fixed_width=True))  # type: ignore[arg-type]
    settings = wiring.settings if asked.zone or asked.region or asked.regions else with_home(wiring)
    runner = wiring.engine(engine)
    if asked.pausable and isinstance(require_suspendable(engine, runner), Restarting):
        require_goes_on(engine, checkpoints)
    request = wiring.with_promises(plan_request(asked, settings, now_utc=now_utc), now_utc, key=key)
    order = Order(
        argv=tuple(argv),
        working_dir=os.path.abspath(working_dir or os.curdir),  # noqa: PTH100  a text, as the engine will get it
        environment=parse_environment(environment),
        engine=engine,
        retries=retries,
        name=name,
        signal=signal,
        key=key,
        options=parse_environment(options, "--option partition=gpu"),
        checkpoints=checkpoints,
        cpus=asked.cpus if _is_typed("cpus") else None,
        elsewhere=isinstance(runner, Remote),
    )
    check_engine(runner, order)
    found = quote(request, wiring.chain(signal, as_of_utc=now_utc))
    with wiring.store() as store:
        record = submit(store, found, order, environ=wiring.environ, now_utc=now_utc, who="submit")
        record = hand_over(wiring.actor(store, "submit"), record, now_utc)
        if not wait:
            require_handed_over(record)
        if not as_json:
            click.echo(accepted(record, store, now_utc, waits_here=wait))
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
    return 0 if record.state == "done" or not wait else 1


def _is_typed(option: str) -> bool:
    """Whether the user gave it: what stands in for it is no wish of theirs."""
    return click.get_current_context().get_parameter_source(option) is not click.core.ParameterSource.DEFAULT


def accepted(record: JobRecord, store: Store, now_utc: datetime, *, waits_here: bool) -> str:
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
    return f"{first}\n{'it runs from here' if waits_here else who_begins(record, store, now_utc)}"


def require_handed_over(record: JobRecord) -> None:
    """Says so where an engine with a queue of its own does not have the job that it was just given.

    Raises:
        InputError: It refuses the job.
        Unavailable: It does not answer; the job is kept, and given to it later.
    """
    if record.state == "failed":
        raise InputError(record.why)
    if record.state == "starting" and record.attempt is not None and record.attempt.ref is None:
        raise Unavailable(
            f"Job {record.job_id} is kept, but {record.spec.engine} does not have it yet, {record.why}",
            provider=record.spec.engine,
            operation="submit",
            hint=f"lowtide serve or tick tries again; lowtide cancel {record.job_id} takes it back.",
        )


def who_begins(record: JobRecord, store: Store, now_utc: datetime) -> str:
    """Who starts this job: its engine, where that keeps a queue and has it, else whoever is there."""
    attempt = record.attempt
    if record.state != "starting" or attempt is None:
        return who_runs(store, now_utc)
    if attempt.engine in _BEGUN_BY_US:
        return f"{attempt.engine} has it as {attempt.ref}, suspended; {who_runs(store, now_utc)}"
    later = "" if store.services.alive(now_utc) else "; lowtide serve, or tick from cron, follows and settles it"
    return f"{attempt.engine} has it as {attempt.ref} and begins it{later}"


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
