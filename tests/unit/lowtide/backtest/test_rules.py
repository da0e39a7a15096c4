"""The rules of others on cases that can be followed by hand."""

from __future__ import annotations

import numpy as np
import pytest

from lowtide.backtest.compare import policies
from lowtide.backtest.jobs import alike_jobs
from lowtide.backtest.made import perfect
from lowtide.backtest.replay import Rules, cost_of_runs, replay, resumes
from lowtide.backtest.rules import (
    Thresholds,
    carbon_time,
    cheapest_hour,
    fixed_hour,
    known_range,
    one_threshold,
    pause_and_resume,
    runs_by_thresholds,
)

from .cases import HOUR_S, came, issued


def test_one_step_without_switching_is_bought_at_the_middle_of_the_range() -> None:
    assert pause_and_resume(4.0, 100.0, 1, 0.0).resume == pytest.approx([20.0])
    assert one_threshold(4.0, 100.0, 2).resume.tolist() == [20.0, 20.0]


@pytest.mark.parametrize(("low", "high", "work", "switch"), [(20.0, 500.0, 10, 0.0), (20.0, 500.0, 10, 50.0)])
def test_every_threshold_keeps_the_same_worst_ratio(low: float, high: float, work: int, switch: float) -> None:
    limits = pause_and_resume(low, high, work, switch)
    cycle = 2 * switch
    thresholds = [*limits.resume.tolist(), low]
    ratios = [
        (limits.go_on[:done].sum() + (work - done) * high + cycle) / (work * thresholds[done] + cycle)
        for done in range(work + 1)
    ]
    assert ratios == pytest.approx([ratios[0]] * (work + 1))
    assert (np.diff(thresholds) < 0).all()
    assert limits.go_on - limits.resume == pytest.approx(cycle)


def test_a_running_job_goes_on_where_a_resting_one_would_not_begin() -> None:
    limits = Thresholds(np.array([[10.0, 10.0, 10.0]]), np.array([[20.0, 20.0, 20.0]]))
    values = np.array([[15.0, 9.0, 15.0, 25.0, 15.0, 50.0]])
    runs = runs_by_thresholds(values, np.array([6]), np.array([3]), limits)
    # 15 is too dear to begin, fine to go on; 25 stops it; the last step must run.
    assert runs.tolist() == [[False, True, True, False, False, True]]
    assert resumes(runs).tolist() == [[False, False, False, False, False, True]]
    assert cost_of_runs(values, runs, 2.0).tolist() == [9 + 15 + 50 + 100]


def test_a_fixed_hour_waits_for_it_or_starts_at_once() -> None:
    jobs = alike_jobs(np.array([1.0, 5.0]) * HOUR_S, duration_s=HOUR_S, slack_s=4 * HOUR_S)
    assert fixed_hour(came([1.0] * 30), jobs, 3).tolist() == [3 * HOUR_S, 5 * HOUR_S]


def test_the_hour_that_was_cheapest_before() -> None:
    day = [50.0] * 24
    day[7], day[20] = 10.0, 5.0
    past = came(day * 3)
    assert cheapest_hour(past, 2 * 24 * HOUR_S, HOUR_S) == 20
    assert cheapest_hour(past, 12 * HOUR_S, HOUR_S) is None, "half a day shows no hour of the evening"


def test_carbon_time_weighs_the_saving_against_the_wait() -> None:
    jobs = alike_jobs(np.array([0.0]), duration_s=HOUR_S, slack_s=4 * HOUR_S)
    # Savings 0, 30, 40, 90, 95 over 1 to 5 hours: 0, 15, 13.3, 22.5, 19.
    assert carbon_time(came([1.0] * 6), issued((0, [100, 70, 60, 10, 5])), jobs).tolist() == [3 * HOUR_S]
    assert carbon_time(came([1.0] * 6), issued((0, [100, 70])), jobs).tolist() == [HOUR_S]
    assert carbon_time(came([1.0] * 6), issued((0, [1, 2, 3, 4, 5])), jobs).tolist() == [0]


def test_the_range_is_that_of_the_hours_that_have_ended() -> None:
    low, high = known_range(came([5, 9, 1, 7]), np.array([0.0, 1.0, 2.5, 4.0]) * HOUR_S)
    assert np.isnan(low[0])
    assert low[1:].tolist() == [5, 5, 1]
    assert high[1:].tolist() == [5, 9, 9]


@pytest.mark.parametrize("rules", [Rules(guard=None), Rules(HOUR_S, pausable=True, restart_s=900.0)])
def test_side_by_side_nothing_beats_the_oracle(rules: Rules) -> None:
    rng = np.random.default_rng(5)
    past = came(rng.uniform(50, 500, 24 * 20))
    jobs = alike_jobs(np.arange(240, 440, 5) * HOUR_S, duration_s=3 * HOUR_S, slack_s=12 * HOUR_S)
    forecasts = perfect(past, 16)
    found = replay(past, forecasts, jobs, rules)
    beside = {policy.name: policy.mean_g_per_kwh for policy in policies(past, forecasts, jobs, rules, found)}
    assert {"run now", "a fixed hour of the day", "one threshold", "Let's Wait Awhile", "lowtide"} < set(beside)
    assert ("pause and resume" in beside) == rules.pausable
    for mean in beside.values():
        assert (mean >= beside["oracle"] - 1e-9).all()
    if not rules.pausable:
        assert beside["Let's Wait Awhile"] == pytest.approx(beside["oracle"]), "it was given the future"
