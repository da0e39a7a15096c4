"""The dynamic programme behind ``moves``: time cut into cells, and the least cost of running through them."""

from __future__ import annotations

import math
from itertools import product
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from lowtide.planning.solvers.places import Stay
from lowtide.planning.solvers.steps import SAME_INSTANT_S

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lowtide.planning.solvers.windows import StepSeries
    from lowtide_core.series import FloatArray

    BoolArray = np.ndarray[tuple[int, ...], np.dtype[np.bool_]]
    IntArray = np.ndarray[tuple[int, ...], np.dtype[np.int64]]

_PER_S = 1_000_000
"""Spans of time are compared in whole microseconds."""


class Cells(NamedTuple):
    """The window cut at the multiples of a grain; only the first and the last cell may be shorter than the grain.

    Attributes:
        edges_s: (N + 1,), s from the earliest start.
        mean, least: Intensity in each place and cell; (R, N), g/kWh, inf where it is not known. They are one where
            every cell lies within a step.
    """

    grain_s: float
    edges_s: FloatArray
    mean: FloatArray
    least: FloatArray

    @property
    def lengths_s(self) -> FloatArray:
        """Of each cell; (N,), s."""
        return np.diff(self.edges_s)


class Costs(NamedTuple):
    """What running through the cells costs, in one unit.

    Attributes:
        rate: Of running; (R, N), per s, inf where the place cannot be used.
        resume: Of going on in the second place at the beginning of a cell, after a stay in the first; (N, R, R).
        start: Of the first stay; (R,).
        ready: First cell in which a place can be started in; (R,).
        gap: Cells that a move leaves empty; (R, R), 0 on the diagonal.
    """

    rate: FloatArray
    resume: FloatArray
    start: FloatArray
    ready: IntArray
    gap: IntArray


class Layout(NamedTuple):
    """One way to add the duration up: whole cells, at most one part of a cell, the short first and last cell or not."""

    whole: int
    part_s: float
    head: bool
    tail: bool


class Table(NamedTuple):
    """The least cost of every state: layout, part cell done (0, 1), whole cells done, edge, place.

    Attributes:
        running: Having run in the place up to the edge; (layouts, parts, K + 1, N + 1, R).
        idle: Having run there last, up to that edge or an earlier one; (layouts, parts, K + 1, pad + N + 1, R), of
            which the first ``pad`` edges lie before the window.
        least: Of a finished run; (layouts,), inf where there is none.
    """

    running: FloatArray
    idle: FloatArray
    pad: int
    least: FloatArray


def common_grain_s(series: Sequence[StepSeries]) -> float:
    """The longest grain that all edges of all series are multiples of, counted from the first one's start; s."""
    first = series[0].start_s
    spans = [span for one in series for span in (one.step_s, one.start_s - first)]
    return math.gcd(*(round(abs(span) * _PER_S) for span in spans)) / _PER_S


def is_multiple(span_s: float, grain_s: float) -> bool:
    """Whether a span is a whole number of grains, to the microsecond."""
    return abs(span_s - round(span_s / grain_s) * grain_s) < SAME_INSTANT_S


def cut(
    series: Sequence[StepSeries], until_s: Sequence[float], earliest_s: float, end_by_s: float, grain_s: float
) -> Cells:
    """The cells of a window, and the intensity in them up to where each series is used.

    Args:
        series: Of each place; R >= 1.
        until_s: Up to when each is used; (R,), s.
        earliest_s, end_by_s: The window; s.
        grain_s: Length of a cell; s, > 0. Edges of cells are edges of the first series, moved by whole grains.
    """
    origin_s = series[0].start_s - earliest_s
    room_s = end_by_s - earliest_s
    first = math.floor((SAME_INSTANT_S - origin_s) / grain_s) + 1
    last = math.ceil((room_s - SAME_INSTANT_S - origin_s) / grain_s)
    edges_s = np.concatenate(([0.0], origin_s + grain_s * np.arange(first, last), [room_s]))
    aligned = all(
        is_multiple(one.step_s, grain_s) and is_multiple(one.start_s - series[0].start_s, grain_s) for one in series
    )
    until_s = [until - earliest_s for until in until_s]
    if aligned:
        values = _inside(series, until_s, edges_s, earliest_s)
        return Cells(grain_s, edges_s, values, values)
    pairs = [_across(one, until, edges_s, earliest_s) for one, until in zip(series, until_s, strict=True)]
    mean, least_ = (np.array(values) for values in zip(*pairs, strict=True))
    return Cells(grain_s, edges_s, mean, least_)


