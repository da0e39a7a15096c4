"""A job as a line of a table and as JSON, for the verbs that show jobs."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from lowtide.dispatch.pausing import hold_at
from lowtide.jobs.states import FINAL, SHOWN
from lowtide.reports import figures
from lowtide_core.places import LOCAL
from lowtide_core.spans import iso_utc

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from lowtide.dispatch.actor import Actor
    from lowtide.dispatch.pausing import Hold
    from lowtide.store import Store
    from lowtide.store.jobs import JobRecord
    from lowtide.wiring import Wiring

_PATIENCE_S = 3.0


def wait_until(actor: Actor, record: JobRecord, wiring: Wiring, holds: Callable[[JobRecord], bool]) -> JobRecord:
    """The job once that holds of it, or as it stands when the patience is over."""
    from lowtide.dispatch.reconcile import reconcile

    give_up_s = time.monotonic() + _PATIENCE_S
    while not holds(record) and time.monotonic() < give_up_s:
        time.sleep(0.2)
        reconcile(actor, wiring.now_utc(), only=(record.job_id,))
        record = actor.jobs.get(record.job_id)
    return record


_LONGEST_NAME = 16
"""Of a job in the table; the others are cut, and ``show`` has them whole."""


def job_row(record: JobRecord, store: Store, now_utc: datetime) -> tuple[str, ...]:
    """Job with its name, state, when, where, quote, so far, why."""
    settlement = store.settlements.latest(record.job_id)
    realised = settlement["realised"]["emissions_g"] if settlement else None
    segment = record.plan.segments[0]
    name = record.spec.name
    return (
        f"{record.job_id} {name if len(name) <= _LONGEST_NAME else f'{name[: _LONGEST_NAME - 1]}…'}".rstrip(),
        SHOWN[record.state],
        _when(record, now_utc),
        segment.zone if segment.region == LOCAL else segment.region,
        figures.grams(record.plan.emissions_g),
        figures.grams(realised),
        record.why,
    )


def _when(record: JobRecord, now_utc: datetime) -> str:
    hold = hold_at(record, now_utc) if record.state in ("waiting", "paused") else None
    if record.state == "paused":
        return _goes_on(hold, now_utc)
    if record.state == "waiting":
        starts_utc = hold.until_utc if hold and hold.until_utc else record.plan.start_utc
        away_s = (starts_utc - now_utc).total_seconds()
        if record.spec.deadline_utc <= now_utc:
            return "too late"
        return f"due {figures.duration(-away_s)} ago" if away_s <= 0 else f"starts in {figures.duration(away_s)}"
    attempt = record.attempt
    if (
        record.state in FINAL
        and attempt is not None
        and attempt.started_utc is not None
        and attempt.ended_utc is not None
    ):
        return f"{attempt.started_utc.astimezone():%H:%M}, {figures.duration(attempt.ran_s(now_utc))}"
    if attempt is not None and attempt.started_utc is not None:
        return f"since {attempt.started_utc.astimezone():%H:%M}"
    return f"{record.changed_utc.astimezone():%H:%M}"


def _goes_on(hold: Hold | None, now_utc: datetime) -> str:
    if hold is None:
        return "goes on now"
    if hold.until_utc is None:
        return "until resumed"
    return f"goes on in {figures.duration((hold.until_utc - now_utc).total_seconds())}"


def job_json(record: JobRecord, store: Store) -> dict[str, Any]:
    """Everything about a job but its events."""
    plan, spec = record.plan, record.spec
    return {
        "job_id": record.job_id,
        "key": record.key,
        "name": spec.name,
        "state": record.state,
        "why": record.why,
        "command": list(spec.argv),
        "engine": spec.engine,
        "submitted_utc": iso_utc(record.submitted_utc),
        "earliest_utc": iso_utc(spec.earliest_utc),
        "deadline_utc": iso_utc(spec.deadline_utc),
        "duration_s": spec.duration_s,
        "power_w": spec.power_w,
        "power_basis": spec.power_basis,
        "pause_wanted": record.pause_wanted,
        "planned": {
            "number": record.plan_number,
            "made_utc": iso_utc(record.plan_made_utc),
            "start_utc": iso_utc(plan.start_utc),
            "end_utc": iso_utc(plan.end_utc),
            "region": plan.segments[0].region,
            "zone": plan.segments[0].zone,
            "runs": [[iso_utc(run.start_utc), iso_utc(run.end_utc)] for run in plan.segments],
            "energy_kwh": plan.energy_kwh,
            "emissions_g": plan.emissions_g,
            "saved_pct": plan.saved_pct,
            "source": plan.forecast.source,
            "vintages": dict(record.vintages),
        },
        "attempts": [
            {
                "number": attempt.number,
                "key": attempt.key,
                "ref": attempt.ref,
                "started_utc": iso_utc(attempt.started_utc) if attempt.started_utc else None,
                "ended_utc": iso_utc(attempt.ended_utc) if attempt.ended_utc else None,
                "exit_status": attempt.exit_status,
                "paused_s": attempt.paused_s,
                "paused_utc": iso_utc(attempt.paused_utc) if attempt.paused_utc else None,
                "why": attempt.why,
                "identity": dict(attempt.identity),
                "engine_energy_j": attempt.engine_energy_j,
            }
            for attempt in record.attempts
        ],
        "settlement": store.settlements.latest(record.job_id),
    }
