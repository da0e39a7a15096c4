"""Bands learned from issued forecasts: what they hold, what they leave out, what they refuse."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from lowtide.forecasting.bands import residual_quantiles, with_band
from lowtide_core.errors import InputError
from lowtide_core.places import ZoneId
from lowtide_core.series import LIFECYCLE_CONSUMPTION, Frame, SignalSeries

T0 = datetime(2026, 1, 3, tzinfo=UTC)
DE = ZoneId("DE")


def series(values: Any, *, start_h: float = 0, step_s: float = 3600.0, **more: Any) -> SignalSeries:
    kind = "forecast" if "issued_at" in more else "actual"
    given = {"zone": DE, "frame": LIFECYCLE_CONSUMPTION, "kind": kind, "source": "test", **more}
    return SignalSeries(
        start_utc=T0 + timedelta(hours=start_h), step_s=step_s, intensity_g_per_kwh=np.asarray(values, float), **given
    )


def issued(values: Any, at_h: float, **more: Any) -> SignalSeries:
    return series(values, start_h=at_h, issued_at=T0 + timedelta(hours=at_h), **more)


def archive(rng: np.random.Generator, count: int, hours: int = 48) -> tuple[list[SignalSeries], SignalSeries]:
    """Forecasts issued every two days whose errors are lognormal, wider in the second day than in the first."""
    came = 300 + 100 * np.sin(np.arange(count * hours) / 4)
    sigma = np.where(np.arange(hours) < 24, 0.1, 0.3)
    forecasts = [
        issued(came[n * hours : (n + 1) * hours] / np.exp(sigma * rng.standard_normal(hours)), n * hours)
        for n in range(count)
    ]
    return forecasts, series(came)


def test_the_band_holds_four_fifths_of_what_came_at_every_horizon() -> None:
    rng = np.random.default_rng(7)
    learned = residual_quantiles(*archive(rng, 200), [24, 48])
    assert learned.high_ratio == pytest.approx(np.exp(1.2816 * np.array([0.1, 0.3])), rel=0.02)
    assert learned.low_ratio == pytest.approx(np.exp(-1.2816 * np.array([0.1, 0.3])), rel=0.02)
    fresh, actual = archive(rng, 200)
    inside = []
    for number, forecast in enumerate(fresh):
        banded = with_band(forecast, learned)
        came = actual.intensity_g_per_kwh[48 * number : 48 * (number + 1)]
        assert banded.low_g_per_kwh is not None
        assert banded.high_g_per_kwh is not None
        inside.append((banded.low_g_per_kwh <= came) & (came <= banded.high_g_per_kwh))
    first_day, second_day = np.array(inside)[:, :24].mean(), np.array(inside)[:, 24:].mean()
    assert first_day == pytest.approx(0.8, abs=0.02)
    assert second_day == pytest.approx(0.8, abs=0.02)


def test_quantiles_are_those_of_rank_p_times_n_plus_one() -> None:
    forecast = issued([100.0] * 9, 0)
    learned = residual_quantiles([forecast], series([10.0 * n for n in range(1, 10)]), [9])
    assert (learned.low_ratio[0], learned.high_ratio[0]) == (pytest.approx(0.1), pytest.approx(0.9))
    assert learned.count.tolist() == [9]


def test_each_step_takes_the_width_of_its_horizon_and_the_last_one_beyond() -> None:
    came = [110.0] * 9 + [150.0] * 9
    learned = residual_quantiles([issued([100.0] * 18, 0)], series(came), [9, 18])
    banded = with_band(issued([200.0] * 20, 0, note="rough"), learned)
    assert banded.high_g_per_kwh is not None
    assert banded.high_g_per_kwh.tolist() == pytest.approx([220.0] * 9 + [300.0] * 11)
    assert banded.note == "rough; band learned from 18 issued values, beyond 18 h as up to there"
    assert banded.intensity_g_per_kwh.tolist() == [200.0] * 20


def test_finer_actuals_are_averaged_over_the_steps_of_the_forecast() -> None:
    fine = series([80.0, 120.0] * 9, step_s=1800.0)
    learned = residual_quantiles([issued([50.0] * 9, 0)], fine, [9])
    assert learned.high_ratio[0] == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("came", "forecast"),
    [
        ([100.0, float("nan"), *[100.0] * 9], [100.0] * 11),
        ([100.0] * 11, [100.0, float("nan"), *[100.0] * 9]),
        ([100.0] * 11, [100.0, 0.0, *[100.0] * 9]),
        ([100.0] * 10, [100.0] * 11),
    ],
)
def test_what_cannot_be_compared_teaches_nothing(came: list[float], forecast: list[float]) -> None:
    assert residual_quantiles([issued(forecast, 0)], series(came), [11]).count.tolist() == [10]


def test_steps_that_had_begun_at_the_issue_teach_nothing() -> None:
    late = series([100.0] * 11, issued_at=T0 + timedelta(minutes=90))
    assert residual_quantiles([late], series([100.0] * 11), [11]).count.tolist() == [9]


def test_too_few_residuals_are_refused_with_the_horizon_named() -> None:
    with pytest.raises(InputError) as caught:
        residual_quantiles([issued([100.0] * 12, 0)], series([100.0] * 12), [9, 12])
    assert caught.value.facts["horizon_h"] == 12.0


@pytest.mark.parametrize(
    "forecast",
    [
        issued([100.0] * 9, 0, zone=ZoneId("FR")),
        issued([100.0] * 9, 0, frame=Frame("marginal", "direct", "production")),
        series([100.0] * 9),
    ],
)
def test_other_zones_other_frames_and_unknown_issues_are_refused(forecast: SignalSeries) -> None:
    with pytest.raises(InputError):
        residual_quantiles([forecast], series([100.0] * 9), [9])


@pytest.mark.parametrize("horizons_h", [[], [0.0, 6.0], [12.0, 6.0], [6.0, 6.0]])
def test_horizons_ascend_from_zero(horizons_h: list[float]) -> None:
    with pytest.raises(InputError, match="ascend"):
        residual_quantiles([issued([100.0] * 9, 0)], series([100.0] * 9), horizons_h)


def test_a_series_without_an_issue_gets_no_band() -> None:
    learned = residual_quantiles([issued([100.0] * 9, 0)], series([100.0] * 9), [9])
    with pytest.raises(InputError, match="issued"):
        with_band(series([100.0] * 9), learned)
