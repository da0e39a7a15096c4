"""What a day-ahead outlook of wind, sun and load adds to a forecast made of the history.

For hours of which an outlook is out, the forecast is moved by a ridge regression, one for each hour of the day, of what
the plain forecast missed. It sees how far wind, sun and load will be from their usual day, how much there will be of
them, and how far they were from it lately: of that, part is in the plain forecast already. Other hours keep the plain
forecast.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from lowtide.forecasting.axis import DAMPING_H, DAY_H, LEVEL_H, USUAL_DAYS, WEEK_H, ahead
from lowtide.forecasting.ridge import scale, with_neighbours
from lowtide.forecasting.types import HOUR_S
from lowtide_core.errors import InputError
from lowtide_core.outlooks import QUANTITIES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lowtide.forecasting.expected import Expected
    from lowtide.forecasting.types import Fitted, Forecaster, History, IntArray
    from lowtide_core.series import FloatArray

LEAST_KNOWN_H = 8 * WEEK_H
"""So many hours must have been published before they came. In ERCOT from July 2022 on, with real wind and sun and made
errors, one fit on 8, 12, 26 and 52 weeks captured 64, 64, 65 and 68 %; without an outlook it is 51 to 54 %."""

REACH_H = 72
"""No outlook is looked at further ahead."""

PENALTY = 100.0
"""30 and 300 capture the same within a point or two from 12 weeks on; at 8 weeks 100 to 300 captured more. Squares and
products of the features brought 2 points with half a year of outlooks, and cost 5 with 8 weeks."""

_EVERY_H = 5
"""From one issue that teaches to the next: every hour of the day has its turn, and neighbours say the same."""

_RECENT_H = (4, DAY_H)
_LOOKED_BACK_H = (USUAL_DAYS + 2) * DAY_H
"""A day, the day before it, and what was usual then."""
_PRESENT_SHARE = 0.5
"""A quantity that is known less often than the others together is left out."""

_FIELDS = ("weights", "mean_megawatt", "scale_megawatt")


@dataclass(frozen=True, slots=True, eq=False)
class OutlookWeights:
    """What was learned of one zone.

    Attributes:
        weights: By hour of the day of the hour ahead, and feature; (24, p), shares of the level.
        mean_megawatt: Of wind, sun and load; (3,).
        scale_megawatt: Their standard deviations; (3,), 0 for one that is not looked at.
    """

    weights: FloatArray
    mean_megawatt: FloatArray
    scale_megawatt: FloatArray

    @property
    def quantities(self) -> tuple[str, ...]:
        """Those that are looked at."""
        return tuple(name for name, size in zip(QUANTITIES, self.scale_megawatt, strict=True) if size > 0)

    def moved(self, history: History, zone: int, issue: IntArray, plain: FloatArray) -> FloatArray:
        """Plain forecasts of a zone, moved where an outlook was out at their issue; (n, horizon), g/kWh.

        Args:
            plain: Made of the same history; (n, horizon), g/kWh.
        """
        if history.expected is None:
            return plain
        near = plain[:, :REACH_H]
        inputs = _features(history.expected, zone, issue, near.shape[1], self)
        weights = self.weights[_hour_of_day(history, issue, near.shape[1])]
        move = np.einsum("nhp,nhp->nh", inputs, weights) * _level(history, zone, issue)[:, None]
        out = plain.copy()
        out[:, :REACH_H] = np.where(np.isnan(move), near, np.maximum(near + move, 0.0))
        return out

    def to_arrays(self) -> dict[str, FloatArray]:
        """What ``from_arrays`` makes the same of."""
        return {name: getattr(self, name) for name in _FIELDS}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, FloatArray]) -> OutlookWeights:
        return cls(*(arrays[name] for name in _FIELDS))


def learn_outlook(history: History, zone: int, plain: Fitted, horizon: int) -> OutlookWeights | None:
    """Learns one zone from all hours of which an outlook had been out; None where those are too few.

    Args:
        history: With what was expected.
        plain: The forecaster that is to be moved, fitted before. That it knows the hours it was fitted on costs less
            than a point against fits on the other half of them.
        horizon: For how many hours ahead it was fitted.
    """
    expected = history.expected
    if expected is None:
        return None
    megawatt = expected.megawatt[zone][:, : history.hours]
    told = ~np.isnan(megawatt)
    spread = np.array([row[known].std() if known.any() else 0.0 for row, known in zip(megawatt, told, strict=True)])
    present = (spread > 0) & (told.sum(axis=1) >= _PRESENT_SHARE * told.any(axis=0).sum())
    usable = told[present].all(axis=0) & ~np.isnan(history.intensity_g_per_kwh[zone])
    if not present.any() or usable.sum() < LEAST_KNOWN_H:
        return None
    blank = OutlookWeights(
        weights=np.zeros((DAY_H, 0)),
        mean_megawatt=np.array(
            [row[known].mean() if known.any() else 0.0 for row, known in zip(megawatt, told, strict=True)]
        ),
        scale_megawatt=np.where(present, spread, 0.0),
    )
    first = max(DAY_H, int(usable.argmax()))
    issue = np.arange(first, history.hours, _EVERY_H, dtype=np.int64)
    reach = min(REACH_H, horizon)
    missed = _came(history, zone, issue, reach) - plain.issued(history, issue, reach)[zone]
    inputs = _features(expected, zone, issue, reach, blank)
    target = missed / scale(_level(history, zone, issue))[:, None]
    hour = _hour_of_day(history, issue, reach)
    teaches = ~np.isnan(inputs).any(axis=2) & ~np.isnan(target)
    size = inputs.shape[2]
    products, answers = np.zeros((DAY_H, size, size)), np.zeros((DAY_H, size, 1))
    for number in range(DAY_H):
        rows, aims = inputs[teaches & (hour == number)], target[teaches & (hour == number)]
        products[number], answers[number, :, 0] = rows.T @ rows, rows.T @ aims
    gram = with_neighbours(products) + PENALTY * np.eye(size)
    weights: FloatArray = np.linalg.solve(gram, with_neighbours(answers))[:, :, 0].astype(np.float64)
    return replace(blank, weights=weights)


def _hour_of_day(history: History, issue: IntArray, horizon: int) -> IntArray:
    """UTC hour, 0 to 23, of the hours ahead of each issue; (n, horizon)."""
    return np.asarray((round(history.start_s / HOUR_S) + issue[:, None] + np.arange(horizon)) % DAY_H)


def _level(history: History, zone: int, issue: IntArray) -> FloatArray:
    """Mean intensity of what is known of the weeks before each issue; (n,), NaN where nothing is."""
    values = history.intensity_g_per_kwh[zone]
    known = ~np.isnan(values)
    since = np.maximum(issue - LEVEL_H, 0)
    total, count = (
        sums[issue] - sums[since]
        for sums in (np.cumsum(np.pad(part, (1, 0))) for part in (np.where(known, values, 0.0), known))
    )
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _came(history: History, zone: int, issue: IntArray, horizon: int) -> FloatArray:
    """What came in the hours ahead of each issue; (n, horizon), NaN from the end of the history on."""
    padded = np.pad(history.intensity_g_per_kwh[zone], (0, horizon), constant_values=np.nan)
    return np.asarray(np.lib.stride_tricks.sliding_window_view(padded, horizon)[issue])


def _features(expected: Expected, zone: int, issue: IntArray, horizon: int, model: OutlookWeights) -> FloatArray:
    """What is known at each issue of each hour ahead; (n, horizon, p), NaN where no outlook of it is out.

    Notes:
        An hour that had begun when its figures were published is not in ``expected``, so whatever lies before an issue
        was known at it.
    """
    looked_at = model.scale_megawatt > 0
    size = model.scale_megawatt[looked_at][:, None, None]
    coming = expected.ahead(zone, issue, horizon)[looked_at]
    first = max(0, int(issue.min(initial=expected.hours)) - _LOOKED_BACK_H)
    last = int(issue.max(initial=first))
    past, begun = expected.megawatt[zone][looked_at, first:last], issue - first
    usual = _usual(past)
    before = np.concatenate([np.full((len(past), DAY_H), np.nan), usual], axis=1)[:, : last - first]
    sums = np.cumsum(np.pad(np.nan_to_num(past - before), ((0, 0), (1, 0))), axis=1)
    short, long = (
        ((sums[:, begun] - sums[:, np.maximum(begun - hours, 0)]) / hours)[:, :, None] / size for hours in _RECENT_H
    )
    decay = np.exp(-np.arange(horizon) / DAMPING_H)
    columns = (
        np.ones((1, issue.size, horizon)),
        (coming - ahead(usual, begun, horizon, DAY_H)) / size,
        (coming - model.mean_megawatt[looked_at][:, None, None]) / size,
        short * decay,
        long * decay,
        long * np.ones(horizon),
    )
    return np.moveaxis(np.concatenate(columns), 0, 2)


def _usual(values: FloatArray) -> FloatArray:
    """Mean of the same hour on seven days, the last that of the hour itself, of those that are known; as ``values``."""
    known = ~np.isnan(values)
    total, count = np.where(known, values, 0.0), known.astype(np.float64)
    all_days, all_counts = total.copy(), count.copy()
    for day in range(1, USUAL_DAYS):
        all_days[:, day * DAY_H :] += total[:, : -day * DAY_H]
        all_counts[:, day * DAY_H :] += count[:, : -day * DAY_H]
    return np.where(all_counts > 0, all_days / np.maximum(all_counts, 1.0), np.nan)


@dataclass(frozen=True, slots=True, eq=False)
class FittedWithOutlook:
    """A fitted forecaster, and by how much outlooks move what it says in each zone; None: not at all."""

    plain: Fitted
    moves: tuple[OutlookWeights | None, ...]

    def issued(self, history: History, issue: IntArray, horizon: int) -> FloatArray:
        """As ``Fitted.issued``."""
        out = self.plain.issued(history, issue, horizon)
        for zone, weights in enumerate(self.moves):
            if weights is not None:
                out[zone] = weights.moved(history, zone, issue, out[zone])
        return out


@dataclass(frozen=True, slots=True)
class WithOutlook:
    """Another forecaster, moved by what was expected of the grid."""

    plain: Forecaster

    @property
    def name(self) -> str:
        return f"{self.plain.name} with outlook"

    def fit(self, history: History, horizon: int) -> FittedWithOutlook:
        if history.expected is None:
            raise InputError(
                f"{self.name} has no outlook to learn from.", hint="Give one, or use the forecaster alone."
            )
        fitted = self.plain.fit(history, horizon)
        moves = tuple(learn_outlook(history, zone, fitted, horizon) for zone in range(len(history.zones)))
        return FittedWithOutlook(fitted, moves)
