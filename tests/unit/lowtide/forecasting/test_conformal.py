"""Bands from the residuals of issued forecasts."""

from __future__ import annotations

import numpy as np
import pytest

from lowtide.forecasting.conformal import RECENT_H, learn_bands
from lowtide.forecasting.types import History
from lowtide_core.errors import InputError
from lowtide_core.series import LIFECYCLE_CONSUMPTION

HOURS = 24 * 200
HORIZON = 12
NOISE_G = 20.0


def came(noise_g: np.ndarray, seed: int = 0) -> History:
    values = 400 + noise_g * np.random.default_rng(seed).standard_normal(HOURS)
    return History(("A",), 0.0, values[None], LIFECYCLE_CONSUMPTION)


def flat(issue: np.ndarray) -> np.ndarray:
    return np.full((1, issue.size, HORIZON), 400.0)


def test_the_band_is_as_wide_as_four_fifths_of_what_came_at_each_hour_of_the_day() -> None:
    hour = np.arange(HOURS) % 24
    history = came(np.where((hour >= 10) & (hour < 16), 3 * NOISE_G, NOISE_G))
    issue = np.arange(24 * 10, HOURS - HORIZON)
    low, high = learn_bands(history, flat(issue), issue).around(history, flat(issue[:24]), issue[:24])
    of_day = (issue[:24, None] + np.arange(HORIZON)) % 24
    width = ((high - low)[0]) / (2 * 1.2816 * NOISE_G)
    assert width[of_day == 3] == pytest.approx(1.0, rel=0.12)
    assert width[of_day == 13] == pytest.approx(3.0, rel=0.12)


def test_its_width_follows_the_errors_of_the_last_two_weeks() -> None:
    calm, wild = (np.where(np.arange(HOURS) < HOURS - RECENT_H - HORIZON, NOISE_G, late) for late in (NOISE_G, 60.0))
    issue = np.arange(0, HOURS + 1)
    bands = [learn_bands(came(noise), flat(issue), issue) for noise in (calm, wild)]
    assert bands[0].recent_g_per_kwh == pytest.approx([NOISE_G * np.sqrt(2 / np.pi)], rel=0.1)
    assert bands[1].recent_g_per_kwh / bands[0].recent_g_per_kwh == pytest.approx([3.0], rel=0.05)


def test_bins_beyond_the_horizon_are_left_out_and_bands_stay_above_zero() -> None:
    issue = np.arange(0, HOURS)
    history = came(np.full(HOURS, NOISE_G))
    bands = learn_bands(history, flat(issue), issue)
    assert bands.ends_h.tolist() == [3, 6, 12]
    low, high = bands.around(history, np.zeros((1, 1, 40)), np.array([5]))
    assert (low == 0).all()
    assert (high > 0).all()


def test_an_hour_with_too_few_residuals_takes_those_of_all_hours_and_none_at_all_is_nan() -> None:
    history = came(np.full(HOURS, NOISE_G))
    values = history.intensity_g_per_kwh.copy()
    values[:, np.arange(HOURS) % 24 < 12] = np.nan
    half = History(("A",), 0.0, values, LIFECYCLE_CONSUMPTION)
    issue = np.arange(0, HOURS)
    bands = learn_bands(half, flat(issue), issue)
    assert not np.isnan(bands.low).any()
    assert (bands.low[0, 3:9] == bands.low[0, 5]).all()
    assert (bands.low[0, 13:23, 0] != bands.low[0, 5, 0]).all()
    nothing = History(("A",), 0.0, np.full((1, HOURS), np.nan), LIFECYCLE_CONSUMPTION)
    assert np.isnan(learn_bands(nothing, flat(issue), issue).low).all()


@pytest.mark.parametrize(("ends_h", "coverage"), [((6, 3), 0.8), ((0, 3), 0.8), ((), 0.8), ((3,), 1.0)])
def test_bins_and_coverages_that_make_no_sense_are_refused(ends_h: tuple[int, ...], coverage: float) -> None:
    issue = np.arange(0, 100)
    with pytest.raises(InputError):
        learn_bands(came(np.ones(HOURS)), flat(issue), issue, ends_h, coverage)


def test_forecasts_that_do_not_fit_the_issues_are_refused() -> None:
    with pytest.raises(InputError, match="1 zones and 9 issues"):
        learn_bands(came(np.ones(HOURS)), flat(np.arange(10)), np.arange(9))
