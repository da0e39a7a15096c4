"""When each of many independent jobs starts, where waiting has a price or the mean wait a limit: the exact frontier."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from lowtide.planning.solvers.steps import SAME_INSTANT_S
from lowtide.planning.solvers.waiting_jobs import integral_from_start, require_jobs
from lowtide_core.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import ArrayLike

    from lowtide.planning.solvers.steps import Integral, StepSeries
    from lowtide.planning.solvers.waiting_jobs import WaitingJobs
    from lowtide_core.series import FloatArray

IntArray = np.ndarray[tuple[int, ...], np.dtype[np.intp]]

_TIE = 1e-13
"""A gain below this share of the largest running sum of the series is its rounding: nobody waits for it."""

_GAP = 1e-6
"""Nearer to the bound, relatively, the rest of a limit is not worth another look at all jobs."""

_CELLS = 1 << 16
"""Jobs x starts looked at together: what the processor's cache holds."""


@dataclass(frozen=True, slots=True, eq=False)
class WaitPlan:
    """A start for every job. Emissions are value x s x weight: g where values are g/kWh and the weight is kW / 3600.

    Attributes:
        start_s: (n,), s.
        emissions: Of the true lengths from these starts; (n,).
        at_once_emissions: Of the true lengths from the arrivals; (n,).
        mean_wait_s: Mean of start - arrival; s.
        wait_price: Emissions saved for each further second that one job waits, at the margin: every job's wait is the
            best at this price, but for the few jobs that share what was left of a limit.
        believed_emissions: Sum for the lengths that decided.
        bound: No plan with the same limit (or the same mean wait, where a price was given) has a smaller sum.
    """

    start_s: FloatArray
    emissions: FloatArray
    at_once_emissions: FloatArray
    mean_wait_s: float
    wait_price: float
    believed_emissions: float
    bound: float


class WaitFrontier(NamedTuple):
    """Least emissions against mean wait, from all at once to all at their least; point ``i`` is one plan.

    Attributes:
        mean_wait_s: Rising from 0; (m,), s.
        believed_emissions: Falling and convex; sum for the lengths that decide; (m,).
        emissions: Sum for the true lengths of the same starts; (m,). The former where the lengths are known.
        wait_price: What the step to this point saves per second of one job's wait; (m,), falling, inf at the first.
    """

    mean_wait_s: FloatArray
    believed_emissions: FloatArray
    emissions: FloatArray
    wait_price: FloatArray


class _Steps(NamedTuple):
    """The lower convex hull of every job's cost over its wait, as steps from corner to corner; (m,) each.

    ``rate`` is what a second of the step saves, weight included. A job's steps stand in the order of its waits, with
    falling rates, so what is worth taking of them is always a first part.
    """

    job: IntArray
    from_s: FloatArray
    to_s: FloatArray
    rate: FloatArray

    def waits_s(self, chosen: IntArray, jobs: int) -> FloatArray:
        """The wait of every job that takes the chosen steps; (n,), s."""
        waits_s = np.zeros(jobs)
        np.maximum.at(waits_s, self.job[chosen], self.to_s[chosen])
        return waits_s


