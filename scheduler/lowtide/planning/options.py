"""One candidate's best run, with every figure of it: what ``solve`` chooses from."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from lowtide.planning.chances import MEAN_ERRORS_IN_BAND_80, difference_variance
from lowtide.planning.choice import Work, choose
from lowtide.planning.energy import (
    Run,
    booked_s,
    durations_of,
    run_energy_kwh,
    seconds_at_mean,
    still_running,
    tail_s,
)
from lowtide.planning.solvers.steps import SAME_INSTANT_S
from lowtide.planning.solvers.windows import StepSeries, known_until_s
from lowtide.planning.types import Candidate, Misfit
from lowtide_core.quantities import SECONDS_PER_HOUR
from lowtide_core.spans import from_epoch_s, iso_utc

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lowtide.planning.choice import Chosen
    from lowtide.planning.types import PlanProblem
    from lowtide_core.series import FloatArray

G_PER_T = 1e6


@dataclass(frozen=True, slots=True, eq=False)
class Option:
    """A run that is possible, and what it means. Figures are expected values, where the duration is not known.

    Attributes:
        place: Index of its candidate; with moves, of the one where it begins.
        facility_kwh: What it emits per g/kWh of each step, by place; (n,), kWh.
        at_once_g: The same place from the earliest time, as if alone there; None where its intensity is unknown.
        bound_g: No run of this candidate emits less.
    """

    place: int
    candidate: Candidate
    runs: tuple[Run, ...]
    known_until_s: float
    facility_kwh: Mapping[int, FloatArray]
    energy_kwh: float
    transfer_g: float
    emissions_g: float
    emissions_low_g: float | None
    emissions_high_g: float | None
    at_once_g: float | None
    price_usd: float | None
    bound_g: float
    exact: bool


def steps_of(candidate: Candidate) -> StepSeries:
    """The candidate's series as plain steps, seconds since 1970."""
    series = candidate.series
    return StepSeries(series.start_s, series.step_s, series.intensity_g_per_kwh)


def evaluate_one(problem: PlanProblem, place: int) -> Option | Misfit:
    """The candidate's best run, or why it has none."""
    candidate = problem.candidates[place]
    earliest_s, deadline_s = problem.earliest_utc.timestamp() + candidate.transfer_s, problem.deadline_utc.timestamp()
    series = steps_of(candidate)
    known_s = known_until_s(series, earliest_s)
    usable_s = known_s - tail_s(problem.manner, problem.done_s)
    end_by_s = min(deadline_s, usable_s)
    work = _work(problem, candidate)
    if problem.at_once:
        end_by_s = min(end_by_s, earliest_s + remaining_s(problem))
    if earliest_s + work.least_s - end_by_s > SAME_INSTANT_S:
        return _too_short(candidate, earliest_s + work.least_s, deadline_s, usable_s)
    chosen = _choose(problem, place, earliest_s, end_by_s)
    if chosen is None:
        from lowtide.planning.gaps import first_end_s

        return _no_room(candidate, work, first_end_s(work, candidate.blocked, earliest_s), deadline_s, usable_s)
    runs = tuple(run._replace(place=place) for run in chosen.runs)
    option = option_of(problem, runs, known_s, over_bound=chosen.over_bound, exact=chosen.exact)
    if problem.judgement.robust:  # the bound is on what is expected
        plain = replace(problem, judgement=replace(problem.judgement, robust=False))
        least = _choose(plain, place, earliest_s, end_by_s)
        if least is not None:
            below = option_of(problem, least.runs, known_s, at=place, over_bound=least.over_bound)
            option = replace(option, bound_g=min(option.bound_g, below.bound_g))
    fits = within_price(problem, option)
    if isinstance(fits, Misfit) and problem.manner.widths is not None and problem.max_price_usd is not None:
        return _cheaper_widths(problem, place, fits, option.bound_g)
    return fits


