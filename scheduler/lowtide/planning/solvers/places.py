"""Which place, and when: one uninterrupted run in one of several places, by itself or for many arrivals at once."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from lowtide.planning.solvers.steps import SAME_INSTANT_S
from lowtide.planning.solvers.windows import Piece, StepSeries, known_until_s
from lowtide_core.errors import InputError
from lowtide_core.quantities import SECONDS_PER_HOUR

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lowtide_core.series import FloatArray

    IntArray = np.ndarray[tuple[int, ...], np.dtype[np.int64]]

_TIE = 1e-12
"""Two sums that differ by less, relatively, are equal to us."""


@dataclass(frozen=True, slots=True, eq=False)
class PlaceCosts:
    """Where the job could run, and what that takes.

    Attributes:
        series: Intensity there; g/kWh, >= 0. Used up to its first gap (NaN) after the earliest start.
        power_kw: Facility power of the running job (IT power x PUE); kW, > 0.
        price_usd_per_h: While the job runs; USD/h, >= 0.
        fixed_g, fixed_usd: Once, whenever the job begins there, such as for bringing the data; g, USD, >= 0.
        delay_s: No start there before so long after the earliest start, such as for the data to arrive; s, >= 0.
    """

    series: StepSeries
    power_kw: float
    price_usd_per_h: float = 0.0
    fixed_g: float = 0.0
    fixed_usd: float = 0.0
    delay_s: float = 0.0

    def __post_init__(self) -> None:
        amounts = {name: getattr(self, name) for name in ("price_usd_per_h", "fixed_g", "fixed_usd", "delay_s")}
        wrong = {name: amount for name, amount in amounts.items() if not 0.0 <= amount < math.inf}
        if not 0.0 < self.power_kw < math.inf:
            wrong["power_kw"] = self.power_kw
        if wrong:
            raise InputError(
                f"What a place costs cannot be: {', '.join(f'{name} {amount}' for name, amount in wrong.items())}.",
                hint="Power is positive, the others are not negative, and all are finite.",
                **wrong,
            )
        require_steps(self.series)


class Stay(NamedTuple):
    """A stretch of running in one place: ``[start_s, end_s)`` at ``places[place]``."""

    place: int
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class Route:
    """Where and when the job runs.

    Attributes:
        stays: In order of time; never empty.
        emissions_g: Of the runs, the arrival, the moves and the restarts; g.
        price_usd: Likewise; USD.
        bound_g: No plan within the limits has a lower ``emissions_g + usd_weight x price_usd``; g.
        exact: Whether the plan attains the bound.
        moves: How often the place changes.
        restarts: How often the job is paused and goes on in the same place.
        place_shares: Of the running time in each place; (R,), 0-1, adds up to 1.
    """

    stays: tuple[Stay, ...]
    emissions_g: float
    price_usd: float
    bound_g: float
    exact: bool
    moves: int
    restarts: int
    place_shares: tuple[float, ...]


class Chosen(NamedTuple):
    """One answer per home and arrival; place and start are -1, and least_g is NaN, where nothing fits.

    Attributes:
        least_g: Emissions of the best run; (H, A), g.
        place: Index of its place; (H, A).
        start: Step in which it starts; (H, A).
    """

    least_g: FloatArray
    place: IntArray
    start: IntArray


def best_place(
    places: Sequence[PlaceCosts],
    earliest_s: float,
    end_by_s: float,
    duration_s: float,
    *,
    usd_weight: float = 0.0,
    max_price_usd: float | None = None,
) -> Route:
    """The place and the start of one uninterrupted run with the least emissions + weight x price.

    Args:
        places: R >= 1 of them; their steps may differ.
        earliest_s: When the job, and its data at home, is ready; s.
        end_by_s: No end after; s.
        duration_s: Length; s, > 0, need not be a multiple of a step.
        usd_weight: What a dollar counts for; g/USD, >= 0.
        max_price_usd: Limit for run and arrival together; USD.
    Returns:
        The route, of one stay; exact. Of equals the earliest, then the first place.
    Raises:
        InputError: No place fits. ``facts["short_by_s"]`` tells by how much the window is too short in the place that
            is nearest to fitting, ``facts["cheapest_usd"]`` what the cheapest place costs where the limit stops all.
    """
    require_job(places, earliest_s, end_by_s, duration_s, usd_weight, max_price_usd)
    route = best_single(places, earliest_s, end_by_s, duration_s, usd_weight, max_price_usd)
    if route is None:
        raise nothing_fits(places, earliest_s, end_by_s, duration_s, max_price_usd)
    return route


def best_single(
    places: Sequence[PlaceCosts],
    earliest_s: float,
    end_by_s: float,
    duration_s: float,
    usd_weight: float,
    max_price_usd: float | None,
) -> Route | None:
    """As ``best_place``, for arguments that are known to be sound; None where no place fits."""
    usd = [stay_usd(place, duration_s) for place in places]
    best = None
    for group in _same_steps(places):
        starts_s, sums = _best_starts([places[index] for index in group], earliest_s, end_by_s, duration_s)
        for index, start_s, total in zip(group, starts_s.tolist(), sums.tolist(), strict=True):
            if math.isinf(total) or (max_price_usd is not None and usd[index] > max_price_usd):
                continue
            place = places[index]
            objective_g = place.fixed_g + place.power_kw * total / SECONDS_PER_HOUR + usd_weight * usd[index]
            key = (objective_g, start_s, index)
            best = key if best is None else min(best, key)
    if best is None:
        return None
    _, start_s, index = best
    piece = Piece(earliest_s + start_s, earliest_s + start_s + duration_s)
    g = float(places[index].fixed_g) + run_g(places[index], piece)
    shares = tuple(float(other == index) for other in range(len(places)))
    return Route((Stay(index, *piece),), g, usd[index], g + usd_weight * usd[index], True, 0, 0, shares)


def _same_steps(places: Sequence[PlaceCosts]) -> list[list[int]]:
    """The places whose series have their steps in common, so that one calculation serves them all."""
    groups: dict[tuple[float, float, int], list[int]] = {}
    for index, place in enumerate(places):
        series = place.series
        groups.setdefault((series.start_s, series.step_s, series.values.size), []).append(index)
    return list(groups.values())


def _best_starts(
    places: Sequence[PlaceCosts], earliest_s: float, end_by_s: float, duration_s: float
) -> tuple[FloatArray, FloatArray]:
    """The best start in each of R places with common steps, s after the earliest, and intensity x s of the run there.

    Inf where it does not fit. Exact for the reason given in ``windows.best_window``; of equals the earliest start.
    """
    start_s, step_s, own = places[0].series
    first = min(max(0, int((earliest_s - start_s) // step_s)), own.size - 1)
    last = max(first + 1, min(own.size, math.ceil((end_by_s - start_s) / step_s)))
    edges_s = start_s - earliest_s + step_s * np.arange(first, last + 1, dtype=np.float64)  # small: keeps the digits
    count = last - first
    values = np.zeros((len(places), count + 1))  # after the last step nothing is added
    values[:, :count] = [place.series.values[first:last] for place in places]
    until_s = 0.0 if edges_s[0] > 0 else min(end_by_s - earliest_s, float(edges_s[-1]))
    latest_s = np.full((len(places), 1), until_s, dtype=np.float64)
    gaps = np.isnan(values)
    if gaps.any():
        values[gaps] = 0.0
        known_s = np.where(gaps.any(axis=1), edges_s[gaps.argmax(axis=1)], np.inf)[:, None]
        latest_s = np.maximum(np.minimum(known_s, latest_s), 0.0)
    latest_s -= duration_s
    ready_s = np.array([[place.delay_s] for place in places], dtype=np.float64)
    latest_s = np.where(np.abs(latest_s - ready_s) < SAME_INSTANT_S, ready_s, latest_s)
    prefix = np.zeros((len(places), count + 1))
    np.cumsum(values[:, :count] * step_s, axis=1, out=prefix[:, 1:])
    kinks_s, kink_sums = _kinks(values, prefix, edges_s, step_s, duration_s)
    starts_s, sums = np.empty((2, len(places), kinks_s.size + 2))
    starts_s[:, :1], starts_s[:, 1:2], starts_s[:, 2:] = ready_s, latest_s, kinks_s
    ends_s = np.concatenate((starts_s[:, :2], starts_s[:, :2] + duration_s), axis=1)
    passed = _until(values, prefix, edges_s, step_s, ends_s)
    sums[:, :2], sums[:, 2:] = passed[:, 2:] - passed[:, :2], kink_sums
    sums[(starts_s < ready_s) | (starts_s > latest_s)] = np.inf
    least = sums.min(axis=1)
    equal = sums <= (least + _TIE * (1.0 + prefix[:, -1]))[:, None]
    return np.where(equal, starts_s, np.inf).min(axis=1), least


def _until(values: FloatArray, prefix: FloatArray, edges_s: FloatArray, step_s: float, at_s: FloatArray) -> FloatArray:
    """Integral from the first edge to a few instants of each place; (R, instants). All places at once, for speed."""
    step = np.minimum(np.maximum((at_s - edges_s[0]) / step_s, 0.0), values.shape[1] - 1).astype(np.int64)
    rows = np.arange(len(values))[:, None]
    return np.asarray(prefix[rows, step] + values[rows, step] * (at_s - edges_s[step]))


def _kinks(
    values: FloatArray, prefix: FloatArray, edges_s: FloatArray, step_s: float, duration_s: float
) -> tuple[FloatArray, FloatArray]:
    """Starts of runs that begin or end on an edge, and their integrals in each place: (K,), (R, K).

    Such runs pass the same number of whole steps, and the same part of the step after or before them.
    """
    whole = int(duration_s // step_s)
    part_s = duration_s - whole * step_s
    if whole >= edges_s.size:
        return edges_s[:0], prefix[:, :0]
    begin = prefix[:, whole:] + part_s * values[:, whole:] - prefix[:, : edges_s.size - whole]
    starts_s = edges_s[: edges_s.size - whole]
    if part_s == 0.0:
        return starts_s, begin
    end = prefix[:, whole + 1 :] - prefix[:, 1 : edges_s.size - whole] + part_s * values[:, : edges_s.size - whole - 1]
    return np.concatenate((starts_s, edges_s[whole + 1 :] - duration_s)), np.concatenate((begin, end), axis=1)


def usable_until_s(place: PlaceCosts, earliest_s: float, end_by_s: float) -> float:
    """The deadline, or the first instant after the earliest start at which the place's intensity is not known; s."""
    return min(end_by_s, known_until_s(place.series, earliest_s))


