"""A queue under a capacity, replayed on the forecasts of its time."""

from __future__ import annotations

import numpy as np

from lowtide.backtest.capacity import queue_knowing, queue_problem, replay_queue
from lowtide.backtest.jobs import ReplayJobs
from lowtide.backtest.made import perfect

from .cases import HOUR_S, came, issued


def jobs_of(*rows: tuple[float, float, float, float]) -> ReplayJobs:
    """Arrival, length, slack, all h, and CPUs."""
    at, run, slack, cpus = (np.array(column) for column in zip(*rows, strict=True))
    return ReplayJobs(at * HOUR_S, (at + run + slack) * HOUR_S, run * HOUR_S, cpus, cpus)


def in_use(start_s: np.ndarray, jobs: ReplayJobs, hours: int) -> np.ndarray:
    used = np.zeros(hours)
    for start, run, cpus in zip(start_s, jobs.duration_s, jobs.cpus, strict=True):
        if not np.isnan(start):
            used[int(start // HOUR_S) : int((start + run) // HOUR_S)] += cpus
    return used


def test_two_jobs_that_want_the_same_hour_do_not_both_get_it() -> None:
    past = came([100, 90, 10, 20, 90, 100, 100, 100])
    pair = jobs_of((0, 1, 4, 2), (0, 1, 4, 2))
    tight = replay_queue(past, perfect(past, 8), pair, 3.0)
    assert tight.placed.all()
    assert in_use(tight.start_s, pair, 8).max() == 2
    wide = replay_queue(past, perfect(past, 8), pair, 40.0)
    assert wide.start_s.tolist() == [2 * HOUR_S, 2 * HOUR_S]


def test_a_queue_that_is_too_long_for_days_is_still_planned() -> None:
    rng = np.random.default_rng(8)
    past = came(rng.uniform(50, 500, 120))
    jobs = jobs_of(*((float(hour), 4.0, 6.0, 1.0) for hour in range(30) for _ in range(3)))
    found = replay_queue(past, perfect(past, 12), jobs, 4.0)
    assert in_use(found.start_s, jobs, 120).max() <= 4
    assert 0.2 < found.placed.mean() < 0.5, "there is room for a third of them"


def test_no_hour_takes_more_than_there_is_and_what_does_not_fit_is_left() -> None:
    rng = np.random.default_rng(8)
    past = came(rng.uniform(50, 500, 120))
    rows = [(float(rng.integers(0, 36)), float(rng.integers(1, 5)), 12.0, float(rng.integers(1, 4))) for _ in range(24)]
    jobs = jobs_of(*sorted(rows), (91.0, 1.0, 2.0, 9.0))
    found = replay_queue(past, perfect(past, 30), jobs, 4.0)
    assert in_use(found.start_s, jobs, 120).max() <= 4
    assert not found.placed[-1], "it needs nine of four"
    assert found.placed.mean() > 0.7
    placed = found.placed
    assert (found.start_s[placed] >= jobs.earliest_s[placed]).all()
    assert (found.start_s[placed] <= jobs.latest_s[placed]).all()


def test_a_forecast_that_was_not_issued_yet_moves_nothing() -> None:
    past = came([50, 40, 30, 20, 10, 60])
    first = (0, [1, 2, 3, 4, 5, 6])
    jobs = jobs_of((0, 1, 4, 1), (2, 1, 0, 1))
    told_later = issued(first, (3, [9, 0, 9]))
    assert replay_queue(past, told_later, jobs, 2.0).start_s.tolist() == [0, 2 * HOUR_S]
    in_time = issued((0, [9, 8, 7, 6, 1, 6]))
    assert replay_queue(past, in_time, jobs, 2.0).start_s.tolist() == [4 * HOUR_S, 2 * HOUR_S]


def test_one_who_knows_the_intensities_is_no_worse_on_a_free_machine() -> None:
    past = came([50, 40, 30, 20, 10, 60])
    jobs = jobs_of((0, 2, 4, 1))
    assert queue_knowing(past, jobs, 9.0).start_s.tolist() == [3 * HOUR_S]
    assert queue_problem(past, jobs, 9.0).jobs.due_step.tolist() == [6]
