"""``PlanProblem`` -> ``Plan``: every candidate solved, the best taken, and shifted only where that beats the error."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from lowtide.jobs.guard import least_errors_of, worth_shifting
from lowtide.planning.chances import chance_of_excess
from lowtide.planning.energy import tail_s
from lowtide.planning.options import (
    BASELINE,
    G_PER_T,
    Option,
    evaluate_one,
    longest_s,
    mean_error_g,
    operational_at_once,
    option_of,
    run_kwh,
    soonest,
    variance_g2,
    within_price,
)
from lowtide.planning.solvers.steps import SAME_INSTANT_S
from lowtide.planning.types import ForecastUsed, Misfit, NoPlan, Plan, Segment
from lowtide_core.errors import InfeasibleError, InputError
from lowtide_core.series import require_one_frame
from lowtide_core.spans import from_epoch_s

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lowtide.planning.types import Candidate, PlanProblem

_AT_EDGE_S = 1e-3


class Decision(NamedTuple):
    """The option that is taken, and what was decided against.

    Attributes:
        bound_g: No plan emits less. held_back_g: what the guard gave up. exact: see ``Plan``.
    """

    best: Option
    misfits: tuple[Misfit, ...]
    bound_g: float
    held_back_g: float
    exact: bool


def solve(problem: PlanProblem) -> Plan | NoPlan:
    """The best plan; of equals, the earliest and then the first candidate.

    Best is what emits least; with a carbon price, what costs least with its emissions at that price; in robust mode,
    by the upper end of the band. It is shifted in time, and away from home, only as far as that beats the error.

    Raises:
        InputError: Candidates stand in different frames, or a power, PUE or duration is out of range.
    """
    decision = decide(problem)
    return decision if isinstance(decision, NoPlan) else plan_of(problem, decision)


def decide(problem: PlanProblem) -> Decision | NoPlan:
    """What ``solve`` makes a plan of; the same errors."""
    options, misfits = evaluate(problem)
    moved = None
    if problem.moves is not None:
        from lowtide.planning.moving import best_move

        moved = best_move(problem)
    if moved is not None and moved.option is not None:
        options = (*options, moved.option)
    if not options:
        return NoPlan(misfits)
    guarded = [_guard_time(problem, option) for option in options]
    best = _guard_place(problem, best_of(problem, guarded), guarded)
    wished = best_of(problem, options)
    held_back_g = max(0.0, best.emissions_g - wished.emissions_g) if best.runs != wished.runs else 0.0
    bound_g = min(option.bound_g for option in options)
    if moved is None:
        return Decision(best, misfits, bound_g, held_back_g, best.exact)
    return Decision(best, misfits, min(bound_g, moved.bound_g), held_back_g, best.exact and moved.exact)


def require_plan(answer: Plan | NoPlan, problem: PlanProblem) -> Plan:
    """The plan, or an ``InfeasibleError`` that names the limit to relax and by how much."""
    if isinstance(answer, Plan):
        return answer
    reasons = "; ".join(f"{misfit.region}: {misfit.why}" for misfit in answer.misfits[:3])
    more = len(answer.misfits) - 3
    limits = {misfit.limit for misfit in answer.misfits}
    relax = {
        "deadline": "move the deadline",
        "forecast": "choose a source that looks further ahead (--signal climatology), or a shorter job",
        "price": "raise --max-price" if problem.max_price_usd is not None else "leave --carbon-price out",
        "residency": "widen --residency",
        "latency": "raise --max-latency",
        "capacity": "raise home_jobs or home_power, or move the deadline",
    }
    raise InfeasibleError(
        f"No place fits: {reasons}{f'; and {more} more' if more > 0 else ''}.",
        hint=f"To relax: {' or '.join(relax[limit] for limit in sorted(limits))}.",
        misfits=answer.misfits,
        deadline_utc=problem.deadline_utc,
        short_by_s=min((misfit.short_by_s for misfit in answer.misfits if misfit.short_by_s > 0), default=0.0),
    )


def evaluate(problem: PlanProblem) -> tuple[tuple[Option, ...], tuple[Misfit, ...]]:
    """Every candidate's best run, and the candidates that do not fit, both in the order of the candidates."""
    _require_sound(problem)
    answers = [evaluate_one(problem, place) for place in range(len(problem.candidates))]
    return (
        tuple(answer for answer in answers if isinstance(answer, Option)),
        tuple(answer for answer in answers if isinstance(answer, Misfit)),
    )


