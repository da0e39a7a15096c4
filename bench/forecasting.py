"""B10: what the forecaster of the history alone captures, beside its bars; its bands, its guard, its speed.

Twelve zones, every hour a 4 h job with 24 h of slack, forecasts as they would have been issued with a refit every
month: 2023 is the test, 2022 the year on which everything was chosen.

python bench/forecasting.py
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from table import Row, data_folder, seconds

from lowtide.forecasting.conformal import LEARNED_FROM_H, RECENT_H, learn_bands
from lowtide.forecasting.guard import errors_ahead, guarded_starts, mean_errors
from lowtide.forecasting.names import forecaster
from lowtide.forecasting.rolling import MONTH_H, rolling
from lowtide.forecasting.types import History
from lowtide.jobs.guard import LEAST_ERRORS
from lowtide.testing.measured import hourly, zones_of_year
from lowtide_core.series import LIFECYCLE_CONSUMPTION

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lowtide_core.series import FloatArray

ZONES = (
    *("US-CAL-CISO", "US-TEX-ERCO", "DE", "GB", "AU-NSW", "US-MIDA-PJM"),
    *("CA-ON", "US-NY-NYIS", "BR-CS", "CL-SEN", "JP-TK", "ZA"),
)
YEARS = (2021, 2022, 2023)
YEAR_H = 8760
JOB_H, SLACK_H, HORIZON_H = 4, 24, 28
LONG_H, LONG_NEEDED_H = 96, 24
THRESHOLDS = (0.0, 0.1, 0.2, 0.3, LEAST_ERRORS, 0.4, 0.5, 0.75, 1.0)


class Score(NamedTuple):
    """Of one zone, percent: shares of the oracle's saving captured, and of jobs that emit more than at once."""

    once: float
    replanned: float
    pausable_once: float
    pausable_replanned: float
    worse_once: float
    worse_replanned: float


def measured(zones: tuple[str, ...]) -> History:
    """The three years of zones; gaps are where a zone has none."""
    rows = [
        np.concatenate(
            [
                hourly(data_folder(), zone, year).values
                if zone in zones_of_year(data_folder(), year)
                else np.full(YEAR_H, np.nan)
                for year in YEARS
            ]
        )
        for zone in zones
    ]
    return History(zones, hourly(data_folder(), "DE", YEARS[0]).start_s, np.array(rows), LIFECYCLE_CONSUMPTION)


def scored(forecast: FloatArray, came: FloatArray) -> Score:
    """A job arriving at every hour; the forecasts are issued at every hour too.

    Args:
        forecast: (n, >= 28), issued at hours 0 to n - 1.
        came: (n,), what came in these hours.
    """
    arrivals = came.size - HORIZON_H + 1
    actual = sliding_window_view(came, HORIZON_H)
    runs, expected = (sliding_window_view(part, JOB_H, axis=1).mean(axis=-1) for part in (actual, forecast[:, :28]))
    each = np.arange(arrivals)
    now, best = runs[:, 0], runs.min(axis=1)
    once = runs[each, expected[:arrivals].argmin(axis=1)]
    replanned = runs[each, _first_start(expected, arrivals)]
    cheapest = np.argsort(forecast[:arrivals, :HORIZON_H], axis=1, kind="stable")[:, :JOB_H]
    paused = np.take_along_axis(actual, cheapest, axis=1).mean(axis=1)
    best_paused = np.sort(actual, axis=1)[:, :JOB_H].mean(axis=1)
    return Score(
        _captured_pct(now, once, best),
        _captured_pct(now, replanned, best),
        _captured_pct(now, paused, best_paused),
        _captured_pct(now, _paused_anew(forecast[:, :HORIZON_H], actual), best_paused),
        100 * float((once > now).mean()),
        100 * float((replanned > now).mean()),
    )


def captured_long_pct(forecast: FloatArray, came: FloatArray) -> float:
    """The 24 cheapest of 96 hours, planned once."""
    actual = sliding_window_view(came, LONG_H)
    chosen = np.argsort(forecast[: len(actual)], axis=1, kind="stable")[:, :LONG_NEEDED_H]
    got = np.take_along_axis(actual, chosen, axis=1).mean(axis=1)
    best = np.sort(actual, axis=1)[:, :LONG_NEEDED_H].mean(axis=1)
    return _captured_pct(actual[:, :LONG_NEEDED_H].mean(axis=1), got, best)


