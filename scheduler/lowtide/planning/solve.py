"""``PlanProblem`` -> ``Plan``: every candidate solved exactly, the least emitting taken."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lowtide.planning.chances import chance_of_excess, difference_variance
from lowtide.planning.types import ForecastUsed, Misfit, NoPlan, Plan, Segment
from lowtide.planning.windows import (
    Piece,
    StepSeries,
    best_pieces,
    best_window,
    known_until_s,
    mean_over,
    seconds_in_steps,
)
from lowtide_core.errors import InfeasibleError, InputError
from lowtide_core.quantities import JOULES_PER_KWH, SECONDS_PER_HOUR
from lowtide_core.series import require_one_frame
from lowtide_core.spans import from_epoch_s, iso_utc

if TYPE_CHECKING:
    from lowtide.planning.types import Candidate, PlanProblem
    from lowtide_core.series import FloatArray

_AT_EDGE_S = 1e-3


@dataclass(frozen=True, slots=True, eq=False)
class Option:
    """One candidate's best run: when, and what it emits. ``at_once_g`` is the same place from the earliest time."""

    candidate: Candidate
    pieces: tuple[Piece, ...]
    known_until_s: float
    energy_kwh: float
    emissions_g: float
    emissions_low_g: float | None
    emissions_high_g: float | None
    at_once_g: float | None
    price_usd: float | None


def solve(problem: PlanProblem) -> Plan | NoPlan:
    """The plan with the least expected emissions; of equals, the earliest and then the first candidate.

    Raises:
        InputError: Candidates stand in different frames, or a power, PUE or duration is out of range.
    """
    options, misfits = evaluate(problem)
    if not options:
        return NoPlan(misfits)
    best = min(options, key=lambda option: (option.emissions_g, option.pieces[0].start_s))
    return _plan(problem, best, misfits)


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
        "price": "raise --max-price",
    }
    raise InfeasibleError(
        f"No place fits: {reasons}{f'; and {more} more' if more > 0 else ''}.",
        hint=f"To relax: {' or '.join(relax[limit] for limit in sorted(limits))}.",
        misfits=answer.misfits,
        deadline_utc=problem.deadline_utc,
    )


def evaluate(problem: PlanProblem) -> tuple[tuple[Option, ...], tuple[Misfit, ...]]:
    """Every candidate's best run, and the candidates that do not fit, both in the order of the candidates."""
    _require_sound(problem)
    answers = [_evaluate_one(problem, candidate) for candidate in problem.candidates]
    return (
        tuple(answer for answer in answers if isinstance(answer, Option)),
        tuple(answer for answer in answers if isinstance(answer, Misfit)),
    )


def _require_sound(problem: PlanProblem) -> None:
    if not problem.candidates:
        raise InputError("There is no place to plan for.", hint="Name at least one zone or region.")
    if not problem.duration_s > 0:
        raise InputError(f"The duration is {problem.duration_s} s.", hint="Give a positive one, such as 4h.")
    everyone = (*problem.candidates, *((problem.baseline,) if problem.baseline else ()))
    for candidate in everyone:
        if not (candidate.power_w > 0 and candidate.pue >= 1 and candidate.transfer_g >= 0):
            raise InputError(
                f"{candidate.region}: power {candidate.power_w} W, PUE {candidate.pue}, "
                f"transfer {candidate.transfer_g} g cannot be.",
                hint="Power is positive, PUE at least 1, transfer not negative.",
            )
    require_one_frame((f"{c.region} ({c.series.source})", c.series.frame) for c in everyone)


def _evaluate_one(problem: PlanProblem, candidate: Candidate) -> Option | Misfit:
    earliest_s, deadline_s = problem.earliest_utc.timestamp(), problem.deadline_utc.timestamp()
    series = steps_of(candidate)
    known_s = known_until_s(series, earliest_s)
    end_by_s = min(deadline_s, known_s)
    short_by_s = earliest_s + problem.duration_s - end_by_s
    if short_by_s > 1e-6:
        by_forecast = known_s < deadline_s and earliest_s + problem.duration_s <= deadline_s
        if by_forecast:
            why = f"{candidate.series.source} is known only until {iso_utc(from_epoch_s(known_s))}"
            return Misfit(candidate.region, candidate.zone, why, "forecast", short_by_s)
        why = f"needs {short_by_s / SECONDS_PER_HOUR:.3g} h more before the deadline"
        return Misfit(candidate.region, candidate.zone, why, "deadline", short_by_s)
    price_usd = _price_usd(candidate, problem.duration_s)
    limit_usd = problem.max_price_usd
    if limit_usd is not None and (price_usd is None or price_usd > limit_usd):
        why = "no price is known" if price_usd is None else f"costs ${price_usd:.2f}, the limit is ${limit_usd:.2f}"
        return Misfit(candidate.region, candidate.zone, why, "price")
    if problem.pausable:
        pieces = best_pieces(series, earliest_s, end_by_s, problem.duration_s)
    else:
        pieces = (best_window(series, earliest_s, end_by_s, problem.duration_s),)
    return _option(problem, candidate, pieces, known_s, price_usd)


def _option(
    problem: PlanProblem, candidate: Candidate, pieces: tuple[Piece, ...], known_s: float, price_usd: float | None
) -> Option:
    low, high = candidate.series.low_g_per_kwh, candidate.series.high_g_per_kwh
    return Option(
        candidate=candidate,
        pieces=pieces,
        known_until_s=known_s,
        energy_kwh=_energy_kwh(problem, candidate),
        emissions_g=_emissions_g(problem, candidate, candidate.series.intensity_g_per_kwh, pieces),
        emissions_low_g=None if low is None else _emissions_g(problem, candidate, low, pieces),
        emissions_high_g=None if high is None else _emissions_g(problem, candidate, high, pieces),
        at_once_g=at_once_g(problem, candidate),
        price_usd=price_usd,
    )


