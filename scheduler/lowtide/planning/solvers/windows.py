"""Where one run of fixed length costs least on a piecewise-constant series: exact, for any step and part step.

For one question on one series. Many questions on one series: ``steps.prepare``, then ``single`` or ``batch``.
"""

from __future__ import annotations

import math

from lowtide.planning.solvers.single import find_pieces, find_window
from lowtide.planning.solvers.steps import (
    Piece,
    PreparedSeries,
    StepSeries,
    known_until_s,
    mean_over,
    prepare,
    require_fit,
    seconds_in_steps,
)

__all__ = [
    "Piece",
    "StepSeries",
    "best_pieces",
    "best_window",
    "known_until_s",
    "mean_over",
    "seconds_in_steps",
]


def best_window(series: StepSeries, earliest_s: float, end_by_s: float, duration_s: float) -> Piece:
    """The uninterrupted window with the least mean value; of equals, the earliest.

    Args:
        series: Values over time; no NaN between ``earliest_s`` and ``end_by_s``.
        earliest_s: No start before; s.
        end_by_s: No end after; s, at least ``earliest_s + duration_s``.
        duration_s: Length; s, > 0, need not be a multiple of the step.
    Returns:
        The window.
    Raises:
        InputError: The window does not fit, or the series does not cover it; ``facts["short_by_s"]`` tells by how much.
    Notes:
        See ``single.find_window``.
    """
    require_fit(series, earliest_s, end_by_s, duration_s)
    return find_window(_prepared_between(series, earliest_s, end_by_s), earliest_s, end_by_s, duration_s).pieces[0]


def best_pieces(series: StepSeries, earliest_s: float, end_by_s: float, duration_s: float) -> tuple[Piece, ...]:
    """The cheapest steps, and parts of steps, that add up to the duration: for a job that may pause at no cost.

    Arguments, errors and exactness as in ``best_window``. Of equal steps the earlier is taken; touching steps join.
    """
    require_fit(series, earliest_s, end_by_s, duration_s)
    return find_pieces(_prepared_between(series, earliest_s, end_by_s), earliest_s, end_by_s, duration_s).pieces


def _prepared_between(series: StepSeries, earliest_s: float, end_by_s: float) -> PreparedSeries:
    first = int((earliest_s - series.start_s) // series.step_s)
    last = math.ceil((end_by_s - series.start_s) / series.step_s)
    return prepare(StepSeries(series.start_s + first * series.step_s, series.step_s, series.values[first:last]))
