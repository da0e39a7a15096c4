"""B7: 28 days of a published queue under a capacity, planned at once and as it arrives; and how the time grows.

The linear programme whose saving is the measure is built here anew, one variable per job and start.
"""

from __future__ import annotations

import resource
import time
from typing import TYPE_CHECKING

import numpy as np
from table import Row, data_folder

from lowtide.planning.fleet.checks import violations
from lowtide.planning.fleet.online import plan_arrivals
from lowtide.planning.fleet.solve import plan_fleet
from lowtide.planning.fleet.types import FleetJobs, FleetProblem, Pool
from lowtide.testing.measured import HOUR_S, hourly, trace

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lowtide.planning.fleet.types import FleetPlan

FIRST_H, DAYS, SLACK_H, CAPACITY, LARGEST = 4344, 28, 24, 168.0, 64
SIZES = (1_000, 10_000, 100_000)


def queue(folder: Path) -> FleetProblem:
    """The jobs of the 28 days; the hour of submission is the first in which they may run."""
    release, run, cpus = _submitted(folder, 0, 24 * DAYS)
    steps = int((release + run).max()) + SLACK_H
    intensity = hourly(folder, "US-CAL-CISO", 2022).values[FIRST_H : FIRST_H + steps]
    return _problem(release, run, cpus, intensity, CAPACITY)


def past(folder: Path) -> FleetJobs:
    """The jobs of the days before, from which it is learnt what is likely to come."""
    return _jobs(*_submitted(folder, -24 * DAYS, 0))


