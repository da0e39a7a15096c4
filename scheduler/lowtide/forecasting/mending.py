"""A provider's forecast mended by what its own past says of it: less its mean error, or blended with another."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from lowtide_core.errors import InputError
from lowtide_core.quantities import SECONDS_PER_HOUR
from lowtide_core.series import require_one_frame
from lowtide_core.spans import to_epoch_s

if TYPE_CHECKING:
    from lowtide_core.series import FloatArray, SignalSeries

HOURS_OF_DAY = 24


def less_bias(series: SignalSeries, mean_error: FloatArray) -> SignalSeries:
    """The forecast plus the mean of what came over what was forecast, by hour of day and day ahead; never below zero.

    Args:
        mean_error: (24, days), g/kWh; beyond its last day that day's holds.
    Raises:
        InputError: The series has no issue time.
    """
    hour, day = _hour_and_day(series)
    shift = mean_error[hour, np.minimum(day, mean_error.shape[1] - 1)]
    return replace(series, intensity_g_per_kwh=np.maximum(0.0, series.intensity_g_per_kwh + shift))


def blended(series: SignalSeries, other: SignalSeries, share: FloatArray) -> SignalSeries:
    """A share of the forecast and the rest of another one; the forecast alone where the other says nothing.

    Args:
        other: Of the same zone and frame, of any steps that divide, or are divided by, those of the series.
        share: Of the series on each day ahead; (days,), 0-1.
    Raises:
        InputError: The frames differ, or the series has no issue time.
    """
    require_one_frame(((series.source, series.frame), (other.source, other.frame)))
    _, day = _hour_and_day(series)
    mine = share[np.minimum(day, share.size - 1)]
    middle_s = series.start_s + series.step_s * (np.arange(day.size) + 0.5)
    step = np.floor((middle_s - other.start_s) / other.step_s).astype(np.int64)
    inside = (step >= 0) & (step < other.intensity_g_per_kwh.size)
    said = np.where(inside, other.intensity_g_per_kwh[np.clip(step, 0, other.intensity_g_per_kwh.size - 1)], np.nan)
    values = series.intensity_g_per_kwh
    return replace(series, intensity_g_per_kwh=np.where(np.isnan(said), values, mine * values + (1 - mine) * said))


def _hour_and_day(series: SignalSeries) -> tuple[np.ndarray, np.ndarray]:
    """Hour of the day (UTC) of each step, and how many days it lies ahead of the issue; (n,) each, whole."""
    if series.issued_at is None:
        raise InputError(
            f"{series.source}: the series of {series.zone} does not say when it was issued.",
            hint="Only forecasts with an issue time can be mended.",
        )
    begin_s = series.start_s + series.step_s * np.arange(series.intensity_g_per_kwh.size)
    hour = (begin_s // SECONDS_PER_HOUR % HOURS_OF_DAY).astype(np.int64)
    ahead_s = np.maximum(0.0, begin_s - to_epoch_s(series.issued_at))
    return hour, (ahead_s // (HOURS_OF_DAY * SECONDS_PER_HOUR)).astype(np.int64)
