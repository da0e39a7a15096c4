"""What users wish of jobs in flight beside their end: kept in the store first, then asked of the engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lowtide.dispatch.pausing import hold_at, require_suspendable
from lowtide.dispatch.reconcile import reconcile
from lowtide.dispatch.remote import require_goes_on
from lowtide.jobs.states import IN_FLIGHT, require
from lowtide_core.errors import IllegalTransition, StaleOwner
from lowtide_core.ports import Restarting

if TYPE_CHECKING:
    from datetime import datetime

    from lowtide.dispatch.actor import Actor
    from lowtide.store.jobs import JobRecord


def request_pause(actor: Actor, record: JobRecord, now_utc: datetime) -> JobRecord:
    """Has a job held until ``request_resume``, whatever its plan says.

    Raises:
        IllegalTransition: It waits, or has ended.
        InputError: Its engine cannot hold anything.
    """
    try:
        return _wish(actor, _require_pausable(actor, record), now_utc, wanted=True)
    except StaleOwner:  # it has moved meanwhile
        return _wish(actor, _require_pausable(actor, actor.jobs.get(record.job_id)), now_utc, wanted=True)


def request_resume(actor: Actor, record: JobRecord, now_utc: datetime) -> JobRecord:
    """Takes the wish to pause back: from then on the job's plan holds again.

    Raises:
        IllegalTransition: Nobody has wished to pause it.
    """
    try:
        return _wish(actor, _require_paused(record, now_utc), now_utc, wanted=False)
    except StaleOwner:
        return _wish(actor, _require_paused(actor.jobs.get(record.job_id), now_utc), now_utc, wanted=False)


def _wish(actor: Actor, record: JobRecord, now_utc: datetime, *, wanted: bool) -> JobRecord:
    if record.pause_wanted != wanted:
        actor.jobs.want_pause(record, wanted=wanted, at_utc=now_utc, who=actor.who)
    reconcile(actor, now_utc, only=(record.job_id,))
    return actor.jobs.get(record.job_id)


def _require_pausable(actor: Actor, record: JobRecord) -> JobRecord:
    if record.state == "waiting":
        raise IllegalTransition(
            f"Job {record.job_id} has not started, so there is nothing to pause.",
            hint=f"lowtide cancel {record.job_id} takes it back; lowtide show {record.job_id} says when it starts.",
            transition="pause",
            state=record.state,
        )
    if record.state not in IN_FLIGHT:
        require("pause", record.state, what=f"Job {record.job_id}")
    engine = require_suspendable(record.spec.engine, actor.engine(record.spec.engine))
    if isinstance(engine, Restarting):
        require_goes_on(record.spec.engine, record.spec.checkpoints)
    return record


def _require_paused(record: JobRecord, now_utc: datetime) -> JobRecord:
    if record.pause_wanted:
        return record
    if record.state == "running":
        raise IllegalTransition(
            f"Job {record.job_id} is running: nobody has paused it.",
            hint=f"lowtide show {record.job_id} tells its plan.",
            transition="resume",
            state=record.state,
        )
    require("resume", record.state, what=f"Job {record.job_id}")
    hold = hold_at(record, now_utc)
    raise IllegalTransition(
        f"Job {record.job_id} is not paused by its user.",
        hint="It is about to run on." if hold is None else f"It is paused {hold.why}, and then goes on by itself.",
        transition="resume",
        state=record.state,
    )
