"""``lowtide show``: one job, whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from lowtide.cli.app import VERBS
from lowtide.cli.jobview import job_json
from lowtide.cli.options import json_option
from lowtide.jobs.states import FINAL, SHOWN
from lowtide.reports import figures
from lowtide.wiring import Wiring
from lowtide_core.spans import iso_utc

if TYPE_CHECKING:
    from datetime import datetime

    from lowtide.planning.types import Plan
    from lowtide.store import Store
    from lowtide.store.jobs import Attempt, JobRecord


@click.command(help=VERBS["show"])
@click.argument("job")
@click.option("--replay", is_flag=True, help="Make its newest plan again from the archive, and compare.")
@json_option()
def command(job: str, replay: bool, as_json: bool) -> int:
    wiring = Wiring()
    with wiring.store() as store:
        record = store.jobs.get(job)
        if replay:
            return _replay(store, record, as_json=as_json)
        events = store.jobs.events(record.job_id)
        found = job_json(record, store)
    if as_json:
        import json

        found["events"] = [
            {
                "at_utc": iso_utc(event.at_utc),
                "move": event.letter,
                "from_state": event.from_state or None,
                "to_state": event.to_state,
                "who": event.who,
                "why": event.why,
            }
            for event in events
        ]
        click.echo(json.dumps(found, indent=2))
        return 0
    plan, spec, now_utc = record.plan, record.spec, wiring.now_utc()
    rows = [
        ("job", f"{record.job_id}{f' ({spec.name})' if spec.name else ''}, {SHOWN[record.state]}: {record.why}"),
        ("command", " ".join(spec.argv)),
        ("where", f"{plan.segments[0].region} ({plan.segments[0].zone}), engine {spec.engine}, in {spec.working_dir}"),
        ("planned", f"{figures.clock(plan.start_utc)} to {figures.clock(plan.end_utc)}, plan {record.plan_number}"),
        (
            "deadline",
            figures.clock(spec.deadline_utc) if record.state in FINAL else _deadline(spec.deadline_utc, now_utc),
        ),
        ("quote", f"{figures.grams(plan.emissions_g)} for {figures.kwh(plan.energy_kwh)} · {plan.forecast.source}"),
    ]
    rows[4:4] = _runs(plan, now_utc)
    rows += [(f"attempt {attempt.number}", _attempt(attempt, now_utc)) for attempt in record.attempts]
    for name, text in rows:
        click.echo(f"{name:<11}{text}")
    click.echo("events")
    for event in events:
        click.echo(f"  {event.at_utc.astimezone():%d %b %H:%M:%S}  {event.to_state:<11}{event.why}  ({event.who})")
    return 0


def _replay(store: Store, record: JobRecord, *, as_json: bool) -> int:
    """The newest plan, made again; 70 where it is not the same: a bug, or another planner than the one that made it."""
    from lowtide.service.replaying import replay

    found = replay(store, record.job_id, record.plan_number)
    if as_json:
        import json

        unlike = {name: [str(getattr(found.kept, name)), str(getattr(found.anew, name))] for name in found.unlike}
        said = {"job_id": record.job_id, "plan": record.plan_number, "same": not found.unlike, "unlike": unlike}
        click.echo(json.dumps(said, indent=2))
    elif not found.unlike:
        click.echo(
            f"plan {record.plan_number} of job {record.job_id}, made again from the archive: the same, bit for bit"
        )
    else:
        click.echo(f"plan {record.plan_number} of job {record.job_id}, made again from the archive, differs:")
        for name in found.unlike:
            click.echo(f"  {name}: {getattr(found.kept, name)} was kept, {getattr(found.anew, name)} comes out now")
    return 70 if found.unlike else 0


def _runs(plan: Plan, now_utc: datetime) -> list[tuple[str, str]]:
    """The runs of a plan that has several, and where it is between them."""
    if len(plan.segments) == 1:
        return []
    rows = []
    for number, run in enumerate(plan.segments, start=1):
        length_s = (run.end_utc - run.start_utc).total_seconds()
        if now_utc >= run.end_utc:
            place = "past"
        elif now_utc >= run.start_utc:
            place = f"now, {figures.duration((run.end_utc - now_utc).total_seconds())} left"
        else:
            place = f"in {figures.duration((run.start_utc - now_utc).total_seconds())}"
        rows.append((f"  run {number}", f"{figures.clock(run.start_utc)}, {figures.duration(length_s)} · {place}"))
    return rows


def _attempt(attempt: Attempt, now_utc: datetime) -> str:
    if attempt.started_utc is None:
        return "not seen to start" + ("" if attempt.exit_status is None else f", exit status {attempt.exit_status}")
    parts = [figures.clock(attempt.started_utc)]
    held_s = attempt.held_s(now_utc)
    if held_s:
        parts.append(f"ran {figures.duration(attempt.ran_s(now_utc))}, paused {figures.duration(held_s)}")
    if attempt.exit_status is not None:
        parts.append(f"exit status {attempt.exit_status}")
    return ", ".join(parts)


def _deadline(deadline_utc: datetime, now_utc: datetime) -> str:
    if deadline_utc > now_utc:
        return figures.local_time(deadline_utc, now_utc)
    return f"{figures.clock(deadline_utc)}, passed {figures.duration((now_utc - deadline_utc).total_seconds())} ago"
