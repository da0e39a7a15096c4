"""The best start of each of many jobs, all candidates of a job in one row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lowtide.planning.solvers.job_times import sums_from
from lowtide.planning.solvers.steps import tie_rounded

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from lowtide.planning.solvers.job_times import JobTimes
    from lowtide.planning.solvers.steps import IntArray, PreparedSeries
    from lowtide_core.series import FloatArray

_CELLS_AT_ONCE = 16384


class StartRows:
    """A series continued such that the row of any job's candidate starts can be cut from it.

    Args:
        widest: Steps in the longest window of a job.
    """

    __slots__ = ("_counts", "_series", "_sums")

    def __init__(self, series: PreparedSeries, widest: int) -> None:
        self._series = series
        self._sums = np.pad(series.sums, (0, widest))
        self._counts = np.pad(series.counts.astype(np.float64), (0, widest))

    def best_starts_s(self, times: JobTimes) -> FloatArray:
        """The best start of each job, the earliest of equals; all counted from the series' start; (m,), s.

        Starts on edges, ends on edges, and the two ends of the range: one of them attains the minimum.
        """
        step_s, (begin_s, end_s, duration_s) = self._series.step_s, times
        latest_s = np.maximum(begin_s, end_s - duration_s)
        length = (duration_s / step_s).astype(np.int64)
        rest_s = np.maximum(0.0, duration_s - length * step_s)
        first, last = _edges_between(begin_s, latest_s, step_s)
        inside = np.flatnonzero((first * step_s != begin_s) | (last * step_s != latest_s))
        whole, part = np.flatnonzero(rest_s == 0), np.flatnonzero(rest_s)
        best_s, least = begin_s.copy(), np.full(begin_s.size, np.inf)
        for at_s in (begin_s[inside], latest_s[inside]):
            _take_better(best_s, least, inside, at_s, tie_rounded(sums_from(self._series, at_s, duration_s[inside])))
        edge, cost = self._cheapest_whole(first[whole], last[whole], length[whole])
        _take_better(best_s, least, whole, np.multiply(edge, step_s), cost)
        if part.size:
            length, rest_s = length[part], rest_s[part]
            edge, cost = self._cheapest_part(first[part], last[part], length, rest_s, length)
            _take_better(best_s, least, part, np.multiply(edge, step_s), cost)
            first, last = _edges_between((begin_s + duration_s)[part], (latest_s + duration_s)[part], step_s)
            edge, cost = self._cheapest_part(first - length, last - length, length, rest_s, np.full_like(length, -1))
            _take_better(best_s, least, part, np.maximum(begin_s[part], edge * step_s - rest_s), cost)
        return best_s

    def _cheapest_whole(self, first: IntArray, last: IntArray, length: IntArray) -> tuple[IntArray, FloatArray]:
        """Of each job, the edge from ``first`` to ``last`` from where ``length`` steps cost least, and their sum; (m,).

        The sums that are compared are whole counts, so nothing is rounded. Infinite where there is no such edge.
        """
        count = last - first + 1
        best, least = np.zeros_like(first), np.full(first.size, np.inf)
        for some, width in _like_rows(count):
            begin, edges = first[some], _cut(self._sums, width)
            costs = edges[begin + length[some]]
            costs -= edges[begin]
            _leave_out(costs, count[some], np.iinfo(np.int64).max)
            at = costs.argmin(axis=1)
            best[some] = begin + at
            least[some] = tie_rounded(np.multiply(costs[np.arange(some.size), at], self._series.step_s))
        return best, least

    def _cheapest_part(
        self, first: IntArray, last: IntArray, length: IntArray, rest_s: FloatArray, rest_at: IntArray
    ) -> tuple[IntArray, FloatArray]:
        """The same for ``length`` steps from the edge and the rest in the step ``rest_at`` from it."""
        count = last - first + 1
        best, least = np.zeros_like(first), np.full(first.size, np.inf)
        for some, width in _like_rows(count):
            begin, edges = first[some], _cut(self._sums, width)
            costs = (edges[begin + length[some]] - edges[begin]).astype(np.float64)
            costs *= self._series.step_s
            rest = _cut(self._counts, width)[begin + rest_at[some]]
            rest *= rest_s[some, None]
            costs += rest
            costs = tie_rounded(costs)
            _leave_out(costs, count[some], np.inf)
            at = costs.argmin(axis=1)
            best[some] = begin + at
            least[some] = costs[np.arange(some.size), at]
        return best, least


def argmin_of_next(sums: IntArray, width: int) -> IntArray:
    """Where the least of the ``width`` values from each position on stands, the first of equals; (n - width + 1,).

    Notes:
        Minima of 2, 4, 8, ... values, each from two of the former; the last two overlap where the width is no power of
        two. Time per position grows with the logarithm of the width.
    Source:
        M. A. Bender, M. Farach-Colton, The LCA problem revisited, LATIN 2000.
    """
    least, at, done = sums, np.arange(sums.size), 1
    while done < width:
        ahead = min(done, width - done)
        now, later = least[: least.size - ahead], least[ahead:]
        at = np.where(later < now, at[ahead:], at[: at.size - ahead])
        least = np.minimum(now, later)
        done += ahead
    return at


def _edges_between(low_s: FloatArray, high_s: FloatArray, step_s: float) -> tuple[IntArray, IntArray]:
    return np.ceil(low_s / step_s).astype(np.int64), np.floor(high_s / step_s).astype(np.int64)


def _take_better(best_s: FloatArray, least: FloatArray, jobs: IntArray, start_s: FloatArray, cost: FloatArray) -> None:
    """Let these jobs start there where that costs less, or as much and earlier; in place."""
    better = (cost < least[jobs]) | ((cost == least[jobs]) & (start_s < best_s[jobs]))
    best_s[jobs[better]], least[jobs[better]] = start_s[better], cost[better]


def _cut(values: npt.NDArray[Any], width: int) -> npt.NDArray[Any]:
    """Row ``i`` is ``values[i : i + width]``; a view, made faster than ``sliding_window_view`` makes it."""
    return np.ndarray((values.size - width + 1, width), values.dtype, values, strides=values.strides * 2)


def _like_rows(count: IntArray) -> Iterator[tuple[IntArray, int]]:
    """Jobs with about as many candidates together, and the most that one of them has; those without are left out."""
    order = np.argsort(np.minimum(count, 32767).astype(np.int16), kind="stable")  # 16 bits are sorted in linear time
    end = order.size
    none = int(np.count_nonzero(count <= 0))
    while end > none:
        begin = max(none, end - max(1, _CELLS_AT_ONCE // int(count[order[end - 1]])))
        some = order[begin:end]
        yield some, int(count[some].max())
        end = begin


def _leave_out(costs: npt.NDArray[Any], count: IntArray, never: float) -> None:
    """Put ``never`` behind the first ``count`` of each row, in place."""
    fewest = int(count.min())
    costs[:, fewest:][np.arange(fewest, costs.shape[1]) >= count[:, None]] = never
