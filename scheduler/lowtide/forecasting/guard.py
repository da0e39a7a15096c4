"""Whether what a forecast promises is worth a shift: its gain against how wrong it usually is there, so far ahead."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lowtide.forecasting.residuals import residuals, target_hour_of_day
from lowtide.jobs.guard import LEAST_ERRORS, worth_shifting
from lowtide_core.errors import InputError

if TYPE_CHECKING:
    from lowtide.forecasting.types import History, IntArray
    from lowtide_core.series import FloatArray


def mean_errors(history: History, forecast: FloatArray, issue: IntArray) -> FloatArray:
    """Mean absolute error of forecasts as they were issued, by UTC hour of the day of what is forecast and hours ahead.

    Args:
        history: What had come by now.
        forecast: (z, n, horizon), g/kWh; see ``rolling``.
        issue: (n,) hours, ascending.
    Returns:
        (z, 24, horizon), g/kWh. A cell without errors holds the mean of its hour ahead; NaN where that has none either.
    """
    horizon = forecast.shape[-1]
    missed = np.abs(residuals(history, forecast, issue))
    known = ~np.isnan(missed)
    cell = target_hour_of_day(history, issue, horizon) * horizon + np.arange(horizon)
    sums, counts = (_by_cell(cell, part, horizon) for part in (np.where(known, missed, 0.0), known.astype(np.float64)))
    by_hour, by_horizon = _ratio(sums, counts), _ratio(sums.sum(axis=1), counts.sum(axis=1))
    return np.where(np.isnan(by_hour), by_horizon[:, None], by_hour)


def errors_ahead(history: History, mean_error: FloatArray, issue: IntArray) -> FloatArray:
    """The error to expect of each step of new forecasts; (z, n, horizon), g/kWh.

    Args:
        history: On whose axis the issues are.
        mean_error: See ``mean_errors``; (z, 24, horizon).
        issue: (n,) hours.
    """
    horizon = mean_error.shape[2]
    return mean_error[:, target_hour_of_day(history, issue, horizon), np.arange(horizon)]


def guarded_starts(
    forecast: FloatArray, error: FloatArray, job_h: int, slack_h: int, least_errors: float = LEAST_ERRORS
) -> IntArray:
    """When a job in one piece starts: at its best hour if that is worth the shift, else at once.

    Args:
        forecast, error: (..., horizon), g/kWh; at least ``job_h + slack_h`` hours ahead.
        job_h, slack_h: How long the job runs, and how much later than at once it may start.
    Returns:
        (...), hours after the issue, 0 to ``slack_h``; ties to the earliest.
    Raises:
        InputError: The forecast does not reach that far.
    """
    window = job_h + slack_h
    if job_h < 1 or slack_h < 0 or forecast.shape[-1] < window:
        raise InputError(
            f"A job of {job_h} h with {slack_h} h of slack does not fit a forecast of {forecast.shape[-1]} h.",
            hint=f"Forecast {window} h ahead.",
        )
    expected, missed = (
        np.lib.stride_tricks.sliding_window_view(values[..., :window], job_h, axis=-1).mean(axis=-1)
        for values in (forecast, error)
    )
    start = expected.argmin(axis=-1)
    there = start[..., None]
    gain = expected[..., 0] - np.take_along_axis(expected, there, axis=-1)[..., 0]
    keep = worth_shifting(gain, np.take_along_axis(missed, there, axis=-1)[..., 0], least_errors)
    return np.where(keep, start, 0)


def _by_cell(cell: IntArray, values: FloatArray, horizon: int) -> FloatArray:
    """Sums of (z, n, horizon) values over the cells; (z, 24, horizon)."""
    size = 24 * horizon
    sums = np.array([np.bincount(cell.ravel(), row.ravel(), minlength=size) for row in values], dtype=np.float64)
    return sums.reshape(-1, 24, horizon)


def _ratio(sums: FloatArray, counts: FloatArray) -> FloatArray:
    return np.where(counts > 0, sums / np.maximum(counts, 1.0), np.nan)
