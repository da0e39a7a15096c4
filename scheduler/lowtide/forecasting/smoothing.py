"""Double-seasonal exponential smoothing: a level, a shape of the day, a shape of the week, and an error that decays.

Source:
    Taylor, J. W., "Short-term electricity demand forecasting using double seasonal exponential smoothing", 2003,
    doi:10.1057/palgrave.jors.2601589; here additive.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lowtide.forecasting.axis import DAY_H, WEEK_H, ahead

if TYPE_CHECKING:
    from lowtide.forecasting.axis import Axis
    from lowtide.forecasting.types import IntArray
    from lowtide_core.series import FloatArray

LEVEL_GAIN, DAY_GAIN, WEEK_GAIN, ERROR_KEPT = 0.02, 0.2, 0.05, 0.85
"""One set for all zones, chosen on 2022 of 12 zones for what the mixture on top of it captures."""


@dataclass(frozen=True, slots=True, eq=False)
class States:
    """What the smoothing knew once hour ``u`` was over; NaN until a zone's first whole day is; all (z, T), g/kWh.

    Attributes:
        level: The level. day, week: The two shapes, at hour ``u``. error: By how much all three missed it.
    """

    level: FloatArray
    day: FloatArray
    week: FloatArray
    error: FloatArray

    def row(self, zone: int) -> States:
        """The states of one zone."""
        only = slice(zone, zone + 1)
        return States(self.level[only], self.day[only], self.week[only], self.error[only])


def smooth(axis: Axis) -> States:
    """Runs the smoothing over the axis.

    Notes:
        Every zone begins with its first whole day of the axis. Inside a day the shapes are not touched twice, so that
        level and error follow from the day's 24 values by one matrix; the loop is over days.
    """
    zones, hours = axis.filled.shape
    days = -(-hours // DAY_H)
    padded = np.full((days * DAY_H, zones), np.nan)
    padded[:hours] = axis.filled.T
    padded[hours:] = axis.filled[:, -1:].T  # any value: no state before these hours depends on them
    values = padded.reshape(days, DAY_H, zones)
    states = np.full((4, days, DAY_H, zones), np.nan)
    first = np.isnan(values[:, 0]).sum(axis=0)  # day of a zone
    for zone_days in np.unique(first[first < days]).tolist():
        rows = np.flatnonzero(first == zone_days)
        states[:, zone_days:, :, rows] = _run(values[zone_days:, :, rows])
    level, day, week, error = states.reshape(4, days * DAY_H, zones).transpose(0, 2, 1)[:, :, :hours]
    return States(level, day, week, error)


def _run(values: FloatArray) -> FloatArray:
    """The states over whole days; the first day is where they begin, and its level and error are known at its end.

    Args:
        values: (days, 24, r), no NaN.
    Returns:
        Level, day, week, error; (4, days, 24, r).
    """
    days, _, rows = values.shape
    out = np.full((days, 4, DAY_H, rows), np.nan)  # level, error, day's change, week's change: see _responses
    level = values[0].mean(axis=0)
    day, week = values[0] - level, np.zeros((7, DAY_H, rows))
    out[0, 0, -1], out[0, 1, -1] = level, 0.0
    first_day = day.copy()
    inputs = np.empty((DAY_H + 2, rows))
    for number in range(1, days):
        shape, made = week[number % 7], out[number]
        np.subtract(values[number], day, out=inputs[:DAY_H])
        inputs[:DAY_H] -= shape
        inputs[DAY_H:] = out[number - 1, :2, -1]
        np.matmul(_DAY, inputs, out=made.reshape(4 * DAY_H, rows))
        day += made[2]
        shape += made[3]
    out[0, 2], out[0, 3] = first_day, 0.0
    states = np.empty((4, days, DAY_H, rows))
    states[0], states[3] = out[:, 0], out[:, 1]
    np.cumsum(out[:, 2], axis=0, out=states[1])
    for weekday in range(7):
        np.cumsum(out[weekday::7, 3], axis=0, out=states[2, weekday::7])
    return states


def smoothed(states: States, issue: IntArray, horizon: int) -> FloatArray:
    """Forecasts from the states before each issue; NaN where there were none; (z, n, horizon), g/kWh."""
    ends = np.concatenate([np.full((2, states.level.shape[0], 1), np.nan), (states.level, states.error)], axis=2)
    level, error = ends[:, :, issue, None]
    kept = ERROR_KEPT ** np.arange(1, horizon + 1)
    shapes = ahead(states.day, issue, horizon, DAY_H) + np.nan_to_num(ahead(states.week, issue, horizon, WEEK_H))
    return np.asarray(level + shapes + error * kept, dtype=np.float64)


def _responses() -> FloatArray:
    """How a day answers to its values less the shapes, and to the state before.

    Returns:
        (96, 26): rows are the level and the error after each hour, and by how much each hour changes the shapes of the
        day and of the week, 24 each; columns 24 values, the level and the error before.
    """
    inputs = np.eye(DAY_H + 2)
    level, error = inputs[DAY_H], inputs[DAY_H + 1]
    rows: list[list[FloatArray]] = [[], [], [], []]
    for hour in range(DAY_H):
        missed = inputs[hour] - level
        innovation = missed - ERROR_KEPT * error
        level, error = level + LEVEL_GAIN * innovation, missed
        for part, row in zip(rows, (level, error, DAY_GAIN * innovation, WEEK_GAIN * innovation), strict=True):
            part.append(row)
    return np.concatenate(rows)


_DAY = _responses()