def best_of(problem: PlanProblem, options: Sequence[Option]) -> Option:
    """The option of the least score; of equals the earliest, then the first."""
    return min(options, key=lambda option: (score_g(problem, option), option.runs[0].start_s))


def score_g(problem: PlanProblem, option: Option) -> float:
    """What an option is judged by: its emissions, or the upper end of their band, and its price at the carbon price."""
    judgement = problem.judgement
    carbon_g = option.emissions_g
    if judgement.robust and option.emissions_high_g is not None:
        carbon_g = option.emissions_high_g
    if judgement.carbon_price_usd_per_t is None:
        return carbon_g
    return carbon_g + (option.price_usd or 0.0) * G_PER_T / judgement.carbon_price_usd_per_t


def _require_sound(problem: PlanProblem) -> None:
    if not problem.candidates:
        raise InputError("There is no place to plan for.", hint="Name at least one zone or region.")
    if not 0 < problem.duration_s < float("inf"):
        raise InputError(f"The duration is {problem.duration_s} s.", hint="Give a positive one, such as 4h.")
    if not 0 <= problem.done_s < longest_s(problem):
        raise InputError(f"{problem.done_s} s of the job are done already.", hint="Then nothing is left to plan.")
    carbon_price = problem.judgement.carbon_price_usd_per_t
    if carbon_price is not None and not 0 < carbon_price < float("inf"):
        raise InputError(f"The carbon price is {carbon_price} USD/t.", hint="Give a positive one, such as 100.")
    if carbon_price is not None and problem.manner.widths is not None:
        raise InputError("A carbon price and several widths cannot be planned together.", hint="Leave one out.")
    everyone = (*problem.candidates, *((problem.baseline,) if problem.baseline else ()))
    for candidate in everyone:
        possible = candidate.power_w > 0 and candidate.pue >= 1
        if not (possible and candidate.transfer_g >= 0 and candidate.transfer_s >= 0):
            raise InputError(
                f"{candidate.region}: power {candidate.power_w} W, PUE {candidate.pue}, "
                f"transfer {candidate.transfer_g} g in {candidate.transfer_s} s cannot be.",
                hint="Power is positive, PUE at least 1, transfer not negative.",
            )
        _require_in_order(candidate)
    if problem.moves is not None and any(candidate.blocked for candidate in problem.candidates):
        raise InputError(
            "A job that moves between regions cannot be planned around what is promised.",
            hint="Leave out --checkpoint.",
        )
    require_one_frame((f"{c.region} ({c.series.source})", c.series.frame) for c in everyone)


def _require_in_order(candidate: Candidate) -> None:
    instants_s = [instant_s for span in candidate.blocked for instant_s in span]
    if any(not before < after for before, after in pairwise(instants_s)):
        raise InputError(
            f"{candidate.region}: the blocked spans {candidate.blocked} are not in order.",
            hint="Give each with its start before its end, in order, and join those that touch.",
        )


def _guard_time(problem: PlanProblem, option: Option) -> Option:
    """The option, or the run at once at its place where waiting does not beat the error of the forecast.

    Where others are promised the place, at once is as soon as there is room.
    """
    least_errors = problem.judgement.least_errors
    if not least_errors or option.at_once_g is None:
        return option
    runs = tuple(run._replace(place=option.place) for run in soonest(problem, option.candidate))
    end_by_s = min(problem.deadline_utc.timestamp(), option.known_until_s)
    if not runs or runs == option.runs or runs[-1].end_s > end_by_s + SAME_INSTANT_S:
        return option
    now = within_price(problem, option_of(problem, runs, option.known_until_s, exact=option.exact))
    if isinstance(now, Misfit) or _beats_error(problem, option, now):
        return option
    return replace(now, bound_g=option.bound_g)


