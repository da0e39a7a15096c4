"""The replay against a plain loop, and on cases whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from lowtide.backtest.replay import replay_once
from lowtide_core.errors import InputError


def test_it_equals_a_plain_loop() -> None:
    rng = np.random.default_rng(3)
    actual, forecast = rng.uniform(50, 500, 200), rng.uniform(50, 500, 200)
    actual[37] = np.nan
    now = planned = oracle = 0.0
    jobs = worse = 0
    for t in range(200 - 4 - 10 + 1):
        if np.isnan(actual[t : t + 14]).any():
            continue
        real = [sum(actual[s : s + 4]) / 4 for s in range(t, t + 11)]
        seen = [sum(forecast[s : s + 4]) / 4 for s in range(t, t + 11)]
        chosen = real[seen.index(min(seen))]
        jobs, now, planned, oracle = jobs + 1, now + real[0], planned + chosen, oracle + min(real)
        worse += chosen > real[0]
    score = replay_once(actual, forecast, job_steps=4, slack_steps=10)
    assert score.jobs == jobs
    assert (score.now, score.planned, score.oracle) == pytest.approx((now, planned, oracle))
    assert score.worse_than_now_pct == pytest.approx(100 * worse / jobs)
    assert score.captured_pct == pytest.approx(100 * (now - planned) / (now - oracle))


def test_a_perfect_forecast_captures_all_and_regrets_nothing() -> None:
    actual = 300 + 100 * np.sin(np.arange(96) / 24 * 2 * np.pi)
    score = replay_once(actual, actual, job_steps=3, slack_steps=24)
    assert score.captured_pct == pytest.approx(100)
    assert score.regret_pct == pytest.approx(0)
    assert score.worse_than_now_pct == 0


def test_where_nothing_can_be_saved_nothing_is_captured() -> None:
    flat = np.full(60, 250.0)
    assert replay_once(flat, flat, job_steps=2, slack_steps=5).captured_pct is None


@pytest.mark.parametrize(("job", "slack", "size"), [(0, 5, 60), (2, -1, 60), (40, 30, 60)])
def test_impossible_questions_are_refused(job: int, slack: int, size: int) -> None:
    with pytest.raises(InputError):
        replay_once(np.ones(size), np.ones(size), job_steps=job, slack_steps=slack)
    with pytest.raises(InputError):
        replay_once(np.ones(size), np.ones(size - 1), job_steps=1, slack_steps=0)