def _inside(
    series: Sequence[StepSeries], until_s: Sequence[float], edges_s: FloatArray, earliest_s: float
) -> FloatArray:
    """Values of cells that lie within one step each; (R, N), inf where not known."""
    middle_s = (edges_s[:-1] + edges_s[1:]) / 2
    values = np.full((len(series), middle_s.size), np.inf)
    steps: dict[tuple[float, float], IntArray] = {}
    for row, one, until in zip(values, series, until_s, strict=True):
        key = one.start_s, one.step_s
        if key not in steps:
            steps[key] = np.floor((middle_s + (earliest_s - one.start_s)) / one.step_s).astype(np.int64)
        known = int(np.searchsorted(middle_s, until))
        row[:known] = one.values[steps[key][:known]]
    return values


def _across(
    series: StepSeries, until_s: float, edges_s: FloatArray, earliest_s: float
) -> tuple[FloatArray, FloatArray]:
    """Mean (inf where a part is not known) and least value (of the part that is) of cells that steps may cut."""
    cuts_s = np.clip(series.edges_s() - earliest_s, 0.0, edges_s[-1])
    fine_s = np.unique(np.concatenate((edges_s, cuts_s, [min(until_s, edges_s[-1])])))
    values = _inside([series], [until_s], fine_s, earliest_s)[0]
    lengths_s = np.diff(fine_s)
    cell = np.searchsorted(edges_s, (fine_s[:-1] + fine_s[1:]) / 2) - 1
    mean = np.bincount(cell, values * lengths_s) / np.bincount(cell, lengths_s)
    least_value = np.full(mean.size, np.inf)
    np.minimum.at(least_value, cell, values)
    return mean, least_value


def layouts(cells: Cells, duration_s: float) -> Iterator[Layout]:
    """Every way to add the duration (s, > 0) up from the cells of the window; none where they are too few."""
    lengths_s = cells.lengths_s
    regular = is_regular(cells)
    heads = (False,) if regular[0] else (False, True)
    tails = (False,) if regular[-1] or lengths_s.size == 1 else (False, True)
    for head, tail in product(heads, tails):
        rest_s = duration_s - head * float(lengths_s[0]) - tail * float(lengths_s[-1])
        if rest_s < -SAME_INSTANT_S:
            continue
        whole = math.floor((rest_s + SAME_INSTANT_S) / cells.grain_s)
        part_s = rest_s - whole * cells.grain_s
        if whole <= regular.sum():
            yield Layout(whole, part_s if part_s > SAME_INSTANT_S else 0.0, head, tail)


def is_regular(cells: Cells) -> BoolArray:
    """Whether each cell is as long as the grain; (N,)."""
    return np.asarray(np.abs(cells.lengths_s - cells.grain_s) < SAME_INSTANT_S)


def useful(costs: Costs) -> IntArray:
    """The places that no other place replaces at no more cost in every cell, at every arrival and in every move.

    Returns:
        Their indices, rising; (k,).
    """
    count = costs.start.size
    if count == 1:
        return np.arange(1)
    off = ~np.eye(count, dtype=bool)
    rate = (costs.rate[:, None] <= costs.rate[None, :]).all(axis=2)
    start = (costs.start[:, None] <= costs.start[None, :]) & (costs.ready[:, None] <= costs.ready[None, :])
    candidates = np.argwhere(rate & start & off)
    gone: set[int] = set()
    for better, worse in candidates.tolist():
        if better not in gone and worse not in gone and _replaces(costs, better, worse):
            gone.add(worse)
    return np.array([index for index in range(count) if index not in gone])


