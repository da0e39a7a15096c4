"""Linear models of what comes in the next hours, one for each hour of the day, learned together with its neighbours'.

Several models share one set of features. Each takes some of their columns, and either the residual of a base forecast
or the intensity itself as what it learns; what they say is averaged. They are linear in the same features, so their
mean is one set of coefficients, and one matrix of products serves to learn them all.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from lowtide.forecasting.axis import DAY_H, ahead

if TYPE_CHECKING:
    from lowtide.forecasting.axis import Axis, BoolArray
    from lowtide.forecasting.types import IntArray
    from lowtide_core.series import FloatArray

LAGS_H = 24
COMPANIONS = 11
COMPANION_BINS_H = ((0, 3), (3, 8), (8, 16), (16, 24))
OWN_BINS_H = ((0, 1), (1, 3), (3, 6), (6, 12), (12, 24), (24, 48))
COSINES = 100
COSINE_SCALE = 0.35
"""How fast a cosine turns with an anomaly, in radians for each of its standard deviations."""
BEFORE_LEARNING_H = 28 * DAY_H
NEIGHBOUR_WEIGHTS = (1.0, 0.5, 0.25)
"""Weight of the hours of the day 0, 1 and 2 away. Wider or flatter weights bring the same within 0.1 point."""

Group = Literal["lags", "usual", "weekday", "companions", "cosines"]
GROUPS: tuple[Group, ...] = ("lags", "usual", "weekday", "companions", "cosines")


@dataclass(frozen=True, slots=True)
class Member:
    """One of the models that are averaged.

    Attributes:
        groups: Which features it sees.
        of_residual: Whether it learns what the base forecast leaves, or the intensity less its level.
        penalty: Added to the diagonal of the products of the features with themselves, which have no unit.
    """

    groups: tuple[Group, ...]
    of_residual: bool
    penalty: float


@dataclass(frozen=True, slots=True, eq=False)
class Coefficients:
    """What was learned of one zone.

    Attributes:
        companions: (COMPANIONS,) rows of the zones whose anomalies tell most of this one's; -1 is none.
        companion_scale: Standard deviation of their anomalies; (COMPANIONS,), shares of their levels.
        own_scale: Of this zone's anomalies, hour by hour, then in each of ``OWN_BINS_H``; (7,), shares of the level.
        turns, phases: Of the cosines; (6, COSINES) and (COSINES,).
        weights: By hour of the day of the issue, feature and hour ahead; (24, p, horizon), float32; shares of level.
        base_share: Weight of the base forecast; the rest goes to the level.
    """

    companions: IntArray
    companion_scale: FloatArray
    own_scale: FloatArray
    turns: FloatArray
    phases: FloatArray
    weights: np.ndarray[tuple[int, ...], np.dtype[np.float32]]
    base_share: float


@dataclass(frozen=True, slots=True, eq=False)
class Anomalies:
    """Anomalies of all zones as shares of their level, and their running sums, from which means over hours follow.

    Attributes:
        share: (z, T). sums: (z, T + 1).
    """

    share: FloatArray
    sums: FloatArray

    def lags(self, zone: int, issue: IntArray) -> FloatArray:
        """The 24 hours before each issue, the last first, 0 before the axis; (n, 24)."""
        hour = issue[:, None] - np.arange(1, LAGS_H + 1)
        return np.where(hour >= 0, self.share[zone][np.maximum(hour, 0)], 0.0)

    def means(self, zones: IntArray, issue: IntArray, bins_h: tuple[tuple[int, int], ...]) -> FloatArray:
        """Means over the hours ``near`` to ``far`` before each issue; (n, zones x bins)."""
        near, far = (
            self.sums[np.ix_(zones, np.maximum(issue[:, None] - ends, 0).ravel())].reshape(zones.size, issue.size, -1)
            for ends in np.array(bins_h).T
        )
        means = (near - far) / np.diff(bins_h)[:, 0]
        return np.asarray(means.transpose(1, 0, 2).reshape(issue.size, -1), dtype=np.float64)


def anomalies(axis: Axis) -> Anomalies:
    share = axis.anomaly / scale(axis.level[:, :-1])
    sums = np.zeros((share.shape[0], share.shape[1] + 1))
    np.cumsum(share, axis=1, out=sums[:, 1:])
    return Anomalies(share, sums)


def scale(level: FloatArray) -> FloatArray:
    """By what a zone's figures are divided: its level, and 1 where that is zero or not known."""
    return np.where(level > 0, level, 1.0)


