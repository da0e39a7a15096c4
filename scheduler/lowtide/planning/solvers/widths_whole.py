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
_COMBINATIONS = 2000
"""Of states with choices, looked at in one round of the search: enough to keep numpy busy, few enough for the cache."""
_NEARBY = 4
"""By how many segments fewer or more than the relaxation takes the first plans to be looked at begin."""
_FEW = 50
"""Combinations of choices that are not worth being thinned out."""


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
    high, low = columns[1:], columns[:-1]
    slopes = (power[high] - power[low]) / ((rate[high] - rate[low]) * grains)
    done = np.rint(np.multiply.outer(hours * grains, rate))
    return Menu(
        done,
        np.multiply.outer(hours * values, power),
        columns,
        np.multiply.outer(values, slopes),
        min(max(1.0, work * grains - hours.size), float(done[:, -1].sum())),
    )


class _Fluid(NamedTuple):
    """The linear relaxation of some steps: the segments of their hulls, in the order in which they are taken."""

    wanted: BoolArray
    """Which of all segments these are."""
    sums: FloatArray
    """After i of the n segments: their cost, their work, and the price of the work of the last, 0 after none;
    (3, n + 2). The last entry stands for more work than there is: its cost is infinite."""

    def segments_for(self, need: FloatArray) -> IntArray:
        """How many segments do the work; n + 1 where none do."""
        return self.sums[1, :-1].searchsorted(need)


class _Segments(NamedTuple):
    """Of the hulls of all steps, cheapest work first; those of one step in the order of its hull."""

    step: IntArray
    figures: FloatArray
    """Cost, work and the price of it; (3, n)."""

    def fluid(self, wanted: BoolArray) -> _Fluid:
        """The running sums of the segments wanted (n,), as if work could be divided."""
        which = wanted.nonzero()[0]
        sums = np.zeros((3, which.size + 2))
        self.figures.take(which, axis=1, out=sums[:, 1:-1], mode="clip")  # any other mode makes a copy first
        sums[0].cumsum(out=sums[0])
        sums[1].cumsum(out=sums[1])
        sums[0, -1] = math.inf
        return _Fluid(wanted, sums)


class _Combined(NamedTuple):
    """Combinations of choices in some steps; without most of those that leave no room for a gain."""

    figures: FloatArray
    """As of ``_Choices``; (3, m)."""
    columns: list[IntArray]
    """The choices that each of the steps had."""
    kept: list[IntArray | None]
    """Of each step, which pairs of a combination so far and a choice of its own, which changes first, were kept; None:
    all."""

    def chosen(self, combination: int) -> list[int]:
        """The choice of each step."""
        chosen = []
        for columns, kept in zip(reversed(self.columns), reversed(self.kept), strict=True):
            combination, digit = divmod(combination if kept is None else int(kept[combination]), columns.size)
            chosen.append(int(columns[digit]))
        return chosen[::-1]


class _Choices(NamedTuple):
    """What is left to choose from in some steps, one step after the other."""

    columns: IntArray
    figures: FloatArray
    """Need (less than 0: work is done), cost and reduced cost of each choice; (3, n)."""
    ends: list[int]
    """Up to where the choices of each step reach, with a 0 before."""

    def combined(self, first: int, states: int, room: float) -> _Combined:
        """Those of the next steps, one at least and so many that each round does about as much.

        Args:
            first: Of the next steps.
            states: How many there are, each of which meets all combinations.
            room: Combinations whose reduced costs together are not below it are thinned out.
        """
        total = np.zeros((3, 1))
        columns: list[IntArray] = []
        kept: list[IntArray | None] = []
        for low, high in pairwise(self.ends[first:]):
            if columns and total.shape[1] * (high - low) * states > _COMBINATIONS:
                break
            total = (total[:, :, None] + self.figures[:, None, low:high]).reshape(3, -1)
            if total.shape[1] > _FEW or high == self.ends[-1]:
                some = (total[2] < room).nonzero()[0]
                total = total.take(some, axis=1)
                kept.append(some)
            else:
                kept.append(None)
            columns.append(self.columns[low:high])
        return _Combined(total, columns, kept)


