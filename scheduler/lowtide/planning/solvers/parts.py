"""The cheapest stretches of time that add up to a duration: for a job that may pause at no cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lowtide.planning.solvers.steps import SAME_INSTANT_S, Piece

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lowtide.planning.solvers.steps import IntArray, StepSeries
    from lowtide_core.series import FloatArray


def cheapest_in_gaps(series: StepSeries, gaps: Sequence[Piece], duration_s: float) -> tuple[Piece, ...]:
    """The cheapest steps, and parts of steps, within the gaps that add up to the duration; empty where none do.

    Args:
        series: No NaN within the gaps.
        gaps: Where the job may run; at least one, in order, disjoint.
        duration_s: s, > 0.
    Returns:
        As ``cheapest_parts``.
    """
    edges_s = series.edges_s()
    cuts_s = [
        np.concatenate(([gap.start_s], edges_s[(edges_s > gap.start_s) & (edges_s < gap.end_s)], [gap.end_s]))
        for gap in gaps
    ]
    starts_s = np.concatenate([cuts[:-1] for cuts in cuts_s])
    ends_s = np.concatenate([cuts[1:] for cuts in cuts_s])
    if (ends_s - starts_s).sum() < duration_s - SAME_INSTANT_S:
        return ()
    values = series.values[np.searchsorted(edges_s, (starts_s + ends_s) / 2) - 1]
    return cheapest_parts(starts_s, ends_s, values, duration_s)


def cheapest_parts(
    starts_s: FloatArray, ends_s: FloatArray, values: FloatArray | IntArray, duration_s: float
) -> tuple[Piece, ...]:
    """The cheapest of some stretches, and a part of one more, that add up to the duration.

    Args:
        starts_s, ends_s, values: Of each stretch; (n,), in order, disjoint, together at least as long.
        duration_s: s, > 0.
    Returns:
        In order; touching stretches are one piece. Of equal stretches the earlier is taken. The part lies at the
        stretch's beginning, or at its end where that makes one pause less.
    """
    order = values.argsort(kind="stable")
    filled_s: FloatArray = (ends_s - starts_s)[order].cumsum()
    whole = min(int(filled_s.searchsorted(duration_s - SAME_INSTANT_S)), order.size - 1)
    left_s = duration_s - (filled_s.item(whole - 1) if whole else 0.0)
    chosen, part = set(order[:whole].tolist()), order.item(whole)
    start_s, end_s = starts_s.item, ends_s.item
    pieces = [Piece(start_s(at), end_s(at)) for at in chosen]
    begin_s, until_s = start_s(part), end_s(part)
    left_s = min(left_s, until_s - begin_s)
    before = part > 0 and part - 1 in chosen and end_s(part - 1) == begin_s
    after = part + 1 in chosen and start_s(part + 1) == until_s
    pieces.append(Piece(until_s - left_s, until_s) if after and not before else Piece(begin_s, begin_s + left_s))
    return _joined(sorted(pieces))


def _joined(pieces: Sequence[Piece]) -> tuple[Piece, ...]:
    joined = [pieces[0]]
    for piece in pieces[1:]:
        if piece.start_s <= joined[-1].end_s:
            joined[-1] = Piece(joined[-1].start_s, piece.end_s)
        else:
            joined.append(piece)
    return tuple(joined)
