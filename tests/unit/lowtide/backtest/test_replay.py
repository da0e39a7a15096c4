"""The replay on pasts that are short enough to be planned by hand."""

from __future__ import annotations

import numpy as np
import pytest

from lowtide.backtest.jobs import ReplayJobs, alike_jobs, on_steps, whole_windows
from lowtide.backtest.made import perfect
from lowtide.backtest.replay import Rules, plannable, replay

from .cases import HOUR_S, NAN, came, issued

ONCE = Rules(guard=None)
HOURLY = Rules(HOUR_S, guard=None)


def one_job(at_h: float, run_h: float, slack_h: float) -> ReplayJobs:
    return alike_jobs(np.array([at_h * HOUR_S]), duration_s=run_h * HOUR_S, slack_s=slack_h * HOUR_S)


def test_planned_once_it_starts_where_the_forecast_of_its_arrival_is_lowest() -> None:
    past = came([100, 90, 80, 70, 60, 50])
    found = replay(past, issued((0, [5, 4, 1, 3, 2, 9])), one_job(0, 2, 4), ONCE)
    # Sums of two neighbours: 9, 5, 4, 5, 11: the third start.
    assert found.start_s.tolist() == [2 * HOUR_S]
    assert (found.planned_g_per_kwh[0], found.now_g_per_kwh[0], found.oracle_g_per_kwh[0]) == (75, 95, 55)
    assert found.plans.tolist() == [1]


def test_planned_again_it_follows_the_newest_forecast_and_starts_when_the_best_start_is_now() -> None:
    past = came([100, 90, 80, 70, 60, 50])
    forecasts = issued((0, [9, 1, 5, 5, 5, 5]), (1, [7, 7, 2, 7, 7]), (2, [7, 1, 7, 7]), (3, [3, 3, 3]))
    found = replay(past, forecasts, one_job(0, 1, 5), HOURLY)
    # At 0 it wants 1; at 1 it wants 3; at 2 it wants 3; at 3 all starts are equal and the earliest is now.
    assert found.start_s.tolist() == [3 * HOUR_S]
    assert found.planned_g_per_kwh.tolist() == [70]
    assert found.plans.tolist() == [4]
    once = replay(past, forecasts, one_job(0, 1, 5), ONCE)
    assert once.planned_g_per_kwh.tolist() == [90]


def test_a_forecast_issued_after_the_arrival_is_not_used() -> None:
    past = came([100, 50, 100, 100])
    forecasts = issued((0, [1, 2, 2, 2]), (1, [9, 9, 0]))
    assert replay(past, forecasts, one_job(0, 1, 3), ONCE).start_s.tolist() == [0]
    before = issued((1, [9, 9, 0]))
    assert not plannable(before, one_job(0, 1, 3), HOUR_S).any()
    assert plannable(before, one_job(1, 1, 2), HOUR_S).all()


def test_every_second_hour_is_every_second_hour() -> None:
    past = came([100, 90, 80, 70, 60, 50])
    forecasts = issued((0, [9, 9, 9, 1, 9, 9]), (1, [0, 0, 0, 0, 0]), (2, [9, 9, 1, 9]), (4, [0, 9]))
    found = replay(past, forecasts, one_job(0, 1, 5), Rules(2 * HOUR_S, guard=None))
    assert found.start_s.tolist() == [4 * HOUR_S]
    assert found.plans.tolist() == [3]


def test_the_choice_ends_where_the_forecast_does() -> None:
    past = came([100, 90, 10, 10, 10, 10])
    forecasts = issued((0, [5, 4, NAN, 0, 0]))
    assert replay(past, forecasts, one_job(0, 1, 4), ONCE).planned_g_per_kwh.tolist() == [90]
    assert not plannable(forecasts, one_job(0, 3, 3), HOUR_S).any()


def test_parts_of_hours_are_planned_exactly() -> None:
    past = came([100, 40, 80, 100])
    found = replay(past, perfect(past, 4), one_job(0, 1.5, 2), ONCE)
    # An hour of 40 and half an hour of 80 before which nothing must run: from 1:00 on.
    assert found.start_s.tolist() == [HOUR_S]
    assert found.planned_g_per_kwh.tolist() == pytest.approx([(40 + 0.5 * 80) / 1.5])
    late = replay(came([100, 80, 40, 100]), perfect(came([100, 80, 40, 100]), 4), one_job(0, 1.5, 2), ONCE)
    assert late.start_s.tolist() == [1.5 * HOUR_S]


def test_the_future_itself_captures_all_and_is_never_worse() -> None:
    past = came(300 + 100 * np.sin(np.arange(96) / 24 * 2 * np.pi))
    jobs = alike_jobs(np.arange(60) * HOUR_S, duration_s=3 * HOUR_S, slack_s=24 * HOUR_S)
    for rules in (ONCE, HOURLY, Rules(HOUR_S, pausable=True, restart_s=900.0)):
        found = replay(past, perfect(past, 30), jobs, rules)
        assert found.planned_g_per_kwh == pytest.approx(found.oracle_g_per_kwh)
        assert (found.planned_g_per_kwh <= found.now_g_per_kwh + 1e-9).all()


def test_a_pausable_job_runs_in_the_hours_that_are_among_the_cheapest_left() -> None:
    past = came([100, 90, 80, 70, 60, 50])
    forecasts = issued((0, [1, 9, 2, 9, 9, 9]), (1, [9, 8, 3, 9, 9]), (3, [1, 2, 3]))
    found = replay(past, forecasts, one_job(0, 2, 4), Rules(HOUR_S, pausable=True, guard=None))
    # Hour 0 runs; at 1 the one hour that is left is planned for 3; at 2 the same forecast holds; at 3 it runs.
    assert found.planned_g_per_kwh.tolist() == [(100 + 70) / 2]
    assert found.oracle_g_per_kwh.tolist() == [55]
    once = replay(past, forecasts, one_job(0, 2, 4), Rules(pausable=True, guard=None))
    assert once.planned_g_per_kwh.tolist() == [(100 + 80) / 2]


