"""Each zone's last published annual level, flat: it can tell places apart, never times."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lowtide_core.errors import NoData
from lowtide_core.series import LIFECYCLE_CONSUMPTION, Frame
from lowtide_providers.signals.climatology import no_actual

if TYPE_CHECKING:
    from lowtide_core.places import ZoneId
    from lowtide_core.ports import Wanted
    from lowtide_core.series import SignalSeries
    from lowtide_core.spans import Span


@dataclass(frozen=True, slots=True)
class StaticSource:
    """Annual means of the embedded facts."""

    name: str = "static"
    frame: Frame = LIFECYCLE_CONSUMPTION

    def covers(self, zone: ZoneId) -> bool:
        from lowtide_facts.zones import all_zones

        return zone in all_zones()

    def fetch(self, zone: ZoneId, span: Span, wanted: Wanted) -> SignalSeries:
        from lowtide_facts.climatology import annual_series

        if wanted == "actual":
            raise no_actual(self.name, zone)
        if not self.covers(zone):
            raise NoData(
                f"static has no annual level of zone {zone}.",
                provider=self.name,
                operation=f"forecast {zone}",
                zone=zone,
            )
        return annual_series(zone, span)
