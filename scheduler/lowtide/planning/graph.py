"""Jobs that wait for one another: when each starts, so that all together emit least and the last ends in time."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from lowtide.planning.places import require_steps
from lowtide.planning.windows import StepSeries, known_until_s
from lowtide_core.errors import InputError, nearest
from lowtide_core.quantities import SECONDS_PER_HOUR

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lowtide_core.series import FloatArray

    IntArray = np.ndarray[tuple[int, ...], np.dtype[np.int64]]

_US = 1_000_000
"""Candidate starts are whole microseconds from the earliest start, so that equal ones are found to be equal."""

_MOST_POINTS_TREE = 200_000
_MOST_POINTS_LP = 6_000
"""Candidate starts in all: what a second or two is enough for."""


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """One job of the graph.

    Attributes:
        name: Its own, by which others name it.
        duration_s: s, > 0.
        power_kw: Facility power (IT power x PUE); kW, > 0.
        series: Intensity where it runs; g/kWh, >= 0; used up to its first gap.
        fixed_g: What it emits whenever it runs (a transfer); g, >= 0.
        after: Names of the tasks that must have ended before it starts.
        handover_s: Time between the last of those ends and its start, at least; s, >= 0.
        earliest_s, deadline_s: Its own limits within those of the graph; None is none.
    """

    name: str
    duration_s: float
    power_kw: float
    series: StepSeries
    fixed_g: float = 0.0
    after: tuple[str, ...] = ()
    handover_s: float = 0.0
    earliest_s: float | None = None
    deadline_s: float | None = None

    def __post_init__(self) -> None:
        sizes = (self.duration_s, self.power_kw)
        extras = (self.fixed_g, self.handover_s)
        if not (all(0 < size < math.inf for size in sizes) and all(0 <= extra < math.inf for extra in extras)):
            raise InputError(
                f"Task {self.name} lasts {self.duration_s} s at {self.power_kw} kW, emits {self.fixed_g} g besides, "
                f"and waits {self.handover_s} s.",
                hint="Duration and power are positive, the others not negative.",
                task=self.name,
            )
        require_steps(self.series)


class TaskRun(NamedTuple):
    """When a task runs, ``[start_s, end_s)``, and what it emits."""

    name: str
    start_s: float
    end_s: float
    emissions_g: float


@dataclass(frozen=True, slots=True)
class GraphPlan:
    """The start of every task.

    Attributes:
        runs: In the order of the tasks given.
        emissions_g, bound_g: Of all tasks; no plan within the limits emits less than the bound; g.
        critical_path: The tasks of the longest chain, which no window can be shorter than.
        critical_path_s: Its length, handovers included; s.
    """

    runs: tuple[TaskRun, ...]
    emissions_g: float
    bound_g: float
    exact: bool
    critical_path: tuple[str, ...]
    critical_path_s: float


class _Net(NamedTuple):
    """The graph in numbers: tasks by index, in the order given.

    Attributes:
        order: Every task after all its predecessors.
        lags: From the start of the first task of the pair to the start of the second, at least; microseconds.
        low, high: Earliest and latest start that the others leave it; microseconds from the earliest start.
    """

    order: tuple[int, ...]
    lags: Mapping[tuple[int, int], int]
    low: tuple[int, ...]
    high: tuple[int, ...]


def plan_graph(tasks: Sequence[Task], earliest_s: float, deadline_s: float) -> GraphPlan:
    """The starts with the least emissions in all, each task after all that it waits for; there is no other limit.

    Args:
        tasks: At least one, in any order; steps, offsets and durations of any length.
        earliest_s, deadline_s: No start before, no end after; s.
    Returns:
        The plan; of equals, with earlier starts. ``exact`` is False only where the candidate starts are too many,
        as in large graphs of durations that have no common measure; ``bound_g`` is then what the tasks would emit
        without one another.
    Raises:
        InputError: No task, a name twice, a name that nobody has, a circle (``facts["circle"]``), or no room
            (``facts["short_by_s"]``, and in ``facts["path"]`` the chain of tasks that does not fit).
    Notes:
        What a task emits is piecewise linear in its start, and the constraints are differences of starts; so some
        optimum has, in every group of tasks that follow one another without a gap, one task at a convex kink or a
        limit of its own. The candidates of a task are these points of all tasks, carried along the chains between
        them. Over the candidates, a graph without loops (of whatever direction) is solved by a dynamic
        programme from its leaves, any other as a minimum cut, whose linear programme has integral vertices.
    Source:
        Möhring, Schulz, Stork, Uetz, "Solving project scheduling problems by minimum cut computations", Management
        Science 49(3), 2003, section 3, doi:10.1287/mnsc.49.3.330.12737.
    """
    order, before = _ordered(tasks)
    net = _windows(tasks, order, before, earliest_s, deadline_s)
    path, path_us = _critical_path(tasks, net)
    points, complete = _candidates(tasks, net, earliest_s)
    costs_g = [_costs_g(task, at, earliest_s) for task, at in zip(tasks, points, strict=True)]
    starts = [0] * len(tasks)
    for group in _groups(net):
        solve = _solve_tree if len(group.lags) == len(group.order) - 1 else _solve_cut
        for index, chosen in solve(group, points, costs_g).items():
            starts[index] = chosen
    runs = []
    for i, task in enumerate(tasks):
        start_s = earliest_s + int(points[i][starts[i]]) / _US
        runs.append(TaskRun(task.name, start_s, start_s + task.duration_s, float(costs_g[i][starts[i]])))
    emissions_g = sum(run.emissions_g for run in runs)
    bound_g = emissions_g if complete else sum(float(costs.min()) for costs in costs_g)
    return GraphPlan(tuple(runs), emissions_g, bound_g, complete or bound_g == emissions_g, path, path_us / _US)


def _us(span_s: float) -> int:
    return round(span_s * _US)


def _ordered(tasks: Sequence[Task]) -> tuple[tuple[int, ...], list[tuple[int, ...]]]:
    """Every task after its predecessors, and the predecessors of each."""
    if not tasks:
        raise InputError("There is no task to plan.", hint="Give at least one.")
    index = {task.name: i for i, task in enumerate(tasks)}
    if len(index) < len(tasks):
        twice = next(task.name for i, task in enumerate(tasks) if index[task.name] != i)
        raise InputError(f"Two tasks are called {twice}.", hint="Give each its own name.", task=twice)
    for task in tasks:
        for name in task.after:
            if name not in index:
                raise InputError(
                    f"Task {task.name} comes after {name}, which is not there.",
                    hint=nearest(name, index) or "Name tasks of the same graph.",
                    task=task.name,
                    unknown=name,
                )
    before = [tuple(sorted({index[name] for name in task.after})) for task in tasks]
    order: list[int] = []
    open_ = set(range(len(tasks)))
    while open_:
        ready = sorted(i for i in open_ if not open_.intersection(before[i]))
        if not ready:
            raise _circle(tasks, before, open_)
        order += ready
        open_.difference_update(ready)
    return tuple(order), before


def _circle(tasks: Sequence[Task], before: Sequence[tuple[int, ...]], open_: set[int]) -> InputError:
    """Every task left has a predecessor left, so that going back from any ends in a circle."""
    walk = [min(open_)]
    while walk.count(walk[-1]) < 2:
        walk.append(next(i for i in before[walk[-1]] if i in open_))
    circle = tuple(tasks[i].name for i in walk[walk.index(walk[-1]) :][::-1])
    return InputError(
        f"The tasks wait for one another in a circle: {' -> '.join(circle)}.",
        hint="Take one of these dependencies away.",
        circle=circle[:-1],
    )


def _windows(
    tasks: Sequence[Task],
    order: tuple[int, ...],
    before: Sequence[tuple[int, ...]],
    earliest_s: float,
    deadline_s: float,
) -> _Net:
    """The range of starts that the limits and the other tasks leave to each."""
    lags = {(i, j): _us(tasks[i].duration_s) + _us(tasks[j].handover_s) for j in range(len(tasks)) for i in before[j]}
    low, high = [0] * len(tasks), [0] * len(tasks)
    for j in order:
        own_s = tasks[j].earliest_s
        own = 0 if own_s is None else max(0, _us(own_s - earliest_s))
        low[j] = max([own, *(low[i] + lags[i, j] for i in before[j])])
    for i in reversed(order):
        end_s = min(deadline_s, known_until_s(tasks[i].series, earliest_s + low[i] / _US))
        own_s = tasks[i].deadline_s
        end_s = end_s if own_s is None else min(end_s, own_s)
        after = [high[j] - lags[i, j] for j in range(len(tasks)) if i in before[j]]
        high[i] = min([_us(end_s - earliest_s) - _us(tasks[i].duration_s), *after])
    net = _Net(order, _needed(order, lags), tuple(low), tuple(high))
    if any(low[i] > high[i] for i in order):
        raise _too_short(tasks, net)
    return net


def _needed(order: tuple[int, ...], lags: Mapping[tuple[int, int], int]) -> dict[tuple[int, int], int]:
    """The pairs that no chain of other pairs implies."""
    longest: dict[tuple[int, int], int] = {}
    needed = {}
    place = {index: at for at, index in enumerate(order)}
    for i in reversed(order):
        for j in sorted((b for a, b in lags if a == i), key=place.__getitem__):
            through = longest.get((i, j), -1)
            if lags[i, j] > through:
                needed[i, j] = lags[i, j]
                longest[i, j] = lags[i, j]
            for (a, b), length in list(longest.items()):
                if a == j:
                    longest[i, b] = max(longest.get((i, b), -1), lags[i, j] + length)
    return needed


def _too_short(tasks: Sequence[Task], net: _Net) -> InputError:
    """The chain of tasks that lacks most, by as much as it lacks."""
    lacks = [low - high for low, high in zip(net.low, net.high, strict=True)]
    chain = [max(net.order, key=lambda i: lacks[i])]
    while binding := [i for (i, j), lag in net.lags.items() if j == chain[0] and net.low[i] + lag == net.low[j]]:
        chain.insert(0, binding[0])
    while binding := [j for (i, j), lag in net.lags.items() if i == chain[-1] and net.high[j] - lag == net.high[i]]:
        chain.append(binding[0])
    names = tuple(tasks[i].name for i in chain)
    short_by_s = max(lacks) / _US
    return InputError(
        f"{' -> '.join(names)} ends {short_by_s:g} s after its deadline, or after its forecast.",
        hint=f"Allow {short_by_s:g} s more.",
        short_by_s=short_by_s,
        path=names,
    )


def _critical_path(tasks: Sequence[Task], net: _Net) -> tuple[tuple[str, ...], int]:
    """The chain that takes longest by itself, and how long; microseconds."""
    length = [_us(task.duration_s) for task in tasks]
    before: dict[int, int] = {}
    for j in net.order:
        for i in (a for a, b in net.lags if b == j):
            through = length[i] + net.lags[i, j] - _us(tasks[i].duration_s) + _us(tasks[j].duration_s)
            if through > length[j]:
                length[j], before[j] = through, i
    path = [max(net.order, key=length.__getitem__)]
    total = length[path[0]]
    while path[0] in before:
        path.insert(0, before[path[0]])
    return tuple(tasks[i].name for i in path), total


def _candidates(tasks: Sequence[Task], net: _Net, earliest_s: float) -> tuple[list[IntArray], bool]:
    """Sorted candidate starts of each task, microseconds, and whether they are all that can be needed."""
    own = [_own_points(task, net.low[i], net.high[i], earliest_s) for i, task in enumerate(tasks)]
    points, fresh = list(own), list(own)
    ways = [way for (i, j), lag in net.lags.items() for way in ((i, j, lag), (j, i, -lag))]
    most = _MOST_POINTS_TREE if all(len(g.lags) < len(g.order) for g in _groups(net)) else _MOST_POINTS_LP
    for _ in range(len(tasks) - 1):
        carried = [np.empty(0, dtype=np.int64)] * len(tasks)
        for i, j, lag in ways:
            moved = fresh[i] + lag
            carried[j] = np.concatenate((carried[j], moved[(moved >= net.low[j]) & (moved <= net.high[j])]))
        fresh = [np.setdiff1d(new, old) for new, old in zip(carried, points, strict=True)]
        if not any(new.size for new in fresh):
            break
        if sum(old.size + new.size for old, new in zip(points, fresh, strict=True)) > most:
            return points, False
        points = [np.union1d(old, new) for old, new in zip(points, fresh, strict=True)]
    return points, True


def _own_points(task: Task, low: int, high: int, earliest_s: float) -> IntArray:
    """The task's limits and the convex kinks of its emissions: its end where the intensity rises, its start where it
    falls."""
    rises = np.diff(task.series.values)  # NaN, at a gap, is neither
    edges = np.rint((task.series.edges_s()[1:-1] - earliest_s) * _US).astype(np.int64)
    kinks = np.concatenate((edges[rises > 0] - _us(task.duration_s), edges[rises < 0], [low, high]))
    return np.unique(kinks[(kinks >= low) & (kinks <= high)])


def _costs_g(task: Task, starts: IntArray, earliest_s: float) -> FloatArray:
    """Emissions of the task for each start; g."""
    edges_s = task.series.edges_s() - earliest_s
    inside = (edges_s[1:] > 0) & (edges_s[:-1] < starts[-1] / _US + task.duration_s)
    first, last = int(np.argmax(inside)), int(inside.size - np.argmax(inside[::-1]))
    edges_s = edges_s[first : last + 1]
    values = np.nan_to_num(task.series.values[first:last])  # before the first start there may be a gap
    prefix = np.concatenate(([0.0], np.cumsum(values * task.series.step_s)))
    start_s = starts / _US
    total = np.interp(start_s + task.duration_s, edges_s, prefix) - np.interp(start_s, edges_s, prefix)
    return task.power_kw / SECONDS_PER_HOUR * total + task.fixed_g


def _groups(net: _Net) -> list[_Net]:
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


def _solve_tree(net: _Net, points: Sequence[IntArray], costs_g: Sequence[FloatArray]) -> dict[int, int]:
    """Index of the best candidate of each task, for a graph without loops: from the leaves to the first task."""
    ways: dict[int, list[tuple[int, int, bool]]] = {i: [] for i in net.order}
    for (i, j), lag in net.lags.items():
        ways[i].append((j, lag, True))
        ways[j].append((i, lag, False))
    parents: list[tuple[int, int, int, bool]] = []  # child, parent, lag, child is the later one
    root = net.order[0]
    walk = [root]
    for i in walk:
        for j, lag, later in ways[i]:
            if j not in walk:
                walk.append(j)
                parents.append((j, i, lag, later))
    total = {i: costs_g[i].copy() for i in net.order}
    for child, parent, lag, later in reversed(parents):
        total[parent] += _best_beyond(total[child], points[child], points[parent], lag, later=later)
    chosen = {root: int(total[root].argmin())}
    for child, parent, lag, later in parents:
        at = points[parent][chosen[parent]]
        if later:
            first = int(np.searchsorted(points[child], at + lag))
            chosen[child] = first + int(total[child][first:].argmin())
        else:
            last = int(np.searchsorted(points[child], at - lag, side="right"))
            chosen[child] = int(total[child][:last].argmin())
    return chosen


def _best_beyond(total: FloatArray, own: IntArray, at: IntArray, lag: int, *, later: bool) -> FloatArray:
    """For each start of the parent the least cost of the child's side that leaves the lag between them."""
    if later:
        best = np.append(np.minimum.accumulate(total[::-1])[::-1], np.inf)
        return np.asarray(best[np.searchsorted(own, at + lag)])
    best = np.append(np.inf, np.minimum.accumulate(total))
    return np.asarray(best[np.searchsorted(own, at - lag, side="right")])


