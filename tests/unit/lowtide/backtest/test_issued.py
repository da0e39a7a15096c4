"""Forecasts as issued: which is known when, and how wrong they had been by then."""

from __future__ import annotations

import numpy as np
import pytest

from lowtide.backtest.issued import (
    Issued,
    LaidOut,
    hourly_issues,
    newest_of_each_step,
    past_errors,
    step_at,
    steps_until,
)
from lowtide_core.errors import InputError

from .cases import HOUR_S, NAN, came, issued


@pytest.mark.parametrize("step_s", [300.0, HOUR_S])
def test_times_a_microsecond_apart_lie_in_one_step(step_s: float) -> None:
    near_s = 3 * step_s + np.array([-2e-6, -5e-7, 0.0, 5e-7, 2e-6])
    assert step_at(near_s, step_s).tolist() == [2, 3, 3, 3, 3]
    assert steps_until(near_s, step_s).tolist() == [3, 3, 3, 3, 4]


def test_the_newest_is_the_last_that_was_issued_by_then() -> None:
    forecasts = issued((2, [1]), (5, [1]))
    asked = np.array([0, 1.99, 2, 4.99, 5, 9]) * HOUR_S
    assert forecasts.newest(asked).tolist() == [-1, -1, 0, 0, 1, 1]


def test_each_step_has_the_newest_value_that_was_known() -> None:
    found = newest_of_each_step(
        HOUR_S,
        [0.0, 2.5 * HOUR_S, 4 * HOUR_S],
        [0, 3, 4],
        [np.array(row) for row in ([1.0, 2.0, 3.0, 4.0, 5.0], [6.0, NAN, 7.0], [8.0])],
    )
    assert found.first_step.tolist() == [0, 2, 4]
    # The second begins an hour after its issue and has a gap: there the first one's values hold.
    assert found.values[0].tolist() == [1, 2, 3, 4, 5]
    assert found.values[1, :4].tolist() == [3, 6, 5, 7]
    assert found.values[2, :2].tolist() == [8, 7]


def test_a_forecast_that_was_issued_for_the_far_future_is_not_lost() -> None:
    found = newest_of_each_step(HOUR_S, [0.0], [3], [np.array([1.0, 2.0])])
    assert np.isnan(found.values[0, :3]).all()
    assert found.values[0, 3:].tolist() == [1, 2]


def test_errors_are_those_of_the_same_hour_that_had_come_true() -> None:
    past = came([100.0] * 24 * 4)
    rows = [(24 * day, [100 + 10.0 * day, 90.0]) for day in range(4)]
    errors = past_errors(issued(*rows), past, least=1)
    assert np.isnan(errors[0]).all()
    assert errors[1].tolist() == [0, 10]
    assert errors[2].tolist() == [5, 10]
    assert errors[3].tolist() == [10, 10]
    assert np.isnan(past_errors(issued(*rows), past, least=3)[2]).all()


def test_an_error_is_known_only_when_its_hour_has_ended() -> None:
    past = came([100.0] * 60)
    errors = past_errors(issued((0, [110.0] * 30), (24, [100.0] * 30)), past, least=1)
    assert errors[1, 23] == 10
    assert np.isnan(errors[1, 24:]).all(), "what the first said of hour 24 on had not come when the second was issued"


def test_a_gap_in_the_past_teaches_nothing() -> None:
    past = came([NAN] + [100.0] * 60)
    assert np.isnan(past_errors(issued((0, [90.0]), (24, [90.0])), past, least=1)[1, 0])


def test_rows_end_where_something_is_missing() -> None:
    rows = LaidOut(issued((0, [1, 2, NAN, 4]), (4, [5, 6, 7, 8])), np.zeros((2, 4)), HOUR_S)
    at = rows.place(np.array([0.0, 1.5, 3.0, 4.0, 7.0, 8.0]) * HOUR_S)
    assert (at.until_s - at.at_s)[[0, 1, 2, 3, 4]].tolist() == [2 * HOUR_S, 0.5 * HOUR_S, HOUR_S, 4 * HOUR_S, HOUR_S]
    assert np.isnan(at.at_s[5]), "the last forecast has ended"


def test_hours_become_steps() -> None:
    past = came([1.0] * 8, 1800.0)
    found = hourly_issues(past, np.array([1]), np.array([[5.0, 6.0]]))
    assert found.first_step.tolist() == [2]
    assert found.values.tolist() == [[5, 5, 6, 6]]


def test_disorder_is_refused() -> None:
    with pytest.raises(InputError, match="order"):
        issued((3, [1]), (2, [1]))
    with pytest.raises(InputError, match="shape"):
        Issued(np.array([0.0]), np.array([0]), np.ones((2, 3)))
