"""The embedded model of each zone's usual day, season and level: no key, no network, known for any time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lowtide_core.errors import NoData
from lowtide_core.series import LIFECYCLE_CONSUMPTION, Frame

if TYPE_CHECKING:
    from lowtide_core.places import ZoneId
    from lowtide_core.ports import Wanted
    from lowtide_core.series import SignalSeries
    from lowtide_core.spans import Span


@dataclass(frozen=True, slots=True)
class ClimatologySource:
    """A model, and so never an actual: it answers only for forecasts."""

    name: str = "climatology"
    frame: Frame = LIFECYCLE_CONSUMPTION

    def covers(self, zone: ZoneId) -> bool:
        from lowtide_facts.climatology import has_shape

        return has_shape(zone)

    def fetch(self, zone: ZoneId, span: Span, wanted: Wanted) -> SignalSeries:
        from lowtide_facts.climatology import series

        if wanted == "actual":
            raise no_actual(self.name, zone)
        if not self.covers(zone):
            raise NoData(
                f"climatology has no time shape for zone {zone}.",
                provider=self.name,
                operation=f"forecast {zone}",
                hint="Its annual level is in the source static.",
                zone=zone,
            )
        return series(zone, span)


def no_actual(name: str, zone: ZoneId) -> NoData:
    """A model says what is usual, never what was."""
    return NoData(
        f"{name} is a model and has no actual intensity of zone {zone}.",
        provider=name,
        operation=f"actual {zone}",
        hint="Set a source of actuals for the zone (lowtide signals lists them).",
        zone=zone,
    )
