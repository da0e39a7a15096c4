"""One job at a time on a prepared series: checks, exact answer and result in about ten microseconds."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from lowtide.planning.solvers.parts import cheapest_parts
from lowtide.planning.solvers.steps import SAME_INSTANT_S, Piece, require_fit, tie_rounded

if TYPE_CHECKING:
    from lowtide.planning.solvers.parts import cheapest_parts
from lowtide.planning.solvers.steps import PreparedSeries


class Found(NamedTuple):
    """The best run of one job, and the same run at once.

    Attributes:
        pieces: In order, not touching; one where the job may not pause.
        mean: Mean value over the pieces, in the unit of the series.
        mean_at_once: Over the run that starts at the earliest time and does not pause.
    """

    pieces: tuple[Piece, ...]
    mean: float
    mean_at_once: float

    @property
    def start_s(self) -> float:
        return self.pieces[0].start_s

    @property
    def end_s(self) -> float:
        return self.pieces[-1].end_s

    @property
    def saved_share(self) -> float:
        """What the run saves against at once; 0 where at once costs nothing."""
        return 1.0 - self.mean / self.mean_at_once if self.mean_at_once else 0.0


def find_window(series: PreparedSeries, earliest_s: float, end_by_s: float, duration_s: float) -> Found:
    """The uninterrupted window with the least mean value; of equals, the earliest.

    Args:
        series: No NaN between ``earliest_s`` and ``end_by_s``.
        earliest_s: No start before; s.
        end_by_s: No end after; s, at least ``earliest_s + duration_s``.
        duration_s: Length; s, > 0, need not be a multiple of the step.
    Raises:
        InputError: The window does not fit, or the series does not cover it; ``facts["short_by_s"]`` tells by how much.
    Notes:
        The sum over a window is a piecewise-linear function of its start, with kinks only where the start or the end
        crosses the edge of a step; so one of those starts, or an end of the allowed range, attains the minimum.
        Where all three times lie on steps, sums are whole counts and nothing is rounded.
    """
    steps = _whole_steps(series, earliest_s, end_by_s, duration_s)
    if steps is None:
        return _find_part_window(series, earliest_s, end_by_s, duration_s)
    first, last, length = steps
    sums = series.sums
    costs = sums[first + length : last + 1] - sums[first : last - length + 1]
    best = int(costs.argmin())
    start_s = series.start_s + (first + best) * series.step_s
    counts_per_mean = length * series.counts_per_unit
    return Found(
        (Piece(start_s, start_s + duration_s),), costs.item(best) / counts_per_mean, costs.item(0) / counts_per_mean
    )


def find_pieces(series: PreparedSeries, earliest_s: float, end_by_s: float, duration_s: float) -> Found:
    """The cheapest steps, and parts of steps, that add up to the duration: for a job that may pause at no cost.

    Arguments, errors and exactness as in ``find_window``. Of equal steps the earlier is taken; touching steps join.
    """
    steps = _whole_steps(series, earliest_s, end_by_s, duration_s)
    if steps is None:
        return _find_part_pieces(series, earliest_s, end_by_s, duration_s)
    first, last, length = steps
    chosen = series.counts[first:last].argsort(kind="stable")[:length].tolist()
    chosen.sort()
    count_before, start_s, step_s = series.sums.item, series.start_s, series.step_s
    pieces = []
    total = 0
    begin = end = first + chosen[0]
    for offset in chosen:
        if first + offset != end:
            pieces.append(Piece(start_s + begin * step_s, start_s + end * step_s))
            total += count_before(end) - count_before(begin)
            begin = end = first + offset
        end += 1
    pieces.append(Piece(start_s + begin * step_s, start_s + end * step_s))
    total += count_before(end) - count_before(begin)
    counts_per_mean = length * series.counts_per_unit
    at_once = count_before(first + length) - count_before(first)
    return Found(tuple(pieces), total / counts_per_mean, at_once / counts_per_mean)


def _whole_steps(
    series: PreparedSeries, earliest_s: float, end_by_s: float, duration_s: float
) -> tuple[int, int, int] | None:
    """First step, step after the last, and length in steps; None where a time lies inside a step."""
    step_s = series.step_s
    at = (earliest_s - series.start_s) / step_s
    end = (end_by_s - series.start_s) / step_s
    length = duration_s / step_s
    if not (at >= 0.0 and length > 0.0 and at + length <= end <= series.counts.size):
        require_fit(series.series, earliest_s, end_by_s, duration_s)
        return None
    first, last, whole = int(at), int(end), int(length)
    if series.gaps.item(first) != series.gaps.item(last if last == end else last + 1):
        require_fit(series.series, earliest_s, end_by_s, duration_s)
    return (first, last, whole) if first == at and last == end and whole == length else None


def _find_part_window(series: PreparedSeries, earliest_s: float, end_by_s: float, duration_s: float) -> Found:
    step_s = series.step_s
    begin_s = earliest_s - series.start_s
    latest_s = max(begin_s, end_by_s - series.start_s - duration_s)
    length = int(duration_s / step_s)
    rest_s = max(0.0, duration_s - length * step_s)
    options = [(tie_rounded(_sum(series, begin_s, duration_s)), begin_s)]
    first, last = math.ceil(begin_s / step_s), int(latest_s / step_s)
    if first <= last:
        cost, edge = _cheapest(series, first, last, length, rest_s, length)
        options.append((cost, edge * step_s))
    first, last = math.ceil((begin_s + duration_s) / step_s) - length, int((latest_s + duration_s) / step_s) - length
    if rest_s and first <= last:  # of whole steps, the starts on edges are also the ends on edges
        cost, edge = _cheapest(series, first, last, length, rest_s, -1)
        options.append((cost, max(begin_s, edge * step_s - rest_s)))
    options.append((tie_rounded(_sum(series, latest_s, duration_s)), latest_s))
    chosen_s = min(options)[1]
    start_s = earliest_s if chosen_s == begin_s else series.start_s + chosen_s
    counts_per_mean = duration_s * series.counts_per_unit
    return Found(
        (Piece(start_s, start_s + duration_s),),
        _sum(series, chosen_s, duration_s) / counts_per_mean,
        _sum(series, begin_s, duration_s) / counts_per_mean,
    )


def _cheapest(
    series: PreparedSeries, first: int, last: int, length: int, rest_s: float, rest_at: int
) -> tuple[float, int]:
    """Least sum, and its edge, over ``length`` steps from each edge and the rest in the step ``rest_at`` from it."""
    costs = series.sums[first + length : last + length + 1] - series.sums[first : last + 1]
    if not rest_s:  # whole counts: nothing to round
        best = int(costs.argmin())
        return tie_rounded(costs.item(best) * series.step_s), first + best
    part_costs = np.multiply(costs, series.step_s)
    rest = series.counts[first + rest_at : last + rest_at + 1]
    part_costs[: rest.size] += rest_s * rest
    part_costs = tie_rounded(part_costs)
    best = int(part_costs.argmin())
    return part_costs.item(best), first + best


def _sum(series: PreparedSeries, begin_s: float, duration_s: float) -> float:
    """Counts x seconds from ``begin_s`` after the series' start, for the duration; whole counts."""
    step_s = series.step_s
    end_s = begin_s + duration_s
    first, last = int(begin_s / step_s), int(end_s / step_s)
    if first == last:
        return duration_s * series.counts.item(first)
    total = ((first + 1) * step_s - begin_s) * series.counts.item(first)
    total += (series.sums.item(last) - series.sums.item(first + 1)) * step_s
    return total + (end_s - last * step_s) * series.counts.item(last) if last < series.counts.size else total


def _find_part_pieces(series: PreparedSeries, earliest_s: float, end_by_s: float, duration_s: float) -> Found:
    step_s, begin_s = series.step_s, earliest_s - series.start_s
    end_s = min(end_by_s - series.start_s, series.counts.size * step_s)
    first = int(begin_s / step_s)
    last = max(first + 1, math.ceil((end_s - SAME_INSTANT_S) / step_s))
    edges_s = series.start_s + step_s * np.arange(first, last + 1, dtype=np.float64)
    edges_s[0], edges_s[-1] = earliest_s, end_by_s
    pieces = cheapest_parts(edges_s[:-1], edges_s[1:], series.counts[first:last], duration_s)
    total = sum(_sum(series, piece.start_s - series.start_s, piece.end_s - piece.start_s) for piece in pieces)
    counts_per_mean = duration_s * series.counts_per_unit
    return Found(pieces, total / counts_per_mean, _sum(series, begin_s, duration_s) / counts_per_mean)
