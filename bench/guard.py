"""What the guard costs and spares on the embedded climatology: planned with each threshold, and scored on what came.

Twelve zones, 2022 and 2023, a 4 h job with 24 h of slack that arrives every 7 h. For orientation: nothing has a bar.
The climatology was fitted on these years too, so the captured shares are a little high; what the guard takes is not.
What it does on forecasts from history is shown in ``forecasting.py``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from table import Row, data_folder

from lowtide.jobs.guard import LEAST_ERRORS, least_errors_of, worth_shifting
from lowtide.planning.chances import MEAN_ERRORS_IN_BAND_80
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
DEFAULT = least_errors_of("climatology", LEAST_ERRORS)
THRESHOLDS = (0.0, 0.1, DEFAULT, 0.25, 0.3, 0.35, 0.5, 0.75)


class Outcomes(NamedTuple):
    """One row per arrival: what was expected of its plan, and the means over the run that came; g/kWh.

    Attributes:
        gain, error: Expected. planned, now, oracle: What came in the planned window, at once, and in the best one.
    """

    gain: FloatArray
    error: FloatArray
    planned: FloatArray
    now: FloatArray
    oracle: FloatArray


def outcomes(zone: str, year: int) -> Outcomes:
    """Every arrival of the year, planned on the climatology without a guard."""
    actual = hourly(data_folder(), zone, year)
    span = Span(from_epoch_s(actual.start_s), from_epoch_s(actual.start_s + HOUR_S * actual.values.size))
    usual = ClimatologySource().fetch(ZoneId(zone), span, "forecast")
    low, high = usual.low_g_per_kwh, usual.high_g_per_kwh
    assert low is not None
    assert high is not None
    came, expected, error = (
        sliding_window_view(sliding_window_view(values, JOB_H).mean(axis=1), SLACK_H + 1)[::ARRIVES_EVERY_H]
        for values in (actual.values, usual.intensity_g_per_kwh, (high - low) / MEAN_ERRORS_IN_BAND_80)
    )
    whole = ~np.isnan(came).any(axis=1)
    came, expected, error = came[whole], expected[whole], error[whole]
    each, start = np.arange(len(came)), expected.argmin(axis=1)
    gain = expected[:, 0] - expected[each, start]
    return Outcomes(gain, error[each, start], came[each, start], came[:, 0], came.min(axis=1))


def scored(zone: Outcomes, least_errors: float) -> tuple[float, float]:
    """Share of the oracle's saving that is captured, and share of the plans that are worse than at once; percent."""
    ran = np.where(worth_shifting(zone.gain, zone.error, least_errors), zone.planned, zone.now)
    captured = (zone.now.sum() - ran.sum()) / (zone.now.sum() - zone.oracle.sum())
    return 100 * float(captured), 100 * float((ran > zone.now).mean())


def rows() -> Iterator[Row]:
    zones = []
    for name in ZONES:
        years = [outcomes(name, year) for year in YEARS]
        zones.append(Outcomes(*(np.concatenate(columns) for columns in zip(*years, strict=True))))
    for least in THRESHOLDS:
        captured_pct, worse_pct = np.mean([scored(zone, least) for zone in zones], axis=0)
        mark = " (the default)" if least == DEFAULT else ""
        yield Row("guard", f"climatology captured, gain above {least:g} errors{mark}", captured_pct, "%")
        yield Row("guard", f"climatology worse than at once, gain above {least:g} errors{mark}", worse_pct, "%")


def main() -> None:
    for row in rows():
        print(row)


if __name__ == "__main__":
    main()
