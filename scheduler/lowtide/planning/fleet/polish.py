"""Improve a plan by solving parts of it exactly: some jobs are free, all others stay where they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lowtide.planning.fleet.columns import columns_of, kept, lowest, priced, with_jobs
from lowtide.planning.fleet.exact import choose
from lowtide.planning.fleet.types import UNPLACED

if TYPE_CHECKING:
    from lowtide.planning.fleet.board import Board
    from lowtide.planning.fleet.columns import Columns
    from lowtide.planning.fleet.types import BoolArray, IntArray
    from lowtide_core.series import FloatArray


def reoptimise(board: Board, rows: IntArray, prices: FloatArray, *, ways: int, nodes: int) -> bool:
    """Place some jobs anew, as well as they can be while all others stay.

    Args:
        board: Keeps every limit before and after.
        rows: The jobs that may move, placed or not.
        prices: (P, K, T), g per unit and step.
        ways: How many columns of each job are looked at, those that are cheapest at the prices.
        nodes: Limit of nodes of each programme.
    Returns:
        Whether the board has changed.
    """
    part = with_jobs(board.problem, rows)
    everything = columns_of(part)
    now = column_now(everything, board, rows)
    mask = lowest(everything, priced(everything, prices), ways)
    mask[now[now != UNPLACED]] = True
    columns = kept(everything, mask)
    hint = np.where(now == UNPLACED, UNPLACED, (np.cumsum(mask) - 1)[now])
    before = board.snapshot()
    for job in rows[now != UNPLACED]:
        board.take(int(job))
    found = choose(columns, board.free, part.jobs, nodes=nodes, hint=hint).column
    if found is None or not _is_better(columns, part.jobs.priority, found, hint):
        board.restore(before)
        return False
    for row in np.flatnonzero(found != UNPLACED):
        board.put(int(rows[row]), int(columns.pool[found[row]]), int(columns.start[found[row]]))
    if board.overloaded().size:  # a solver's tolerance is not ours
        board.restore(before)
        return False
    return True


def column_now(columns: Columns, board: Board, rows: IntArray) -> IntArray:
    """The column in which each job runs, ``UNPLACED`` where it has no place; (m,)."""
    placed = board.start[rows] != UNPLACED
    first = np.where(placed, board.pool[rows] * (columns.steps + 1) + board.start[rows], -1)
    hits = np.flatnonzero(columns.first == first[columns.job])
    now = np.full(rows.size, UNPLACED)
    now[columns.job[hits]] = hits
    return now


def _is_better(columns: Columns, priority: FloatArray, found: IntArray, hint: IntArray) -> bool:
    missing = [missing_by_priority(priority, choice == UNPLACED) for choice in (found, hint)]
    if missing[0] != missing[1]:
        return missing[0] < missing[1]
    cost_g = [columns.cost_g[choice[choice != UNPLACED]].sum() for choice in (found, hint)]
    return bool(cost_g[0] < cost_g[1] * (1 - 1e-12))


def missing_by_priority(priority: FloatArray, outside: BoolArray) -> tuple[int, ...]:
    """How many jobs have no place, of each priority from the highest down: the less of two such tuples is better."""
    return tuple(int(np.count_nonzero(outside & (priority == level))) for level in np.unique(priority)[::-1])
