"""Keeps what stands in an engine's own queue at the time of its plan, or held there at its user's wish."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from lowtide_core.errors import InputError, ProviderError
from lowtide_core.ports import Movable
from lowtide_core.spans import iso_utc

if TYPE_CHECKING:
    from datetime import datetime

    from lowtide.dispatch.actor import Actor
    from lowtide.store.jobs import Attempt, JobRecord
    from lowtide_core.launches import EngineReport

_SAME = timedelta(seconds=30)
"""Engines count in seconds, and from their own clock: a begin so near its plan is left where it is."""


def keep_in_queue(
    actor: Actor, record: JobRecord, attempt: Attempt, report: EngineReport, now_utc: datetime
) -> JobRecord:
    """Brings a job that waits at its engine to where its newest plan, or its user, wants it, and says where it is.

    Nothing is written down of a move: the engine is asked again at the next round, and told again if it did not heed.
    """
    engine = actor.engine(attempt.engine)
    if attempt.ref is None and report.ref is not None:
        actor.jobs.set_ref(record, report.ref)
    said = report.why
    if isinstance(engine, Movable):
        begin_utc = None if record.pause_wanted else record.plan.start_utc
        try:
            if _is_elsewhere(report, begin_utc, now_utc):
                engine.move(attempt.key, begin_utc)
        except (ProviderError, InputError) as error:
            said = f"its engine does not move it: {error.message}"
        else:
            if begin_utc is None:
                said = "held in its engine's queue, by the user"
            elif begin_utc > now_utc:
                said = f"its engine begins it at {iso_utc(begin_utc.replace(microsecond=0))}"
    said = said or "its engine has it, and begins it when there is room"
    return actor.jobs.note(record, at_utc=now_utc, who=actor.who, why=said) if said != record.why else record


def _is_elsewhere(report: EngineReport, begin_utc: datetime | None, now_utc: datetime) -> bool:
    """Whether the engine would begin it at another time than that; None is not at all."""
    if begin_utc is None:
        return not report.suspended
    if report.suspended:
        return True
    wanted, found = max(begin_utc, now_utc), max(report.begin_utc or now_utc, now_utc)
    return abs(found - wanted) > _SAME
