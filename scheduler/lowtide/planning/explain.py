"""Why a plan is as it is: what each freedom brought, what a little more would bring, which limit binds."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Literal, NamedTuple

from lowtide.jobs.manner import Pausing
from lowtide.planning.shares import shapley
from lowtide.planning.solve import baseline_of, solve
from lowtide.planning.types import Plan

if TYPE_CHECKING:
    from lowtide.planning.types import PlanProblem

Freedom = Literal["time", "place", "pausing", "width"]
HOUR_MORE = timedelta(hours=1)
_NOTHING_SHARE = 1e-9
"""Of the emissions: what a relaxed limit brings less than this is nothing."""


class Binding(NamedTuple):
    """A limit without which the plan would be better: its name, and by how much."""

    limit: str
    gain_g: float


class Explanation(NamedTuple):
    """The parts of a saving, and what would make it larger.

    Attributes:
        against_g: What the parts are measured against: at once at home, or at once at the plan's place where there is
            no home to compare with; g, None where neither is known.
        saved_g: Freedom -> what it brought; they add up to ``against_g`` less the plan's emissions.
        hour_more_g: What one more hour of deadline would save; None where the forecast does not reach so far.
        binding: The limits that bind, the dearest first.
    """

    against_g: float | None
    saved_g: dict[Freedom, float]
    hour_more_g: float | None
    binding: tuple[Binding, ...]


def explain(problem: PlanProblem, plan: Plan) -> Explanation:
    """Solves the question again with less and with more freedom; every figure is the difference of two exact plans.

    Notes:
        The parts of the saving are Shapley values over the freedoms that the job has, so that they do not depend on
        an order. A forecast that errs changes what they are worth, not that they add up.
    """
    baseline_g = baseline_of(problem)[0]
    against_g = baseline_g if baseline_g is not None else plan.at_once_g
    saved_g: dict[Freedom, float] = {}
    if against_g is not None:
        known_g = against_g

        def value(some: frozenset[str]) -> float:
            return known_g if not some else _emissions_g(problem, plan, some, known_g)

        parts = shapley(value, freedoms(problem))
        saved_g = {freedom: -parts[freedom] for freedom in freedoms(problem)}
    hour_more_g = _hour_more_g(problem, plan)
    return Explanation(against_g, saved_g, hour_more_g, _binding(problem, plan, hour_more_g))


def further(problem: PlanProblem, plan: Plan, later: timedelta) -> dict[Freedom, float]:
    """What a freedom that the job does not have would save, g: to pause, and so much more time where it is known."""
    asked: dict[Freedom, PlanProblem] = {}
    if problem.manner.pausing is None and problem.manner.widths is None:
        asked["pausing"] = replace(problem, manner=replace(problem.manner, pausing=Pausing()))
    if plan.forecast.known_until_utc >= problem.deadline_utc + later:
        asked["time"] = replace(problem, deadline_utc=problem.deadline_utc + later)
    answers = {freedom: solve(other) for freedom, other in asked.items()}
    return {
        freedom: plan.emissions_g - answer.emissions_g if isinstance(answer, Plan) else 0.0
        for freedom, answer in answers.items()
    }


def freedoms(problem: PlanProblem) -> list[Freedom]:
    """What the job is free in: in its place only where there is a home to be freed from."""
    having: list[Freedom] = ["time"]
    home = problem.baseline
    if home is not None and any(candidate.region != home.region for candidate in problem.candidates):
        having.append("place")
    if problem.manner.pausing is not None:
        having.append("pausing")
    if problem.manner.widths is not None and len(problem.manner.widths.width) > 1:
        having.append("width")
    return having


def _emissions_g(problem: PlanProblem, plan: Plan, some: frozenset[str], none_g: float) -> float:
    """Emissions of the best plan with only these freedoms, as the user judges plans; g."""
    if some == set(freedoms(problem)):
        return plan.emissions_g
    manner = problem.manner
    if "pausing" not in some:
        manner = replace(manner, pausing=None)
    if manner.widths is not None and "width" not in some:
        base = manner.widths.at(manner.widths.base)
        only = replace(manner.widths, width=(manner.widths.base,), throughput=base[:1], power_w=base[1:], fixed=True)
        manner = replace(manner, widths=only)
    smaller = replace(problem, manner=manner)
    if "place" not in some:
        where = [one for one in problem.candidates if one.region == plan.segments[0].region]
        home = where[0] if problem.baseline is None else problem.baseline
        smaller = replace(smaller, candidates=(home,), moves=None, max_price_usd=None)
    if "time" not in some:
        smaller = replace(_alone(smaller), at_once=True, moves=None)  # as if nothing were promised to others
    answer = solve(smaller)
    return answer.emissions_g if isinstance(answer, Plan) else none_g


def _alone(problem: PlanProblem) -> PlanProblem:
    """The same question, with nothing promised to others."""
    return replace(problem, candidates=tuple(replace(candidate, blocked=()) for candidate in problem.candidates))


def _hour_more_g(problem: PlanProblem, plan: Plan) -> float | None:
    later_utc = problem.deadline_utc + HOUR_MORE
    if plan.forecast.known_until_utc < later_utc:
        return None
    answer = solve(replace(problem, deadline_utc=later_utc))
    return plan.emissions_g - answer.emissions_g if isinstance(answer, Plan) else None


def _binding(problem: PlanProblem, plan: Plan, hour_more_g: float | None) -> tuple[Binding, ...]:
    """Each limit that the user set, left out or widened in turn."""
    manner, pausing = problem.manner, problem.manner.pausing
    relaxed: list[tuple[str, PlanProblem]] = []
    if problem.max_price_usd is not None:
        relaxed.append(("price", replace(problem, max_price_usd=None)))
    if problem.judgement.carbon_price_usd_per_t is not None:
        judgement = replace(problem.judgement, carbon_price_usd_per_t=None)
        relaxed.append(("carbon price", replace(problem, judgement=judgement)))
    if pausing is not None and pausing.max_pauses is not None:
        freer = replace(manner, pausing=replace(pausing, max_pauses=pausing.max_pauses + 1))
        relaxed.append(("max pauses", replace(problem, manner=freer)))
    if pausing is not None and pausing.min_run_s:
        freer = replace(manner, pausing=replace(pausing, min_run_s=0.0))
        relaxed.append(("min run", replace(problem, manner=freer)))
    if problem.judgement.least_errors and plan.held_back_g:
        judgement = replace(problem.judgement, least_errors=0.0)
        relaxed.append(("guard", replace(problem, judgement=judgement)))
    if any(candidate.blocked for candidate in problem.candidates):
        relaxed.append(("home capacity", _alone(problem)))
    found = [Binding("deadline", hour_more_g or 0.0)]
    for limit, other in relaxed:
        answer = solve(other)
        found.append(Binding(limit, plan.emissions_g - answer.emissions_g if isinstance(answer, Plan) else 0.0))
    dear = [binding for binding in found if binding.gain_g > _NOTHING_SHARE * plan.emissions_g]
    return tuple(sorted(dear, key=lambda binding: -binding.gain_g))
