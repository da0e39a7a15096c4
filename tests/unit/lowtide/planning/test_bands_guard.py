"""Deciding under a band: the two modes by hand, the guard against a simulation, and what is refused."""

from __future__ import annotations

import math
import os
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lowtide.planning.bands import LEAST_SIGMAS, BandedSeries, gain_beats_error, guarded_window, judged_on
from lowtide.planning.chances import ERROR_MEMORY_S, SIGMAS_IN_BAND_80, chance_of_excess
from lowtide.planning.windows import Piece, StepSeries
from lowtide_core.errors import InputError

MANY = settings(max_examples=int(os.environ.get("LOWTIDE_EXAMPLES", "100")), deadline=None)
HOUR_S = 3600.0
START_S = 1_700_000_000 // 3600 * 3600.0


def banded(middle: list[float], sigma: list[float]) -> BandedSeries:
    values, half = np.array(middle, dtype=float), np.array(sigma) * SIGMAS_IN_BAND_80 / 2
    return BandedSeries(StepSeries(START_S, HOUR_S, values), values - half, values + half)


def hour(index: int) -> Piece:
    return Piece(START_S + index * HOUR_S, START_S + (index + 1) * HOUR_S)


def test_expected_takes_the_low_middle_and_robust_the_low_upper_end() -> None:
    series = banded([50, 20, 30], [1, 30, 1])
    window = (START_S, START_S + 3 * HOUR_S, HOUR_S)
    assert guarded_window(series, *window, least_sigmas=0.0).piece == hour(1)
    robust = guarded_window(series, *window, mode="robust")
    assert robust.piece == hour(2)
    assert robust.gain == pytest.approx(20.0)
    assert robust.mean_high == pytest.approx(30 + SIGMAS_IN_BAND_80 / 2)


def test_a_gain_within_the_error_moves_nothing() -> None:
    window = (START_S, START_S + 3 * HOUR_S, HOUR_S)
    doubtful = guarded_window(banded([50, 60, 49], [40, 40, 40]), *window)
    assert (doubtful.piece, doubtful.shifted) == (hour(0), False)
    assert doubtful.mean == pytest.approx(50.0)
    clear = guarded_window(banded([50, 60, 10], [10, 10, 10]), *window)
    assert (clear.piece, clear.shifted, clear.gain) == (hour(2), True, pytest.approx(40.0))
    at_once = guarded_window(banded([5, 60, 10], [1, 1, 1]), *window)
    assert (at_once.piece, at_once.shifted, at_once.variance) == (hour(0), False, 0.0)


def test_the_variance_is_that_of_the_difference_of_the_two_runs() -> None:
    found = guarded_window(banded([50, 60, 10], [8, 3, 6]), START_S, START_S + 3 * HOUR_S, HOUR_S)
    correlation = math.exp(-2 * HOUR_S / ERROR_MEMORY_S)
    assert found.variance == pytest.approx(8.0**2 + 6.0**2 - 2 * correlation * 8 * 6)


def test_more_sigmas_never_let_more_through_and_leave_fewer_to_regret() -> None:
    sigmas = [0.0, LEAST_SIGMAS, 1.0, 2.0]
    gains = np.random.default_rng(1).normal(0.0, 10.0, 400)
    let_through = [{i for i, gain in enumerate(gains) if gain_beats_error(gain, 36.0, least)} for least in sigmas]
    assert all(fewer < more for more, fewer in pairwise(let_through))
    chances = [np.mean([chance_of_excess(gains[i], 36.0) for i in some]) for some in let_through]
    assert all(safer < riskier for riskier, safer in pairwise(chances))


def test_without_doubt_any_gain_counts_and_none_does_not() -> None:
    assert gain_beats_error(1e-9, 0.0)
    assert not gain_beats_error(0.0, 0.0)
    assert not gain_beats_error(-1.0, 0.0, 0.0)
    assert gain_beats_error(2.1, 4.0, 1.0)
    assert not gain_beats_error(2.0, 4.0, 1.0)


@pytest.mark.parametrize(
    ("gain_g", "variance_g2", "least_sigmas"),
    [(math.nan, 1.0, 0.2), (1.0, -1.0, 0.2), (1.0, math.nan, 0.2), (1, 1, -1)],
)
def test_a_guard_that_cannot_be_is_refused(gain_g: float, variance_g2: float, least_sigmas: float) -> None:
    with pytest.raises(InputError) as refused:
        gain_beats_error(gain_g, variance_g2, least_sigmas)
    assert {"gain_g", "variance_g2", "least_sigmas"} <= set(refused.value.facts)


def test_a_band_that_cannot_be_is_refused() -> None:
    middle = StepSeries(START_S, HOUR_S, np.array([1.0, 2.0]))
    with pytest.raises(InputError) as shape:
        judged_on(BandedSeries(middle, np.zeros(2), np.ones(3)), "robust")
    assert shape.value.facts["high"] == (3,)
    with pytest.raises(InputError) as side:
        judged_on(BandedSeries(middle, np.zeros(2), np.ones(2)), "robust")
    assert side.value.facts["step"] == 1
    with pytest.raises(InputError) as mode:
        judged_on(BandedSeries(middle, np.zeros(2), np.full(2, 9.0)), "bold")  # type: ignore[arg-type]
    assert mode.value.facts["mode"] == "bold"


def test_a_gap_outside_the_window_does_no_harm() -> None:
    series = banded([np.nan, 30, 20, np.nan], [1, 1, 1, 1])
    found = guarded_window(series, START_S + HOUR_S, START_S + 3 * HOUR_S, HOUR_S)
    assert (found.piece, found.shifted) == (hour(2), True)


steps = st.tuples(st.integers(0, 900), st.integers(0, 300))


@MANY
@given(st.lists(steps, min_size=2, max_size=8), st.integers(1, 3), st.sampled_from(["expected", "robust"]))
def test_no_start_has_a_lower_middle_or_upper_end(steps: list[tuple[int, int]], hours: int, mode: str) -> None:
    series = banded(*map(list, zip(*steps, strict=True)))
    hours = min(hours, len(steps))
    found = guarded_window(
        series,
        START_S,
        START_S + len(steps) * HOUR_S,
        hours * HOUR_S,
        mode=mode,  # type: ignore[arg-type]
        least_sigmas=0.0,
    )
    judged = series.high if mode == "robust" else series.middle.values
    least = min(sum(judged[at : at + hours]) / hours for at in range(len(steps) - hours + 1))
    assert (found.mean_high if mode == "robust" else found.mean) == pytest.approx(least)


@MANY
@given(st.lists(steps, min_size=2, max_size=8), st.integers(2, 9), st.sampled_from([0.0, 0.2, 1.0]))
def test_scaling_the_forecast_moves_no_decision(steps: list[tuple[int, int]], factor: int, least_sigmas: float) -> None:
    middle, sigma = map(list, zip(*steps, strict=True))
    window = (START_S, START_S + len(steps) * HOUR_S, HOUR_S)
    plain = guarded_window(banded(middle, sigma), *window, least_sigmas=least_sigmas)
    doubt = math.sqrt(plain.variance)
    if abs(plain.gain - least_sigmas * doubt) <= 1e-9 * (1 + doubt):  # a draw is decided by rounding
        return
    scaled = banded([factor * value for value in middle], [factor * one for one in sigma])
    again = guarded_window(scaled, *window, least_sigmas=least_sigmas)
    assert (again.piece, again.shifted) == (plain.piece, plain.shifted)
    assert again.gain == pytest.approx(factor * plain.gain, rel=1e-9, abs=1e-9)
