"""What the sources that compute an intensity from generation share: their keys, their steps, their series."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np

from lowtide_core.errors import NoData, Rejected
from lowtide_core.series import Frame, SignalSeries
from lowtide_providers.signals.steps import regular

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from lowtide_core.places import ZoneId
    from lowtide_core.ports import Wanted
    from lowtide_core.series import FloatArray
    from lowtide_core.spans import Span

LIFECYCLE_PRODUCTION = Frame("average", "lifecycle", "production")
DIRECT_PRODUCTION = Frame("average", "direct", "production")
NOTE = "computed from generation: production only"


def now_utc() -> datetime:
    return datetime.now(UTC)


def no_key(name: str, operation: str, hint: str) -> Rejected:
    return Rejected(
        f"{name} was not asked: there is no key.", provider=name, operation=operation, hint=hint, reason="key"
    )


def refusal(error: Rejected, key_hint: str) -> Rejected:
    """What a service refused, with its reason: ``key``, ``edge`` (it was not reached) or ``request``."""
    status = error.facts.get("status")
    if status == 403 and "access denied" in str(error.facts.get("said")).lower():
        reason, hint = "edge", "It is not the key: try later, or from another network."
    elif status in (401, 403):
        reason, hint = "key", key_hint
    else:
        reason, hint = "request", error.hint
    return Rejected(
        error.message,
        provider=error.provider,
        operation=error.operation,
        retry_after_s=error.retry_after_s,
        hint=hint,
        reason=reason,
        status=status,
    )


def unknown_zone(name: str, zone: ZoneId, operation: str, known: str) -> NoData:
    return NoData(f"{name} has {known}, not {zone}.", provider=name, operation=operation, zone=zone)


def whole_steps(span: Span, step: timedelta) -> tuple[datetime, datetime]:
    """Start and end of the steps that touch the span, in UTC; steps divide the day."""
    start = span.start_utc.astimezone(UTC)
    midnight = start.replace(hour=0, minute=0, second=0, microsecond=0)
    first = midnight + (start - midnight) // step * step
    return first, first - (first - span.end_utc) // step * step


def pieces(start: datetime, end: datetime, longest: timedelta) -> Iterator[tuple[datetime, datetime]]:
    """The same time in parts, none longer than a service answers at once."""
    while start < end:
        until = min(start + longest, end)
        yield start, until
        start = until


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


def computed_series(
    values: FloatArray,
    start_utc: datetime,
    step: timedelta,
    span: Span,
    *,
    zone: ZoneId,
    wanted: Wanted,
    frame: Frame,
    source: str,
    fetched_at: datetime,
    issued_at: datetime | None = None,
    note: str = NOTE,
    hint: str = "",
) -> SignalSeries:
    """The known part of the span.

    Args:
        values: (n,), g/kWh, NaN where unknown; the first holds from ``start_utc``.
    Raises:
        NoData: Nothing is known in the span.
    """
    run = regular({start_utc + index * step: float(value) for index, value in enumerate(values)}, step, span)
    if run is None:
        raise NoData(
            f"{source} has no {wanted} intensity of {zone} for {span}.",
            provider=source,
            operation=wanted,
            hint=hint,
            zone=zone,
        )
    first_utc, known = run
    return SignalSeries(
        zone=zone,
        start_utc=first_utc,
        step_s=step.total_seconds(),
        intensity_g_per_kwh=known,
        frame=frame,
        kind=wanted,
        source=source,
        issued_at=issued_at,
        fetched_at=fetched_at,
        note=note,
    )