def _replaces(costs: Costs, better: int, worse: int) -> bool:
    """Whether moves to and from the better place, and restarts in it, cost and take no more than with the worse."""
    others = [index for index in range(costs.start.size) if index not in (better, worse)]
    into = costs.resume[:, others, better] <= costs.resume[:, others, worse]
    out = costs.resume[:, better, others] <= costs.resume[:, worse, others]
    quick = (costs.gap[others, better] <= costs.gap[others, worse]).all() and (
        costs.gap[better, others] <= costs.gap[worse, others]
    ).all()
    restart = costs.resume[:, better, better]
    within = (
        (restart <= costs.resume[:, worse, worse])
        & (restart <= costs.resume[:, better, worse])
        & (restart <= costs.resume[:, worse, better])
    )
    return bool(quick and into.all() and out.all() and within.all())


def only(costs: Costs, kept: IntArray) -> Costs:
    """The costs of some of the places."""
    if kept.size == costs.start.size:
        return costs
    return Costs(
        costs.rate[kept],
        costs.resume[:, kept][:, :, kept],
        costs.start[kept],
        costs.ready[kept],
        costs.gap[np.ix_(kept, kept)],
    )


def fill(cells: Cells, costs: Costs, ways: Sequence[Layout]) -> Table:
    """The least cost of every state, one whole cell after the other, for all layouts and edges at once.

    Notes:
        At an edge a job runs or is idle, in one of R places, with k whole cells done and its part cell done or not. It
        runs on through the next cell, or resumes there, from idling ``gap`` cells ago or for the first time. The part
        cell is run from the beginning of its cell (then it idles) or up to its end (then it has just resumed).
    """
    count, places = cells.edges_s.size - 1, costs.start.size
    parts, pad = 1 + any(way.part_s for way in ways), int(costs.gap.max())
    most = max(way.whole for way in ways)
    running = np.full((len(ways), parts, most + 1, count + 1, places), np.inf)
    idle = np.full((len(ways), parts, most + 1, pad + count + 1, places), np.inf)
    rows, source = pad + np.arange(count)[:, None, None] - costs.gap, np.arange(places)[:, None]
    rate, lengths_s = costs.rate.T, cells.lengths_s
    whole_cost = np.where(is_regular(cells)[:, None], rate * cells.grain_s, np.inf)
    part_cost, start = _ways_in(costs, ways, lengths_s)
    for one, way in enumerate(ways):
        if way.head:
            running[one, 0, 0, 1] = start[one, 0] + rate[0] * lengths_s[0]
    least = np.full(len(ways), np.inf)
    for k in range(most + 1):
        early = np.array(np.inf)
        for part in range(parts):
            ran = running[:, part, k]
            np.minimum.accumulate(np.minimum(ran[:, 1:], early), axis=1, out=idle[:, part, k, pad + 1 :])
            entry = (idle[:, part, k][:, rows, source] + costs.resume).min(axis=2)
            if k == part == 0:
                np.minimum(entry, start, out=entry)
            into = np.minimum(ran[:, :-1], entry)
            if k < most:
                np.add(into, whole_cost, out=running[:, part, k + 1, 1:])
            for one, way in enumerate(ways):
                if way.whole == k and part == int(way.part_s > 0):
                    if way.tail:
                        running[one, part, k, -1] = into[one, -1] + rate[-1] * lengths_s[-1]
                    least[one] = (running if way.tail else idle)[one, part, k, -1].min()
            if part < parts - 1:
                np.minimum(running[:, 1, k, 1:], entry + part_cost, out=running[:, 1, k, 1:])
                early = into + part_cost
    return Table(running, idle, pad, least)


def _ways_in(costs: Costs, ways: Sequence[Layout], lengths_s: FloatArray) -> tuple[FloatArray, FloatArray]:
    """For each layout, cell and place: the cost of the part cell, and of starting at the cell's beginning."""
    count = lengths_s.size
    cell = np.arange(count)[:, None]
    part_cost = np.full((len(ways), count, costs.start.size), np.inf)
    start = np.where(cell >= costs.ready, costs.start, np.inf)[None].repeat(len(ways), axis=0)
    for one, way in enumerate(ways):
        if way.part_s:
            fits = lengths_s >= way.part_s - SAME_INSTANT_S
            fits[0] &= not way.head
            fits[-1] &= not way.tail
            part_cost[one, fits] = costs.rate.T[fits] * way.part_s
        if way.head:
            start[one, 1:] = np.inf
    return part_cost, start


