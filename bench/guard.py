"""What the guard costs and spares: the embedded climatology planned with each threshold, and scored on what came.

Twelve zones, 2022 and 2023, a 4 h job with 24 h of slack that arrives every 7 h. For orientation: nothing has a bar.
The climatology was fitted on these years too, so the captured shares are a little high; what the guard takes is not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from table import Row, data_folder

from lowtide.planning.chances import LEAST_SIGMAS, difference_variance, gain_beats_error
from lowtide.planning.solvers.windows import StepSeries, best_window
from lowtide.testing.measured import HOUR_S, hourly
from lowtide_core.places import ZoneId
from lowtide_core.spans import Span, from_epoch_s
from lowtide_providers.signals.climatology import ClimatologySource

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lowtide_core.series import FloatArray

ZONES = (
    *("US-CAL-CISO", "US-TEX-ERCO", "DE", "GB", "AU-NSW", "US-MIDA-PJM"),
    *("CA-ON", "US-NY-NYIS", "BR-CS", "CL-SEN", "JP-TK", "ZA"),
)
YEARS = (2022, 2023)
JOB_H, SLACK_H, ARRIVES_EVERY_H = 4, 24, 7
THRESHOLDS = (0.0, 0.1, 0.15, 0.2, 0.25, 0.5, 0.75, 1.0)


class Outcomes(NamedTuple):
    """One row per arrival: what was expected of its plan, and the means over the run that came; g/kWh.

    Attributes:
        gain, variance: Expected. planned, now, oracle: What came in the planned window, at once, and in the best one.
    """

    gain: FloatArray
    variance: FloatArray
    planned: FloatArray
    now: FloatArray
    oracle: FloatArray


def outcomes(zone: str, year: int) -> Outcomes:
    """Every arrival of the year, planned on the climatology without a guard."""
    actual = hourly(data_folder(), zone, year)
    end_s = actual.start_s + HOUR_S * actual.values.size
    span = Span(from_epoch_s(actual.start_s), from_epoch_s(end_s))
    usual = ClimatologySource().fetch(ZoneId(zone), span, "forecast")
    low, high = usual.low_g_per_kwh, usual.high_g_per_kwh
    assert low is not None
    assert high is not None
    steps = StepSeries(actual.start_s, HOUR_S, usual.intensity_g_per_kwh)
    came = np.convolve(actual.values, np.full(JOB_H, 1 / JOB_H), mode="valid")
    expected = np.convolve(steps.values, np.full(JOB_H, 1 / JOB_H), mode="valid")
    rows = []
    for at in range(0, came.size - SLACK_H, ARRIVES_EVERY_H):
        window = slice(at, at + SLACK_H + JOB_H)
        if np.isnan(actual.values[window]).any():
            continue
        earliest_s = actual.start_s + HOUR_S * at
        found = best_window(steps, earliest_s, earliest_s + HOUR_S * (SLACK_H + JOB_H), JOB_H * HOUR_S)
        start = round((found.start_s - actual.start_s) / HOUR_S)
        weights = np.zeros(SLACK_H + JOB_H)
        weights[start - at : start - at + JOB_H] += 1 / JOB_H
        weights[:JOB_H] -= 1 / JOB_H
        variance = difference_variance(weights, low[window], high[window], steps.edges_s()[window])
        rows.append(
            (expected[at] - expected[start], variance, came[start], came[at], came[at : at + SLACK_H + 1].min())
        )
    return Outcomes(*np.array(rows).T)


def scored(zone: Outcomes, least_sigmas: float) -> tuple[float, float]:
    """Share of the oracle's saving that is captured, and share of the plans that are worse than at once; percent."""
    shifted = [gain_beats_error(g, v, least_sigmas) for g, v in zip(zone.gain, zone.variance, strict=True)]
    ran = np.where(shifted, zone.planned, zone.now)
    captured = (zone.now.sum() - ran.sum()) / (zone.now.sum() - zone.oracle.sum())
    return 100 * float(captured), 100 * float((ran > zone.now).mean())


def rows() -> Iterator[Row]:
    zones = []
    for name in ZONES:
        years = [outcomes(name, year) for year in YEARS]
        zones.append(Outcomes(*(np.concatenate(columns) for columns in zip(*years, strict=True))))
    for least_sigmas in THRESHOLDS:
        captured_pct, worse_pct = np.mean([scored(zone, least_sigmas) for zone in zones], axis=0)
        mark = " (the default)" if least_sigmas == LEAST_SIGMAS else ""
        yield Row("guard", f"captured, gain above {least_sigmas:g} sigma{mark}", captured_pct, "%")
        yield Row("guard", f"worse than at once, gain above {least_sigmas:g} sigma{mark}", worse_pct, "%")


def main() -> None:
    for row in rows():
        print(row)


if __name__ == "__main__":
    main()
