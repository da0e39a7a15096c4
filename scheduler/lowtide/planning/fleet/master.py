"""The linear programme over all columns, solved over the few that matter: column generation from good prices."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lowtide.planning.fleet.columns import lowest, priced
from lowtide.planning.fleet.highs import Matrix, add_columns, matrix_of, new_model, run
from lowtide.planning.fleet.prices import Priced, lagrangian

if TYPE_CHECKING:
    from lowtide.planning.fleet.columns import Columns
    from lowtide.planning.fleet.types import IntArray
    from lowtide_core.series import FloatArray

_CLOSE = 0.003
"""Columns enter at the start whose reduced cost is below this part of the job's own cost: at good prices, many tie."""
_AT_LEAST = 3
_ADDED_PER_ROUND = 4
_ROUNDS = 30
_SAME = 1e-9
"""Relative distance of the programme's value and the proven bound at which they are one."""


def solve_master(columns: Columns, capacity: FloatArray, start: Priced, *, iterations: int) -> Priced:
    """The optimum of the linear programme as prices, bound and mix; the start's prices where they prove more.

    Args:
        columns: Of jobs that all have at least one.
        capacity: (P, K, T).
        start: Prices near the best.
        iterations: Limit of simplex iterations of each solve.
    Notes:
        Capacity can be exceeded at a penalty, so that a start with too few columns is feasible; a penalty that is
        still paid at the end grows tenfold, up to three times. Every bound is computed here, from prices, and not taken
        from the solver; so it holds whatever the solver's tolerances are.
    """
    master = _Master(columns, capacity, start, iterations)
    best = start
    for _ in range(_ROUNDS):
        if run(master.model) != "optimal":
            break
        bound_g, prices, job_price = master.answer()
        value_g = float(master.model.getInfo().objective_function_value)
        proven = max(best.bound_g, bound_g)
        best = Priced(prices if bound_g >= best.bound_g else best.prices, proven, master.mix())
        if value_g - proven <= _SAME * max(1.0, abs(value_g)) and not master.raise_penalty():
            break
        if not master.price_in(prices, job_price) and not master.raise_penalty():
            break
    return best


class _Master:
    """The model that grows: which columns it has, and in which order."""

    def __init__(self, columns: Columns, capacity: FloatArray, start: Priced, iterations: int) -> None:
        self.columns, self.capacity = columns, capacity
        self.jobs = columns.offset.size - 1
        pools, resources, steps = capacity.shape
        finite = np.where(np.isfinite(capacity), capacity, 0.0)
        largest = finite.max(axis=(0, 2), initial=0.0)
        self.unit = np.where(largest > 0, largest, 1.0)
        self.limited = np.isfinite(capacity)
        padded = np.zeros((resources, pools, steps + 1), dtype=bool)
        padded[:, :, :steps] = self.limited.transpose(1, 0, 2)
        number = self.jobs - 1 + np.cumsum(padded).reshape(padded.shape)
        self.cell_row = np.where(padded, number, -1).reshape(resources, pools * (steps + 1))
        limits = np.concatenate(
            [(finite[:, k] / self.unit[k])[self.limited[:, k]] for k in range(resources)] or [np.zeros(0)]
        )
        self.cells = limits.size
        self.model = new_model(
            np.concatenate([np.ones(self.jobs), np.full(self.cells, -np.inf)]),
            np.concatenate([np.ones(self.jobs), limits]),
            simplex_iteration_limit=iterations,
        )
        scaled = start.prices * self.unit[None, :, None]
        self.penalty_g = 2.0 * max(float(scaled.max(initial=0.0)), float(np.abs(columns.cost_g).max(initial=0.0)), 1e-6)
        self.raises = 3
        rows = np.arange(self.jobs, self.jobs + self.cells)
        over = Matrix(np.arange(self.cells + 1), rows, np.full(self.cells, -1.0))
        add_columns(self.model, np.full(self.cells, self.penalty_g), np.full(self.cells, np.inf), over)
        self.inside = np.zeros(columns.count, dtype=bool)
        self.order = np.zeros(0, dtype=np.int64)
        self._add(self._first_columns(start))

    def answer(self) -> tuple[float, FloatArray, FloatArray]:
        """The bound at the duals, the duals of the cells as prices (P, K, T), and those of the jobs."""
        dual = np.array(self.model.getSolution().row_dual)
        prices = np.zeros_like(self.capacity)
        by_resource = prices.transpose(1, 0, 2)
        by_resource[self.limited.transpose(1, 0, 2)] = np.maximum(0.0, -dual[self.jobs :])
        prices /= self.unit[None, :, None]
        return lagrangian(self.columns, self.capacity, prices)[0], prices, dual[: self.jobs]

    def mix(self) -> FloatArray:
        value = np.array(self.model.getSolution().col_value)
        mix = np.zeros(self.columns.count)
        mix[self.order] = value[self.cells :]
        return mix

    def price_in(self, prices: FloatArray, job_price: FloatArray) -> bool:
        """Add the columns that would improve; false where there is none."""
        reduced = priced(self.columns, prices) - job_price[self.columns.job]
        small = 1e-9 * max(1.0, float(np.abs(job_price).max(initial=0.0)))
        wanted = lowest(self.columns, reduced, _ADDED_PER_ROUND) & (reduced < -small) & ~self.inside
        self._add(np.flatnonzero(wanted))
        return bool(wanted.any())

    def raise_penalty(self) -> bool:
        """Make it dearer to exceed the capacity, where that is still done and may still be avoided."""
        over = np.array(self.model.getSolution().col_value)[: self.cells]
        if not self.raises or over.max(initial=0.0) <= 1e-9:
            return False
        self.raises -= 1
        self.penalty_g *= 10.0
        self.model.changeColsCost(
            self.cells, np.arange(self.cells, dtype=np.int32), np.full(self.cells, self.penalty_g)
        )
        return True

    def _first_columns(self, start: Priced) -> IntArray:
        values = priced(self.columns, start.prices)
        low = np.minimum.reduceat(values, self.columns.offset[:-1])[self.columns.job]
        near = values - low <= _CLOSE * np.abs(self.columns.cost_g)
        return np.flatnonzero(near | lowest(self.columns, values, _AT_LEAST))

    def _add(self, chosen: IntArray) -> None:
        matrix = matrix_of(self.columns, chosen, self.cell_row, self.unit)
        add_columns(self.model, self.columns.cost_g[chosen], np.full(chosen.size, np.inf), matrix)
        self.inside[chosen] = True
        self.order = np.concatenate([self.order, chosen])
