"""The solver of linear and mixed-integer programmes: HiGHS, bounded by iterations and nodes, never by the clock."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from lowtide.planning.solvers.highs import new_solver

if TYPE_CHECKING:
    from lowtide.planning.fleet.columns import Columns
    from lowtide.planning.fleet.types import IntArray
    from lowtide_core.series import FloatArray

TOLERANCE = 1e-9
Outcome = Literal["optimal", "infeasible", "unfinished"]


class Matrix(NamedTuple):
    """Columns of a sparse matrix: those of column ``c`` are ``start[c]`` to ``start[c + 1]``."""

    start: IntArray
    row: IntArray
    value: FloatArray


def matrix_of(columns: Columns, chosen: IntArray, cell_row: IntArray, unit: FloatArray) -> Matrix:
    """A 1 in the row of the job, and the demand in each row of a cell that the run passes.

    Args:
        chosen: Columns to be built.
        cell_row: Row of each (resource, cell), -1 for a cell without one; (K, P * (T + 1)).
        unit: What counts as 1 of each resource; (K,).
    """
    job, first = columns.job[chosen], columns.first[chosen]
    length = columns.last[chosen] - first
    where = np.repeat(np.arange(chosen.size), length)
    cell = np.arange(where.size) - np.repeat(np.cumsum(length) - length, length) + first[where]
    owner, row, value = [np.arange(chosen.size)], [job], [np.ones(chosen.size)]
    for resource in range(unit.size):
        demand = columns.demand[job[where], resource] / unit[resource]
        used = (cell_row[resource, cell] >= 0) & (demand > 0)
        owner.append(where[used])
        row.append(cell_row[resource, cell[used]])
        value.append(demand[used])
    owners, order = np.concatenate(owner), np.argsort(np.concatenate(owner), kind="stable")
    start = np.concatenate(([0], np.cumsum(np.bincount(owners, minlength=chosen.size))))
    return Matrix(start, np.concatenate(row)[order], np.concatenate(value)[order])


def new_model(row_lower: FloatArray, row_upper: FloatArray, **options: float) -> Any:
    """A model with rows and no columns; columns are added as they are needed."""
    import highspy  # 0.04 s: only where a programme is solved

    own: dict[str, float | str] = {
        "random_seed": 0,
        "primal_feasibility_tolerance": TOLERANCE,
        "mip_feasibility_tolerance": TOLERANCE,
    }
    model = new_solver(**(own | options))
    infinity = highspy.kHighsInf
    lower = np.where(np.isfinite(row_lower), row_lower, -infinity)
    none = np.zeros(0, np.int32)
    model.addRows(lower.size, lower, row_upper.astype(float), 0, np.zeros(lower.size, np.int32), none, np.zeros(0))
    return model


def add_columns(model: Any, cost: FloatArray, upper: FloatArray, matrix: Matrix) -> None:
    """Add variables between 0 and ``upper``."""
    model.addCols(
        cost.size,
        cost.astype(float),
        np.zeros(cost.size),
        upper.astype(float),
        matrix.row.size,
        matrix.start[:-1].astype(np.int32),
        matrix.row.astype(np.int32),
        matrix.value,
    )


def run(model: Any) -> Outcome:
    """Solve; ``unfinished`` where a limit of iterations or nodes ended it.

    Raises:
        RuntimeError: HiGHS did not begin.
    """
    import highspy

    model.run()
    status = model.getModelStatus()
    if status == highspy.HighsModelStatus.kNotset:
        raise RuntimeError("HiGHS refused to run a programme; its log, with output_flag, says why.")
    if status == highspy.HighsModelStatus.kOptimal:
        return "optimal"
    infeasible = (highspy.HighsModelStatus.kInfeasible, highspy.HighsModelStatus.kUnboundedOrInfeasible)
    return "infeasible" if status in infeasible else "unfinished"
