"""Forecasts as issued in the past, and the proof that they know no future."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from lowtide.forecasting.names import FORECASTERS, forecaster
from lowtide.forecasting.rolling import require_no_foresight, rolling
from lowtide.forecasting.types import History
from lowtide_core.errors import InputError
from lowtide_core.series import LIFECYCLE_CONSUMPTION


def history(hours: int = 400) -> History:
    values = np.random.default_rng(5).uniform(100, 300, (2, hours))
    return History(("A", "B"), 0.0, values, LIFECYCLE_CONSUMPTION)


@dataclass
class Recorder:
    """Forecasts the length of its fit, and keeps the lengths it was given."""

    name: str = "recorder"
    asked: list[tuple[int, list[int]]] = field(default_factory=list)
    fitted_h: int = -1

    def fit(self, past: History, horizon: int) -> Recorder:
        self.fitted_h = past.hours
        return self

    def issued(self, past: History, issue: Any, horizon: int) -> Any:
        self.asked.append((past.hours, issue.tolist()))
        return np.full((2, issue.size, horizon), float(self.fitted_h))


@dataclass
class Leaking:
    """Forecasts what will come, by ``hours`` more than it may know."""

    hours: int
    name: str = "crystal-ball"

    def fit(self, past: History, horizon: int) -> Leaking:
        return self

    def issued(self, past: History, issue: Any, horizon: int) -> Any:
        seen = np.concatenate([past.intensity_g_per_kwh, np.full((2, self.hours), np.nan)], axis=1)
        return np.repeat(seen[:, issue - 1 + self.hours, None], horizon, axis=2)


def test_each_block_is_fitted_on_what_came_before_it_and_shown_no_more_than_its_last_issue_may_know() -> None:
    recorder = Recorder()
    found = rolling(recorder, history(), np.array([100, 120, 149, 150, 260]), 3, refit_hours=50)
    assert found.dtype == np.float32
    assert found[0, :, 0].tolist() == [100, 100, 100, 150, 250]
    assert recorder.asked == [(149, [100, 120, 149]), (150, [150]), (260, [260])]


def test_no_issues_are_no_forecasts() -> None:
    assert rolling(Recorder(), history(), np.zeros(0, dtype=np.int64), 3).shape == (2, 0, 3)


def test_no_hours_between_fits_are_refused() -> None:
    with pytest.raises(InputError, match="recorder"):
        rolling(Recorder(), history(), np.array([100]), 3, refit_hours=0)


@pytest.mark.parametrize("name", FORECASTERS)
def test_what_is_built_in_knows_no_future(name: str) -> None:
    require_no_foresight(forecaster(name), history(), np.arange(1, 401), 30)


@pytest.mark.parametrize("hours", [1, 24])
def test_a_forecaster_that_leaks_is_caught_by_name(hours: int) -> None:
    with pytest.raises(InputError, match="crystal-ball") as caught:
        require_no_foresight(Leaking(hours), history(), np.arange(100, 300), 5)
    assert caught.value.facts == {"forecaster": "crystal-ball", "hour": 100}


def test_one_that_does_not_leak_is_not_accused() -> None:
    require_no_foresight(Leaking(0), history(), np.arange(100, 300), 5)
