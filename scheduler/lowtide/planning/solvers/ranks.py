"""Which are the k cheapest steps of any window, and what they add up to: all windows of a series in one pass."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lowtide.planning.solvers.steps import SAME_INSTANT_S, before_each_edge

if TYPE_CHECKING:
    import numpy.typing as npt

    from lowtide.planning.solvers.job_times import JobTimes
    from lowtide.planning.solvers.steps import IntArray, PreparedSeries
    from lowtide_core.series import FloatArray

    Steps = npt.NDArray[np.int32]
    """Numbers of steps, ranks, and digits: half the memory to walk through, and no series has 2^31 steps."""


@dataclass(frozen=True, slots=True, eq=False)
class _Level:
    """One binary digit of the ranks, in the order in which the digits above have left the steps.

    Attributes:
        zeros: How many of the first i steps have the digit 0; (n + 1,).
        counts_of_zeros: What those add up to; (n + 1,).
        bit: The digit's place.
    """

    bit: int
    zeros: Steps
    counts_of_zeros: IntArray

    def below(self, at: Steps, zeros: Steps, one: Steps) -> Steps:
        """Where the steps before ``at`` end on the next level: among the zeros, or among the ones behind them.

        ``one`` has all binary digits set, or none, which is cheaper than a choice.
        """
        return zeros + ((self.zeros[-1:] + at - 2 * zeros) & one)


@dataclass(frozen=True, slots=True, eq=False)
class RankedSteps:
    """A series whose steps are ranked by value; of equals, the earlier first. Built once, in O(n log n).

    Attributes:
        rank: Of each step, 0 the cheapest; (n,).
        counts_by_rank: (n,).
    Notes:
        A wavelet matrix over the ranks: a question walks once down the digits, whatever the length of its window and
        of its job, and a whole array of questions walks together.
    Source:
        F. Claude, G. Navarro, A. Ordóñez, The wavelet matrix: an efficient wavelet tree for large alphabets,
        Information Systems 47, 2015.
    """

    series: PreparedSeries
    rank: Steps
    counts_by_rank: IntArray
    levels: tuple[_Level, ...]

    def cheapest(self, first: IntArray, last: IntArray, kth: IntArray) -> tuple[Steps, IntArray]:
        """The step that has ``kth`` cheaper ones in ``[first, last)``, and the sum of those.

        Args:
            first, last: Windows of at least one step; (m,), steps.
            kth: 0 <= kth < last - first; (m,).
        Returns:
            rank_of_kth, sum_before: (m,), the rank in the series; (m,), counts.
        """
        low, high, left = first.astype(np.int32), last.astype(np.int32), kth.astype(np.int32)
        rank, total = np.zeros_like(left), np.zeros_like(kth)
        for level in self.levels:
            zeros_low, zeros_high = level.zeros.take(low), level.zeros.take(high)
            inside = zeros_high - zeros_low
            is_one = left >= inside
            one = -is_one.astype(np.int32)
            total += (level.counts_of_zeros.take(high) - level.counts_of_zeros.take(low)) * is_one
            left -= inside & one
            rank -= one << level.bit
            low, high = level.below(low, zeros_low, one), level.below(high, zeros_high, one)
        return rank, total

    def cheaper_than(self, first: IntArray, last: IntArray, rank: Steps) -> Steps:
        """How many steps of ``[first, last)`` have a lower rank; (m,)."""
        low, high = first.astype(np.int32), last.astype(np.int32)
        count = np.zeros_like(rank)
        for level in self.levels:
            zeros_low, zeros_high = level.zeros.take(low), level.zeros.take(high)
            one = -(rank >> level.bit & 1)
            count += (zeros_high - zeros_low) & one
            low, high = level.below(low, zeros_low, one), level.below(high, zeros_high, one)
        return count


def rank_steps(series: PreparedSeries) -> RankedSteps:
    """The steps in the order of their values, of equals the earlier first, ready for any number of questions."""
    by_rank = np.argsort(series.counts, kind="stable")
    rank = np.empty(series.size, dtype=np.int32)
    rank[by_rank] = np.arange(series.size, dtype=np.int32)
    counts_by_rank = series.counts[by_rank]
    ranks, levels = rank, []
    for bit in reversed(range((series.size - 1).bit_length())):
        zero = (ranks >> bit) & 1 == 0
        counts = np.where(zero, counts_by_rank[ranks], 0)
        levels.append(_Level(bit, before_each_edge(zero).astype(np.int32), before_each_edge(counts)))
        ranks = np.concatenate((ranks[zero], ranks[~zero]))
    return RankedSteps(series, rank, counts_by_rank, tuple(levels))


def cheapest_sums(steps: RankedSteps, times: JobTimes) -> FloatArray:
    """Counts x seconds of the cheapest steps and part steps that add up to each duration; (m,).

    Args:
        times: Counted from the series' start; every job fits.
    Notes:
        A part step at an end of the window is filled after the whole steps that are cheaper than it, as far as the
        duration goes; what is left goes to the cheapest whole steps between.
    """
    series, step_s = steps.series, steps.series.step_s
    begin_s, end_s, duration_s = times
    head = (begin_s / step_s).astype(np.int64)
    tail = np.maximum(head, np.ceil((end_s - SAME_INSTANT_S) / step_s).astype(np.int64) - 1)
    head_s = np.minimum((head + 1) * step_s, end_s) - begin_s
    tail_s = np.where(tail > head, end_s - tail * step_s, step_s)
    first, last = head + (head_s < step_s), tail + 1 - (tail_s < step_s)
    head_s, tail_s = (np.where(room_s < step_s, room_s, 0.0) for room_s in (head_s, tail_s))
    head_before_tail = steps.rank[head] < steps.rank[tail]
    in_head_s = _in_part_s(steps, (first, last), head, head_s, duration_s - np.where(head_before_tail, 0.0, tail_s))
    in_tail_s = _in_part_s(steps, (first, last), tail, tail_s, duration_s - np.where(head_before_tail, head_s, 0.0))
    inner_s = duration_s - in_head_s - in_tail_s
    whole = np.minimum(np.ceil(inner_s / step_s).astype(np.int64), last - first) - 1
    total = in_head_s * series.counts[head] + in_tail_s * series.counts[tail]
    some = np.flatnonzero(whole >= 0)
    rank, before = steps.cheapest(first[some], last[some], whole[some])
    total[some] += before * step_s + (inner_s[some] - whole[some] * step_s) * steps.counts_by_rank[rank]
    return total


def _in_part_s(
    steps: RankedSteps, inner: tuple[IntArray, IntArray], part: IntArray, room_s: FloatArray, left_s: FloatArray
) -> FloatArray:
    """What falls into a part step at an end of each window, after all whole steps that are cheaper; (m,), s.

    ``left_s`` is the duration less the room in the other part step where that is the cheaper one.
    """
    used_s = np.zeros_like(room_s)
    some = np.flatnonzero(room_s > 0)
    if some.size:
        cheaper = steps.cheaper_than(inner[0][some], inner[1][some], steps.rank[part[some]])
        used_s[some] = np.clip(left_s[some] - cheaper * steps.series.step_s, 0.0, room_s[some])
    return used_s
