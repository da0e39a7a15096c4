"""One width for each step, chosen exactly: a knapsack with a choice in every step, with or without switching costs.

Both searches keep lists of undominated states (work still to do, cost so far), drop a state when a bound shows that no
better plan can come of it, and complete every state to a plan, which sharpens what is to be beaten.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lowtide_core.series import FloatArray

IntArray = np.ndarray[tuple[int, ...], np.dtype[np.int64]]
BoolArray = np.ndarray[tuple[int, ...], np.dtype[np.bool_]]

STATE_LIMIT = 20_000
"""States held at once; what goes beyond is dropped, least promising first, and the proof with it."""

_GRID = 2.0**44
"""Grains that the window's whole capacity has. Work is counted in whole grains, so that sums are exact, and a plan may
lack one grain for each step: 5e-14 of the capacity."""
_EPS = 1e-12
_COMBINATIONS = 3000


class Menu(NamedTuple):
    """What can be chosen in each step. Column 0 is the pause: no work, no cost; work and cost rise with the column.

    Attributes:
        work: Grains that each choice does in each step; (T, W), whole numbers.
        cost: What it costs beyond a pause; (T, W), >= 0.
        corners: The columns on the lower convex hull of (work, cost), the pause first.
        slopes: Cost per grain between them, in each step; (T, corners - 1), rising.
        need: Grains to be done.
    """

    work: FloatArray
    cost: FloatArray
    corners: IntArray
    slopes: FloatArray
    need: float


class Found(NamedTuple):
    """The column chosen in each step, (T,), and a bound that no choice goes below: its own cost where exact."""

    choice: IntArray
    bound: float
    exact: bool


def menu_of(
    hours: FloatArray,
    values: FloatArray,
    throughput_per_h: FloatArray,
    power_kw: FloatArray,
    corners: Sequence[int],
    work: float,
) -> Menu:
    """The choices of every step.

    Args:
        hours: Length of each step; (T,), h, > 0.
        values: Of each step; (T,), >= 0.
        throughput_per_h: Of each width; (W - 1,), rising, > 0.
        power_kw: Of each width beyond that of a pause; (W - 1,), rising, kW, >= 0.
        corners: Indices of the widths on the lower convex hull.
        work: To be done, in the units of the throughput x h.
    """
    grains = _GRID / (float(hours.sum()) * float(throughput_per_h[-1]))
    rate = np.concatenate(([0.0], throughput_per_h))
    power = np.concatenate(([0.0], power_kw))
    columns = np.concatenate(([0], np.asarray(corners, dtype=np.int64) + 1))
    slopes = np.diff(power[columns]) / (np.diff(rate[columns]) * grains)
    done = np.rint(np.multiply.outer(hours * grains, rate))
    return Menu(
        done,
        np.multiply.outer(hours * values, power),
        columns,
        np.multiply.outer(values, slopes),
        min(work * grains - hours.size, float(done[:, -1].sum())),
    )


class _Fluid(NamedTuple):
    """The linear relaxation of some steps: the segments of their hulls in the order in which they are taken."""

    step: IntArray
    work: FloatArray
    """Done by the first i segments; (n + 1,), from 0."""
    cost: FloatArray
    """Of the first i segments; (n + 2,), from 0; infinite beyond the last."""

    def least(self, need: FloatArray) -> FloatArray:
        """Cost of work in part slots; infinite for more work than there is."""
        return np.interp(need, self.work, self.cost[:-1], right=math.inf)


class _Segments(NamedTuple):
    """Of the hulls of all steps, cheapest work first; those of one step in the order of its hull."""

    step: IntArray
    work: FloatArray
    cost: FloatArray

    def fluid(self, wanted: BoolArray) -> _Fluid:
        step, work, cost = self.step[wanted], self.work[wanted], self.cost[wanted]
        return _Fluid(step, np.concatenate(([0.0], work.cumsum())), np.concatenate(([0.0], cost.cumsum(), [math.inf])))


class _Layer(NamedTuple):
    """How the states after some steps came about: from which state before, and with which choices in these steps."""

    steps: IntArray
    parent: IntArray
    choices: IntArray
    """(states, steps)."""


def cheapest_slots(menu: Menu, state_limit: int = STATE_LIMIT) -> Found:
    """The choice in each step that does the work at the least cost, every step counted whole.

    Args:
        menu: Its need is within reach: the last column of all steps does it.
        state_limit: How many states are held at once; beyond it the answer is not proven.
    Returns:
        The choice, its bound, and whether it is proven to be the best.
    Notes:
        A multiple-choice knapsack. The relaxation gives work a price; a choice whose reduced cost exceeds the gap
        between the best known plan and the relaxation is struck out, which leaves most steps with one choice. The
        others are enumerated several at a time, those nearest to the price first, as lists of undominated states.
        The steps that are left bound each state by their relaxation, and complete it to a plan.
    Source:
        The order of the steps, from the price outwards, is that of Pisinger, "A minimal algorithm for the
        multiple-choice knapsack problem", European Journal of Operational Research 83, 1995.
    """
    return _Search(menu, state_limit).found()


class _Search:
    """One run of ``cheapest_slots``: the best plan so far, and the layers from which it can be read back."""

    def __init__(self, menu: Menu, state_limit: int) -> None:
        self.menu, self.state_limit = menu, state_limit
        order = np.argsort(menu.slopes, axis=None, kind="stable")
        self.segments = _Segments(
            order // menu.slopes.shape[1],
            np.diff(menu.work[:, menu.corners]).ravel()[order],
            np.diff(menu.cost[:, menu.corners]).ravel()[order],
        )
        self._take_root(menu.slopes.ravel()[order])
        self.tolerance = _EPS * self.cost
        self.layers: list[_Layer] = []
        self.left = self.base
        """The steps whose choice is still open."""
        self.lost = math.inf
        """The least that a plan can cost which comes of a state that was dropped for want of room."""

    def _take_root(self, prices: FloatArray) -> None:
        """The relaxation of all steps, and the best plan that is a step away from it."""
        menu, steps = self.menu, np.arange(self.menu.work.shape[0])
        fluid = self.segments.fluid(np.ones(prices.size, dtype=bool))
        broken = min(int(np.searchsorted(fluid.work[1:], menu.need)), prices.size - 1)
        self.bound = float(fluid.least(np.array([menu.need]))[0])
        self.reduced = menu.cost - prices[broken] * menu.work
        self.reduced -= self.reduced.min(axis=1, keepdims=True)
        self.base = self.reduced.argmin(axis=1)
        below = menu.corners[np.bincount(self.segments.step[:broken], minlength=steps.size)]
        enough = menu.work - menu.work[steps, below][:, None] >= menu.need - fluid.work[broken]
        extra = np.where(enough, menu.cost - menu.cost[steps, below][:, None], math.inf)
        step, column = divmod(int(extra.argmin()), menu.work.shape[1])
        self.cost = float(fluid.cost[broken] + extra[step, column])
        self.choice = below
        self.choice[step] = column

    def found(self) -> Found:
        gap = self.cost - self.bound
        free = np.flatnonzero(np.count_nonzero(self.reduced < gap, axis=1) > 1)
        if gap > self.tolerance and free.size:
            self._enumerate(free[np.argsort(self._distance(free), kind="stable")])
        exact = self.lost >= self.cost - self.tolerance
        return Found(self.choice, self.cost if exact else max(self.bound, self.lost), exact)

    def _distance(self, free: IntArray) -> FloatArray:
        """By how much the price of work would have to change before another choice is the best of its step."""
        change = np.abs(self.menu.work[free] - self.menu.work[free, self.base[free]][:, None])
        price = np.divide(self.reduced[free], change, out=np.full(change.shape, math.inf), where=change > 0)
        nearest: FloatArray = price.min(axis=1)
        return nearest

    def _enumerate(self, order: IntArray) -> None:
        menu, steps = self.menu, np.arange(self.base.size)
        rank = np.full(steps.size, -1)
        rank[order] = np.arange(order.size)
        settled = steps[rank < 0]
        need = np.array([menu.need - menu.work[settled, self.base[settled]].sum()])
        cost = np.array([menu.cost[settled, self.base[settled]].sum()])
        at = 0
        while at < order.size and need.size:
            group = order[at : at + self._group_size(order[at:], need.size)]
            at += group.size
            self.left = order[at:]
            need, cost = self._extended(group, need, cost, self.segments.fluid(rank[self.segments.step] >= at))

    def _group_size(self, order: IntArray, states: int) -> int:
        """As many steps as make a few thousand combinations, one at least: each round of the search costs the same."""
        options = np.count_nonzero(self.reduced[order[:12]] < self.cost - self.bound, axis=1)
        return max(1, int(np.searchsorted(np.cumprod(options) * states, _COMBINATIONS, side="right")))

    def _extended(
        self, group: IntArray, need: FloatArray, cost: FloatArray, fluid: _Fluid
    ) -> tuple[FloatArray, FloatArray]:
        """The states after the steps of the group; a better plan that shows on the way is noted."""
        choices, work, paid = self._combinations(group)
        need = np.subtract.outer(need, work).ravel()
        cost = np.add.outer(cost, paid).ravel()
        segments = np.searchsorted(fluid.work, need)
        whole = cost + fluid.cost[segments]
        first = int(whole.argmin())
        if whole[first] < self.cost - self.tolerance:
            self.cost = float(whole[first])
            self.choice = self._assembled(group, first, choices, fluid.step[: segments[first]])
        kept, lost = most_promising(cost + fluid.least(need), self.cost - self.tolerance, self.state_limit)
        self.lost = min(self.lost, lost)
        kept = kept[np.argsort(cost[kept], kind="stable")]
        left = need[kept]
        kept = kept[np.concatenate(([True], left[1:] < np.minimum.accumulate(left)[:-1]))[: kept.size]]
        self.layers.append(_Layer(group, kept // work.size, choices[kept % work.size]))
        return need[kept], cost[kept]

    def _combinations(self, group: IntArray) -> tuple[IntArray, FloatArray, FloatArray]:
        """Choices (n, steps), work and cost of every combination whose reduced costs together leave room for gain."""
        gap = self.cost - self.bound
        choices = np.zeros((1, 0), dtype=np.int64)
        excess = np.zeros(1)
        for step in group:
            columns = np.flatnonzero(self.reduced[step] < gap)
            excess = np.add.outer(excess, self.reduced[step, columns]).ravel()
            at = np.flatnonzero(excess < gap)
            excess = excess[at]
            choices = np.column_stack((choices[at // columns.size], columns[at % columns.size]))
        return choices, self.menu.work[group, choices].sum(axis=1), self.menu.cost[group, choices].sum(axis=1)

    def _assembled(self, group: IntArray, state: int, choices: IntArray, segments: IntArray) -> IntArray:
        """The whole plan of a state: what led to it, and the segments that complete it."""
        parent, combination = divmod(state, choices.shape[0])
        plan: IntArray = self.base.copy()
        plan[self.left] = self.menu.corners[np.bincount(segments, minlength=plan.size)[self.left]]
        plan[group] = choices[combination]
        for layer in reversed(self.layers):
            plan[layer.steps] = layer.choices[parent]
            parent = int(layer.parent[parent])
        return plan


def most_promising(least: FloatArray, below: float, limit: int) -> tuple[IntArray, float]:
    """States whose least final cost is below a known one, as many as may be held; and the least of those left out."""
    kept = np.flatnonzero(least < below)
    if kept.size <= limit:
        return kept, math.inf
    kept = kept[np.argsort(least[kept], kind="stable")]
    return kept[:limit], float(least[kept[limit]])
