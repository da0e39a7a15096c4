"""Plans an archived question again, from what the store kept alone: the same answer, to the last digit."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

from lowtide.planning.replan import replan
from lowtide.planning.solve import require_plan, solve
from lowtide.planning.types import Plan
from lowtide.store.archive import question_from_text
from lowtide_core.errors import InputError
from lowtide_core.places import ZoneId

if TYPE_CHECKING:
    from lowtide.jobs.spec import JobId
    from lowtide.store import Store


@dataclass(frozen=True, slots=True)
class Replayed:
    """A plan as it was kept, and as it is made anew.

    Attributes:
        unlike: Names of what differs; empty: every figure is the same.
    """

    kept: Plan
    anew: Plan
    unlike: tuple[str, ...]


def replay(store: Store, job_id: JobId, number: int) -> Replayed:
    """Plans one of the job's plans again; no network, no facts, no clock.

    Raises:
        InputError: The plan was made by a lowtide that kept no question with it.
    """
    planned = store.jobs.plan(job_id, number)
    if not planned.question:
        raise InputError(
            f"Plan {number} of job {job_id} was kept without its question.",
            hint="Newer plans have theirs: the job's next plan can be replayed.",
            job=job_id,
        )
    series = {ZoneId(zone): store.signals.get(vintage) for zone, vintage in planned.vintages.items()}
    question = question_from_text(planned.question, series)
    answer = replan(question.problem, question.kept) if question.kept else solve(question.problem)
    found = require_plan(answer, question.problem)
    anew = replace(found, misfits=(*found.misfits, *question.excluded))
    unlike = tuple(item.name for item in fields(Plan) if getattr(anew, item.name) != getattr(planned.plan, item.name))
    return Replayed(planned.plan, anew, unlike)
