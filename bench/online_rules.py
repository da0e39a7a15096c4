"""B4, deciding hour by hour: threshold rules that know only a range against plans on a forecast from history alone.

10 hours of running within 48, an arrival every 37 h of 2023, 50 per switch on or off (in the units of the series). The
forecaster has seen 2022, learns anew every month, and knows the hours before the one that it plans for. The rules know
the present hour too, and the least and the largest value of the whole year, which nobody knows beforehand. Each bar is
the best of the three rules, computed here beside it.

Source:
    ``lowtide.backtest.rules`` names the papers of the rules.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from table import Row, data_folder

from lowtide.backtest.issued import Came
from lowtide.backtest.made import made_forecasts
from lowtide.backtest.rules import one_threshold, pause_and_resume, runs_by_thresholds
from lowtide.forecasting.names import forecaster as named_forecaster
from lowtide.forecasting.types import History
from lowtide.planning.solvers.pauses_cells import CellJob, cheapest_cells
from lowtide.testing.measured import HOUR_S, hourly
from lowtide_core.series import LIFECYCLE_CONSUMPTION

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lowtide.backtest.rules import Thresholds
    from lowtide_core.series import FloatArray

YEAR = 2023
ZONES = ("AU-NSW", "CA-ON", "DE", "GB", "US-CAL-CISO", "US-TEX-ERCO")
WINDOW_H, RUN_H, EVERY_H = 48, 10, 37
SWITCH = 50.0
FORECASTER = "auto"


class Zone(NamedTuple):
    """A year to be decided on, hour by hour.

    Attributes:
        windows: What came in each window; (m, 48).
        seen: Of each window the forecast of each of its hours; (m, 48, 48).
        low, high: Range of the whole year.
    """

    windows: FloatArray
    seen: FloatArray
    low: float
    high: float


def zone_of(name: str) -> Zone:
    """The year of a zone, with what the forecaster said in each hour of each window."""
    before, now = (hourly(data_folder(), name, year) for year in (YEAR - 1, YEAR))
    values = np.concatenate([before.values, now.values])
    first = before.values.size
    arrivals = np.array(
        [
            hour
            for hour in range(first, values.size - WINDOW_H + 1, EVERY_H)
            if not np.isnan(values[hour : hour + WINDOW_H]).any()
        ]
    )
    came = Came(name, before.start_s, HOUR_S, values, LIFECYCLE_CONSUMPTION, "measured")
    history = History((name,), before.start_s, values[None], LIFECYCLE_CONSUMPTION)
    issue = np.arange(first, values.size, dtype=np.int64)
    (issued,) = made_forecasts(named_forecaster(FORECASTER), history, [came], issue, WINDOW_H)
    rows = arrivals[:, None] - first + np.arange(WINDOW_H)
    windows = values[arrivals[:, None] + np.arange(WINDOW_H)]
    return Zone(windows, issued.values[rows], float(np.nanmin(now.values)), float(np.nanmax(now.values)))


def rows() -> Iterator[Row]:
    for name in ZONES:
        yield from _zone(name, zone_of(name))


def _zone(name: str, zone: Zone) -> Iterator[Row]:
    now = np.array([cost_of(window, list(range(RUN_H))) for window in zone.windows])
    best = np.array([cost_of(window, planned(window, RUN_H, running=False)) for window in zone.windows])
    yield Row("B4", f"{name}: the best that could have been saved", 100 * float(np.mean(1 - best / now)), "%")

    def captured(cost: FloatArray) -> float:
        return 100 * float((now - cost).sum() / (now - best).sum())

    def tail(cost: FloatArray) -> float:
        return float(np.quantile(cost / best, 0.95))

    rules = {
        "k-min search": pause_and_resume(zone.low, zone.high, RUN_H, 0.0),
        "one threshold": one_threshold(zone.low, zone.high, RUN_H),
        "pause and resume": pause_and_resume(zone.low, zone.high, RUN_H, SWITCH),
    }
    costs = {rule: by_rule(zone.windows, limits) for rule, limits in rules.items()}
    for rule, cost in costs.items():
        yield Row("B4", f"{name}: captured, {rule}", captured(cost), "%")
    pairs = list(zip(zone.windows, zone.seen, strict=True))
    once = np.array([cost_of(window, planned(seen[0], RUN_H, running=False)) for window, seen in pairs])
    again = np.array([cost_of(window, replanned(seen)) for window, seen in pairs])
    yield Row("B4", f"{name}: captured, planned once", captured(once), "%")
    least = max(captured(cost) for cost in costs.values())
    yield Row("B4", f"{name}: captured, planned again every hour", captured(again), "%", least)
    most = tail(costs["pause and resume"])
    yield Row("B4", f"{name}: 95th percentile of cost to the best", tail(again), "", most, "less")


def cost_of(window: FloatArray, hours: list[int]) -> float:
    switches = 2 * sum(hour - 1 not in hours for hour in hours)
    return float(window[hours].sum()) + SWITCH * switches


def by_rule(windows: FloatArray, limits: Thresholds) -> FloatArray:
    """Cost of each window as the rule runs it; (m,)."""
    many = np.ones(len(windows), dtype=np.int64)
    each = type(limits)(*(np.repeat(side[None], len(windows), axis=0) for side in limits))
    runs = runs_by_thresholds(windows, many * WINDOW_H, many * RUN_H, each)
    return np.array([cost_of(window, np.flatnonzero(ran).tolist()) for window, ran in zip(windows, runs, strict=True)])


def planned(window: FloatArray, run_h: int, *, running: bool) -> list[int]:
    """The hours of the exact plan; a job that runs already has paid to be switched on."""
    work, start = np.ones(run_h), np.full(run_h, 2 * SWITCH)
    job = CellJob(window, np.ones(window.size), window, work, start, 1, 0 if running else None)
    return [hour for begin, end in cheapest_cells(job, None).spans for hour in range(int(begin), int(end))]


def replanned(seen: FloatArray) -> list[int]:
    """Each hour decided by a new plan on what is known when it begins.

    Args:
        seen: (48, 48): row ``h`` is the forecast that was issued in hour ``h`` of the window.
    """
    hours: list[int] = []
    for hour in range(WINDOW_H):
        left = RUN_H - len(hours)
        if not left:
            break
        ahead = seen[hour, : WINDOW_H - hour]
        if planned(ahead, left, running=bool(hours) and hours[-1] == hour - 1)[0] == 0:
            hours.append(hour)
    return hours


def main() -> int:
    found = list(rows())
    for row in found:
        print(row)
    return 0 if all(row.holds for row in found) else 1


if __name__ == "__main__":
    sys.exit(main())
