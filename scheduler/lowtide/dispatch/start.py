"""Starts what is due: claim, then ask the engine. A crash between the two is mended by ``reconcile``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lowtide.dispatch.actor import Actor, attempt_key, launch_for
from lowtide.dispatch.pausing import hold_at
from lowtide.dispatch.remote import remote_launch
from lowtide.store.jobs import Attempt, AttemptEnd
from lowtide_core.errors import InputError, ProviderError, StaleOwner
from lowtide_core.ports import Movable, Remote
from lowtide_core.spans import iso_utc

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from lowtide.store.jobs import JobRecord

_ON_TIME_S = 120.0


def start_due(actor: Actor, now_utc: datetime, only: Sequence[str] = ()) -> tuple[JobRecord, ...]:
    """Claims and starts every due job (of ``only``, where it names some); returns those that it moved.

    A job whose run has passed before anybody was there waits for the next, where it can.
    """
    moved = []
    for record in actor.jobs.due(now_utc):
        if only and record.job_id not in only:
            continue
        if now_utc < record.spec.deadline_utc and hold_at(record, now_utc) is not None:
            continue
        try:
            moved.append(_start(actor, record, now_utc))
        except StaleOwner:  # somebody else was faster, or the user cancelled
            continue
    return tuple(moved)


def hand_over(actor: Actor, record: JobRecord, now_utc: datetime) -> JobRecord:
    """Gives a job at once to an engine with a queue of its own, which begins it at its time, whoever is there then.

    Other engines get it when its time has come. A death in between leaves a job that is started when it is due.
    """
    if record.state != "waiting" or not isinstance(actor.engine(record.spec.engine), Movable):
        return record
    try:
        return actor.jobs.get(_start(actor, record, now_utc).job_id)
    except StaleOwner:  # somebody else was faster
        return actor.jobs.get(record.job_id)


def _start(actor: Actor, record: JobRecord, now_utc: datetime) -> JobRecord:
    if now_utc >= record.spec.deadline_utc:
        why = f"nobody started it before its deadline, {iso_utc(record.spec.deadline_utc)}"
        return actor.jobs.move(record, "miss", at_utc=now_utc, who=actor.who, why=why)
    key = attempt_key(record)
    attempt = Attempt(len(record.attempts) + 1, key, record.spec.engine, None, now_utc, None, None, None, "")
    claimed = actor.jobs.move(
        record, "claim", at_utc=now_utc, who=actor.who, why=_why(record, now_utc), owner=actor.owner, attempt=attempt
    )
    return ask_engine(actor, claimed, now_utc)


def ask_engine(actor: Actor, record: JobRecord, now_utc: datetime) -> JobRecord:
    """Submits the job's newest attempt. By its key it runs once, however often, and by whomever, this is called."""
    attempt = record.attempt
    if attempt is None:
        return record
    try:
        engine = actor.engine(attempt.engine)
        if isinstance(engine, Remote):
            launch = remote_launch(record, attempt.key, actor.node_sampler() if actor.node_sampler else None)
        else:
            launch = launch_for(record, attempt.key, actor.spool)
        ref = engine.submit(launch, attempt.key)
    except InputError as error:  # it will never be accepted
        end = AttemptEnd(None, now_utc, None)
        return actor.jobs.move(record, "fail", at_utc=now_utc, who=actor.who, why=str(error), end=end)
    except ProviderError as error:  # it may or may not have arrived: the same key is asked for again
        return actor.jobs.note(record, at_utc=now_utc, who=actor.who, why=f"to be tried again: {error.message}")
    actor.jobs.set_ref(record, ref)
    return record


def _why(record: JobRecord, now_utc: datetime) -> str:
    if now_utc < record.plan.start_utc:
        return f"given to {record.spec.engine}, to begin at its time"
    late_s = (now_utc - record.plan.start_utc).total_seconds()
    if late_s > _ON_TIME_S:
        return f"its time has come, {late_s / 60:.0f} min ago: nobody was there to start it"
    return "its time has come"