def _solve_cut(net: _Net, points: Sequence[IntArray], costs_g: Sequence[FloatArray]) -> dict[int, int]:
    """Index of the best candidate of each task, for any graph, by the linear programme of the minimum cut.

    Variable ``(i, a)``, of a > 0, is 1 where task i starts at its candidate a or later.
    """
    import highspy  # 0.04 s: only where a graph has a loop
    from highspy._core import _Highs  # highspy.Highs prints a banner before it can be told not to

    offset, count = {}, 0
    for i in net.order:
        offset[i] = count - 1  # the first candidate has no variable
        count += points[i].size - 1
    if not count:
        return dict.fromkeys(net.order, 0)
    lower: list[IntArray] = []  # per row: this variable is at most that one
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
    low, high = np.concatenate(lower), np.concatenate(upper)
    lp = highspy.HighsLp()
    lp.num_col_, lp.num_row_ = count, low.size
    lp.col_cost_ = np.concatenate([np.diff(costs_g[i]) for i in net.order])
    lp.col_lower_, lp.col_upper_ = np.zeros(count), np.ones(count)
    lp.row_lower_, lp.row_upper_ = np.full(low.size, -highspy.kHighsInf), np.zeros(low.size)
    lp.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
    lp.a_matrix_.start_ = 2 * np.arange(low.size + 1)
    lp.a_matrix_.index_ = np.stack((low, high), axis=1).ravel()
    lp.a_matrix_.value_ = np.tile([1.0, -1.0], low.size)
    solver = _Highs()
    solver.setOptionValue("output_flag", False)
    solver.setOptionValue("threads", 1)
    solver.setOptionValue("solver", "simplex")  # its answer is a vertex
    solver.passModel(lp)
    solver.run()
    if solver.getModelStatus() != highspy.HighsModelStatus.kOptimal:
        raise ArithmeticError(f"HiGHS ended with {solver.getModelStatus()} on a programme that has an optimum")
    later = np.array(solver.getSolution().col_value) > 0.5
    return {i: int(later[offset[i] + 1 : offset[i] + points[i].size].sum()) for i in net.order}
