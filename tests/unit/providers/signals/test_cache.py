"""The cache: fresh answers without asking, stale ones only when nobody answers, and no file ever changed."""

from __future__ import annotations

import subprocess
import sys
import threading
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np
import pytest

from lowtide_core.errors import Malformed, NoData, Unavailable
from lowtide_core.places import ZoneId
from lowtide_core.series import LIFECYCLE_CONSUMPTION, Frame, SignalSeries
from lowtide_core.spans import Span
from lowtide_providers.locks import locked
from lowtide_providers.signals.cache import CachedSource

if TYPE_CHECKING:
    from pathlib import Path

    from lowtide_core.errors import ProviderError
    from lowtide_core.ports import Wanted

DE = ZoneId("DE")
HOUR = timedelta(hours=1)
START = datetime(2026, 4, 1, 8, tzinfo=UTC)


@dataclass
class World:
    """A clock, and a source that counts how often it is asked; its values are the count."""

    now_utc: datetime = START
    failure: ProviderError | None = None
    horizon: timedelta = 48 * HOUR
    asked: list[Span] = field(default_factory=list)
    name: str = "counting"
    frame: Frame = LIFECYCLE_CONSUMPTION

    def covers(self, zone: ZoneId) -> bool:
        return zone == DE

    def fetch(self, zone: ZoneId, span: Span, wanted: Wanted) -> SignalSeries:
        self.asked.append(span)
        if self.failure is not None:
            raise self.failure
        hours = int(min(-(-(span.end_utc - span.start_utc) // HOUR), self.horizon // HOUR))
        values = np.full(hours, float(len(self.asked)))
        values[-1] = np.nan
        return SignalSeries(
            zone,
            span.start_utc,
            3600.0,
            values,
            self.frame,
            wanted,
            self.name,
            issued_at=self.now_utc if wanted == "forecast" else None,
            fetched_at=self.now_utc,
            low_g_per_kwh=values / 2,
            note="a note",
        )


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def cached(world: World, tmp_path: Path) -> CachedSource:
    return CachedSource(world, tmp_path / "cache", now_utc=lambda: world.now_utc)


def _span(first_h: float = 0.2, hours: float = 6) -> Span:
    return Span(START + first_h * HOUR, START + (first_h + hours) * HOUR)


UNAVAILABLE = Unavailable("counting did not answer.", provider="counting", operation="forecast")


def test_a_fresh_answer_is_served_as_it_was_given(world: World, cached: CachedSource) -> None:
    first, again = cached.fetch(DE, _span(), "forecast"), cached.fetch(DE, _span(), "forecast")
    assert len(world.asked) == 1
    for name in SignalSeries.__slots__:
        np.testing.assert_array_equal(getattr(again, name), getattr(first, name), err_msg=name)


def test_it_knows_when_the_source_answered_last(world: World, cached: CachedSource, tmp_path: Path) -> None:
    assert cached.last_success_utc() is None
    cached.fetch(DE, _span(), "forecast")
    world.now_utc += 3 * HOUR
    cached.fetch(DE, _span(-5, 2), "actual")
    assert cached.last_success_utc() == START + 3 * HOUR
    world.now_utc += HOUR
    world.failure = UNAVAILABLE
    with pytest.raises(Unavailable):
        cached.fetch(DE, _span(48), "forecast")
    assert cached.last_success_utc() == START + 3 * HOUR, "a failure was taken for an answer"
    assert CachedSource(World(name="count"), tmp_path / "cache").last_success_utc() is None
    assert CachedSource(World(name="c*"), tmp_path / "cache").last_success_utc() is None


def test_what_is_asked_minutes_later_is_there_already(world: World, cached: CachedSource) -> None:
    cached.fetch(DE, _span(0.2), "forecast")
    world.now_utc += timedelta(minutes=25)
    series = cached.fetch(DE, _span(0.6), "forecast")
    assert len(world.asked) == 1
    assert series.covers(_span(0.6))
    assert series.fetched_at == START


def test_an_old_answer_is_asked_for_again_and_the_old_one_stays(
    world: World, cached: CachedSource, tmp_path: Path
) -> None:
    cached.fetch(DE, _span(), "forecast")
    (kept,) = tmp_path.rglob("*.npz")
    before = kept.read_bytes()
    world.now_utc += timedelta(minutes=31)
    assert cached.fetch(DE, _span(), "forecast").intensity_g_per_kwh[0] == 2.0
    assert len(list(tmp_path.rglob("*.npz"))) == 2
    assert kept.read_bytes() == before


def test_the_newest_vintage_is_served(world: World, cached: CachedSource) -> None:
    for minutes in (0, 31, 62):
        world.now_utc = START + timedelta(minutes=minutes)
        cached.fetch(DE, _span(1.2), "forecast")
    assert cached.fetch(DE, _span(1.2), "forecast").intensity_g_per_kwh[0] == 3.0
    assert len(world.asked) == 3


def test_forecasts_actuals_and_zones_do_not_meet(world: World, cached: CachedSource) -> None:
    cached.fetch(DE, _span(), "forecast")
    assert cached.fetch(DE, _span(), "actual").kind == "actual"
    assert cached.fetch(ZoneId("FR"), _span(), "actual").zone == "FR"
    assert len(world.asked) == 3


def test_actuals_are_fresh_for_a_shorter_time(world: World, cached: CachedSource) -> None:
    cached.fetch(DE, _span(), "actual")
    world.now_utc += timedelta(minutes=6)
    cached.fetch(DE, _span(), "actual")
    assert len(world.asked) == 2


def test_a_wider_span_is_asked_for(world: World, cached: CachedSource) -> None:
    cached.fetch(DE, _span(hours=2), "forecast")
    cached.fetch(DE, _span(hours=20), "forecast")
    assert len(world.asked) == 2


def test_a_short_horizon_is_not_asked_for_again_and_again(world: World, cached: CachedSource) -> None:
    world.horizon = 4 * HOUR
    for _ in range(3):
        assert cached.fetch(DE, _span(hours=20), "forecast").end_utc == START + 4 * HOUR
    assert len(world.asked) == 1


def test_a_stale_answer_is_served_only_when_nobody_answers_and_says_so(world: World, cached: CachedSource) -> None:
    cached.fetch(DE, _span(), "forecast")
    world.now_utc += 2 * HOUR
    world.failure = UNAVAILABLE
    series = cached.fetch(DE, _span(2, 2), "forecast")
    assert series.issued_at == series.fetched_at == START
    assert "stale, of 2026-04-01T08:00:00Z" in series.note
    assert "counting did not answer" in series.note
    assert series.note.startswith("a note; ")


@pytest.mark.parametrize(
    ("change", "hours"),
    [({"stale_max_age_s": 0.0}, 2), ({"stale_max_age_s": 3600.0}, 2), ({}, 25)],
    ids=["forbidden", "too old", "too old by default"],
)
def test_nothing_older_than_allowed_is_served(
    world: World, cached: CachedSource, change: dict[str, float], hours: int
) -> None:
    cached = replace(cached, **change)  # type: ignore[arg-type]
    cached.fetch(DE, _span(hours=30), "forecast")
    world.now_utc += hours * HOUR
    world.failure = UNAVAILABLE
    with pytest.raises(Unavailable):
        cached.fetch(DE, _span(hours, 2), "forecast")


@pytest.mark.parametrize("error", [Malformed, NoData])
def test_another_answer_than_silence_is_passed_on(
    world: World, cached: CachedSource, error: type[ProviderError]
) -> None:
    cached.fetch(DE, _span(), "forecast")
    world.now_utc += 2 * HOUR
    world.failure = error("x", provider="counting", operation="forecast")
    with pytest.raises(error):
        cached.fetch(DE, _span(2, 2), "forecast")


def test_stale_figures_of_other_hours_are_of_no_use(world: World, cached: CachedSource) -> None:
    cached.fetch(DE, _span(hours=2), "forecast")
    world.now_utc += 12 * HOUR
    world.failure = UNAVAILABLE
    with pytest.raises(Unavailable):
        cached.fetch(DE, _span(12, 2), "forecast")


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 torn", b"not an archive"], ids=["empty", "torn", "other"])
def test_a_damaged_file_is_passed_over_and_told(
    world: World, cached: CachedSource, tmp_path: Path, damage: bytes
) -> None:
    cached.fetch(DE, _span(), "forecast")
    (kept,) = tmp_path.rglob("*.npz")
    kept.write_bytes(damage)
    series = cached.fetch(DE, _span(), "forecast")
    assert len(world.asked) == 2
    assert f"damaged cache file {kept.name}" in series.note


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.999])
def test_half_a_file_is_passed_over(world: World, cached: CachedSource, tmp_path: Path, share: float) -> None:
    cached.fetch(DE, _span(), "forecast")
    (kept,) = tmp_path.rglob("*.npz")
    whole = kept.read_bytes()
    kept.write_bytes(whole[: int(len(whole) * share)])
    assert "damaged" in cached.fetch(DE, _span(), "forecast").note


def test_an_unfinished_file_is_not_read(world: World, cached: CachedSource, tmp_path: Path) -> None:
    cached.fetch(DE, _span(), "forecast")
    (kept,) = tmp_path.rglob("*.npz")
    kept.rename(kept.with_name(f".{kept.name}"))
    assert "damaged" not in cached.fetch(DE, _span(), "forecast").note
    assert len(world.asked) == 2


def test_where_nothing_can_be_kept_the_answer_still_comes(world: World, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    cached = CachedSource(world, tmp_path / "file", now_utc=lambda: world.now_utc)
    series = cached.fetch(DE, _span(), "forecast")
    assert series.intensity_g_per_kwh[0] == 1.0
    assert "not kept in the cache" in series.note


def test_vintages_of_a_clock_that_was_set_back_do_not_count(world: World, cached: CachedSource) -> None:
    cached.fetch(DE, _span(), "forecast")
    world.now_utc -= HOUR
    cached.fetch(DE, _span(), "forecast")
    assert len(world.asked) == 2


def test_a_zone_s_name_leads_to_no_other_folder(world: World, cached: CachedSource, tmp_path: Path) -> None:
    cached.fetch(ZoneId("../../elsewhere"), _span(), "forecast")
    assert {path.parent.parent for path in tmp_path.rglob("*.npz")} == {tmp_path / "cache"}


def test_many_writers_leave_only_whole_files(world: World, cached: CachedSource, tmp_path: Path) -> None:
    clocks = [replace(cached, now_utc=lambda i=i: START + timedelta(hours=i)) for i in range(8)]  # type: ignore[misc]
    threads = [threading.Thread(target=one.fetch, args=(DE, _span(hours=40), "forecast")) for one in clocks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    world.now_utc = START + 8 * HOUR
    world.failure = UNAVAILABLE
    series = cached.fetch(DE, _span(8, 2), "forecast")
    assert "stale" in series.note
    assert "damaged" not in series.note
    assert not list((tmp_path / "cache").rglob(".*"))


_FETCH = """
import sys, time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
import numpy as np
from lowtide_core.series import LIFECYCLE_CONSUMPTION, SignalSeries
from lowtide_core.spans import Span
from lowtide_providers.signals.cache import CachedSource

START = datetime(2026, 4, 1, 8, tzinfo=UTC)
folder, other, own = Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3])

@dataclass(frozen=True)
class Slow:
    name: str = "slow"
    frame: object = LIFECYCLE_CONSUMPTION

    def covers(self, zone):
        return True

    def fetch(self, zone, span, wanted):
        with (folder / "asked").open("a") as file:
            file.write("asked\\n")
        for _ in range(3000):  # answers only when the other process asks as well, or has had the time to
            if other.exists():
                break
            time.sleep(0.01)
        time.sleep(0.3)
        return SignalSeries(zone, span.start_utc, 3600.0, np.full(40, 7.0), self.frame, wanted, self.name)

own.touch()
source = CachedSource(Slow(), folder / "cache", now_utc=lambda: START)
print(source.fetch("DE", Span(START, START + timedelta(hours=6)), "forecast").intensity_g_per_kwh[0])
"""


def test_two_processes_that_ask_the_same_at_once_ask_once(tmp_path: Path) -> None:
    names = (str(tmp_path / "a"), str(tmp_path / "b"))
    both = [
        subprocess.Popen([sys.executable, "-c", _FETCH, str(tmp_path), *pair], stdout=subprocess.PIPE, text=True)
        for pair in (names, names[::-1])
    ]
    said = [one.communicate(timeout=60)[0].strip() for one in both]
    assert said == ["7.0", "7.0"]
    assert (tmp_path / "asked").read_text().split() == ["asked"]


def test_who_waits_too_long_for_another_asks_itself(world: World, cached: CachedSource, tmp_path: Path) -> None:
    folder = tmp_path / "cache" / f"counting_{DE}_forecast"
    with locked(folder / "lock", patience_s=0.0) as held:
        assert held is not None
        assert replace(cached, patience_s=0.1).fetch(DE, _span(), "forecast").covers(_span(hours=1))
    assert len(world.asked) == 1
