"""What the planner of many jobs refuses, and whether a plan keeps every limit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lowtide.planning.fleet.types import UNPLACED
from lowtide_core.errors import InputError

if TYPE_CHECKING:
    from lowtide.planning.fleet.types import BoolArray, FleetJobs, FleetPlan, FleetProblem, Pool
    from lowtide_core.series import FloatArray

ROUNDING = 1e-9
"""Share of the largest capacity of a resource by which sums of demands may exceed a limit: they are sums of floats."""


def require_sound(problem: FleetProblem) -> None:
    """Refuse what cannot be planned.

    Raises:
        InputError: No pool, a step that is not positive, shapes that disagree, NaN, or a value out of range; ``facts``
            name the pool or the first job (``job``) and the field (``field``).
    """
    if not problem.pools:
        raise InputError("There is no pool to plan for.", hint="Name at least one place with its capacity.")
    if not problem.step_s > 0:
        raise InputError(f"The step is {problem.step_s} s.", hint="Give a positive one.", field="step_s")
    if problem.steps == 0:
        raise InputError("The window has no step.", hint="Give at least one step of intensity.", field="intensity")
    for pool in problem.pools:
        _require_pool(pool, len(problem.resources), problem.steps)
    _require_jobs(problem.jobs, len(problem.pools), len(problem.resources), problem.steps)


def _require_pool(pool: Pool, resources: int, steps: int) -> None:
    if pool.intensity_g_per_kwh.shape != (steps,) or pool.capacity.shape != (resources, steps):
        raise InputError(
            f"{pool.label}: intensity has the shape {pool.intensity_g_per_kwh.shape}, capacity {pool.capacity.shape}.",
            hint=f"Give ({steps},) and ({resources}, {steps}): one value a step, and one row a resource.",
            pool=pool.label,
        )
    if not np.isfinite(pool.intensity_g_per_kwh).all() or (pool.intensity_g_per_kwh < 0).any():
        raise InputError(
            f"{pool.label}: an intensity is not finite or negative.", hint="Fill the gaps first.", pool=pool.label
        )
    if not 1 <= pool.pue < np.inf:
        raise InputError(f"{pool.label}: a PUE of {pool.pue} cannot be.", hint="It is at least 1.", pool=pool.label)
    if not (pool.capacity >= 0).all():
        raise InputError(f"{pool.label}: a capacity is NaN or negative.", hint="Give 0 or more.", pool=pool.label)


def _require_jobs(jobs: FleetJobs, pools: int, resources: int, steps: int) -> None:
    n = jobs.count
    shapes: dict[str, tuple[tuple[int, ...], ...]] = {
        "release_step": ((n,),),
        "due_step": ((n,),),
        "run_steps": ((n,),),
        "demand": ((n, resources),),
        "power_kw": ((n,), (n, pools)),
        "allowed": ((n, pools),),
        "fixed_g": ((n, pools),),
        "priority": ((n,),),
        "share": ((n,),),
        "unused": ((n,),),
        "home": ((n,),),
    }
    for field, allowed in shapes.items():
        if getattr(jobs, field).shape not in allowed:
            raise InputError(
                f"{field} has the shape {getattr(jobs, field).shape}.",
                hint=f"Give {' or '.join(map(str, allowed))}.",
                field=field,
            )
    _refuse(jobs.run_steps < 1, "run_steps", "is shorter than one step", "Round the run up to whole steps.")
    _refuse(jobs.release_step < 0, "release_step", "lies before the window", "Begin the window earlier.")
    _refuse(jobs.due_step > steps, "due_step", "lies after the window", "Extend the window to the last deadline.")
    _refuse(~(np.isfinite(jobs.demand) & (jobs.demand >= 0)).all(axis=1), "demand", "is NaN or negative", "Give >= 0.")
    power = jobs.power_kw if jobs.power_kw.ndim == 2 else jobs.power_kw[:, None]
    _refuse(~(np.isfinite(power) & (power >= 0)).all(axis=1), "power_kw", "is NaN or negative", "Give 0 or more.")
    _refuse(~np.isfinite(jobs.fixed_g).all(axis=1), "fixed_g", "is not finite", "Give 0 where nothing is moved.")
    _refuse(~np.isfinite(jobs.priority), "priority", "is not finite", "Give any number, such as 0.")
    _refuse(~jobs.allowed.any(axis=1), "allowed", "names no pool", "Allow at least one.")
    _refuse(~((jobs.unused >= 0) & (jobs.unused < 1)), "unused", "is no part of a step", "Give 0 where it is filled.")
    known = (jobs.home >= 0) & (jobs.home < pools)
    _refuse(~known, "home", "is no pool", "Give one of those that are allowed.")
    _refuse(~jobs.allowed[np.arange(n), jobs.home], "home", "is not allowed", "Give one of those that are.")


def _refuse(wrong: BoolArray | np.bool_, field: str, what: str, hint: str) -> None:
    if np.any(wrong):
        job = int(np.flatnonzero(wrong)[0])
        raise InputError(f"Job {job}: {field} {what}.", hint=hint, job=job, field=field)


def tolerances(problem: FleetProblem) -> FloatArray:
    """How much of each resource counts as nothing; (K,)."""
    capacity = np.stack([pool.capacity for pool in problem.pools])
    largest = np.where(np.isfinite(capacity), capacity, 0.0).max(axis=(0, 2), initial=0.0)
    return np.asarray(ROUNDING * np.where(largest > 0, largest, 1.0))


def loads(problem: FleetProblem, start_step: np.ndarray, pool: np.ndarray) -> FloatArray:
    """What the placed jobs take of each resource in each step; (P, K, T)."""
    jobs = problem.jobs
    change = np.zeros((len(problem.pools), problem.steps + 1, len(problem.resources)))
    placed = np.flatnonzero(start_step != UNPLACED)
    begin = np.minimum(start_step[placed], problem.steps)  # a wrong plan may lie outside
    np.add.at(change, (pool[placed], begin), jobs.demand[placed])
    np.add.at(change, (pool[placed], np.minimum(begin + jobs.run_steps[placed], problem.steps)), -jobs.demand[placed])
    return np.cumsum(change, axis=1)[:, :-1].transpose(0, 2, 1)


def violations(problem: FleetProblem, plan: FleetPlan) -> tuple[str, ...]:
    """Every limit that the plan breaks, in words; empty for a sound plan.

    Notes:
        Capacities are compared with a tolerance of ``ROUNDING`` of the largest one of their resource.
    """
    jobs = problem.jobs
    found = []
    for job in np.flatnonzero(plan.placed):
        start, pool = int(plan.start_step[job]), int(plan.pool[job])
        if start < jobs.release_step[job]:
            found.append(f"job {job} starts in step {start}, before its release")
        if start + jobs.run_steps[job] > jobs.due_step[job]:
            found.append(f"job {job} ends after step {jobs.due_step[job]}")
        if not jobs.allowed[job, pool]:
            found.append(f"job {job} may not run in {problem.pools[pool].label}")
    free = np.stack([pool.capacity for pool in problem.pools]) - loads(problem, plan.start_step, plan.pool)
    for where, resource, step in np.argwhere(free < -2 * tolerances(problem)[:, None]):
        over = -free[where, resource, step]
        found.append(f"{problem.pools[where].label}: {problem.resources[resource]} over by {over:g} in step {step}")
    return tuple(found)
