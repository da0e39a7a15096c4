"""Forecasts made of the past: checked for foresight, refitted, and put on the zone's grid."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from lowtide.backtest.files import history_of
from lowtide.backtest.forecasts import forecasts_by
from lowtide.backtest.jobs import alike_jobs
from lowtide.backtest.made import made_forecasts, perfect
from lowtide.forecasting.names import forecaster as named_forecaster
from lowtide_core.errors import InputError

from .cases import HOUR_S, came

if TYPE_CHECKING:
    from lowtide.backtest.issued import IntArray
    from lowtide.forecasting.types import Fitted, History
    from lowtide_core.series import FloatArray

DAYS = 60
PAST = came(
    200 + 100 * np.sin(np.arange(24 * DAYS) / 24 * 2 * np.pi) + np.random.default_rng(1).normal(0, 20, 24 * DAYS)
)


@dataclass(frozen=True)
class Peeks:
    """Says what comes ``ahead`` hours after the hour that it is asked for; leaks from its own hour on."""

    ahead: int
    name: str = "peeks"

    def fit(self, history: History, horizon: int) -> Fitted:
        return self

    def issued(self, history: History, issue: IntArray, horizon: int) -> FloatArray:
        at = issue[:, None] + np.arange(horizon) + self.ahead
        values = history.intensity_g_per_kwh
        return np.where(at < values.shape[1], values[:, np.minimum(at, values.shape[1] - 1)], 0.0)


@dataclass(frozen=True)
class KnowsTheRest:
    """Honest in each hour, but scaled by the mean of the whole history, the future included."""

    name: str = "knows the rest"

    def fit(self, history: History, horizon: int) -> Fitted:
        return self

    def issued(self, history: History, issue: IntArray, horizon: int) -> FloatArray:
        said = named_forecaster("damped7").fit(history, horizon).issued(history, issue, horizon)
        return said * (1 + 1e-3 * np.nanmean(history.intensity_g_per_kwh))


@dataclass(frozen=True)
class LastHour:
    """The last value for ever, and a list of what it was fitted on."""

    fits: list[int]
    name: str = "last hour"

    def fit(self, history: History, horizon: int) -> Fitted:
        self.fits.append(history.hours)
        return self

    def issued(self, history: History, issue: IntArray, horizon: int) -> FloatArray:
        return np.repeat(history.intensity_g_per_kwh[:, issue - 1][:, :, None], horizon, axis=2)


@pytest.mark.parametrize("leak", [Peeks(0), Peeks(5), Peeks(-1), KnowsTheRest()])
def test_a_planted_leak_fails_the_backtest(leak: Peeks | KnowsTheRest) -> None:
    jobs = alike_jobs(np.arange(24 * 30, 24 * 40) * HOUR_S, duration_s=4 * HOUR_S, slack_s=24 * HOUR_S)
    with pytest.raises(InputError, match="knows the future") as refused:
        forecasts_by(leak, [PAST], [jobs], daily=False, window_s=28 * HOUR_S)
    assert refused.value.facts["forecaster"] == leak.name


@pytest.mark.parametrize("name", ["auto", "damped7", "climatology"])
def test_honest_forecasters_pass(name: str) -> None:
    jobs = alike_jobs(np.arange(24 * 30, 24 * 40) * HOUR_S, duration_s=4 * HOUR_S, slack_s=24 * HOUR_S)
    (found,) = forecasts_by(named_forecaster(name), [PAST], [jobs], daily=False, window_s=28 * HOUR_S)
    assert np.isfinite(found.values).all()
    assert found.newest(jobs.earliest_s).min() > 0


def test_it_learns_anew_every_month_and_of_nothing_later() -> None:
    forecaster = LastHour([])
    issue = np.arange(100, 1400, dtype=np.int64)
    (found,) = made_forecasts(forecaster, history_of([PAST]), [PAST], issue, 3)
    assert forecaster.fits[1:] == [100, 820]  # the first is that of the check
    assert found.issued_s[0] == 100 * HOUR_S
    assert found.values[:, 0] == pytest.approx(PAST.values[99:1399])


def test_each_zone_has_its_own_axis() -> None:
    late = replace(PAST, zone="YY", start_s=PAST.start_s + 5 * HOUR_S, values=PAST.values[5:] + 1)
    both = made_forecasts(LastHour([]), history_of([PAST, late]), [PAST, late], np.array([50, 51]), 2)
    assert both[1].first_step.tolist() == [45, 46]
    assert both[1].values == pytest.approx(both[0].values + 1)


def test_perfect_is_what_came() -> None:
    found = perfect(came([1, 2, 3]), 2, every=2)
    assert found.issued_s.tolist() == [0, 2 * HOUR_S]
    assert found.values[0].tolist() == [1, 2]
    assert found.values[1, 0] == 3
    assert np.isnan(found.values[1, 1])


def test_without_a_past_there_is_no_forecast() -> None:
    jobs = alike_jobs(np.array([3 * HOUR_S]), duration_s=HOUR_S, slack_s=HOUR_S)
    with pytest.raises(InputError, match="no past"):
        forecasts_by(named_forecaster("damped7"), [PAST], [jobs], daily=False, window_s=2 * HOUR_S)
