"""Small queues against every combination of places and starts, in plain Python; what must not make a plan worse."""

from __future__ import annotations

import os
from dataclasses import replace
from fractions import Fraction
from itertools import product

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from lowtide.planning.fleet.checks import violations
from lowtide.planning.fleet.columns import with_jobs
from lowtide.planning.fleet.online import OnlineEffort, plan_arrivals
from lowtide.planning.fleet.solve import Effort, plan_fleet
from lowtide.planning.fleet.types import FleetJobs, FleetPlan, FleetProblem, Pool

EXAMPLES = int(os.environ.get("LOWTIDE_EXAMPLES", "100"))
HEURISTIC = Effort(tiny_columns=0, exact_columns=0, ascent=40, tries=50, passes=5)
STEP_S = 1800.0

Way = tuple[int, int] | None
"""Pool and start of a job, None where it stays outside."""


@st.composite
def problems(draw: st.DrawFn, jobs: int = 4, steps: int = 7) -> FleetProblem:
    """Few jobs, one to two pools and resources, integers throughout; windows that are too short occur."""
    n, horizon = draw(st.integers(1, jobs)), draw(st.integers(2, steps))
    pools, resources = draw(st.integers(1, 2)), draw(st.integers(1, 2))

    def whole(low: int, high: int, *shape: int) -> np.ndarray:
        size = int(np.prod(shape))
        return np.array(draw(st.lists(st.integers(low, high), min_size=size, max_size=size))).reshape(shape)

    release = whole(0, horizon - 1, n)
    allowed = whole(0, 1, n, pools).astype(bool)
    allowed[:, 0] |= ~allowed.any(axis=1)
    return FleetProblem(
        pools=tuple(
            Pool(
                f"pool {number}",
                whole(0, 9, horizon) * 50.0,
                draw(st.sampled_from([1.0, 1.25])),
                np.where(whole(0, 9, resources, horizon) == 9, np.inf, whole(0, 4, resources, horizon).astype(float)),
            )
            for number in range(pools)
        ),
        jobs=FleetJobs(
            release_step=release,
            due_step=np.minimum(horizon, release + whole(1, horizon, n)),
            run_steps=whole(1, 3, n),
            demand=whole(0, 3, n, resources).astype(float),
            power_kw=whole(0, 4, n, pools).astype(float),
            allowed=allowed,
            fixed_g=whole(0, 1, n, pools) * 20.0,
            priority=whole(0, 1, n).astype(float),
            share=whole(0, 1, n),
            unused=whole(0, 3, n) / 4.0,
            home=allowed.argmax(axis=1),
        ),
        resources=("cpus", "gpus")[:resources],
        step_s=STEP_S,
    )


def ways_of(problem: FleetProblem, job: int) -> list[Way]:
    jobs = problem.jobs
    last = int(jobs.due_step[job] - jobs.run_steps[job])
    pools = [pool for pool in range(len(problem.pools)) if jobs.allowed[job, pool]]
    return [(pool, start) for pool in pools for start in range(int(jobs.release_step[job]), last + 1)]


def emissions(problem: FleetProblem, job: int, way: Way) -> Fraction:
    if way is None:
        return Fraction(0)
    pool, start = way
    place, jobs = problem.pools[pool], problem.jobs
    run = range(start, start + int(jobs.run_steps[job]))
    total = sum(int(place.intensity_g_per_kwh[step]) for step in run) + Fraction(0)
    total -= Fraction(jobs.unused[job]) * int(place.intensity_g_per_kwh[run[-1]])
    kw_h = Fraction(jobs.power_kw[job, pool]) * Fraction(STEP_S) / 3600
    return kw_h * Fraction(place.pue) * total + Fraction(jobs.fixed_g[job, pool])


def keeps_capacity(problem: FleetProblem, ways: tuple[Way, ...]) -> bool:
    used: dict[tuple[int, int, int], float] = {}
    for job, way in enumerate(ways):
        if way is None:
            continue
        for step in range(way[1], way[1] + int(problem.jobs.run_steps[job])):
            for resource in range(len(problem.resources)):
                cell = (way[0], resource, step)
                used[cell] = used.get(cell, 0.0) + float(problem.jobs.demand[job, resource])
    return all(taken <= problem.pools[p].capacity[k, t] for (p, k, t), taken in used.items())


