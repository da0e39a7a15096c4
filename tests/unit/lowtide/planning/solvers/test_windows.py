"""One question on one series: what is refused, with which facts, and the helpers that others use."""

from __future__ import annotations

import math

import numpy as np
import pytest

from lowtide.planning.solvers.batch import find_windows
from lowtide.planning.solvers.steps import prepare
from lowtide.planning.solvers.windows import (
    Piece,
    StepSeries,
    best_pieces,
    best_window,
    known_until_s,
    mean_over,
    seconds_in_steps,
)
from lowtide_core.errors import InputError

START_S = 1_772_323_200.0
HOUR_S = 3600.0
NAN = math.nan


def hours(*values: float) -> StepSeries:
    return StepSeries(START_S, HOUR_S, np.array(values))


def at(*from_h: float) -> tuple[float, ...]:
    """Earliest start, latest end (hours from the start of the series) and duration (hours), in seconds."""
    earliest_h, end_by_h, duration_h = from_h
    return START_S + earliest_h * HOUR_S, START_S + end_by_h * HOUR_S, duration_h * HOUR_S


@pytest.mark.parametrize("best", [best_window, best_pieces])
@pytest.mark.parametrize(
    ("values", "times", "short_h"),
    [
        ((1, 2, 3), (0, 3, 4), 1),  # longer than the window
        ((1, 2, 3), (1, 2.5, 2), 0.5),
        ((1, 2, 3), (2, 1, 1), 2),  # ends before it begins
        ((1, 2, 3), (0, 5, 1), 2),  # beyond the series
        ((1, 2, 3), (-1, 2, 1), 3),  # before it: nothing is known from the earliest start on
        ((1, 2, 3), (3, 4, 1), 1),
        ((1, NAN, 3, 1), (0, 4, 1), 3),  # a gap anywhere in the window
        ((1, 2, 3, NAN), (0, 3.5, 1), 0.5),
        ((NAN, 2, 3), (0.5, 3, 1), 2.5),
    ],
)
def test_what_does_not_fit_says_by_how_much(
    best: object, values: tuple[float, ...], times: tuple[float, float, float], short_h: float
) -> None:
    with pytest.raises(InputError) as error:
        best(hours(*values), *at(*times))  # type: ignore[operator]
    assert error.value.facts["short_by_s"] == pytest.approx(short_h * HOUR_S)


@pytest.mark.parametrize("best", [best_window, best_pieces])
@pytest.mark.parametrize("duration_s", [0.0, -1.0, NAN])
def test_a_duration_is_positive(best: object, duration_s: float) -> None:
    with pytest.raises(InputError) as error:
        best(hours(1, 2), START_S, START_S + 7200, duration_s)  # type: ignore[operator]
    assert "duration_s" in error.value.facts


@pytest.mark.parametrize("best", [best_window, best_pieces])
@pytest.mark.parametrize("times", [(NAN, 2, 1), (0, NAN, 1), (0, math.inf, 1), (-math.inf, 2, 1)])
def test_times_are_finite(best: object, times: tuple[float, float, float]) -> None:
    with pytest.raises(InputError) as error:
        best(hours(1, 2), *at(*times))  # type: ignore[operator]
    assert {"earliest_s", "end_by_s"} <= error.value.facts.keys()


def test_gaps_outside_the_window_do_not_matter() -> None:
    series = hours(NAN, 5, 1, 3, NAN)
    assert best_window(series, *at(1, 4, 1)) == Piece(START_S + 2 * HOUR_S, START_S + 3 * HOUR_S)
    assert best_pieces(series, *at(1.5, 3.5, 1)) == (Piece(START_S + 2 * HOUR_S, START_S + 3 * HOUR_S),)


def test_the_best_window_may_begin_or_end_inside_a_step() -> None:
    assert best_window(hours(9, 1, 1, 5), *at(0, 4, 2.5)) == Piece(START_S + HOUR_S, START_S + 3.5 * HOUR_S)
    assert best_window(hours(5, 1, 1, 9), *at(0, 4, 2.5)) == Piece(START_S + 0.5 * HOUR_S, START_S + 3 * HOUR_S)
    assert best_window(hours(9, 5, 1, 1), *at(0, 3.5, 2)) == Piece(START_S + 1.5 * HOUR_S, START_S + 3.5 * HOUR_S)


