"""The starts of tasks that wait for one another: candidates that hold an optimum, and the best of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from lowtide.planning.solvers.highs import new_solver

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from lowtide_core.series import FloatArray

    IntArray = np.ndarray[tuple[int, ...], np.dtype[np.int64]]
    Points = Mapping[int, IntArray]
    Costs = Mapping[int, FloatArray]
    CostOf = Callable[[int, IntArray], FloatArray]

_MOST_POINTS = 200_000
_FEW_IN_CUT, _MOST_IN_CUT = 600, 6_000
"""Candidate starts in all: of the dynamic programme, of a quick minimum cut, and of one that takes a second or two."""

_PROVEN = 1e-9
"""A plan that lies no further above a bound, relatively, attains it: the rest is rounding."""


class Net(NamedTuple):
    """Tasks by index, and how they wait for one another.

    Attributes:
        order: Every task after all its predecessors.
        lags: From the start of the first task of the pair to the start of the second, at least; microseconds.
        low, high: Earliest and latest start that the others leave to each; microseconds from the earliest start.
    """

    order: tuple[int, ...]
    lags: Mapping[tuple[int, int], int]
    low: tuple[int, ...]
    high: tuple[int, ...]


class Starts(NamedTuple):
    """The start of each task, microseconds; no other starts cost less than the bound; exact where these attain it."""

    chosen: dict[int, int]
    bound_g: float
    exact: bool


class _Branch(NamedTuple):
    """A pair of tasks in a graph without loops, seen from its root."""

    child: int
    parent: int
    lag: int
    later: bool  # the child waits for the parent, and not the other way round


def groups(net: Net) -> list[Net]:
    """The parts of the graph that have nothing to do with one another."""
    group = {i: i for i in net.order}
    for i, j in net.lags:
        old, new = group[j], group[i]
        group = {task: new if of == old else of for task, of in group.items()}
    return [
        net._replace(
            order=tuple(i for i in net.order if group[i] == root),
            lags={pair: lag for pair, lag in net.lags.items() if group[pair[0]] == root},
        )
        for root in sorted(set(group.values()))
    ]


def best_starts(net: Net, own: Points, cost_g: CostOf) -> Starts:
    """The starts of least cost in all, of tasks that hang together.

    Args:
        own: Convex kinks of each task's cost, and the limits of its start; sorted, microseconds.
        cost_g: Cost of a task (by index) for each of some sorted starts, piecewise linear; g.
    Notes:
        Some optimum has, in every set of tasks that follow one another without a gap, one task at a point of its own.
        So the points of all, carried along the pairs, are candidates enough. Without loops (whatever the
        direction of the pairs) a dynamic programme from the leaves is exact over them. With loops, the same
        programme over some pairs alone gives a lower bound for every candidate; a minimum cut over the candidates of
        the lowest bounds gives a plan; and candidates whose bounds lie above it are in no better one, so that a cut
        over the others is exact.
    """
    points, complete = _carried(net, own)
    costs = {i: cost_g(i, points[i]) for i in net.order}
    branches = _branches(net)
    totals = _upward(branches, points, costs)
    root = net.order[0]
    floor_g = float(totals[root].min()) if complete else _floor_g(net, branches, own, cost_g)
    if len(branches) == len(net.lags):
        return Starts(_downward_choice(root, branches, points, totals), floor_g, complete)
    below = _lower_bounds(root, branches, points, totals)
    return _best_with_loops(net, points, below, cost_g, floor_g, complete=complete)


def _floor_g(net: Net, branches: Sequence[_Branch], own: Points, cost_g: CostOf) -> float:
    """Least cost of all tasks, if only the branches, or if they are too many, nothing at all held them together."""
    pairs = [(one.parent, one.child) if one.later else (one.child, one.parent) for one in branches]
    points, complete = _carried(net._replace(lags={pair: net.lags[pair] for pair in pairs}), own)
    if not complete:
        return sum(float(cost_g(i, own[i]).min()) for i in net.order)
    totals = _upward(branches, points, {i: cost_g(i, points[i]) for i in net.order})
    return float(totals[net.order[0]].min())


def _best_with_loops(
    net: Net, points: Points, below: Costs, cost_g: CostOf, floor_g: float, *, complete: bool
) -> Starts:
    found_g, found = np.inf, dict(enumerate(net.low))
    for most in (_FEW_IN_CUT, _MOST_IN_CUT, _MOST_IN_CUT):
        limit_g = found_g + _PROVEN * abs(found_g)
        kept = {i: below[i] <= limit_g for i in net.order}
        whole = sum(int(keep.sum()) for keep in kept.values()) <= most
        if not whole:
            kept = {i: kept[i] & _lowest(below[i], most // len(net.order)) for i in net.order}
        chosen = _minimum_cut(net, {i: points[i][kept[i]] for i in net.order}, cost_g)
        chosen_g = sum(float(cost_g(i, np.array([at]))[0]) for i, at in chosen.items())
        if chosen_g < found_g:
            found_g, found = chosen_g, chosen
        if found_g - floor_g <= _PROVEN * found_g:
            return Starts(found, found_g, True)
        if whole:
            return Starts(found, found_g if complete else floor_g, complete)
    return Starts(found, floor_g, False)


def _lowest(values: FloatArray, count: int) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    """Which values are the lowest, and the first one, which always leaves the others room."""
    kept = np.zeros(values.size, dtype=bool)
    kept[np.argsort(values, kind="stable")[:count]] = True
    kept[0] = True
    return kept


def _carried(net: Net, own: Points) -> tuple[Points, bool]:
    """Sorted candidate starts of each task, and whether they are all that can be needed."""
    points, fresh = dict(own), dict(own)
    ways = [way for (i, j), lag in net.lags.items() for way in ((i, j, lag), (j, i, -lag))]
    for _ in range(len(net.order) - 1):
        carried: dict[int, list[IntArray]] = {i: [np.empty(0, dtype=np.int64)] for i in net.order}
        for i, j, lag in ways:
            moved = fresh[i] + lag
            carried[j].append(moved[(moved >= net.low[j]) & (moved <= net.high[j])])
        fresh = {i: np.setdiff1d(np.concatenate(carried[i]), points[i]) for i in net.order}
        if not any(new.size for new in fresh.values()):
            break
        if sum(points[i].size + fresh[i].size for i in net.order) > _MOST_POINTS:
            return points, False
        points = {i: np.union1d(points[i], fresh[i]) for i in net.order}
    return {i: points[i] for i in net.order}, True


def _branches(net: Net) -> list[_Branch]:
    """The pairs that hold the tasks together without a loop, from the first task outwards."""
    ways: dict[int, list[_Branch]] = {i: [] for i in net.order}
    for (i, j), lag in net.lags.items():
        ways[i].append(_Branch(j, i, lag, True))
        ways[j].append(_Branch(i, j, lag, False))
    reached = [net.order[0]]
    branches: list[_Branch] = []
    for i in reached:
        for way in ways[i]:
            if way.child not in reached:
                reached.append(way.child)
                branches.append(way)
    return branches


def _upward(branches: Sequence[_Branch], points: Points, costs: Costs) -> dict[int, FloatArray]:
    """Least cost of each task and all beyond it, for each of its starts."""
    totals = {i: cost.copy() for i, cost in costs.items()}
    for child, parent, lag, later in reversed(branches):
        totals[parent] += _best_beyond(totals[child], points[child], points[parent], lag, later=later)
    return totals


def _downward_choice(root: int, branches: Sequence[_Branch], points: Points, totals: Costs) -> dict[int, int]:
    """The best start of each task, given that of its parent; of equals the earliest."""
    chosen = {root: int(points[root][totals[root].argmin()])}
    for child, parent, lag, later in branches:
        at, total = points[child], totals[child]
        if later:
            first = int(np.searchsorted(at, chosen[parent] + lag))
            chosen[child] = int(at[first + int(total[first:].argmin())])
        else:
            last = int(np.searchsorted(at, chosen[parent] - lag, side="right"))
            chosen[child] = int(at[int(total[:last].argmin())])
    return chosen


def _lower_bounds(root: int, branches: Sequence[_Branch], points: Points, totals: Costs) -> dict[int, FloatArray]:
    """Least cost of all tasks for each start of each task, if only the branches held them together."""
    below = {root: totals[root]}
    for child, parent, lag, later in branches:
        beside = below[parent] - _best_beyond(totals[child], points[child], points[parent], lag, later=later)
        below[child] = totals[child] + _best_beyond(beside, points[parent], points[child], lag, later=not later)
    return below


def _best_beyond(total: FloatArray, own: IntArray, at: IntArray, lag: int, *, later: bool) -> FloatArray:
    """For each start ``at`` of one task, the least cost of the other, which comes after it or before, by the lag."""
    if later:
        best = np.append(np.minimum.accumulate(total[::-1])[::-1], np.inf)
        return np.asarray(best[np.searchsorted(own, at + lag)])
    best = np.append(np.inf, np.minimum.accumulate(total))
    return np.asarray(best[np.searchsorted(own, at - lag, side="right")])


def _minimum_cut(net: Net, candidates: Points, cost_g: CostOf) -> dict[int, int]:
    """The best of the candidates, for any graph, by the linear programme of the minimum cut.

    Variable ``(i, a)``, of a > 0, is 1 where task i starts at its candidate a or later.

    Source:
        Möhring, Schulz, Stork, Uetz, "Solving project scheduling problems by minimum cut computations", Management
        Science 49(3), 2003, section 3, doi:10.1287/mnsc.49.3.330.12737.
    """
    points = _compatible(net, candidates)
    offset, count = {}, 0
    for i in net.order:
        offset[i] = count - 1  # the first candidate has no variable
        count += points[i].size - 1
    if not count:
        return {i: int(points[i][0]) for i in net.order}
    costs = np.concatenate([np.diff(cost_g(i, points[i])) for i in net.order])
    later = _best_vertex(costs, *_implications(net, points, offset)) > 0.5
    steps = {i: int(later[offset[i] + 1 : offset[i] + points[i].size].sum()) for i in net.order}
    return {i: int(points[i][steps[i]]) for i in net.order}


def _implications(net: Net, points: Points, offset: Mapping[int, int]) -> tuple[IntArray, IntArray]:
    """Pairs of variables of which the first is at most the second; (p,) each."""
    lower: list[IntArray] = []
    upper: list[IntArray] = []
    for i in net.order:
        variables = offset[i] + np.arange(1, points[i].size)
        lower.append(variables[1:])
        upper.append(variables[:-1])
    for (i, j), lag in net.lags.items():
        needed = np.searchsorted(points[j], points[i] + lag)
        first = np.flatnonzero(np.diff(needed, prepend=0) > 0)  # later candidates with the same need imply no more
        first = first[first > 0]
        lower.append(offset[i] + first)
        upper.append(offset[j] + needed[first])
    return np.concatenate(lower), np.concatenate(upper)


def _best_vertex(costs: FloatArray, low: IntArray, high: IntArray) -> FloatArray:
    """A vertex of least cost where all variables are in 0-1, and each of ``low`` at most that of ``high``; (n,)."""
    import highspy  # 0.04 s: only where a graph has a loop

    lp = highspy.HighsLp()
    lp.num_col_, lp.num_row_ = costs.size, low.size
    lp.col_cost_ = costs
    lp.col_lower_, lp.col_upper_ = np.zeros(costs.size), np.ones(costs.size)
    lp.row_lower_, lp.row_upper_ = np.full(low.size, -highspy.kHighsInf), np.zeros(low.size)
    lp.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
    lp.a_matrix_.start_ = 2 * np.arange(low.size + 1)
    lp.a_matrix_.index_ = np.stack((low, high), axis=1).ravel()
    lp.a_matrix_.value_ = np.tile([1.0, -1.0], low.size)
    solver = new_solver(solver="simplex")  # its answer is a vertex
    solver.passModel(lp)
    solver.run()
    if solver.getModelStatus() != highspy.HighsModelStatus.kOptimal:
        raise ArithmeticError(f"HiGHS ended with {solver.getModelStatus()} on a programme that has an optimum")
    return np.array(solver.getSolution().col_value)


def _compatible(net: Net, points: Points) -> dict[int, IntArray]:
    """Only the candidates that have one of every neighbour to go with."""
    left = dict(points)
    for j in net.order:
        for i in (a for a, b in net.lags if b == j):
            left[j] = left[j][left[j] >= left[i][0] + net.lags[i, j]]
    for i in reversed(net.order):
        for j in (b for a, b in net.lags if a == i):
            left[i] = left[i][left[i] <= left[j][-1] - net.lags[i, j]]
    return left
