"""Where one run of fixed length costs least on a piecewise-constant series: exact, for any step and part step."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from lowtide_core.errors import InputError

if TYPE_CHECKING:
    from lowtide_core.series import FloatArray

_TIE = 1e-12
"""Two windows whose means differ by less, relatively, are the same window to us: the earlier one is taken."""


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


def best_window(series: StepSeries, earliest_s: float, end_by_s: float, duration_s: float) -> Piece:
    """The uninterrupted window with the least mean value; of equals, the earliest.

    Args:
        series: Values over time; >= 0, no NaN between ``earliest_s`` and ``end_by_s``.
        earliest_s: No start before; s.
        end_by_s: No end after; s, at least ``earliest_s + duration_s``.
        duration_s: Length; s, > 0, need not be a multiple of the step.
    Returns:
        The window.
    Raises:
        InputError: The window does not fit, or the series does not cover it; ``facts["short_by_s"]`` tells by how much.
    Notes:
        The sum over a window is a piecewise-linear function of its start, with kinks only where the start or the end
        crosses the edge of a step; so one of those starts, or an end of the allowed range, attains the minimum.
    """
    _require_fit(series, earliest_s, end_by_s, duration_s)
    latest_s = max(earliest_s, end_by_s - duration_s)
    first = max(0, int((earliest_s - series.start_s) // series.step_s))
    last = min(series.values.size, int(np.ceil((end_by_s - series.start_s) / series.step_s - 1e-9)))
    values = series.values[first:last]
    edges_s = series.start_s + series.step_s * np.arange(first, last + 1) - earliest_s  # small numbers keep the digits
    prefix = np.concatenate(([0.0], np.cumsum(values * series.step_s)))
    room_s = latest_s - earliest_s
    starts_s = np.concatenate(([0.0, room_s], edges_s, edges_s - duration_s))
    starts_s = np.sort(starts_s[(starts_s >= 0.0) & (starts_s <= room_s)])
    sums = np.interp(starts_s + duration_s, edges_s, prefix) - np.interp(starts_s, edges_s, prefix)
    least = float(sums.min())
    chosen_s = float(starts_s[np.flatnonzero(sums <= least + _TIE * (1.0 + prefix[-1]))[0]])
    start_s = earliest_s + chosen_s
    return Piece(start_s, start_s + duration_s)


def best_pieces(series: StepSeries, earliest_s: float, end_by_s: float, duration_s: float) -> tuple[Piece, ...]:
    """The cheapest steps, and parts of steps, that add up to the duration: for a job that may pause at no cost.

    Arguments, errors and exactness as in ``best_window``. Of equal steps the earlier is taken; touching steps join.
    """
    _require_fit(series, earliest_s, end_by_s, duration_s)
    edges_s = np.clip(series.edges_s(), earliest_s, end_by_s)
    lengths_s = np.diff(edges_s)
    allowed = np.flatnonzero(lengths_s > 0)
    order = allowed[np.argsort(series.values[allowed], kind="stable")]
    filled_s = np.cumsum(lengths_s[order])
    whole = int(np.searchsorted(filled_s, duration_s * (1 - _TIE)))
    chosen = set(order[:whole].tolist())
    part = int(order[whole])
    rest_s = duration_s - (float(filled_s[whole - 1]) if whole else 0.0)
    pieces = [Piece(float(edges_s[i]), float(edges_s[i + 1])) for i in sorted(chosen)]
    if part + 1 in chosen and part - 1 not in chosen:  # touch the later neighbour: one pause less
        pieces.append(Piece(float(edges_s[part + 1]) - rest_s, float(edges_s[part + 1])))
    else:
        pieces.append(Piece(float(edges_s[part]), float(edges_s[part]) + rest_s))
    return _joined(sorted(pieces))


def _joined(pieces: list[Piece]) -> tuple[Piece, ...]:
    joined = [pieces[0]]
    for piece in pieces[1:]:
        if piece.start_s <= joined[-1].end_s:
            joined[-1] = Piece(joined[-1].start_s, piece.end_s)
        else:
            joined.append(piece)
    return tuple(joined)


def _require_fit(series: StepSeries, earliest_s: float, end_by_s: float, duration_s: float) -> None:
    if not duration_s > 0:
        raise InputError(f"The duration is {duration_s} s.", hint="Give a positive one.", duration_s=duration_s)
    short_by_s = earliest_s + duration_s - end_by_s
    if short_by_s > 1e-6:
        raise InputError(
            f"A run of {duration_s:g} s does not fit into {end_by_s - earliest_s:g} s.",
            hint=f"Allow {short_by_s:g} s more.",
            short_by_s=short_by_s,
        )
    covered_s = known_until_s(series, earliest_s)
    if covered_s < end_by_s - 1e-6:
        raise InputError(
            f"The series has no value {covered_s - earliest_s:g} s after the earliest start.",
            hint="Give a series without gaps over the whole window.",
            short_by_s=end_by_s - covered_s,
        )
