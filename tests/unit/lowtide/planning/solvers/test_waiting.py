"""Starts under a limit on the mean wait or at a price: what is easy to see, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lowtide.planning.solvers.waiting import plan_waits, wait_frontier
from lowtide.planning.solvers.windows import StepSeries
from lowtide_core.errors import InputError

HOUR_S = 3600.0
START_S = 1_700_000_000 // 3600 * 3600.0
FALLING = StepSeries(START_S, HOUR_S, np.array([300.0, 200.0, 120.0, 100.0, 100.0, 400.0]))


def two_jobs(**changes: Any) -> dict[str, Any]:
    columns = {
        "series": FALLING,
        "arrival_s": [START_S, START_S + HOUR_S],
        "length_s": HOUR_S,
        "max_wait_s": 3 * HOUR_S,
        "weight": 1.0,
    }
    return {**columns, **changes}


def hours(plan_start_s: np.ndarray[Any, Any]) -> list[float]:
    return ((plan_start_s - START_S) / HOUR_S).round(9).tolist()


def test_with_no_limit_every_job_takes_its_least_window_and_of_equal_ones_the_first() -> None:
    plan = plan_waits(**two_jobs())
    assert hours(plan.start_s) == [3.0, 3.0]
    assert plan.mean_wait_s == pytest.approx(2.5 * HOUR_S)
    assert plan.emissions == pytest.approx([100 * HOUR_S] * 2)
    assert plan.at_once_emissions == pytest.approx([300 * HOUR_S, 200 * HOUR_S])
    assert plan.bound == pytest.approx(plan.believed_emissions)


def test_a_limit_of_nothing_starts_all_at_once_and_tells_what_a_second_would_be_worth() -> None:
    plan = plan_waits(**two_jobs(mean_wait_limit_s=0.0))
    assert hours(plan.start_s) == [0.0, 1.0]
    assert plan.wait_price == pytest.approx(100.0)  # the first job falls from 300 to 200 within its first hour


def test_a_limit_between_two_corners_is_used_up_by_a_start_between_them() -> None:
    plan = plan_waits(**two_jobs(mean_wait_limit_s=0.25 * HOUR_S))
    assert hours(plan.start_s) == [0.5, 1.0]
    assert plan.bound == pytest.approx(plan.believed_emissions)


def test_the_higher_the_price_the_fewer_the_waits() -> None:
    assert hours(plan_waits(**two_jobs(wait_price=0.0)).start_s) == [3.0, 3.0]
    assert hours(plan_waits(**two_jobs(wait_price=50.0)).start_s) == [2.0, 2.0]
    assert hours(plan_waits(**two_jobs(wait_price=90.0)).start_s) == [1.0, 1.0]
    assert hours(plan_waits(**two_jobs(wait_price=101.0)).start_s) == [0.0, 1.0]


def test_a_wide_job_waits_where_a_narrow_one_does_not() -> None:
    plan = plan_waits(**two_jobs(arrival_s=[START_S, START_S], weight=[1.0, 4.0], wait_price=101.0))
    assert hours(plan.start_s) == [0.0, 2.0]


def test_the_believed_length_decides_and_the_true_one_counts() -> None:
    plan = plan_waits(**two_jobs(length_s=3 * HOUR_S, believed_length_s=2 * HOUR_S, max_wait_s=[3 * HOUR_S, 0.0]))
    assert hours(plan.start_s) == [3.0, 1.0]
    assert plan.believed_emissions == pytest.approx((100 + 100 + 200 + 120) * HOUR_S)
    assert plan.emissions == pytest.approx([(100 + 100 + 400) * HOUR_S, (200 + 120 + 100) * HOUR_S])


def test_on_a_grid_starts_stand_whole_multiples_after_the_arrival() -> None:
    plan = plan_waits(**two_jobs(arrival_s=[START_S + 600, START_S + 1200], start_grid_s=HOUR_S))
    assert hours(plan.start_s) == pytest.approx([3 + 1 / 6, 3 + 1 / 3])
    between = plan_waits(**two_jobs(mean_wait_limit_s=0.7 * HOUR_S, start_grid_s=HOUR_S))
    assert hours(between.start_s) == [1.0, 1.0]
    assert between.believed_emissions > between.bound


def test_a_constant_series_gives_nobody_a_reason_to_wait() -> None:
    flat = StepSeries(START_S, HOUR_S, np.full(500, 96.1))
    plan = plan_waits(flat, START_S + 977.7 * np.arange(400), 5000.3, 20_000.0, 3.0)
    assert plan.mean_wait_s == 0.0
    repeated = StepSeries(START_S, HOUR_S, np.tile([96.1, 33.3, 56.7], 160))
    waits_s = plan_waits(repeated, START_S + 977.7 * np.arange(400), 5000.3, 30_000.0, 3.0).start_s - (
        START_S + 977.7 * np.arange(400)
    )
    assert waits_s.max() < 3 * HOUR_S  # what comes again is no better later


def test_a_job_without_weight_does_not_wait_and_uses_up_no_limit() -> None:
    plan = plan_waits(**two_jobs(weight=[0.0, 1.0], mean_wait_limit_s=HOUR_S))
    assert hours(plan.start_s) == [0.0, 3.0]
    assert plan_waits(**two_jobs(weight=0.0)).bound == 0.0


def test_a_gap_that_no_job_reaches_does_not_matter() -> None:
    values = FALLING.values.copy()
    values[5] = np.nan
    plan = plan_waits(**two_jobs(series=FALLING._replace(values=values)))
    assert hours(plan.start_s) == [3.0, 3.0]


def test_the_frontier_runs_from_all_at_once_to_all_at_their_least() -> None:
    frontier = wait_frontier(**two_jobs())
    assert frontier.mean_wait_s / HOUR_S == pytest.approx([0, 0.5, 1.0, 1.5, 2.0, 2.5])
    assert frontier.believed_emissions / HOUR_S == pytest.approx([500, 400, 320, 240, 220, 200])
    assert frontier.emissions == pytest.approx(frontier.believed_emissions)
    assert frontier.wait_price == pytest.approx([np.inf, 100, 80, 80, 20, 20])


def test_the_frontier_of_jobs_that_cannot_wait_is_one_point() -> None:
    frontier = wait_frontier(**two_jobs(max_wait_s=0.0))
    assert frontier.mean_wait_s.tolist() == [0.0]
    assert frontier.believed_emissions == pytest.approx([500 * HOUR_S])


@pytest.mark.parametrize(
    ("changes", "facts"),
    [
        ({"arrival_s": []}, {}),
        ({"arrival_s": [START_S, np.nan]}, {"column": "arrival_s", "job": 1}),
        ({"length_s": 0.0}, {"column": "length_s", "job": 0}),
        ({"length_s": [HOUR_S, np.nan]}, {"column": "length_s", "job": 1}),
        ({"length_s": [HOUR_S] * 3}, {"column": "length_s"}),
        ({"believed_length_s": [HOUR_S, -1.0]}, {"column": "believed_length_s", "job": 1}),
        ({"max_wait_s": [-1.0, 0.0]}, {"column": "max_wait_s", "job": 0}),
        ({"weight": [1.0, -2.0]}, {"column": "weight", "job": 1}),
        ({"weight": np.inf}, {"column": "weight", "job": 0}),
        ({"start_grid_s": 0.0}, {"column": "start_grid_s"}),
        ({"wait_price": -1.0}, {"column": "wait_price"}),
        ({"mean_wait_limit_s": np.nan}, {"column": "mean_wait_limit_s"}),
        ({"mean_wait_limit_s": 0.0, "wait_price": 0.0}, {}),
        ({"series": StepSeries(START_S, HOUR_S, np.zeros(0))}, {}),
    ],
)
def test_what_is_out_of_range_is_refused(changes: dict[str, Any], facts: dict[str, object]) -> None:
    with pytest.raises(InputError) as refused:
        plan_waits(**two_jobs(**changes))
    assert refused.value.facts == facts


@pytest.mark.parametrize(
    ("changes", "job", "short_by_s"),
    [
        ({"arrival_s": [START_S, START_S + 3 * HOUR_S]}, 1, HOUR_S),
        ({"believed_length_s": 3.5 * HOUR_S}, 0, 0.5 * HOUR_S),
        ({"arrival_s": [START_S - 60, START_S]}, 0, 60.0),
        (
            {"series": FALLING._replace(values=np.array([300.0, 200.0, 120.0, np.nan, 100.0, 400.0]))},
            0,
            HOUR_S,
        ),
    ],
)
def test_a_series_that_does_not_cover_a_job_is_refused(changes: dict[str, Any], job: int, short_by_s: float) -> None:
    with pytest.raises(InputError) as refused:
        plan_waits(**two_jobs(**changes))
    assert refused.value.facts["job"] == job
    assert refused.value.facts["short_by_s"] == pytest.approx(short_by_s)
