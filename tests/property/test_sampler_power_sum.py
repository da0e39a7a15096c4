"""Step sums of a power that is only sampled: exact for steps, never falling, indifferent to extra looks."""

from __future__ import annotations

import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lowtide_sampler.power_sum import PowerSum

EXAMPLES = int(os.environ.get("LOWTIDE_EXAMPLES", "100"))
READINGS = st.lists(st.tuples(st.floats(0.01, 2.0), st.floats(0.0, 2000.0)), min_size=2, max_size=40)


@settings(max_examples=EXAMPLES, deadline=None)
@given(READINGS)
def test_it_is_the_sum_of_the_steps(readings: list[tuple[float, float]]) -> None:
    power_sum, now_s, expected_j = PowerSum(held_at_most_s=3.0), 0.0, 0.0
    held_w, told_uj = None, None
    for dt_s, power_w in readings:
        now_s += dt_s
        expected_j += 0.0 if held_w is None else held_w * dt_s
        held_w = power_w
        told_uj = power_sum.add(now_s, power_w)
    assert told_uj == pytest.approx(1e6 * expected_j, rel=1e-6, abs=2)


@settings(max_examples=EXAMPLES, deadline=None)
@given(READINGS, st.floats(0.0, 2.0), st.sets(st.integers(0, 39)))
def test_it_never_falls_whatever_the_window_and_whatever_fails(
    readings: list[tuple[float, float]], window_s: float, failing: set[int]
) -> None:
    power_sum, now_s, before_uj = PowerSum(window_s, held_at_most_s=1.5), 0.0, 0
    for index, (dt_s, power_w) in enumerate(readings):
        now_s += dt_s
        if index in failing:
            power_sum.fail()
            continue
        told_uj = power_sum.add(now_s, power_w)
        assert told_uj is None or told_uj >= before_uj
        before_uj = before_uj if told_uj is None else told_uj


@settings(max_examples=EXAMPLES, deadline=None)
@given(READINGS)
def test_looking_oftener_at_a_value_that_stands_changes_nothing(readings: list[tuple[float, float]]) -> None:
    seldom, often, now_s = PowerSum(held_at_most_s=3.0), PowerSum(held_at_most_s=3.0), 0.0
    held_w, told_uj = None, (None, None)
    for dt_s, power_w in readings:
        if held_w is not None:
            often.add(now_s + dt_s / 3, held_w)
            often.add(now_s + dt_s / 2, held_w)
        now_s += dt_s
        told_uj = (seldom.add(now_s, power_w), often.add(now_s, power_w))
        held_w = power_w
    assert told_uj[1] == pytest.approx(told_uj[0], rel=1e-6, abs=2)
