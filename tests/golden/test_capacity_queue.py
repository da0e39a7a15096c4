"""A published queue under a capacity: 28 days of a trace of GPU-cluster jobs on 168 CPUs in California.

Every figure is held against a linear programme written here, without groups, prices or column generation. The whole 28
days are in the benchmark; here are three of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from lowtide.planning.fleet.checks import violations
from lowtide.planning.fleet.online import plan_arrivals
from lowtide.planning.fleet.solve import plan_fleet
from lowtide.planning.fleet.types import FleetJobs, FleetProblem, Pool
from lowtide.testing.measured import HOUR_S, hourly, trace

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.data

FIRST_H, SLACK_H, CAPACITY = 4344, 24, 168.0


def queue(folder: Path, days: int, first_day: int = 0) -> FleetProblem:
    """Jobs of at most 64 CPUs that are submitted in the days; the hour of submission is the first they may run in."""
    jobs = trace(folder, "alibaba-pai-2020-100k")
    first_h = FIRST_H + 24 * first_day
    hour = jobs.submit_s / HOUR_S
    chosen = (hour >= first_h) & (hour < first_h + 24 * days) & (jobs.cpus <= 64)
    release = np.floor(hour[chosen]).astype(int) - first_h
    run = np.maximum(1, np.ceil(jobs.duration_s[chosen] / HOUR_S)).astype(int)
    cpus = jobs.cpus[chosen]
    steps = int((release + run).max()) + SLACK_H
    intensity = hourly(folder, "US-CAL-CISO", 2022).values[first_h : first_h + steps]
    one = np.ones((cpus.size, 1))
    return FleetProblem(
        (Pool("CISO", intensity, 1.0, np.full((1, steps), CAPACITY)),),
        FleetJobs(
            release_step=release,
            due_step=release + run + SLACK_H,
            run_steps=run,
            demand=cpus[:, None],
            power_kw=cpus,
            allowed=one > 0,
            fixed_g=0.0 * one,
            priority=np.zeros(cpus.size),
            share=np.zeros(cpus.size, dtype=np.int64),
            unused=np.zeros(cpus.size),
            home=np.zeros(cpus.size, dtype=np.int64),
        ),
        ("cpus",),
        HOUR_S,
    )


def linear_programme_g(problem: FleetProblem) -> float:
    """The least emissions if jobs could be divided among their starts: one variable per job and start; g."""
    import highspy

    jobs, (pool,) = problem.jobs, problem.pools
    n, steps = jobs.count, problem.steps
    model = highspy.Highs()
    model.setOptionValue("output_flag", False)
    cost, start, row, value = [], [0], [], []
    for job in range(n):
        run, cpus = int(jobs.run_steps[job]), float(jobs.demand[job, 0])
        for begin in range(int(jobs.release_step[job]), int(jobs.due_step[job]) - run + 1):
            cost.append(cpus * float(pool.intensity_g_per_kwh[begin : begin + run].sum()))
            row += [job, *range(n + begin, n + begin + run)]
            value += [1.0] + [cpus] * run
            start.append(len(row))
    lower = np.concatenate([np.ones(n), np.full(steps, -highspy.kHighsInf)])
    upper = np.concatenate([np.ones(n), pool.capacity[0]])
    none = np.zeros(0, np.int32)
    model.addRows(n + steps, lower, upper, 0, np.zeros(n + steps, np.int32), none, np.zeros(0))
    columns = len(cost)
    index = np.array(row, np.int32)
    begins = np.array(start[:-1], np.int32)
    high = np.full(columns, highspy.kHighsInf)
    model.addCols(columns, np.array(cost), np.zeros(columns), high, index.size, begins, index, np.array(value))
    model.run()
    assert model.getModelStatus() == highspy.HighsModelStatus.kOptimal
    return float(model.getInfo().objective_function_value)


def test_the_trace_is_the_published_one(test_data: Path) -> None:
    problem = queue(test_data, 28)
    jobs = problem.jobs
    assert jobs.count == 7147
    assert (jobs.demand[:, 0] * jobs.run_steps).sum() == 78_698
    sums = np.concatenate(([0.0], np.cumsum(problem.pools[0].intensity_g_per_kwh)))
    late = jobs.release_step[:, None] + np.arange(SLACK_H + 1)
    cost_g = jobs.demand * (sums[late + jobs.run_steps[:, None]] - sums[late])
    assert 100 * (1 - cost_g.min(axis=1).sum() / cost_g[:, 0].sum()) == pytest.approx(16.4, abs=0.05)


def test_the_queue_comes_within_the_published_distance_of_the_linear_programme(test_data: Path) -> None:
    problem = queue(test_data, 3, first_day=4)

    plan = plan_fleet(problem)

    least_g = linear_programme_g(problem)
    assert not violations(problem, plan)
    assert not plan.misfits
    assert plan.bound_g == pytest.approx(least_g, rel=1e-7)
    assert plan.at_once_g - plan.emissions_g >= 0.965 * (plan.at_once_g - least_g)


def test_jobs_planned_as_they_arrive_all_have_a_place(test_data: Path) -> None:
    problem = queue(test_data, 3, first_day=4)

    plan = plan_arrivals(problem)

    assert not violations(problem, plan)
    assert not plan.misfits
    assert plan.emissions_g < plan.at_once_g
