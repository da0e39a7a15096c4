"""A provider's forecast mended by what its own past says of it: less its mean error, or blended with another."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from lowtide_core.errors import InputError
from lowtide_core.quantities import SECONDS_PER_HOUR
from lowtide_core.series import require_one_frame
from lowtide_core.spans import to_epoch_s

if TYPE_CHECKING:
    import numpy.typing as npt

    from lowtide.forecasting.types import IntArray
    from lowtide_core.series import FloatArray, SignalSeries

    Seconds = npt.NDArray[np.floating[Any]]

HOURS_OF_DAY = 24


@dataclass(frozen=True, slots=True, eq=False)
class Bias:
    """Mean of what came over what was forecast, by hour of day and day ahead; (24, days), g/kWh, 0 where not known."""

    mean_g_per_kwh: FloatArray

    def off(self, values: FloatArray, hour: IntArray, day: IntArray) -> FloatArray:
        """Forecasts less their mean error; never below zero. Beyond the last day known that day's holds."""
        day = np.minimum(day, self.mean_g_per_kwh.shape[1] - 1)
        return np.maximum(0.0, values + self.mean_g_per_kwh[hour, day])


@dataclass(frozen=True, slots=True, eq=False)
class Blend:
    """How much of the forecast, and not of another, is taken on each day ahead; (days,), 0-1."""

    share: FloatArray

    def of(self, values: FloatArray, other: FloatArray, day: IntArray) -> FloatArray:
        """A share of each; the forecast alone where the other is NaN."""
        share = self.share[np.minimum(day, self.share.size - 1)]
        return np.where(np.isnan(other), values, share * values + (1 - share) * other)


def hour_and_day(begin_s: Seconds, issued_s: Seconds | float) -> tuple[IntArray, IntArray]:
    """Hour of the day (UTC) of steps, and how many days they lie ahead of their issue.

    Args:
        begin_s: Start of each step. issued_s: of its issue. Both s since 1970, or since any midnight UTC.
    """
    hour = (begin_s // SECONDS_PER_HOUR % HOURS_OF_DAY).astype(np.int64)
    day = (np.maximum(0.0, begin_s - issued_s) // (HOURS_OF_DAY * SECONDS_PER_HOUR)).astype(np.int64)
    return hour, day


def less_bias(series: SignalSeries, bias: Bias) -> SignalSeries:
    """The forecast less its mean error, its band moved with it.

    Raises:
        InputError: The series has no issue time.
    """
    hour, day = _hour_and_day(series)
    low, high = series.low_g_per_kwh, series.high_g_per_kwh
    return replace(
        series,
        intensity_g_per_kwh=bias.off(series.intensity_g_per_kwh, hour, day),
        low_g_per_kwh=None if low is None else bias.off(low, hour, day),
        high_g_per_kwh=None if high is None else bias.off(high, hour, day),
    )


def blended(series: SignalSeries, other: SignalSeries, blend: Blend) -> SignalSeries:
    """A share of the forecast and the rest of another one, without a band: what it was is not known of the mixture.

    Args:
        other: Of the same zone and frame; each step takes its value at the step's middle.
    Raises:
        InputError: The frames differ, or the series has no issue time.
    """
    require_one_frame(((series.source, series.frame), (other.source, other.frame)))
    _, day = _hour_and_day(series)
    middle_s = series.start_s + series.step_s * (np.arange(day.size) + 0.5)
    step = np.floor((middle_s - other.start_s) / other.step_s).astype(np.int64)
    inside = (step >= 0) & (step < other.intensity_g_per_kwh.size)
    said = np.where(inside, other.intensity_g_per_kwh[np.clip(step, 0, other.intensity_g_per_kwh.size - 1)], np.nan)
    values = blend.of(series.intensity_g_per_kwh, said, day)
    return replace(series, intensity_g_per_kwh=values, low_g_per_kwh=None, high_g_per_kwh=None)


def _hour_and_day(series: SignalSeries) -> tuple[IntArray, IntArray]:
    if series.issued_at is None:
        raise InputError(
            f"{series.source}: the series of {series.zone} does not say when it was issued.",
            hint="Only forecasts with an issue time can be mended.",
        )
    begin_s = series.start_s + series.step_s * np.arange(series.intensity_g_per_kwh.size)
    return hour_and_day(begin_s, to_epoch_s(series.issued_at))
