"""The recorder: what is due is asked, what is said is kept, and one source that fails stops no other."""

from __future__ import annotations

import errno
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import responses

from lowtide.histories import Histories, Recorded, RecordName
from lowtide.service.recording import Recorder, rebuilt, round_of
from lowtide.store import Store, open_store
from lowtide_core.errors import InputError, NoData, Unavailable
from lowtide_core.places import ZoneId
from lowtide_core.ports import Wanted
from lowtide_core.series import LIFECYCLE_CONSUMPTION, Frame, SignalSeries
from lowtide_core.spans import Span, from_epoch_s, iso_utc
from lowtide_providers.http import Http
from lowtide_providers.limits import Limits
from lowtide_providers.signals.electricitymaps import ElectricityMapsSource

T0 = datetime(2026, 3, 1, 12, 20, tzinfo=UTC)
DE, FR = ZoneId("DE"), ZoneId("FR")
HOUR = timedelta(hours=1)


@dataclass
class Grid:
    """A source that holds the last 24 h, as a free key does: the value of an hour is its number, plus ``level``."""

    name: str = "free"
    frame: Frame = LIFECYCLE_CONSUMPTION
    now_utc: datetime = T0
    level: float = 0.0
    fails: tuple[Wanted, ...] = ()
    asked: list[tuple[Wanted, Span]] = field(default_factory=list)

    def covers(self, zone: ZoneId) -> bool:
        return zone == DE

    def fetch(self, zone: ZoneId, span: Span, wanted: Wanted) -> SignalSeries:
        self.asked.append((wanted, span))
        if wanted in self.fails:
            raise Unavailable("free is away.", provider=self.name, operation=wanted)
        now = self.now_utc.replace(minute=0)
        start, hours = (now, 30) if wanted == "forecast" else (now - 24 * HOUR, 24)
        if span.end_utc <= start:
            raise NoData("free knows a day.", provider=self.name, operation=wanted)
        values = start.timestamp() / 3600 % 1e5 + np.arange(hours) + self.level
        issued = self.now_utc if wanted == "forecast" else None
        return SignalSeries(
            zone, start, 3600.0, values, self.frame, wanted, self.name, issued_at=issued, fetched_at=self.now_utc
        )


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(tmp_path / "lowtide.db") as opened:
        yield opened


def learnt_nothing(recorded: Recorded, _: datetime) -> Recorded:
    return recorded


def recorder(store: Store, tmp_path: Path, *sources: Grid) -> Recorder:
    return Recorder(store, Histories(tmp_path / "histories"), sources, learnt_nothing)


def known(tmp_path: Path, source: Grid) -> Recorded:
    found = Histories(tmp_path / "histories").get(RecordName(DE, source.name, source.frame))
    assert found is not None
    return found


def test_a_day_of_history_becomes_as_many_days_as_it_was_asked(store: Store, tmp_path: Path) -> None:
    grid = Grid()
    for hour in range(24 * 5):
        grid.now_utc = T0 + hour * HOUR
        notes = recorder(store, tmp_path, grid).record([DE], grid.now_utc)
        assert not any(note.failed for note in notes)
    record = known(tmp_path, grid)
    assert record.intensity_g_per_kwh.size == 24 * 6 - 6 + 0, "the last question for actuals was 5 h ago at most"
    assert not np.isnan(record.intensity_g_per_kwh).any()
    np.testing.assert_array_equal(np.diff(record.intensity_g_per_kwh), 1.0)
    asked = [wanted for wanted, _ in grid.asked]
    assert asked.count("forecast") == 24 * 5
    assert asked.count("actual") == 4 * 5, "a day is held for 24 h: four questions a day lose nothing"


def test_what_is_not_due_is_not_asked_again(store: Store, tmp_path: Path) -> None:
    grid = Grid()
    ours = recorder(store, tmp_path, grid)
    assert len(ours.record([DE], T0) or ()) == 2
    grid.now_utc = T0 + timedelta(minutes=20)
    assert ours.record([DE], grid.now_utc) == ()


def test_a_clock_that_was_set_back_makes_everything_due(store: Store, tmp_path: Path) -> None:
    grid = Grid()
    ours = recorder(store, tmp_path, grid)
    ours.record([DE], T0)
    grid.now_utc = T0 - timedelta(days=2)
    assert len(ours.record([DE], grid.now_utc) or ()) == 2


