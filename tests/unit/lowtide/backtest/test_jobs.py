"""When equal jobs come."""

from __future__ import annotations

import pytest

from lowtide.backtest.jobs import arrivals

from .cases import HOUR_S, came


@pytest.mark.parametrize(
    ("from_s", "first_h"), [(0.0, 0), (2 * HOUR_S, 2), (2 * HOUR_S + 5e-7, 2), (2 * HOUR_S + 0.002, 3), (-9.0, 0)]
)
def test_the_first_comes_at_the_next_whole_hour(from_s: float, first_h: int) -> None:
    past = came([1.0] * 30)
    jobs = arrivals(past, from_s, 6 * HOUR_S, every="hourly", duration_s=HOUR_S, slack_s=0.0)
    assert jobs.earliest_s.tolist() == [HOUR_S * hour for hour in range(first_h, 6)]


def test_the_last_is_done_when_what_came_ends() -> None:
    jobs = arrivals(came([1.0] * 60), 0.0, float("inf"), every="daily", duration_s=4 * HOUR_S, slack_s=8 * HOUR_S)
    assert jobs.earliest_s.tolist() == [0.0, 24 * HOUR_S, 48 * HOUR_S]
    assert jobs.end_by_s[-1] == 60 * HOUR_S
