"""Forecasters by name, for history that has no forecasts beside it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lowtide_core.errors import InputError, nearest

if TYPE_CHECKING:
    from lowtide.backtest.issued import IntArray
    from lowtide.forecasting.types import Fitted, Forecaster, History
    from lowtide_core.series import FloatArray

PERFECT = "perfect"
"""No forecaster: what came, taken as known beforehand."""

_DAY_H = 24
_FADES_PER_H = 0.92


@dataclass(frozen=True, slots=True)
class UsualDay:
    """The mean day of the last ones, with the latest deviation from it fading out; learns nothing else.

    Attributes:
        days: Of which the mean is taken; the hours of fewer are taken where there are no more.
        fades: Whether the latest deviation is carried on.
    """

    name: str
    days: int = 7
    fades: bool = True

    def fit(self, history: History, horizon: int) -> Fitted:  # noqa: ARG002  nothing is learned
        return self

    def issued(self, history: History, issue: IntArray, horizon: int) -> FloatArray:
        values = history.intensity_g_per_kwh
        back_h = self.days * _DAY_H
        padded = np.pad(values, ((0, 0), (back_h, 0)), constant_values=np.nan)
        past = np.lib.stride_tricks.sliding_window_view(padded, back_h, axis=1)[:, issue]
        days = past.reshape(len(values), issue.size, self.days, _DAY_H)
        known = ~np.isnan(days)
        counts = known.sum(axis=2)
        mean = np.divide(np.nansum(days, axis=2), counts, out=np.full(counts.shape, np.nan), where=counts > 0)
        ahead_h = np.arange(horizon)
        said: FloatArray = mean[:, :, ahead_h % _DAY_H]
        if self.fades:
            off = np.nan_to_num(past[:, :, -1] - mean[:, :, -1])
            said = said + off[:, :, None] * _FADES_PER_H ** (ahead_h + 1)
        return np.maximum(said, 0.0)


def named_forecaster(name: str) -> Forecaster:
    """The forecaster of that name.

    Raises:
        InputError: There is none; names the nearest.
    """
    known: dict[str, Forecaster] = {
        "auto": UsualDay("auto"),
        "damped": UsualDay("damped"),
        "yesterday": UsualDay("yesterday", days=1, fades=False),
    }
    if name not in known:
        names = (PERFECT, *known)
        raise InputError(
            f"There is no forecaster {name!r}.",
            hint=nearest(name, names) or f"There are {', '.join(names)}.",
            name=name,
        )
    return known[name]