def test_of_equal_windows_the_earliest() -> None:
    """0.1 and 0.2 have no exact float: their sums in two orders differ, and in running sums always."""
    series = hours(7.7, 0.1, 0.2, 0.3, 7.7, 0.3, 0.2, 0.1, 7.7, 0.2, 0.3, 0.1)
    assert best_window(series, *at(0, 12, 3)).start_s == START_S + HOUR_S
    assert best_window(hours(*[123.4] * 500), *at(0.3, 499.9, 7.7)).start_s == START_S + 0.3 * HOUR_S
    third = 1 / 3
    assert best_window(hours(*[9.0, third, third] * 200), *at(0, 600, 2)).start_s == START_S + HOUR_S


@pytest.mark.parametrize("value", [1 / 3, 2 / 7, 123.456789012345, 1e-5 / 3])
@pytest.mark.parametrize("times", [(0.3, 49.9, 7.7), (0.1, 50, 3.3), (1 / 3, 40, 1.9)])
def test_part_steps_of_one_value_are_equal_though_their_sums_round(
    value: float, times: tuple[float, float, float]
) -> None:
    series = hours(*[value] * 50)
    assert best_window(series, *at(*times)).start_s == at(*times)[0]
    assert find_windows(prepare(series), *at(*times)).start_s.tolist() == [at(*times)[0]]


def test_a_large_value_elsewhere_costs_no_digits() -> None:
    """A running sum in floats would lose the difference between 0.1 and 0.2 behind 1e17."""
    series = hours(1e17, 0.2, 0.1, 0.2)
    assert best_window(series, *at(1, 4, 1)).start_s == START_S + 2 * HOUR_S


def test_pieces_touch_where_they_can() -> None:
    series = hours(9, 2, 1, 9, 1)
    assert best_pieces(series, *at(0, 5, 2.5)) == (
        Piece(START_S + 1.5 * HOUR_S, START_S + 3 * HOUR_S),  # the part step ends where the next begins
        Piece(START_S + 4 * HOUR_S, START_S + 5 * HOUR_S),
    )
    assert best_pieces(series, *at(0, 5, 5)) == (Piece(START_S, START_S + 5 * HOUR_S),)


def test_negative_values_are_values() -> None:
    """Prices go below nothing."""
    assert best_window(hours(3, -2, -5, 4), *at(0, 4, 1.5)).start_s == START_S + 1.5 * HOUR_S
    assert mean_over(hours(3, -2, -5, 4), best_pieces(hours(3, -2, -5, 4), *at(0, 4, 1.5))) == pytest.approx(-4)


@pytest.mark.parametrize(
    "series",
    [
        StepSeries(START_S, HOUR_S, np.array([])),
        StepSeries(START_S, HOUR_S, np.ones((2, 2))),
        StepSeries(START_S, 0.0, np.ones(2)),
        StepSeries(START_S, NAN, np.ones(2)),
        StepSeries(math.inf, HOUR_S, np.ones(2)),
        StepSeries(START_S, HOUR_S, np.array([1.0, math.inf])),
    ],
)
def test_a_series_is_sound(series: StepSeries) -> None:
    with pytest.raises(InputError):
        prepare(series)


def test_an_infinite_value_is_named() -> None:
    with pytest.raises(InputError) as error:
        prepare(hours(1, 2, -math.inf, NAN))
    assert error.value.facts["step"] == 2


def test_known_until_and_mean_over() -> None:
    series = hours(1, 3, NAN, 5)
    assert known_until_s(series, START_S + 1800) == START_S + 2 * HOUR_S
    assert known_until_s(series, START_S + 2.5 * HOUR_S) == START_S + 2.5 * HOUR_S
    assert known_until_s(series, START_S + 3 * HOUR_S) == START_S + 4 * HOUR_S
    assert known_until_s(series, START_S - 1) == START_S - 1
    run = (Piece(START_S + 1800, START_S + 5400),)
    assert mean_over(series, run) == pytest.approx(2)
    assert seconds_in_steps(series, run).tolist() == [1800, 1800, 0, 0]
    assert math.isnan(mean_over(series, (Piece(START_S + 5400, START_S + 9000),)))
    assert math.isnan(mean_over(series, (Piece(START_S + 3.5 * HOUR_S, START_S + 4.5 * HOUR_S),)))
