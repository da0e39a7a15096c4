"""The forecasters without a fit, and the table of means."""

from __future__ import annotations

import numpy as np
import pytest

from lowtide.forecasting.names import FORECASTERS, forecaster
from lowtide.forecasting.simple import Climatology, ClimatologyTable
from lowtide.forecasting.types import History
from lowtide_core.errors import InputError
from lowtide_core.series import LIFECYCLE_CONSUMPTION

MONDAY_S = 1609718400.0  # 2021-01-04T00Z


def history(values: np.ndarray) -> History:
    return History(("A",), MONDAY_S, np.atleast_2d(values), LIFECYCLE_CONSUMPTION)


def issued(name: str, values: np.ndarray, hour: int, horizon: int) -> np.ndarray:
    known = forecaster(name)
    return known.fit(history(values), horizon).issued(history(values), np.array([hour]), horizon)[0, 0]


def test_the_naive_ones_repeat_the_last_day_and_the_last_week() -> None:
    values = np.arange(24.0 * 14)
    assert issued("seasonal-naive-24", values, 336, 30).tolist() == [*range(312, 336), *range(312, 318)]
    assert issued("seasonal-naive-168", values, 336, 200).tolist() == [*range(168, 336), *range(168, 200)]
    assert issued("seasonal-naive-168", values, 48, 24).tolist() == list(range(24, 48))
    assert issued("seasonal-naive-24", values, 5, 3).tolist() == [4, 4, 4]


def test_profile7_is_the_mean_of_the_last_seven_days() -> None:
    values = np.repeat(np.arange(10.0), 24)
    assert issued("profile7", values, 240, 25).tolist() == [6.0] * 25


def test_a_forecast_is_never_below_zero() -> None:
    values = np.full(24 * 9, 10.0)
    values[-24:] = 0.0
    for name in ("damped7", "smoothing", "auto"):
        found = issued(name, values, 216, 24)
        assert (found >= 0).all()
        assert (found == 0).any()


def test_the_climatology_is_the_mean_by_month_kind_of_day_and_hour() -> None:
    hours = np.arange(14 * 24)
    weekend = hours // 24 % 7 >= 5
    values = np.where(weekend, 100.0, 200.0) + hours % 24 + np.where(hours < 168, 0, 10)
    table = Climatology().fit(history(values), 24)
    assert table.mean[0, 0, 0].tolist() == [205.0 + hour for hour in range(24)]
    assert table.mean[0, 0, 1].tolist() == [105.0 + hour for hour in range(24)]
    assert table.mean[0, 5, 0, 3] == pytest.approx((5 * 208 + 2 * 108) / 7)  # no June: all days at that hour
    found = table.issued(history(values), np.array([5 * 24 + 23]), 2)[0, 0]
    assert found.tolist() == [128.0, 105.0]
    again = ClimatologyTable.from_arrays(table.to_arrays())
    assert again.issued(history(values), np.array([5 * 24 + 23]), 2)[0, 0].tolist() == [128.0, 105.0]


def test_a_name_that_is_not_there_is_answered_with_the_nearest() -> None:
    with pytest.raises(InputError, match="damped7"):
        forecaster("dampd7")
    with pytest.raises(InputError, match="seasonal-naive-168"):
        forecaster("weather")
    assert all(known.name == name for name, known in FORECASTERS.items())


@pytest.mark.parametrize("name", FORECASTERS)
def test_issues_outside_the_history_are_refused(name: str) -> None:
    values = np.full(48, 5.0)
    for issue, horizon in (([49], 24), ([-1], 24), ([5, 4], 24), ([5], 0)):
        with pytest.raises(InputError, match=name):
            forecaster(name).fit(history(values), 24).issued(history(values), np.array(issue), horizon)


@pytest.mark.parametrize("name", FORECASTERS)
def test_nothing_can_be_said_where_nothing_is_known(name: str) -> None:
    nothing = np.full(48, np.nan)
    assert np.isnan(issued(name, nothing, 48, 24)).all()
    assert np.isnan(
        forecaster(name).fit(history(np.zeros((1, 0))), 3).issued(history(np.zeros((1, 0))), np.array([0]), 3)
    ).all()
