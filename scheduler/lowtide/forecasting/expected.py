"""What was published of the grid's hours before they came, on the axis of a history."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lowtide.forecasting.types import HOUR_S
from lowtide_core.outlooks import QUANTITIES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lowtide.forecasting.types import IntArray
    from lowtide_core.outlooks import Outlook
    from lowtide_core.series import FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class Expected:
    """Wind, sun and load of zones, hour by hour, also of hours to come.

    Attributes:
        megawatt: (z, 3, T'), MW; NaN where nothing was published before the hour began. T' is at least the history's.
        known_h: The hour of the axis from which on a forecast may use it; (z, T').
    """

    megawatt: FloatArray
    known_h: IntArray

    @property
    def hours(self) -> int:
        return int(self.known_h.shape[1])

    def at(self, hour: int) -> Expected:
        """What was known when that hour began."""
        return Expected(np.where(self.known_h[:, None] <= hour, self.megawatt, np.nan), self.known_h)

    def ahead(self, zone: int, issue: IntArray, horizon: int) -> FloatArray:
        """What was known at each issue of the hours ahead of it; (3, n, horizon), MW, NaN where nothing was."""
        hour = issue[:, None] + np.arange(horizon)
        inside = np.minimum(hour, self.hours - 1)
        known = (hour < self.hours) & (self.known_h[zone, inside] <= issue[:, None])
        return np.where(known, self.megawatt[zone][:, inside], np.nan)


def expected_of(
    outlooks: Sequence[Outlook | None], start_s: float, hours: int, *, by_s: float | None = None
) -> Expected:
    """Outlooks of zones on the axis of their history; None is a zone without one.

    Args:
        start_s, hours: Start and length of the axis.
        by_s: The time of a forecast that is made some hours after the history ends: what was published by then is
            known at its end, and nothing later at all. None: as it was published.
    """
    hourly = [None if outlook is None else outlook.hourly() for outlook in outlooks]
    last_s = max((outlook.end_s for outlook in hourly if outlook is not None), default=start_s)
    length = max(hours, round((last_s - start_s) / HOUR_S))
    megawatt = np.full((len(hourly), len(QUANTITIES), length), np.nan)
    known_h = np.full((len(hourly), length), length, dtype=np.int64)
    for row, outlook in enumerate(hourly):
        if outlook is None:
            continue
        at = round((outlook.start_s - start_s) / HOUR_S)
        there = slice(max(0, at), max(0, at + outlook.published_s.size))
        part = slice(max(0, -at), None)
        out_s = outlook.published_s[part]
        megawatt[row][:, there] = outlook.megawatt[:, part]
        known_h[row, there] = np.ceil((out_s - start_s) / HOUR_S)
        megawatt[row][:, known_h[row] > np.arange(length)] = np.nan
        if by_s is not None:
            late = np.zeros(length, dtype=np.bool_)
            late[there] = out_s > by_s
            megawatt[row][:, late] = np.nan
            known_h[row] = np.minimum(known_h[row], hours)
    return Expected(megawatt, known_h)
