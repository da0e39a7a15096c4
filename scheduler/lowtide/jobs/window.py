"""Whether there is time at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lowtide_core.errors import InfeasibleError, InputError
from lowtide_core.quantities import duration_text
from lowtide_core.spans import to_epoch_s

if TYPE_CHECKING:
    from datetime import datetime


def require_time(earliest_utc: datetime, deadline_utc: datetime, duration_s: float) -> None:
    """Refuses a deadline that has passed (``InputError``) or leaves too little time (``InfeasibleError``)."""
    left_s = to_epoch_s(deadline_utc) - to_epoch_s(earliest_utc)
    if left_s <= 0:
        raise InputError(
            f"The deadline {deadline_utc:%Y-%m-%dT%H:%MZ} is not after the earliest start, "
            f"{earliest_utc:%Y-%m-%dT%H:%MZ}.",
            hint="Give one that lies in the future, such as --deadline 24h.",
            deadline_utc=deadline_utc,
        )
    if left_s < duration_s:
        raise InfeasibleError(
            f"A job of {duration_text(duration_s)} cannot finish by {deadline_utc:%Y-%m-%dT%H:%MZ}: "
            f"it has {duration_text(left_s)}.",
            hint=f"Move the deadline by at least {duration_text(duration_s - left_s)}, or shorten the job.",
            deadline_utc=deadline_utc,
            short_by_s=duration_s - left_s,
        )
