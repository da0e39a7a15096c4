"""Asks the engines about everything that they have, or may have, and writes down what they say."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from lowtide.dispatch.pausing import hold_or_release
from lowtide.dispatch.queued import keep_in_queue
from lowtide.dispatch.remote import NotYet, bring_journals
from lowtide.dispatch.start import ask_engine
from lowtide.jobs.states import IN_FLIGHT
from lowtide.store.jobs import AttemptEnd
from lowtide_core.errors import InputError, ProviderError, StaleOwner

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from lowtide.dispatch.actor import Actor
    from lowtide.store.jobs import Attempt, JobRecord
    from lowtide_core.launches import EngineReport

_MINE_FOR = timedelta(seconds=5)
"""So long what I have just submitted may take to show; what others have submitted may be orphaned already."""

_BY_SIGNAL = 128
"""An exit status above stands for a death by signal."""

_SILENT = "its engine does not answer: "


def reconcile(
    actor: Actor, now_utc: datetime, only: Sequence[str] = (), flying: Sequence[JobRecord] | None = None
) -> tuple[JobRecord, ...]:
    """Brings every job in flight (of ``only``, where it names some) to where its engine says it is.

    One question per engine, and then what is to be held or let go. ``flying`` are the jobs in flight, where the caller
    has just asked for them. Returns the jobs that moved. An engine that does not answer leaves its jobs as they are,
    and they say so.
    """
    asked: dict[str, list[tuple[JobRecord, Attempt]]] = {}
    for record in actor.jobs.in_flight() if flying is None else flying:
        if record.attempt is not None and (not only or record.job_id in only):
            asked.setdefault(record.attempt.engine, []).append((record, record.attempt))
    moved = []
    for name, pairs in asked.items():
        for record, attempt, report in _observed(actor, name, pairs, now_utc):
            try:
                after = _follow(actor, record, attempt, report, now_utc)
            except StaleOwner:  # somebody else has written it down meanwhile, or the user wants it cancelled
                continue
            if after.state != record.state:
                moved.append(after)
    return tuple(moved)


def _observed(
    actor: Actor, name: str, flying: list[tuple[JobRecord, Attempt]], now_utc: datetime
) -> Iterable[tuple[JobRecord, Attempt, EngineReport]]:
    try:
        engine = actor.engine(name)
        for record, attempt in flying:
            if record.cancel_wanted:
                engine.cancel(attempt.key)
        reports = engine.observe([attempt.key for _, attempt in flying])
    except (ProviderError, InputError) as error:
        for record, _ in flying:
            with suppress(StaleOwner):
                actor.jobs.note(record, at_utc=now_utc, who=actor.who, why=_SILENT + error.message)
        return ()
    return ((record, attempt, report) for (record, attempt), report in zip(flying, reports, strict=True))


def _follow(actor: Actor, record: JobRecord, attempt: Attempt, report: EngineReport, now_utc: datetime) -> JobRecord:
    """Writes down what the engine says of the job's newest attempt."""
    acknowledged = record.state != "starting" or attempt.ref is not None
    if report.state in ("ended", "vanished") or (report.state == "absent" and acknowledged):
        try:
            lost = bring_journals(actor, attempt, report, now_utc)
        except NotYet as error:
            return actor.jobs.note(record, at_utc=now_utc, who=actor.who, why=f"it has ended; {error}")
        if report.exit_status is None or report.exit_status > _BY_SIGNAL:
            # A signal may have killed the sampler and not the command: only its journal knows how that ended.
            report = replace(report, exit_status=actor.exit_in_journal(attempt.key))
        if lost:
            report = replace(report, why=f"{report.why}; {lost}" if report.why else lost)
        return _close(actor, record, report, now_utc)
    if report.state in ("absent", "accepted"):
        if record.cancel_wanted or now_utc >= record.spec.deadline_utc:
            return _keep_from_starting(actor, record, attempt, now_utc)
        if report.queued:
            return keep_in_queue(actor, record, attempt, report, now_utc)
        if record.owner == actor.owner and abs(now_utc - attempt.claimed_utc) < _MINE_FOR:
            return record
        return ask_engine(actor, record, now_utc)  # the claimer, or the engine's starter, died in between
    if record.state == "starting":
        end = AttemptEnd(report.started_utc, None, None, report.identity)
        record = actor.jobs.move(
            record, "start", at_utc=now_utc, who=actor.who, why="it runs", owner=record.owner, end=end
        )
    return record if record.cancel_wanted else _let_run(actor, record, attempt, report, now_utc)