_RAN_ON, _FIRST = -2, -1
"""What stands in for the place that a stretch comes from: it goes on, or it is the first."""


class _Choice(NamedTuple):
    """One way into a stretch of running: its cost with all before it, the state before, and where it comes from."""

    cost: float
    start_s: float
    end_s: float
    part: int
    k: int
    origin: int


def trace(cells: Cells, costs: Costs, ways: Sequence[Layout], table: Table) -> tuple[Stay, ...]:
    """The stays of a finished run of least cost; s after the earliest start, in order.

    ``ways`` and ``table`` are those of ``fill``, and one entry of ``table.least`` at least is finite.
    """
    best = int(table.least.argmin())
    layout = ways[best]
    table = Table(table.running[best], table.idle[best], table.pad, table.least)
    part_cost, start = (values[0] for values in _ways_in(costs, [layout], cells.lengths_s))
    edges_s, lengths_s = cells.edges_s.tolist(), cells.lengths_s.tolist()
    steps = is_regular(cells).astype(int).tolist()
    passed = [bool(step) for step in steps]
    passed[0] |= layout.head
    passed[-1] |= layout.tail
    part, k, running = int(layout.part_s > 0), layout.whole, layout.tail
    edge = len(lengths_s)
    place = int((table.running if running else table.idle)[part, k, -1].argmin())
    stays: list[Stay] = []
    while True:
        if not running:
            edge = _last_change(table, edge, place, part, k)
            running = bool(table.running[part, k, edge, place] <= table.idle[part, k, table.pad + edge, place])
        j = edge - 1
        choices: list[_Choice] = []
        if running and passed[j] and k >= steps[j]:
            cost = float(costs.rate[place, j]) * lengths_s[j]
            choices += _choices(table, costs, start, j, place, part, k - steps[j], cost, edges_s[j], edges_s[edge])
        if part:
            cost = float(part_cost[j, place])
            if running:
                late_s = edges_s[edge] - layout.part_s
                choices += _choices(table, costs, start, j, place, 0, k, cost, late_s, edges_s[edge])[1:]
            else:
                choices += _choices(table, costs, start, j, place, 0, k, cost, edges_s[j], edges_s[j] + layout.part_s)
        chosen = min(choices, key=lambda choice: choice.cost)
        stays.append(Stay(place, chosen.start_s, chosen.end_s))
        edge, part, k, running = j, chosen.part, chosen.k, chosen.origin == _RAN_ON
        if chosen.origin == _FIRST:
            return join(stays[::-1])
        if not running:
            edge -= int(costs.gap[chosen.origin, place])
            place = chosen.origin


def _choices(
    table: Table,
    costs: Costs,
    start: FloatArray,
    j: int,
    place: int,
    part: int,
    k: int,
    cost: float,
    start_s: float,
    end_s: float,
) -> list[_Choice]:
    """Into a stretch in cell ``j``: by running on, or by the cheapest of resuming there and starting there."""
    rows = table.pad + j - costs.gap[:, place]
    values = table.idle[part, k, rows, np.arange(rows.size)] + costs.resume[j, :, place]
    origin = int(values.argmin())
    into = float(values[origin])
    if part == k == 0 and start[j, place] <= into:
        origin, into = _FIRST, float(start[j, place])
    ran = float(table.running[part, k, j, place])
    return [
        _Choice(ran + cost, start_s, end_s, part, k, _RAN_ON),
        _Choice(into + cost, start_s, end_s, part, k, origin),
    ]


def _last_change(table: Table, edge: int, place: int, part: int, k: int) -> int:
    """The first edge from which on idling in this state costs what it costs at ``edge``."""
    history = table.idle[part, k, table.pad : table.pad + edge + 1, place]
    return int(np.argmax(history <= history[-1]))


def join(stays: Sequence[Stay]) -> tuple[Stay, ...]:
    """Stays that touch in one place become one."""
    joined = [stays[0]]
    for stay in stays[1:]:
        if stay.place == joined[-1].place and stay.start_s - joined[-1].end_s < SAME_INSTANT_S:
            joined[-1] = joined[-1]._replace(end_s=stay.end_s)
        else:
            joined.append(stay)
    return tuple(joined)
