"""B2: the jobs of a machine-learning project, shifted within the working week, on half-hour slots.

The set-up of "Let's Wait Awhile" (Middleware 2021, scenario II) on the hours of 2022, each hour twice. The limit is
what a brute force finds that adds up and sorts the slots of each job's window. The authors' figures for 2020 and the
next workday, uninterrupted and interrupted, for orientation: Germany 5.91 and 7.93 %, Great Britain 6.56 and 9.03 %,
France 4.77 and 5.92 %, California 2.45 and 5.71 %.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from lowtide.planning.solvers.batch import find_cheapest, find_windows
from lowtide.planning.solvers.ranks import rank_steps
from lowtide.planning.solvers.steps import StepSeries, prepare
from lowtide.testing.measured import hourly
from lowtide.testing.workdays import DEADLINES, JOBS, SLOT_S, workday_jobs

if TYPE_CHECKING:
    from pathlib import Path

    from lowtide.testing.workdays import Deadline, WorkdayJobs

TOLERANCE_POINTS = 0.02
PLACES = (
    ("DE", "Europe/Berlin"),
    ("GB", "Europe/London"),
    ("FR", "Europe/Paris"),
    ("US-CAL-CISO", "America/Los_Angeles"),
)


def half_hours(folder: Path, zone: str) -> StepSeries:
    year = hourly(folder, zone, 2022)
    return StepSeries(year.start_s, SLOT_S, np.repeat(year.values, 2))


def slots(series: StepSeries, jobs: WorkdayJobs) -> list[tuple[list[float], int]]:
    """What each job may choose from, and how many it needs."""
    first, last, length = (
        ((jobs.earliest_s - series.start_s) / SLOT_S).astype(int).tolist(),
        ((jobs.end_by_s - series.start_s) / SLOT_S).astype(int).tolist(),
        (jobs.duration_s / SLOT_S).astype(int).tolist(),
    )
    values = series.values.tolist()
    return [(values[a:b], needed) for a, b, needed in zip(first, last, length, strict=True)]


def least_run(window: list[float], needed: int) -> float:
    total = least = sum(window[:needed])
    for leaves, enters in zip(window, window[needed:], strict=False):
        total += enters - leaves
        least = min(least, total)
    return least


def saved_pct(costs: list[float], at_once: list[float]) -> float:
    return 100 * (1 - sum(costs) / sum(at_once))


@pytest.mark.data
@pytest.mark.parametrize(("zone", "clock"), PLACES)
@pytest.mark.parametrize("deadline", DEADLINES)
def test_saving_is_the_limit(test_data: Path, zone: str, clock: str, deadline: Deadline) -> None:
    jobs = workday_jobs(2022, ZoneInfo(clock), deadline, seed=0)
    series = half_hours(test_data, zone)
    windows = find_windows(prepare(series), *jobs)
    pausing = find_cheapest(rank_steps(prepare(series)), *jobs)
    assert windows.planned.size == JOBS
    assert windows.planned.all()
    assert pausing.planned.all()

    choices = slots(series, jobs)
    at_once = [sum(window[:needed]) for window, needed in choices]
    uninterrupted = saved_pct([least_run(window, needed) for window, needed in choices], at_once)
    interrupted = saved_pct([sum(sorted(window)[:needed]) for window, needed in choices], at_once)
    needed = jobs.duration_s / SLOT_S
    own_at_once = (windows.mean_at_once * needed).tolist()
    assert abs(saved_pct((windows.mean * needed).tolist(), own_at_once) - uninterrupted) <= TOLERANCE_POINTS
    assert abs(saved_pct((pausing.mean * needed).tolist(), own_at_once) - interrupted) <= TOLERANCE_POINTS
    assert 0 < uninterrupted < interrupted

    assert (windows.start_s >= jobs.earliest_s).all()
    assert (windows.start_s + jobs.duration_s <= jobs.end_by_s).all()
    for job in range(0, JOBS, 5):
        pieces = pausing.pieces(job)
        assert pieces[0].start_s >= jobs.earliest_s[job]
        assert pieces[-1].end_s <= jobs.end_by_s[job]
        assert sum(piece.end_s - piece.start_s for piece in pieces) == jobs.duration_s[job]


@pytest.mark.data
def test_the_clocks_going_forward_and_back_move_no_plan(test_data: Path) -> None:
    """Jobs whose window holds 2022-03-27 or 2022-10-30, when the day has 23 and 25 hours: planned in UTC like any."""
    series = half_hours(test_data, "DE")
    jobs = workday_jobs(2022, ZoneInfo("Europe/Berlin"), "semi-weekly", seed=1)
    change_s = np.array([1648342800.0, 1667091600.0])  # 01:00 UTC on both days
    across = ((jobs.earliest_s < change_s[:, None]) & (change_s[:, None] < jobs.end_by_s)).any(axis=0)
    assert 10 < across.sum() < 400
    some = type(jobs)(*(values_s[across] for values_s in jobs))
    assert set((some.end_by_s % 86400).tolist()) == {7 * 3600.0, 8 * 3600.0}, "nine o'clock, summer and winter"
    windows = find_windows(prepare(series), *some)
    for mean, (window, needed) in zip(windows.mean.tolist(), slots(series, some), strict=True):
        assert mean * needed == pytest.approx(least_run(window, needed), rel=1e-12)
