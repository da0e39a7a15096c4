"""The learners: what they learn, when they leave a zone to simpler ones, and that they can be stored."""

from __future__ import annotations

import io

import numpy as np
import pytest

from lowtide.forecasting.mixture import LEAST_KNOWN_H, MIXTURE, Learned, Learner, low_confidence
from lowtide.forecasting.names import auto, forecaster
from lowtide.forecasting.types import History
from lowtide_core.errors import InputError
from lowtide_core.series import LIFECYCLE_CONSUMPTION

HOURS = LEAST_KNOWN_H + 24 * 30
HORIZON = 12


def grid(zones: int = 2, hours: int = HOURS, kept: float = 0.9) -> np.ndarray:
    """A daily shape and an anomaly that keeps a share of itself each hour; the later zone follows the first by 6 h."""
    rng = np.random.default_rng(0)
    anomaly = np.zeros(hours + 6 * zones)
    for hour in range(1, anomaly.size):
        anomaly[hour] = kept * anomaly[hour - 1] + rng.normal(0, 8)
    shape = 200 + 60 * np.sin(2 * np.pi * np.arange(hours) / 24)
    return np.array([shape + anomaly[6 * (zones - zone) :][:hours] for zone in range(zones)])


def history(values: np.ndarray) -> History:
    zones = tuple(f"Z{number}" for number in range(len(values)))
    return History(zones, 1609459200.0, values, LIFECYCLE_CONSUMPTION)


def test_how_long_an_anomaly_lasts_is_learned() -> None:
    values = grid(zones=1, hours=HOURS + 24 * 60, kept=0.5)
    issue = np.arange(HOURS, HOURS + 24 * 55)
    came = values[0][issue[:, None] + np.arange(HORIZON)]
    learned, damped = (
        forecaster(name).fit(history(values[:, :HOURS]), HORIZON).issued(history(values), issue, HORIZON)[0]
        for name in ("ridge", "damped7")
    )
    missed, missed_by_damped = (np.sqrt(((found - came) ** 2).mean(axis=0)) for found in (learned, damped))
    least = 8 * np.sqrt((1 - 0.25 ** np.arange(1, HORIZON + 1)) / 0.75)  # nobody can do better
    assert (missed > 0.9 * least).all()
    assert (missed < 1.12 * least).all()
    assert (missed < 0.95 * missed_by_damped).all()


def test_a_zone_that_follows_another_is_forecast_from_it() -> None:
    values = grid(hours=HOURS + 24 * 60)
    issue = np.arange(HOURS, HOURS + 24 * 55)
    came = values[1][issue[:, None] + np.arange(4)]
    follower = Learner("follower", MIXTURE[1:2])
    errors = [
        np.abs(follower.fit(history(rows[:, :HOURS]), 4).issued(history(rows), issue, 4)[-1] - came).mean()
        for rows in (values, values[1:])
    ]
    assert errors[0] < 0.8 * errors[1]


def test_a_zone_with_less_than_half_a_year_is_left_to_the_simple_ones() -> None:
    values = grid()
    values[1, : HOURS - LEAST_KNOWN_H + 1] = np.nan
    fitted = auto().fit(history(values), HORIZON)
    assert [model is not None for model in fitted.models] == [True, False]
    issue = np.array([HOURS])
    simple = [
        forecaster(name).fit(history(values), 12).issued(history(values), issue, 12)
        for name in ("damped7", "smoothing")
    ]
    found = fitted.issued(history(values), issue, HORIZON)
    assert found[1] == pytest.approx((simple[0][1] + simple[1][1]) / 2, rel=1e-12)
    assert np.abs(found[0] - (simple[0][0] + simple[1][0]) / 2).max() > 1


def test_half_a_year_mostly_of_gaps_does_not_teach() -> None:
    values = grid(zones=1, hours=3 * HOURS)
    gappy = np.where(np.arange(3 * HOURS) % 24 < 10, values, np.nan)  # enough hours, but never half a day
    assert auto().fit(history(gappy), HORIZON).models == (None,)


def test_gaps_make_no_gap_in_a_forecast() -> None:
    values = grid()
    rng = np.random.default_rng(1)
    values[rng.uniform(size=values.shape) < 0.1] = np.nan
    values[0, -30:] = np.nan
    fitted = auto().fit(history(values), HORIZON)
    assert all(model is not None for model in fitted.models)
    assert not np.isnan(fitted.issued(history(values), np.arange(1000, HOURS + 1, 97), HORIZON)).any()


def test_a_constant_zone_stays_what_it_is() -> None:
    values = np.array([np.full(HOURS, 42.0), np.zeros(HOURS)])
    found = auto().fit(history(values), HORIZON).issued(history(values), np.array([HOURS]), HORIZON)
    assert found[0] == pytest.approx(np.full((1, HORIZON), 42.0), rel=1e-6)
    assert found[1] == pytest.approx(np.zeros((1, HORIZON)), abs=1e-6)


def test_it_can_be_stored_and_says_the_same_again() -> None:
    values = grid(zones=3)
    values[2, :-200] = np.nan
    fitted = auto().fit(history(values), HORIZON)
    file = io.BytesIO()
    np.savez(file, **fitted.to_arrays())
    file.seek(0)
    again = Learned.from_arrays(np.load(file))
    issue = np.array([500, HOURS])
    assert np.array_equal(
        again.issued(history(values), issue, 5), fitted.issued(history(values), issue, 5), equal_nan=True
    )
    assert (again.name, again.zones, again.horizon) == ("auto", ("Z0", "Z1", "Z2"), HORIZON)


def test_one_that_learned_nothing_can_be_stored() -> None:
    values = np.full((1, 50), 7.0)
    again = Learned.from_arrays(auto().fit(history(values), 3).to_arrays())
    assert again.issued(history(values), np.array([50]), 3).tolist() == [[[7.0, 7.0, 7.0]]]


def test_a_stored_one_goes_on_from_the_last_months_alone() -> None:
    values = grid()
    fitted = auto().fit(history(values), HORIZON)
    late = HOURS - 24 * 90
    part = History(("Z0", "Z1"), 1609459200.0 + 3600.0 * late, values[:, late:], LIFECYCLE_CONSUMPTION)
    whole = fitted.issued(history(values), np.array([HOURS]), HORIZON)
    assert fitted.issued(part, np.array([24 * 90]), HORIZON) == pytest.approx(whole, rel=0.02)


def test_other_zones_and_longer_horizons_are_refused() -> None:
    values = np.full((2, 50), 7.0)
    fitted = auto().fit(history(values), 3)
    with pytest.raises(InputError, match="Z0, Z1"):
        fitted.issued(history(values[:1]), np.array([50]), 3)
    with pytest.raises(InputError, match="3 h ahead"):
        fitted.issued(history(values), np.array([50]), 4)


def test_confidence_is_low_until_a_day_is_known() -> None:
    values = np.full((2, 60), 7.0)
    values[1, :30] = np.nan
    low = low_confidence(history(values), np.array([0, 23, 24, 53, 54]))
    assert low.tolist() == [[True, True, False, False, False], [True, True, True, True, False]]
