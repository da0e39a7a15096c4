"""Arrays of jobs: what is marked, what is refused, shapes, and blocks that do not show."""

from __future__ import annotations

import math

import numpy as np
import pytest

from lowtide.planning.solvers import job_times
from lowtide.planning.solvers.batch import find_cheapest, find_windows, slide_cheapest, slide_windows
from lowtide.planning.solvers.ranks import rank_steps
from lowtide.planning.solvers.steps import Piece, PreparedSeries, StepSeries, prepare
from lowtide_core.errors import InputError

START_S = 1_772_323_200.0
HOUR_S = 3600.0
NAN = math.nan


def hours(*values: float) -> PreparedSeries:
    return prepare(StepSeries(START_S, HOUR_S, np.array(values)))


def test_jobs_of_their_own() -> None:
    series = hours(4, 1, 3, 2)
    earliest_s, end_by_s = START_S + HOUR_S * np.array([0, 1, 0]), START_S + HOUR_S * np.array([2, 4, 4])
    windows = find_windows(series, earliest_s, end_by_s, HOUR_S * np.array([1, 2, 2.5]))
    assert windows.planned.all()
    assert ((windows.start_s - START_S) / HOUR_S).tolist() == [1, 1, 1]
    assert windows.mean.tolist() == [1, 2, 2]
    assert windows.mean_at_once.tolist() == pytest.approx([4, 2, 6.5 / 2.5])
    assert windows.saved_share.tolist() == pytest.approx([0.75, 0, 1 - 5 / 6.5])
    cheapest = find_cheapest(rank_steps(series), earliest_s, end_by_s, HOUR_S * np.array([1, 2, 2.5]))
    assert cheapest.mean.tolist() == pytest.approx([1, 1.5, 4.5 / 2.5])
    assert cheapest.pieces(1) == (
        Piece(START_S + HOUR_S, START_S + 2 * HOUR_S),
        Piece(START_S + 3 * HOUR_S, end_by_s[1]),
    )


def test_times_broadcast() -> None:
    series = hours(4, 1, 3, 2)
    windows = find_windows(series, START_S, START_S + 4 * HOUR_S, [HOUR_S, 2 * HOUR_S])
    assert ((windows.start_s - START_S) / HOUR_S).tolist() == [1, 1]
    assert find_cheapest(rank_steps(series), START_S, START_S + 4 * HOUR_S, HOUR_S).mean.tolist() == [1]


def test_no_jobs_are_no_plans() -> None:
    none = np.empty(0)
    assert find_windows(hours(1, 2), none, none, none).planned.size == 0
    assert find_cheapest(rank_steps(hours(1, 2)), none, none, none).mean.size == 0


def test_what_cannot_be_planned_is_marked_and_has_no_number() -> None:
    series = hours(1, NAN, 2, 3)
    earliest_h, end_by_h = np.array([0, 2, 2, 2, 0, 3]), np.array([3, 4, 5, 4, 1, 9])
    duration_s = HOUR_S * np.array([1, 1, 1, 3, 1, 1])
    times_s = (START_S + earliest_h * HOUR_S, START_S + end_by_h * HOUR_S, duration_s)
    planned = [False, True, False, False, True, False]
    windows, cheapest = find_windows(series, *times_s), find_cheapest(rank_steps(series), *times_s)
    assert windows.planned.tolist() == cheapest.planned.tolist() == planned
    for values in (windows.start_s, windows.mean, windows.mean_at_once, windows.saved_share, cheapest.mean):
        assert np.isnan(values).tolist() == [not is_planned for is_planned in planned]
    with pytest.raises(InputError) as error:
        cheapest.pieces(3)
    assert error.value.facts["short_by_s"] == HOUR_S


@pytest.mark.parametrize(
    ("times", "job"),
    [
        (([0, NAN], [3, 3], [1, 1]), 1),
        (([0, 0], [math.inf, 3], [1, 1]), 0),
        (([0, 0, 0], [3, 3, 3], [1, 1, 0]), 2),
        (([0, 0], [3, 3], [-1, NAN]), 0),
    ],
)
def test_what_is_no_time_names_the_job(times: tuple[list[float], ...], job: int) -> None:
    for find in (
        lambda *jobs: find_windows(hours(1, 2, 3), *jobs),
        lambda *jobs: find_cheapest(rank_steps(hours(1)), *jobs),
    ):
        with pytest.raises(InputError) as error:
            find(*times)
        assert error.value.facts["job"] == job


def test_jobs_are_one_row() -> None:
    with pytest.raises(InputError):
        find_windows(hours(1, 2), np.zeros((2, 2)), np.ones((2, 2)), 1.0)


def test_every_start() -> None:
    windows = slide_windows(hours(4, 1, 3, 2, 5), 2 * HOUR_S, HOUR_S)
    assert ((windows.start_s - START_S) / HOUR_S).tolist() == [1, 1, 2]
    assert windows.mean.tolist() == [2, 2, 2.5]
    assert windows.mean_at_once.tolist() == [2.5, 2, 2.5]
    cheapest = slide_cheapest(rank_steps(hours(4, 1, 3, 2, 5)), 2 * HOUR_S, HOUR_S)
    assert cheapest.mean.tolist() == [2, 1.5, 2.5]


@pytest.mark.parametrize(("duration_h", "slack_h"), [(0, 1), (-1, 1), (NAN, 1), (1, -0.5), (1, NAN)])
def test_every_start_wants_a_duration_and_a_slack(duration_h: float, slack_h: float) -> None:
    for slide in (
        lambda *times_s: slide_windows(hours(1, 2, 3), *times_s),
        lambda *times_s: slide_cheapest(rank_steps(hours(1, 2, 3)), *times_s),
    ):
        with pytest.raises(InputError) as error:
            slide(duration_h * HOUR_S, slack_h * HOUR_S)
        assert {"duration_s", "slack_s"} <= error.value.facts.keys()


def test_every_start_that_fits_nowhere_says_by_how_much() -> None:
    with pytest.raises(InputError) as error:
        slide_windows(hours(1, 2, 3), 2 * HOUR_S, 1.5 * HOUR_S)
    assert error.value.facts["short_by_s"] == 0.5 * HOUR_S


def test_blocks_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    dice = np.random.default_rng(5)
    series = hours(*dice.integers(0, 9, 60).astype(float))
    begin_h, length_h, slack_h = dice.uniform(0, 30, 50), dice.uniform(0.2, 9, 50), dice.integers(0, 20, 50)
    begin_h[::2], length_h[::2] = np.floor(begin_h[::2]), np.ceil(length_h[::2])
    times_s = (START_S + begin_h * HOUR_S, START_S + (begin_h + length_h + slack_h) * HOUR_S, length_h * HOUR_S)
    windows, cheapest = find_windows(series, *times_s), find_cheapest(rank_steps(series), *times_s)
    monkeypatch.setattr(job_times, "_JOBS_AT_ONCE", 7)
    monkeypatch.setattr("lowtide.planning.solvers.rows._CELLS_AT_ONCE", 30)
    np.testing.assert_array_equal(find_windows(series, *times_s).start_s, windows.start_s)
    np.testing.assert_array_equal(find_cheapest(rank_steps(series), *times_s).mean, cheapest.mean)
