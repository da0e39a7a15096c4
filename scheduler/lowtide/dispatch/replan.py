"""Renews the plans of waiting jobs whose forecast has grown old."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from lowtide_core.errors import InfeasibleError, InputError, ProviderError, StaleOwner

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from lowtide.dispatch.actor import Actor
    from lowtide.store.jobs import JobRecord, NewPlan

MOST_AGE = timedelta(hours=1)
"""A forecast older than this is looked at again."""

_HOLDS = "the old plan holds: "


def replan_stale(
    actor: Actor,
    make_plan: Callable[[JobRecord, datetime], NewPlan],
    now_utc: datetime,
    only: Sequence[str] = (),
) -> tuple[JobRecord, ...]:
    """Re-plans waiting jobs whose forecast is older than ``MOST_AGE``; returns those that it touched.

    A model (climatology, annual level) does not age. When no fresher forecast can be had the old plan holds, and the
    record says so, once. A job that must start to meet its deadline is left alone: the deadline wins.
    """
    touched = []
    for record in actor.jobs.find(states=("waiting",)):
        if (only and record.job_id not in only) or not _is_stale(record, now_utc):
            continue
        try:
            after = _replan(actor, record, make_plan, now_utc)
        except StaleOwner:
            continue
        if after is not None:
            touched.append(after)
    return tuple(touched)


def _is_stale(record: JobRecord, now_utc: datetime) -> bool:
    issued = record.plan.forecast.issued_at
    must_start = record.spec.deadline_utc - timedelta(seconds=record.spec.duration_s)
    return (
        record.plan.forecast.kind == "forecast"
        and issued is not None
        and now_utc - max(issued, record.plan_made_utc) > MOST_AGE
        and now_utc < min(record.plan.start_utc, must_start)
    )


def _replan(
    actor: Actor, record: JobRecord, make_plan: Callable[[JobRecord, datetime], NewPlan], now_utc: datetime
) -> JobRecord | None:
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
    return actor.jobs.move(record, "replan", at_utc=now_utc, who=actor.who, why=why, planned=fresh)


def _hold(actor: Actor, record: JobRecord, why: str, now_utc: datetime) -> JobRecord | None:
    if record.why.startswith(_HOLDS):
        return None
    return actor.jobs.note(record, at_utc=now_utc, who=actor.who, why=_HOLDS + why)
