"""The dynamic programme behind ``moves``: time cut into cells, and the least cost of running through them."""

from __future__ import annotations

import math
from itertools import product
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from lowtide.planning.places import NEGLIGIBLE_S, Stay

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lowtide.planning.windows import StepSeries
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
    """The least cost of every state: part cell done (0, 1), whole cells done, edge, place.

    Attributes:
        running: Having run in the place up to the edge; (parts, K + 1, N + 1, R).
        idle: Having run there last, up to that edge or an earlier one; (parts, K + 1, pad + N + 1, R), of which the
            first ``pad`` edges lie before the window.
    """

    running: FloatArray
    idle: FloatArray
    pad: int


def common_grain_s(series: Sequence[StepSeries]) -> float:
    """The longest grain that all edges of all series are multiples of, counted from the first one's start; s."""
    first = series[0].start_s
    spans = [span for one in series for span in (one.step_s, one.start_s - first)]
    return math.gcd(*(round(abs(span) * _PER_S) for span in spans)) / _PER_S


def is_multiple(span_s: float, grain_s: float) -> bool:
    """Whether a span is a whole number of grains, to the microsecond."""
    return abs(span_s - round(span_s / grain_s) * grain_s) < NEGLIGIBLE_S


def cut(
    series: Sequence[StepSeries], until_s: Sequence[float], earliest_s: float, end_by_s: float, grain_s: float
) -> Cells:
    """The cells of a window, and the intensity in them up to where each series is used."""
    origin_s = series[0].start_s - earliest_s
    room_s = end_by_s - earliest_s
    first = math.floor((NEGLIGIBLE_S - origin_s) / grain_s) + 1
    last = math.ceil((room_s - NEGLIGIBLE_S - origin_s) / grain_s)
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
    """Every way to add the duration up from the cells of the window."""
    lengths_s = cells.lengths_s
    regular = is_regular(cells)
    heads = (False,) if regular[0] else (False, True)
    tails = (False,) if regular[-1] or lengths_s.size == 1 else (False, True)
    for head, tail in product(heads, tails):
        rest_s = duration_s - head * float(lengths_s[0]) - tail * float(lengths_s[-1])
        if rest_s < -NEGLIGIBLE_S:
            continue
        whole = math.floor((rest_s + NEGLIGIBLE_S) / cells.grain_s)
        part_s = rest_s - whole * cells.grain_s
        if whole <= regular.sum():
            yield Layout(whole, part_s if part_s > NEGLIGIBLE_S else 0.0, head, tail)


def is_regular(cells: Cells) -> BoolArray:
    """Whether each cell is as long as the grain; (N,)."""
    return np.asarray(np.abs(cells.lengths_s - cells.grain_s) < NEGLIGIBLE_S)


def floor(cells: Cells, costs: Costs, layout: Layout) -> float:
    """A cost that no run of the layout is below: the cheapest seconds, wherever they are, for the rest of it."""
    lengths_s = cells.lengths_s
    cheapest = costs.rate.min(axis=0)
    free = np.ones(lengths_s.size, dtype=bool)
    cost = float(costs.start.min())
    for end, used in ((0, layout.head), (-1, layout.tail)):
        if used:
            free[end] = False
            cost += float(cheapest[end] * lengths_s[end])
    order = np.argsort(cheapest[free])
    filled_s = np.concatenate(([0.0], np.cumsum(lengths_s[free][order])))
    inside_s = np.diff(np.minimum(filled_s, layout.whole * cells.grain_s + layout.part_s))
    used_rates = cheapest[free][order][inside_s > 0]
    return cost + float(used_rates @ inside_s[inside_s > 0])


def fill(cells: Cells, costs: Costs, layout: Layout) -> Table:
    """The least cost of every state, one whole cell after the other, for all edges at once.

    Notes:
        At an edge a job runs or is idle, in one of R places, with k whole cells done and its part cell done or not. It
        runs on through the next cell, or resumes there, from idling ``gap`` cells ago or for the first time. The part
        cell is run from the beginning of its cell (then it idles) or up to its end (then it has just resumed).
    """
    count, places = cells.edges_s.size - 1, costs.start.size
    parts, pad = 2 if layout.part_s else 1, int(costs.gap.max())
    running = np.full((parts, layout.whole + 1, count + 1, places), np.inf)
    idle = np.full((parts, layout.whole + 1, pad + count + 1, places), np.inf)
    rows = pad + np.arange(count)[:, None, None] - costs.gap
    source = np.arange(places)[:, None]
    rate, lengths_s = costs.rate.T, cells.lengths_s
    whole_cost = np.where(is_regular(cells)[:, None], rate * cells.grain_s, np.inf)
    fits = np.array([part_fits(layout, j, count, length) for j, length in enumerate(lengths_s.tolist())])
    part_cost = np.where(fits[:, None], rate, np.inf) * (layout.part_s or 1.0)
    start = np.where(np.arange(count)[:, None] >= costs.ready, costs.start, np.inf)
    if layout.head:
        running[0, 0, 1] = start[0] + rate[0] * lengths_s[0]
        start[:] = np.inf
    for k in range(layout.whole + 1):
        early = np.full((count, places), np.inf)
        for part in range(parts):
            ran = running[part, k]
            np.minimum.accumulate(np.minimum(ran[1:], early), axis=0, out=idle[part, k, pad + 1 :])
            entry = (idle[part, k][rows, source] + costs.resume).min(axis=1)
            if k == part == 0:
                np.minimum(entry, start, out=entry)
            into = np.minimum(ran[:-1], entry)
            if k < layout.whole:
                np.add(into, whole_cost, out=running[part, k + 1, 1:])
            elif layout.tail and part == parts - 1:
                ran[-1] = into[-1] + rate[-1] * lengths_s[-1]
            if part < parts - 1:
                np.minimum(running[1, k, 1:], entry + part_cost, out=running[1, k, 1:])
                early = into + part_cost
    return Table(running, idle, pad)