def _cheaper_widths(problem: PlanProblem, place: int, too_dear: Misfit, bound_g: float) -> Option | Misfit:
    """The best run at the widths that the limit can pay for alone; of any mixture of them so can it.

    A mixture with a dearer width might emit less; so this is exact only for a job of one width.
    """
    widths, candidate = problem.manner.widths, problem.candidates[place]
    if widths is None or problem.max_price_usd is None or not candidate.price_usd_per_h or candidate.egress_usd is None:
        return too_dear
    speed = [widths.at(widths.base)[0] / throughput for throughput in widths.throughput]
    hours = remaining_s(problem) / SECONDS_PER_HOUR
    left_usd = problem.max_price_usd - candidate.egress_usd
    usd = [candidate.price_usd_per_h * hours * s * w / widths.base for s, w in zip(speed, widths.width, strict=True)]
    kept = [index for index, price in enumerate(usd) if price <= left_usd]
    if not kept or len(kept) == len(usd):
        return too_dear
    chosen = [widths.width[index] for index in kept]
    base = widths.base if widths.base in chosen else chosen[0]
    longer = widths.at(widths.base)[0] / widths.at(base)[0]
    table = replace(
        widths,
        width=tuple(chosen),
        throughput=tuple(widths.throughput[index] for index in kept),
        power_w=tuple(widths.power_w[index] for index in kept),
        base=base,
    )
    smaller = replace(
        problem,
        manner=replace(problem.manner, widths=table),
        max_price_usd=None,  # that of each is known
        duration_s=problem.duration_s * longer,
        done_s=problem.done_s * longer,
    )
    found = evaluate_one(smaller, place)
    if isinstance(found, Misfit):
        return too_dear
    known_s = found.known_until_s
    option = option_of(problem, found.runs, known_s, exact=found.exact and widths.fixed)
    return within_price(problem, replace(option, bound_g=min(bound_g, option.bound_g)))


def _too_short(candidate: Candidate, end_s: float, deadline_s: float, known_s: float) -> Misfit:
    if end_s - deadline_s <= SAME_INSTANT_S:
        why = f"{candidate.series.source} is known only until {iso_utc(from_epoch_s(known_s))}"
        return Misfit(candidate.region, candidate.zone, why, "forecast", end_s - known_s)
    short_by_s = end_s - deadline_s
    why = f"needs {short_by_s / SECONDS_PER_HOUR:.3g} h more before the deadline"
    return Misfit(candidate.region, candidate.zone, why, "deadline", short_by_s)


def _no_room(candidate: Candidate, work: Work, end_s: float, deadline_s: float, known_s: float) -> Misfit:
    """Of a job that would fit, were nothing promised; ``end_s``: by when it could be done."""
    needs = f"no room for {work.least_s / SECONDS_PER_HOUR:.3g} h before"
    if known_s + SAME_INSTANT_S < end_s <= deadline_s + SAME_INSTANT_S:
        why = f"{needs} {iso_utc(from_epoch_s(known_s))}, until when {candidate.series.source} is known"
        return Misfit(candidate.region, candidate.zone, f"{why}: {candidate.blocked_by}", "forecast", end_s - known_s)
    short_by_s = max(0.0, end_s - deadline_s) if end_s < float("inf") else 0.0
    why = f"{needs} the deadline: {candidate.blocked_by}"
    return Misfit(candidate.region, candidate.zone, why, "capacity", short_by_s)


def within_price(problem: PlanProblem, option: Option) -> Option | Misfit:
    """The option, or the misfit of one that costs too much or of which nobody knows what it costs."""
    candidate, price_usd, limit_usd = option.candidate, option.price_usd, problem.max_price_usd
    unpriced = price_usd is None and (limit_usd is not None or problem.judgement.carbon_price_usd_per_t is not None)
    if unpriced:
        return Misfit(candidate.region, candidate.zone, "no price is known", "price")
    if price_usd is not None and limit_usd is not None and price_usd > limit_usd:
        why = f"costs ${price_usd:.2f}, the limit is ${limit_usd:.2f}"
        return Misfit(candidate.region, candidate.zone, why, "price")
    return option


def _choose(problem: PlanProblem, place: int, earliest_s: float, end_by_s: float) -> Chosen | None:
    """The runs of least cost at the candidate; None where what is promised there leaves no room."""
    candidate = problem.candidates[place]
    work, series = _work(problem, candidate), judged(problem, candidate)
    if not candidate.blocked:
        return choose(work, series, earliest_s, end_by_s)
    from lowtide.planning.gaps import choose_around

    def cost_of(runs: tuple[Run, ...]) -> float:
        kwh = facility_kwh(problem, [run._replace(place=place) for run in runs])[place]
        return float(kwh[kwh > 0] @ series.values[kwh > 0])

    return choose_around(work, series, earliest_s, end_by_s, candidate.blocked, cost_of)


def _work(problem: PlanProblem, candidate: Candidate) -> Work:
    return Work(
        problem.manner,
        candidate.power_w,
        problem.duration_s,
        problem.done_s,
        problem.running,
        problem.pauses_used,
        problem.manner.setup_kwh if not (problem.running or problem.done_s) else restart_kwh(problem),
    )


def restart_kwh(problem: PlanProblem) -> float:
    """IT energy of resuming after a pause."""
    return problem.manner.pausing.restart_kwh if problem.manner.pausing else 0.0


