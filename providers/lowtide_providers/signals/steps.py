"""What every source of rows does with them: numbers checked, one regular run of steps, one error for a bad shape."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lowtide_core.errors import LowtideError, Malformed

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime, timedelta

    from lowtide_core.series import FloatArray
    from lowtide_core.spans import Span

UNREADABLE = (AttributeError, KeyError, LowtideError, TypeError, ValueError)
"""What reading rows of an unknown shape raises."""


def as_intensity(value: object) -> float:
    """g/kWh of a number in JSON; None is a gap, NaN.

    Raises:
        ValueError: Not a number, negative or infinite.
    """
    number = as_number(value)
    if number < 0:
        raise ValueError(f"{value!r} is not an intensity")
    return number


def as_number(value: object) -> float:
    """A number of JSON, also where it stands in quotes; None is a gap, NaN.

    Raises:
        ValueError: Not a number, or infinite.
    """
    if value is None:
        return float("nan")
    if isinstance(value, bool) or not isinstance(value, int | float | str) or np.isinf(number := float(value)):
        raise ValueError(f"{value!r} is not a number")
    return number


def regular(rows: Mapping[datetime, float], step: timedelta, span: Span) -> tuple[datetime, FloatArray] | None:
    """Rows within the span as one run of steps.

    Args:
        rows: Start of a step -> g/kWh, NaN where unknown; in any order.
    Returns:
        First start and values, (n,), from the first known to the last; gaps between are NaN. None: nothing is known.
    Raises:
        ValueError: A start is not a whole number of steps from another.
    """
    known = {
        at: value
        for at, value in rows.items()
        if at + step > span.start_utc and at < span.end_utc and not np.isnan(value)
    }
    if not known:
        return None
    first = min(known)
    values = np.full(round((max(known) - first) / step) + 1, np.nan)
    for at, value in known.items():
        if (at - first) % step:
            raise ValueError(f"{at.isoformat()} is not on the step")
        values[(at - first) // step] = value
    return first, values


def unknown_shape(error: Exception, *, provider: str, operation: str) -> Malformed:
    """The answer parsed as JSON, and is not what the provider documents."""
    said = f"{error} is missing" if isinstance(error, KeyError) else str(error)
    return Malformed(
        f"{provider} answered in an unknown shape ({said}): {operation}.",
        provider=provider,
        operation=operation,
        hint="Please report it; plan without it: --signal climatology.",
    )