def test_revised_figures_take_the_place_of_the_first_ones(store: Store, tmp_path: Path) -> None:
    grid = Grid()
    recorder(store, tmp_path, grid).record([DE], T0)
    grid.now_utc, grid.level = T0 + 7 * HOUR, 1000.0
    recorder(store, tmp_path, grid).record([DE], grid.now_utc)
    values = known(tmp_path, grid).intensity_g_per_kwh
    np.testing.assert_array_equal(np.flatnonzero(np.diff(values) > 1), [6])
    again = rebuilt(store, grid, DE)
    assert again is not None
    np.testing.assert_array_equal(again.intensity_g_per_kwh, values)


def test_a_record_that_was_lost_is_made_anew_from_the_store(store: Store, tmp_path: Path) -> None:
    grid = Grid()
    recorder(store, tmp_path, grid).record([DE], T0)
    for path in (tmp_path / "histories").glob("*.npz"):
        path.unlink()
    grid.now_utc = T0 + 20 * HOUR
    recorder(store, tmp_path, grid).record([DE], grid.now_utc)
    assert known(tmp_path, grid).intensity_g_per_kwh.size == 44


def test_a_source_that_fails_stops_no_other_and_is_named(store: Store, tmp_path: Path) -> None:
    away, there = Grid(name="away", fails=("forecast", "actual")), Grid(name="there")
    notes = recorder(store, tmp_path, away, there).record([DE], T0)
    assert [(note.source, note.failed) for note in notes] == [
        ("away", True), ("there", False), ("away", True), ("there", False),
    ]  # fmt: skip
    assert "no forecast: free is away." in notes[2].said


def test_a_forecast_that_is_not_to_be_had_keeps_no_actual_away(store: Store, tmp_path: Path) -> None:
    grid = Grid(fails=("forecast",))
    actual, forecast = recorder(store, tmp_path, grid).record([DE], T0)
    assert (actual.failed, forecast.failed) == (False, True)
    assert known(tmp_path, grid).intensity_g_per_kwh.size == 24


def test_a_source_is_not_asked_for_zones_that_it_does_not_cover(store: Store, tmp_path: Path) -> None:
    grid = Grid()
    assert recorder(store, tmp_path, grid).record([FR], T0) == ()
    assert grid.asked == []


def test_the_past_is_asked_from_where_the_user_says(store: Store, tmp_path: Path) -> None:
    grid = Grid()
    ours = recorder(store, tmp_path, grid)
    ours.record([DE], T0)
    grid.asked.clear()
    ours.record([DE], T0 + timedelta(minutes=1), since_utc=T0 - timedelta(days=28))
    assert [(wanted, span.start_utc) for wanted, span in grid.asked] == [("actual", T0 - timedelta(days=28))]


def test_one_process_records_at_a_time(store: Store, tmp_path: Path) -> None:
    fcntl = pytest.importorskip("fcntl")
    grid = Grid()
    ours = recorder(store, tmp_path, grid)
    (tmp_path / "histories").mkdir()
    with (tmp_path / "histories/.lock").open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        assert ours.record([DE], T0) is None
        assert grid.asked == []
    assert len(ours.record([DE], T0) or ()) == 2


def test_it_is_learnt_from_a_record_once_a_day(store: Store, tmp_path: Path) -> None:
    when: list[datetime] = []

    def learn(recorded: Recorded, now_utc: datetime) -> Recorded:
        when.append(now_utc)
        return replace(recorded, said={"learnt_utc_s": now_utc.timestamp()})

    grid = Grid()
    for hour in range(0, 49, 6):
        grid.now_utc = T0 + hour * HOUR
        Recorder(store, Histories(tmp_path / "histories"), (grid,), learn).record([DE], grid.now_utc)
    assert when == [T0, T0 + 24 * HOUR, T0 + 48 * HOUR]