def _submitted(folder: Path, from_h: int, until_h: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Release, length and size of the jobs that were submitted between two hours of the case; (n,) each."""
    jobs = trace(folder, "alibaba-pai-2020-100k")
    hour = np.floor(jobs.submit_s / HOUR_S).astype(np.int64) - FIRST_H
    chosen = (hour >= from_h) & (hour < until_h) & (jobs.cpus <= LARGEST)
    run = np.maximum(1, np.ceil(jobs.duration_s[chosen] / HOUR_S)).astype(np.int64)
    return hour[chosen], run, jobs.cpus[chosen]


def _problem(
    release: np.ndarray, run: np.ndarray, cpus: np.ndarray, intensity: np.ndarray, capacity: float
) -> FleetProblem:
    pool = Pool("CISO", intensity, 1.0, np.full((1, intensity.size), capacity))
    return FleetProblem((pool,), _jobs(release, run, cpus), ("cpus",), HOUR_S)


def _jobs(release: np.ndarray, run: np.ndarray, cpus: np.ndarray) -> FleetJobs:
    """1 kW per CPU."""
    return FleetJobs(
        release_step=release,
        due_step=release + run + SLACK_H,
        run_steps=run,
        demand=cpus[:, None],
        power_kw=cpus,
        allowed=np.ones((cpus.size, 1), dtype=bool),
        fixed_g=np.zeros((cpus.size, 1)),
        priority=np.zeros(cpus.size),
        share=np.zeros(cpus.size, dtype=np.int64),
        unused=np.zeros(cpus.size),
        home=np.zeros(cpus.size, dtype=np.int64),
    )


def linear_programme_g(problem: FleetProblem) -> float:
    """The least emissions if jobs could be divided among their starts; g."""
    from highspy import MatrixFormat, kHighsInf
    from highspy._core import HighsLp, _Highs

    jobs, intensity = problem.jobs, problem.pools[0].intensity_g_per_kwh
    n, width = jobs.count, SLACK_H + 1
    job = np.repeat(np.arange(n), width)
    begin = (jobs.release_step[:, None] + np.arange(width)).ravel()
    length = jobs.run_steps[job] + 1  # a row for the job, and one for each hour of its run
    start = np.concatenate(([0], np.cumsum(length)))
    column = np.repeat(np.arange(job.size), length)
    later = np.arange(start[-1]) - start[:-1][column]
    row = np.where(later == 0, job[column], n + begin[column] + later - 1)
    value = np.where(later == 0, 1.0, jobs.demand[job[column], 0])
    hour_g = np.where(later == 0, 0.0, intensity[np.maximum(0, begin[column] + later - 1)] * value)
    lp = HighsLp()
    lp.num_col_, lp.num_row_ = job.size, n + problem.steps
    lp.col_cost_, lp.col_lower_ = np.add.reduceat(hour_g, start[:-1]), np.zeros(job.size)
    lp.col_upper_ = np.full(job.size, kHighsInf)
    lp.row_lower_ = np.concatenate([np.ones(n), np.full(problem.steps, -kHighsInf)])
    lp.row_upper_ = np.concatenate([np.ones(n), problem.pools[0].capacity[0]])
    lp.a_matrix_.format_ = MatrixFormat.kColwise
    lp.a_matrix_.start_, lp.a_matrix_.index_, lp.a_matrix_.value_ = start, row, value
    model = _Highs()
    model.setOptionValue("output_flag", False)
    model.passModel(lp)
    model.run()
    return float(model.getInfo().objective_function_value)


def rows() -> Iterator[Row]:
    problem = queue(data_folder())
    least_g = linear_programme_g(problem)
    started = time.process_time()
    plan = plan_fleet(problem)
    taken_s = time.process_time() - started
    name = f"{problem.jobs.count:,} jobs at once"
    yield Row("B7", f"{name}: limits broken, jobs without a place", _faults(problem, plan), "", 0, "less")
    yield Row("B7", f"{name}: share of the linear programme's saving", _share_pct(plan, least_g), "%", 96.5)
    yield Row("B7", f"{name}: time", taken_s, "s", 60, "less")
    off_pct = 100 * abs(plan.bound_g - least_g) / least_g
    yield Row("B7", f"{name}: bound away from the linear programme", off_pct, "%", 1e-4, "less")
    started = time.process_time()
    online = plan_arrivals(problem)
    taken_s = time.process_time() - started
    yield Row("B7", "as they arrive: limits broken, jobs without a place", _faults(problem, online), "", 0, "less")
    yield Row("B7", "as they arrive: share of the saving", _share_pct(online, least_g), "%", 85)
    yield Row("B7", "as they arrive: time per step", 1000 * taken_s / (24 * DAYS), "ms")
    yield from _growth(problem)


def _growth(problem: FleetProblem) -> Iterator[Row]:
    """Jobs drawn from the queue, on a capacity that grows with their number."""
    for size in SIZES:
        drawn = np.random.default_rng(0).integers(0, problem.jobs.count, size)
        jobs, (pool,) = problem.jobs, problem.pools
        release, run, cpus = jobs.release_step[drawn], jobs.run_steps[drawn], jobs.demand[drawn, 0]
        capacity = max(2.0 * LARGEST, CAPACITY * size / problem.jobs.count)
        larger = _problem(release, run, cpus, pool.intensity_g_per_kwh, capacity)
        started = time.process_time()
        plan = plan_fleet(larger)
        taken_s = time.process_time() - started
        yield Row("B7", f"{size:,} jobs: time per 1,000 jobs", 1000 * taken_s / size, "s")
        yield Row("B7", f"{size:,} jobs: limits broken", float(len(violations(larger, plan))), "", 0, "less")
        yield Row("B7", f"{size:,} jobs: without a place, where all may not fit", float(len(plan.misfits)), "")
        yield Row("B7", f"{size:,} jobs: at most over the best", plan.gap_pct, "%")
    yield Row("B7", "memory at most", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2, "GiB", 4, "less")


def _faults(problem: FleetProblem, plan: FleetPlan) -> float:
    return float(len(violations(problem, plan)) + len(plan.misfits))


def _share_pct(plan: FleetPlan, least_g: float) -> float:
    return 100 * (plan.at_once_g - plan.emissions_g) / (plan.at_once_g - least_g)


def main() -> None:
    for row in rows():
        print(row)


if __name__ == "__main__":
    main()
