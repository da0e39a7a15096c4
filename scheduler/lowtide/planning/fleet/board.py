"""A plan in the making: what is free, where each job runs, and the moves that keep every limit."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from lowtide.planning.fleet.checks import ROUNDING, tolerances
from lowtide.planning.fleet.columns import capacity_of, intensity_prefix, power_of_pairs, prefix_of
from lowtide.planning.fleet.types import UNPLACED

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from lowtide.planning.fleet.columns import Columns
    from lowtide.planning.fleet.types import BoolArray, FleetProblem, IntArray
    from lowtide_core.series import FloatArray


class Snapshot(NamedTuple):
    """All that changes on a board."""

    free: FloatArray
    start: IntArray
    pool: IntArray


class Ways(NamedTuple):
    """Every way to run one job: in ``pools[q]`` from step ``first + w``; the arrays are (q, w)."""

    pools: IntArray
    first: int
    emissions_g: FloatArray
    fits: BoolArray


class Board:
    """Mutable on purpose: thousands of small moves. Nothing outside this package sees one.

    Attributes:
        capacity: What there is of each resource; (P, K, T).
        free: What is left of it.
        start, pool: As in ``FleetPlan``; (n,).
    """

    def __init__(self, problem: FleetProblem) -> None:
        jobs = problem.jobs
        shape = (len(problem.pools), problem.steps + 1)
        self.problem, self.jobs = problem, jobs
        self.capacity = capacity_of(problem)
        self.free = self.capacity.copy()
        self.tolerance = tolerances(problem)
        self.power = power_of_pairs(problem)
        self.sums = intensity_prefix(problem).reshape(shape)
        self.start = np.full(jobs.count, UNPLACED)
        self.pool = np.full(jobs.count, UNPLACED)
        self.everywhere = np.asarray(jobs.allowed.all(axis=1))
        self.all_pools = np.arange(len(problem.pools))
        self.size = sizes(problem)

    def snapshot(self) -> Snapshot:
        return Snapshot(self.free.copy(), self.start.copy(), self.pool.copy())

    def restore(self, snapshot: Snapshot) -> None:
        self.free[:], self.start[:], self.pool[:] = snapshot

    def clear(self) -> None:
        """Take every job away."""
        self.free[:] = self.capacity
        self.start[:] = self.pool[:] = UNPLACED

    def put(self, job: int, pool: int, start: int) -> None:
        self.free[pool, :, start : start + self.jobs.run_steps[job]] -= self.jobs.demand[job][:, None]
        self.start[job], self.pool[job] = start, pool

    def take(self, job: int) -> None:
        pool, start = self.pool[job], self.start[job]
        self.free[pool, :, start : start + self.jobs.run_steps[job]] += self.jobs.demand[job][:, None]
        self.start[job] = self.pool[job] = UNPLACED

    def ways(self, job: int) -> Ways:
        """Emissions and fit of every way; a job whose window is too short has none."""
        jobs = self.jobs
        run, first = int(jobs.run_steps[job]), int(jobs.release_step[job])
        end = int(jobs.due_step[job])
        everywhere = self.everywhere[job]
        pools = self.all_pools if everywhere else np.flatnonzero(jobs.allowed[job])
        if end - run < first:
            return Ways(pools, first, np.zeros((pools.size, 0)), np.zeros((pools.size, 0), dtype=bool))
        sums, free = (self.sums, self.free) if everywhere else (self.sums[pools], self.free[pools])
        ends = sums[:, first + run : end + 1]
        run_g = ends - sums[:, first : end - run + 1] - jobs.unused[job] * (ends - sums[:, first + run - 1 : end])
        emissions_g = self.power[job][pools][:, None] * run_g
        emissions_g += self.jobs.fixed_g[job][pools][:, None]
        enough = free[:, :, first:end] >= (jobs.demand[job] - self.tolerance)[:, None]
        lacks = np.asarray(~np.all(enough, axis=1))
        seen = np.zeros((pools.size, end - first + 1), dtype=np.int64)
        np.cumsum(lacks, axis=1, out=seen[:, 1:])
        return Ways(pools, first, emissions_g, seen[:, run:] == seen[:, : end - first - run + 1])

    def emissions_g(self) -> float:
        """Of the jobs that are placed; g."""
        return float(placed_emissions_g(self.problem, self.start, self.pool).sum())

    def unplaced(self) -> IntArray:
        return np.flatnonzero(self.start == UNPLACED)

    def overloaded(self) -> IntArray:
        """Cells where more is taken than there is, by time; (m, 3) as pool, resource, step."""
        cells = np.argwhere(self.free < -self.tolerance[:, None])
        return cells[np.argsort(cells[:, 2], kind="stable")]

    def unload(self, spare: Sequence[int] = ()) -> list[int]:
        """Take jobs away until nothing is overloaded: the lowest priority first, then what frees least in vain.

        Args:
            spare: Jobs that stay, even where they overload it.
        """
        jobs, taken = self.jobs, []
        for pool, resource, step in self.overloaded():
            while self.free[pool, resource, step] < -self.tolerance[resource]:
                need = -self.free[pool, resource, step]
                here = (self.pool == pool) & (self.start <= step) & (step < self.start + jobs.run_steps)
                here &= jobs.demand[:, resource] > 0
                here[list(spare)] = False
                running = np.flatnonzero(here)
                if not running.size:
                    break
                waste = jobs.run_steps[running] * np.maximum(jobs.demand[running, resource], need)
                job = int(running[np.lexsort((waste, jobs.priority[running]))[0]])
                self.take(job)
                taken.append(job)
        return taken

    def insert(self, waiting: Iterable[int], prices: FloatArray | None = None) -> list[int]:
        """Put each job where it fits and costs least at the prices: high priority, then large ones first.

        Args:
            prices: (P, K, T), g per unit and step; None looks at the emissions alone.
        Returns:
            The jobs that do not fit.
        """
        prefixes = None if prices is None else price_prefixes(prices)
        left = []
        for job in sorted(waiting, key=lambda job: (-self.jobs.priority[job], -self.size[job], job)):
            if not self.insert_one(job, prefixes):
                left.append(job)
        return left

    def insert_one(self, job: int, prefixes: FloatArray | None = None) -> bool:
        """Put the job where it costs least; False where it fits nowhere."""
        ways = self.ways(job)
        if not ways.fits.any():
            return False
        values = ways.emissions_g if prefixes is None else ways.emissions_g + self.worth(job, ways.pools, prefixes)
        best = int(np.where(ways.fits, values, np.inf).argmin())
        where, later = divmod(best, values.shape[1])
        self.put(job, int(ways.pools[where]), ways.first + later)
        return True

    def worth(self, job: int, pools: IntArray, prefixes: FloatArray) -> FloatArray:
        """What the demand of each way costs; prefixes (K, P, T + 1); (q, w), g."""
        run, first, end = self.jobs.run_steps[job], self.jobs.release_step[job], self.jobs.due_step[job]
        total = np.zeros((pools.size, end - first - run + 1))
        for demand, sums in zip(self.jobs.demand[job], prefixes, strict=True):
            if demand > 0:
                rows = sums if pools.size == sums.shape[0] else sums[pools]
                total += demand * (rows[:, first + run : end + 1] - rows[:, first : end - run + 1])
        return total


def sizes(problem: FleetProblem) -> FloatArray:
    """What each job takes: run x the largest of its demands, each in parts of the largest capacity; (n,), steps."""
    unit = tolerances(problem) / ROUNDING
    return np.asarray(problem.jobs.run_steps * (problem.jobs.demand / unit).max(axis=1, initial=0.0))


def price_prefixes(prices: FloatArray) -> FloatArray:
    """Sums of the prices (P, K, T) up to each step; (K, P, T + 1)."""
    pools, resources, steps = prices.shape
    return np.stack([prefix_of(prices[:, k]).reshape(pools, steps + 1) for k in range(resources)])


def placed_emissions_g(problem: FleetProblem, start: IntArray, pool: IntArray) -> FloatArray:
    """Emissions of each job as it is placed, 0 where it is not; (n,), g."""
    emissions_g = np.zeros(start.size)
    placed = np.flatnonzero(start != UNPLACED)
    where = pool[placed]
    first = where * (problem.steps + 1) + start[placed]
    sums = intensity_prefix(problem)
    last = first + problem.jobs.run_steps[placed]
    run_g = sums[last] - sums[first] - problem.jobs.unused[placed] * (sums[last] - sums[last - 1])
    emissions_g[placed] = power_of_pairs(problem)[placed, where] * run_g + problem.jobs.fixed_g[placed, where]
    return emissions_g


def column_now(columns: Columns, board: Board, rows: IntArray) -> IntArray:
    """The column in which each job runs, ``UNPLACED`` where it has no place; (m,)."""
    placed = board.start[rows] != UNPLACED
    first = np.where(placed, board.pool[rows] * (columns.steps + 1) + board.start[rows], -1)
    hits = np.flatnonzero(columns.first == first[columns.job])
    now = np.full(rows.size, UNPLACED)
    now[columns.job[hits]] = hits
    return now


def missing_by_priority(priority: FloatArray, outside: BoolArray) -> tuple[int, ...]:
    """How many jobs have no place, of each priority from the highest down: the less of two such tuples is better."""
    return tuple(int(np.count_nonzero(outside & (priority == level))) for level in np.unique(priority)[::-1])