def test_a_resuming_costs_what_it_costs_and_going_on_nothing() -> None:
    past = came([10, 40, 10, 40])
    cheap = Rules(HOUR_S, pausable=True, restart_s=HOUR_S, guard=None)
    found = replay(past, perfect(past, 4), one_job(0, 2, 2), cheap)
    assert found.planned_g_per_kwh.tolist() == [(10 + 10 + 10) / 2]
    dear = Rules(HOUR_S, pausable=True, restart_s=3.5 * HOUR_S, guard=None)
    # Two hours of 10 with a resuming of 35 cost more than 10 and 40 at once.
    assert replay(past, perfect(past, 4), one_job(0, 2, 2), dear).planned_g_per_kwh.tolist() == [25]
    believed = Rules(pausable=True, restart_s=3.5 * HOUR_S, guard=None, believed_restart_s=0.0)
    assert replay(past, perfect(past, 4), one_job(0, 2, 2), believed).planned_g_per_kwh.tolist() == [(20 + 35) / 2]


def test_the_guard_sees_gain_and_past_error_and_decides() -> None:
    past = came([100] * 24 * 8 + [100, 100, 60, 100])
    rows = [(24 * day, [100, 90, 90, 90]) for day in range(8)]
    forecasts = issued(*rows, (24 * 8, [100, 100, 80, 100]))
    seen = []

    def guard(gain: np.ndarray, error: np.ndarray) -> np.ndarray:
        seen.append((gain.tolist(), error.tolist()))
        return gain > 2.5 * error

    job = one_job(24 * 8, 1, 3)
    assert replay(past, forecasts, job, Rules(guard=guard)).planned_g_per_kwh.tolist() == [100]
    assert seen == [([20], [10])], "the error of the third hour of such a forecast had been 10"
    bolder = Rules(guard=lambda gain, error: gain > 1.5 * error)
    assert replay(past, forecasts, job, bolder).planned_g_per_kwh.tolist() == [60]
    pausing = Rules(HOUR_S, pausable=True, guard=guard)
    assert replay(past, forecasts, job, pausing).planned_g_per_kwh.tolist() == [100]


def test_one_that_was_let_wait_is_not_started_by_the_guard() -> None:
    past = came([100, 90, 80, 70, 60, 50])
    asked: list[float] = []

    def only_large_gains(gain: np.ndarray, error: np.ndarray) -> np.ndarray:
        asked.extend(gain.tolist())
        return gain > 15

    forecasts = issued((0, [30, 20, 19, 18, 10, 17]), (1, [20, 19, 18, 10, 17]), (3, [12, 11, 10]))
    found = replay(past, forecasts, one_job(0, 1, 5), Rules(HOUR_S, guard=only_large_gains))
    assert asked == [20]
    assert found.start_s.tolist() == [5 * HOUR_S]
    pausing = replay(past, forecasts, one_job(0, 1, 5), Rules(HOUR_S, pausable=True, guard=only_large_gains))
    assert pausing.start_s.tolist() == [5 * HOUR_S]


def test_a_running_job_is_paused_only_for_a_gain_that_beats_the_error() -> None:
    past = came([100, 90, 80, 70])
    forecasts = issued((0, [10, 20, 30, 40]), (1, [20, 30, 10]))
    held = replay(past, forecasts, one_job(0, 2, 2), Rules(HOUR_S, pausable=True, guard=lambda gain, error: gain > 15))
    free = replay(past, forecasts, one_job(0, 2, 2), Rules(HOUR_S, pausable=True, guard=None))
    assert (held.planned_g_per_kwh.tolist(), free.planned_g_per_kwh.tolist()) == ([95], [85])


def test_jobs_are_put_on_whole_steps_with_the_energy_that_they_use() -> None:
    jobs = ReplayJobs(*(np.array([value]) for value in (1800.0, 5 * HOUR_S, 5400.0, 1.0, 2.0)))
    stepped = on_steps(jobs, HOUR_S)
    assert (stepped.earliest_s[0], stepped.duration_s[0], stepped.end_by_s[0]) == (HOUR_S, 2 * HOUR_S, 5 * HOUR_S)
    assert stepped.power_kw[0] * stepped.duration_s[0] == jobs.power_kw[0] * jobs.duration_s[0]


def test_a_window_with_a_gap_or_beyond_the_end_is_not_whole() -> None:
    past = came([1, 2, NAN, 4, 5, 6])
    jobs = alike_jobs(np.array([0.0, 1.0, 2.0, 3.0, 4.0]) * HOUR_S, duration_s=HOUR_S, slack_s=HOUR_S)
    assert whole_windows(jobs, past).tolist() == [True, False, False, True, True]
    assert whole_windows(alike_jobs(np.array([5 * HOUR_S]), duration_s=HOUR_S, slack_s=1.0), past).tolist() == [False]


def test_progress_counts_every_job() -> None:
    past = came(np.arange(60.0))
    told: list[int] = []
    jobs = alike_jobs(np.arange(50) * HOUR_S, duration_s=HOUR_S, slack_s=HOUR_S)
    replay(past, perfect(past, 3), jobs, ONCE, told.append)
    assert sum(told) == 50
