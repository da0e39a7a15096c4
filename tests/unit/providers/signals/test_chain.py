"""The chain: first link that has what is needed, one frame for all, and every reason told."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np
import pytest

from lowtide_core.errors import InputError, NoData, Rejected, Unavailable
from lowtide_core.places import ZoneId
from lowtide_core.series import LIFECYCLE_CONSUMPTION, Frame, SignalSeries
from lowtide_core.spans import Span
from lowtide_providers.signals.chain import Chain, Skipped

if TYPE_CHECKING:
    from lowtide_core.ports import Wanted

GB, DE, FR = ZoneId("GB"), ZoneId("DE"), ZoneId("FR")
DIRECT = Frame("average", "direct", "consumption")
START = datetime(2026, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
NEEDED, SPAN = Span(START, START + 4 * HOUR), Span(START, START + 24 * HOUR)


@dataclass(frozen=True)
class Link:
    """A source of so many hours; ``gap`` is one without a value."""

    name: str
    zones: tuple[ZoneId, ...]
    frame: Frame = LIFECYCLE_CONSUMPTION
    hours: int = 24
    gap: int | None = None
    failure: Exception | None = None
    asked: list[ZoneId] = field(default_factory=list)

    def covers(self, zone: ZoneId) -> bool:
        return zone in self.zones

    def fetch(self, zone: ZoneId, span: Span, wanted: Wanted) -> SignalSeries:
        self.asked.append(zone)
        if self.failure is not None:
            raise self.failure
        if zone not in self.zones:
            raise NoData(f"{self.name} knows no {zone}.", provider=self.name, operation=wanted)
        values = np.full(self.hours, 1.0)
        if self.gap is not None:
            values[self.gap] = np.nan
        return SignalSeries(zone, span.start_utc, 3600.0, values, self.frame, "forecast", self.name)


def _used(chain: Chain, *zones: ZoneId) -> dict[ZoneId, str]:
    resolution = chain.resolve(zones, span=SPAN, needed=NEEDED, wanted="forecast")
    assert len({series.frame for series in resolution.series.values()}) == 1
    return {zone: series.source for zone, series in resolution.series.items()}


def test_the_first_link_is_used_and_the_others_not_asked() -> None:
    first, second = Link("first", (DE,)), Link("second", (DE,))
    assert _used(Chain((first, second)), DE) == {DE: "first"}
    assert second.asked == []


@pytest.mark.parametrize(
    ("first", "why"),
    [
        (Link("first", (DE,), failure=Unavailable("first is silent.", provider="first", operation="x")), "silent"),
        (Link("first", (DE,), failure=Rejected("first says no.", provider="first", operation="x")), "says no"),
        (Link("first", (DE,), hours=3), "no value for 2026-01-01T03:00:00Z–2026-01-01T04:00:00Z"),
        (Link("first", (DE,), gap=1), "no value for 2026-01-01T01:00:00Z"),
    ],
    ids=["silent", "refused", "short", "gap"],
)
def test_the_next_link_follows_and_the_reason_is_kept(first: Link, why: str) -> None:
    resolution = Chain((first, Link("second", (DE,)))).resolve((DE,), span=SPAN, needed=NEEDED, wanted="forecast")
    assert resolution.series[DE].source == "second"
    (skipped,) = resolution.skipped
    assert (skipped.zone, skipped.source) == (DE, "first")
    assert why in skipped.why


def test_what_is_only_nice_to_have_may_be_missing() -> None:
    assert _used(Chain((Link("short", (DE,), hours=4), Link("long", (DE,)))), DE) == {DE: "short"}
    assert _used(Chain((Link("gappy", (DE,), gap=9), Link("long", (DE,)))), DE) == {DE: "gappy"}


def test_a_zone_alone_takes_the_finer_source_in_whatever_frame() -> None:
    fine, coarse = Link("fine", (GB,), DIRECT), Link("coarse", (GB, DE))
    assert _used(Chain((fine, coarse)), GB) == {GB: "fine"}


def test_a_zone_alone_follows_the_chain_in_its_order_across_frames() -> None:
    silent = Link("silent", (GB,), failure=Unavailable("x", provider="silent", operation="x"))
    chain = Chain((silent, Link("direct", (GB,), DIRECT), Link("third", (GB,))))
    assert _used(chain, GB) == {GB: "direct"}


def test_several_zones_stand_in_one_frame_and_the_finer_source_is_passed_over() -> None:
    fine, coarse = Link("fine", (GB,), DIRECT), Link("coarse", (GB, DE))
    resolution = Chain((fine, coarse)).resolve((GB, DE), span=SPAN, needed=NEEDED, wanted="forecast")
    assert {zone: series.source for zone, series in resolution.series.items()} == {GB: "coarse", DE: "coarse"}
    assert resolution.skipped == (Skipped(GB, "fine", "DE has no source in its frame (average, direct, consumption)"),)
    assert fine.asked == [], "asked for figures that could not be used"


def test_a_frame_that_fails_for_one_zone_is_left_by_all() -> None:
    fine = Link("fine", (GB, DE), DIRECT, hours=24)
    broken = Link("broken", (FR,), DIRECT, failure=Unavailable("x", provider="broken", operation="x"))
    coarse = Link("coarse", (GB, DE, FR))
    assert set(_used(Chain((fine, broken, coarse)), GB, DE, FR).values()) == {"coarse"}


def test_zones_may_take_different_links_of_one_frame() -> None:
    chain = Chain((Link("live", (GB,)), Link("usual", (GB, DE)), Link("flat", (GB, DE, FR))))
    assert _used(chain, FR, GB, DE) == {FR: "flat", GB: "live", DE: "usual"}


def test_a_zone_named_twice_is_asked_for_once() -> None:
    link = Link("only", (GB, DE))
    assert set(_used(Chain((link, Link("other", (GB, DE)))), GB, DE, GB)) == {GB, DE}
    assert link.asked == [GB, DE]


def test_when_nothing_fits_every_reason_is_told() -> None:
    silent = Link("silent", (GB,), failure=Unavailable("silent did not answer.", provider="silent", operation="x"))
    chain = Chain((silent, Link("short", (GB,), hours=2), Link("foreign", (DE,))))
    with pytest.raises(NoData) as caught:
        chain.resolve((GB,), span=SPAN, needed=NEEDED, wanted="forecast")
    for words in ("silent did not answer", "short, it has no value", "foreign, it does not cover this zone"):
        assert words in caught.value.message
    skipped = caught.value.facts["skipped"]
    assert isinstance(skipped, tuple)
    assert [skip.source for skip in skipped] == ["silent", "short", "foreign"]


def test_a_source_alone_says_itself_why_it_has_nothing() -> None:
    with pytest.raises(NoData, match="only knows no FR"):
        Chain((Link("only", (DE,)),)).resolve((FR,), span=SPAN, needed=NEEDED, wanted="forecast")


def test_a_wrong_input_is_not_passed_over() -> None:
    wrong = Link("file", (DE,), failure=InputError("line 3 is wrong."))
    with pytest.raises(InputError, match="line 3"):
        Chain((wrong, Link("second", (DE,)))).resolve((DE,), span=SPAN, needed=NEEDED, wanted="forecast")


def test_no_sources_is_no_data() -> None:
    with pytest.raises(NoData):
        Chain(()).resolve((DE,), span=SPAN, needed=NEEDED, wanted="forecast")
