"""Double-seasonal smoothing against the recursion written hour by hour."""

from __future__ import annotations

import numpy as np
import pytest

from lowtide.forecasting.axis import prepare
from lowtide.forecasting.smoothing import DAY_GAIN, ERROR_KEPT, LEVEL_GAIN, WEEK_GAIN, smooth, smoothed
from lowtide.forecasting.types import History
from lowtide_core.series import LIFECYCLE_CONSUMPTION


def by_the_hour(values: np.ndarray, issue: int, horizon: int) -> list[float]:
    """The recursion of the docstring, one hour after the other, from the first whole day."""
    level, error = float(values[:24].mean()), 0.0
    day = {hour: values[hour] - level for hour in range(24)}
    week = dict.fromkeys(range(168), 0.0)
    for hour in range(24, issue):
        missed = values[hour] - level - day[hour % 24] - week[hour % 168]
        innovation = missed - ERROR_KEPT * error
        level += LEVEL_GAIN * innovation
        day[hour % 24] += DAY_GAIN * innovation
        week[hour % 168] += WEEK_GAIN * innovation
        error = missed
    return [
        level + day[hour % 24] + week[hour % 168] + error * ERROR_KEPT ** (hour - issue + 1)
        for hour in range(issue, issue + horizon)
    ]


@pytest.mark.parametrize("issue", [24, 25, 47, 48, 200, 340, 345])
def test_it_is_the_recursion_hour_by_hour(issue: int) -> None:
    values = np.random.default_rng(3).uniform(50, 400, 345)
    states = smooth(prepare(History(("A",), 0.0, values[None], LIFECYCLE_CONSUMPTION)))
    assert smoothed(states, np.array([issue]), 190)[0, 0] == pytest.approx(by_the_hour(values, issue, 190), rel=1e-10)


def test_a_zone_that_begins_later_begins_with_its_first_whole_day() -> None:
    values = np.random.default_rng(4).uniform(50, 400, (2, 240))
    values[1, :30] = np.nan
    states = smooth(prepare(History(("A", "B"), 0.0, values, LIFECYCLE_CONSUMPTION)))
    found = smoothed(states, np.array([71, 72, 150]), 30)
    assert not np.isnan(found[0]).any()
    assert np.isnan(found[1, 0]).all()
    alone = History(("B",), 48 * 3600.0, values[1:, 48:], LIFECYCLE_CONSUMPTION)
    assert found[1, 1:] == pytest.approx(smoothed(smooth(prepare(alone)), np.array([24, 102]), 30)[0], rel=1e-10)


def test_nothing_is_known_of_an_empty_history() -> None:
    states = smooth(prepare(History(("A",), 0.0, np.zeros((1, 0)), LIFECYCLE_CONSUMPTION)))
    assert np.isnan(smoothed(states, np.array([0]), 5)).all()
