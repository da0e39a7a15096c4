"""Steps of a window, and their integral, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from lowtide.planning.solvers.steps import StepSeries, integral_of, steps_within

EDGES_S = np.array([0.0, 10.0, 15.0, 35.0])
VALUES = np.array([2.0, 8.0, 1.0])


@pytest.mark.parametrize("level", [0.0, 3.0])
def test_an_integral_over_spans(level: float) -> None:
    integral = integral_of(EDGES_S, VALUES, level=level)
    starts_s, lengths_s = np.array([0.0, 4.0, 10.0, 12.5]), np.array([35.0, 8.0, 5.0, 12.5])
    assert integral.over(starts_s, lengths_s).tolist() == [80.0, 28.0, 40.0, 30.0]
    tens = integral.above_level(starts_s, 10.0) + 10 * level
    assert tens.tolist() == [20.0, 44.0, 45.0, 27.5]
    assert integral.until(EDGES_S).tolist() == [0.0, 20 - 10 * level, 60 - 15 * level, 80 - 35 * level]
    assert integral.step_s == 10.0


def test_the_steps_that_touch_a_span() -> None:
    series = StepSeries(1000.0, 10.0, np.array([4.0, 5.0, 6.0, 7.0]))
    edges_s, values = steps_within(series, 1012.0, 1030.0)
    assert (edges_s.tolist(), values.tolist()) == ([-2.0, 8.0, 18.0], [5.0, 6.0])
    # rounding beyond an edge touches nothing
    assert steps_within(series, 1010.0, 1020.0 + 1e-7)[1].tolist() == [5.0]
    # what ends as it begins lies in the step that begins
    assert steps_within(series, 1020.0, 1020.0)[1].tolist() == [6.0]
