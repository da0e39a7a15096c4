"""The cheapest parts of steps in several gaps by hand."""

from __future__ import annotations

import numpy as np
import pytest

from lowtide.planning.solvers.parts import cheapest_in_gaps
from lowtide.planning.solvers.steps import Piece, StepSeries

H = 3600.0
SERIES = StepSeries(0.0, H, np.array([5.0, 1.0, 4.0, 1.0, 3.0]))


def hours(*gaps: tuple[float, float], duration_h: float) -> list[tuple[float, float]]:
    pieces = cheapest_in_gaps(SERIES, [Piece(start * H, end * H) for start, end in gaps], duration_h * H)
    return [(piece.start_s / H, piece.end_s / H) for piece in pieces]


@pytest.mark.parametrize(
    ("gaps", "duration_h", "expected"),
    [
        ([(0, 5)], 1.5, [(1, 2), (3, 3.5)]),  # of two equal steps the earlier is taken whole
        ([(0, 5)], 2.5, [(1, 2), (3, 4.5)]),  # the part goes on from the step that is taken
        ([(0, 1.5), (2, 3.5)], 1.25, [(1, 1.5), (2.75, 3.5)]),  # and leads up to it, where nothing is taken before
        ([(0, 1), (1, 1.25), (4.5, 5)], 0.5, [(1, 1.25), (4.5, 4.75)]),
        ([(0, 1), (4, 5)], 2.0, [(0, 1), (4, 5)]),
        ([(0, 1), (4, 5)], 2.1, []),
    ],
)
def test_the_cheapest_parts(gaps: list[tuple[float, float]], duration_h: float, expected: list[object]) -> None:
    assert hours(*gaps, duration_h=duration_h) == expected


def test_what_is_shorter_than_an_instant_is_no_piece() -> None:
    assert hours((0, 5), duration_h=2 + 1e-7 / H) == [(1, 2), (3, 4)]
