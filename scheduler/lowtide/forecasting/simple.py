"""Forecasters that need no fit, or a table of means: what the mixture is compared with, and what it falls back on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from lowtide.forecasting.axis import DAY_H, WEEK_H, ahead, damped, first_known, last_known, prepare
from lowtide.forecasting.smoothing import smooth, smoothed
from lowtide.forecasting.types import require_issues, require_zones

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lowtide.forecasting.axis import Axis
    from lowtide.forecasting.smoothing import States
    from lowtide.forecasting.types import History, IntArray
    from lowtide_core.series import FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class Rule:
    """A forecaster that learns nothing beforehand, so that it is its own fit."""

    name: str
    forecast: Callable[[Axis, IntArray, int], FloatArray]

    def fit(self, history: History, horizon: int) -> Rule:  # noqa: ARG002
        return self

    def issued(self, history: History, issue: IntArray, horizon: int) -> FloatArray:
        require_issues(self.name, history, issue, horizon)
        return self.forecast(prepare(history), issue, horizon)


def seasonal_naive_24(axis: Axis, issue: IntArray, horizon: int) -> FloatArray:
    """The last day again; the last value again where no whole day is known. As all here: (z, n, horizon), g/kWh."""
    return first_known(ahead(axis.filled, issue, horizon, DAY_H), last_known(axis, issue)[:, :, None])


def seasonal_naive_168(axis: Axis, issue: IntArray, horizon: int) -> FloatArray:
    """The last week again; the last day again where no whole week is known."""
    return first_known(ahead(axis.filled, issue, horizon, WEEK_H), seasonal_naive_24(axis, issue, horizon))


def profile7(axis: Axis, issue: IntArray, horizon: int) -> FloatArray:
    """The mean of the same hour on the last seven days."""
    return first_known(ahead(axis.usual, issue, horizon, DAY_H), last_known(axis, issue)[:, :, None])


def smoothing(axis: Axis, issue: IntArray, horizon: int) -> FloatArray:
    """Double-seasonal exponential smoothing; the damped profile until a first whole day is known."""
    forecast = smoothed(smooth(axis), issue, horizon)
    return np.maximum(first_known(forecast, damped(axis, issue, horizon)), 0.0)


def damped7(axis: Axis, issue: IntArray, horizon: int) -> FloatArray:
    """``profile7`` plus the anomaly of the last hour, decaying."""
    return np.maximum(damped(axis, issue, horizon), 0.0)


def short(axis: Axis, states: States, issue: IntArray, horizon: int) -> FloatArray:
    """The mean of ``damped7`` and ``smoothing``, not yet kept above zero: for histories too short to learn from.

    Args:
        states: Of the smoothing, over this axis.
    """
    usual = damped(axis, issue, horizon)
    return first_known((usual + smoothed(states, issue, horizon)) / 2, usual)


RULES: tuple[Rule, ...] = (
    Rule("seasonal-naive-24", seasonal_naive_24),
    Rule("seasonal-naive-168", seasonal_naive_168),
    Rule("profile7", profile7),
    Rule("damped7", damped7),
    Rule("smoothing", smoothing),
)


@dataclass(frozen=True, slots=True, eq=False)
class ClimatologyTable:
    """Means of a history.

    Attributes:
        zones: As at the fit.
        mean: By month, Monday to Friday or weekend, and hour of the day, UTC; (z, 12, 2, 24), g/kWh. A cell without
            hours holds the mean of its hour in all months, else of all hours; NaN only for a zone without any.
    """

    zones: tuple[str, ...]
    mean: FloatArray

    def issued(self, history: History, issue: IntArray, horizon: int) -> FloatArray:
        require_zones(self.zones, history)
        require_issues(Climatology.name, history, issue, horizon)
        hour = round(history.start_s / 3600) + issue[:, None] + np.arange(horizon)
        return np.asarray(self.mean[:, *_calendar(hour)], dtype=np.float64)

    def to_arrays(self) -> dict[str, np.ndarray]:
        return {"zones": np.array(self.zones), "mean": self.mean}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> ClimatologyTable:
        return cls(tuple(arrays["zones"].tolist()), arrays["mean"])


@dataclass(frozen=True, slots=True)
class Climatology:
    """Month x weekend x hour means of the history."""

    name: ClassVar[str] = "climatology"

    def fit(self, history: History, horizon: int) -> ClimatologyTable:  # noqa: ARG002
        axis = prepare(history)
        hour = axis.first_hour + np.arange(axis.hours)
        shape = (12, 2, DAY_H)
        cell = np.ravel_multi_index(_calendar(hour), shape)
        rows = []
        for values, known in zip(axis.filled, axis.observed, strict=True):
            count, total = (
                np.bincount(cell[known], weights, minlength=int(np.prod(shape))).reshape(shape)
                for weights in (None, values[known])
            )
            means = [
                np.where(n > 0, t / np.maximum(n, 1), np.nan)
                for n, t in (
                    (count, total),
                    (count.sum(axis=(0, 1)), total.sum(axis=(0, 1))),
                    (count.sum(), total.sum()),
                )
            ]
            rows.append(first_known(*means))
        return ClimatologyTable(history.zones, np.array(rows).reshape(len(rows), *shape))


def _calendar(hour: IntArray) -> tuple[IntArray, IntArray, IntArray]:
    """Month 0-11, weekend 0 or 1, and hour 0-23 of hours since 1970 UTC."""
    months = (hour.astype("datetime64[h]").astype("datetime64[M]")).astype(np.int64) % 12
    return months, ((hour // DAY_H + 3) % 7 >= 5).astype(np.int64), hour % DAY_H