def rank(problem: FleetProblem, ways: tuple[Way, ...]) -> tuple[object, ...]:
    """What is minimised, in order: jobs outside by priority, the largest share of several groups, emissions.

    Groups are those with a job that could run if it were alone.
    """
    jobs = problem.jobs
    outside = [job for job, way in enumerate(ways) if way is None]
    levels = sorted({float(p) for p in jobs.priority}, reverse=True)
    missing = tuple(sum(float(jobs.priority[job]) == level for job in outside) for level in levels)
    peak = Fraction(0)
    groups = {int(jobs.share[job]) for job in range(jobs.count) if could_run(problem, job)}
    for group in groups if outside and len(groups) > 1 else set():
        for resource in range(len(problem.resources)):
            finite = [x for pool in problem.pools for x in pool.capacity[resource].tolist() if x != float("inf")]
            if sum(finite) > 0:
                taken = sum(
                    Fraction(jobs.demand[job, resource]) * int(jobs.run_steps[job])
                    for job, way in enumerate(ways)
                    if way is not None and jobs.share[job] == group
                )
                peak = max(peak, taken / Fraction(sum(finite)))
    return (missing, peak, sum((emissions(problem, job, way) for job, way in enumerate(ways)), Fraction(0)))


def could_run(problem: FleetProblem, job: int) -> bool:
    others = problem.jobs.count - 1 - job
    return any(keeps_capacity(problem, (*[None] * job, way, *[None] * others)) for way in ways_of(problem, job))


def brute(problem: FleetProblem) -> tuple[object, ...]:
    choices = [[*ways_of(problem, job), None] for job in range(problem.jobs.count)]
    return min(rank(problem, ways) for ways in product(*choices) if keeps_capacity(problem, ways))


def ways_in(plan: FleetPlan) -> tuple[Way, ...]:
    return tuple(
        None if start < 0 else (int(pool), int(start)) for pool, start in zip(plan.pool, plan.start_step, strict=True)
    )


@settings(max_examples=EXAMPLES, deadline=None)
@given(problems())
def test_small_queues_are_solved_exactly(problem: FleetProblem) -> None:
    plan = plan_fleet(problem)

    assert plan.exact
    assert not violations(problem, plan)
    assert keeps_capacity(problem, ways_in(plan))
    own, least = rank(problem, ways_in(plan)), brute(problem)
    assert own[:2] == least[:2], "which jobs have a place"
    assert abs(own[2] - least[2]) <= 1e-6  # type: ignore[operator]
    assert abs(plan.emissions_g - float(own[2])) <= 1e-6  # type: ignore[arg-type]
    assert {misfit.job for misfit in plan.misfits} == {job for job, way in enumerate(ways_in(plan)) if way is None}


@settings(max_examples=EXAMPLES, deadline=None)
@given(problems(jobs=5))
def test_the_large_path_keeps_every_limit_and_its_bound(problem: FleetProblem) -> None:
    plan = plan_fleet(problem, HEURISTIC)

    assert not violations(problem, plan)
    assert plan.uncapped_g <= plan.emissions_g + 1e-6
    placed = np.flatnonzero(plan.placed)
    same = replace(
        problem, jobs=replace(problem.jobs, **{f: getattr(problem.jobs, f)[placed] for f in problem.jobs.__slots__})
    )
    if placed.size and placed.size <= 4:
        assert plan.bound_g <= float(brute(same)[2]) + 1e-6  # type: ignore[arg-type]
    assert plan.bound_g <= plan.emissions_g