def whole_end(layout: Layout, j: int, count: int) -> bool:
    """Whether cell ``j`` is the short first or last one, and the layout runs through it."""
    return (layout.head and j == 0) or (layout.tail and j == count - 1)


def part_fits(layout: Layout, j: int, count: int, length_s: float) -> bool:
    """Whether the part cell of the layout may be run in cell ``j``."""
    return 0 < layout.part_s <= length_s + NEGLIGIBLE_S and not whole_end(layout, j, count)


def least(table: Table, layout: Layout) -> float:
    """The least cost of a finished run; inf where there is none."""
    final = table.running if layout.tail else table.idle
    return float(final[-1, layout.whole, -1].min())


def trace(cells: Cells, costs: Costs, layout: Layout, table: Table) -> tuple[Stay, ...]:
    """The stays of a finished run of least cost, from the earliest start on; s."""
    stays: list[Stay] = []
    edges_s, lengths_s, regular = cells.edges_s.tolist(), cells.lengths_s.tolist(), is_regular(cells)
    count = len(lengths_s)
    part, k = int(layout.part_s > 0), layout.whole
    edge, running = count, layout.tail
    place = int((table.running if running else table.idle)[part, k, -1].argmin())
    while True:
        if not running:
            edge = _last_change(table, edge, place, part, k)
            running = bool(table.running[part, k, edge, place] <= table.idle[part, k, table.pad + edge, place])
        j = edge - 1
        rate = float(costs.rate[place, j])
        length_s = lengths_s[j]
        ways: list[tuple[float, float, float, int, int, bool]] = []  # cost, from, to, part, k, continues
        if running and (regular[j] or whole_end(layout, j, count)):
            before = k - int(regular[j])
            if before >= 0:
                for continues, value in (
                    (True, table.running[part, before, j, place]),
                    (False, _entry(table, costs, layout, j, place, part, before)[0]),
                ):
                    ways.append((value + rate * length_s, edges_s[j], edges_s[edge], part, before, continues))
        if part and part_fits(layout, j, count, length_s):
            entry = _entry(table, costs, layout, j, place, 0, k)[0] + rate * layout.part_s
            if running:
                ways.append((entry, edges_s[edge] - layout.part_s, edges_s[edge], 0, k, False))
            else:
                end_s = edges_s[j] + layout.part_s
                on = table.running[0, k, j, place] + rate * layout.part_s
                ways += [(on, edges_s[j], end_s, 0, k, True), (entry, edges_s[j], end_s, 0, k, False)]
        _, start_s, end_s, part, k, continues = min(ways, key=lambda way: way[0])
        stays.append(Stay(place, start_s, end_s))
        edge, running = j, continues
        if not continues:
            origin = _entry(table, costs, layout, j, place, part, k)[1]
            if origin is None:
                return join(stays[::-1])
            edge -= int(costs.gap[origin, place])
            place = origin


def _last_change(table: Table, edge: int, place: int, part: int, k: int) -> int:
    """The first edge from which on idling in this state costs what it costs at ``edge``."""
    history = table.idle[part, k, table.pad : table.pad + edge + 1, place]
    return int(np.argmax(history <= history[-1]))


def _entry(
    table: Table, costs: Costs, layout: Layout, j: int, place: int, part: int, k: int
) -> tuple[float, int | None]:
    """The least cost of resuming in cell ``j``, and from which place; None is the start of the run."""
    rows = table.pad + j - costs.gap[:, place]
    values = table.idle[part, k, rows, np.arange(rows.size)] + costs.resume[j, :, place]
    origin = int(values.argmin())
    first = part == 0 and k == 0 and costs.ready[place] <= j and (j == 0 or not layout.head)
    if first and costs.start[place] <= values[origin]:
        return float(costs.start[place]), None
    return float(values[origin]), origin


def join(stays: Sequence[Stay]) -> tuple[Stay, ...]:
    """Stays that touch in one place become one."""
    joined = [stays[0]]
    for stay in stays[1:]:
        if stay.place == joined[-1].place and stay.start_s - joined[-1].end_s < NEGLIGIBLE_S:
            joined[-1] = joined[-1]._replace(end_s=stay.end_s)
        else:
            joined.append(stay)
    return tuple(joined)