def judged(problem: PlanProblem, candidate: Candidate) -> StepSeries:
    """The series by which times are judged: the middle of the band, or its upper end in robust mode."""
    series = steps_of(candidate)
    high = candidate.series.high_g_per_kwh
    return series._replace(values=high) if problem.judgement.robust and high is not None else series


def option_of(
    problem: PlanProblem,
    runs: Sequence[Run],
    known_s: float,
    *,
    at: int | None = None,
    transfer_g: float | None = None,
    over_bound: float = 1.0,
    exact: bool = True,
) -> Option:
    """The figures of given runs.

    Args:
        runs: In order. at: their place, where they do not carry it (all in one).
        transfer_g: Of a run with moves, in all; None: the candidate's own.
        known_s: Until when the intensity is known where they run. over_bound: operational emissions over their bound.
    """
    if at is not None:
        runs = tuple(run._replace(place=at) for run in runs)
    first = problem.candidates[runs[0].place]
    used = facility_kwh(problem, runs)
    moved_g = first.transfer_g if transfer_g is None else transfer_g
    middle, low, high = (_operational_g(problem, used, band) for band in ("intensity", "low", "high"))
    operational_g = float("nan") if middle is None else middle
    it_kwh = sum(float(kwh.sum()) / problem.candidates[place].pue for place, kwh in used.items())
    return Option(
        place=runs[0].place,
        candidate=first,
        runs=tuple(runs),
        known_until_s=known_s,
        facility_kwh=used,
        energy_kwh=it_kwh,
        transfer_g=moved_g,
        emissions_g=operational_g + moved_g,
        emissions_low_g=None if low is None else low + moved_g,
        emissions_high_g=None if high is None else high + moved_g,
        at_once_g=at_once_g(problem, first),
        price_usd=_price_usd(problem, first, runs),
        bound_g=operational_g / over_bound + moved_g,
        exact=exact,
    )


def facility_kwh(problem: PlanProblem, runs: Sequence[Run]) -> dict[int, FloatArray]:
    """Facility energy in each step of each place's series; (n,), kWh, by place."""
    used: dict[int, FloatArray] = {}
    for number, run in enumerate(runs):
        candidate = problem.candidates[run.place]
        kwh = run_kwh(problem, candidate, runs, number) * candidate.pue
        used[run.place] = used[run.place] + kwh if run.place in used else kwh
    return used


def run_kwh(problem: PlanProblem, candidate: Candidate, runs: Sequence[Run], number: int) -> FloatArray:
    """IT energy of one of the runs in each step of the candidate's series; (n,), kWh."""
    return run_energy_kwh(
        problem.manner,
        steps_of(candidate),
        runs,
        number,
        power_w=candidate.power_w,
        duration_s=problem.duration_s,
        done_s=problem.done_s,
        first_kwh=first_start_kwh(problem, runs[0].start_s),
    )


def first_start_kwh(problem: PlanProblem, start_s: float) -> float:
    """IT energy of starting the first of the planned runs: a set-up, a restart, or nothing where it just goes on."""
    if problem.running and start_s - problem.earliest_utc.timestamp() < SAME_INSTANT_S:
        return 0.0
    return restart_kwh(problem) if problem.running or problem.done_s > 0 else problem.manner.setup_kwh


def remaining_s(problem: PlanProblem) -> float:
    """What is still to be run: of the duration, or where that is not known of what suffices surely enough; s."""
    return booked_s(problem.manner, problem.duration_s, problem.done_s) - problem.done_s


def _operational_g(problem: PlanProblem, used: Mapping[int, FloatArray], band: str) -> float | None:
    """Facility energy x intensity; g. NaN where a used step has no value; None where a place has no such band."""
    total = 0.0
    for place, kwh in used.items():
        values = getattr(problem.candidates[place].series, f"{band}_g_per_kwh")
        if values is None:
            return None
        spent = kwh > 0
        total += float(kwh[spent] @ values[spent])
    return total


def at_once_g(problem: PlanProblem, candidate: Candidate) -> float | None:
    """Expected emissions of the run started at the earliest time; g, None where the series does not cover it."""
    return operational_at_once(problem, candidate)[1]


def operational_at_once(problem: PlanProblem, candidate: Candidate) -> tuple[FloatArray, float | None]:
    """Facility energy of the run at once in each step, kWh, and its emissions with the transfer, g."""
    runs = at_once(problem, candidate)
    series = candidate.series
    kwh = run_kwh(problem, candidate, runs, 0) * candidate.pue
    end_s = runs[-1].end_s + tail_s(problem.manner, problem.done_s)
    covered = series.start_s <= runs[0].start_s + SAME_INSTANT_S and end_s <= series.end_s + SAME_INSTANT_S
    spent = kwh > 0
    emissions_g = float(kwh[spent] @ series.intensity_g_per_kwh[spent]) + candidate.transfer_g
    return kwh, emissions_g if covered and not np.isnan(emissions_g) else None


