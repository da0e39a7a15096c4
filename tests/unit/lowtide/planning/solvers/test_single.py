"""One job at a time on a prepared series: the result object, and that the fast path says no less than the other."""

from __future__ import annotations

import math

import numpy as np
import pytest

from lowtide.planning.solvers.single import Found, find_pieces, find_window
from lowtide.planning.solvers.steps import Piece, PreparedSeries, StepSeries, prepare
from lowtide_core.errors import InputError

START_S = 1_772_323_200.0
HOUR_S = 3600.0


def hours(*values: float) -> PreparedSeries:
    return prepare(StepSeries(START_S, HOUR_S, np.array(values)))


def test_what_is_found() -> None:
    found = find_window(hours(400, 300, 100, 200), START_S, START_S + 4 * HOUR_S, 2 * HOUR_S)
    assert found == Found((Piece(START_S + 2 * HOUR_S, START_S + 4 * HOUR_S),), 150.0, 350.0)
    assert (found.start_s, found.end_s) == (START_S + 2 * HOUR_S, START_S + 4 * HOUR_S)
    assert found.saved_share == pytest.approx(200 / 350)


def test_what_is_found_of_pieces() -> None:
    found = find_pieces(hours(100, 300, 100, 100, 400), START_S, START_S + 5 * HOUR_S, 3 * HOUR_S)
    assert found.pieces == (Piece(START_S, START_S + HOUR_S), Piece(START_S + 2 * HOUR_S, START_S + 4 * HOUR_S))
    assert (found.start_s, found.end_s) == (START_S, START_S + 4 * HOUR_S)
    assert (found.mean, found.mean_at_once) == (100.0, pytest.approx(500 / 3))


def test_of_equal_steps_the_earlier() -> None:
    found = find_pieces(hours(5, 0.3, 5, 0.3, 0.3), START_S, START_S + 5 * HOUR_S, 2 * HOUR_S)
    assert [piece.start_s for piece in found.pieces] == [START_S + HOUR_S, START_S + 3 * HOUR_S]


def test_nothing_is_saved_of_nothing() -> None:
    assert find_window(hours(0, 0, 0), START_S, START_S + 3 * HOUR_S, HOUR_S).saved_share == 0.0


@pytest.mark.parametrize("find", [find_window, find_pieces])
@pytest.mark.parametrize("inside_s", [0.0, 600.0])
@pytest.mark.parametrize(
    ("earliest_h", "end_by_h", "duration_h", "short_h"), [(0, 3, 4, 1), (0, 5, 1, 1), (-1, 2, 1, 3), (2, 1, 1, 2)]
)
def test_misfits_say_by_how_much_on_steps_and_inside(
    find: object, inside_s: float, earliest_h: float, end_by_h: float, duration_h: float, short_h: float
) -> None:
    earliest_s, end_by_s = START_S + earliest_h * HOUR_S + inside_s, START_S + end_by_h * HOUR_S + inside_s
    with pytest.raises(InputError) as error:
        find(hours(1, 2, 3, 4), earliest_s, end_by_s, duration_h * HOUR_S)  # type: ignore[operator]
    beyond_s = inside_s if end_by_h == 5 else 0.0
    assert error.value.facts["short_by_s"] == pytest.approx(short_h * HOUR_S + beyond_s)


@pytest.mark.parametrize("find", [find_window, find_pieces])
def test_a_gap_in_the_window_is_refused_and_one_beside_it_is_not(find: object) -> None:
    series = hours(1, 2, math.nan, 3, 4)
    with pytest.raises(InputError):
        find(series, START_S, START_S + 5 * HOUR_S, HOUR_S)  # type: ignore[operator]
    with pytest.raises(InputError):
        find(series, START_S + 600, START_S + 2.2 * HOUR_S, HOUR_S)  # type: ignore[operator]
    assert find(series, START_S, START_S + 2 * HOUR_S, HOUR_S).start_s == START_S  # type: ignore[operator]
    assert find(series, START_S + 3 * HOUR_S, START_S + 5 * HOUR_S, HOUR_S).mean == 3  # type: ignore[operator]


@pytest.mark.parametrize("find", [find_window, find_pieces])
@pytest.mark.parametrize("times", [(math.nan, 2, 1), (0, math.nan, 1), (0, 2, math.nan), (0, 2, 0), (0, math.inf, 1)])
def test_what_is_no_time_is_refused(find: object, times: tuple[float, float, float]) -> None:
    earliest_h, end_by_h, duration_h = times
    with pytest.raises(InputError):
        find(hours(1, 2), START_S + earliest_h * HOUR_S, START_S + end_by_h * HOUR_S, duration_h * HOUR_S)  # type: ignore[operator]


@pytest.mark.parametrize("find", [find_window, find_pieces])
def test_the_last_bits_of_a_time_do_not_make_a_job_too_long(find: object) -> None:
    """Seconds since 1970 are 2.4e-7 s apart, so a duration that was computed from two of them may stand over."""
    found = find(hours(3, 1, 2), START_S, START_S + 3 * HOUR_S + 2.4e-7, 3 * HOUR_S + 4.8e-7)  # type: ignore[operator]
    assert found.mean == pytest.approx(2)
    found = find(hours(3, 1, 2), START_S + HOUR_S, START_S + 2 * HOUR_S, HOUR_S + 4.8e-7)  # type: ignore[operator]
    assert found.mean == pytest.approx(1)


def test_values_are_kept_to_the_last_digit() -> None:
    series = hours(123.4, 567.8, 0.1, 1e-6)
    assert (series.counts / series.counts_per_unit).tolist() == [123.4, 567.8, 0.1, 1e-6]
    thirds = hours(1 / 3, 2 / 3, 1e-3 / 7)
    assert (thirds.counts / thirds.counts_per_unit).tolist() == [1 / 3, 2 / 3, pytest.approx(1e-3 / 7, rel=1e-14)]


@pytest.mark.parametrize("scale", [1e-300, 1e-12, 1e12, 1e290])
def test_any_unit_will_do(scale: float) -> None:
    found = find_window(hours(3 * scale, scale, 2 * scale), START_S, START_S + 3 * HOUR_S, 1.5 * HOUR_S)
    assert found.mean == pytest.approx(4 / 3 * scale, rel=1e-12)
    assert found.start_s == START_S + HOUR_S
