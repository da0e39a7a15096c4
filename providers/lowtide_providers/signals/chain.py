"""Tries the sources of a chain in order, and never lets two frames meet."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from lowtide_core.errors import NoData, ProviderError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from lowtide_core.places import ZoneId
    from lowtide_core.ports import SignalSource, Wanted
    from lowtide_core.series import SignalSeries
    from lowtide_core.spans import Span


class Skipped(NamedTuple):
    """A link that was not used for a zone, and why.

    Attributes:
        by_wish: The user wants the network left alone.
        hint: What to do about it, as far as the source says.
    """

    zone: ZoneId
    source: str
    why: str
    by_wish: bool = False
    hint: str = ""


class Merit(NamedTuple):
    """What a source's forecasts were worth in a zone: the share of the possible saving that plans on them captured.

    Attributes:
        jobs: Of how many jobs, each replayed with what had been issued by its arrival.
        days: Of how many days.
    """

    captured_pct: float
    jobs: int
    days: float


@dataclass(frozen=True, slots=True, eq=False)
class Resolution:
    """One series per zone, all in one frame, and what was passed over on the way."""

    series: Mapping[ZoneId, SignalSeries]
    skipped: tuple[Skipped, ...]


def no_merits(_: ZoneId) -> Mapping[str, Merit]:
    """Nothing is known of any source."""
    return {}


@dataclass(frozen=True, slots=True, eq=False)
class Chain:
    """Sources, the most wanted first.

    Attributes:
        merits: What each source's forecasts were worth in a zone lately, as far as it is known. Of the links of one
            frame those that were worth more go first; where nothing is known, and between frames, the order stands.
    """

    sources: tuple[SignalSource, ...]
    merits: Callable[[ZoneId], Mapping[str, Merit]] = no_merits

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
        reasons = "; ".join(f"{skip.zone}: {_reason(skip)}" for skip in skipped)
        own_hint = skipped[0].hint if len(skipped) == 1 else ""
        raise NoData(
            f"No source has the intensity of {', '.join(zones)} for {needed}{f' ({reasons})' if reasons else ''}.",
            provider="chain",
            operation=wanted,
            hint=own_hint or "Shorten the window, or add a source (--signal FILE, lowtide signals).",
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
                found[zone] = self._with_reason(series, zone, covering)
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
        return by_merit(tuple(source for source in links if source.covers(zone)), self.merits(zone))

    def _with_reason(self, series: SignalSeries, zone: ZoneId, covering: Sequence[SignalSource]) -> SignalSeries:
        """The series with why its source goes first in its note, where that was a choice."""
        alike = [link.name for link in covering if link.frame == series.frame]
        reason = told(self.merits(zone), series.source, alike)
        return replace(series, note="; ".join(filter(None, (series.note, reason)))) if reason else series

    def _strange(self, zones: tuple[ZoneId, ...]) -> Iterator[tuple[ZoneId, SignalSource]]:
        if len(self.sources) > 1:
            yield from ((zone, source) for zone in zones for source in self.sources if not source.covers(zone))


def _reason(skip: Skipped) -> str:
    why = skip.why.rstrip(".")
    return why if why.startswith(skip.source) else f"{skip.source}, {why}"


def by_merit(links: tuple[SignalSource, ...], merits: Mapping[str, Merit]) -> tuple[SignalSource, ...]:
    """The links with those of known merit in the order of it, each frame among its own places."""
    ordered = list(links)
    for frame in dict.fromkeys(link.frame for link in links):
        places = [i for i, link in enumerate(links) if link.frame == frame and link.name in merits]
        best_first = sorted((links[i] for i in places), key=lambda link: -merits[link.name].captured_pct)
        for place, link in zip(places, best_first, strict=True):
            ordered[place] = link
    return tuple(ordered)


def told(merits: Mapping[str, Merit], source: str, frame_links: Sequence[str]) -> str:
    """Why a source goes first, in words; empty where no other of its frame is known.

    Args:
        frame_links: Names of the links of the same frame.
    """
    others = [name for name in frame_links if name != source and name in merits]
    if source not in merits or not others:
        return ""
    mine = merits[source]
    rest = ", ".join(f"{name} {merits[name].captured_pct:.0f} %" for name in others)
    return f"chosen: captured {mine.captured_pct:.0f} % of what could be saved here in {mine.days:.0f} days ({rest})"


def _first(
    links: Sequence[SignalSource], zone: ZoneId, span: Span, needed: Span, wanted: Wanted, refused: list[Skipped]
) -> SignalSeries | None:
    for source in links:
        try:
            series = source.fetch(zone, span, wanted)
        except ProviderError as error:
            by_wish = bool(error.facts.get("offline"))
            refused.append(Skipped(zone, source.name, error.message, by_wish=by_wish, hint=error.hint))
            continue
        missing = series.missing(needed)
        if not missing:
            return series
        refused.append(Skipped(zone, source.name, f"it has no value for {missing[0]}"))
    return None
