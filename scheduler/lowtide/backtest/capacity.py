"""A queue of past jobs on a machine of so many CPUs, planned step by step on the forecasts of their time."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from lowtide.planning.fleet.columns import with_jobs
from lowtide.planning.fleet.online import Standing, expected_jobs, plan_next
from lowtide.planning.fleet.types import UNPLACED, FleetJobs, FleetProblem, Pool

if TYPE_CHECKING:
    from collections.abc import Callable

    from lowtide.backtest.issued import BoolArray, Came, IntArray, Issued
    from lowtide.backtest.jobs import ReplayJobs
    from lowtide_core.series import FloatArray


@dataclass(frozen=True, slots=True)
class QueueRules:
    """How a queue is planned: anew at each arrival, all that has not started together, and for any gain.

    Attributes:
        cpus: The capacity; > 0.
    """

    cpus: float


class Queue(NamedTuple):
    """When each job of the queue ran; (m,).

    Attributes:
        start_s: s from the start of what came; NaN for a job that found no place before its deadline.
        plans: Jobs that were planned, each time that they were.
    """

    start_s: FloatArray
    plans: IntArray

    @property
    def placed(self) -> BoolArray:
        return ~np.isnan(self.start_s)


def replay_queue(
    came: Came, issued: Issued, jobs: ReplayJobs, cpus: float, progress: Callable[[int], None] | None = None
) -> Queue:
    """Plan the queue anew at each arrival, with the jobs that have come by then and the newest forecast.

    Args:
        came: Without a gap in any window.
        jobs: On whole steps (``jobs.on_steps``), in the order of arrival.
        cpus: The capacity; > 0.
        progress: Told how many more jobs have come.
    """
    problem = queue_problem(came, jobs, cpus)
    return _played(problem, lambda now: _seen(problem, issued, now), progress)


def queue_knowing(came: Came, jobs: ReplayJobs, cpus: float) -> Queue:
    """The same queue, had every intensity been known beforehand, though not the jobs to come."""
    problem = queue_problem(came, jobs, cpus)
    return _played(problem, lambda _: problem, None)


def _played(
    problem: FleetProblem, seen_at: Callable[[int], FleetProblem], progress: Callable[[int], None] | None
) -> Queue:
    """Arrival by arrival: what has not started may move."""
    arrival, count = problem.jobs.release_step, problem.jobs.count
    start, pool = (np.full(count, UNPLACED, dtype=np.int64) for _ in range(2))
    prices: FloatArray = np.zeros((1, 1, problem.steps))
    plans = np.zeros(count, dtype=np.int64)
    for now in np.unique(arrival).tolist():
        known = np.flatnonzero(arrival <= now)
        seen = seen_at(now)
        plans[known] += (start[known] == UNPLACED) | (start[known] >= now)
        standing = Standing(start[known], pool[known], prices)
        expected = expected_jobs(seen, arrival, now=now)
        start[known], pool[known], prices = plan_next(with_jobs(seen, known), standing, now=now, expected=expected)
        if progress is not None:
            progress(int((arrival == now).sum()))
    return Queue(np.where(start == UNPLACED, np.nan, start * problem.step_s), plans)


def queue_problem(came: Came, jobs: ReplayJobs, cpus: float) -> FleetProblem:
    """The queue as the planner of many jobs has it, with what came as its intensity."""
    release, due, run = (
        np.round(times_s / came.step_s).astype(np.int64)
        for times_s in (jobs.earliest_s, jobs.end_by_s, jobs.duration_s)
    )
    count, steps = jobs.count, came.values.size
    pool = Pool(came.zone, np.nan_to_num(came.values), 1.0, np.full((1, steps), float(cpus)))
    none = np.zeros(count)
    columns = FleetJobs(
        release_step=release,
        due_step=due,
        run_steps=run,
        demand=jobs.cpus[:, None],
        power_kw=jobs.power_kw,
        allowed=np.ones((count, 1), dtype=np.bool_),
        fixed_g=np.zeros((count, 1)),
        priority=none,
        share=np.zeros(count, dtype=np.int64),
        unused=none,
        home=np.zeros(count, dtype=np.int64),
    )
    return FleetProblem((pool,), columns, ("cpus",), came.step_s)


def _seen(problem: FleetProblem, issued: Issued, now: int) -> FleetProblem:
    """With the intensity that was forecast at that step; beyond it, the mean of the forecast."""
    row = int(issued.newest(np.array([now * problem.step_s]))[0])
    ahead = issued.values[row, now - int(issued.first_step[row]) :]
    known = ahead[~np.isnan(ahead)]
    intensity = np.full(problem.steps, float(known.mean()) if known.size else 0.0)
    part = intensity[now : now + ahead.size]
    np.copyto(part, ahead[: part.size], where=~np.isnan(ahead[: part.size]))
    return replace(problem, pools=(replace(problem.pools[0], intensity_g_per_kwh=intensity),))
