"""Loads by hand: a profile of two powers, set-up and tear-down, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from lowtide.planning.solvers.loads import Load, best_load, cost_course
from lowtide.planning.solvers.windows import StepSeries
from lowtide_core.errors import InputError

HOUR_S = 3600.0
START_S = 1_700_000_000 // 3600 * 3600.0


def hours(*values: float) -> StepSeries:
    return StepSeries(START_S, HOUR_S, np.array(values, dtype=float))


def cost_from(series: StepSeries, start_s: float, load: Load) -> float:
    """What the load costs where there is one start alone."""
    return best_load(series, start_s, start_s + load.duration_s, load).cost


def test_the_hungry_hour_goes_where_it_is_clean() -> None:
    hungry_first = Load(np.array([0.0, HOUR_S, 2 * HOUR_S]), np.array([3.0, 1.0]))
    found = best_load(hours(50, 40, 10, 60, 30), START_S, START_S + 5 * HOUR_S, hungry_first)
    assert found.start_s == START_S + 2 * HOUR_S
    assert found.cost == 3 * HOUR_S * 10 + HOUR_S * 60

    hungry_last = Load(hungry_first.edges_s, np.array([1.0, 3.0]))
    assert best_load(hours(50, 40, 10, 60, 30), START_S, START_S + 5 * HOUR_S, hungry_last).start_s == START_S + HOUR_S


def test_a_start_on_an_edge_belongs_to_the_step_that_begins_and_an_end_to_the_step_that_ends() -> None:
    series = hours(100, 20, 70)
    load = Load.constant(HOUR_S, setup_s=60.0, teardown_s=30.0)
    assert cost_from(series, START_S + HOUR_S, load) == 20 * HOUR_S + 60 * 20 + 30 * 20
    assert cost_from(series, START_S, load) == 100 * HOUR_S + 60 * 100 + 30 * 100
    assert cost_from(series, START_S + 1.5 * HOUR_S, load) == 45 * HOUR_S + 60 * 20 + 30 * 70


def test_no_start_is_put_a_moment_before_a_rise_only_to_set_up_at_the_old_value() -> None:
    series = hours(100, 200, 0, 0)
    load = Load.constant(2 * HOUR_S, setup_s=2 * HOUR_S)
    found = best_load(series, START_S, START_S + 3 * HOUR_S, load)
    assert found.start_s == START_S, "at the edge the set-up would be dearer than what the run saves"
    assert found.cost == cost_from(series, found.start_s, load) == 2 * HOUR_S * 100 + HOUR_S * 300


def test_of_equal_starts_the_earliest_is_taken() -> None:
    load = Load(np.array([0.0, 1800.0, 5400.0]), np.array([2.0, 1.0]), setup_s=60.0, teardown_s=60.0)
    found = best_load(hours(*[5.0] * 6), START_S + 7.0, START_S + 6 * HOUR_S, load)
    assert found.start_s == START_S + 7.0


def test_without_room_the_run_is_at_once() -> None:
    load = Load(np.array([0.0, 1800.0, 5400.0]), np.array([2.0, 0.0]))
    found = best_load(hours(5, 6), START_S + 1800.0, START_S + 2 * HOUR_S, load)
    assert (found.start_s, found.cost) == (START_S + 1800.0, 2 * 1800 * 5.0)


def test_a_power_that_falls_in_a_straight_line() -> None:
    load = Load(np.array([0.0, 2 * HOUR_S]), np.array([2.0]), end_weight=np.array([0.0]))
    # mean weight 1.5 in the first hour and 0.5 in the second
    assert cost_from(hours(10, 30), START_S, load) == pytest.approx(1.5 * 10 * HOUR_S + 0.5 * 30 * HOUR_S)
    found = best_load(hours(90, 10, 30, 80), START_S, START_S + 4 * HOUR_S, load)
    assert found.start_s == START_S + HOUR_S
    # Between two dear hours the foot of the parabola lies inside a step.
    growing = Load(np.array([0.0, 2 * HOUR_S]), np.array([0.0]), end_weight=np.array([2.0]))
    inside = best_load(hours(80, 20, 90, 90), START_S, START_S + 4 * HOUR_S, growing)
    sweep = [cost_from(hours(80, 20, 90, 90), START_S + second, growing) for second in range(0, 7201, 10)]
    assert inside.cost <= min(sweep)
    assert inside.cost == pytest.approx(min(sweep), rel=1e-5)


def test_the_course_is_the_cost_from_every_start() -> None:
    load = Load(np.array([0.0, 900.0, 5000.0]), np.array([2.0, 0.5]), end_weight=np.array([1.0, 0.5]))
    series = hours(4, 9, 1, 7)
    course = cost_course(series, START_S + 100.0, START_S + 4 * HOUR_S, load)
    starts_s = np.linspace(0.0, float(course.stops_s[-1]), 57)
    expected = [cost_from(series, START_S + 100.0 + start_s, load) for start_s in starts_s]
    assert course.at(starts_s) == pytest.approx(np.array(expected), rel=1e-9)


@pytest.mark.parametrize(
    ("edges_s", "weight", "facts"),
    [
        ([0.0, 60.0, 120.0], [1.0, -0.5], {"stretch": 1, "power": -0.5}),
        ([0.0, 60.0], [np.inf], {"stretch": 0}),
        ([0.0, 60.0, 60.0], [1.0, 1.0], {"edges_s"}),
        ([1.0, 60.0], [1.0], {"edges_s"}),
        ([0.0, np.nan], [1.0], {"edges_s"}),
        ([0.0], [], {"edges_s"}),
        ([0.0, 60.0], [1.0, 1.0], {"edges_s"}),
    ],
)
def test_a_load_that_cannot_be_is_refused(edges_s: list[float], weight: list[float], facts: dict[str, object]) -> None:
    with pytest.raises(InputError) as refused:
        Load(np.array(edges_s), np.array(weight))
    assert set(facts) <= set(refused.value.facts)
    if isinstance(facts, dict):
        assert all(refused.value.facts[name] == value for name, value in facts.items())


def test_a_nan_power_and_a_negative_set_up_are_refused() -> None:
    with pytest.raises(InputError) as nan:
        Load(np.array([0.0, 60.0, 120.0]), np.array([100.0, np.nan]))
    assert nan.value.facts["stretch"] == 1
    with pytest.raises(InputError) as setup:
        Load.constant(60.0, setup_s=-1.0)
    assert setup.value.facts["setup_s"] == -1.0
    with pytest.raises(InputError):
        Load(np.array([0.0, 60.0]), np.ones(1), end_weight=np.ones(2))


def test_a_window_too_short_and_a_gap_say_by_how_much() -> None:
    load = Load.constant(2 * HOUR_S)
    with pytest.raises(InputError) as short:
        best_load(hours(1, 2, 3), START_S, START_S + HOUR_S, load)
    assert short.value.facts["short_by_s"] == HOUR_S
    with pytest.raises(InputError) as gap:
        best_load(hours(1, 2, np.nan, 4), START_S, START_S + 4 * HOUR_S, load)
    assert gap.value.facts["short_by_s"] == 2 * HOUR_S