@settings(max_examples=EXAMPLES, deadline=None)
@given(problems(), st.data())
def test_more_freedom_never_costs_more(problem: FleetProblem, data: st.DataObject) -> None:
    plain = plan_fleet(problem)
    jobs, kind = problem.jobs, data.draw(st.sampled_from(["capacity", "due", "release", "pool"]))
    if kind == "capacity":
        more = replace(problem, pools=tuple(replace(pool, capacity=pool.capacity + 1) for pool in problem.pools))
    elif kind == "due":
        more = replace(problem, jobs=replace(jobs, due_step=np.minimum(problem.steps, jobs.due_step + 1)))
    elif kind == "release":
        more = replace(problem, jobs=replace(jobs, release_step=np.maximum(0, jobs.release_step - 1)))
    else:
        more = replace(problem, jobs=replace(jobs, allowed=np.ones_like(jobs.allowed)))
    freer = plan_fleet(more)

    levels = np.unique(jobs.priority)[::-1]
    missing = [[int((~plan.placed)[jobs.priority == level].sum()) for level in levels] for plan in (plain, freer)]
    assert missing[1] <= missing[0]
    if plain.placed.all():
        assert freer.emissions_g <= plain.emissions_g + 1e-6


@settings(max_examples=EXAMPLES, deadline=None)
@given(problems(), st.integers(2, 50))
def test_scaling_intensity_and_fixed_scales_the_emissions(problem: FleetProblem, factor: int) -> None:
    plain = plan_fleet(problem)
    scaled = plan_fleet(
        replace(
            problem,
            pools=tuple(replace(p, intensity_g_per_kwh=factor * p.intensity_g_per_kwh) for p in problem.pools),
            jobs=replace(problem.jobs, fixed_g=factor * problem.jobs.fixed_g),
        )
    )
    assert abs(scaled.emissions_g - factor * plain.emissions_g) <= 1e-6 * (1 + factor * plain.emissions_g)
    assert abs(scaled.bound_g - factor * plain.bound_g) <= 1e-6 * (1 + factor * plain.bound_g)


@settings(max_examples=EXAMPLES, deadline=None)
@given(problems())
def test_relaxing_what_is_named_is_enough(problem: FleetProblem) -> None:
    plan = plan_fleet(problem)
    raises = [relax for relax in plan.relax if relax.kind == "capacity"]
    moves = {relax.job: relax.later_steps for relax in plan.relax if relax.kind == "deadline"}
    by_deadline = {misfit.job for misfit in plan.misfits if misfit.limit == "deadline"}

    pools = []
    for pool in problem.pools:
        capacity = pool.capacity.copy()
        for relax in raises:
            if relax.pool == pool.label:
                capacity[problem.resources.index(relax.resource), relax.from_step : relax.to_step] += relax.raise_by
        pools.append(replace(pool, capacity=capacity))
    raised = plan_fleet(replace(problem, pools=tuple(pools)))
    assert {misfit.job for misfit in raised.misfits} == by_deadline

    assert set(moves) <= {misfit.job for misfit in plan.misfits}
    if moves:
        due = problem.jobs.due_step.copy()
        for job, later in moves.items():
            assert later > 0
            due[job] += later
        moved = plan_fleet(replace(problem, jobs=replace(problem.jobs, due_step=due)))
        assert len(moved.misfits) <= len(plan.misfits) - len(moves)


@settings(max_examples=EXAMPLES, deadline=None)
@given(problems(jobs=6), st.sampled_from(["replan", "commit"]), st.data())
def test_arrivals_keep_every_limit_and_do_not_know_what_comes(
    problem: FleetProblem, policy: str, data: st.DataObject
) -> None:
    effort = OnlineEffort(ascent=10, first_ascent=20, tries=20)
    plan = plan_arrivals(problem, policy=policy, effort=effort)  # type: ignore[arg-type]
    assert not violations(problem, plan)
    assert sorted(misfit.job for misfit in plan.misfits) == np.flatnonzero(~plan.placed).tolist()

    release = problem.jobs.release_step
    until = data.draw(st.integers(0, problem.steps))
    early = np.flatnonzero(release <= until)
    if not early.size:
        return
    alone = plan_arrivals(with_jobs(problem, early), policy=policy, effort=effort)  # type: ignore[arg-type]
    for before, after in zip(alone.start_step, plan.start_step[early], strict=True):
        assert before == after or not (0 <= before < until or 0 <= after < until)
