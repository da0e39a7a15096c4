"""A source whose past forecasts were held against what came: its band, and its bias where that is worth mending."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lowtide_providers.signals.chain import Merit

if TYPE_CHECKING:
    from lowtide.histories import Histories, Recorded
    from lowtide_core.places import ZoneId
    from lowtide_core.ports import SignalSource, Wanted
    from lowtide_core.series import Frame, SignalSeries
    from lowtide_core.spans import Span


@dataclass(frozen=True, slots=True)
class JudgedSource:
    """Another source, its forecasts with what the record of the zone says of them."""

    inner: SignalSource
    histories: Histories

    @property
    def name(self) -> str:
        return self.inner.name

    @property
    def frame(self) -> Frame:
        return self.inner.frame

    def covers(self, zone: ZoneId) -> bool:
        return self.inner.covers(zone)

    def fetch(self, zone: ZoneId, span: Span, wanted: Wanted) -> SignalSeries:
        return self.inner.fetch(zone, span, wanted)


def merits_of(recorded: Recorded) -> dict[str, Merit]:
    """What forecasts of the zone were worth when it was looked last, by the name of their source."""
    captured = recorded.said.get("captured", {})
    if not isinstance(captured, dict):
        return {}
    return {name: Merit(pct, jobs, days) for name, (pct, jobs, days) in captured.items()}