def plan_waits(
    series: StepSeries,
    arrival_s: ArrayLike,
    length_s: ArrayLike,
    max_wait_s: ArrayLike,
    weight: ArrayLike,
    *,
    mean_wait_limit_s: float | None = None,
    wait_price: float | None = None,
    believed_length_s: ArrayLike | None = None,
    start_grid_s: float | None = None,
) -> WaitPlan:
    """The starts with the least total emissions, under a limit on the mean wait or at a price of waiting.

    Args:
        series: Values over time, without gaps from the first arrival to the last possible end.
        arrival_s: When each job may start first; (n,), s on the axis of the series.
        length_s: Uninterrupted run, > 0; (n,) or one for all, s.
        max_wait_s: Longest start - arrival, >= 0; (n,) or one for all, s.
        weight: What each job draws while it runs (CPUs, W), >= 0; (n,) or one for all.
        mean_wait_limit_s: Limit on the mean of start - arrival over the jobs; s, >= 0.
        wait_price: Emissions that one second of one job's wait is worth, instead of a limit; >= 0. With neither, no
            wait within the longest is too long.
        believed_length_s: The lengths that decide, where the true ones are not known (a queue's average); > 0.
        start_grid_s: Starts only at whole multiples of this after the arrival; s, > 0. None: at any time.
    Returns:
        The plan; of equal starts the earliest.
    Raises:
        InputError: A column is out of range or of another length, both limit and price are given, or the series does
            not cover a job; ``facts`` hold ``job`` and, for the last, ``short_by_s``.
    Notes:
        Jobs are independent, so min sum(carbon) with mean(wait) <= limit is solved by its Lagrangian: each job
        minimises carbon + price x wait, which lies on a corner of the lower convex hull of its cost. The cost is
        piecewise linear in the start, with kinks where the start or the end meets an edge of a step; the hull of the
        kinks is the hull of all starts. Taking all hulls' steps by falling rate gives the whole frontier. Under a limit
        the next step may not fit as a whole; what is left goes to the jobs that save most by it, and the plan exceeds
        ``bound`` by less than one step of one job (choosing among whole steps would be a knapsack problem).
        At a fixed price a job's start depends on no other job: the rule is an online one.
    Source:
        Everett, Generalized Lagrange multiplier method, Operations Research 11 (1963), doi:10.1287/opre.11.3.399.
    """
    _require_one_limit(mean_wait_limit_s, wait_price, start_grid_s)
    jobs = require_jobs(series, arrival_s, length_s, max_wait_s, weight, believed_length_s)
    integral = integral_from_start(series)
    steps = _hull_steps(integral, jobs, start_grid_s)
    gain = steps.rate * (steps.to_s - steps.from_s)
    least = _believed_at_once(integral, jobs)
    if mean_wait_limit_s is None:
        price = wait_price or 0.0
        chosen = np.flatnonzero(steps.rate > price)
        waits_s = steps.waits_s(chosen, jobs.arrival_s.size)
        bound = least - float(gain[chosen].sum())
    else:
        waits_s, price, saved = _within(integral, jobs, steps, mean_wait_limit_s, start_grid_s)
        bound = least - saved
    believed = _emissions(integral, jobs, jobs.believed_s, waits_s)
    return WaitPlan(
        start_s=series.start_s + jobs.arrival_s + waits_s,
        emissions=_emissions(integral, jobs, jobs.length_s, waits_s),
        at_once_emissions=_emissions(integral, jobs, jobs.length_s, np.zeros_like(waits_s)),
        mean_wait_s=float(waits_s.mean()),
        wait_price=price,
        believed_emissions=float(believed.sum()),
        bound=bound,
    )


def wait_frontier(
    series: StepSeries,
    arrival_s: ArrayLike,
    length_s: ArrayLike,
    max_wait_s: ArrayLike,
    weight: ArrayLike,
    *,
    believed_length_s: ArrayLike | None = None,
    start_grid_s: float | None = None,
) -> WaitFrontier:
    """Every corner of least total emissions against mean wait; arguments, errors and method as in ``plan_waits``.

    Notes:
        No plan lies below the line through the corners (in believed emissions); between two corners it is reached but
        for one job, which would have to be split.
    """
    _require_one_limit(None, None, start_grid_s)
    jobs = require_jobs(series, arrival_s, length_s, max_wait_s, weight, believed_length_s)
    integral = integral_from_start(series)
    steps = _hull_steps(integral, jobs, start_grid_s)
    order = np.argsort(-steps.rate, kind="stable")
    width_s = (steps.to_s - steps.from_s)[order]
    job = steps.job[order]
    starts = [jobs.arrival_s[job] + side[order] for side in (steps.from_s, steps.to_s)]
    true_gain = jobs.weight[job] * (
        integral.above_level(starts[0], jobs.length_s[job]) - integral.above_level(starts[1], jobs.length_s[job])
    )
    at_once = float(_emissions(integral, jobs, jobs.length_s, np.zeros(jobs.arrival_s.size)).sum())
    return WaitFrontier(
        mean_wait_s=_running(0.0, width_s) / jobs.arrival_s.size,
        believed_emissions=_running(_believed_at_once(integral, jobs), -steps.rate[order] * width_s),
        emissions=_running(at_once, -true_gain),
        wait_price=np.concatenate(([np.inf], steps.rate[order])),
    )


