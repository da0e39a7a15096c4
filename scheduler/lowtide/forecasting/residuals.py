"""What came less what was forecast, on the axis of a history."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lowtide.forecasting.types import HOUR_S
from lowtide_core.errors import InputError

if TYPE_CHECKING:
    from lowtide.forecasting.types import History, IntArray
    from lowtide_core.series import FloatArray


def residuals(history: History, forecast: FloatArray, issue: IntArray) -> FloatArray:
    """Actual less forecast of every hour that has come and was observed, NaN of all others; (z, n, horizon), g/kWh.

    Args:
        forecast: As issued, see ``rolling``; (z, n, horizon), g/kWh.
        issue: (n,) hours of the history.
    Raises:
        InputError: The shapes do not agree.
    """
    if forecast.ndim != 3 or forecast.shape[:2] != (len(history.zones), issue.size):
        raise InputError(
            f"Forecasts of the shape {forecast.shape} do not fit {len(history.zones)} zones and {issue.size} issues.",
            hint="Give zones x issues x hours ahead.",
        )
    hour = issue[:, None] + np.arange(forecast.shape[2])
    padded = np.concatenate([history.intensity_g_per_kwh, np.full((len(history.zones), 1), np.nan)], axis=1)
    came = padded[:, np.minimum(hour, history.hours)]
    return np.asarray(came - forecast, dtype=np.float64)


def target_hour_of_day(history: History, issue: IntArray, horizon: int) -> IntArray:
    """UTC hour of the day, 0 to 23, that each step of a forecast is for; (n, horizon)."""
    first = round(history.start_s / HOUR_S)
    return np.asarray((first + issue[:, None] + np.arange(horizon)) % 24, dtype=np.int64)
