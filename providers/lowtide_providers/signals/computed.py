"""What the sources that compute an intensity from generation share: frames, refusals, a fuel on steps."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np

from lowtide_core.errors import NoData, Rejected
from lowtide_core.series import Frame

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import timedelta

    from lowtide_core.places import ZoneId
    from lowtide_core.series import FloatArray

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
