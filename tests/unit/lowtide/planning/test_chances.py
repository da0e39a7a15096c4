"""The chance to turn out worse: by hand, by simulation, and against what really came."""

from __future__ import annotations

import math

import numpy as np
import pytest

from lowtide.planning.chances import (
    ERROR_MEMORY_S,
    MEAN_ERRORS_IN_BAND_80,
    SIGMAS_IN_BAND_80,
    chance_of_excess,
    difference_variance,
)


def test_one_step_by_hand() -> None:
    band = np.array([SIGMAS_IN_BAND_80 * 10.0])
    variance = difference_variance(np.array([2.0]), np.zeros(1), band, np.zeros(1))
    assert variance == pytest.approx(400.0)
    assert chance_of_excess(0.0, variance) == pytest.approx(0.5)
    assert chance_of_excess(20.0, variance) == pytest.approx(0.158655, rel=1e-4)
    assert chance_of_excess(-20.0, variance) == pytest.approx(1 - 0.158655, rel=1e-4)


def test_the_same_run_is_never_worse() -> None:
    assert chance_of_excess(0.0, 0.0) == 0.0
    assert difference_variance(np.zeros(2), np.ones(2), np.ones(2) * 9, np.arange(2.0)) == 0.0


def test_a_common_error_counts_less_than_two_of_their_own() -> None:
    low, high = np.zeros(2), np.full(2, SIGMAS_IN_BAND_80)
    near = difference_variance(np.array([1.0, -1.0]), low, high, np.array([0.0, 3600.0]))
    far = difference_variance(np.array([1.0, -1.0]), low, high, np.array([0.0, 100 * ERROR_MEMORY_S]))
    assert near == pytest.approx(2 * (1 - math.exp(-3600 / ERROR_MEMORY_S)))
    assert far == pytest.approx(2.0)


def test_it_equals_a_simulation() -> None:
    rng = np.random.default_rng(5)
    start_s = np.arange(12) * 3600.0
    sigma, weights = rng.uniform(5, 40, 12), rng.normal(size=12)
    correlation = np.exp(-np.abs(start_s[:, None] - start_s) / ERROR_MEMORY_S)
    errors = rng.multivariate_normal(np.zeros(12), correlation * np.outer(sigma, sigma), 200_000)
    band = sigma * SIGMAS_IN_BAND_80 / 2
    variance = difference_variance(weights, 100 - band, 100 + band, start_s)
    assert variance == pytest.approx(float(np.var(errors @ weights)), rel=0.02)
    assert chance_of_excess(30.0, variance) == pytest.approx(float(np.mean(errors @ weights > 30.0)), abs=0.01)


def test_a_mean_error_of_a_normal_band_is_that_of_a_simulation() -> None:
    draws = np.random.default_rng(2).normal(0.0, 1.0, 400_000)
    low, high = np.quantile(draws, (0.1, 0.9))
    assert (high - low) / MEAN_ERRORS_IN_BAND_80 == pytest.approx(np.abs(draws).mean(), rel=0.01)