def run_g(place: PlaceCosts, piece: Piece) -> float:
    """Emissions of running over the piece, which the series covers; g."""
    start_s, step_s, values = place.series
    first = int((piece.start_s - start_s + SAME_INSTANT_S) // step_s)
    last = math.ceil((piece.end_s - start_s - SAME_INSTANT_S) / step_s)
    inside = values[first:last]
    before_s = piece.start_s - (start_s + step_s * first)
    after_s = start_s + step_s * last - piece.end_s
    total = step_s * float(inside.sum()) - before_s * float(inside[0]) - after_s * float(inside[-1])
    return float(place.power_kw * total / SECONDS_PER_HOUR)


def stay_usd(place: PlaceCosts, duration_s: float) -> float:
    """Price of arriving at the place and of the whole run there; USD."""
    return float(place.fixed_usd + place.price_usd_per_h * duration_s / SECONDS_PER_HOUR)


def require_steps(series: StepSeries) -> None:
    """Refuse a series that no planner can use.

    Raises:
        InputError: A step that is not positive, no value at all, or a value below 0 or infinite.
    """
    if not series.step_s > 0 or series.values.ndim != 1 or not series.values.size:
        raise InputError(
            f"A series has a step of {series.step_s} s and values of the shape {series.values.shape}.",
            hint="The step is positive, and the values are one row of at least one.",
        )
    wrong = np.flatnonzero((series.values < 0) | np.isinf(series.values))
    if wrong.size:
        raise InputError(
            f"The intensity in step {wrong[0]} is {series.values[wrong[0]]} g/kWh.",
            hint="An intensity is finite and not negative; NaN is a gap.",
            step=int(wrong[0]),
        )


def require_job(
    places: Sequence[PlaceCosts],
    earliest_s: float,
    end_by_s: float,
    duration_s: float,
    usd_weight: float,
    max_price_usd: float | None,
) -> None:
    """Refuse what no longer window can mend.

    Raises:
        InputError: No place, an instant that is none, or a duration, weight or limit out of range.
    """
    if not places:
        raise InputError("There is no place to plan for.", hint="Name at least one.")
    if not (math.isfinite(earliest_s) and math.isfinite(end_by_s)):
        raise InputError(f"The window is {earliest_s} to {end_by_s} s.", hint="Give two instants.")
    if not 0 < duration_s < math.inf:
        raise InputError(f"The duration is {duration_s} s.", hint="Give a positive one.", duration_s=duration_s)
    if not 0 <= usd_weight < math.inf or (max_price_usd is not None and not max_price_usd >= 0):
        raise InputError(
            f"A dollar counts for {usd_weight} g, and the limit is {max_price_usd} USD.",
            hint="Neither is negative.",
            usd_weight=usd_weight,
            max_price_usd=max_price_usd,
        )


def nothing_fits(
    places: Sequence[PlaceCosts], earliest_s: float, end_by_s: float, duration_s: float, max_price_usd: float | None
) -> InputError:
    """Why no single place fits: the window is too short everywhere, or the price limit is in the way."""
    short_s = [
        earliest_s + place.delay_s + duration_s - usable_until_s(place, earliest_s, end_by_s) for place in places
    ]
    least_s = min(short_s)
    if least_s > SAME_INSTANT_S:
        return InputError(
            f"A run of {duration_s:g} s ends {least_s:g} s too late, or after the forecasts, in every place.",
            hint=f"Allow {least_s:g} s more.",
            short_by_s=least_s,
            earliest_feasible_s=min(earliest_s + place.delay_s + duration_s for place in places),
        )
    fitting = zip(places, short_s, strict=True)
    cheapest_usd = min(stay_usd(place, duration_s) for place, short in fitting if short <= SAME_INSTANT_S)
    return InputError(
        f"The run costs at least {cheapest_usd:.2f} USD, and the limit is {max_price_usd} USD.",
        hint="Raise the limit.",
        cheapest_usd=cheapest_usd,
    )


def best_place_and_start(
    values: FloatArray,
    arrivals: IntArray,
    steps: int,
    slack_steps: int,
    *,
    energy_kwh: FloatArray | float = 1.0,
    fixed_g: FloatArray | float = 0.0,
    delay_steps: IntArray | int = 0,
) -> Chosen:
    """Place and start of one uninterrupted run for many arrivals of equal jobs on one grid of whole steps.

    Args:
        values: Intensity in each place and step; (R, T), g/kWh, >= 0; NaN is a gap, over which nothing runs.
        arrivals: Step in which each job is ready; (A,), 0..T-1.
        steps: Length of the run; >= 1.
        slack_steps: How many steps later than at once it may start; >= 0.
        energy_kwh: Facility energy of the running job per step; (R,) or one for all, > 0.
        fixed_g: Bringing the data from each home to each place; (H, R) or (R,) or one for all, g, >= 0.
        delay_steps: How many steps that takes; as ``fixed_g``.
    Returns:
        What is chosen; (H, A) each, with H = 1 where no homes are told apart. Exact; of equals the first place, and
        the earliest start there.
    Raises:
        InputError: A shape or a range is wrong.
    """
    places, total = values.shape if values.ndim == 2 else (0, 0)
    if not places or steps < 1 or slack_steps < 0 or (values < 0).any() or np.isinf(values).any():
        raise InputError(
            f"Values of the shape {values.shape}, a run of {steps} steps, a slack of {slack_steps}.",
            hint="Give (places, steps) of finite values >= 0, at least one step, and a slack that is not negative.",
        )
    if arrivals.size and not (arrivals.min() >= 0 and arrivals.max() < total):
        raise InputError("An arrival lies outside the values.", hint=f"Arrivals are steps from 0 to {total - 1}.")
    grams = np.atleast_2d(np.broadcast_to(fixed_g, (*np.shape(fixed_g)[:-1], places)))
    waits = np.broadcast_to(delay_steps, grams.shape)
    kwh = np.broadcast_to(energy_kwh, (places,))
    if not ((grams >= 0).all() and (waits >= 0).all() and (kwh > 0).all()):
        raise InputError("Energy, arrival emissions or delays are out of range.", hint="None of them is negative.")
    least = np.full((grams.shape[0], arrivals.size), np.inf)
    place = np.full(least.shape, -1)
    start = np.full(least.shape, -1)
    for index in range(places):
        sums = _window_sums(values[index], steps, slack_steps) * kwh[index]
        for wait in np.unique(waits[:, index]):
            homes = waits[:, index] == wait
            if wait > slack_steps:
                continue
            ahead = np.lib.stride_tricks.sliding_window_view(sums, slack_steps + 1)[arrivals, wait:]
            offset = ahead.argmin(axis=1)
            total_g = np.take_along_axis(ahead, offset[:, None], axis=1)[:, 0] + grams[homes, index, None]
            better = total_g < least[homes]
            least[homes] = np.where(better, total_g, least[homes])
            place[homes] = np.where(better, index, place[homes])
            start[homes] = np.where(better, arrivals + wait + offset, start[homes])
    least[place < 0] = np.nan
    return Chosen(least, place, start)


def _window_sums(values: FloatArray, steps: int, slack_steps: int) -> FloatArray:
    """Sum over ``steps`` from each step, infinite where one is missing or after the end; (T + slack,)."""
    known = ~np.isnan(values)
    prefix = np.concatenate(([0.0], np.cumsum(np.where(known, values, 0.0))))
    count = np.concatenate(([0], np.cumsum(known)))
    sums = np.full(values.size + slack_steps, np.inf)
    if values.size >= steps:
        whole = count[steps:] - count[:-steps] == steps
        sums[: whole.size] = np.where(whole, prefix[steps:] - prefix[:-steps], np.inf)
    return sums
