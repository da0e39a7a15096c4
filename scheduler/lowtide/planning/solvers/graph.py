"""Jobs that wait for one another: when each starts, so that all together emit least and the last ends in time."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from lowtide.planning.solvers.graph_starts import Net, best_starts, groups
from lowtide.planning.solvers.places import require_steps
from lowtide.planning.solvers.steps import integral_of, steps_within
from lowtide.planning.solvers.windows import StepSeries, known_until_s
from lowtide_core.errors import InputError, nearest
from lowtide_core.quantities import SECONDS_PER_HOUR

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lowtide_core.series import FloatArray

    IntArray = np.ndarray[tuple[int, ...], np.dtype[np.int64]]

_US = 1_000_000
"""Candidate starts are whole microseconds from the earliest start, so that equal ones are found to be equal."""


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


def plan_graph(tasks: Sequence[Task], earliest_s: float, deadline_s: float) -> GraphPlan:
    """The starts with the least emissions in all, each task after all that it waits for; there is no other limit.

    Args:
        tasks: At least one, in any order; steps, offsets and durations of any length.
        earliest_s, deadline_s: No start before, no end after; s.
    Returns:
        The plan. ``exact`` is False only where the candidate starts are too many, as in large graphs with loops
        and durations that have no common measure; ``bound_g`` then lies below.
    Raises:
        InputError: No task, a name twice, a name that nobody has, a circle (``facts["circle"]``), or no room
            (``facts["short_by_s"]``, and in ``facts["path"]`` the chain of tasks that does not fit).
    Notes:
        What a task emits is piecewise linear in its start, convex where its end meets a rise of the intensity or its
        start a fall, and the constraints are differences of starts: see ``graph_starts.best_starts``.
    """
    order, before = _ordered(tasks)
    net = _windows(tasks, order, before, earliest_s, deadline_s)
    path, path_us = _critical_path(tasks, net)
    own = {i: _own_points(task, net.low[i], net.high[i], earliest_s) for i, task in enumerate(tasks)}
    parts = [best_starts(group, own, lambda i, at: _costs_g(tasks[i], at, earliest_s)) for group in groups(net)]
    starts = {i: start for part in parts for i, start in part.chosen.items()}
    runs = tuple(_run(task, starts[i], earliest_s) for i, task in enumerate(tasks))
    emissions_g = sum(run.emissions_g for run in runs)
    exact = all(part.exact for part in parts)
    bound_g = emissions_g if exact else sum(part.bound_g for part in parts)
    return GraphPlan(runs, emissions_g, bound_g, exact, path, path_us / _US)


def _run(task: Task, start: int, earliest_s: float) -> TaskRun:
    start_s = earliest_s + start / _US
    return TaskRun(
        task.name, start_s, start_s + task.duration_s, float(_costs_g(task, np.array([start]), earliest_s)[0])
    )


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
) -> Net:
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
    net = Net(order, _needed(order, lags), tuple(low), tuple(high))
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


def _too_short(tasks: Sequence[Task], net: Net) -> InputError:
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


def _critical_path(tasks: Sequence[Task], net: Net) -> tuple[tuple[str, ...], int]:
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


def _own_points(task: Task, low: int, high: int, earliest_s: float) -> IntArray:
    """The task's limits and the convex kinks of its emissions: its end where the intensity rises, its start where it
    falls."""
    rises = np.diff(task.series.values)  # NaN, at a gap, is neither
    edges = np.rint((task.series.edges_s()[1:-1] - earliest_s) * _US).astype(np.int64)
    kinks = np.concatenate((edges[rises > 0] - _us(task.duration_s), edges[rises < 0], [low, high]))
    return np.unique(kinks[(kinks >= low) & (kinks <= high)])


def _costs_g(task: Task, starts: IntArray, earliest_s: float) -> FloatArray:
    """Emissions of the task for each start; g."""
    start_s = starts / _US
    edges_s, values = steps_within(task.series, earliest_s, earliest_s + float(start_s[-1]) + task.duration_s)
    known = np.where(np.isnan(values), 0.0, values)  # before the first start there may be a gap
    total = integral_of(edges_s, known).over(start_s, task.duration_s)
    return task.power_kw / SECONDS_PER_HOUR * total + task.fixed_g
