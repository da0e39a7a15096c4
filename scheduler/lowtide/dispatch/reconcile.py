"""Asks the engines about everything that they have, or may have, and writes down what they say."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from lowtide.dispatch.start import ask_engine
from lowtide.store.jobs import AttemptEnd
from lowtide_core.errors import ProviderError, StaleOwner

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from lowtide.dispatch.actor import Actor
    from lowtide.store.jobs import Attempt, JobRecord
    from lowtide_core.launches import EngineReport


def reconcile(actor: Actor, now_utc: datetime, only: Sequence[str] = ()) -> tuple[JobRecord, ...]:
    """Brings every job in flight (of ``only``, where it names some) to where its engine says it is.

    One question per engine. Returns the jobs that moved. An engine that does not answer leaves its jobs as they are.
    """
    asked: dict[str, list[tuple[JobRecord, Attempt]]] = {}
    for record in actor.jobs.in_flight():
        if record.attempt is not None and (not only or record.job_id in only):
            asked.setdefault(record.attempt.engine, []).append((record, record.attempt))
    moved = []
    for name, flying in asked.items():
        for record, attempt, report in _observed(actor, name, flying):
            try:
                after = _settle_with(actor, record, attempt, report, now_utc)
            except StaleOwner:  # somebody else has written it down meanwhile
                continue
            if after.state != record.state:
                moved.append(after)
    return tuple(moved)


def _observed(
    actor: Actor, name: str, flying: list[tuple[JobRecord, Attempt]]
) -> Iterable[tuple[JobRecord, Attempt, EngineReport]]:
    engine = actor.engine(name)
    try:
        for record, attempt in flying:
            if record.cancel_wanted:
                engine.cancel(attempt.key)
        reports = engine.observe([attempt.key for _, attempt in flying])
    except ProviderError:
        return ()
    return ((record, attempt, report) for (record, attempt), report in zip(flying, reports, strict=True))


def _settle_with(
    actor: Actor, record: JobRecord, attempt: Attempt, report: EngineReport, now_utc: datetime
) -> JobRecord:
    if report.state == "ended":
        return _ended(actor, record, report.exit_status, report, now_utc)
    if report.state == "vanished" or (report.state == "absent" and record.state == "running"):
        known = actor.exit_in_journal(attempt.key)
        if known is not None:
            return _ended(actor, record, known, report, now_utc)
        return _lost(actor, record, report, now_utc)
    if report.state in ("absent", "accepted"):  # the claimer, or the engine's starter, died in between
        return ask_engine(actor, record, now_utc)
    if record.state == "starting":
        return actor.jobs.move(
            record,
            "start",
            at_utc=now_utc,
            who=actor.who,
            why="it runs",
            owner=record.owner,
            end=AttemptEnd(report.started_utc, None, None),
        )
    return record


def _ended(
    actor: Actor, record: JobRecord, exit_status: int | None, report: EngineReport, now_utc: datetime
) -> JobRecord:
    end = AttemptEnd(report.started_utc, report.ended_utc or now_utc, exit_status)
    if record.cancel_wanted and exit_status != 0:
        move, why = "stop", "cancelled"
    elif exit_status == 0:
        move, why = "finish", "exit status 0"
    elif exit_status is None:
        move, why = "stop", report.why
    else:
        move, why = "fail", f"exit status {exit_status}" + (f", {report.why}" if report.why else "")
    return actor.jobs.move(record, move, at_utc=now_utc, who=actor.who, why=why, end=end)


def _lost(actor: Actor, record: JobRecord, report: EngineReport, now_utc: datetime) -> JobRecord:
    end = AttemptEnd(report.started_utc, None, None)
    said = f"attempt {len(record.attempts)} is lost: {report.why or 'its engine does not know it'}"
    if record.cancel_wanted:
        return actor.jobs.move(record, "stop", at_utc=now_utc, who=actor.who, why=f"cancelled; {said}", end=end)
    fits = now_utc + timedelta(seconds=record.spec.duration_s) <= record.spec.deadline_utc
    if len(record.attempts) <= record.spec.retries and fits:
        return actor.jobs.move(record, "retry", at_utc=now_utc, who=actor.who, why=f"{said}; run again", end=end)
    left = "" if len(record.attempts) > record.spec.retries else "; no time is left to run it again"
    return actor.jobs.move(record, "lose", at_utc=now_utc, who=actor.who, why=said + left, end=end)


def request_cancel(actor: Actor, record: JobRecord, now_utc: datetime) -> JobRecord:
    """Cancels a waiting job at once; for one in flight keeps the wish, and tells the engine.

    Raises:
        IllegalTransition: The job has ended.
    """
    if record.state not in ("starting", "running"):
        return actor.jobs.move(record, "cancel", at_utc=now_utc, who=actor.who, why="cancelled by the user")
    if not record.cancel_wanted:
        actor.jobs.want_cancel(record, at_utc=now_utc, who=actor.who)
    reconcile(actor, now_utc, only=(record.job_id,))
    return actor.jobs.get(record.job_id)
