"""Sums, shares and ranks."""

from __future__ import annotations

import numpy as np
import pytest

from lowtide.backtest.jobs import ReplayJobs, alike_jobs
from lowtide.backtest.replay import Outcomes
from lowtide.backtest.score import Score, score, spearman, window_ranks

from .cases import HOUR_S, NAN, came, issued


def outcomes(mean: list[float], now: list[float], oracle: list[float]) -> Outcomes:
    none = np.zeros(len(mean))
    return Outcomes(np.array(mean), np.array(now), np.array(oracle), none, np.ones(len(mean), dtype=np.int64))


def test_shares_follow_from_sums() -> None:
    jobs = alike_jobs(np.arange(3.0), duration_s=HOUR_S, slack_s=0.0)
    found = score(jobs, outcomes([80, 120, 90], [100, 100, 100], [60, 100, 90]), np.array([0.5, NAN, 1.0]))
    assert (found.now_g, found.planned_g, found.oracle_g) == (300, 290, 250)
    assert found.saved_pct == pytest.approx(100 * 10 / 300)
    assert found.oracle_saved_pct == pytest.approx(100 * 50 / 300)
    assert found.captured_pct == pytest.approx(20)
    assert found.regret_pct == pytest.approx(16)
    assert found.worse_than_now_pct == pytest.approx(100 / 3)
    assert found.rank_correlation == 0.75


def test_a_job_weighs_what_it_uses() -> None:
    two = ReplayJobs(np.zeros(2), np.ones(2), np.array([HOUR_S, 2 * HOUR_S]), np.array([1.0, 3.0]), np.ones(2))
    found = score(two, outcomes([10, 10], [20, 10], [10, 10]), np.array([NAN, NAN]))
    assert (found.now_g, found.planned_g) == (20 + 60, 10 + 60)
    assert found.rank_correlation is None


def test_where_nothing_can_be_saved_nothing_is_captured() -> None:
    found = Score(jobs=1, now_g=100, planned_g=100, oracle_g=100)
    assert found.captured_pct is None
    assert found.saved_pct == 0
    assert Score().saved_pct is None
    assert Score().worse_than_now_pct is None


def test_scores_add_up() -> None:
    total = Score(1, 10, 8, 6, 0, 0.5, 1, 2) + Score(2, 20, 20, 18, 1, 0.0, 0, 3)
    assert total == Score(3, 30, 28, 24, 1, 0.5, 1, 5)


def test_ranks_of_equals_are_shared() -> None:
    left = np.array([[1.0, 2, 3, 4], [1, 1, 2, 2], [5, 5, 5, 5], [4, 3, 2, 1]])
    right = np.array([[10.0, 20, 30, 40], [1, 2, 3, 4], [1, 2, 3, 4], [1, 2, 3, 4]])
    found = spearman(left, right)
    # Ranks 0.5 0.5 2.5 2.5 against 0 1 2 3: covariance 4 over sqrt(4 * 5).
    assert found[[0, 1, 3]].tolist() == pytest.approx([1, 4 / np.sqrt(20), -1])
    assert np.isnan(found[2])


def test_ranks_are_of_the_window_alone() -> None:
    past = came([9, 1, 2, 3, 0])
    forecasts = issued((0, [9, 1, 2, 3, 0]), (1, [3, 2, 1]))
    jobs = alike_jobs(np.array([0.0, 1.0]) * HOUR_S, duration_s=HOUR_S, slack_s=2 * HOUR_S)
    assert window_ranks(past, forecasts, jobs).tolist() == pytest.approx([1, -1])