def features(axis: Axis, found: Anomalies, zone: int, issue: IntArray, model: Coefficients) -> FloatArray:
    """All features of one zone; (n, p), in the order of ``GROUPS``."""
    level = scale(axis.level[zone, issue])[:, None]
    usual = ahead(axis.usual[zone : zone + 1], issue, DAY_H, DAY_H)[0]
    weekday = axis.weekday(issue)[:, None] == np.arange(7)
    companions = found.means(np.maximum(model.companions, 0), issue, COMPANION_BINS_H)
    sizes = np.where(model.companions < 0, 0.0, _COMPANION_SIZE / model.companion_scale)
    own = found.means(np.array([zone]), issue, OWN_BINS_H) / model.own_scale[1:]
    return np.concatenate(
        [
            found.lags(zone, issue) * (_SIZE / model.own_scale[0]),
            np.nan_to_num(usual / level - 1.0) * (_SIZE / model.own_scale[0]),
            _WEEKDAY_SIZE * weekday,
            companions * np.repeat(sizes, len(COMPANION_BINS_H)),
            np.cos(own @ model.turns + model.phases) * np.sqrt(2 / COSINES),
        ],
        axis=1,
    )


_SIZE, _WEEKDAY_SIZE, _COMPANION_SIZE = 0.15, 0.3, 0.075
"""How large a feature is decides how little it is shrunk: anomalies are measured in their own standard deviation, so
that steady zones are shrunk no more than lively ones."""
_LEAST_SPREAD = 1e-3
"""Share of the level; what varies less is flat, and its last digits are not blown up to features."""


def columns_of(groups: tuple[Group, ...]) -> BoolArray:
    """Which columns of the features belong to the groups; (p,)."""
    sizes = (LAGS_H, DAY_H, 7, COMPANIONS * len(COMPANION_BINS_H), COSINES)
    return np.repeat([group in groups for group in GROUPS], sizes)


def learn(
    axis: Axis, found: Anomalies, zone: int, issue: IntArray, base: FloatArray, members: tuple[Member, ...]
) -> Coefficients:
    """Learns one zone from issues whose hours are over.

    Args:
        issue: See ``teaching``; (n,).
        base: Base forecasts of these issues; (n, horizon), g/kWh.
        members: What to average.
    """
    horizon = base.shape[1]
    rng = np.random.default_rng(0)  # any draw will do; a fixed one makes the same fit of the same history
    companions = _companions(found, zone, issue)
    own = np.append(found.share[zone, issue - 1].std(), found.means(np.array([zone]), issue, OWN_BINS_H).std(axis=0))
    blank = Coefficients(
        companions=companions,
        companion_scale=np.maximum(found.share[companions][:, issue - 1].std(axis=1), _LEAST_SPREAD),
        own_scale=np.maximum(own, _LEAST_SPREAD),
        turns=COSINE_SCALE * rng.standard_normal((len(OWN_BINS_H), COSINES)),
        phases=rng.uniform(0, 2 * np.pi, COSINES),
        weights=np.zeros((DAY_H, 0, horizon), dtype=np.float32),
        base_share=sum(member.of_residual for member in members) / len(members),
    )
    inputs = features(axis, found, zone, issue, blank)
    level = scale(axis.level[zone, issue])[:, None]
    came = np.lib.stride_tricks.sliding_window_view(axis.filled[zone], horizon)[issue]
    targets = np.concatenate([(came - base) / level, came / level - 1.0], axis=1)
    products, answers = _pooled(inputs, targets, axis.hour_of_day(issue))
    weights = np.zeros((DAY_H, inputs.shape[1], horizon))
    for member in members:
        mine = np.flatnonzero(columns_of(member.groups))
        gram = products[:, mine[:, None], mine] + member.penalty * np.eye(mine.size)
        half = slice(0, horizon) if member.of_residual else slice(horizon, None)
        weights[:, mine] += np.linalg.solve(gram, answers[:, mine, half]) / len(members)
    return replace(blank, weights=weights.astype(np.float32))


