"""Tries the sources of a chain in order, and never lets two frames meet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lowtide_core.errors import NoData, ProviderError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from lowtide_core.places import ZoneId
    from lowtide_core.ports import SignalSource, Wanted
    from lowtide_core.series import Frame, SignalSeries
    from lowtide_core.spans import Span


@dataclass(frozen=True, slots=True)
class Skipped:
    """A link that was not used for a zone, and why."""

    zone: ZoneId
    source: str
    why: str


@dataclass(frozen=True, slots=True)
class Resolution:
    """One series per zone, all in one frame, and what was passed over on the way."""

    series: Mapping[ZoneId, SignalSeries]
    skipped: tuple[Skipped, ...]


@dataclass(frozen=True, slots=True)
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
        frames = tuple(dict.fromkeys(source.frame for source in self.sources))
        refused: list[Skipped] = []
        for frame in frames:
            found: dict[ZoneId, SignalSeries] = {}
            for zone in zones:
                series = self._first(zone, frame, span, needed, wanted, refused)
                if series is None:
                    break
                found[zone] = series
            else:
                return Resolution(found, tuple(dict.fromkeys(refused)))
            refused.extend(
                Skipped(done, series.source, f"{zone} has no source in its frame ({frame})")
                for done, series in found.items()
            )
        reasons = "; ".join(f"{skip.zone}: {skip.source}, {skip.why}" for skip in dict.fromkeys(refused))
        raise NoData(
            f"No source has the intensity of {', '.join(zones)} for {needed}{f' ({reasons})' if reasons else ''}.",
            provider="chain",
            operation=wanted,
            hint="Shorten the window, or add a source (--signal FILE, lowtide signals).",
            zones=zones,
            skipped=tuple(refused),
        )

    def _first(
        self, zone: ZoneId, frame: Frame, span: Span, needed: Span, wanted: Wanted, refused: list[Skipped]
    ) -> SignalSeries | None:
        for source in self._links(zone, frame):
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

    def _links(self, zone: ZoneId, frame: Frame) -> Iterator[SignalSource]:
        return (source for source in self.sources if source.frame == frame and source.covers(zone))
