"""B1, the oracle grid of the EuroSys 2024 row: every zone, length, slack and start hour of 2022, both modes.

Every cell is compared with a brute force that adds up and sorts the hours themselves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from table import Row, data_folder, per_second

from lowtide.planning.solvers.batch import find_cheapest, find_windows, slide_cheapest, slide_windows
from lowtide.planning.solvers.ranks import rank_steps
from lowtide.planning.solvers.steps import StepSeries, prepare
from lowtide.testing.measured import hourly, zones_of_year

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lowtide_core.series import FloatArray

HOUR_S = 3600.0
YEAR = 2022
LENGTHS_H = (1, 6, 12, 24, 48, 96, 168)
SLACKS_H = (24, 168)


def rows() -> Iterator[Row]:
    yield from rates()
    yield from grid()


def rates() -> Iterator[Row]:
    year = hourly(data_folder(), "DE", YEAR)
    series = prepare(StepSeries(year.start_s, HOUR_S, year.values))
    steps = rank_steps(series)
    starts = year.values.size - 27
    once = per_second(lambda: slide_windows(series, 4 * HOUR_S, 24 * HOUR_S), items=starts, calls=20)
    yield Row("B1", "one window, 4 h + 24 h, every start of a year", once, "plans/s", 5e6)
    pausing = per_second(lambda: slide_cheapest(steps, 4 * HOUR_S, 24 * HOUR_S), items=starts, calls=5)
    yield Row("B1", "cheapest steps, 4 of 28 h, every start of a year", pausing, "plans/s", 1e6)
    dice, jobs = np.random.default_rng(0), 20_000
    arrival_s = year.start_s + dice.integers(0, year.values.size - 216, jobs) * HOUR_S
    length_s, slack_s = dice.integers(1, 49, jobs) * HOUR_S, dice.integers(0, 25, jobs) * HOUR_S
    mixed = per_second(lambda: find_windows(series, arrival_s, arrival_s + length_s + slack_s, length_s), items=jobs)
    yield Row("B1", "one window, own length and slack <= 24 h", mixed, "plans/s", 1e6)
    slack_s = dice.integers(0, 169, jobs) * HOUR_S
    mixed = per_second(lambda: find_windows(series, arrival_s, arrival_s + length_s + slack_s, length_s), items=jobs)
    yield Row("B1", "one window, own length and slack <= 168 h", mixed, "plans/s")
    length_s = dice.integers(1, 73, jobs) * HOUR_S
    mixed = per_second(lambda: find_cheapest(steps, arrival_s, arrival_s + 72 * HOUR_S, length_s), items=jobs)
    yield Row("B1", "cheapest steps, own length in 72 h", mixed, "plans/s", 250_000)
    arrival_s, length_s = arrival_s + dice.integers(0, 3600, jobs), length_s - dice.integers(0, 1800, jobs)
    end_by_s = arrival_s + length_s + slack_s.clip(0, 24 * HOUR_S)
    part = per_second(lambda: find_windows(series, arrival_s, end_by_s, length_s), items=jobs)
    yield Row("B1", "one window, times inside hours, slack <= 24 h", part, "plans/s")
    part = per_second(lambda: find_cheapest(steps, arrival_s, end_by_s, length_s), items=jobs)
    yield Row("B1", "cheapest steps, times inside hours, slack <= 24 h", part, "plans/s")


def grid() -> Iterator[Row]:
    cells, worst_g_h = 0, 0.0
    saved_pct: dict[tuple[int, bool], list[float]] = {}
    for zone in zones_of_year(data_folder(), YEAR):
        values = hourly(data_folder(), zone, YEAR).values
        series = prepare(StepSeries(0.0, HOUR_S, values))
        steps = rank_steps(series)
        for length_h in LENGTHS_H:
            for slack_h in SLACKS_H:
                windows = slide_windows(series, length_h * HOUR_S, slack_h * HOUR_S)
                cheapest = slide_cheapest(steps, length_h * HOUR_S, slack_h * HOUR_S)
                at = windows.planned
                for found, limit, pausing in (
                    (windows, brute_windows(values, length_h, slack_h), False),
                    (cheapest, brute_cheapest(values, length_h, slack_h), True),
                ):
                    if (np.isnan(limit) != np.isnan(found.mean)).any():
                        raise AssertionError(f"{zone} {length_h} h + {slack_h} h: not the same starts are planned")
                    worst_g_h = max(worst_g_h, float(np.abs(found.mean * length_h - limit)[at].max(initial=0.0)))
                    cells += int(at.sum())
                    if slack_h == SLACKS_H[0]:
                        saved = 1 - found.mean[at].sum() / found.mean_at_once[at].sum()
                        saved_pct.setdefault((length_h, pausing), []).append(100 * float(saved))
    yield Row("B1", "cells compared with brute force, all of them", cells, "", 15e6)
    yield Row("B1", "largest difference from brute force", worst_g_h, "g·h", 0.02, "less")
    for (length_h, pausing), shares in saved_pct.items():
        how = "cheapest steps" if pausing else "one window"
        yield Row("B1", f"mean saving of {len(shares)} zones, {length_h} h + 24 h, {how}", float(np.mean(shares)), "%")


def brute_windows(values: FloatArray, length_h: int, slack_h: int) -> FloatArray:
    """Least sum of each start, g·h; NaN where a gap lies in its window."""
    sums = sliding_window_view(values, length_h).sum(axis=1)
    least: FloatArray = sliding_window_view(sums, slack_h + 1).min(axis=1)
    return least


def brute_cheapest(values: FloatArray, length_h: int, slack_h: int) -> FloatArray:
    """Sum of the cheapest hours of each start, g·h; NaN where a gap lies in its window."""
    windows = sliding_window_view(values, length_h + slack_h)
    least: FloatArray = np.partition(windows, length_h - 1, axis=1)[:, :length_h].sum(axis=1)
    least[np.isnan(windows).any(axis=1)] = np.nan
    return least


def main() -> None:
    for row in rows():
        print(row, flush=True)


if __name__ == "__main__":
    main()
