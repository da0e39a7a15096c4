"""One width for each step, chosen exactly where the order of the steps does not matter: a knapsack with choices.

This search and that of ``widths_sequence`` keep lists of undominated states (work still to do, cost so far), drop a
state when a bound shows that no better plan can come of it, and complete every state to a plan, which sharpens what is
to be beaten.
"""

from __future__ import annotations

import math
from itertools import pairwise
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
lack one grain for each step, 6e-14 of the capacity."""
_EPS = 1e-10
"""A plan that is cheaper by less, relatively, is not looked for."""
_STEPS = 24
_COMBINATIONS = 2000
"""Of states with choices, looked at in one round of the search: enough to keep numpy busy, few enough for the cache."""


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
        min(max(1.0, work * grains - hours.size), float(done[:, -1].sum())),
    )


class _Fluid(NamedTuple):
    """The linear relaxation of some steps: the segments of their hulls, in the order in which they are taken.

    All of n segments: (n + 2,), entry i stands after i segments. The last entry stands for more work than there is:
    its cost is infinite.
    """

    step: IntArray
    """Of each segment; (n,)."""
    work: FloatArray
    cost: FloatArray
    price: FloatArray
    """Of the work of segment i; 0 at both ends."""

    def segments_for(self, need: FloatArray) -> IntArray:
        """How many segments do the work; n + 1 where none do."""
        return self.work[:-1].searchsorted(need)

    def least(self, need: FloatArray, segments: IntArray) -> FloatArray:
        """Cost of the work in part slots: the last of its segments is taken for its share."""
        return self.cost[segments] - (self.work[segments] - need) * self.price[segments]


class _Segments(NamedTuple):
    """Of the hulls of all steps, cheapest work first; those of one step in the order of its hull."""

    step: IntArray
    work: FloatArray
    cost: FloatArray
    price: FloatArray

    def fluid(self, wanted: BoolArray) -> _Fluid:
        """The running sums of the segments wanted (n,), as if work could be divided."""
        step = self.step[wanted]
        work, cost, price = np.zeros((3, step.size + 2))
        self.work[wanted].cumsum(out=work[1:-1])
        self.cost[wanted].cumsum(out=cost[1:-1])
        cost[-1] = math.inf
        price[1:-1] = self.price[wanted]
        return _Fluid(step, work, cost, price)


class _Layer(NamedTuple):
    """How the states after some steps came about: from which state before, by which combination of choices."""

    steps: IntArray
    columns: list[IntArray]
    """The choices that each of the steps had."""
    parent: IntArray
    combination: IntArray
    """Its number, see ``_chosen``."""


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
        order = menu.slopes.argsort(axis=None, kind="stable")
        self.segments = _Segments(
            order // menu.slopes.shape[1],
            np.diff(menu.work[:, menu.corners]).ravel()[order],
            np.diff(menu.cost[:, menu.corners]).ravel()[order],
            menu.slopes.ravel()[order],
        )
        self._take_root()
        self.tolerance = _EPS * self.cost
        self.layers: list[_Layer] = []
        self.lost = math.inf
        """The least that a plan can cost which comes of a state that was dropped for want of room."""

    def _take_root(self) -> None:
        """The relaxation of all steps, and the best plan that is one choice away from it."""
        menu, steps = self.menu, np.arange(self.menu.work.shape[0])
        fluid = self.segments.fluid(self.segments.step >= 0)
        need = np.array([menu.need])
        taken = np.minimum(fluid.segments_for(need), fluid.step.size)
        self.bound = float(fluid.least(need, taken)[0])
        self.price = float(fluid.price[taken[0]])
        reduced = menu.cost - self.price * menu.work
        self.base = reduced.argmin(axis=1)
        self.reduced = reduced - reduced[steps, self.base][:, None]
        segments = max(0, int(taken[0]) - 1)
        self.choice = menu.corners[np.bincount(fluid.step[:segments], minlength=steps.size)]
        more = menu.work - menu.work[steps, self.choice][:, None]
        extra = menu.cost - menu.cost[steps, self.choice][:, None]
        extra = np.where(more >= menu.need - fluid.work[segments], extra, math.inf)
        step, column = divmod(int(extra.argmin()), menu.work.shape[1])
        self.choice[step] = column
        self.cost = float(fluid.cost[segments] + extra[step, column])

    def found(self) -> Found:
        """The best choice of columns; its cost is the bound, unless states were dropped that could be better."""
        gap = self.cost - self.bound
        free = (np.count_nonzero(self.reduced < gap, axis=1) > 1).nonzero()[0]
        if gap > self.tolerance and free.size:
            self._enumerate(free[self._distance(free).argsort(kind="stable")])
        exact = self.lost >= self.cost - self.tolerance
        return Found(self.choice, self.cost if exact else max(self.bound, self.lost), exact)

    def _distance(self, free: IntArray) -> FloatArray:
        """By how much the price of work would have to change before another choice is the best of its step."""
        change = np.abs(self.menu.work[free] - self.menu.work[free, self.base[free]][:, None])
        price = np.divide(self.reduced[free], change, out=np.full(change.shape, math.inf), where=change > 0)
        nearest: FloatArray = price.min(axis=1)
        return nearest

    def _enumerate(self, order: IntArray) -> None:
        """Goes through the steps in this order, several in a round; all others keep their best choice."""
        menu = self.menu
        rank = np.full(self.base.size, -1)
        rank[order] = np.arange(order.size)
        settled = (rank < 0).nonzero()[0]
        need = np.array([menu.need - menu.work[settled, self.base[settled]].sum()])
        cost = np.array([menu.cost[settled, self.base[settled]].sum()])
        segment_rank = rank[self.segments.step]
        at = 0
        while at < order.size and need.size:
            columns = self._next_columns(order[at:], need.size)
            group = order[at : at + len(columns)]
            at += len(columns)
            need, cost = self._extended(group, columns, need, cost, self.segments.fluid(segment_rank >= at))

    def _next_columns(self, order: IntArray, states: int) -> list[IntArray]:
        """The choices that are left in the next steps: in one at least, and in so many that each round does as much."""
        of_step, columns = (self.reduced[order] < self.cost - self.bound).nonzero()
        counts = np.bincount(of_step)[:_STEPS]
        size = max(1, int((counts.cumprod(dtype=np.float64) * states).searchsorted(_COMBINATIONS, side="right")))
        ends = counts[:size].cumsum().tolist()
        return [columns[low:high] for low, high in pairwise((0, *ends))]

    def _extended(
        self, group: IntArray, columns: list[IntArray], need: FloatArray, cost: FloatArray, fluid: _Fluid
    ) -> tuple[FloatArray, FloatArray]:
        """The states after the steps of the group; a better plan that shows on the way is noted."""
        combination, work, paid = self._combinations(group, columns)
        need = np.subtract.outer(need, work).ravel()
        cost = np.add.outer(cost, paid).ravel()
        segments = fluid.segments_for(need)
        whole = cost + fluid.cost[segments]
        best = int(whole.argmin())
        if whole[best] < self.cost - self.tolerance:
            state, at = divmod(best, work.size)
            self.cost = float(whole[best])
            self.choice = self._assembled(fluid, int(segments[best]), state)
            self.choice[group] = _chosen(columns, int(combination[at]))
        least = cost + fluid.least(need, segments)
        kept, lost = most_promising(least, self.cost - self.tolerance, self.state_limit)
        self.lost = min(self.lost, lost)
        kept = kept[cost[kept].argsort(kind="stable")]
        left = need[kept]
        record = np.ones(left.size, dtype=bool)
        np.less(left[1:], np.minimum.accumulate(left)[:-1], out=record[1:])
        kept = kept[record]
        self.layers.append(_Layer(group, columns, kept // work.size, combination[kept % work.size]))
        return need[kept], cost[kept]

    def _combinations(self, group: IntArray, columns: list[IntArray]) -> tuple[IntArray, FloatArray, FloatArray]:
        """Number, work and cost of the combinations whose reduced costs together leave room for a gain."""
        work, cost, excess = np.zeros((3, 1))
        for step, choices in zip(group.tolist(), columns, strict=True):
            work = np.add.outer(work, self.menu.work[step, choices]).ravel()
            cost = np.add.outer(cost, self.menu.cost[step, choices]).ravel()
            excess = np.add.outer(excess, self.reduced[step, choices]).ravel()
        kept = (excess < self.cost - self.bound).nonzero()[0]
        return kept, work[kept], cost[kept]

    def _assembled(self, fluid: _Fluid, segments: int, state: int) -> IntArray:
        """A plan but for the steps at hand: what led to a state, and the segments that complete it."""
        plan: IntArray = self.base.copy()
        rest = np.unique(fluid.step)
        plan[rest] = self.menu.corners[np.bincount(fluid.step[:segments], minlength=plan.size)[rest]]
        for layer in reversed(self.layers):
            plan[layer.steps] = _chosen(layer.columns, int(layer.combination[state]))
            state = int(layer.parent[state])
        return plan


def _chosen(columns: list[IntArray], combination: int) -> list[int]:
    """The choice of each step in a combination, numbered so that the choice of the last step changes first."""
    chosen = []
    for choices in reversed(columns):
        combination, digit = divmod(combination, choices.size)
        chosen.append(int(choices[digit]))
    return chosen[::-1]


def most_promising(least: FloatArray, below: float, limit: int) -> tuple[IntArray, float]:
    """States whose least final cost is below a known one, as many as may be held; and the least of those left out."""
    kept = (least < below).nonzero()[0]
    if kept.size <= limit:
        return kept, math.inf
    kept = kept[np.argsort(least[kept], kind="stable")]
    return kept[:limit], float(least[kept[limit]])
