"""What the sources that compute an intensity from generation share: a fuel on steps, and what they note."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime, timedelta

    from lowtide_core.series import FloatArray

NOTE = "computed from generation: production only"


def by_start(values: FloatArray, start_utc: datetime, step: timedelta) -> dict[datetime, float]:
    """Start of each step -> value, (n,), of which the first holds from ``start_utc``."""
    return {start_utc + index * step: float(value) for index, value in enumerate(values)}


def on_steps(known: Mapping[datetime, float], start_utc: datetime, step: timedelta, count: int) -> FloatArray:
    """One fuel's figures on the steps of all.

    Args:
        known: Start of a step -> figure, NaN where the service says that it is not known; not empty.
    Returns:
        (count,); 0 before the fuel is first told of, NaN for every later step without a figure: a fuel that falls
        silent still burns.
    """
    values = np.full(count, np.nan)
    values[: max(0, (min(known) - start_utc) // step)] = 0.0
    for at, value in known.items():
        if start_utc <= at < start_utc + count * step:
            values[(at - start_utc) // step] = value
    return values