def _captured_pct(now: FloatArray, got: FloatArray, best: FloatArray) -> float:
    return 100 * float((now.sum() - got.sum()) / (now.sum() - best.sum()))


def _first_start(expected: FloatArray, arrivals: int) -> np.ndarray:
    """Hours that each job waits: at each, it starts if no later start is expected to be better."""
    least = np.minimum.accumulate(expected, axis=1)
    waited = np.full(arrivals, SLACK_H)
    for hour in range(SLACK_H, -1, -1):
        at = slice(hour, hour + arrivals)
        waited[expected[at, 0] <= least[at, SLACK_H - hour]] = hour
    return waited


def _paused_anew(forecast: FloatArray, actual: FloatArray) -> FloatArray:
    """Mean intensity of jobs that run whenever this hour is among the cheapest of those left, as now forecast."""
    arrivals = len(actual)
    cheaper = np.cumsum(forecast < forecast[:, :1], axis=1)
    left, total = np.full(arrivals, JOB_H), np.zeros(arrivals)
    for hour in range(HORIZON_H):
        runs = (left > 0) & (cheaper[hour : hour + arrivals, HORIZON_H - 1 - hour] < left)
        total += np.where(runs, actual[:, hour], 0.0)
        left -= runs
    return total / JOB_H


def capture_rows() -> Iterator[Row]:
    history = measured(ZONES)
    tested = slice(2 * YEAR_H, 3 * YEAR_H)
    came = history.intensity_g_per_kwh
    issued, long_pct, taken_s = {}, {}, {}
    for name in ("auto", "ridge", "damped7"):
        started = time.process_time()
        issued[name] = rolling(forecaster(name), history, np.arange(tested.start, tested.stop), LONG_H)
        taken_s[name] = time.process_time() - started
    issued["reference"] = (issued["ridge"] + issued["damped7"]) / 2
    chosen_on = rolling(forecaster("auto"), history, np.arange(YEAR_H, 2 * YEAR_H), HORIZON_H)
    for name in ("auto", "reference"):
        long_pct[name] = np.mean([captured_long_pct(*pair) for pair in zip(issued[name], came[:, tested], strict=True)])
    bars = {"once": 84.0, "replanned": 85.7, "pausable_once": 83.5, "pausable_replanned": 85.5}
    scores = [scored(*pair) for pair in zip(issued["auto"], came[:, tested], strict=True)]
    for field, value in zip(Score._fields, np.mean(scores, axis=0), strict=True):
        yield Row("B10", f"2023, {field.replace('_', ', ')}", float(value), "%", bars.get(field))
    worst = np.min(scores, axis=0)
    yield Row("B10", "2023, once, worst zone", float(worst[0]), "%", 57.0)
    yield Row("B10", "2023, replanned, worst zone", float(worst[1]), "%", 65.0)
    yield Row("B10", "2023, 24 of 96 h, bar is the reference", long_pct["auto"], "%", long_pct["reference"])
    for zone, score in zip(ZONES, scores, strict=True):
        yield Row("B10", f"2023, once, {zone}", score.once, "%")
        yield Row("B10", f"2023, replanned, {zone}", score.replanned, "%")
    for name, year, forecasts in (
        ("ridge and damped7, 2023", tested, issued["reference"]),
        ("auto, 2022 (chosen on it)", slice(YEAR_H, 2 * YEAR_H), chosen_on),
    ):
        other = np.mean([scored(*pair) for pair in zip(forecasts, came[:, year], strict=True)], axis=0)
        for field, value in zip(Score._fields[:4], other, strict=False):
            yield Row("B10", f"{name}, {field.replace('_', ', ')}", float(value), "%")
    yield Row("B10", "a year of 12 zones, 96 h, monthly refit", taken_s["auto"], "s")
    yield from guard_rows(history, np.concatenate([chosen_on, issued["auto"][:, :, :HORIZON_H]], axis=1))
    yield from band_rows(history, issued["auto"])