def _running(first: float, changes: FloatArray) -> FloatArray:
    return first + np.concatenate(([0.0], np.cumsum(changes)))


def _within(
    integral: Integral, jobs: WaitingJobs, steps: _Steps, mean_wait_limit_s: float, start_grid_s: float | None
) -> tuple[FloatArray, float, float]:
    """Waits under the limit, the price at the margin, and the most that any plan under the limit can save."""
    order = np.argsort(-steps.rate, kind="stable")
    width_s = (steps.to_s - steps.from_s)[order]
    waited_s = np.cumsum(width_s)
    budget_s = mean_wait_limit_s * jobs.arrival_s.size
    taken = int(np.searchsorted(waited_s, budget_s, side="right"))
    waits_s = steps.waits_s(order[:taken], jobs.arrival_s.size)
    saved = float((steps.rate[order[:taken]] * width_s[:taken]).sum())
    if taken == order.size:
        return waits_s, 0.0, saved
    price = float(steps.rate[order[taken]])
    rest_s = max(0.0, budget_s * (1 - 1e-12) - (float(waited_s[taken - 1]) if taken else 0.0))  # stays under, rounded
    least = _believed_at_once(integral, jobs) - saved - price * rest_s
    waits_s += _further_waits_s(integral, jobs, waits_s, rest_s, price * rest_s - _GAP * abs(least), start_grid_s)
    return waits_s, price, saved + price * rest_s


def _further_waits_s(
    integral: Integral,
    jobs: WaitingJobs,
    waits_s: FloatArray,
    rest_s: float,
    wanted: float,
    start_grid_s: float | None,
) -> FloatArray:
    """What is left of the limit goes to the job that saves most by it, until it is enough or nobody saves; (n,), s."""
    further_s = np.zeros_like(waits_s)
    while wanted > 0.0 and rest_s > SAME_INSTANT_S:
        waited_s = waits_s + further_s
        later = jobs._replace(
            arrival_s=jobs.arrival_s + waited_s,
            max_wait_s=np.clip(jobs.max_wait_s - waited_s, 0.0, rest_s),
        )
        steps = _hull_steps(integral, later, start_grid_s)
        if not steps.job.size:
            break
        saved = np.bincount(steps.job, steps.rate * (steps.to_s - steps.from_s), minlength=waits_s.size)
        best = int(saved.argmax())
        own_s = float(steps.to_s[steps.job == best].max())
        further_s[best] += own_s
        rest_s -= own_s
        wanted -= float(saved[best])
    return further_s


def _hull_steps(integral: Integral, jobs: WaitingJobs, start_grid_s: float | None) -> _Steps:
    """The falling part of every job's lower convex hull, by corners of all jobs at a time."""
    tie = _TIE * float(np.abs(integral.sums).max())
    parts = [
        _Steps(rows[part.job], part.from_s, part.to_s, part.rate * jobs.weight[rows[part.job]])
        for rows, waits_s in _candidates(integral, jobs, start_grid_s)
        for part in _corners(waits_s, _costs(integral, jobs, rows, waits_s), tie)
    ]
    if not parts:
        nothing = np.zeros(0)
        return _Steps(np.zeros(0, dtype=np.intp), nothing, nothing, nothing)
    return _Steps(
        np.concatenate([part.job for part in parts]),
        np.concatenate([part.from_s for part in parts]),
        np.concatenate([part.to_s for part in parts]),
        np.concatenate([part.rate for part in parts]),
    )


def _costs(integral: Integral, jobs: WaitingJobs, rows: IntArray, waits_s: FloatArray) -> FloatArray:
    return integral.above_level(jobs.arrival_s[rows, None] + waits_s, jobs.believed_s[rows, None])


