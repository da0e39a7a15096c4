"""B11, training runs on GPUs: what a later start and what pausing brings, by the length of the run.

Source:
    J. Dodge et al., Measuring the Carbon Intensity of AI in Cloud Instances, FAccT 2022: the lengths of their runs from
    a small language model (0.4 h) to one of 6 billion parameters (192 h), flexible start and pause-and-resume.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from table import Row, data_folder

from lowtide.planning.solvers.batch import find_cheapest, find_windows
from lowtide.planning.solvers.job_times import every_start
from lowtide.planning.solvers.ranks import rank_steps
from lowtide.planning.solvers.steps import StepSeries, prepare
from lowtide.testing.measured import hourly

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lowtide.planning.solvers.steps import PreparedSeries
    from lowtide_core.series import FloatArray

HOUR_S = 3600.0
LENGTHS_H = (0.4, 6.0, 36.0, 90.0, 192.0)
DAY_H = 24.0
PARTS = 5
"""0.4 h is two fifths of an hour: on fifths of hours every length is whole."""

REGIONS = {
    "West US": "US-CAL-CISO",
    "West US 2": "US-NW-BPAT",
    "Central US": "US-MIDW-MISO",
    "South Central US": "US-TEX-ERCO",
    "East US": "US-MIDA-PJM",
    "Canada Central": "CA-ON",
    "UK South": "GB",
    "North Europe": "IE",
    "West Europe": "NL",
    "France Central": "FR",
    "Germany West Central": "DE",
    "Norway East": "NO-NO1",
    "Australia East": "AU-NSW",
    "Japan East": "JP-TK",
    "Korea Central": "KR",
}


MODES = (
    ("start <= 24 h later", "later", lambda _: DAY_H),
    ("paused in 2 x length", "paused", lambda length_h: length_h),
    ("paused + 24 h", "paused", lambda _: DAY_H),
)


def rows() -> Iterator[Row]:
    worst = 0.0
    saved_pct: dict[tuple[float, str], list[float]] = {}
    for zone in REGIONS.values():
        values = hourly(data_folder(), zone, 2022).values
        series = prepare(StepSeries(0.0, HOUR_S, values))
        for length_h in LENGTHS_H:
            for name, how, slack_of in MODES:
                mean, at_once = planned(series, how, length_h, slack_of(length_h))
                limit = brute(values, how, length_h, slack_of(length_h))
                worst = max(worst, float(np.abs(mean / limit - 1).max()))
                saved_pct.setdefault((length_h, name), []).append(100 * (1 - float(mean.sum() / at_once.sum())))
    for (length_h, name), shares in saved_pct.items():
        yield Row("B11", f"{length_h:g} h, {name}: mean of {len(REGIONS)} regions", float(np.mean(shares)), "%")
    yield Row("B11", "farthest from brute force, relative", worst, "", 1e-9, "less")
    yield Row("B11", "most that a later start saves of 192 h", max(saved_pct[192.0, MODES[0][0]]), "%", 3, "less")


def planned(series: PreparedSeries, how: str, length_h: float, slack_h: float) -> tuple[FloatArray, FloatArray]:
    times = every_start(series, length_h * HOUR_S, slack_h * HOUR_S)
    plans = find_windows(series, *times) if how == "later" else find_cheapest(rank_steps(series), *times)
    return plans.mean, plans.mean_at_once


def brute(values: FloatArray, how: str, length_h: float, slack_h: float) -> FloatArray:
    """Least mean of each start on the hour, from the fifths of hours themselves."""
    fifths = np.repeat(values, PARTS)
    length, slack = round(length_h * PARTS), round(slack_h * PARTS)
    if how == "later":
        runs = np.convolve(fifths, np.full(length, 1 / length), "valid")
        least: FloatArray = sliding_window_view(runs, slack + 1)[::PARTS].min(axis=1)
        return least
    windows = sliding_window_view(fifths, length + slack)[::PARTS]
    return np.concatenate([np.sort(some, axis=1)[:, :length].mean(axis=1) for some in np.array_split(windows, 50)])


def main() -> None:
    for row in rows():
        print(row)


if __name__ == "__main__":
    main()