def _let_run(actor: Actor, record: JobRecord, attempt: Attempt, report: EngineReport, now_utc: datetime) -> JobRecord:
    """It runs: unless it is to be held now."""
    try:
        after = hold_or_release(actor, record, attempt, report, now_utc)
    except ProviderError as error:
        return actor.jobs.note(record, at_utc=now_utc, who=actor.who, why=_SILENT + error.message)
    if after.why.startswith(_SILENT):
        return actor.jobs.note(after, at_utc=now_utc, who=actor.who, why="its engine answers again: it runs")
    return after


def _keep_from_starting(actor: Actor, record: JobRecord, attempt: Attempt, now_utc: datetime) -> JobRecord:
    """Too late, or no longer wanted: the engine is told first, so that nobody who submits it now starts it."""
    try:
        engine = actor.engine(attempt.engine)
        engine.cancel(attempt.key)
        (report,) = engine.observe([attempt.key])
    except ProviderError as error:
        return actor.jobs.note(record, at_utc=now_utc, who=actor.who, why=_SILENT + error.message)
    if report.state == "absent":
        return _never_began(actor, record, "it had not started", now_utc)
    if report.state == "accepted":
        why = f"it is to end, and its engine still has it: {report.why or 'it has not begun'}"
        return record if record.why == why else actor.jobs.note(record, at_utc=now_utc, who=actor.who, why=why)
    return _follow(actor, record, attempt, report, now_utc)


def _close(actor: Actor, record: JobRecord, report: EngineReport, now_utc: datetime) -> JobRecord:
    """The attempt is over: by its exit status, or without one."""
    if report.exit_status is None:
        if report.state == "ended" and report.started_utc is None:
            return _never_began(actor, record, report.why, now_utc)
        return _lost(actor, record, report, now_utc)
    end = AttemptEnd(report.started_utc, report.ended_utc or now_utc, report.exit_status, report.identity)
    why = f"exit status {report.exit_status}" + (f", {report.why}" if report.why else "")
    if report.exit_status == 0:
        return actor.jobs.move(record, "finish", at_utc=now_utc, who=actor.who, why=why, end=end)
    if record.cancel_wanted:
        return actor.jobs.move(record, "stop", at_utc=now_utc, who=actor.who, why=f"cancelled; {why}", end=end)
    return actor.jobs.move(record, "fail", at_utc=now_utc, who=actor.who, why=why, end=end)


def _never_began(actor: Actor, record: JobRecord, said: str, now_utc: datetime) -> JobRecord:
    end = AttemptEnd(None, now_utc, None)
    if not record.cancel_wanted and now_utc >= record.spec.deadline_utc:
        why = "its deadline passed before the engine had started it"
        return actor.jobs.move(record, "miss", at_utc=now_utc, who=actor.who, why=why, end=end)
    return actor.jobs.move(record, "stop", at_utc=now_utc, who=actor.who, why=f"cancelled; {said}", end=end)


def _lost(actor: Actor, record: JobRecord, report: EngineReport, now_utc: datetime) -> JobRecord:
    end = AttemptEnd(report.started_utc, None, None, report.identity)
    said = f"attempt {len(record.attempts)} is lost: {report.why or 'its engine does not know it'}"
    if record.cancel_wanted:
        return actor.jobs.move(record, "stop", at_utc=now_utc, who=actor.who, why=f"cancelled; {said}", end=end)
    if len(record.attempts) > record.spec.retries:
        return actor.jobs.move(record, "lose", at_utc=now_utc, who=actor.who, why=said, end=end)
    if now_utc + timedelta(seconds=record.spec.duration_s) > record.spec.deadline_utc:
        said += "; no time is left to run it again"
        return actor.jobs.move(record, "lose", at_utc=now_utc, who=actor.who, why=said, end=end)
    return actor.jobs.move(record, "retry", at_utc=now_utc, who=actor.who, why=f"{said}; run again", end=end)


def request_cancel(actor: Actor, record: JobRecord, now_utc: datetime) -> JobRecord:
    """Cancels a waiting job at once; for one in flight keeps the wish, and tells the engine.

    Raises:
        IllegalTransition: The job has ended.
    """
    try:
        return _cancel(actor, record, now_utc)
    except StaleOwner:  # it was being claimed, or has just ended
        return _cancel(actor, actor.jobs.get(record.job_id), now_utc)


def _cancel(actor: Actor, record: JobRecord, now_utc: datetime) -> JobRecord:
    if record.state not in IN_FLIGHT:
        return actor.jobs.move(record, "cancel", at_utc=now_utc, who=actor.who, why="cancelled by the user")
    if not record.cancel_wanted:
        actor.jobs.want_cancel(record, at_utc=now_utc, who=actor.who)
    reconcile(actor, now_utc, only=(record.job_id,))
    return actor.jobs.get(record.job_id)
