"""A history made ready: gaps, what is usual, anomalies and levels, in small exact cases."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lowtide.forecasting.axis import DAMPING_H, ahead, damped, last_known, prepare
from lowtide.forecasting.types import History
from lowtide_core.errors import InputError
from lowtide_core.series import LIFECYCLE_CONSUMPTION

NAN = np.nan


def history(rows: Any, start_s: float = 0.0) -> History:
    values = np.asarray(rows, dtype=float)
    return History(tuple(f"Z{number}" for number in range(len(values))), start_s, values, LIFECYCLE_CONSUMPTION)


def test_the_usual_day_is_the_mean_of_the_same_hour_on_up_to_seven_days() -> None:
    days = np.arange(10.0)  # day d has the value d in all its hours
    axis = prepare(history([np.repeat(days, 24)]))
    assert axis.usual[0, ::24].tolist() == [0, 0.5, 1, 1.5, 2, 2.5, 3, 4, 5, 6]


def test_the_anomaly_is_what_the_day_before_did_not_tell() -> None:
    axis = prepare(history([np.repeat([10.0, 20.0, 30.0], 24)]))
    assert axis.anomaly[0, ::24].tolist() == [0, 10, 15]


def test_the_level_is_the_mean_of_the_28_days_before() -> None:
    axis = prepare(history([np.repeat([1.0, 2.0], 28 * 24)]))
    assert np.isnan(axis.level[0, 0])
    assert axis.level[0, [1, 672, 672 + 336, 1344]].tolist() == [1, 1, 1.5, 2]


def test_a_gap_is_filled_by_the_damped_profile_from_before_it() -> None:
    values = np.full(24 * 8, 100.0)
    values[-3:] = (120.0, NAN, NAN)
    axis = prepare(history([values]))
    kept = np.exp(-1 / DAMPING_H)
    assert axis.filled[0, -2:] == pytest.approx([100 + 20 * kept, 100 + 20 * kept**2], rel=1e-12)
    assert axis.observed[0, -3:].tolist() == [True, False, False]


def test_a_gap_without_a_day_before_holds_the_last_value_and_nothing_is_known_before_the_first() -> None:
    axis = prepare(history([[NAN, 5.0, NAN, 7.0], [NAN, NAN, NAN, NAN]]))
    assert np.array_equal(axis.filled, [[NAN, 5, 5, 7], [NAN, NAN, NAN, NAN]], equal_nan=True)


def test_what_is_ahead_repeats_the_last_period_before_the_issue() -> None:
    values = np.arange(48.0)[None]
    assert ahead(values, np.array([48, 30]), 26, 24)[0, :, [0, 23, 24, 25]].T.tolist() == [
        [24, 47, 24, 25],
        [6, 29, 6, 7],
    ]
    assert np.isnan(ahead(values, np.array([2]), 24, 24)[0, 0, :22]).all()


def test_the_damped_profile_forecasts_the_usual_day_and_the_decaying_anomaly() -> None:
    axis = prepare(history([np.repeat([10.0, 20.0], 24)]))
    expected = 15 + 10 * np.exp(-np.arange(48) / DAMPING_H)
    assert damped(axis, np.array([48]), 48)[0, 0] == pytest.approx(expected, rel=1e-12)
    assert damped(axis, np.array([3]), 2)[0, 0].tolist() == [10, 10]
    assert np.isnan(damped(axis, np.array([0]), 2)).all()


def test_the_last_known_value_is_that_of_the_hour_before() -> None:
    axis = prepare(history([[1.0, 2.0]]))
    assert np.array_equal(last_known(axis, np.array([0, 1, 2])), [[NAN, 1, 2]], equal_nan=True)


def test_hours_and_weekdays_are_those_of_utc() -> None:
    axis = prepare(history([np.zeros(30)], start_s=1609459200.0 + 5 * 3600))  # Friday, 2021-01-01T05
    assert axis.hour_of_day(np.array([0, 19])).tolist() == [5, 0]
    assert axis.weekday(np.array([0, 18, 19])).tolist() == [4, 4, 5]


@pytest.mark.parametrize("wrong", [-1.0, np.inf])
def test_a_value_that_is_no_intensity_is_refused_by_name(wrong: float) -> None:
    with pytest.raises(InputError) as refused:
        prepare(history([[1.0, 2.0], [1.0, wrong]]))
    assert refused.value.facts == {"zone": "Z1", "hour": 1}