def predicted(
    axis: Axis, found: Anomalies, zone: int, issue: IntArray, base: FloatArray, model: Coefficients
) -> FloatArray:
    """Forecasts of one zone; (n, horizon), g/kWh.

    Args:
        base: Base forecasts of these issues; (n, horizon), g/kWh; horizon at most that of the model.
    """
    horizon = base.shape[1]
    inputs, hour = features(axis, found, zone, issue, model), axis.hour_of_day(issue)
    level = np.nan_to_num(axis.level[zone, issue])[:, None]
    out = np.empty_like(base)
    for number in np.unique(hour):
        mine = hour == number
        out[mine] = inputs[mine] @ model.weights[number, :, :horizon].astype(np.float64)
    return np.asarray(model.base_share * base + level * (1 - model.base_share + out), dtype=np.float64)


def teaching(axis: Axis, zone: int, horizon: int) -> IntArray:
    """Issues to learn from: a month is known before, half of the last day and of the hours ahead was observed; (n,)."""
    observed = axis.observed[zone]
    if not observed.any():
        return np.zeros(0, dtype=np.int64)
    first = int(observed.argmax()) + BEFORE_LEARNING_H
    issue = np.arange(first, axis.hours - horizon + 1, dtype=np.int64)
    count = np.concatenate([[0], np.cumsum(observed)])
    before, after = count[issue] - count[issue - DAY_H], count[issue + horizon] - count[issue]
    return np.asarray(issue[(2 * before >= DAY_H) & (2 * after >= horizon)])


_EVERY = 7
"""Hours from one issue to the next that correlations are made of; every hour of the day has its turn."""


def _companions(found: Anomalies, zone: int, issue: IntArray) -> IntArray:
    """Rows of the other zones whose anomalies go most with this one's, now or half a day before; (COMPANIONS,)."""
    issue = issue[::_EVERY]
    own = found.share[zone, issue - 1]
    best = np.zeros(found.share.shape[0])
    for lag in (0, 6, 12):
        others = found.share[:, issue - 1 - lag]
        centred = others - others.mean(axis=1, keepdims=True)
        spread = np.sqrt((centred**2).sum(axis=1) * ((own - own.mean()) ** 2).sum())
        with_own = np.abs(centred @ (own - own.mean()))
        best = np.maximum(best, np.divide(with_own, spread, out=np.zeros_like(spread), where=spread > 0))
    best[zone] = 0.0
    order = np.argsort(-best, kind="stable")[:COMPANIONS]
    chosen = np.full(COMPANIONS, -1, dtype=np.int64)
    chosen[: order.size] = np.where(best[order] > 0, order, -1)
    return chosen


def _pooled(inputs: FloatArray, targets: FloatArray, hour: IntArray) -> tuple[FloatArray, FloatArray]:
    """Products of the features with themselves and with the targets, by hour of the day, with the neighbours' added.

    Returns:
        (24, p, p) and (24, p, q).
    """
    products = np.zeros((DAY_H, inputs.shape[1], inputs.shape[1]))
    answers = np.zeros((DAY_H, inputs.shape[1], targets.shape[1]))
    for number in range(DAY_H):
        mine = np.flatnonzero(hour == number)
        rows = inputs[mine]
        products[number] = rows.T @ rows
        answers[number] = rows.T @ targets[mine]
    return with_neighbours(products), with_neighbours(answers)


def with_neighbours(by_hour: FloatArray) -> FloatArray:
    """Sums by hour of the day, (24, ...), with those of the neighbouring hours added by ``NEIGHBOUR_WEIGHTS``."""
    total = NEIGHBOUR_WEIGHTS[0] * by_hour
    for distance, weight in enumerate(NEIGHBOUR_WEIGHTS[1:], start=1):
        total += weight * (np.roll(by_hour, distance, axis=0) + np.roll(by_hour, -distance, axis=0))
    return total