def guard_rows(history: History, forecast: FloatArray) -> Iterator[Row]:
    """The frontier of the guard: errors of the 90 days before each month; 2022 from its fourth month, and 2023."""
    issue = np.arange(YEAR_H, 3 * YEAR_H)
    error = np.full(forecast.shape, np.nan)
    for begin in range(LEARNED_FROM_H, issue.size, MONTH_H):
        past, month = slice(begin - LEARNED_FROM_H, begin), slice(begin, begin + MONTH_H)
        learned = mean_errors(history.until(YEAR_H + begin), forecast[:, past], issue[past])
        error[:, month] = errors_ahead(history, learned, issue[month])
    actual = sliding_window_view(history.intensity_g_per_kwh[:, YEAR_H:], HORIZON_H, axis=1)
    runs = sliding_window_view(actual, JOB_H, axis=2).mean(axis=-1)
    for year, rows in (("2022", slice(LEARNED_FROM_H, YEAR_H)), ("2023", slice(YEAR_H, runs.shape[1]))):
        free_pct = None
        for least in THRESHOLDS:
            start = guarded_starts(forecast[:, rows], error[:, rows], JOB_H, SLACK_H, least)
            got = np.take_along_axis(runs[:, rows], start[:, :, None], axis=2)[:, :, 0]
            now, best = runs[:, rows, 0], runs[:, rows].min(axis=2)
            captured_pct = np.mean([_captured_pct(*zone) for zone in zip(now, got, best, strict=True)])
            free_pct = captured_pct if free_pct is None else free_pct
            barred = year == "2023" and least == LEAST_ERRORS
            label = f"{year}, gain above {least:g} errors" + (" (the default)" if least == LEAST_ERRORS else "")
            yield Row(
                "guard", f"{label}, points given up", free_pct - captured_pct, "", 1.2 if barred else None, "less"
            )
            worse_pct = 100 * float((got > now).mean())
            yield Row("guard", f"{label}, worse than at once", worse_pct, "%", 7.0 if barred else None, "less")


def band_rows(history: History, forecast: FloatArray) -> Iterator[Row]:
    """Coverage of 80 % bands on weeks that were not seen, each learned from what came before."""
    issue, horizon = np.arange(2 * YEAR_H, 3 * YEAR_H), forecast.shape[2]
    before = LEARNED_FROM_H + RECENT_H + horizon
    held = []
    for begin in range(before, issue.size - 168 - horizon, 168):
        past, week = slice(begin - before, begin), slice(begin, begin + 168)
        bands = learn_bands(history.until(2 * YEAR_H + begin), forecast[:, past], issue[past])
        low, high = bands.around(history, forecast[:, week], issue[week])
        came = history.intensity_g_per_kwh[:, issue[week, None] + np.arange(horizon)]
        held.append(((low <= came) & (came <= high)).mean(axis=(1, 2)))
    for zone, share in zip(ZONES, np.mean(held, axis=0), strict=True):
        yield Row("bands", f"2023, inside the 80 % band, {zone}", 100 * float(share), "%", 75.0)
    yield Row(
        "bands",
        "2023, inside the 80 % band, most of a zone",
        100 * float(np.mean(held, axis=0).max()),
        "%",
        85.0,
        "less",
    )


def speed_rows() -> Iterator[Row]:
    everywhere = measured(tuple(sorted({zone for year in YEARS for zone in zones_of_year(data_folder(), year)})))
    started = time.process_time()
    fitted = forecaster("auto").fit(everywhere, LONG_H)
    fitted.issued(everywhere, np.array([everywhere.hours]), LONG_H)
    taken_s = time.process_time() - started
    yield Row("speed", f"fit and forecast {len(everywhere.zones)} zones, 96 h", taken_s, "s", 60.0, "less")
    one = measured(("DE",))
    alone = forecaster("auto").fit(one, LONG_H)
    late = History(one.zones, one.start_s + 3600.0 * 2 * YEAR_H, one.intensity_g_per_kwh[:, 2 * YEAR_H :], one.frame)
    for label, part, bar in (("a year", late, 20.0), ("three years", one, None)):
        taken_ms = 1000 * seconds(lambda part=part: alone.issued(part, np.array([part.hours]), LONG_H))
        yield Row("speed", f"one zone's forecast from {label} of history", taken_ms, "ms", bar, "less")


def rows() -> Iterator[Row]:
    yield from capture_rows()
    yield from speed_rows()


def main() -> None:
    for row in rows():
        print(row, flush=True)


if __name__ == "__main__":
    main()
