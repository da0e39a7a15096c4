"""Jobs that differ in size alone, taken together: to the linear programme they are one job that can be divided."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from lowtide.planning.fleet.columns import power_of_pairs, rows_of

if TYPE_CHECKING:
    from lowtide.planning.fleet.types import FleetProblem, IntArray
    from lowtide_core.series import FloatArray

_SAME = 10
"""Decimals to which shares of demand, power and fixed emissions must agree."""


class Groups(NamedTuple):
    """One job per group, as large as its members together; job ``j`` is ``share[j]`` of its group."""

    problem: FleetProblem
    of_job: IntArray
    share: FloatArray


def merge(problem: FleetProblem) -> Groups:
    """Merge jobs of the same window, length and pools whose demand, power and fixed emissions are proportional.

    Notes:
        With x[j, c] the part of job j that runs as column c, the constraints and the objective see only the sum over
        the group of size[j] x[j, c]; and any such sum splits into equal parts x[j, c]. So both linear programmes have
        the same value, and the same prices solve both.
    """
    jobs = problem.jobs
    power = power_of_pairs(problem)
    size = jobs.demand.max(axis=1, initial=0.0)
    size = np.where(size > 0, size, power.max(axis=1, initial=0.0))
    size = np.where(size > 0, size, 1.0)
    relative = np.round(np.hstack([jobs.demand, power, jobs.fixed_g]) / size[:, None], _SAME)
    windows = np.stack([jobs.release_step, jobs.due_step, jobs.run_steps, jobs.unused], axis=1)
    key = np.hstack([windows, jobs.allowed, relative])
    rows = np.ascontiguousarray(key + 0.0).view(np.dtype((np.void, key.shape[1] * 8))).ravel()  # + 0.0: no -0.0
    _, first, of_job = np.unique(rows, return_index=True, return_inverse=True)
    of_job = of_job.ravel()
    total = np.bincount(of_job, size)
    factor = total / size[first]
    merged = rows_of(jobs, first)
    merged = replace(
        merged,
        demand=merged.demand * factor[:, None],
        power_kw=power[first] * factor[:, None],
        fixed_g=merged.fixed_g * factor[:, None],
    )
    return Groups(replace(problem, jobs=merged), of_job, size / total[of_job])
