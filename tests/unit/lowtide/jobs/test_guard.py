"""Which gains are worth a shift."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest

from lowtide.jobs.guard import LEAST_ERRORS, least_errors_of, worth_shifting
from lowtide_core.errors import InputError


def test_more_errors_never_let_more_through() -> None:
    gains = np.random.default_rng(1).normal(0.0, 10.0, 400)
    through = [set(np.flatnonzero(worth_shifting(gains, 6.0, least))) for least in (0.0, LEAST_ERRORS, 1.0, 2.0)]
    assert all(fewer < more for more, fewer in pairwise(through))


def test_without_doubt_any_gain_counts_and_none_does_not() -> None:
    assert worth_shifting(1e-9, 0.0)
    assert not worth_shifting(0.0, 0.0)
    assert not worth_shifting(-1.0, 0.0, 0.0)
    assert worth_shifting(2.1, 2.0, 1.0)
    assert not worth_shifting(2.0, 2.0, 1.0)
    assert not worth_shifting(math.nan, 0.0)
    assert worth_shifting(0.1, math.nan, 1.0), "nothing is known of the error"


def test_on_a_model_of_the_usual_day_a_smaller_gain_counts() -> None:
    assert least_errors_of("forecast", 0.35) == 0.35
    assert least_errors_of("climatology", 0.35) == pytest.approx(0.2)


@pytest.mark.parametrize(("gain", "error", "least"), [(1.0, -1.0, 0.2), (1, 1, -1), (1, 1, math.nan)])
def test_a_guard_that_cannot_be_is_refused(gain: float, error: float, least: float) -> None:
    with pytest.raises(InputError, match="cannot be weighed"):
        worth_shifting(gain, error, least)