def test_forty_zones_every_hour_stay_within_a_free_key_s_limit_and_lose_nothing(store: Store, tmp_path: Path) -> None:
    zones = tuple(ZoneId(f"Z{number:02}") for number in range(40))
    clock = [T0.timestamp()]
    asked_s: list[float] = []

    def hour_rows(first: datetime, count: int) -> list[dict[str, object]]:
        return [{"carbonIntensity": 100 + i, "datetime": iso_utc(first + i * HOUR)} for i in range(count)]

    def answer(request: object) -> tuple[int, dict[str, str], str]:
        asked_s.append(clock[0])
        url = str(request.url)  # type: ignore[attr-defined]
        hour = from_epoch_s(clock[0]).replace(minute=0, second=0, microsecond=0)
        if "/zones" in url:
            return 200, {}, json.dumps({zone: {"access": ["*"]} for zone in zones})
        zone = re.findall(r"[?&]zone=([^&]*)", url)[0]
        if "/latest" in url:
            return 200, {}, json.dumps({"zone": zone, **hour_rows(hour, 1)[0]})
        if "/forecast" in url:
            return 200, {}, json.dumps({"zone": zone, "forecast": hour_rows(hour, 73)})
        return 200, {}, json.dumps({"zone": zone, "history": hour_rows(hour - 24 * HOUR, 25)})

    def sleep(wait_s: float) -> None:
        clock[0] += wait_s

    limits = Limits(tmp_path / "limits", background=True, now_s=lambda: clock[0])
    with responses.RequestsMock() as mock:
        mock.add_callback(responses.GET, re.compile(r"https://api\.electricitymaps\.com/.*"), answer)
        for hour in range(30):
            clock[0] = (T0 + hour * HOUR).timestamp()
            http = Http(retries=0, limits=limits, sleep=sleep)
            # cron makes everything anew each hour
            source = ElectricityMapsSource("invented", http, now_utc=lambda: from_epoch_s(clock[0]))
            Recorder(store, Histories(tmp_path / "histories"), (source,), learnt_nothing).record(
                zones, from_epoch_s(clock[0])
            )
    within = [sum(at <= other < at + 3600 for other in asked_s) for at in asked_s]
    assert max(within) <= 50
    for zone in zones:
        record = Histories(tmp_path / "histories").get(RecordName(zone, "electricitymaps", LIFECYCLE_CONSUMPTION))
        assert record is not None
        assert not np.isnan(record.intensity_g_per_kwh).any()
        assert record.end_s >= (T0 + 20 * HOUR).timestamp()
        everything = Span(T0 - 24 * HOUR, T0 + 200 * HOUR)
        forecasts = store.signals.overlapping(
            zone, LIFECYCLE_CONSUMPTION, everything, ("forecast",), source="electricitymaps"
        )
        assert forecasts
        assert len(forecasts) >= 15


def test_without_locks_it_is_recorded_all_the_same(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fcntl = pytest.importorskip("fcntl")

    def no_locks(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    assert len(recorder(store, tmp_path, Grid()).record([DE], T0) or ()) == 2


def test_a_folder_that_cannot_be_used_is_told_and_stops_no_round(store: Store, tmp_path: Path) -> None:
    (tmp_path / "histories").write_text("in the way")
    ours = recorder(store, tmp_path, Grid())
    with pytest.raises(InputError, match="Nothing can be recorded in"):
        ours.record([DE], T0)
    assert "Nothing can be recorded" in round_of(ours, [DE], T0).failed[0]


def test_that_a_source_has_no_forecast_is_no_failure(store: Store, tmp_path: Path) -> None:
    class ActualsAlone(Grid):
        def fetch(self, zone: ZoneId, span: Span, wanted: Wanted) -> SignalSeries:
            if wanted == "forecast":
                raise NoData("free has no forecast.", provider=self.name, operation=wanted)
            return super().fetch(zone, span, wanted)

    report = round_of(recorder(store, tmp_path, ActualsAlone()), [DE], T0)
    assert report.failed == ()
    assert "free has no forecast." in report.did[1]


def test_only_days_that_are_known_are_counted(store: Store, tmp_path: Path) -> None:
    grid = Grid()
    recorder(store, tmp_path, grid).record([DE], T0)
    grid.now_utc = T0 + timedelta(days=30)
    notes = recorder(store, tmp_path, grid).record([DE], grid.now_utc) or ()
    assert "2 days are known" in notes[0].said
    assert known(tmp_path, grid).known_days == 2


def test_a_clock_that_was_ahead_once_does_not_make_everything_due_until_then(store: Store, tmp_path: Path) -> None:
    grid = Grid(now_utc=T0 + timedelta(days=10))
    ours = recorder(store, tmp_path, grid)
    ours.record([DE], grid.now_utc)
    for minutes, asked in ((0, 2), (5, 0)):
        grid.now_utc = T0 + timedelta(minutes=minutes)
        assert len(ours.record([DE], grid.now_utc) or ()) == asked
