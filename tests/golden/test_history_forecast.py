"""B10 on three zones and June 2023: the saving that forecasts from history capture, and what they are worth.

Fitted on 2021 to early 2023; a 4 h job arrives at every hour and has 24 h of slack. The bars are a little below what
was measured; ``bench/forecasting.py`` has all zones and the whole year.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import pytest

from lowtide.forecasting.conformal import LEARNED_FROM_H, RECENT_H, learn_bands
from lowtide.forecasting.guard import errors_ahead, guarded_starts, mean_errors
from lowtide.forecasting.names import auto, forecaster
from lowtide.forecasting.rolling import rolling
from lowtide.forecasting.types import History
from lowtide.testing.measured import hourly
from lowtide_core.series import LIFECYCLE_CONSUMPTION

if TYPE_CHECKING:
    from pathlib import Path

ZONES = ("US-TEX-ERCO", "DE", "US-CAL-CISO")
END = 2 * 8760 + 181 * 24
JOB_H, SLACK_H, HORIZON_H = 4, 24, 28
TEST_H = 30 * 24
PAST_H = LEARNED_FROM_H + RECENT_H + HORIZON_H


@cache
def measured(folder: Path) -> History:
    """2021 to the end of June 2023."""
    rows = [np.concatenate([hourly(folder, zone, year).values for year in (2021, 2022, 2023)]) for zone in ZONES]
    return History(ZONES, hourly(folder, ZONES[0], 2021).start_s, np.array(rows)[:, :END], LIFECYCLE_CONSUMPTION)


@cache
def forecasts(folder: Path, name: str) -> np.ndarray:
    """Issued at every hour of June and of what the bands need before, with one fit at the beginning."""
    history = measured(folder)
    issue = np.arange(history.hours - TEST_H - PAST_H, history.hours)
    return rolling(forecaster(name), history, issue, HORIZON_H, refit_hours=issue.size)


def captured(folder: Path, zone: int, name: str, *, replanned: bool) -> float:
    """Job by job, as the planner would: nothing is shared with the forecaster."""
    history = measured(folder)
    first = history.hours - TEST_H
    came = history.intensity_g_per_kwh[zone]
    known = forecasts(folder, name)[zone][-TEST_H:]

    def best_start(at: int, starts: int) -> int:
        ahead = known[at - first].tolist()
        totals = [sum(ahead[start : start + JOB_H]) for start in range(starts)]
        return totals.index(min(totals))

    now = got = best = 0.0
    for arrival in range(first, history.hours - HORIZON_H + 1):
        start = best_start(arrival, SLACK_H + 1)
        if replanned:
            start = next(
                waited for waited in range(SLACK_H + 1) if best_start(arrival + waited, SLACK_H + 1 - waited) == 0
            )
        runs = [float(came[hour : hour + JOB_H].sum()) for hour in range(arrival, arrival + SLACK_H + 1)]
        now, got, best = now + runs[0], got + runs[start], best + min(runs)
    return (now - got) / (now - best)


@pytest.mark.data
@pytest.mark.parametrize(("zone", "once", "replanned"), [(0, 0.42, 0.6), (1, 0.93, 0.93), (2, 0.93, 0.93)])
def test_the_saving_that_is_captured(test_data: Path, zone: int, once: float, replanned: float) -> None:
    assert captured(test_data, zone, "auto", replanned=False) > once
    assert captured(test_data, zone, "auto", replanned=True) > replanned


@pytest.mark.data
def test_the_mixture_captures_more_than_the_damped_profile(test_data: Path) -> None:
    found = [
        np.mean([captured(test_data, zone, name, replanned=True) for zone in range(len(ZONES))])
        for name in ("auto", "damped7")
    ]
    assert found[0] > found[1] + 0.02


@pytest.mark.data
def test_bands_hold_what_comes_in_a_month_that_they_have_not_seen(test_data: Path) -> None:
    history = measured(test_data)
    issued, issue = forecasts(test_data, "auto"), np.arange(history.hours - TEST_H - PAST_H, history.hours)
    inside = []
    for begin in range(PAST_H, issue.size - 168 - HORIZON_H, 168):
        past, week = slice(begin - PAST_H, begin), slice(begin, begin + 168)
        bands = learn_bands(history.until(int(issue[begin])), issued[:, past], issue[past])
        low, high = bands.around(history, issued[:, week], issue[week])
        came = history.intensity_g_per_kwh[:, issue[week, None] + np.arange(HORIZON_H)]
        inside.append(((low <= came) & (came <= high)).mean())
    assert 0.75 < np.mean(inside) < 0.85


@pytest.mark.data
def test_the_guard_spares_a_third_of_the_jobs_that_would_emit_more(test_data: Path) -> None:
    history = measured(test_data)
    issued, issue = forecasts(test_data, "auto"), np.arange(history.hours - TEST_H - PAST_H, history.hours)
    past, month = slice(0, PAST_H), slice(PAST_H, issue.size - HORIZON_H + 1)
    error = errors_ahead(
        history, mean_errors(history.until(int(issue[PAST_H])), issued[:, past], issue[past]), issue[month]
    )
    came = history.intensity_g_per_kwh[:, issue[month, None] + np.arange(HORIZON_H)]
    runs = np.stack([came[:, :, start : start + JOB_H].mean(axis=2) for start in range(SLACK_H + 1)], axis=2)
    worse, saved = [], []
    for least in (0.0, None):
        more = {} if least is None else {"least_errors": least}
        start = guarded_starts(issued[:, month], error, JOB_H, SLACK_H, **more)
        got = np.take_along_axis(runs, start[:, :, None], axis=2)[:, :, 0]
        worse.append((got > runs[:, :, 0]).mean())
        saved.append((runs[:, :, 0] - got).sum() / (runs[:, :, 0] - runs.min(axis=2)).sum())
    assert worse[1] < 2 / 3 * worse[0]
    assert saved[1] > saved[0] - 0.03


@pytest.mark.data
def test_a_forecaster_of_half_a_year_and_one_of_weeks_both_save(test_data: Path) -> None:
    history = measured(test_data)
    for weeks in (2, 27):
        late = history.until(history.hours - HORIZON_H).intensity_g_per_kwh[:, -weeks * 168 :]
        part = History(ZONES, 0.0, late, LIFECYCLE_CONSUMPTION)
        assert not np.isnan(auto().fit(part, HORIZON_H).issued(part, np.array([part.hours]), HORIZON_H)).any()
