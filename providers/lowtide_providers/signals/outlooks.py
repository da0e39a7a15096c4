"""What the sources that have a day-ahead outlook share: when figures are out, and how an answer becomes one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lowtide_core.errors import NoData
from lowtide_core.outlooks import QUANTITIES, Outlook, Publication
from lowtide_core.spans import Span
from lowtide_providers.signals.steps import unknown_shape

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime, timedelta

    from lowtide_core.places import ZoneId
    from lowtide_core.series import FloatArray

EUROPEAN = Publication(day_begins_h=22, out_after_h=-5)
"""By 18:00 Brussels time of the day before, as EU 543/2013 has it. In UTC all year, on the later side of the clock: out
at 17:00, the day from 22:00 on (in winter its true beginning is an hour later). Not verified for each zone."""


def on_steps_told(
    known: Mapping[datetime, float], start_utc: datetime, end_utc: datetime, step: timedelta, *, name: str
) -> FloatArray:
    """Figures by the start of their step as one run of steps; (n,), NaN where none is told.

    Raises:
        Malformed: A start is not on the step.
    """
    values = np.full((end_utc - start_utc) // step, np.nan)
    for at, value in known.items():
        if (at - start_utc) % step:
            raise unknown_shape(ValueError(f"{at.isoformat()} is not on the step"), provider=name, operation="outlook")
        if start_utc <= at < end_utc:
            values[(at - start_utc) // step] = value
    return values


def build_outlook(
    known: Mapping[str, FloatArray],
    start_utc: datetime,
    end_utc: datetime,
    step: timedelta,
    *,
    name: str,
    zone: ZoneId,
    now_utc: datetime,
    publication: Publication,
) -> Outlook:
    """The answer of a source, from its first known step to its last.

    Args:
        known: By the names of ``QUANTITIES`` what there is of the time; (n,) each, MW, NaN where not known.
        publication: When figures are out; those of steps yet to come are known since now, whatever it says.
    Raises:
        NoData: Nothing is known.
    """
    count = (end_utc - start_utc) // step
    table = np.stack([known.get(quantity, np.full(count, np.nan)) for quantity in QUANTITIES])
    said = np.flatnonzero((~np.isnan(table)).any(axis=0))
    if not said.size:
        raise NoData(
            f"{name} has no outlook of {zone} for {Span(start_utc, end_utc)}.",
            provider=name,
            operation=f"outlook {zone}",
            hint="It is out in the evening before.",
            zone=zone,
        )
    first, last = int(said[0]), int(said[-1]) + 1
    begins_s: FloatArray = start_utc.timestamp() + step.total_seconds() * np.arange(first, last, dtype=np.float64)
    now_s = now_utc.timestamp()
    out_s = np.where(begins_s >= now_s, now_s, np.minimum(publication.out_s(begins_s), now_s))
    wind, solar, load = table[:, first:last]
    return Outlook(
        zone, start_utc + first * step, step.total_seconds(), wind, solar, load, out_s, source=name, fetched_at=now_utc
    )