def _guard_place(problem: PlanProblem, best: Option, options: Sequence[Option]) -> Option:
    """The best option, or home's where going away does not beat the error."""
    home = problem.baseline
    at_home = [option for option in options if home is not None and option.candidate.region == home.region]
    if not problem.judgement.least_errors or not at_home or best.candidate.region == at_home[0].candidate.region:
        return best
    return best if _beats_error(problem, best, at_home[0]) else at_home[0]


def _beats_error(problem: PlanProblem, option: Option, other: Option) -> bool:
    """Whether what the option gains over the other is large beside the forecast's error in its hours."""
    error_g = mean_error_g(problem, option.facility_kwh)
    if error_g is None:
        return True  # nothing is known of the error
    gain_g = score_g(problem, other) - score_g(problem, option)
    least_errors = least_errors_of(option.candidate.series.kind, problem.judgement.least_errors)
    return bool(worth_shifting(gain_g, error_g, least_errors))


def baseline_of(problem: PlanProblem) -> tuple[float | None, str]:
    """Emissions of the run at once at home, g; None with the reason where there is no such run to compare with."""
    if problem.baseline is None:
        return None, problem.no_baseline_why
    emissions_g = operational_at_once(problem, problem.baseline)[1]
    if emissions_g is None:
        return None, f"{problem.baseline.series.source} does not cover a run at once in {problem.baseline.zone}"
    return emissions_g, ""


def plan_of(problem: PlanProblem, decision: Decision) -> Plan:
    """The option as a plan, compared with the baseline."""
    best = decision.best
    candidate, series = best.candidate, best.candidate.series
    baseline_g, why = baseline_of(problem)
    it_kwh = best.energy_kwh
    facility = sum(float(kwh.sum()) for kwh in best.facility_kwh.values())
    home = problem.baseline if baseline_g is not None else None
    return Plan(
        segments=_segments(problem, best),
        energy_kwh=it_kwh,
        emissions_g=best.emissions_g,
        emissions_low_g=best.emissions_low_g,
        emissions_high_g=best.emissions_high_g,
        at_once_g=best.at_once_g,
        baseline_g=baseline_g,
        no_baseline_why=why,
        bound_g=min(decision.bound_g, best.emissions_g),
        exact=decision.exact,
        chance_worse=_chance_worse(problem, best, baseline_g),
        price_usd=best.price_usd,
        forecast=ForecastUsed(
            series.source, series.kind, series.issued_at, series.frame, from_epoch_s(best.known_until_s)
        ),
        forecast_edge=best.known_until_s - tail_s(problem.manner, problem.done_s) - best.runs[-1].end_s < _AT_EDGE_S,
        pue=candidate.pue if len(best.facility_kwh) == 1 else facility / it_kwh,
        transfer_g=best.transfer_g,
        baseline_pue=home.pue if home else None,
        baseline_transfer_g=home.transfer_g if home else None,
        misfits=decision.misfits,
        held_back_g=decision.held_back_g,
    )


def _segments(problem: PlanProblem, best: Option) -> tuple[Segment, ...]:
    """The runs with their places; each with its energy, where there are several."""
    segments = []
    for number, run in enumerate(best.runs):
        candidate = problem.candidates[run.place]
        energy_kwh = None
        if len(best.runs) > 1:
            energy_kwh = float(run_kwh(problem, candidate, best.runs, number).sum())
        start_utc, end_utc = from_epoch_s(run.start_s), from_epoch_s(run.end_s)
        segments.append(Segment(start_utc, end_utc, candidate.region, candidate.zone, run.width, energy_kwh))
    return tuple(segments)


def _chance_worse(problem: PlanProblem, best: Option, baseline_g: float | None) -> float | None:
    """Against the baseline; where there is none, against the run at once at the plan's place."""
    if baseline_g is not None and problem.baseline is not None:
        other = {BASELINE: operational_at_once(problem, problem.baseline)[0]}
        other_g: float | None = baseline_g
    else:
        other = {best.place: operational_at_once(problem, best.candidate)[0]}
        other_g = best.at_once_g
    if other_g is None:
        return None
    variance = variance_g2(problem, best.facility_kwh, other)
    return None if variance is None else chance_of_excess(other_g - best.emissions_g, variance)
