"""Whether time stays linear and memory bounded from a thousand to a million planned jobs."""

from __future__ import annotations

import resource
import sys
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from table import Row, seconds

from lowtide.planning.solvers.batch import find_cheapest, find_windows
from lowtide.planning.solvers.ranks import rank_steps
from lowtide.planning.solvers.steps import StepSeries, prepare

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lowtide_core.series import FloatArray

HOUR_S = 3600.0
HOURS = 8760
SIZES = (1_000, 10_000, 100_000, 1_000_000)
LIMIT_GB = 4.0


def times_s(jobs: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Arrivals over a year, 1 to 48 h long, each with a slack of its own of up to 24 h."""
    dice = np.random.default_rng(jobs)
    first, length, slack = dice.integers(0, HOURS - 72, jobs), dice.integers(1, 49, jobs), dice.integers(0, 25, jobs)
    hours = (first, first + length + slack, length)
    earliest_s, end_by_s, duration_s = (HOUR_S * of_jobs.astype(np.float64) for of_jobs in hours)
    return earliest_s, end_by_s, duration_s


def rows() -> Iterator[Row]:
    series = prepare(StepSeries(0.0, HOUR_S, np.random.default_rng(0).uniform(50, 500, HOURS).round(1)))
    steps = rank_steps(series)
    solvers: tuple[tuple[str, Callable[..., object]], ...] = (
        ("one window", lambda times: find_windows(series, *times)),
        ("cheapest steps", lambda times: find_cheapest(steps, *times)),
    )
    for name, solve in solvers:
        per_job_s = []
        for jobs in SIZES:
            calls = max(1, 50_000 // jobs)
            per_job_s.append(seconds(partial(solve, times_s(jobs)), calls=calls) / (calls * jobs))
            yield Row("scale", f"{name}, {jobs:,} jobs: time per job", per_job_s[-1] * 1e6, "us")
        growth = per_job_s[-1] / per_job_s[0]
        yield Row("scale", f"{name}: time per job, a million against a thousand", growth, "x", 1.2, "less")
    yield Row("scale", "most memory of the process", peak_gb(), "GB", LIMIT_GB, "less")


def peak_gb() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e9 if sys.platform == "darwin" else peak / 1e6  # bytes there, KiB elsewhere


def main() -> None:
    for row in rows():
        print(row)


if __name__ == "__main__":
    main()
