"""B3, pausing with start-up energy: eight zones, 2022, an arrival every 7 h; every plan against another DP.

A start burns as much as ``s`` hours of running do. Mean saving against running at once, which has its start as well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from table import Row, data_folder, per_second

from lowtide.planning.solvers.pauses import PauseRules, plan_pauses
from lowtide.planning.solvers.pauses_batch import plan_pauses_batch
from lowtide.planning.solvers.windows import StepSeries
from lowtide.testing.measured import hourly

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lowtide_core.series import FloatArray

HOUR_S = 3600.0
YEAR = 2022
EVERY_H = 7
ZONES = ("US-CAL-CISO", "DE", "GB", "US-TEX-ERCO", "AU-SA", "CA-ON", "ES", "JP-TK")
SHAPES: tuple[tuple[int, int, tuple[float, ...]], ...] = (
    (6, 24, (0.0, 0.25, 1.0)),
    (24, 24, (0.0, 0.1, 0.5, 1.0)),
    (24, 72, (0.0, 0.1, 0.5, 1.0)),
)


class Compared(NamedTuple):
    """Cost of each arrival's plan, (n,), value·h, and how often the exact plan resumes."""

    at_once: FloatArray
    one_window: FloatArray
    cheapest_hours: FloatArray
    exact: FloatArray
    restarts: FloatArray
    other_dp: FloatArray


def rows() -> Iterator[Row]:
    yield from rates()
    for run_h, slack_h, overheads_h in SHAPES:
        for overhead_h in overheads_h:
            yield from savings(run_h, slack_h, overhead_h)


def rates() -> Iterator[Row]:
    year = hourly(data_folder(), "DE", YEAR)
    series = StepSeries(year.start_s, HOUR_S, year.values)
    whole, few = PauseRules(0.5 * HOUR_S, 0.5 * HOUR_S), PauseRules(0.5 * HOUR_S, 0.5 * HOUR_S, max_pauses=2)
    starts_s = iter(year.start_s + HOUR_S * (np.arange(10**6) * 37 % (year.values.size - 97)))

    def single(rules: PauseRules, late_s: float = 0.0) -> None:
        start_s = float(next(starts_s)) + late_s
        plan_pauses(series, start_s, start_s + 96 * HOUR_S - late_s / 2, 24 * HOUR_S, rules)

    alone = per_second(lambda: single(whole), calls=300)
    yield Row("B3", "24 of 96 h, one call with result", alone, "plans/s", 2500)
    limited = per_second(lambda: single(few), calls=100)
    yield Row("B3", "24 of 96 h, one call, at most two pauses", limited, "plans/s")
    inside = per_second(lambda: single(whole, 1234.0), calls=50)
    yield Row("B3", "24 of 96 h, one call, window ends inside hours", inside, "plans/s")
    dice = np.random.default_rng(0)
    arrivals = dice.integers(0, year.values.size - 96, 20_000)
    batch = per_second(lambda: plan_pauses_batch(year.values, arrivals, 96, 24, 0.5, 0.5), items=arrivals.size)
    yield Row("B3", "24 of 96 h, batch", batch, "plans/s", 100_000)


def savings(run_h: int, slack_h: int, overhead_h: float) -> Iterator[Row]:
    zones = [compare(hourly(data_folder(), zone, YEAR).values, run_h, slack_h, overhead_h) for zone in ZONES]
    case = f"{run_h} of {run_h + slack_h} h, start {overhead_h:g} h:"
    every = Compared(*(np.concatenate(part) for part in zip(*zones, strict=True)))
    off = float(np.max(np.abs(every.exact / every.other_dp - 1)))
    yield Row("B3", f"{case} relative distance from another DP", off, "", 1e-9, "less")
    simple = np.minimum(every.one_window, every.cheapest_hours)
    dearer = float(np.sum(every.exact > simple * (1 + 1e-12)))
    yield Row("B3", f"{case} plans dearer than a simple rule", dearer, "", 0, "less")
    for name, cost in zip(("one window", "cheapest hours", "exact"), every[1:4], strict=True):
        yield Row("B3", f"{case} saved, {name}", 100 * float(np.mean(1 - cost / every.at_once)), "%")
    yield Row("B3", f"{case} restarts, exact", float(np.mean(every.restarts)), "a job")


def compare(values: FloatArray, run_h: int, slack_h: int, overhead_h: float) -> Compared:
    """Arrivals whose window has no gap."""
    window_h = run_h + slack_h
    windows = sliding_window_view(values, window_h)[::EVERY_H]
    known = ~np.isnan(windows).any(axis=1)
    starts, windows = np.flatnonzero(known) * EVERY_H, windows[known]
    plans = plan_pauses_batch(values, starts, window_h, run_h, overhead_h, overhead_h)
    sums = sliding_window_view(windows, run_h, axis=1).sum(axis=2) + overhead_h * windows[:, : slack_h + 1]
    chosen = np.zeros(windows.shape, dtype=np.bool_)
    np.put_along_axis(chosen, np.argsort(windows, axis=1, kind="stable")[:, :run_h], True, axis=1)
    return Compared(
        at_once=sums[:, 0],
        one_window=sums.min(axis=1),
        cheapest_hours=cost_of(windows, chosen, overhead_h),
        exact=cost_of(windows, plans.runs, overhead_h),
        restarts=plans.restarts.astype(np.float64),
        other_dp=backward_dp(windows, run_h, overhead_h),
    )


def cost_of(windows: FloatArray, chosen: np.ndarray, overhead_h: float) -> FloatArray:
    """By the definition: the chosen hours, and a start wherever the hour before is not chosen."""
    before = np.pad(chosen, ((0, 0), (1, 0)))[:, :-1]
    total: FloatArray = (windows * (chosen + overhead_h * (chosen & ~before))).sum(axis=1)
    return total


def backward_dp(windows: FloatArray, run_h: int, overhead_h: float) -> FloatArray:
    """The least cost, from the deadline back to the arrival: what is still to pay with ``left`` hours to run."""
    count, window_h = windows.shape
    if_on, if_off = (np.full((count, run_h + 1), np.inf) for _ in range(2))
    if_on[:, 0] = if_off[:, 0] = 0.0
    for hour in range(window_h - 1, -1, -1):
        value = windows[:, hour, None]
        run = np.pad(if_on[:, :-1], ((0, 0), (1, 0)), constant_values=np.inf) + value
        if_on, if_off = np.minimum(run, if_off), np.minimum(run + overhead_h * value, if_off)
    return if_off[:, run_h]


def main() -> None:
    for row in rows():
        print(row)


if __name__ == "__main__":
    main()
