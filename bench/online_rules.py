"""B4, deciding hour by hour: threshold rules that know only a range against plans on a forecast from history alone.

10 hours of running within 48, an arrival every 37 h of 2023, 50 per switch on or off (in the units of the series). The
forecast is the mean day of the last week, with the latest deviation from it fading out. For orientation: the published
table is of 2024, with a better forecast. Of the published rules the double threshold is not built here.

Source:
    J. Lorenz, K. Panagiotou, A. Steger, Optimal Algorithms for k-Search with Application in Option Pricing,
    Algorithmica 55 (2009): the k-min search and its reservation prices.
    R. El-Yaniv et al., Optimal Search and One-Way Trading Online Algorithms, Algorithmica 30 (2001): one threshold.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from table import Row, data_folder

from lowtide.planning.solvers.pauses_cells import CellJob, cheapest_cells
from lowtide.testing.measured import hourly

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lowtide_core.series import FloatArray

    Rule = Callable[[float, int], bool]

YEAR = 2023
ZONES = ("AU-NSW", "CA-ON", "DE", "GB", "US-CAL-CISO", "US-TEX-ERCO")
WINDOW_H, RUN_H, EVERY_H = 48, 10, 37
SWITCH = 50.0
WEEK_H = 168
FADES_PER_H = 0.92


def rows() -> Iterator[Row]:
    for zone in ZONES:
        values = hourly(data_folder(), zone, YEAR).values
        arrivals = [
            hour
            for hour in range(WEEK_H, values.size - WINDOW_H + 1, EVERY_H)
            if not np.isnan(values[hour - WEEK_H : hour + WINDOW_H]).any()
        ]
        yield from _zone(zone, values, arrivals)


def _zone(zone: str, values: FloatArray, arrivals: list[int]) -> Iterator[Row]:
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    prices = reservation_prices(low, high, RUN_H)
    plans: dict[str, Callable[[int], list[int]]] = {
        "k-min search": lambda hour: by_rule(values, hour, lambda value, done: value <= prices[done]),
        "one threshold": lambda hour: by_rule(values, hour, lambda value, _: value <= math.sqrt(low * high)),
        "planned once": lambda hour: planned(_forecast(values, hour), RUN_H, running=False),
        "planned again every hour": lambda hour: replanned(values, hour),
    }
    windows = [values[hour : hour + WINDOW_H] for hour in arrivals]
    now = np.array([cost_of(window, list(range(RUN_H))) for window in windows])
    best = np.array([cost_of(window, planned(window, RUN_H, running=False)) for window in windows])
    yield Row("B4", f"{zone}: the best that could have been saved", 100 * float(np.mean(1 - best / now)), "%")
    for name, plan in plans.items():
        cost = np.array([cost_of(window, plan(hour)) for window, hour in zip(windows, arrivals, strict=True)])
        captured = float((now - cost).sum() / (now - best).sum())
        yield Row("B4", f"{zone}: captured, {name}", 100 * captured, "%")
        yield Row("B4", f"{zone}: 95th percentile of cost to the best, {name}", float(np.quantile(cost / best, 0.95)))


def cost_of(window: FloatArray, hours: list[int]) -> float:
    switches = 2 * sum(hour - 1 not in hours for hour in hours)
    return float(window[hours].sum()) + SWITCH * switches


def planned(window: FloatArray, run_h: int, *, running: bool) -> list[int]:
    """The hours of the exact plan; a job that runs already has paid to be switched on."""
    work, start = np.ones(run_h), np.full(run_h, 2 * SWITCH)
    job = CellJob(window, np.ones(window.size), window, work, start, 1, 0 if running else None)
    return [hour for begin, end in cheapest_cells(job, None).spans for hour in range(int(begin), int(end))]


def replanned(values: FloatArray, arrival: int) -> list[int]:
    """Each hour decided by a new plan on what is known in that hour, its own value included."""
    hours: list[int] = []
    for hour in range(WINDOW_H):
        left = RUN_H - len(hours)
        if not left:
            break
        ahead = _forecast(values, arrival + hour)[: WINDOW_H - hour]
        if planned(ahead, left, running=bool(hours) and hours[-1] == hour - 1)[0] == 0:
            hours.append(hour)
    return hours


def by_rule(values: FloatArray, arrival: int, wanted: Rule) -> list[int]:
    """Run where the rule wants it, and where there is no other hour left."""
    hours: list[int] = []
    for hour in range(WINDOW_H):
        left = RUN_H - len(hours)
        if left and (left == WINDOW_H - hour or wanted(float(values[arrival + hour]), len(hours))):
            hours.append(hour)
    return hours


def reservation_prices(low: float, high: float, count: int) -> list[float]:
    """What the i-th of ``count`` purchases may cost at most, so that the worst ratio to the best is least."""

    def excess(ratio: float) -> float:
        return (1 - low / high) / (1 - 1 / ratio) - (1 + 1 / (count * ratio)) ** count

    below, above = 1 + 1e-9, high / low + 1
    for _ in range(200):
        middle = (below + above) / 2
        below, above = (middle, above) if excess(middle) > 0 else (below, middle)
    return [high * (1 - (1 - 1 / above) * (1 + 1 / (count * above)) ** done) for done in range(count)]


def _forecast(values: FloatArray, hour: int) -> FloatArray:
    """The window from that hour on, of which only the first value is known."""
    day = values[hour - WEEK_H : hour].reshape(7, 24).mean(axis=0)
    profile = np.resize(day, WINDOW_H)
    ahead: FloatArray = profile + (values[hour] - profile[0]) * FADES_PER_H ** np.arange(WINDOW_H)
    return np.maximum(ahead, 0.0)


def main() -> None:
    for row in rows():
        print(row)


if __name__ == "__main__":
    main()