def _corners(waits_s: FloatArray, costs: FloatArray, tie: float) -> Iterator[_Steps]:
    """From each row's corner to the next: the candidate that saves most for each second of further wait.

    Rows of candidates in any order, (r, k); column 0 is the start at once.
    """
    row = np.arange(waits_s.shape[0])
    at_s, cost = waits_s[:, 0], costs[:, 0]
    at_most = np.full(row.size, np.inf)
    while True:
        further_s = waits_s - at_s[:, None]
        gain = cost[:, None] - costs
        with np.errstate(divide="ignore", invalid="ignore"):
            rate = np.where((further_s > SAME_INSTANT_S) & (gain > tie), gain / further_s, 0.0)
        best = rate.argmax(axis=1)
        steepest = rate[np.arange(row.size), best]
        moves = steepest > 0.0
        if not moves.any():
            return
        row, best = row[moves], best[moves]
        at_most = np.minimum(at_most[moves], steepest[moves])  # rounding must not turn the order of two steps
        waits_s, costs = waits_s[moves], costs[moves]
        index = np.arange(row.size)
        to_s = waits_s[index, best]
        yield _Steps(row, at_s[moves], to_s, at_most)
        at_s, cost = to_s, costs[index, best]


def _candidates(
    integral: Integral, jobs: WaitingJobs, start_grid_s: float | None
) -> Iterator[tuple[IntArray, FloatArray]]:
    """Jobs, and the waits at which their cost may have a corner, the first of them 0; (r,) and (r, k), s.

    Rows are filled up with the longest wait, so only jobs of like longest waits are looked at together.
    """
    order = np.argsort(jobs.max_wait_s, kind="stable")
    order = order[(jobs.weight > 0.0)[order] & (jobs.max_wait_s > SAME_INSTANT_S)[order]]  # the others start at once
    ordered_s = jobs.max_wait_s[order]
    grain_s = start_grid_s or integral.step_s / 2
    done = 0
    while done < order.size:
        alike_s = 2 * max(float(ordered_s[done]), 4 * grain_s)
        fill = int(_CELLS / (alike_s / grain_s + 4)) + 1
        rows = order[done : min(done + fill, int(np.searchsorted(ordered_s, alike_s, side="right")))]
        done += rows.size
        arrival_s, limit_s = jobs.arrival_s[rows, None], jobs.max_wait_s[rows, None]
        if start_grid_s is not None:
            whole = np.floor(limit_s / start_grid_s + 1e-9) * start_grid_s
            waits_s = np.arange(0.0, float(whole[-1, 0]) + start_grid_s / 2, start_grid_s)
            yield rows, np.minimum(waits_s, whole)
            continue
        yield rows, kinks_s(integral, arrival_s, jobs.believed_s[rows, None], limit_s)


def kinks_s(integral: Integral, arrival_s: FloatArray, length_s: FloatArray, max_wait_s: FloatArray) -> FloatArray:
    """The waits between which a job's cost is linear, unordered, 0 first; (r, k), s, from columns of (r, 1)."""
    ahead = np.arange(int(float(max_wait_s.max()) // integral.step_s) + 1)
    waits_s = [np.zeros_like(max_wait_s), max_wait_s]
    for moment_s in (arrival_s, arrival_s + length_s):
        first = np.floor(moment_s / integral.step_s) + 1
        waits_s.append(np.minimum((first + ahead) * integral.step_s - moment_s, max_wait_s))
    return np.concatenate(waits_s, axis=1)


def _emissions(integral: Integral, jobs: WaitingJobs, length_s: FloatArray, waits_s: FloatArray) -> FloatArray:
    emissions: FloatArray = jobs.weight * integral.over(jobs.arrival_s + waits_s, length_s)
    return emissions


def _believed_at_once(integral: Integral, jobs: WaitingJobs) -> float:
    return float(_emissions(integral, jobs, jobs.believed_s, np.zeros(jobs.arrival_s.size)).sum())


def _require_one_limit(mean_wait_limit_s: float | None, wait_price: float | None, start_grid_s: float | None) -> None:
    if mean_wait_limit_s is not None and wait_price is not None:
        raise InputError("Both a limit on the mean wait and a price of waiting are given.", hint="Give one of them.")
    for name, value in (("mean_wait_limit_s", mean_wait_limit_s), ("wait_price", wait_price)):
        if value is not None and not (np.isfinite(value) and value >= 0.0):
            raise InputError(f"{name} is {value}.", hint="It must be finite and not negative.", column=name)
    if start_grid_s is not None and not (np.isfinite(start_grid_s) and start_grid_s > 0.0):
        raise InputError(
            f"start_grid_s is {start_grid_s}.", hint="It must be finite and positive.", column="start_grid_s"
        )
