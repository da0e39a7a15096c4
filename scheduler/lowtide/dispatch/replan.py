"""Renews the plans of jobs that wait, here or in their engine's queue, and whose forecast has grown old."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from lowtide.dispatch.pausing import hold_at, must_run_from_utc
from lowtide_core.errors import InfeasibleError, InputError, ProviderError, StaleOwner
from lowtide_core.ports import Movable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from lowtide.dispatch.actor import Actor
    from lowtide.store.jobs import JobRecord, NewPlan

MOST_AGE = timedelta(hours=1)
"""A plan older than this is looked at again, where sources issue new forecasts."""

LOOK_AGAIN = timedelta(minutes=15)
"""After a look that found nothing fresher, the next one waits so long: sources are not asked at every tick."""

_HOLDS = "the old plan holds: "


def replan_stale(
    actor: Actor,
    make_plan: Callable[[JobRecord, datetime], NewPlan],
    now_utc: datetime,
    only: Sequence[str] = (),
) -> tuple[JobRecord, ...]:
    """Re-plans waiting jobs whose plan is older than ``MOST_AGE``; returns those whose record says something new.

    A model (climatology, annual level) does not age. When no fresher forecast can be had the old plan holds, and the
    record says so, once. A job that must start to meet its deadline is left alone: the deadline wins.
    """
    touched = []
    for record in actor.jobs.unrenewed(now_utc - MOST_AGE, now_utc - LOOK_AGAIN):
        if (only and record.job_id not in only) or not _can_move(record, now_utc) or not _is_ours(actor, record):
            continue
        try:
            after = _replan(actor, record, make_plan, now_utc)
        except StaleOwner:
            continue
        if (after.plan_number, after.why) != (record.plan_number, record.why):
            touched.append(after)
    return tuple(touched)


def _can_move(record: JobRecord, now_utc: datetime) -> bool:
    waits = now_utc < record.plan.start_utc or hold_at(record, now_utc) is not None
    return record.plan.forecast.kind == "forecast" and waits and now_utc < must_run_from_utc(record, now_utc)


def _is_ours(actor: Actor, record: JobRecord) -> bool:
    """Whether it waits here, or in the queue of an engine that can move it there."""
    if record.state == "waiting":
        return True
    try:
        return isinstance(actor.engine(record.spec.engine), Movable)
    except InputError:  # its engine is not here any more
        return False


def _replan(
    actor: Actor, record: JobRecord, make_plan: Callable[[JobRecord, datetime], NewPlan], now_utc: datetime
) -> JobRecord:
    try:
        fresh = make_plan(record, now_utc)
    except (ProviderError, InfeasibleError, InputError) as error:
        return _hold(actor, record, error.message, now_utc)
    old_issue, new_issue = record.plan.forecast.issued_at, fresh.plan.forecast.issued_at
    if fresh.plan.forecast.frame != record.plan.forecast.frame:
        return _hold(actor, record, f"only {fresh.plan.forecast.source}, in another frame, can be had", now_utc)
    if old_issue is not None and (new_issue is None or new_issue <= old_issue):
        return _hold(actor, record, "no fresher forecast can be had", now_utc)
    moved = fresh.plan.start_utc != record.plan.start_utc
    why = "a fresher forecast moves it" if moved else "a fresher forecast keeps its time"
    move = "replan" if record.state == "waiting" else "shift"
    return actor.jobs.move(record, move, at_utc=now_utc, who=actor.who, why=why, planned=fresh, owner=record.owner)


def _hold(actor: Actor, record: JobRecord, why: str, now_utc: datetime) -> JobRecord:
    said = record.why if record.why.startswith(_HOLDS) else _HOLDS + why
    return actor.jobs.note(record, at_utc=now_utc, who=actor.who, why=said)
