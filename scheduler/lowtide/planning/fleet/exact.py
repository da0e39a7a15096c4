"""The best choice of columns as a mixed-integer programme: which jobs have a place, and then the least emissions."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from lowtide.planning.fleet.highs import Matrix, Outcome, add_columns, matrix_of, new_model, run
from lowtide.planning.fleet.types import UNPLACED

if TYPE_CHECKING:
    from lowtide.planning.fleet.columns import Columns
    from lowtide.planning.fleet.types import FleetJobs, IntArray
    from lowtide_core.series import FloatArray

_GAP = 1e-9
_SLACK = 1e-6
"""How much an optimum found may be missed in the stages that follow it, in jobs or in shares of capacity."""


class Choice(NamedTuple):
    """The column of each job, ``UNPLACED`` where it has none; None where nothing was found within the limits."""

    column: IntArray | None
    exact: bool


def choose(columns: Columns, capacity: FloatArray, jobs: FleetJobs, *, nodes: int, hint: IntArray | None) -> Choice:
    """The best placement of jobs under a capacity.

    Args:
        columns: Which ways there are; a job without one is not placed.
        capacity: (P, K, T); inf is no limit.
        jobs: Their priorities and shares; of the same rows.
        nodes: Limit of nodes of each programme.
        hint: A placement that is feasible; (n,), columns or ``UNPLACED``.
    Returns:
        The choice; ``exact`` where each stage was solved to the end.
    Notes:
        If all jobs can have a place, the least emissions. Else in this order: as many jobs as can be of the highest
        priority, then of the next, and so on; of such sets one in which the group served most is served least (served:
        the largest part that its jobs take of any resource over the window); then the least emissions.
    """
    model = _Model(columns, capacity, jobs, nodes)
    everybody = hint is None or (hint != UNPLACED).all()
    if everybody and model.able.all():
        model.require_all(True)
        outcome = model.minimise(model.cost, hint)
        if outcome != "infeasible":
            return Choice(model.chosen(), outcome == "optimal")
        hint = None
    model.require_all(False)
    exact = True
    for priority in np.unique(jobs.priority)[::-1]:
        outside = np.where(jobs.priority == priority, 1.0, 0.0)
        done, hint = model.settle(model.on_outside(outside), hint)
        exact &= done
    if np.unique(jobs.share).size > 1 and hint is not None and (hint == UNPLACED).any():
        done, hint = model.settle(model.on_peak(), hint)
        exact &= done
    exact &= model.minimise(model.cost, hint) == "optimal"
    return Choice(model.chosen(), exact)


class _Model:
    """Binary columns, one variable per job that is 1 where it stays outside, and one for the group served most."""

    def __init__(self, columns: Columns, capacity: FloatArray, jobs: FleetJobs, nodes: int) -> None:
        self.columns, self.n = columns, jobs.count
        self.able = np.diff(columns.offset) > 0
        finite = np.where(np.isfinite(capacity), capacity, 0.0)
        largest = finite.max(axis=(0, 2), initial=0.0)
        unit = np.where(largest > 0, largest, 1.0)
        cell_row, limits = _binding(columns, capacity, self.n, unit)
        groups, group = np.unique(jobs.share, return_inverse=True)
        shares = groups.size * unit.size
        self.model = new_model(
            np.concatenate([np.ones(self.n), np.full(limits.size + shares, -np.inf)]),
            np.concatenate([np.ones(self.n), limits, np.zeros(shares)]),
            mip_max_nodes=nodes,
            mip_rel_gap=_GAP,
            mip_abs_gap=_GAP,
        )
        matrix = matrix_of(columns, np.arange(columns.count), cell_row, unit)
        served = _served(columns, jobs, finite, group.ravel(), self.n + limits.size)
        self._add(np.zeros(columns.count), _joined(matrix, served), whole=True)
        ones = np.arange(self.n + 1)
        self._add(np.zeros(self.n), Matrix(ones, ones[:-1], np.ones(self.n)), whole=False)
        rows = self.n + limits.size + np.arange(shares)
        self._add(np.zeros(1), Matrix(np.array([0, shares]), rows, np.full(shares, -1.0)), whole=False, upper=np.inf)
        self.count = columns.count + self.n + 1
        scale = max(float(np.abs(columns.cost_g).mean()) if columns.count else 0.0, 1e-300)
        self.cost = np.concatenate([columns.cost_g / scale, np.zeros(self.n + 1)])

    def require_all(self, everybody: bool) -> None:
        """Whether every job that has a column must have a place."""
        upper = np.where(self.able & everybody, 0.0, 1.0)
        index = np.arange(self.columns.count, self.columns.count + self.n, dtype=np.int32)
        self.model.changeColsBounds(self.n, index, np.zeros(self.n), upper)

    def on_outside(self, weight: FloatArray) -> FloatArray:
        """The objective that counts the jobs outside."""
        return np.concatenate([np.zeros(self.columns.count), weight, np.zeros(1)])

    def on_peak(self) -> FloatArray:
        """The objective that is the share of the group served most."""
        return np.concatenate([np.zeros(self.count - 1), np.ones(1)])

    def settle(self, objective: FloatArray, hint: IntArray | None) -> tuple[bool, IntArray | None]:
        """Minimise, and hold what was reached from now on; whether it is the optimum, and the choice."""
        outcome = self.minimise(objective, hint)
        chosen = self.chosen()
        if chosen is None:
            return False, hint
        reached = float(self.model.getInfo().objective_function_value)
        used = np.flatnonzero(objective)
        self.model.addRow(-np.inf, reached + _SLACK, used.size, used.astype(np.int32), objective[used])
        return outcome == "optimal", chosen

    def minimise(self, objective: FloatArray, hint: IntArray | None) -> Outcome:
        self.model.changeColsCost(self.count, np.arange(self.count, dtype=np.int32), objective)
        if hint is not None:
            self._suggest(hint)
        return run(self.model)

    def chosen(self) -> IntArray | None:
        """The column of each job of the best solution that is known."""
        if self.model.getInfo().primal_solution_status != 2:  # 2: feasible
            return None
        value = np.array(self.model.getSolution().col_value)[: self.columns.count]
        chosen = np.full(self.n, UNPLACED)
        taken = np.flatnonzero(value > 0.5)
        chosen[self.columns.job[taken]] = taken
        return chosen

    def _suggest(self, hint: IntArray) -> None:
        import highspy

        value = np.zeros(self.count)
        value[hint[hint != UNPLACED]] = 1.0
        value[self.columns.count : -1] = hint == UNPLACED
        value[-1] = 1.0
        solution = highspy.HighsSolution()
        solution.col_value = value.tolist()
        self.model.setSolution(solution)

    def _add(self, cost: FloatArray, matrix: Matrix, *, whole: bool, upper: float = 1.0) -> None:
        import highspy

        first = self.model.getNumCol()
        add_columns(self.model, cost, np.full(cost.size, upper), matrix)
        if whole:
            index = np.arange(first, first + cost.size, dtype=np.int32)
            kind = np.full(cost.size, int(highspy.HighsVarType.kInteger), dtype=np.uint8)
            self.model.changeColsIntegrality(cost.size, index, kind)


def _binding(columns: Columns, capacity: FloatArray, n: int, unit: FloatArray) -> tuple[IntArray, FloatArray]:
    """Rows of the cells that could be overloaded, -1 for the others, (K, P * (T + 1)); and their limits, in units."""
    pools, resources, steps = capacity.shape
    row = np.full((resources, pools, steps + 1), -1)
    limits, count = [np.zeros(0)], n
    for resource in range(resources):
        most = _most(columns, pools, resource)
        tight = np.isfinite(capacity[:, resource]) & (most > capacity[:, resource])
        row[resource, :, :steps][tight] = count + np.arange(np.count_nonzero(tight))
        count += int(np.count_nonzero(tight))
        limits.append(capacity[:, resource][tight] / unit[resource])
    return row.reshape(resources, pools * (steps + 1)), np.concatenate(limits)


def _most(columns: Columns, pools: int, resource: int) -> FloatArray:
    """At most so much is taken in each cell if every job runs wherever it can at once; (P, T)."""
    cells = pools * (columns.steps + 1)
    if not columns.count:
        return np.zeros((pools, columns.steps))
    new = np.ones(columns.count, dtype=bool)  # columns of one job and pool lie together: the first to the last of them
    new[1:] = (np.diff(columns.job) != 0) | (np.diff(columns.pool) != 0)
    begin = np.flatnonzero(new)
    weight = columns.demand[columns.job[begin], resource]
    last = np.maximum.reduceat(columns.last, begin)
    change = np.bincount(columns.first[begin], weight, cells) - np.bincount(last, weight, cells)
    return np.asarray(np.cumsum(change.reshape(pools, -1), axis=1)[:, :-1] + 1e-9 * weight.sum())


def _served(columns: Columns, jobs: FleetJobs, finite: FloatArray, group: IntArray, first_row: int) -> Matrix:
    """What each column adds to the share of its group, one row per group and resource."""
    total = finite.sum(axis=(0, 2))
    total = np.where(total > 0, total, np.inf)
    part = (jobs.demand * jobs.run_steps[:, None] / total)[columns.job]
    resources = total.size
    row = first_row + group[columns.job][:, None] * resources + np.arange(resources)
    return Matrix(np.arange(columns.count + 1) * resources, row.ravel(), part.ravel())


def _joined(one: Matrix, other: Matrix) -> Matrix:
    """Entries of both, column by column."""
    counts = np.diff(one.start), np.diff(other.start)
    owner = np.concatenate([np.repeat(np.arange(count.size), count) for count in counts])
    order = np.argsort(owner, kind="stable")
    return Matrix(
        one.start + other.start,
        np.concatenate([one.row, other.row])[order],
        np.concatenate([one.value, other.value])[order],
    )
