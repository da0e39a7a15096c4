"""How wrong issued forecasts were, by how far they looked ahead, and the 80 % band that follows for a new one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from lowtide_core.errors import InputError
from lowtide_core.quantities import SECONDS_PER_HOUR
from lowtide_core.series import require_one_frame
from lowtide_core.spans import to_epoch_s

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lowtide_core.series import FloatArray, SignalSeries

_LOW, _HIGH = 0.1, 0.9
_LEAST_RESIDUALS = 9
"""The lowest tenth of fewer cannot be told from their minimum."""


@dataclass(frozen=True, slots=True, eq=False)
class ResidualQuantiles:
    """What came over what was forecast, by horizon: bin ``i`` ends at ``horizon_h[i]`` and begins where the last ends.

    Attributes:
        horizon_h: (k,), h after the issue, ascending.
        low_ratio, high_ratio: 10 % and 90 % quantiles of actual / forecast; (k,).
        count: Residuals in each bin; (k,).
    """

    horizon_h: FloatArray
    low_ratio: FloatArray
    high_ratio: FloatArray
    count: np.ndarray[tuple[int, ...], np.dtype[np.int64]]


def residual_quantiles(
    issued: Sequence[SignalSeries], actual: SignalSeries, horizons_h: Sequence[float]
) -> ResidualQuantiles:
    """Quantiles of actual over forecast, learned from forecasts as they were issued.

    Args:
        issued: Forecasts of one zone, each with ``issued_at``; any steps.
        actual: What came in that zone, in the same frame.
        horizons_h: Ends of the bins, h after the issue; ascending, > 0. A step belongs to the bin of its middle.
    Raises:
        InputError: Zones or frames differ, a forecast has no issue time, the horizons do not ascend, or a bin has
            fewer than nine residuals (``facts["horizon_h"]`` names it).
    Notes:
        The ratio suits intensities, whose errors grow with their level. Steps that had begun at the issue, that no
        actual covers whole, or that were forecast as zero, teach nothing and are left out. Quantiles are those of
        rank p (n + 1), with which a further residual of the same kind falls below them with probability p.
    """
    ends_h = np.asarray(horizons_h, dtype=np.float64)
    if not ends_h.size or not (np.diff(ends_h, prepend=0.0) > 0).all():
        raise InputError(f"The horizons {list(horizons_h)} h do not ascend from zero.", hint="Give 6, 12, 24, 48.")
    _require_comparable(issued, actual)
    pairs = [_residuals(forecast, actual) for forecast in issued]
    ahead_h = np.concatenate([np.zeros(0), *(pair[0] for pair in pairs)])
    ratios = np.concatenate([np.zeros(0), *(pair[1] for pair in pairs)])
    where = np.searchsorted(ends_h, ahead_h, side="left")
    by_bin = [ratios[where == number] for number in range(ends_h.size)]
    for end_h, residuals in zip(ends_h, by_bin, strict=True):
        if residuals.size < _LEAST_RESIDUALS:
            raise InputError(
                f"Only {residuals.size} issued values of {actual.zone} can be compared up to {end_h:g} h ahead.",
                hint=f"Archive more forecasts, or give wider horizons: each needs {_LEAST_RESIDUALS} values.",
                horizon_h=float(end_h),
            )
    quantiles = np.array([np.quantile(residuals, (_LOW, _HIGH), method="weibull") for residuals in by_bin])
    return ResidualQuantiles(ends_h, quantiles[:, 0], quantiles[:, 1], np.array([part.size for part in by_bin]))


def with_band(series: SignalSeries, quantiles: ResidualQuantiles) -> SignalSeries:
    """The forecast with an 80 % band, tagged in its note; beyond the last horizon learned, that one's width holds.

    Raises:
        InputError: The series has no issue time, so that nobody knows how far ahead its steps lie.
    """
    ahead_h = _ahead_h(series)
    where = np.minimum(np.searchsorted(quantiles.horizon_h, ahead_h, side="left"), quantiles.horizon_h.size - 1)
    last_h = float(quantiles.horizon_h[-1])
    tag = f"band learned from {int(quantiles.count.sum())} issued values"
    if (ahead_h > last_h).any():
        tag += f", beyond {last_h:g} h as up to there"
    return replace(
        series,
        low_g_per_kwh=series.intensity_g_per_kwh * quantiles.low_ratio[where],
        high_g_per_kwh=series.intensity_g_per_kwh * quantiles.high_ratio[where],
        note=f"{series.note}; {tag}" if series.note else tag,
    )


def _require_comparable(issued: Sequence[SignalSeries], actual: SignalSeries) -> None:
    require_one_frame((series.source, series.frame) for series in (actual, *issued))
    elsewhere = sorted({str(series.zone) for series in issued} - {str(actual.zone)})
    if elsewhere:
        raise InputError(
            f"Forecasts of {', '.join(elsewhere)} cannot be judged by what came in {actual.zone}.",
            hint="Learn each zone from its own figures.",
        )


def _ahead_h(series: SignalSeries) -> FloatArray:
    """From the issue to the middle of each step; (n,), h."""
    if series.issued_at is None:
        raise InputError(
            f"{series.source}: the series of {series.zone} does not say when it was issued.",
            hint="Only forecasts with an issue time have a horizon.",
        )
    middles_s = series.start_s + series.step_s * (np.arange(series.intensity_g_per_kwh.size) + 0.5)
    return np.asarray((middles_s - to_epoch_s(series.issued_at)) / SECONDS_PER_HOUR, dtype=np.float64)


def _residuals(forecast: SignalSeries, actual: SignalSeries) -> tuple[FloatArray, FloatArray]:
    """Horizon, h, and actual over forecast of every step that teaches something; both (m,)."""
    ahead_h, came = _ahead_h(forecast), _step_means(forecast, actual)
    begun = ahead_h < forecast.step_s / 2 / SECONDS_PER_HOUR
    usable = ~begun & ~np.isnan(came) & (forecast.intensity_g_per_kwh > 0)  # a gap in the forecast is not > 0
    return ahead_h[usable], came[usable] / forecast.intensity_g_per_kwh[usable]


def _step_means(forecast: SignalSeries, actual: SignalSeries) -> FloatArray:
    """Mean of the actual over each step of the forecast, g/kWh; NaN where it does not cover the whole step; (n,)."""
    known = ~np.isnan(actual.intensity_g_per_kwh)
    edges_s = actual.step_s * np.arange(known.size + 1)  # from the actual's start: small numbers keep the digits
    steps_s = forecast.start_s - actual.start_s + forecast.step_s * np.arange(forecast.intensity_g_per_kwh.size + 1)
    weighed, covered_s = (
        np.diff(np.interp(steps_s, edges_s, np.concatenate(([0.0], np.cumsum(values * actual.step_s)))))
        for values in (np.nan_to_num(actual.intensity_g_per_kwh), known)
    )
    whole = covered_s > forecast.step_s - 1e-6
    return np.where(whole, weighed / forecast.step_s, np.nan)
