"""Jobs that arrive: promises stand, what runs stays, and what may come is the mean of what came."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lowtide.planning.fleet.checks import violations
from lowtide.planning.fleet.online import OnlineEffort, Standing, expected_jobs, plan_arrivals, plan_next
from lowtide.planning.fleet.solve import plan_fleet
from lowtide.planning.fleet.types import UNPLACED, FleetJobs, FleetProblem, Pool

STEPS = 72


def queue(count: int = 40, capacity: float = 6.0) -> FleetProblem:
    """Small jobs over a day and a half, on a sine of 24 steps."""
    rng = np.random.default_rng(1)
    release = np.sort(rng.integers(0, 36, count))
    run = rng.integers(1, 5, count)
    fleet = FleetJobs(
        release_step=release,
        due_step=np.minimum(STEPS, release + run + 18),
        run_steps=run,
        demand=rng.integers(1, 3, (count, 1)).astype(float),
        power_kw=np.ones(count),
        allowed=np.ones((count, 1), dtype=bool),
        fixed_g=np.zeros((count, 1)),
        priority=np.zeros(count),
        share=np.zeros(count, dtype=np.int64),
        unused=np.zeros(count),
        home=np.zeros(count, dtype=np.int64),
    )
    intensity = 300 + 200 * np.sin(np.arange(STEPS) * 2 * np.pi / 24)
    return FleetProblem((Pool("home", intensity, 1.0, np.full((1, STEPS), capacity)),), fleet, ("cpus",), 3600.0)


@pytest.mark.parametrize("policy", ["replan", "commit"])
def test_arrivals_keep_every_limit_and_no_plan_beats_the_joint_bound(policy: str) -> None:
    problem = queue()
    plan = plan_arrivals(problem, policy=policy)  # type: ignore[arg-type]
    assert not violations(problem, plan)
    assert not plan.misfits
    joint = plan_fleet(problem)
    assert joint.bound_g - 1e-6 <= plan.emissions_g < plan.at_once_g
    assert plan.bound_g <= joint.emissions_g + 1e-6


def test_what_arrives_later_cannot_be_seen() -> None:
    problem = queue()
    later = problem.jobs.release_step >= 20
    other = replace(problem, jobs=replace(problem.jobs, demand=np.where(later[:, None], 1.0, problem.jobs.demand)))
    plans = [plan_arrivals(case, policy="commit") for case in (problem, other)]
    assert plans[0].start_step[~later].tolist() == plans[1].start_step[~later].tolist()


def test_a_running_job_and_under_commit_every_promise_stays() -> None:
    problem = queue(count=4)
    problem = replace(problem, jobs=replace(problem.jobs, release_step=np.zeros(4, np.int64), due_step=np.full(4, 40)))
    start, pool = np.array([1, 3, 30, UNPLACED]), np.array([0, 0, 0, UNPLACED])
    before = Standing(start, pool, np.zeros((1, 1, STEPS)))
    kept = plan_next(problem, before, now=4, policy="commit")
    assert kept.start_step[:3].tolist() == [1, 3, 30]
    moved = plan_next(problem, before, now=4)
    assert moved.start_step[:2].tolist() == [1, 3]
    assert moved.start_step[2] >= 4
    assert moved.start_step[3] >= 4


def test_one_after_another_does_not_stampede() -> None:
    problem = queue(count=12, capacity=2.0)
    n = problem.jobs.count
    fleet = replace(
        problem.jobs, release_step=np.zeros(n, np.int64), due_step=np.full(n, STEPS), run_steps=np.full(n, 2)
    )
    problem = replace(problem, jobs=replace(fleet, demand=np.ones((n, 1))))
    standing = Standing(np.full(n, UNPLACED), np.full(n, UNPLACED), np.zeros((1, 1, STEPS)))
    for job in range(n):
        known = np.arange(n) <= job
        part = replace(problem, jobs=replace(fleet, demand=np.where(known, 1.0, 0.0)[:, None]))
        seen = plan_next(part, standing, now=0, policy="commit")
        standing = Standing(
            np.where(known, seen.start_step, UNPLACED), np.where(known, seen.pool, UNPLACED), seen.prices
        )
    load = np.zeros(STEPS)
    for start in standing.start_step:
        load[start : start + 2] += 1
    assert load.max() <= 2


def test_expected_jobs_are_the_mean_of_the_days_before() -> None:
    problem = queue()
    arrival = problem.jobs.release_step
    expected = expected_jobs(problem, arrival, now=24, effort=OnlineEffort(days=1, ahead_days=1.0))
    assert expected is not None
    recent = (arrival > 0) & (arrival <= 24)
    work = [(fleet.demand[:, 0] * fleet.run_steps) for fleet in (problem.jobs, expected)]
    assert work[1].sum() == pytest.approx(work[0][recent].sum())
    assert sorted(expected.release_step.tolist()) == sorted((arrival[recent] + 24).tolist())
    assert expected.release_step.min() > 24


def test_a_rush_that_does_not_fit_is_reported_and_its_prices_have_an_end() -> None:
    problem = queue(count=120, capacity=3.0)
    expected = expected_jobs(problem, problem.jobs.release_step, now=30)
    none = np.full(problem.jobs.count, UNPLACED)
    standing = Standing(none, none, np.zeros((1, 1, STEPS)))
    highest = []
    for _ in range(6):
        standing = plan_next(problem, standing, now=30, expected=expected)
        highest.append(standing.prices.max())
    assert (standing.start_step == UNPLACED).any()
    assert max(highest) <= 2 * highest[0]
    plan = plan_arrivals(problem)
    assert not violations(problem, plan)
    assert {misfit.limit for misfit in plan.misfits} == {"capacity"}
    assert plan.placed.sum() + len(plan.misfits) == problem.jobs.count


def test_a_job_larger_than_the_pool_and_a_window_too_short_are_misfits() -> None:
    problem = queue(count=6)
    demand, due = problem.jobs.demand.copy(), problem.jobs.due_step.copy()
    demand[2], due[4] = 7.0, problem.jobs.release_step[4] + problem.jobs.run_steps[4] - 1
    problem = replace(problem, jobs=replace(problem.jobs, demand=demand, due_step=due))
    for arrival in (None, np.zeros(6, np.int64)):
        plan = plan_arrivals(problem, arrival_step=arrival)
        assert [(misfit.job, misfit.limit) for misfit in plan.misfits] == [(2, "capacity"), (4, "deadline")]
        assert not violations(problem, plan)


def test_nothing_waits_that_gains_nothing_by_it() -> None:
    problem = queue(count=6)
    problem = replace(problem, pools=(replace(problem.pools[0], intensity_g_per_kwh=np.full(STEPS, 300.0)),))
    assert plan_arrivals(problem).start_step.tolist() == problem.jobs.release_step.tolist()


def test_large_jobs_choose_first_and_small_ones_fill_what_they_leave() -> None:
    problem = queue(count=4, capacity=4.0)
    fleet = replace(
        problem.jobs,
        release_step=np.zeros(4, np.int64),
        due_step=np.full(4, 30),
        run_steps=np.array([1, 1, 1, 6]),
        demand=np.array([[1.0], [1.0], [1.0], [3.0]]),
    )
    cheap_now = np.where(np.arange(STEPS) < 6, 100.0, 400.0)
    problem = replace(problem, jobs=fleet, pools=(replace(problem.pools[0], intensity_g_per_kwh=cheap_now),))
    none = np.full(4, UNPLACED)
    after = plan_next(problem, Standing(none, none, np.zeros((1, 1, STEPS))), now=0)
    assert after.start_step[3] == 0
    assert sorted(after.start_step.tolist())[:2] == [0, 0]
    assert after.start_step.max() < 6
