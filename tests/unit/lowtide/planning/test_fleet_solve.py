"""What a plan of many jobs says: places, misfits with the limit to relax, fair shares, and errors with facts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lowtide.planning.fleet.checks import violations
from lowtide.planning.fleet.solve import Effort, plan_fleet
from lowtide.planning.fleet.types import FleetJobs, FleetProblem, Pool
from lowtide_core.errors import InputError

EVENING = [300.0, 300.0, 100.0, 100.0, 300.0, 300.0]
HEURISTIC = Effort(tiny_columns=0, exact_columns=0)


def jobs(count: int, *, run: int = 1, demand: float = 1.0, pools: int = 1, steps: int = 6) -> FleetJobs:
    """Equal jobs, free in the whole window."""
    whole = np.full(count, 1)
    return FleetJobs(
        release_step=0 * whole,
        due_step=steps * whole,
        run_steps=run * whole,
        demand=np.full((count, 1), demand),
        power_kw=1.0 * whole,
        allowed=np.ones((count, pools), dtype=bool),
        fixed_g=np.zeros((count, pools)),
        priority=0.0 * whole,
        share=0 * whole,
        unused=np.zeros(count),
        home=0 * whole,
    )


def pool(values: list[float], capacity: float, label: str = "home") -> Pool:
    return Pool(label, np.array(values), 1.0, np.full((1, len(values)), capacity))


def problem(fleet: FleetJobs, *pools: Pool) -> FleetProblem:
    return FleetProblem(pools or (pool(EVENING, 2.0),), fleet, ("cpus",), 3600.0)


@pytest.mark.parametrize("effort", [Effort(), HEURISTIC])
def test_jobs_share_the_clean_hours_and_the_rest_runs_beside_them(effort: Effort) -> None:
    plan = plan_fleet(problem(jobs(5)), effort)
    assert sorted(plan.start_step.tolist())[0] >= 0
    assert np.isin(plan.start_step, (2, 3)).sum() == 4
    assert plan.emissions_g == pytest.approx(4 * 100 + 300)
    assert plan.bound_g == pytest.approx(700)
    assert (plan.at_once_g, plan.uncapped_g) == (1500, 500)
    assert plan.bound_saving_share == pytest.approx(1)


@pytest.mark.parametrize("effort", [Effort(), HEURISTIC])
def test_a_second_pool_takes_what_the_first_cannot(effort: Effort) -> None:
    fleet = replace(jobs(4, run=2, pools=2), fixed_g=np.tile([0.0, 50.0], (4, 1)))
    plan = plan_fleet(problem(fleet, pool(EVENING, 2.0), pool(EVENING, 2.0, "away")), effort)
    assert plan.start_step.tolist() == [2, 2, 2, 2]
    assert sorted(plan.pool.tolist()) == [0, 0, 1, 1]
    assert plan.emissions_g == pytest.approx(4 * 200 + 2 * 50)


@pytest.mark.parametrize("effort", [Effort(), HEURISTIC])
def test_the_lowest_priority_stays_outside(effort: Effort) -> None:
    fleet = replace(jobs(4, run=4), due_step=np.full(4, 4), priority=np.array([0.0, 2.0, 1.0, 2.0]))
    plan = plan_fleet(problem(replace(fleet, priority=np.array([0.0, 2.0, 1.0, 2.0]))), effort)
    assert plan.placed.tolist() == [False, True, False, True]
    assert [misfit.job for misfit in plan.misfits] == [0, 2]
    assert {(misfit.limit, misfit.resource, misfit.short_by) for misfit in plan.misfits} == {("capacity", "cpus", 1.0)}
    raised = [relax for relax in plan.relax if relax.kind == "capacity"]
    assert [(r.pool, r.resource, r.from_step, r.to_step, r.raise_by) for r in raised] == [("home", "cpus", 0, 4, 2.0)]


@pytest.mark.parametrize("effort", [Effort(), HEURISTIC])
def test_of_equals_the_group_that_has_got_more_stays_outside(effort: Effort) -> None:
    fleet = replace(jobs(4, run=4), due_step=np.full(4, 4), share=np.array([7, 7, 7, 9]))
    plan = plan_fleet(problem(fleet), effort)
    assert plan.placed.sum() == 2
    assert plan.placed[3]


def test_a_job_longer_than_its_window_names_the_steps() -> None:
    fleet = replace(jobs(2, run=3), due_step=np.array([6, 2]))
    plan = plan_fleet(problem(fleet))
    (misfit,) = plan.misfits
    assert (misfit.job, misfit.limit, misfit.short_by) == (1, "deadline", 1.0)
    assert [(relax.kind, relax.job, relax.later_steps) for relax in plan.relax] == [("deadline", 1, 1)]


def test_a_job_larger_than_every_pool_names_the_resource() -> None:
    plan = plan_fleet(problem(jobs(1, demand=3.0)))
    (misfit,) = plan.misfits
    assert (misfit.limit, misfit.resource, misfit.short_by) == ("capacity", "cpus", 1.0)
    assert plan.exact


def test_no_capacity_limit_is_the_best_window_of_each() -> None:
    plan = plan_fleet(problem(jobs(50, run=2), pool(EVENING, np.inf)), HEURISTIC)
    assert (plan.start_step == 2).all()
    assert plan.gap_pct == 0


def test_no_jobs_are_no_work() -> None:
    plan = plan_fleet(problem(jobs(0)))
    assert (plan.emissions_g, plan.misfits, plan.exact) == (0.0, (), True)


def test_the_same_input_gives_the_same_plan() -> None:
    rng = np.random.default_rng(0)
    fleet = replace(
        jobs(60, steps=40), run_steps=rng.integers(1, 6, 60), demand=rng.integers(1, 3, (60, 1)).astype(float)
    )
    case = problem(fleet, pool(rng.uniform(50, 400, 40).tolist(), 9.0))
    plans = [plan_fleet(case, HEURISTIC) for _ in range(2)]
    assert plans[0].start_step.tolist() == plans[1].start_step.tolist()
    assert plans[0].emissions_g == plans[1].emissions_g
    assert not violations(case, plans[0])


def test_violations_are_named() -> None:
    case = problem(jobs(3))
    plan = plan_fleet(case)
    assert not violations(case, plan)
    crowded = replace(plan, start_step=np.full(3, 2))
    assert len(violations(case, crowded)) == 1
    assert len(violations(case, replace(plan, start_step=np.array([0, 6, 2])))) >= 1


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("run_steps", np.array([0, 1])),
        ("release_step", np.array([-1, 0])),
        ("due_step", np.array([7, 6])),
        ("demand", np.array([[np.nan], [1.0]])),
        ("power_kw", np.array([-1.0, 1.0])),
        ("fixed_g", np.array([[np.inf], [0.0]])),
        ("priority", np.array([np.nan, 0.0])),
        ("allowed", np.zeros((2, 1), dtype=bool)),
    ],
)
def test_a_bad_value_names_the_job_and_the_field(field: str, value: np.ndarray) -> None:
    with pytest.raises(InputError) as error:
        plan_fleet(problem(replace(jobs(2), **{field: value})))
    assert error.value.facts == {"job": 0, "field": field}


def test_a_bad_pool_is_named() -> None:
    for wrong in (pool([np.nan] * 6, 1.0), pool(EVENING, -1.0), replace(pool(EVENING, 1.0), pue=0.9)):
        with pytest.raises(InputError) as error:
            plan_fleet(problem(jobs(1), wrong))
        assert error.value.facts["pool"] == "home"
    with pytest.raises(InputError):
        plan_fleet(FleetProblem((), jobs(1), ("cpus",), 3600.0))
