"""A plan for a job that has one: never worse than to keep the old one, under what is known now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lowtide.planning.energy import Run
from lowtide.planning.gaps import overlaps
from lowtide.planning.options import Option, judged, option_of, remaining_s, within_price
from lowtide.planning.solve import Decision, decide, plan_of, score_g
from lowtide.planning.solvers.steps import SAME_INSTANT_S
from lowtide.planning.solvers.windows import known_until_s
from lowtide.planning.types import NoPlan

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lowtide.planning.types import Plan, PlanProblem, Segment

_STORED_S = 1e-6
_BETTER_SHARE = 1e-9
"""A new plan that gains less than this, relatively, is not worth a change."""


def replan(problem: PlanProblem, kept: Sequence[Segment]) -> Plan | NoPlan:
    """The best plan of what remains, or the old one where that is as good under the new forecast.

    Args:
        problem: What is known now, with ``done_s``, ``running`` and ``pauses_used`` of a job that has begun.
        kept: Segments of the old plan; what of them lies before the earliest time is over, and left out.
    Returns:
        As ``solve``; the old segments with their new figures where no plan beats them.
    """
    fresh, old = decide(problem), keep(problem, kept)
    if isinstance(fresh, NoPlan):
        return fresh if old is None else plan_of(problem, Decision(old, fresh.misfits, old.bound_g, 0.0, False))
    if old is None:
        return plan_of(problem, fresh)
    kept_g = score_g(problem, old)
    if kept_g - score_g(problem, fresh.best) > _BETTER_SHARE * abs(kept_g):
        return plan_of(problem, fresh)
    return plan_of(problem, fresh._replace(best=old, held_back_g=0.0))


def keep(problem: PlanProblem, kept: Sequence[Segment]) -> Option | None:
    """The old segments with their figures under what is known now; None where they no longer fit the problem."""
    earliest_s, deadline_s = problem.earliest_utc.timestamp(), problem.deadline_utc.timestamp()
    places = {(candidate.region, candidate.zone): place for place, candidate in enumerate(problem.candidates)}
    runs = []
    for segment in kept:
        place = places.get((segment.region, segment.zone))
        start_s, end_s = max(earliest_s, segment.start_utc.timestamp()), segment.end_utc.timestamp()
        if end_s - start_s <= SAME_INSTANT_S:
            continue
        if place is None or end_s > deadline_s + SAME_INSTANT_S:
            return None
        if overlaps(problem.candidates[place].blocked, start_s, end_s):
            return None
        ready_s = earliest_s + problem.candidates[place].transfer_s
        known_s = known_until_s(judged(problem, problem.candidates[place]), ready_s)
        if end_s > known_s + SAME_INSTANT_S or start_s < ready_s - SAME_INSTANT_S:
            return None
        runs.append(Run(start_s, end_s, place, segment.width))
    if not runs or len({run.place for run in runs}) > 1:
        return None
    if not (_does_it_all(problem, runs) and _within_pausing(problem, runs)):
        return None
    known_s = known_until_s(judged(problem, problem.candidates[runs[0].place]), earliest_s)
    option = within_price(problem, option_of(problem, runs, known_s))
    return option if isinstance(option, Option) else None


def _does_it_all(problem: PlanProblem, runs: Sequence[Run]) -> bool:
    """Whether the runs do what remains, neither less nor more: to a microsecond an instant, as plans are stored."""
    widths = problem.manner.widths
    rounded_s = 2 * len(runs) * _STORED_S
    if widths is None:
        return abs(sum(run.end_s - run.start_s for run in runs) - remaining_s(problem)) <= rounded_s
    done = sum((run.end_s - run.start_s) * widths.at(run.width)[0] for run in runs)
    wanted = remaining_s(problem) * widths.at(widths.base)[0]
    return abs(done - wanted) <= rounded_s * max(widths.throughput)


def _within_pausing(problem: PlanProblem, runs: Sequence[Run]) -> bool:
    """Whether the runs keep to the limits on pauses and on the shortest run."""
    pausing = problem.manner.pausing
    begins_now = runs[0].start_s - problem.earliest_utc.timestamp() <= SAME_INSTANT_S
    pauses = problem.pauses_used + len(runs) - 1 + (problem.running and not begins_now)
    if pausing is None:
        return pauses == 0 or problem.manner.widths is not None
    if pausing.max_pauses is not None and pauses > pausing.max_pauses:
        return False
    whole = runs[1:] if problem.running and begins_now else runs  # the run that goes on has begun before
    return len(runs) == 1 or all(run.end_s - run.start_s >= pausing.min_run_s - _STORED_S for run in whole)
