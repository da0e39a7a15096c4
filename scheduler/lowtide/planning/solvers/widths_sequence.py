"""One width for each step where the order of the steps matters: changes of width cost, or the last step ends early."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from lowtide.planning.solvers.widths_whole import STATE_LIMIT, Found, cheapest_slots, most_promising

if TYPE_CHECKING:
    from lowtide.planning.solvers.widths_whole import IntArray, Menu
    from lowtide_core.series import FloatArray

_EPS = 1e-10
_APART = 2.0**46
"""More grains than any state lacks: keeps the lists of different widths apart in one sorted array."""
_PRICES = 12
_ROUNDS = 3


class _Outlook(NamedTuple):
    """What is best after the first t steps, when the last choice was column u, at each of several prices of work.

    Attributes:
        price: (K,), cost per grain, >= 0.
        value: Least cost, less price x work, of the rest; (T + 1, W, K), <= 0, since the job may end.
        work: Grains that this rest does; (T + 1, W, K).
        choice: Its next column; (T, W, K), -1 where it ends.
    """

    price: FloatArray
    value: FloatArray
    work: FloatArray
    choice: IntArray


class _States(NamedTuple):
    """Unfinished beginnings of plans; each (n,): grains still to do, cost so far, and the column of the last step."""

    need: FloatArray
    cost: FloatArray
    last: IntArray


class _Layer(NamedTuple):
    """Of each state kept after a step: the state before, and the choice in the step."""

    parent: IntArray
    choice: IntArray


def cheapest_sequence(
    menu: Menu, change_cost: FloatArray, *, stop_when_done: bool = False, state_limit: int = STATE_LIMIT
) -> Found:
    """The choice in each step that does the work at the least cost, changes included.

    Args:
        menu: As for ``cheapest_slots``; its steps are in order of time.
        change_cost: Of a change in each step; (T,), >= 0. A change to a running width costs that of the step that
            begins, a change to a pause that of the step that has ended. The job begins from a pause; its end is free.
        stop_when_done: The step in which the work gets done costs only its share.
        state_limit: How many states are held at once; beyond it the answer is not proven.
    Returns:
        The choice, its bound, and whether it is proven to be the best.
    Notes:
        Step by step, lists of undominated states for each last width. At a given price of work the best rest of a
        plan is a shortest path over (step, width). At any price it bounds what a state costs in the end from below
        (Lagrange), and where the path does the work that is left it completes the state to a plan. Several prices
        about the best one are used side by side.
    """
    return _Search(menu, change_cost, stop_when_done=stop_when_done, state_limit=state_limit).found()


class _Search:
    """One run of ``cheapest_sequence``: the best plan so far, and the layers from which it can be read back."""

    def __init__(self, menu: Menu, change_cost: FloatArray, *, stop_when_done: bool, state_limit: int) -> None:
        self.menu, self.change_cost = menu, change_cost
        self.stop_when_done, self.state_limit = stop_when_done, state_limit
        self.columns = np.arange(menu.work.shape[1])
        before = np.concatenate((change_cost[:1], change_cost[:-1]))
        self.pause_cost = np.multiply.outer(before, self.columns > 0)[..., None]
        """Of a change to a pause, for each last column; (T, W, 1)."""
        self.choice, self.cost = self._ended(cheapest_slots(menu, state_limit).choice)
        self.tolerance = _EPS * self.cost
        self.layers: list[_Layer] = []
        self.lost = math.inf
        """The least that a plan can cost which comes of a state that was dropped for want of room."""
        self.outlook = self._outlook_about_best_price()

    def found(self) -> Found:
        """The best choice of columns; its cost is the bound, unless states were dropped that could be better."""
        need = self.menu.need
        states = _States(np.array([need]), np.zeros(1), np.zeros(1, dtype=np.int64))
        bound = float((self.outlook.value[0, 0] + self.outlook.price * need).max())
        self._note_completed(0, states)
        if bound < self.cost - self.tolerance:
            for step in range(self.menu.work.shape[0]):
                states = self._extended(step, states)
                if not states.need.size:
                    break
        exact = self.lost >= self.cost - self.tolerance
        return Found(self.choice, self.cost if exact else max(bound, self.lost), exact)

    def _extended(self, step: int, states: _States) -> _States:
        """The unfinished states after one more step; better plans that show on the way are noted."""
        need = np.subtract.outer(states.need, self.menu.work[step])
        changes = self._changes(step, states.last)
        self._note_finished(step, states, need, changes)
        need, cost = need.ravel(), (states.cost[:, None] + self.menu.cost[step] + changes).ravel()
        last = np.broadcast_to(self.columns if self.change_cost.any() else 0, changes.shape).ravel()
        unfinished = np.flatnonzero((need > 0) & (cost < self.cost))
        least = cost[unfinished] + self._rest_at_least(step + 1, need[unfinished], last[unfinished])
        kept, lost = most_promising(least, self.cost - self.tolerance, self.state_limit)
        self.lost = min(self.lost, lost)
        kept = unfinished[kept]
        either = float(self.change_cost[step : step + 2].max())
        kept = kept[_undominated(need[kept], cost[kept], last[kept], either if either > self.tolerance else math.inf)]
        self.layers.append(_Layer(kept // self.columns.size, kept % self.columns.size))
        states = _States(need[kept], cost[kept], last[kept])
        self._note_completed(step + 1, states)
        return states

    def _changes(self, step: int, last: IntArray) -> FloatArray:
        """What a change from the last column of each state to each column of the step costs; (n, W)."""
        charge = np.where(self.columns > 0, self.change_cost[step], self.change_cost[max(0, step - 1)])
        return np.where(last[:, None] == self.columns, 0.0, charge)

    def _rest_at_least(self, step: int, need: FloatArray, last: IntArray) -> FloatArray:
        least: FloatArray = (self.outlook.value[step, last] + np.multiply.outer(need, self.outlook.price)).max(axis=1)
        return least

    def _note_finished(self, step: int, states: _States, need: FloatArray, changes: FloatArray) -> None:
        """The cheapest plan that gets done in this step."""
        share: FloatArray | float = 1.0
        if self.stop_when_done:
            share = np.minimum(1.0, states.need[:, None] / np.maximum(self.menu.work[step], 1.0))
        total = np.where(need <= 0, states.cost[:, None] + changes + share * self.menu.cost[step], math.inf)
        state, column = divmod(int(total.argmin()), self.columns.size)
        self._note(float(total[state, column]), state, step, [column])

    def _note_completed(self, step: int, states: _States) -> None:
        """The cheapest plan that follows the best path of one of the prices from here to its end."""
        if not states.need.size:
            return
        outlook = self.outlook
        work = outlook.work[step, states.last]
        total = states.cost[:, None] + outlook.value[step, states.last] + outlook.price * work
        total[work < states.need[:, None]] = math.inf
        state, path = divmod(int(total.argmin()), outlook.price.size)
        if total[state, path] < self.cost - self.tolerance:
            self._note(float(total[state, path]), state, step, self._path(step, int(states.last[state]), path))

    def _path(self, step: int, last: int, path: int) -> list[int]:
        columns: list[int] = []
        for at in range(step, self.menu.work.shape[0]):
            column = int(self.outlook.choice[at, last, path])
            if column < 0:
                break
            columns.append(column)
            last = column
        return columns

    def _note(self, total: float, state: int, step: int, columns: list[int]) -> None:
        """Takes the plan of a state that goes on from a step with these columns, if it is the best so far."""
        if total >= self.cost - self.tolerance:
            return
        plan = np.zeros_like(self.choice)
        plan[step : step + len(columns)] = columns
        for at in range(step - 1, -1, -1):
            plan[at] = self.layers[at].choice[state]
            state = int(self.layers[at].parent[state])
        plan, cost = self._ended(plan)
        if cost < self.cost:
            self.cost, self.choice = cost, plan

    def _ended(self, choice: IntArray) -> tuple[IntArray, float]:
        """A choice that does the work, without the steps after it is done; and its cost."""
        steps = np.arange(choice.size)
        done = self.menu.work[steps, choice].cumsum()
        end = int(done.searchsorted(self.menu.need)) + 1
        costs = self.menu.cost[steps[:end], choice[:end]]
        if self.stop_when_done:
            costs[-1] *= 1.0 - (done[end - 1] - self.menu.need) / self.menu.work[end - 1, choice[end - 1]]
        before = np.concatenate(([0], choice[: end - 1]))
        charge = np.where(choice[:end] > 0, self.change_cost[:end], np.roll(self.change_cost, 1)[:end])
        cost = float(costs.sum() + charge[before != choice[:end]].sum())
        return np.where(steps < end, choice, 0), cost

    def _outlook_about_best_price(self) -> _Outlook:
        """Prices are narrowed down to the one with the highest bound; the last two rounds of them are kept."""
        menu = self.menu
        highest = float(menu.slopes.max() + 2 * self.change_cost.max() / menu.work[:, -1].max())
        price = np.append(np.quantile(menu.slopes, np.linspace(0.0, 1.0, _PRICES - 1)), highest)
        for _ in range(_ROUNDS):
            wide = price
            bound = self._values(price)[0, 0] + price * menu.need
            best = int(bound.argmax())
            price = np.linspace(price[max(0, best - 1)], price[min(best + 1, price.size - 1)], _PRICES)
        return self._outlook(np.unique(np.concatenate((wide, price))))

    def _values(self, price: FloatArray) -> FloatArray:
        """``value`` of an outlook, backwards: end, stay at the width, change to another one, or pause."""
        step_value = self._step_values(price)
        value = np.zeros((step_value.shape[0] + 1, *step_value.shape[1:]))
        for step in range(step_value.shape[0] - 1, -1, -1):
            after = step_value[step] + value[step + 1]
            best = np.minimum(after, after[1:].min(axis=0) + self.change_cost[step])
            np.minimum(best, after[0] + self.pause_cost[step], out=best)
            np.minimum(best, 0.0, out=value[step])
        return value

    def _step_values(self, price: FloatArray) -> FloatArray:
        """Cost less price x work of each choice in each step; (T, W, K)."""
        return self.menu.cost[..., None] - np.multiply.outer(self.menu.work, price)

    def _outlook(self, price: FloatArray) -> _Outlook:
        value = self._values(price)
        after = self._step_values(price) + value[1:]
        other = 1 + after[:, 1:].argmin(axis=1)
        change = np.take_along_axis(after, other[:, None], axis=1) + self.change_cost[:, None, None]
        choice = np.broadcast_to(self.columns[:, None], after.shape).copy()  # stay
        best = after.copy()
        for offer, column in ((change, other[:, None]), (after[:, :1] + self.pause_cost, 0), (0.0, -1)):
            choice = np.where(offer < best, column, choice)
            best = np.minimum(offer, best)
        work = np.zeros_like(value)
        each = np.arange(price.size)
        for step in range(after.shape[0] - 1, -1, -1):
            done = self.menu.work[step][choice[step]] + work[step + 1][choice[step], each]
            work[step] = np.where(choice[step] < 0, 0.0, done)
        return _Outlook(price, value, work, choice)


def _undominated(need: FloatArray, cost: FloatArray, last: IntArray, change: float) -> IntArray:
    """Indices of the states that no other one beats: of the same width, or of any where it can afford the change.

    Args:
        need, cost, last: Of the states; (n,).
        change: The most that a change before the next step costs.
    """
    order = np.lexsort((cost, last))
    apart = need[order] - _APART * last[order]  # each width's list lies below that of the width before
    order = order[np.append(True, apart[1:] < np.minimum.accumulate(apart)[:-1])[: order.size]]
    by_cost = order[np.argsort(cost[order], kind="stable")]
    least_need = np.minimum.accumulate(need[by_cost])
    rival = np.searchsorted(cost[by_cost], cost[by_cost] - change, side="right") - 1
    left: IntArray = by_cost[(rival < 0) | (least_need[rival] > need[by_cost])]
    return left
