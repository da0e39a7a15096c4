"""Forecasters that learn: the ridge alone, and the mixture that lowtide uses where no forecast is offered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lowtide.forecasting.axis import DAY_H, WEEK_H, prepare
from lowtide.forecasting.ridge import Coefficients, Member, anomalies, learn, predicted, teaching
from lowtide.forecasting.simple import short
from lowtide.forecasting.smoothing import smooth
from lowtide.forecasting.types import require_issues, require_zones
from lowtide_core.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lowtide.forecasting.axis import BoolArray
    from lowtide.forecasting.types import History, IntArray
    from lowtide_core.series import FloatArray

LEAST_KNOWN_H = 26 * WEEK_H
"""A zone with fewer hours is forecast by the mean of ``damped7`` and ``smoothing``: coefficients learned from less than
half a year swing."""

LEAST_ISSUES = 60 * DAY_H
"""As many issues must have taught, whatever the gaps."""

RIDGE = (Member(("lags", "usual", "weekday"), of_residual=False, penalty=10.0),)
MIXTURE = (
    Member(("lags", "usual", "weekday"), of_residual=True, penalty=1.0),
    Member(("lags", "usual", "weekday", "companions"), of_residual=False, penalty=3.0),
    Member(("usual", "weekday", "cosines"), of_residual=False, penalty=1.0),
)
"""Chosen on 2022 of 12 zones after training on 2021 (captured, 4 h job, 24 h of slack, planned once / re-planned):
the first alone 84.1 / 85.8 %, with the second 84.4 / 86.2 %, with all 84.5 / 86.3 %. Of no use: recent weeks counted
more, the season or products of anomalies as features, logarithms, refits each week, wider pooling of hours."""


@dataclass(frozen=True, slots=True, eq=False)
class Learned:
    """A learner after its fit.

    Attributes:
        zones: As at the fit.
        horizon: How many hours ahead it can look at most.
        models: One per zone; None where the history was too short, so that the simple forecasters stand in.
    """

    name: str
    zones: tuple[str, ...]
    horizon: int
    models: tuple[Coefficients | None, ...]

    def issued(self, history: History, issue: IntArray, horizon: int) -> FloatArray:
        """As ``Fitted.issued``.

        Raises:
            InputError: Other zones than at the fit, a longer horizon, or issues outside the history.
        """
        require_zones(self.zones, history)
        require_issues(self.name, history, issue, horizon)
        if horizon > self.horizon:
            raise InputError(
                f"{self.name} has learned to look {self.horizon} h ahead and is asked for {horizon} h.",
                hint="Fit it for the longer horizon.",
                horizon=horizon,
            )
        axis = prepare(history)
        states, found = smooth(axis), anomalies(axis)
        out = np.empty((len(self.zones), issue.size, horizon))
        for zone, model in enumerate(self.models):
            base = short(axis.row(zone), states.row(zone), issue, horizon)[0]
            out[zone] = base if model is None else predicted(axis, found, zone, issue, base, model)
        return np.maximum(out, 0.0)

    def to_arrays(self) -> dict[str, np.ndarray]:
        """What ``from_arrays`` makes the same forecaster of; 1.9 MB for a zone that looks 96 h ahead."""
        kept = [model for model in self.models if model is not None]
        arrays = {
            "name": np.array(self.name),
            "zones": np.array(self.zones),
            "horizon": np.array(self.horizon),
            "learned": np.array([model is not None for model in self.models], dtype=bool),
        }
        if kept:
            arrays |= {field: np.stack([np.asarray(getattr(model, field)) for model in kept]) for field in _FIELDS}
        return arrays

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Learned:
        learned = arrays["learned"]
        rows = np.cumsum(learned) - 1
        models = tuple(
            Coefficients(
                companions=arrays["companions"][row],
                companion_scale=arrays["companion_scale"][row],
                own_scale=arrays["own_scale"][row],
                turns=arrays["turns"][row],
                phases=arrays["phases"][row],
                weights=arrays["weights"][row],
                base_share=float(arrays["base_share"][row]),
            )
            if there
            else None
            for there, row in zip(learned.tolist(), rows.tolist(), strict=True)
        )
        return cls(str(arrays["name"]), tuple(arrays["zones"].tolist()), int(arrays["horizon"]), models)


_FIELDS = ("companions", "companion_scale", "own_scale", "turns", "phases", "weights", "base_share")


@dataclass(frozen=True, slots=True)
class Learner:
    """Learns each zone that has half a year of history, and leaves the others to the simple forecasters."""

    name: str
    members: tuple[Member, ...]

    def fit(self, history: History, horizon: int) -> Learned:
        axis = prepare(history)
        states, found = smooth(axis), anomalies(axis)
        models: list[Coefficients | None] = []
        for zone, known_h in enumerate(axis.known_hours().tolist()):
            issue = teaching(axis, zone, horizon)
            if known_h < LEAST_KNOWN_H or issue.size < LEAST_ISSUES:
                models.append(None)
                continue
            base = short(axis.row(zone), states.row(zone), issue, horizon)[0]
            models.append(learn(axis, found, zone, issue, base, self.members))
        return Learned(self.name, history.zones, horizon, tuple(models))


def low_confidence(history: History, issue: IntArray) -> BoolArray:
    """Where less than a day is known before an issue, so that a forecast says little; (z, n)."""
    known = ~np.isnan(history.intensity_g_per_kwh)
    count = np.concatenate([np.zeros((known.shape[0], 1), dtype=np.int64), np.cumsum(known, axis=1)], axis=1)
    return np.asarray(count[:, issue] < DAY_H)
