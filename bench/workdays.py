"""B2, a machine-learning project's 3,387 jobs within the working week (Let's Wait Awhile, Middleware 2021)."""

from __future__ import annotations

from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import numpy as np
from table import Row, data_folder, seconds

from lowtide.planning.solvers.batch import find_cheapest, find_windows
from lowtide.planning.solvers.ranks import rank_steps
from lowtide.planning.solvers.single import find_pieces, find_window
from lowtide.planning.solvers.steps import StepSeries, prepare
from lowtide.testing.measured import hourly
from lowtide.testing.workdays import DEADLINES, JOBS, SLOT_S, workday_jobs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lowtide.planning.solvers.batch import PausablePlans, WindowPlans
    from lowtide.planning.solvers.steps import PreparedSeries
    from lowtide.testing.workdays import WorkdayJobs

PLACES = (
    ("DE", "Europe/Berlin"),
    ("GB", "Europe/London"),
    ("FR", "Europe/Paris"),
    ("US-CAL-CISO", "America/Los_Angeles"),
)


def rows() -> Iterator[Row]:
    worst_points, missed = 0.0, 0
    for zone, clock in PLACES:
        year = hourly(data_folder(), zone, 2022)
        series = prepare(StepSeries(year.start_s, SLOT_S, np.repeat(year.values, 2)))
        steps = rank_steps(series)
        for deadline in DEADLINES:
            jobs = workday_jobs(2022, ZoneInfo(clock), deadline, seed=0)
            windows, pausing = find_windows(series, *jobs), find_cheapest(steps, *jobs)
            limits = limits_pct(series, jobs)
            for how, plans, limit in (("one window", windows, limits[0]), ("pausing", pausing, limits[1])):
                saved = saved_pct(plans, jobs)
                worst_points = max(worst_points, abs(saved - limit))
                yield Row("B2", f"{zone}, {deadline}, {how}: saved", saved, "%")
            missed += int((windows.start_s + jobs.duration_s > jobs.end_by_s).sum())
            missed += sum(pausing.pieces(job)[-1].end_s > jobs.end_by_s[job] for job in range(JOBS))
    yield Row("B2", "farthest from the limit", worst_points, "points", 0.02, "less")
    yield Row("B2", "deadlines missed", missed, "", 0, "less")
    one_by_one = list(zip(*(values_s.tolist() for values_s in jobs), strict=True))
    calls: tuple[tuple[str, Callable[[], object]], ...] = (
        ("one window, in one call", lambda: find_windows(series, *jobs)),
        ("pausing, in one call", lambda: find_cheapest(steps, *jobs)),
        ("one window, one call each", lambda: [find_window(series, *times_s) for times_s in one_by_one]),
        ("pausing, one call each", lambda: [find_pieces(series, *times_s) for times_s in one_by_one]),
    )
    for how, call in calls:
        yield Row("B2", f"{JOBS:,} plans, {how}", seconds(call), "s", 1, "less")


def saved_pct(plans: WindowPlans | PausablePlans, jobs: WorkdayJobs) -> float:
    return 100 * (1 - float(plans.mean @ jobs.duration_s) / float(plans.mean_at_once @ jobs.duration_s))


def limits_pct(series: PreparedSeries, jobs: WorkdayJobs) -> tuple[float, float]:
    """What adding up and sorting the slots of each window finds, uninterrupted and pausing."""
    at_once = window_least = slots_least = 0.0
    for earliest_s, end_by_s, duration_s in zip(*jobs, strict=True):
        first, last = int((earliest_s - series.start_s) / SLOT_S), int((end_by_s - series.start_s) / SLOT_S)
        needed, window = int(duration_s / SLOT_S), series.values[first:last]
        runs = np.convolve(window, np.ones(needed), "valid")
        at_once += runs[0]
        window_least += runs.min()
        slots_least += np.sort(window)[:needed].sum()
    return 100 * (1 - window_least / at_once), 100 * (1 - slots_least / at_once)


def main() -> None:
    for row in rows():
        print(row)


if __name__ == "__main__":
    main()
