"""Step sums of a power that is only sampled: exact for steps, never falling, indifferent to extra looks."""

from __future__ import annotations

import math
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lowtide_sampler.step_integral import StepIntegral

EXAMPLES = int(os.environ.get("LOWTIDE_EXAMPLES", "100"))
READINGS = st.lists(st.tuples(st.floats(0.01, 2.0), st.floats(0.0, 2000.0)), min_size=2, max_size=40)


@settings(max_examples=EXAMPLES, deadline=None)
@given(READINGS)
def test_it_is_the_sum_of_the_steps(readings: list[tuple[float, float]]) -> None:
    integral, now_s, expected_j = StepIntegral(held_at_most_s=3.0), 0.0, 0.0
    held_w = None
    for dt_s, power_w in readings:
        now_s += dt_s
        expected_j += 0.0 if held_w is None else held_w * dt_s
        held_w = power_w
        assert integral.put(power_w, now_s) == 0.0
    assert integral.energy_uj == pytest.approx(1e6 * expected_j, rel=1e-6, abs=2)


@settings(max_examples=EXAMPLES, deadline=None)
@given(READINGS, st.floats(0.0, 2.0), st.sets(st.integers(0, 39)))
def test_it_never_falls_whatever_the_window_and_whatever_fails(
    readings: list[tuple[float, float]], window_s: float, failing: set[int]
) -> None:
    integral, now_s, before_uj = StepIntegral(held_at_most_s=1.5, window_s=window_s), 0.0, 0
    for index, (dt_s, power_w) in enumerate(readings):
        now_s += dt_s
        if index in failing:
            integral.lose()
        else:
            integral.put(power_w, now_s)
        assert integral.energy_uj >= before_uj
        before_uj = integral.energy_uj


@settings(max_examples=EXAMPLES, deadline=None)
@given(READINGS)
def test_looking_oftener_at_a_value_that_stands_changes_nothing(readings: list[tuple[float, float]]) -> None:
    seldom, often, now_s = StepIntegral(3.0), StepIntegral(3.0), 0.0
    held_w = None
    for dt_s, power_w in readings:
        if held_w is not None:
            often.put(held_w, now_s + dt_s / 3)
            often.put(held_w, now_s + dt_s / 2)
        now_s += dt_s
        seldom.put(power_w, now_s)
        often.put(power_w, now_s)
        held_w = power_w
    assert math.isclose(seldom.energy_uj, often.energy_uj, rel_tol=1e-6, abs_tol=2)
