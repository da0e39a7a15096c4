"""Why jobs have no place, and which limits to relax by how much so that they have one."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from lowtide.planning.fleet.types import FleetMisfit, Relax

if TYPE_CHECKING:
    from lowtide.planning.fleet.board import Board
    from lowtide.planning.fleet.types import FleetProblem, IntArray
    from lowtide_core.series import FloatArray


class _Spot(NamedTuple):
    """A place for a job that is not free, and what is missing there: (K, run), in units of the resource."""

    pool: int
    start: int
    missing: FloatArray


def misfits_of(board: Board) -> tuple[FleetMisfit, ...]:
    """The reason for each job that the board has not placed, in the order of the jobs."""
    return tuple(_misfit(board, int(job)) for job in board.unplaced())


def relax_for(board: Board) -> tuple[Relax, ...]:
    """Capacities to raise, or deadlines to move; each of the two kinds alone is enough for all misfits.

    Notes:
        Enough, and found by placing one misfit after the other where the least is missing (or at the earliest end
        beyond its deadline), what was given to those before counting as theirs. It is not always the least possible. A
        job that is longer than its own window needs another deadline first; it is in the second list alone. A job
        that finds no place before the end of the window is missing in the second.
    """
    if not board.unplaced().size:
        return ()
    return (*_raises(board), *_extensions(board))


def _misfit(board: Board, job: int) -> FleetMisfit:
    jobs, names = board.jobs, board.problem.resources
    short_steps = int(jobs.release_step[job] + jobs.run_steps[job] - jobs.due_step[job])
    if short_steps > 0:
        return FleetMisfit(job, f"its window is {short_steps} steps too short", "deadline", "", float(short_steps))
    empty = _best_spot(board, job, board.capacity)
    if empty.missing.max(initial=0.0) > 0:
        resource, short_by = _largest(empty.missing)
        why = f"no pool has enough {names[resource]}, not even without other jobs: {short_by:g} is missing"
        return FleetMisfit(job, why, "capacity", names[resource], short_by)
    resource, short_by = _largest(_best_spot(board, job, board.free).missing)
    why = f"{names[resource]} is taken by other jobs: {short_by:g} is missing where the least is"
    return FleetMisfit(job, why, "capacity", names[resource], short_by)


def _largest(missing: FloatArray) -> tuple[int, float]:
    peak = missing.max(axis=1)
    resource = int(peak.argmax())
    return resource, float(peak[resource])


def _best_spot(board: Board, job: int, free: FloatArray) -> _Spot:
    """Where the peak of what is missing is smallest, in parts of the demand; then the sum; then the earliest."""
    jobs = board.jobs
    run, first, end = int(jobs.run_steps[job]), int(jobs.release_step[job]), int(jobs.due_step[job])
    demand = jobs.demand[job]
    pools = np.flatnonzero(jobs.allowed[job])
    lack = np.maximum(0.0, demand[:, None] - free[pools, :, first:end])
    lack = np.where(lack > board.tolerance[:, None], lack, 0.0)
    relative = (lack / np.where(demand > 0, demand, 1.0)[:, None]).max(axis=1, initial=0.0)
    windows = np.lib.stride_tricks.sliding_window_view(relative, run, axis=1)
    order = np.lexsort((windows.sum(axis=2).ravel(), windows.max(axis=2).ravel()))
    where, later = divmod(int(order[0]), windows.shape[1])
    return _Spot(int(pools[where]), first + later, lack[where][:, later : later + run])


def _raises(board: Board) -> list[Relax]:
    jobs = board.jobs
    free, raised = board.free.copy(), np.zeros_like(board.free)
    for job in board.unplaced():
        if jobs.release_step[job] + jobs.run_steps[job] > jobs.due_step[job]:
            continue
        pool, start, missing = _best_spot(board, int(job), free)
        end = start + int(jobs.run_steps[job])
        raised[pool, :, start:end] += missing
        free[pool, :, start:end] += missing - jobs.demand[job][:, None]
    return [
        Relax("capacity", board.problem.pools[pool].label, board.problem.resources[resource], first, last, peak)
        for pool, resource in np.argwhere(raised.any(axis=2))
        for first, last, peak in _stretches(raised[pool, resource])
    ]


def _stretches(raised: FloatArray) -> list[tuple[int, int, float]]:
    """Runs of steps with a raise: first, end, and the largest raise in them."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], raised > 0, [False])).astype(int)))
    return [(int(first), int(end), float(raised[first:end].max())) for first, end in edges.reshape(-1, 2)]


def _extensions(board: Board) -> list[Relax]:
    jobs = board.jobs
    before = board.snapshot()
    found = []
    for job in sorted(board.unplaced().tolist(), key=lambda job: (jobs.due_step[job], job)):
        spot = _earliest_end(board.problem, board.free, board.tolerance, job)
        if spot is not None:
            pool, start = spot
            board.put(job, pool, start)
            later = int(start + jobs.run_steps[job] - jobs.due_step[job])
            found.append(Relax("deadline", job=job, later_steps=later))
    board.restore(before)
    return sorted(found, key=lambda relax: relax.job)


def _earliest_end(problem: FleetProblem, free: FloatArray, tolerance: FloatArray, job: int) -> tuple[int, int] | None:
    """Pool and start of the earliest run that fits, deadline or not; None where there is none in the window."""
    jobs = problem.jobs
    run, first = int(jobs.run_steps[job]), int(jobs.release_step[job])
    if first + run > problem.steps:
        return None
    pools: IntArray = np.flatnonzero(jobs.allowed[job])
    fits = (free[pools, :, first:] >= (jobs.demand[job] - tolerance)[:, None]).all(axis=1)
    whole = np.asarray(np.lib.stride_tricks.sliding_window_view(fits, run, axis=1).all(axis=2))
    if not whole.any():
        return None
    start = int(whole.any(axis=0).argmax())
    return int(pools[whole[:, start].argmax()]), first + start
