"""What forecasters learn from, and what they promise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from lowtide_core.errors import InputError

if TYPE_CHECKING:
    from lowtide.forecasting.expected import Expected
    from lowtide_core.series import FloatArray, Frame

HOUR_S = 3600.0
IntArray = np.ndarray[tuple[int, ...], np.dtype[np.int64]]


@dataclass(frozen=True, slots=True, eq=False)
class History:
    """What came in zones of one frame, hour by hour on one axis.

    Attributes:
        zones: (z,) names.
        start_s: Start of hour 0, seconds since 1970 UTC; a whole hour.
        intensity_g_per_kwh: (z, T); NaN is a gap and stays one.
        expected: What was published of the grid before it came, for those who look at it.
    """

    zones: tuple[str, ...]
    start_s: float
    intensity_g_per_kwh: FloatArray
    frame: Frame
    expected: Expected | None = None

    def __post_init__(self) -> None:
        shape = self.intensity_g_per_kwh.shape
        if len(shape) != 2 or shape[0] != len(self.zones) or self.start_s % HOUR_S:
            raise InputError(
                f"A history of {len(self.zones)} zones has the shape {shape} and starts at {self.start_s:g} s.",
                hint="Give one row of whole hours for each zone.",
            )

    @property
    def hours(self) -> int:
        return int(self.intensity_g_per_kwh.shape[1])

    def until(self, hour: int) -> History:
        """What was known when hour ``hour`` began."""
        expected = None if self.expected is None else self.expected.at(hour)
        return History(self.zones, self.start_s, self.intensity_g_per_kwh[:, :hour], self.frame, expected)


class Fitted(Protocol):
    """A forecaster that has learned."""

    def issued(self, history: History, issue: IntArray, horizon: int) -> FloatArray:
        """Forecasts as they would have been issued.

        Args:
            history: Zones as at the fit; it may reach beyond the issues.
            issue: (n,) hours of the axis, ascending, 0 to ``history.hours``. A forecast issued at ``t`` is made of the
                hours before ``t`` alone.
            horizon: How many hours ahead.
        Returns:
            (z, n, horizon), g/kWh: entry ``[i, j, h]`` is for hour ``issue[j] + h``. NaN where nothing can be said.
        """
        ...


class Forecaster(Protocol):
    """Learns from the past of zones."""

    @property
    def name(self) -> str: ...

    def fit(self, history: History, horizon: int) -> Fitted:
        """Learns from all of ``history`` to look ``horizon`` hours ahead."""
        ...


def require_zones(zones: tuple[str, ...], history: History) -> None:
    """Refuses a history of other zones.

    Raises:
        InputError: The history is of other zones than those at the fit.
    """
    if zones != history.zones:
        raise InputError(
            f"The forecaster learned from {', '.join(zones)} and is asked for {', '.join(history.zones)}.",
            hint="Give the zones of the fit, in their order, or fit anew.",
        )


def require_issues(name: str, history: History, issue: IntArray, horizon: int) -> None:
    """Refuses issues that a history does not reach.

    Raises:
        InputError: Issues that do not ascend, lie outside the axis, or look no hour ahead.
    """
    if horizon < 1 or (np.diff(issue, prepend=0, append=history.hours) < 0).any():
        raise InputError(
            f"{name}: a history of {history.hours} h allows no forecast for {horizon} h ahead at {_ends(issue)}.",
            hint=f"Issues ascend from 0 to {history.hours}, and look an hour ahead or more.",
            horizon=horizon,
        )


def _ends(issue: IntArray) -> str:
    return f"hours {issue[0]} to {issue[-1]}" if issue.size else "no hour"
