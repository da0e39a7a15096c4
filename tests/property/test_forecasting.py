"""What holds for every forecaster, whatever came: no foresight, and answers that scale and shift with the history."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lowtide.forecasting.expected import expected_of
from lowtide.forecasting.mixture import LEAST_KNOWN_H
from lowtide.forecasting.names import FORECASTERS, forecaster
from lowtide.forecasting.outlook import WithOutlook
from lowtide.forecasting.rolling import require_no_foresight
from lowtide.forecasting.types import History
from lowtide_core.outlooks import Outlook
from lowtide_core.places import ZoneId
from lowtide_core.series import LIFECYCLE_CONSUMPTION
from lowtide_core.spans import from_epoch_s

HORIZON = 30
WEEK_H = 168
LONG_H = LEAST_KNOWN_H + 40 * 24
LEARNERS = ("auto", "ridge")


def drawn(seed: int, hours: int, gaps: float, zones: int = 2) -> np.ndarray:
    """Daily shapes with anomalies that last, and gaps of some hours."""
    rng = np.random.default_rng(seed)
    steps = rng.normal(0, 20, (zones, hours))
    anomaly = np.zeros((zones, hours))
    for hour in range(1, hours):
        anomaly[:, hour] = 0.95 * anomaly[:, hour - 1] + steps[:, hour]
    shape = rng.uniform(50, 300, (zones, 24))[:, np.arange(hours) % 24]
    values = np.maximum(100 + shape + anomaly, 0.0)
    for start in np.flatnonzero(rng.uniform(size=hours) < gaps).tolist():
        values[rng.integers(zones), start : start + rng.integers(1, 40)] = np.nan
    return values


def history(values: np.ndarray, start_h: int = 447072) -> History:
    zones = tuple(f"Z{number}" for number in range(len(values)))
    return History(zones, 3600.0 * start_h, values, LIFECYCLE_CONSUMPTION)


def fitted_h(name: str) -> int:
    """How many hours the tests fit it on: learners need half a year."""
    return LONG_H if name in LEARNERS else 500


def issued(name: str, past: History) -> np.ndarray:
    """At the end of the fit, and a day later."""
    known_h = fitted_h(name)
    issue = np.array([known_h, known_h + 24])
    return forecaster(name).fit(past.until(known_h), HORIZON).issued(past, issue, HORIZON)


@pytest.mark.parametrize("name", FORECASTERS)
@settings(max_examples=4, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), hours=st.integers(1, 500), gaps=st.sampled_from([0.0, 0.02, 0.2]))
def test_what_is_issued_does_not_change_when_the_future_is_removed(
    name: str, seed: int, hours: int, gaps: float
) -> None:
    require_no_foresight(forecaster(name), history(drawn(seed, hours, gaps)), np.arange(hours + 1), HORIZON)


@pytest.mark.parametrize("name", LEARNERS)
@settings(max_examples=2, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), gaps=st.sampled_from([0.0, 0.01]))
def test_nor_once_it_has_learned(name: str, seed: int, gaps: float) -> None:
    past = history(drawn(seed, LONG_H + 200, gaps))
    assert any(model is not None for model in forecaster(name).fit(past.until(LONG_H), HORIZON).models)
    require_no_foresight(forecaster(name), past, np.arange(LONG_H, LONG_H + 201), HORIZON)


@settings(max_examples=2, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), gaps=st.sampled_from([0.0, 0.02, 0.2]), lead_h=st.integers(30, 60))
def test_nor_with_an_outlook_whenever_its_hours_are_out(seed: int, gaps: float, lead_h: int) -> None:
    rng = np.random.default_rng(seed)
    hours = 13 * WEEK_H
    past = history(drawn(seed, hours, 0.01))
    outlooks = []
    for number, zone in enumerate(past.zones):
        wind, solar, load = drawn(seed + number + 1, hours + 48, gaps, zones=3)
        begins_s = past.start_s + 3600.0 * np.arange(hours + 48)
        out_s = begins_s - 3600.0 * rng.integers(-3, lead_h, hours + 48)  # some only once their hour is over
        start_utc = from_epoch_s(past.start_s)
        outlooks.append(Outlook(ZoneId(zone), start_utc, 3600.0, wind, solar, load, out_s, "drawn"))
    told = replace(past, expected=expected_of(outlooks, past.start_s, hours))
    plain = forecaster("damped7")
    if not gaps:
        assert any(moves is not None for moves in WithOutlook(plain).fit(told, HORIZON).moves)
    require_no_foresight(WithOutlook(plain), told, np.arange(hours - 200, hours + 1), HORIZON)


@pytest.mark.parametrize("name", FORECASTERS)
@settings(max_examples=2, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), factor=st.sampled_from([0.01, 3.0, 40.0]))
def test_a_history_in_another_unit_gives_forecasts_in_that_unit(name: str, seed: int, factor: float) -> None:
    values = drawn(seed, fitted_h(name) + 24, 0.01)
    plain, scaled = (issued(name, history(rows)) for rows in (values, factor * values))
    assert scaled == pytest.approx(factor * plain, rel=1e-4, abs=1e-4 * factor)


@pytest.mark.parametrize("name", [name for name in FORECASTERS if name != "climatology"])
@settings(max_examples=2, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), weeks=st.integers(1, 60))
def test_a_history_some_weeks_later_gives_the_same_forecasts_some_weeks_later(name: str, seed: int, weeks: int) -> None:
    values = drawn(seed, fitted_h(name) + 24, 0.01)
    first, later = (issued(name, history(values, 447072 + shift)) for shift in (0, weeks * WEEK_H))
    assert np.array_equal(first, later)


@pytest.mark.parametrize("name", FORECASTERS)
@settings(max_examples=4, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), hours=st.integers(1, 400), gaps=st.sampled_from([0.02, 0.3]))
def test_where_anything_is_known_a_forecast_is_a_number_not_below_zero(
    name: str, seed: int, hours: int, gaps: float
) -> None:
    values = drawn(seed, hours, gaps)
    found = forecaster(name).fit(history(values), HORIZON).issued(history(values), np.array([hours]), HORIZON)
    known = ~np.isnan(values).all(axis=1)
    assert (found[known] >= 0).all()
    assert np.isnan(found[~known]).all()
