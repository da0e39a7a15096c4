"""A history made ready for the forecasters: gaps filled from the past, and what is usual at each hour of the day."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lowtide.forecasting.types import HOUR_S
from lowtide_core.errors import InputError

if TYPE_CHECKING:
    from lowtide.forecasting.types import History, IntArray
    from lowtide_core.series import FloatArray

BoolArray = np.ndarray[tuple[int, ...], np.dtype[np.bool_]]

DAY_H, WEEK_H = 24, 168
USUAL_DAYS = 7
LEVEL_H = 28 * DAY_H
DAMPING_H = 18.0
"""Decay time of an anomaly. Of 6, 12, 18, 24 and 36 h, 18 to 24 captured most on 2022 in 12 zones, planned once and
re-planned together."""


@dataclass(frozen=True, slots=True, eq=False)
class Axis:
    """Zones hour by hour; whatever stands at hour ``u`` is made of the hours up to and including ``u`` alone.

    Attributes:
        first_hour: Hour 0, in hours since 1970 UTC.
        observed: Where the history has a value; (z, T).
        filled: The history with gaps closed, g/kWh; NaN before a zone's first value; (z, T).
        usual: Mean of ``filled`` at the same hour of the day over seven days, the last of them that of the hour itself;
            of as many as there are; (z, T).
        anomaly: ``filled`` less what was usual the day before; 0 where that is not known; (z, T).
        level: Mean of ``filled`` over the 28 days before hour ``t``, or as many as there are; (z, T + 1).
    """

    first_hour: int
    observed: BoolArray
    filled: FloatArray
    usual: FloatArray
    anomaly: FloatArray
    level: FloatArray

    @property
    def hours(self) -> int:
        return int(self.filled.shape[1])

    def row(self, zone: int) -> Axis:
        """The axis of one zone."""
        only = slice(zone, zone + 1)
        return Axis(
            self.first_hour,
            observed=self.observed[only],
            filled=self.filled[only],
            usual=self.usual[only],
            anomaly=self.anomaly[only],
            level=self.level[only],
        )

    def hour_of_day(self, hour: IntArray) -> IntArray:
        """UTC hour, 0 to 23, of hours of the axis."""
        return np.asarray((self.first_hour + hour) % DAY_H)

    def weekday(self, hour: IntArray) -> IntArray:
        """0 (Monday) to 6, UTC, of hours of the axis."""
        return np.asarray(((self.first_hour + hour) // DAY_H + 3) % 7)  # 1970-01-01 was a Thursday

    def known_hours(self) -> IntArray:
        """How many hours of each zone have a value; (z,)."""
        return np.asarray(self.observed.sum(axis=1, dtype=np.int64))


def prepare(history: History) -> Axis:
    """The history with what every forecaster reads of it.

    Notes:
        A gap is filled by what is usual at that hour plus the anomaly of the hour before, decaying: the damped profile,
        forecast from what was known when the gap began. A zone has nothing before its first value.
    Raises:
        InputError: An infinite or negative value.
    """
    values = np.asarray(history.intensity_g_per_kwh, dtype=np.float64)
    wrong = np.argwhere(~(np.isnan(values) | ((values >= 0) & (values < np.inf))))
    if wrong.size:
        row, hour = (int(number) for number in wrong[0])
        raise InputError(
            f"The history of {history.zones[row]} has {values[row, hour]} g/kWh at hour {hour}.",
            hint="Give intensities that are zero or more, and NaN where there is none.",
            zone=history.zones[row],
            hour=hour,
        )
    observed = ~np.isnan(values)
    filled = _filled(values, observed)
    usual = _usual(filled)
    before = np.full_like(usual, np.nan)
    before[:, DAY_H:] = usual[:, :-DAY_H]
    anomaly = np.nan_to_num(filled - before)
    return Axis(round(history.start_s / HOUR_S), observed, filled, usual, anomaly, _level(filled))


def ahead(values: FloatArray, issue: IntArray, horizon: int, period: int) -> FloatArray:
    """Values repeated into the future: for each hour ahead, that of the last same hour of the period before the issue.

    Args:
        values: (z, T); NaN where nothing is known.
        issue: (n,) hours, 0 to T.
        horizon: How many hours ahead.
        period: h, 24 or 168.
    Returns:
        (z, n, horizon); NaN where the hour lies before the axis.
    """
    once = min(period, horizon)
    hour = issue[:, None] - period + np.arange(once)
    if not values.shape[1]:
        return np.full((values.shape[0], issue.size, horizon), np.nan)
    block = np.where(hour >= 0, values[:, np.maximum(hour, 0)], np.nan)
    return np.tile(block, -(-horizon // once))[:, :, :horizon]


def last_known(axis: Axis, issue: IntArray) -> FloatArray:
    """The value of the hour before each issue; NaN where there is none; (z, n)."""
    padded = np.concatenate([np.full((axis.filled.shape[0], 1), np.nan), axis.filled], axis=1)
    return np.asarray(padded[:, issue], dtype=np.float64)


def damped(axis: Axis, issue: IntArray, horizon: int) -> FloatArray:
    """The usual day plus the anomaly of the last hour, decaying; the last value where no day before is known.

    Returns:
        (z, n, horizon), g/kWh.
    """
    padded = np.concatenate([np.zeros((axis.anomaly.shape[0], 1)), axis.anomaly], axis=1)
    decay = np.exp(-np.arange(horizon) / DAMPING_H)
    return first_known(
        ahead(axis.usual, issue, horizon, DAY_H) + padded[:, issue, None] * decay, last_known(axis, issue)[:, :, None]
    )


def first_known(best: FloatArray, *others: FloatArray) -> FloatArray:
    """The first of the arguments that is not NaN, place by place."""
    for other in others:
        best = np.where(np.isnan(best), other, best)
    return best


def _filled(values: FloatArray, observed: BoolArray) -> FloatArray:
    filled = values.copy()
    begun = np.maximum.accumulate(observed, axis=1)
    gaps = begun & ~observed
    for hour in np.flatnonzero(gaps.any(axis=0)).tolist():
        rows = np.flatnonzero(gaps[:, hour])
        before = filled[rows, hour - 1]
        anomaly = np.nan_to_num(before - _mean_of_days(filled, rows, hour - 1)) * np.exp(-1 / DAMPING_H)
        filled[rows, hour] = np.maximum(first_known(_mean_of_days(filled, rows, hour) + anomaly, before), 0.0)
    return filled


def _mean_of_days(filled: FloatArray, rows: IntArray, hour: int) -> FloatArray:
    """Mean of the same hour on the seven days before ``hour``; NaN where none is known; (rows,)."""
    hours = hour - DAY_H * np.arange(1, USUAL_DAYS + 1)
    days = filled[np.ix_(rows, hours[hours >= 0])]
    known = ~np.isnan(days)
    count = known.sum(axis=1)
    return np.where(count > 0, np.nan_to_num(days).sum(axis=1) / np.maximum(count, 1), np.nan)


def _usual(filled: FloatArray) -> FloatArray:
    known = ~np.isnan(filled)
    values = np.where(known, filled, 0.0)
    total, count = values.copy(), known.astype(np.float64)
    for day in range(1, USUAL_DAYS):
        total[:, day * DAY_H :] += values[:, : -day * DAY_H]
        count[:, day * DAY_H :] += known[:, : -day * DAY_H]
    return np.where(known, total / np.maximum(count, 1.0), np.nan)


def _level(filled: FloatArray) -> FloatArray:
    zones, hours = filled.shape
    known = ~np.isnan(filled)
    sums, counts = np.zeros((2, zones, hours + 1))
    np.cumsum(np.where(known, filled, 0.0), axis=1, out=sums[:, 1:])
    np.cumsum(known, axis=1, out=counts[:, 1:])
    since = np.maximum(np.arange(hours + 1) - LEVEL_H, 0)
    total, count = sums - sums[:, since], counts - counts[:, since]
    return np.where(count > 0, np.maximum(total, 0.0) / np.maximum(count, 1.0), np.nan)
