"""Values that hold for one step each, and the form of them in which many questions are answered quickly and exactly."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import numpy as np

from lowtide_core.errors import InputError

if TYPE_CHECKING:
    import numpy.typing as npt

    from lowtide_core.series import FloatArray

    IntArray = npt.NDArray[np.int64]

SAME_INSTANT_S = 1e-6
"""Two instants that are no further apart are one: times since 1970 are kept as floats, 2.4e-7 s apart today."""

_Sums = TypeVar("_Sums", float, "FloatArray")

_DECIMAL_COUNTS = 1e6
_EXACT_FLOAT = 2.0**52


class Piece(NamedTuple):
    """``[start_s, end_s)``, seconds on the axis of the caller."""

    start_s: float
    end_s: float


class StepSeries(NamedTuple):
    """Values that hold for one step each: value ``i`` on ``[start_s + i·step_s, start_s + (i + 1)·step_s)``."""

    start_s: float
    step_s: float
    values: FloatArray

    def edges_s(self) -> FloatArray:
        """Where the steps begin and end; (n + 1,), s."""
        return self.start_s + self.step_s * np.arange(self.values.size + 1, dtype=np.float64)


def known_until_s(series: StepSeries, from_s: float) -> float:
    """The first instant at or after ``from_s`` that has no value; ``from_s`` itself where it has none."""
    if not series.start_s <= from_s < series.start_s + series.step_s * series.values.size:
        return from_s
    first = int((from_s - series.start_s) // series.step_s)
    gaps = np.flatnonzero(np.isnan(series.values[first:]))
    if not gaps.size:
        return series.start_s + series.step_s * series.values.size
    return max(from_s, series.start_s + series.step_s * (first + float(gaps[0])))


def seconds_in_steps(series: StepSeries, pieces: tuple[Piece, ...]) -> FloatArray:
    """Seconds that the pieces spend in each step; (n,), s."""
    edges_s = series.edges_s()
    total = np.zeros(series.values.size)
    for piece in pieces:
        total += np.diff(np.clip(edges_s, piece.start_s, piece.end_s))
    return total


def mean_over(series: StepSeries, pieces: tuple[Piece, ...]) -> float:
    """Mean value over the pieces, step-wise; NaN where any part of them has no value."""
    wanted_s = sum(piece.end_s - piece.start_s for piece in pieces)
    inside_s = seconds_in_steps(series, pieces)
    if inside_s.sum() < wanted_s * (1 - 1e-9):
        return float("nan")
    used = inside_s > 0
    return float(inside_s[used] @ series.values[used] / inside_s[used].sum())


def steps_within(series: StepSeries, from_s: float, until_s: float) -> tuple[FloatArray, FloatArray]:
    """The steps that touch the time between the two, which the series covers.

    Returns:
        Their edges after ``from_s`` (small numbers keep the digits), s, (k + 1,), and their values, (k,).
    """
    first = max(0, int((from_s - series.start_s) // series.step_s))
    last = min(series.values.size, math.ceil((until_s - series.start_s - SAME_INSTANT_S) / series.step_s))
    last = max(last, first + 1)
    edges_s = (series.start_s - from_s) + series.step_s * np.arange(first, last + 1, dtype=np.float64)
    return edges_s, series.values[first:last]


class Integral(NamedTuple):
    """The running integral of values that hold between two edges each.

    Floats: equal spans may differ by rounding. ``PreparedSeries`` counts in whole numbers where that must not be.

    Attributes:
        edges_s: (n + 1,), rising, s.
        level: What was taken from every value, so that the sums of a long series stay small and keep their digits.
        sums: Integral of what is left up to each edge; (n + 1,), value x s.
    """

    edges_s: FloatArray
    level: float
    sums: FloatArray

    @property
    def step_s(self) -> float:
        """Length of the first step, and of every other where they are regular; s."""
        return float(self.edges_s[1] - self.edges_s[0])

    def until(self, times_s: FloatArray) -> FloatArray:
        """From the first edge to each time, less the level; same shape, value x s."""
        return np.asarray(np.interp(times_s, self.edges_s, self.sums), dtype=np.float64)

    def above_level(self, start_s: FloatArray, length_s: FloatArray | float) -> FloatArray:
        """Of each span, less the level: enough to compare spans of one length; same shape, value x s."""
        return self.until(start_s + length_s) - self.until(start_s)

    def over(self, start_s: FloatArray, length_s: FloatArray | float) -> FloatArray:
        """Of each span; same shape, value x s."""
        return self.above_level(start_s, length_s) + self.level * length_s


def integral_of(edges_s: FloatArray, values: FloatArray, *, level: float = 0.0) -> Integral:
    """The integral of values without gaps, (n,), between edges, (n + 1,), s."""
    sums = np.empty(edges_s.size)
    sums[0] = 0.0
    np.multiply(values - level if level else values, edges_s[1:] - edges_s[:-1], out=sums[1:])
    return Integral(edges_s, level, sums.cumsum())


def require_fit(series: StepSeries, earliest_s: float, end_by_s: float, duration_s: float) -> None:
    """Refuse a run that the window has no room for, and a window that the series does not cover.

    Raises:
        InputError: ``facts["short_by_s"]`` tells by how much the window, or the series, is too short.
    """
    if not (math.isfinite(earliest_s) and math.isfinite(end_by_s)):
        raise InputError(
            f"The window from {earliest_s} to {end_by_s} s is none.",
            hint="Give finite times.",
            earliest_s=earliest_s,
            end_by_s=end_by_s,
        )
    if not duration_s > 0:
        raise InputError(f"The duration is {duration_s} s.", hint="Give a positive one.", duration_s=duration_s)
    short_by_s = earliest_s + duration_s - end_by_s
    if short_by_s > SAME_INSTANT_S:
        raise InputError(
            f"A run of {duration_s:g} s does not fit into {end_by_s - earliest_s:g} s.",
            hint=f"Allow {short_by_s:g} s more.",
            short_by_s=short_by_s,
        )
    covered_s = known_until_s(series, earliest_s)
    if covered_s <= earliest_s or covered_s < end_by_s - SAME_INSTANT_S:
        raise InputError(
            f"The series has no value {covered_s - earliest_s:g} s after the earliest start.",
            hint="Give a series without gaps over the whole window.",
            short_by_s=end_by_s - covered_s,
        )


@dataclass(frozen=True, slots=True, eq=False)
class PreparedSeries:
    """A checked series as whole counts with their running sums, so that equal windows have equal sums.

    Attributes:
        counts: Value x ``counts_per_unit``, rounded; (n,), 0 where there is no value.
        sums: Counts before each edge; (n + 1,).
        gaps: Steps without a value before each edge; (n + 1,).
        counts_per_unit: Counts per unit of value.
        values: As given; (n,), NaN is a gap.
    Notes:
        Differences of running sums in floats lose the digits that the sum of the whole series has taken, and make
        windows unequal that are equal. Integers do neither. Values with up to six decimals are whole millionths, so
        all their sums are exact. Others are rounded to a power of two such that the sum of the whole series takes
        62 bits: 2e-16 of the mean value per 1,000 steps, which is less than floats keep of that sum. What is smaller
        than 1e-290 counts as nothing.
    """

    start_s: float
    step_s: float
    values: FloatArray
    counts: IntArray
    sums: IntArray
    gaps: IntArray
    counts_per_unit: float

    @property
    def size(self) -> int:
        return self.counts.size

    @property
    def series(self) -> StepSeries:
        return StepSeries(self.start_s, self.step_s, self.values)


def prepare(series: StepSeries) -> PreparedSeries:
    """The series with its running sums; work once, linear in its length, for any number of questions.

    Raises:
        InputError: No values, not one row, an infinite value, or a step that is not positive.
    """
    values = np.asarray(series.values, dtype=np.float64)
    if values.ndim != 1 or not values.size:
        raise InputError(f"The series has the shape {values.shape}.", hint="Give one row of values.")
    if not (0 < series.step_s < math.inf and math.isfinite(series.start_s)):
        raise InputError(
            f"The series starts at {series.start_s} s with steps of {series.step_s} s.",
            hint="The start is finite, the step positive.",
            step_s=series.step_s,
        )
    gap = np.isnan(values)
    known = np.where(gap, 0.0, values) if gap.any() else values
    total = float(np.abs(known).sum())
    if not math.isfinite(total):
        at = int(np.abs(known).argmax())
        raise InputError(f"Value {at} of the series is {known[at]}.", hint="Give finite values.", step=at)
    counts, per_unit = _counted(known, total)
    return PreparedSeries(
        series.start_s, series.step_s, values, counts, before_each_edge(counts), before_each_edge(gap), per_unit
    )


def _counted(known: FloatArray, total: float) -> tuple[IntArray, float]:
    """Values as whole counts, and counts per unit."""
    per_unit = _DECIMAL_COUNTS
    counts = np.rint(known * per_unit)
    if total * per_unit >= _EXACT_FLOAT or (counts / per_unit != known).any():
        per_unit = math.ldexp(1.0, min(62 - math.frexp(total)[1], 1023))
        counts = np.rint(known * per_unit)
    return counts.astype(np.int64), per_unit


def before_each_edge(of_steps: npt.NDArray[np.int64] | npt.NDArray[np.bool_]) -> IntArray:
    """Running sums, from 0 before the first step to all behind the last; (n + 1,)."""
    before = np.zeros(of_steps.size + 1, dtype=np.int64)
    np.cumsum(of_steps, out=before[1:])
    return before


def tie_rounded(sums: _Sums) -> _Sums:
    """Each sum to 41 binary digits: what differs by less than 5e-13 of itself is equal, and the earlier is taken.

    Notes:
        Needed only where part steps leave the whole counts. The rule is transitive, which a tolerance is not.
    Source:
        T. J. Dekker, A floating-point technique for extending the available precision, Numerische Mathematik 18,
        1971 (the splitting by 2^s + 1).
    """
    wide = sums * 4097.0
    return sums - wide + wide
