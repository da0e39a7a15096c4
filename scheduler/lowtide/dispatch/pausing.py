"""Holds jobs between the runs of their plan and at their users' wish, and lets them run on.

The engine is brought to where the job should be now, and only what it confirms is written down. Whoever dies in between
leaves a difference that the next round finds.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

from lowtide.planning.energy import booked_s
from lowtide_core.errors import InputError
from lowtide_core.ports import Suspendable
from lowtide_core.spans import iso_utc

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from lowtide.dispatch.actor import Actor
    from lowtide.store.jobs import Attempt, JobRecord
    from lowtide_core.launches import EngineReport
    from lowtide_core.ports import Engine

_IN_GOOD_TIME = timedelta(minutes=5)
"""A job that cannot wait for its next run goes on so much before the last moment: rounds from cron are not finer."""

_BY_USER = "by the user, until resumed"


@dataclass(frozen=True, slots=True)
class Hold:
    """A job should not run now: why, and until when; None is until somebody says so."""

    why: str
    until_utc: datetime | None


def hold_at(record: JobRecord, now_utc: datetime) -> Hold | None:
    """Whether, and until when, the job should be held; None: it should run.

    The user's wish comes first, then the deadline, then the plan. After the last run of its plan a job runs on.
    """
    if record.pause_wanted:
        return Hold(_BY_USER, None)
    next_utc = _next_run_utc(record, now_utc)
    if next_utc is None:
        return None
    latest_utc = must_run_from_utc(record, now_utc)
    until_utc = next_utc if next_utc <= latest_utc else latest_utc - _IN_GOOD_TIME
    if now_utc >= until_utc:
        return None
    return Hold(f"by its plan, until {iso_utc(until_utc.replace(microsecond=0))}", until_utc)


def _next_run_utc(record: JobRecord, now_utc: datetime) -> datetime | None:
    """When the next run of the plan begins; None where it is not now between two of them."""
    runs = pairwise(record.plan.segments)
    return next((after.start_utc for before, after in runs if before.end_utc <= now_utc < after.start_utc), None)


def must_run_from_utc(record: JobRecord, now_utc: datetime) -> datetime:
    """The last moment from which the job, if it takes as long as was said, can still meet its deadline."""
    ran_s = record.attempt.ran_s(now_utc) if record.state in ("running", "paused") and record.attempt else 0.0
    takes_s = booked_s(record.spec.manner, record.spec.duration_s)
    return record.spec.deadline_utc - timedelta(seconds=max(0.0, takes_s - ran_s))


def next_turn_utc(records: Iterable[JobRecord], now_utc: datetime) -> datetime | None:
    """When the first of these jobs in flight is to be held, or to run on; None where none is."""
    turns = []
    for record in records:
        hold = hold_at(record, now_utc)
        if hold is not None:
            turns.append(hold.until_utc)
        else:
            turns += [run.end_utc for run in record.plan.segments[:-1] if run.start_utc <= now_utc < run.end_utc]
    return min((turn for turn in turns if turn is not None), default=None)


def require_suspendable(name: str, engine: Engine) -> Suspendable:
    """The engine as one that can hold what it runs: only there a plan may have several runs.

    Raises:
        InputError: It cannot.
    """
    if isinstance(engine, Suspendable):
        return engine
    raise InputError(
        f"The engine {name!r} cannot pause what it runs.",
        hint="Leave --pausable out, or take another engine (local).",
        engine=name,
    )


def hold_or_release(
    actor: Actor, record: JobRecord, attempt: Attempt, report: EngineReport, now_utc: datetime
) -> JobRecord:
    """Brings a job that its engine runs to where it should be now, and writes down what the engine confirms.

    That it has been held, and since when, is written down first: how long it has run decides what it may wait for. An
    engine that cannot hold anything lets its jobs run on.

    Raises:
        ProviderError: The engine does not do it now; the next round asks again.
        StaleOwner: Somebody else has moved the job meanwhile.
    """
    hold = hold_at(record, now_utc)
    if report.state == "running" and report.suspended and record.state == "running":
        record = _write_down(actor, record, report, hold, now_utc)
        hold = hold_at(record, now_utc)
    engine = actor.engine(attempt.engine)
    if isinstance(engine, Suspendable):
        if hold is not None and not report.suspended:
            engine.suspend(attempt.key)
        elif hold is None and (report.suspended or record.state == "paused"):
            engine.resume(attempt.key)
        if (hold is not None) != report.suspended:
            (report,) = engine.observe([attempt.key])
    if report.state != "running":  # it has ended meanwhile: the next round writes that down
        return record
    return _write_down(actor, record, report, hold, now_utc)


def _write_down(
    actor: Actor, record: JobRecord, report: EngineReport, hold: Hold | None, now_utc: datetime
) -> JobRecord:
    if report.suspended and record.state == "running":
        return actor.jobs.move(
            record,
            "pause",
            at_utc=now_utc,
            who=actor.who,
            why=hold.why if hold else "held by its engine",
            owner=record.owner,
            held_utc=report.suspended_utc,
        )
    if not report.suspended and record.state == "paused" and hold is None:
        why = _why_it_runs(record, now_utc)
        return actor.jobs.move(record, "resume", at_utc=now_utc, who=actor.who, why=why, owner=record.owner)
    if record.state == "paused" and hold is not None and record.why != hold.why:
        return actor.jobs.note(record, at_utc=now_utc, who=actor.who, why=hold.why)
    return record


def _why_it_runs(record: JobRecord, now_utc: datetime) -> str:
    if record.why == _BY_USER:
        return "the user lets it run on"
    if _next_run_utc(record, now_utc) is not None:
        return "its deadline leaves no time to wait for its next run"
    return "its next run has come"
