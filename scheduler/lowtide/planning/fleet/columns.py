"""Every way to run every job as one flat list of columns, and the emissions and priced demand of each of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from lowtide_core.quantities import SECONDS_PER_HOUR

if TYPE_CHECKING:
    from lowtide.planning.fleet.types import BoolArray, FleetJobs, FleetProblem, IntArray
    from lowtide_core.series import FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class Columns:
    """Column ``c`` runs job ``job[c]`` in one pool from one step on; those of a job lie together, by pool and start.

    Attributes:
        offset: Those of job ``j`` are ``offset[j]`` to ``offset[j + 1]``; (n + 1,).
        job: (C,).
        first, last: Cells ``pool * (T + 1) + step`` at which the run begins and has ended; (C,).
        cost_g: Emissions of the run; (C,), g.
        demand: Of the jobs; (n, K).
        steps: T.
    """

    offset: IntArray
    job: IntArray
    first: IntArray
    last: IntArray
    cost_g: FloatArray
    demand: FloatArray
    steps: int

    @property
    def count(self) -> int:
        return int(self.job.size)

    @property
    def pool(self) -> IntArray:
        return self.first // (self.steps + 1)

    @property
    def start(self) -> IntArray:
        return self.first % (self.steps + 1)


def columns_of(problem: FleetProblem) -> Columns:
    """All columns of the problem; a job whose window is too short has none."""
    jobs, steps = problem.jobs, problem.steps
    starts = np.maximum(0, jobs.due_step - jobs.run_steps - jobs.release_step + 1)
    per_pair = np.where(jobs.allowed, starts[:, None], 0)
    job_of, pool_of = np.nonzero(per_pair)
    width = per_pair[job_of, pool_of]
    ends = np.cumsum(width)
    pair = np.repeat(np.arange(width.size), width)
    job, pool = job_of[pair], pool_of[pair]
    start = np.arange(job.size) - np.repeat(ends - width, width) + jobs.release_step[job]
    first = pool * (steps + 1) + start
    last = first + jobs.run_steps[job]
    energy_g = intensity_prefix(problem)
    run_g = energy_g[last] - energy_g[first] - jobs.unused[job] * (energy_g[last] - energy_g[last - 1])
    cost_g = power_of_pairs(problem)[job, pool] * run_g + jobs.fixed_g[job, pool]
    offset = np.concatenate(([0], np.cumsum(per_pair.sum(axis=1))))
    return Columns(offset, job, first, last, cost_g, jobs.demand, steps)


def with_way_out(columns: Columns, left_out_g: FloatArray) -> Columns:
    """One more column per job, its last, that takes nothing and costs this; (n,), g."""
    ends, jobs = columns.offset[1:], left_out_g.size
    return replace(
        columns,
        offset=columns.offset + np.arange(jobs + 1),
        job=np.insert(columns.job, ends, np.arange(jobs)),
        first=np.insert(columns.first, ends, 0),
        last=np.insert(columns.last, ends, 0),
        cost_g=np.insert(columns.cost_g, ends, left_out_g),
    )


def power_of_pairs(problem: FleetProblem) -> FloatArray:
    """IT power of each job in each pool; (n, P), kW."""
    power = problem.jobs.power_kw
    return power if power.ndim == 2 else np.broadcast_to(power[:, None], (power.size, len(problem.pools)))


def intensity_prefix(problem: FleetProblem) -> FloatArray:
    """Emissions per kW of IT power up to each cell, PUE included; (P * (T + 1),), g/kW."""
    hours = problem.step_s / SECONDS_PER_HOUR
    rows = np.stack([pool.intensity_g_per_kwh * (pool.pue * hours) for pool in problem.pools])
    return prefix_of(rows)


def prefix_of(rows: FloatArray) -> FloatArray:
    """Sums of each row up to each cell; (P, T) -> (P * (T + 1),)."""
    sums = np.zeros((rows.shape[0], rows.shape[1] + 1))
    np.cumsum(rows, axis=1, out=sums[:, 1:])
    return sums.ravel()


def priced(columns: Columns, prices: FloatArray) -> FloatArray:
    """Emissions of each column plus what its demand costs at the prices (P, K, T), g per unit and step; (C,), g."""
    total = columns.cost_g.copy()
    for resource in range(prices.shape[1]):
        if prices[:, resource].any():
            sums = prefix_of(prices[:, resource])
            total += columns.demand[columns.job, resource] * (sums[columns.last] - sums[columns.first])
    return total


def least(columns: Columns, values: FloatArray) -> tuple[FloatArray, IntArray]:
    """The least value and the first column that has it, of each job; every job must have a column; (n,), (n,)."""
    width = columns.offset[1]
    if columns.count == width * (columns.offset.size - 1) and (np.diff(columns.offset) == width).all():
        table = values.reshape(-1, width)  # all windows of one width: a third of the time
        first = table.argmin(axis=1) + columns.offset[:-1]
        return values[first], first
    low = np.minimum.reduceat(values, columns.offset[:-1])
    hits = np.flatnonzero(values == np.repeat(low, np.diff(columns.offset)))
    first = np.empty(low.size, dtype=np.int64)
    first[columns.job[hits[::-1]]] = hits[::-1]  # the last assignment stays, which is the first column
    return low, first


def load_of(columns: Columns, chosen: IntArray, pools: int) -> FloatArray:
    """What the chosen columns take; (P, K, T)."""
    resources, cells = columns.demand.shape[1], pools * (columns.steps + 1)
    load = np.empty((pools, resources, columns.steps))
    job = columns.job[chosen]
    for resource in range(resources):
        weight = columns.demand[job, resource]
        change = np.bincount(columns.first[chosen], weight, cells) - np.bincount(columns.last[chosen], weight, cells)
        load[:, resource] = np.cumsum(change.reshape(pools, -1), axis=1)[:, :-1]
    return load


def capacity_of(problem: FleetProblem) -> FloatArray:
    """(P, K, T); inf is no limit."""
    return np.stack([pool.capacity for pool in problem.pools])


def rows_of(jobs: FleetJobs, rows: IntArray) -> FleetJobs:
    """The jobs of these rows, in their order."""
    return replace(jobs, **{name: getattr(jobs, name)[rows] for name in jobs.__slots__})


def with_jobs(problem: FleetProblem, rows: IntArray) -> FleetProblem:
    """The same pools with the jobs of these rows alone."""
    return replace(problem, jobs=rows_of(problem.jobs, rows))


def kept(columns: Columns, mask: BoolArray) -> Columns:
    """Only the columns of the mask; (C,)."""
    offset = np.concatenate(([0], np.cumsum(mask)))[columns.offset]
    return replace(
        columns,
        offset=offset,
        job=columns.job[mask],
        first=columns.first[mask],
        last=columns.last[mask],
        cost_g=columns.cost_g[mask],
    )


def lowest(columns: Columns, values: FloatArray, count: int) -> BoolArray:
    """The ``count`` columns of each job with the least values; (C,)."""
    order = np.lexsort((values, columns.job))
    rank = np.empty(order.size, dtype=np.int64)
    rank[order] = np.arange(order.size)
    return np.asarray(rank - columns.offset[columns.job] < count)