def at_once(problem: PlanProblem, candidate: Candidate) -> tuple[Run, ...]:
    """The uninterrupted run from the earliest time, at the base width, whatever is promised there to others."""
    start_s = problem.earliest_utc.timestamp() + candidate.transfer_s
    widths = problem.manner.widths
    return (Run(start_s, start_s + remaining_s(problem), width=widths.base if widths else 1),)


def soonest(problem: PlanProblem, candidate: Candidate) -> tuple[Run, ...]:
    """As ``at_once``, but from the first time at which there is room for it; empty where there never is."""
    runs = at_once(problem, candidate)
    if not candidate.blocked:
        return runs
    from lowtide.planning.gaps import first_start_s

    length_s = runs[0].end_s - runs[0].start_s
    start_s = first_start_s(candidate.blocked, runs[0].start_s, length_s)
    return (runs[0]._replace(start_s=start_s, end_s=start_s + length_s),) if start_s < float("inf") else ()


def _price_usd(problem: PlanProblem, candidate: Candidate, runs: Sequence[Run]) -> float | None:
    """Of the machines for as long as they run, and of letting the data out; None where one is not known."""
    if candidate.price_usd_per_h is None or candidate.egress_usd is None:
        return None
    return candidate.price_usd_per_h * machine_hours(problem, runs) + candidate.egress_usd


def machine_hours(problem: PlanProblem, runs: Sequence[Run]) -> float:
    """Hours of the machine that the duration is given for; expected, where that is not known."""
    widths = problem.manner.widths
    if widths is None:
        return expected_remaining_s(problem) / SECONDS_PER_HOUR
    return sum((run.end_s - run.start_s) * run.width for run in runs) / widths.base / SECONDS_PER_HOUR


def longest_s(problem: PlanProblem) -> float:
    """The longest that the job can take in all; s."""
    guess = problem.manner.guess
    return problem.duration_s if guess is None else durations_of(guess).longest_s


def expected_remaining_s(problem: PlanProblem) -> float:
    """How long it is expected to run yet; s."""
    guess = problem.manner.guess
    if guess is None:
        return problem.duration_s - problem.done_s
    ends_s = np.array([problem.done_s, longest_s(problem)])
    done_s, all_s = seconds_at_mean(problem.manner, ends_s, problem.duration_s)
    return float(all_s - done_s) / still_running(problem.manner, problem.done_s)


def variance_g2(problem: PlanProblem, one: Mapping[int, FloatArray], other: Mapping[int, FloatArray]) -> float | None:
    """Variance of the difference of two runs' emissions, g^2; None where a used step has no band.

    Errors of one series hang together over time; those of two are taken as independent.
    """
    total = 0.0
    by_series: dict[object, tuple[Candidate, FloatArray]] = {}
    for used, sign in ((one, 1.0), (other, -1.0)):
        for place, kwh in used.items():
            candidate = _candidate(problem, place)
            series = candidate.series
            key = (series.zone, series.source, series.issued_at, series.start_utc, series.step_s, kwh.size)
            known = by_series.get(key)
            by_series[key] = (candidate, sign * kwh if known is None else known[1] + sign * kwh)
    for candidate, weights in by_series.values():
        variance = _variance_g2(candidate, weights)
        if variance is None:
            return None
        total += variance
    return total


def mean_error_g(problem: PlanProblem, used: Mapping[int, FloatArray]) -> float | None:
    """What the forecast is to be expected to be wrong by in the hours of a run, on average; g, None without a band."""
    total = 0.0
    for place, kwh in used.items():
        series = _candidate(problem, place).series
        runs = kwh != 0
        if not runs.any():
            continue
        if series.low_g_per_kwh is None or series.high_g_per_kwh is None:
            return None
        width = series.high_g_per_kwh[runs] - series.low_g_per_kwh[runs]
        if np.isnan(width).any():
            return None
        total += float(kwh[runs] @ width) / MEAN_ERRORS_IN_BAND_80
    return total


BASELINE = -1
"""The place of the baseline, beside the indices of the candidates."""


def _candidate(problem: PlanProblem, place: int) -> Candidate:
    if place == BASELINE and problem.baseline is not None:
        return problem.baseline
    return problem.candidates[place]


def _variance_g2(candidate: Candidate, weights: FloatArray) -> float | None:
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
