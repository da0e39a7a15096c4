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
    states = np.full((4, *values.shape), np.nan)
    level = values[0].mean(axis=0)
    day, error = values[0] - level, np.zeros_like(level)
    week = np.zeros((7, *day.shape))
    states[1, 0], states[2, 0] = day, 0.0
    states[0, 0, -1], states[3, 0, -1] = level, error
    inputs = np.empty((DAY_H + 2, level.size))
    for number in range(1, values.shape[0]):
        shape = week[number % 7]
        np.subtract(values[number], day, out=inputs[:DAY_H])
        inputs[:DAY_H] -= shape
        inputs[DAY_H], inputs[DAY_H + 1] = level, error
        innovation, errors, levels = (_DAY @ inputs).reshape(3, DAY_H, -1)
        day = day + DAY_GAIN * innovation
        shape += WEEK_GAIN * innovation
        states[0, number], states[1, number], states[2, number], states[3, number] = levels, day, shape, errors
        level, error = levels[-1], errors[-1]
    return states


def smoothed(states: States, issue: IntArray, horizon: int) -> FloatArray:
    """Forecasts from the states before each issue; NaN where there were none; (z, n, horizon), g/kWh."""
    ends = np.concatenate([np.full((2, states.level.shape[0], 1), np.nan), (states.level, states.error)], axis=2)
    level, error = ends[:, :, issue, None]
    kept = ERROR_KEPT ** np.arange(1, horizon + 1)
    shapes = ahead(states.day, issue, horizon, DAY_H) + np.nan_to_num(ahead(states.week, issue, horizon, WEEK_H))
    return np.asarray(level + shapes + error * kept, dtype=np.float64)


def _responses() -> FloatArray:
    """How innovation, error and level of a day's hours answer to its values less the shapes, and to the state before.

    Returns:
        (72, 26): rows are innovations, errors and levels, 24 each; columns 24 values, the level, the last error.
    """
    inputs = np.eye(DAY_H + 2)
    level, error = inputs[DAY_H], inputs[DAY_H + 1]
    rows: list[list[FloatArray]] = [[], [], []]
    for hour in range(DAY_H):
        missed = inputs[hour] - level
        innovation = missed - ERROR_KEPT * error
        level, error = level + LEVEL_GAIN * innovation, missed
        for part, row in zip(rows, (innovation, error, level), strict=True):
            part.append(row)
    return np.concatenate(rows)


_DAY = _responses()
