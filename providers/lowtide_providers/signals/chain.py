"""Tries the sources of a chain in order, and never lets two frames meet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lowtide_core.errors import NoData, ProviderError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from lowtide_core.places import ZoneId
    from lowtide_core.ports import SignalSource, Wanted
    from lowtide_core.series import SignalSeries
    from lowtide_core.spans import Span


@dataclass(frozen=True, slots=True)
class Skipped:
    """A link that was not used for a zone, and why."""

    zone: ZoneId
    source: str
    why: str


@dataclass(frozen=True, slots=True, eq=False)
class Resolution:
    """One series per zone, all in one frame, and what was passed over on the way."""

    series: Mapping[ZoneId, SignalSeries]
    skipped: tuple[Skipped, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Chain:
    """Sources, the most wanted first."""

    sources: tuple[SignalSource, ...]

    def resolve(self, zones: tuple[ZoneId, ...], *, span: Span, needed: Span, wanted: Wanted) -> Resolution:
        """The first link per zone that covers ``needed``, in the first frame in which every zone can stand.

        Args:
            zones: At least one.
            span: What is asked of the sources. needed: the part that must be covered without a gap.
        Raises:
            NoData: No frame has a source for every zone; the message holds every link's reason.
            InputError: What the user gave a source is wrong.
        """
        zones = tuple(dict.fromkeys(zones))
        refused: list[Skipped] = []
        for links in self._groups(zones):
            found = self._in_one_frame(links, zones, span, needed, wanted, refused)
            if found is not None:
                return Resolution(found, tuple(dict.fromkeys(refused)))
        # who was not asked matters only now that nobody is left
        strange = [Skipped(zone, source.name, "it does not cover this zone") for zone, source in self._strange(zones)]
        skipped = tuple(dict.fromkeys([*refused, *strange]))
        reasons = "; ".join(f"{skip.zone}: {skip.source}, {skip.why.rstrip('.')}" for skip in skipped)
        raise NoData(
            f"No source has the intensity of {', '.join(zones)} for {needed}{f' ({reasons})' if reasons else ''}.",
            provider="chain",
            operation=wanted,
            hint="Shorten the window, or add a source (--signal FILE, lowtide signals).",
            zones=zones,
            skipped=skipped,
        )

    def _groups(self, zones: tuple[ZoneId, ...]) -> Iterator[tuple[SignalSource, ...]]:
        """Sources that may be used together: those of one frame; a zone alone is compared with nothing."""
        if len(zones) == 1:
            yield self.sources
            return
        for frame in dict.fromkeys(source.frame for source in self.sources):
            yield tuple(source for source in self.sources if source.frame == frame)

    def _in_one_frame(
        self,
        links: Sequence[SignalSource],
        zones: tuple[ZoneId, ...],
        span: Span,
        needed: Span,
        wanted: Wanted,
        refused: list[Skipped],
    ) -> dict[ZoneId, SignalSeries] | None:
        """A series for every zone, or None; what speaks against a link goes into ``refused``."""
        by_zone = {zone: self._covering(links, zone) for zone in zones}
        found: dict[ZoneId, SignalSeries] = {}
        bare = next((zone for zone, covering in by_zone.items() if not covering), None)
        if bare is None:
            for zone, covering in by_zone.items():
                series = _first(covering, zone, span, needed, wanted, refused)
                if series is None:
                    bare = zone
                    break
                found[zone] = series
        if bare is None:
            return found
        refused.extend(
            Skipped(zone, covering[0].name, f"{bare} has no source in its frame ({covering[0].frame})")
            for zone, covering in by_zone.items()
            if covering and zone != bare
        )
        return None

    def _covering(self, links: Sequence[SignalSource], zone: ZoneId) -> tuple[SignalSource, ...]:
        """The links for this zone; a source that stands alone says itself, and best, why it has nothing."""
        if len(self.sources) == 1:
            return self.sources
        return tuple(source for source in links if source.covers(zone))

    def _strange(self, zones: tuple[ZoneId, ...]) -> Iterator[tuple[ZoneId, SignalSource]]:
        if len(self.sources) > 1:
            yield from ((zone, source) for zone in zones for source in self.sources if not source.covers(zone))


def _first(
    links: Sequence[SignalSource], zone: ZoneId, span: Span, needed: Span, wanted: Wanted, refused: list[Skipped]
) -> SignalSeries | None:
    for source in links:
        try:
            series = source.fetch(zone, span, wanted)
        except ProviderError as error:
            refused.append(Skipped(zone, source.name, error.message))
            continue
        missing = series.missing(needed)
        if not missing:
            return series
        refused.append(Skipped(zone, source.name, f"it has no value for {missing[0]}"))
    return None