def _energy_kwh(problem: PlanProblem, candidate: Candidate) -> float:
    return candidate.power_w * problem.duration_s / JOULES_PER_KWH


def _emissions_g(
    problem: PlanProblem, candidate: Candidate, intensity_g_per_kwh: FloatArray, pieces: tuple[Piece, ...]
) -> float:
    """IT energy x PUE x mean intensity over the pieces + transfer; g, NaN where a part has no intensity."""
    mean_g_per_kwh = mean_over(steps_of(candidate)._replace(values=intensity_g_per_kwh), pieces)
    return _energy_kwh(problem, candidate) * candidate.pue * mean_g_per_kwh + candidate.transfer_g


def at_once_g(problem: PlanProblem, candidate: Candidate) -> float | None:
    """Expected emissions of the run started at the earliest time; None where the series does not cover it."""
    emissions_g = _emissions_g(problem, candidate, candidate.series.intensity_g_per_kwh, (_at_once(problem),))
    return None if np.isnan(emissions_g) else emissions_g


def baseline_of(problem: PlanProblem) -> tuple[float | None, str]:
    """Emissions of the run at once at home, g; None with the reason where there is no such run to compare with."""
    if problem.baseline is None:
        return None, problem.no_baseline_why
    emissions_g = at_once_g(problem, problem.baseline)
    if emissions_g is None:
        return None, f"{problem.baseline.series.source} does not cover a run at once in {problem.baseline.zone}"
    return emissions_g, ""


def steps_of(candidate: Candidate) -> StepSeries:
    """The candidate's series as plain steps, seconds since 1970."""
    series = candidate.series
    return StepSeries(series.start_s, series.step_s, series.intensity_g_per_kwh)


def _at_once(problem: PlanProblem) -> Piece:
    earliest_s = problem.earliest_utc.timestamp()
    return Piece(earliest_s, earliest_s + problem.duration_s)


def _price_usd(candidate: Candidate, duration_s: float) -> float | None:
    if candidate.price_usd_per_h is None or candidate.egress_usd is None:
        return None
    return candidate.price_usd_per_h * duration_s / SECONDS_PER_HOUR + candidate.egress_usd


def _plan(problem: PlanProblem, best: Option, misfits: tuple[Misfit, ...]) -> Plan:
    candidate, series = best.candidate, best.candidate.series
    baseline_g, why = baseline_of(problem)
    ends_at_edge = best.known_until_s - best.pieces[-1].end_s < _AT_EDGE_S
    return Plan(
        segments=tuple(
            Segment(from_epoch_s(piece.start_s), from_epoch_s(piece.end_s), candidate.region, candidate.zone)
            for piece in best.pieces
        ),
        energy_kwh=best.energy_kwh,
        emissions_g=best.emissions_g,
        emissions_low_g=best.emissions_low_g,
        emissions_high_g=best.emissions_high_g,
        at_once_g=best.at_once_g,
        baseline_g=baseline_g,
        no_baseline_why=why,
        bound_g=best.emissions_g,
        exact=True,
        chance_worse=_chance_worse(problem, best, baseline_g),
        price_usd=best.price_usd,
        forecast=ForecastUsed(
            series.source, series.kind, series.issued_at, series.frame, from_epoch_s(best.known_until_s)
        ),
        forecast_edge=ends_at_edge,
        pue=candidate.pue,
        transfer_g=candidate.transfer_g,
        baseline_pue=problem.baseline.pue if problem.baseline and baseline_g is not None else None,
        baseline_transfer_g=problem.baseline.transfer_g if problem.baseline and baseline_g is not None else None,
        misfits=misfits,
    )


def _chance_worse(problem: PlanProblem, best: Option, baseline_g: float | None) -> float | None:
    other = problem.baseline if problem.baseline and baseline_g is not None else best.candidate
    other_g = baseline_g if baseline_g is not None else best.at_once_g
    if other_g is None:
        return None
    plan_weights = _weights(best.candidate, best.pieces)
    other_weights = _weights(other, (_at_once(problem),))
    if other.series is best.candidate.series:
        variances = [_variance(other, plan_weights - other_weights)]
    else:  # errors of two zones are taken as independent
        variances = [_variance(best.candidate, plan_weights), _variance(other, other_weights)]
    known = [variance for variance in variances if variance is not None]
    return chance_of_excess(other_g - best.emissions_g, sum(known)) if len(known) == len(variances) else None


def _variance(candidate: Candidate, weights: FloatArray) -> float | None:
    """Variance of the weighted sum over the candidate's series, g^2; None where a used step has no band."""
    series = candidate.series
    used = weights != 0  # steps outside both runs may have no value
    if not used.any():
        return 0.0
    if series.low_g_per_kwh is None or series.high_g_per_kwh is None:
        return None
    low, high = series.low_g_per_kwh[used], series.high_g_per_kwh[used]
    if np.isnan(low).any() or np.isnan(high).any():
        return None
    return difference_variance(weights[used], low, high, steps_of(candidate).edges_s()[:-1][used])


def _weights(candidate: Candidate, pieces: tuple[Piece, ...]) -> FloatArray:
    """What the run emits per g/kWh of each step, which is its facility energy there; (n,), kWh."""
    return candidate.power_w * candidate.pue * seconds_in_steps(steps_of(candidate), pieces) / JOULES_PER_KWH
