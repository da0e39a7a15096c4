"""Prices of capacity: what a unit of each resource is worth in each step and pool, and the bound that they prove."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from lowtide.planning.fleet.columns import capacity_of, columns_of, least, load_of, priced, with_jobs

if TYPE_CHECKING:
    from lowtide.planning.fleet.columns import Columns
    from lowtide.planning.fleet.types import FleetProblem, IntArray
    from lowtide_core.series import FloatArray

_FORGET = 0.3
"""Weight of the newest overload in the direction of ascent."""
_PATIENCE = 8
"""Steps without a better bound after which the step length shrinks."""
_SHRINK = 0.7
_SMALLEST_STEP = 1e-5
_WARM_STEP = 0.02
"""First step length from prices that were good a moment ago; a whole step would lose them."""
_CHUNK_COLUMNS = 2_000_000


class Priced(NamedTuple):
    """Prices, the bound that they prove, and the mix of columns that was answered to them.

    Attributes:
        prices: (P, K, T), g per unit and step, >= 0.
        bound_g: Value of the Lagrangian; g.
        mix: Part of each job that runs as each column, an average over the ascent; (C,), sums to 1 over a job.
    """

    prices: FloatArray
    bound_g: float
    mix: FloatArray


def lagrangian(columns: Columns, capacity: FloatArray, prices: FloatArray) -> tuple[float, IntArray]:
    """A bound below every plan within the capacity, and each job's best column at the prices.

    Args:
        columns: Of jobs that all have at least one.
        capacity: (P, K, T); inf is no limit and needs the price 0.
        prices: (P, K, T), g per unit and step, >= 0.
    Returns:
        The bound in g, and (n,) columns.
    Notes:
        For prices >= 0, cost + prices * (load - capacity) <= cost for every plan that keeps the capacity; the minimum
        of the left side over all plans falls apart into one minimum per job. Since that of a job is over a list, the
        best bound of this kind equals the optimum of the linear programme over all columns.
    Source:
        Geoffrion, Lagrangean relaxation for integer programming, 1974, section 3, doi:10.1007/BFb0120690.
    """
    values, chosen = least(columns, priced(columns, prices))
    return float(values.sum()) - _worth(capacity, prices), chosen


def least_of_jobs(problem: FleetProblem, prices: FloatArray) -> FloatArray:
    """Each job's least emissions plus priced demand; (n,), g, inf where its window is too short.

    Notes:
        The columns are built for a part of the jobs at a time, so that memory stays small.
    """
    jobs = problem.jobs
    width = np.maximum(0, jobs.due_step - jobs.run_steps - jobs.release_step + 1) * jobs.allowed.sum(axis=1)
    lowest = np.full(jobs.count, np.inf)
    able = np.flatnonzero(width > 0)
    part = np.cumsum(width[able]) // _CHUNK_COLUMNS
    for rows in np.split(able, np.flatnonzero(np.diff(part)) + 1):
        if rows.size:
            columns = columns_of(with_jobs(problem, rows))
            lowest[rows] = least(columns, priced(columns, prices))[0]
    return lowest


def proven_bound_g(problem: FleetProblem, prices: FloatArray) -> float:
    """The bound of ``lagrangian`` for a problem that is not built as columns; g."""
    return float(least_of_jobs(problem, prices).sum()) - _worth(capacity_of(problem), prices)


def _worth(capacity: FloatArray, prices: FloatArray) -> float:
    used = prices > 0
    return float(prices[used] @ capacity[used])


def ascend(columns: Columns, capacity: FloatArray, *, steps: int, start: FloatArray | None = None) -> Priced:
    """Raise the bound by a deflected subgradient with shrinking steps.

    Args:
        columns: Of jobs that all have at least one.
        capacity: (P, K, T).
        steps: How many evaluations at most; each is linear in the number of columns.
        start: Prices to begin with; zero where there are none.
    Returns:
        The best prices seen.
    Notes:
        The direction is an average of overloads, as in the volume algorithm, whose average of answers is a nearly
        feasible mix of columns. The target of the step length is the mean cost of a job's columns, which an evenly
        loaded plan would have; the step length shrinks when the bound does not rise, so the target need not be right.
    Source:
        Barahona and Anbil, The volume algorithm, Mathematical Programming 87, 2000, doi:10.1007/s101070050002.
    """
    limited = np.isfinite(capacity)
    finite = np.where(limited, capacity, 0.0)
    unit = finite.max(axis=(0, 2), keepdims=True, initial=0.0)
    unit = np.where(unit > 0, unit, 1.0)  # resources are counted in shares of their largest capacity
    prices = np.zeros_like(finite) if start is None else np.where(limited, start, 0.0)
    best = Priced(prices, -np.inf, np.zeros(0))
    mix = np.zeros(columns.count)
    direction = np.zeros_like(finite)
    target_g = _mean_cost_g(columns)
    length, failed = (1.0 if start is None else _WARM_STEP), 0
    for step in range(steps):
        bound_g, chosen = lagrangian(columns, capacity, prices)
        if bound_g > best.bound_g:
            best, failed = Priced(prices, bound_g, mix), 0
        else:
            failed += 1
        if failed >= _PATIENCE:
            length, failed, prices = length * _SHRINK, 0, best.prices
            if length < _SMALLEST_STEP:
                break
            bound_g, chosen = lagrangian(columns, capacity, prices)
        newest = 1.0 if step == 0 else _FORGET
        mix *= 1.0 - newest
        mix[chosen] += newest
        overload = np.where(limited, (load_of(columns, chosen, len(capacity)) - finite) / unit, 0.0)
        direction += newest * (overload - direction)
        move = np.where((prices <= 0) & (direction < 0), 0.0, direction)
        norm = float((move**2).sum())
        if norm == 0.0:
            break
        prices = np.maximum(0.0, prices + length * max(0.0, target_g - bound_g) / norm * move / unit)
    return Priced(best.prices, best.bound_g, mix)


def _mean_cost_g(columns: Columns) -> float:
    return float((np.add.reduceat(columns.cost_g, columns.offset[:-1]) / np.diff(columns.offset)).sum())
