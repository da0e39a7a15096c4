"""Small pasts whose answers can be worked out by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lowtide.backtest.issued import Came, Issued
from lowtide_core.series import LIFECYCLE_CONSUMPTION

if TYPE_CHECKING:
    from collections.abc import Sequence

HOUR_S = 3600.0
START_S = 1_672_531_200.0  # 2023-01-01T00:00Z
NAN = float("nan")


def came(values: Sequence[float], step_s: float = HOUR_S) -> Came:
    return Came("XX", START_S, step_s, np.array(values, dtype=float), LIFECYCLE_CONSUMPTION, "made up")


def issued(*rows: tuple[int, Sequence[float]]) -> Issued:
    """Each row: the hour of its issue, and the values from then on; shorter ones are filled up with NaN."""
    horizon = max(len(values) for _, values in rows)
    hours = np.array([hour for hour, _ in rows])
    table = np.array([[*values, *[NAN] * (horizon - len(values))] for _, values in rows], dtype=float)
    return Issued(hours * HOUR_S, hours, table)
