"""Bands around forecasts from history, from how wrong forecasts of the last months were at each hour of the day.

A residual is measured in the mean absolute error of the two weeks before its forecast was issued. So the shape of the
band is learned from months, and its width follows the grid within days: a band of fixed width would hold less than
half of what comes in some months, and nearly all in others.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from lowtide.forecasting.residuals import residuals, target_hour_of_day
from lowtide.forecasting.types import HOUR_S
from lowtide_core.errors import InputError

if TYPE_CHECKING:
    from lowtide.forecasting.types import History, IntArray
    from lowtide_core.series import FloatArray, SignalSeries

ENDS_H = (3, 6, 12, 24, 48, 96)
COVERAGE = 0.8
LEARNED_FROM_H = 90 * 24
"""Forecasts of so long should be given to ``learn_bands``, before the two weeks and the horizon that it needs itself.
Of 60, 90 and 180 days, 90 held most evenly in 2022."""
RECENT_H = 14 * 24
_LEAST_RESIDUALS = 9
"""The lowest tenth of fewer cannot be told from their minimum."""


@dataclass(frozen=True, slots=True, eq=False)
class ErrorBands:
    """How far what comes lies from what is forecast.

    Attributes:
        ends_h: Last hour ahead of each bin, ascending; (k,).
        low, high: Quantiles of the residuals in recent errors, by UTC hour of the day of what is forecast, and bin;
            (z, 24, k); NaN where nothing could be learned.
        recent_g_per_kwh: Mean absolute error of the two weeks before; (z,).
    """

    ends_h: IntArray
    low: FloatArray
    high: FloatArray
    recent_g_per_kwh: FloatArray

    def around(self, history: History, forecast: FloatArray, issue: IntArray) -> tuple[FloatArray, FloatArray]:
        """The band of new forecasts: low and high, never below zero; beyond the last bin as within it.

        Args:
            history: On whose axis the issues are.
            forecast: (z, n, horizon), g/kWh.
            issue: (n,) hours.
        """
        horizon = forecast.shape[2]
        hour, part = target_hour_of_day(history, issue, horizon), _bins(self.ends_h, horizon)
        width = self.recent_g_per_kwh[:, None, None]
        low = np.maximum(forecast + width * self.low[:, hour, part], 0.0)
        return low, np.maximum(forecast + width * self.high[:, hour, part], low)


def learn_bands(
    history: History,
    forecast: FloatArray,
    issue: IntArray,
    ends_h: tuple[int, ...] = ENDS_H,
    coverage: float = COVERAGE,
) -> ErrorBands:
    """Learns bands from forecasts as they were issued.

    Args:
        history: What had come by now.
        forecast: (z, n, horizon), g/kWh; see ``rolling``.
        issue: (n,) hours, ascending; ``LEARNED_FROM_H`` of them and more, up to now.
        ends_h: Bins of hours ahead; ascending, > 0. Those that begin beyond the horizon are left out.
        coverage: Share of what comes that the band should hold; 0-1.
    Raises:
        InputError: The bins do not ascend, the coverage is no share, or the shapes do not agree.
    Notes:
        Quantiles are those of rank p (n + 1), with which a further residual of the same kind falls below them with
        probability p. An hour of the day learns with its two neighbours; one that has fewer than nine residuals takes
        those of all hours.
    """
    ends = np.asarray(ends_h, dtype=np.int64)
    if not ends.size or (np.diff(ends, prepend=0) <= 0).any() or not 0 < coverage < 1:
        raise InputError(
            f"No bands can be learned for hours {list(ends_h)} and a coverage of {coverage:g}.",
            hint="Hours ascend from above zero, and the coverage lies between 0 and 1.",
        )
    horizon = forecast.shape[-1]
    ends = ends[: int(np.searchsorted(ends, horizon)) + 1]
    missed = residuals(history, forecast, issue)
    recent = _recent_errors(np.abs(missed), issue, np.append(issue, history.hours))
    measured = missed / np.where(recent > 0, recent, 1.0)[:, :-1, None]
    hour, part = target_hour_of_day(history, issue, horizon), _bins(ends, horizon)
    edges = ((1 - coverage) / 2, (1 + coverage) / 2)
    out = np.full((2, len(history.zones), 24, ends.size), np.nan)
    for number in range(ends.size):
        inside = np.broadcast_to(part == number, hour.shape)
        out[:, :, :, number] = _quantiles(measured[:, inside], None, edges)[:, :, None]
        for of_day in range(24):
            near = np.abs((hour[inside] - of_day + 12) % 24 - 12) <= 1
            found = _quantiles(measured[:, inside], near, edges)
            out[:, :, of_day, number] = np.where(np.isnan(found), out[:, :, of_day, number], found)
    return ErrorBands(ends, out[0], out[1], recent[:, -1])


def _bins(ends_h: IntArray, horizon: int) -> IntArray:
    """The bin of each hour ahead; (horizon,)."""
    return np.minimum(np.searchsorted(ends_h, np.arange(1, horizon + 1)), ends_h.size - 1)


def _recent_errors(missed: FloatArray, issue: IntArray, now: IntArray) -> FloatArray:
    """Mean absolute error of the forecasts of two weeks whose last hour was over at each ``now``; NaN without any.

    Args:
        missed: (z, n, horizon), NaN where not known. issue: (n,). now: (m,).
    Returns:
        (z, m).
    """
    known = ~np.isnan(missed)
    sums, counts = np.zeros((2, missed.shape[0], issue.size + 1))
    np.cumsum(np.where(known, missed, 0.0).sum(axis=2), axis=1, out=sums[:, 1:])
    np.cumsum(known.sum(axis=2), axis=1, out=counts[:, 1:])
    over = now - missed.shape[2]
    end, start = np.searchsorted(issue, over, side="right"), np.searchsorted(issue, over - RECENT_H, side="right")
    total, count = sums[:, end] - sums[:, start], counts[:, end] - counts[:, start]
    return np.where(count > 0, total / np.maximum(count, 1.0), np.nan)


def _quantiles(measured: FloatArray, chosen: np.ndarray | None, edges: tuple[float, float]) -> FloatArray:
    """Both quantiles of each zone's known residuals, NaN where there are too few; (2, z).

    Args:
        measured: (z, m). chosen: (m,) bool, or all.
    """
    out = np.full((2, measured.shape[0]), np.nan)
    for zone, row in enumerate(measured if chosen is None else measured[:, chosen]):
        known = row[~np.isnan(row)]
        if known.size >= _LEAST_RESIDUALS:
            out[:, zone] = np.quantile(known, edges, method="weibull")
    return out


def with_band(series: SignalSeries, bands: ErrorBands) -> SignalSeries:
    """The forecast of one zone with its band, tagged in its note; beyond the last hour learned as at it.

    Args:
        series: Of any step; each takes the bin of its start. A step in which nothing was learned has no band.
        bands: Learned from forecasts of the same source for the same zone alone.
    Raises:
        InputError: The series has no issue time, so that nobody knows how far ahead its steps lie.
    """
    if series.issued_at is None:
        raise InputError(
            f"{series.source}: the series of {series.zone} does not say when it was issued.",
            hint="Only forecasts with an issue time have a horizon.",
        )
    begin_s = series.start_s + series.step_s * np.arange(series.intensity_g_per_kwh.size)
    hour = (begin_s // HOUR_S % 24).astype(np.int64)
    ahead_h = np.maximum(0.0, (begin_s - series.issued_at.timestamp()) // HOUR_S) + 1
    part = np.minimum(np.searchsorted(bands.ends_h, ahead_h), bands.ends_h.size - 1)
    values, width = series.intensity_g_per_kwh, float(bands.recent_g_per_kwh[0])
    low = np.maximum(values + width * bands.low[0, hour, part], 0.0)
    return replace(
        series,
        low_g_per_kwh=low,
        high_g_per_kwh=np.maximum(values + width * bands.high[0, hour, part], low),
        note="; ".join(filter(None, (series.note, "band of its errors here lately"))),
    )