class _Layer(NamedTuple):
    """How the states after some steps came about."""

    steps: IntArray
    combined: _Combined
    pair: IntArray
    """Of each state, the number of its pair of a state before and a combination of choices, which changes first."""

    def origin(self, state: int) -> tuple[int, list[int]]:
        """The state before, and the choice in each of the steps."""
        before, combination = divmod(int(self.pair[state]), self.combined.figures.shape[1])
        return before, self.combined.chosen(combination)


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
        high, low = menu.corners[1:], menu.corners[:-1]
        cost, work = (figures.take(high, axis=1) - figures.take(low, axis=1) for figures in (menu.cost, menu.work))
        figures = np.array((cost, work, menu.slopes)).reshape(3, -1)
        self.segments = _Segments(order // menu.slopes.shape[1], figures.take(order, axis=1))
        self._take_root()
        self.tolerance = _EPS * self.cost
        self.layers: list[_Layer] = []
        self.lost = math.inf
        """The least that a plan can cost which comes of a state that was dropped for want of room."""

    def _take_root(self) -> None:
        """The relaxation of all steps, and the best plan near it."""
        menu = self.menu
        fluid = self.segments.fluid(self.segments.step >= 0)
        taken = min(int(fluid.segments_for(np.array([menu.need]))[0]), self.segments.step.size)
        cost, work, self.price = fluid.sums[:, taken].tolist()
        self.bound = cost - (work - menu.need) * self.price
        reduced = menu.cost - self.price * menu.work
        self.base = reduced.argmin(axis=1)
        self.reduced = reduced - reduced.min(axis=1)[:, None]
        self._take_nearby(fluid, taken)

    def _take_nearby(self, fluid: _Fluid, taken: int) -> None:
        """The best plan that is one choice away from having taken that many segments, or a few more or less."""
        menu = self.menu
        first, last = max(0, taken - _NEARBY), min(self.segments.step.size, taken + _NEARBY)
        levels = np.zeros((last - first + 1, menu.work.shape[0]), dtype=np.int64)
        levels[0] = np.bincount(self.segments.step[:first], minlength=menu.work.shape[0])
        levels[np.arange(1, levels.shape[0]), self.segments.step[first:last]] = 1
        choices = menu.corners[levels.cumsum(axis=0)]
        steps = np.arange(menu.work.shape[0])
        short = menu.need - fluid.sums[1, first : last + 1]
        enough = menu.work >= (menu.work[steps, choices] + short[:, None])[:, :, None]
        so_far = fluid.sums[0, first : last + 1, None] - menu.cost[steps, choices]
        costs = np.where(enough, menu.cost + so_far[:, :, None], math.inf)
        at, step, column = np.unravel_index(int(costs.argmin()), costs.shape)
        self.cost = float(costs[at, step, column])
        self.choice = choices[at]
        self.choice[step] = column

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
        at_base = settled, self.base[settled]
        states = np.array([[menu.need - menu.work[at_base].sum()], [menu.cost[at_base].sum()]])
        segment_rank = rank[self.segments.step]
        choices, known = self._choices(order), self.cost
        at = 0
        while at < order.size and states.size:
            if self.cost < known:
                choices, known = self._choices(order), self.cost
            combined = choices.combined(at, states.shape[1], self.cost - self.bound)
            group = order[at : at + len(combined.columns)]
            at += group.size
            states = self._extended(group, combined, states, self.segments.fluid(segment_rank >= at))

    def _choices(self, order: IntArray) -> _Choices:
        """Those whose reduced cost leaves room for a gain, of steps in this order."""
        of_step, columns = (self.reduced[order] < self.cost - self.bound).nonzero()
        at = order[of_step], columns
        figures = np.array((-self.menu.work[at], self.menu.cost[at], self.reduced[at]))
        return _Choices(columns, figures, [0, *np.bincount(of_step).cumsum().tolist()])

    def _extended(self, group: IntArray, combined: _Combined, states: FloatArray, fluid: _Fluid) -> FloatArray:
        """The states, (2, n): work to be done and cost so far, after the steps of the group.

        A better plan that shows on the way is noted.

        Args:
            combined: What can be chosen in the steps of the group.
            states: Before them.
            fluid: Of the steps after them.
        """
        states = (states[:, :, None] + combined.figures[:2, None, :]).reshape(2, -1)
        need, cost = states
        segments = fluid.segments_for(need)
        rest_cost, rest_work, price = fluid.sums.take(segments, axis=1)
        whole = cost + rest_cost
        best = int(whole.argmin())
        if whole[best] < self.cost - self.tolerance:
            state, at = divmod(best, combined.figures.shape[1])
            self.cost = float(whole[best])
            self.choice = self._assembled(fluid, int(segments[best]), state)
            self.choice[group] = combined.chosen(at)
        least = whole - (rest_work - need) * price
        kept, lost = most_promising(least, self.cost - self.tolerance, self.state_limit)
        self.lost = min(self.lost, lost)
        kept = kept[cost[kept].argsort(kind="stable")]
        left = need[kept]
        record = np.empty(left.size, dtype=bool)
        record[:1] = True
        np.less(left[1:], np.minimum.accumulate(left)[:-1], out=record[1:])
        kept = kept[record]
        self.layers.append(_Layer(group, combined, kept))
        return states.take(kept, axis=1)

    def _assembled(self, fluid: _Fluid, segments: int, state: int) -> IntArray:
        """A plan but for the steps at hand: what led to a state, and the segments that complete it."""
        plan: IntArray = self.base.copy()
        steps = self.segments.step[fluid.wanted]
        plan[steps] = self.menu.corners[np.bincount(steps[:segments], minlength=plan.size)[steps]]
        for layer in reversed(self.layers):
            state, plan[layer.steps] = layer.origin(state)
        return plan


def most_promising(least: FloatArray, below: float, limit: int) -> tuple[IntArray, float]:
    """States whose least final cost is below a known one, as many as may be held; and the least of those left out."""
    kept = (least < below).nonzero()[0]
    if kept.size <= limit:
        return kept, math.inf
    kept = kept[np.argsort(least[kept], kind="stable")]
    return kept[:limit], float(least[kept[limit]])
