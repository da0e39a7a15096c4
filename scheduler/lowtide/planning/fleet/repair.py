"""Moves that make a plan possible, then better: from a mix of columns to whole jobs, room for a job, cheaper places."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lowtide.planning.fleet.board import placed_emissions_g, price_prefixes
from lowtide.planning.fleet.columns import priced
from lowtide.planning.fleet.types import UNPLACED

if TYPE_CHECKING:
    from lowtide.planning.fleet.board import Board
    from lowtide.planning.fleet.columns import Columns
    from lowtide.planning.fleet.groups import Groups
    from lowtide.planning.fleet.types import IntArray
    from lowtide_core.series import FloatArray

_GAIN = 1e-9
"""A move must gain more than this part of what the job emits; else moves between equals would go on for ever."""
_NEVER = 1e6
"""Times the dearest price: what a step costs that is to be taken only where there is no other."""


def round_mix(board: Board, groups: Groups, columns: Columns, mix: FloatArray, prices: FloatArray) -> None:
    """Whole jobs from the parts of a linear programme: each, large ones first, takes the column of which most is left.

    Args:
        board: Without jobs; gets all that fit. Its jobs come first in the groups, which may have others too.
        columns: Of the groups.
        mix: Part of each group that runs as each column; (C,).
        prices: Of the linear programme; (P, K, T), g per unit and step.
    """
    left = mix.copy()
    first, start, pool = columns.offset, columns.start, columns.pool
    amount = (groups.share * columns_size(groups))[: board.jobs.count]
    for job in np.argsort(-amount, kind="stable"):
        group = groups.of_job[job]
        column = int(first[group] + left[first[group] : first[group + 1]].argmax())
        left[column] -= groups.share[job]
        board.put(int(job), int(pool[column]), int(start[column]))
    board.insert(board.unload(), prices)


def columns_size(groups: Groups) -> FloatArray:
    """Largest demand of the group of each job; (n,)."""
    return np.asarray(groups.problem.jobs.demand.max(axis=1, initial=0.0)[groups.of_job])


def improve(board: Board, cheapest_g: FloatArray, passes: int) -> None:
    """Move single jobs to where they emit less, the largest regret first, until no move helps.

    Args:
        cheapest_g: Least emissions of each job without capacity; (n,), g.
    """
    for _ in range(passes):
        now_g = placed_emissions_g(board.problem, board.start, board.pool)
        regret_g = np.where(board.start != UNPLACED, now_g - cheapest_g, 0.0)
        order = np.argsort(-regret_g, kind="stable")
        worth_a_look = order[regret_g[order] > _GAIN * np.abs(now_g[order])]
        if not sum(_reinsert(board, int(job)) for job in worth_a_look):
            return


def _reinsert(board: Board, job: int) -> bool:
    pool, start = int(board.pool[job]), int(board.start[job])
    board.take(job)
    ways = board.ways(job)
    values = np.where(ways.fits, ways.emissions_g, np.inf)
    now_g = float(ways.emissions_g[np.searchsorted(ways.pools, pool), start - ways.first])
    where, later = divmod(int(values.argmin()), values.shape[1])
    better = bool(values[where, later] < now_g - _GAIN * abs(now_g))
    if better:
        pool, start = int(ways.pools[where]), ways.first + later
    board.put(job, pool, start)
    return better


def start_now(board: Board, columns: Columns, prices: FloatArray) -> None:
    """Decide who starts in the first step, and give all others the place that costs least later on.

    A job gains by starting now what its best later way costs more at the prices; one that would gain nothing by waiting
    does not wait. The first step itself is free of charge: what nobody takes of it now is lost. Large jobs choose
    first, since small ones fit into what they leave.

    Args:
        board: Every job that has a place keeps one.
        columns: Of its jobs.
        prices: (P, K, T), g per unit and step.
    """
    values = priced(columns, prices)
    now = columns.start == 0
    wait_g = np.minimum.reduceat(np.where(now, np.inf, values), columns.offset[:-1])
    ways = np.flatnonzero(now)
    job, pool = columns.job[ways], columns.pool[ways]
    now_g = values[ways] - (board.jobs.demand[job] * prices[pool, :, 0]).sum(axis=1)
    better = np.flatnonzero(now_g <= wait_g[job] + _GAIN * np.abs(now_g))
    order = better[np.lexsort((now_g[better], -board.size[job[better]], -board.jobs.priority[job[better]]))]
    started: list[int] = []
    for way in order:
        if int(job[way]) not in started and _start(board, int(job[way]), int(pool[way]), started, prices):
            started.append(int(job[way]))
    _defer(board, started, prices)


def _start(board: Board, job: int, pool: int, started: list[int], prices: FloatArray) -> bool:
    """Start the job now, if all that it drives from their places, none of which has started, find another."""
    if board.start[job] == 0 and board.pool[job] == pool:
        return True
    before = board.snapshot()
    if board.start[job] != UNPLACED:
        board.take(job)
    board.put(job, pool, 0)
    taken = board.unload(spare=[*started, job])
    if not board.overloaded().size and not board.insert(taken, prices):
        return True
    board.restore(before)
    return False


def _defer(board: Board, started: list[int], prices: FloatArray) -> None:
    """Move what has not started to where it costs least; it starts now only where it fits nowhere else."""
    later = prices.copy()
    later[:, :, 0] += _NEVER * max(1.0, float(prices.max(initial=0.0)))
    prefixes = price_prefixes(later)
    placed = board.start != UNPLACED
    placed[started] = False
    for job in np.flatnonzero(placed)[np.argsort(-board.size[placed], kind="stable")]:
        board.take(int(job))
        board.insert_one(int(job), prefixes)


def make_room(board: Board, prices: FloatArray, tries: int) -> None:
    """Place jobs that have no place by moving others away, until nothing more is gained or the tries are spent.

    Notes:
        One try puts the job where the overload is small, takes away what is then too much, and inserts that again. It
        is kept only if the jobs that stay outside are fewer or smaller than before, the highest priority counting
        first; so it ends.
    """
    prefixes = price_prefixes(prices)
    waiting = sorted(board.unplaced().tolist(), key=lambda job: (-board.jobs.priority[job], board.size[job], job))
    while waiting and tries > 0:
        job = waiting.pop(0)
        if board.insert_one(job, prefixes):
            continue
        left, used = _squeeze(board, job, prices, tries)
        tries -= used
        waiting = sorted(waiting + left, key=lambda other: (-board.jobs.priority[other], board.size[other], other))


def _squeeze(board: Board, job: int, prices: FloatArray, tries: int) -> tuple[list[int], int]:
    """Jobs that have lost their place for this one, if that is better, and how many ways were tried."""
    before = board.snapshot()
    used = 0
    for pool, start in _ways_by_overload(board, job)[:tries]:
        used += 1
        board.put(job, pool, start)
        taken = board.unload(spare=[job])
        fits = board.overloaded().size == 0  # what is left may be the job's own excess of an empty pool
        left = board.insert(taken, prices) if fits else taken
        if fits and _is_less(board, left, job):
            return left, used
        board.restore(before)
    return [], used


def _is_less(board: Board, left: list[int], job: int) -> bool:
    """Whether these jobs outside are better than that one: lower in priority, or none, or one smaller one."""
    rank = board.jobs.priority
    peers = [other for other in left if rank[other] >= rank[job]]
    return not peers or (len(peers) == 1 and rank[peers[0]] == rank[job] and board.size[peers[0]] < board.size[job])


def _ways_by_overload(board: Board, job: int) -> list[tuple[int, int]]:
    """Pools and starts of a job, those first where the least is missing."""
    ways = board.ways(job)
    run, width = int(board.jobs.run_steps[job]), ways.fits.shape[1]
    demand = board.jobs.demand[job]
    unit = np.where(demand > 0, demand, 1.0)[:, None]
    missing = (
        np.maximum(0.0, demand[:, None] - board.free[ways.pools, :, ways.first : ways.first + width + run - 1]) / unit
    ).sum(axis=1)
    sums = np.zeros((ways.pools.size, missing.shape[1] + 1))
    np.cumsum(missing, axis=1, out=sums[:, 1:])
    total = sums[:, run:] - sums[:, :width]
    order: IntArray = np.argsort(total, axis=None, kind="stable")
    return [(int(ways.pools[way // width]), ways.first + int(way % width)) for way in order]
