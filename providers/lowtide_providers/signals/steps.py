"""What every source of rows does with them: numbers checked, one regular run of steps, one error for a bad shape."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np

from lowtide_core.errors import LowtideError, Malformed, NoData
from lowtide_core.series import SignalSeries

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from lowtide_core.places import ZoneId
    from lowtide_core.ports import SignalSource, Wanted
    from lowtide_core.series import FloatArray, SeriesKind
    from lowtide_core.spans import Span

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_FARTHEST = timedelta(days=14)
"""No source forecasts a time that begins later after its issue."""

UNREADABLE = (AttributeError, KeyError, LowtideError, OSError, OverflowError, TypeError, ValueError)
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


def build_series(
    rows: Mapping[datetime, float],
    step: timedelta,
    span: Span,
    *,
    source: SignalSource,
    zone: ZoneId,
    wanted: Wanted,
    now_utc: datetime,
    kind: SeriesKind | None = None,
    issued_at: datetime | None = None,
    note: str = "",
    hint: str = "",
) -> SignalSeries:
    """The rows of an answer within the span, as a series of that source.

    Args:
        rows: Start of a step -> g/kWh, NaN where unknown; in any order.
        kind: What they are where it is not what was wanted.
        issued_at: When a forecast was made; None: the source does not say, so now, and the note says that.
        hint: For the message where nothing is known within the span.
    Raises:
        Malformed: A start is not on the step, or a forecast was issued when it cannot have been. NoData: Nothing is
            known.
    """
    try:
        run = regular(rows, step, span)
        if run is not None and issued_at is not None and wanted == "forecast":
            _require_possible(issued_at, run[0], step * run[1].size)
    except UNREADABLE as error:
        raise unknown_shape(error, provider=source.name, operation=f"{wanted} {zone}") from error
    if run is None:
        raise NoData(
            f"{source.name} has no {wanted} intensity of {zone} for {span}.",
            provider=source.name,
            operation=f"{wanted} {zone}",
            hint=hint,
            zone=zone,
        )
    start_utc, values = run
    notes = [note]
    if wanted == "forecast" and issued_at is None:
        issued_at = now_utc
        notes.insert(0, f"issued when fetched: {source.name} does not say when")
    return SignalSeries(
        zone=zone,
        start_utc=start_utc,
        step_s=step.total_seconds(),
        intensity_g_per_kwh=values,
        frame=source.frame,
        kind=kind or wanted,
        source=source.name,
        issued_at=issued_at if wanted == "forecast" else None,
        fetched_at=now_utc,
        note="; ".join(filter(None, notes)),
    )


def _require_possible(issued_at: datetime, start: datetime, length: timedelta) -> None:
    """Raises:
    ValueError: No forecast is issued so long before it begins, or after its end; some sources say year 1.
    """
    if not start - _FARTHEST <= issued_at <= start + length:
        raise ValueError(f"a forecast from {start.isoformat()} on that was issued {issued_at.isoformat()}")


def floor_to(instant: datetime, step: timedelta) -> datetime:
    """The last whole multiple of the step since 1970 that is not after the instant, in UTC."""
    return _EPOCH + (instant - _EPOCH) // step * step


def ceil_to(instant: datetime, step: timedelta) -> datetime:
    """The first whole multiple of the step since 1970 that is not before the instant, in UTC."""
    return _EPOCH - (_EPOCH - instant) // step * step


def pieces(start: datetime, end: datetime, most: timedelta) -> Iterator[tuple[datetime, datetime]]:
    """``[start, end)`` in parts of at most that length, in order; none where it is empty."""
    while start < end:
        until = min(start + most, end)
        yield start, until
        start = until


def unknown_shape(error: Exception, *, provider: str, operation: str) -> Malformed:
    """The answer parsed as JSON, and is not what the provider documents."""
    said = f"{error} is missing" if isinstance(error, KeyError) else str(error)
    return Malformed(
        f"{provider} answered in an unknown shape ({said}): {operation}.",
        provider=provider,
        operation=operation,
        hint="Please report it; plan without it: --signal climatology.",
    )
