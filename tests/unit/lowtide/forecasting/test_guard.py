"""The guard: errors by hour and hours ahead, and which gains are worth a shift."""

from __future__ import annotations

import numpy as np
import pytest

from lowtide.forecasting.guard import errors_ahead, guarded_starts, mean_errors
from lowtide.forecasting.types import History
from lowtide_core.errors import InputError
from lowtide_core.series import LIFECYCLE_CONSUMPTION


def test_errors_are_means_by_hour_of_the_day_and_hours_ahead() -> None:
    hours = np.arange(24 * 4)
    history = History(("A",), 5 * 3600.0, 100.0 + hours[None] % 24, LIFECYCLE_CONSUMPTION)
    issue = np.arange(24, 72)
    forecast = np.stack([np.full((1, 48), 90.0), np.full((1, 48), 80.0)], axis=2)
    found = mean_errors(history, forecast, issue)
    assert found.shape == (1, 24, 2)
    assert found[0, 5].tolist() == [10, 20]  # hour 0 of the axis is 5 o'clock
    assert found[0, 4].tolist() == [33, 43]
    assert errors_ahead(history, found, np.array([96])).tolist() == [[[10.0, 21.0]]]


def test_an_hour_without_errors_has_the_mean_of_all_and_a_zone_without_any_has_none() -> None:
    values = np.full((2, 24), 100.0)
    values[1] = np.nan
    history = History(("A", "B"), 0.0, values, LIFECYCLE_CONSUMPTION)
    found = mean_errors(history, np.full((2, 2, 1), 90.0) - np.array([[[0.0], [10.0]]]), np.array([3, 4]))
    assert found[0, [3, 4, 5], 0].tolist() == [10, 20, 15]
    assert np.isnan(found[1]).all()


def test_a_job_starts_at_its_best_hour_or_at_once() -> None:
    forecast = np.array([[10.0, 9.0, 4.0, 4.0, 9.0, 1.0], [10.0, 10.0, 9.0, 9.0, 10.0, 1.0]])
    error = np.full_like(forecast, 4.0)
    assert guarded_starts(forecast, error, 2, 3, 0.35).tolist() == [2, 0]
    assert guarded_starts(forecast, error, 2, 3, 0.0).tolist() == [2, 2]
    assert guarded_starts(forecast, error * [[5], [0.1]], 2, 3, 0.35).tolist() == [0, 2]
    assert guarded_starts(forecast[0], error[0], 2, 0) == 0


def test_ties_go_to_the_earliest_and_an_unknown_forecast_shifts_nothing() -> None:
    assert guarded_starts(np.array([3.0, 1.0, 1.0]), np.zeros(3), 1, 2) == 1
    assert guarded_starts(np.array([3.0, np.nan, 1.0]), np.zeros(3), 1, 2) == 0


def test_a_forecast_that_is_too_short_is_refused() -> None:
    with pytest.raises(InputError, match="28 h ahead"):
        guarded_starts(np.zeros(27), np.zeros(27), 4, 24)
