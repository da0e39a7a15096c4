"""Outlooks of a grid on their way: recorded beside the hours, judged, and used by plans where that was worth it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from lowtide.assembly.history import HistorySource, predict
from lowtide.assembly.learnt import learnt_of
from lowtide.histories import Histories, Recorded
from lowtide.service.judging import Judge
from lowtide.service.recording import OUTLOOK_EVERY, Recorder
from lowtide.store import Store, open_store
from lowtide.testing.grids import START_S, MadeGrid, made_grid
from lowtide_core.errors import NoData, Unavailable
from lowtide_core.outlooks import Outlook
from lowtide_core.places import ZoneId
from lowtide_core.series import LIFECYCLE_CONSUMPTION, Frame, SignalSeries
from lowtide_core.spans import Span, from_epoch_s

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lowtide_core.ports import Wanted

DE = ZoneId("DE")
HOUR = timedelta(hours=1)
T0 = datetime(2026, 3, 1, 12, 20, tzinfo=UTC)
WEEKS = 20
DAYS = 7 * WEEKS
END = from_epoch_s(START_S) + timedelta(days=DAYS)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(tmp_path / "lowtide.db") as opened:
        yield opened


@dataclass
class Operator:
    """A source of actuals that has an outlook too: the wind of an hour is its number, tomorrow's is out at 17 UTC."""

    now_utc: datetime = T0
    fails: bool = False
    asked: list[Span] = field(default_factory=list)
    name: str = "operator"
    frame: Frame = LIFECYCLE_CONSUMPTION

    def covers(self, zone: ZoneId) -> bool:
        return zone == DE

    def fetch(self, zone: ZoneId, span: Span, wanted: Wanted) -> SignalSeries:
        raise NoData("operator has nothing else.", provider=self.name, operation=wanted)

    def outlook(self, zone: ZoneId, span: Span) -> Outlook:
        self.asked.append(span)
        if self.fails:
            raise Unavailable("operator is away.", provider=self.name, operation="outlook")
        today = self.now_utc.replace(hour=0, minute=0)
        end = today + timedelta(days=2 if self.now_utc.hour >= 17 else 1)
        start = span.start_utc.replace(minute=0)
        hour = start.timestamp() / 3600 + np.arange((end - start) // HOUR)
        nothing = np.full(hour.size, np.nan)
        out_s = np.minimum(3600 * hour, self.now_utc.timestamp())
        return Outlook(zone, start, 3600.0, hour, nothing, nothing, out_s, self.name, self.now_utc)


def recorder(store: Store, tmp_path: Path, source: Operator) -> Recorder:
    return Recorder(store, Histories(tmp_path / "histories"), [source], lambda recorded, _: recorded)


def said(recorder: Recorder, now_utc: datetime, since_utc: datetime | None = None) -> list[str]:
    notes = recorder.record([DE], now_utc, since_utc=since_utc)
    assert notes is not None
    return [note.said for note in notes if "outlook" in note.said]


def kept(tmp_path: Path) -> Outlook:
    found = Histories(tmp_path / "histories").outlook(DE, "operator")
    assert found is not None
    return found


def test_an_outlook_is_asked_for_some_times_a_day_and_grows_without_a_gap(store: Store, tmp_path: Path) -> None:
    source = Operator()
    for hour in range(24 * 4):
        source.now_utc = T0 + hour * HOUR
        said(recorder(store, tmp_path, source), source.now_utc)
    assert len(source.asked) == 24 * 4 * HOUR // OUTLOOK_EVERY
    outlook = kept(tmp_path)
    assert outlook.start_utc == T0.replace(minute=0) - 54 * HOUR
    np.testing.assert_array_equal(np.diff(outlook.wind_megawatt), 1)
    tomorrow = round((datetime(2026, 3, 4, tzinfo=UTC) - outlook.start_utc) / HOUR)
    assert from_epoch_s(outlook.published_s[tomorrow]) == datetime(2026, 3, 3, 18, 20, tzinfo=UTC), "when it came to us"


def test_what_it_says_is_told_and_since_asks_for_the_past(store: Store, tmp_path: Path) -> None:
    source = Operator()
    since = T0 - timedelta(days=30)
    assert said(recorder(store, tmp_path, source), T0, since) == ["outlook, 12 h ahead; 30 days are known"]
    assert source.asked == [Span(since, T0 + timedelta(hours=96))]


def test_one_that_fails_is_told_and_asked_again_next_time(store: Store, tmp_path: Path) -> None:
    source = Operator(fails=True)
    ours = recorder(store, tmp_path, source)
    for _ in range(2):
        assert said(ours, T0) == ["no outlook: operator is away."]
    assert len(source.asked) == 2


def test_records_and_outlooks_lie_apart(store: Store, tmp_path: Path) -> None:
    said(recorder(store, tmp_path, Operator()), T0)
    histories = Histories(tmp_path / "histories")
    assert histories.names() == ()
    assert [outlook.source for outlook in histories.outlooks(DE)] == ["operator"]
    assert histories.outlooks(ZoneId("FR")) == ()
    assert Histories(tmp_path / "nowhere").outlooks(DE) == ()


def test_a_torn_file_is_no_outlook(store: Store, tmp_path: Path) -> None:
    said(recorder(store, tmp_path, Operator()), T0)
    (path,) = (tmp_path / "histories" / "outlooks").glob("*.npz")
    path.write_bytes(path.read_bytes()[:100])
    assert Histories(tmp_path / "histories").outlook(DE, "operator") is None


# ---- judged, and used


GRID = made_grid(np.random.default_rng(1), DAYS + 3)


def recorded(days: int = DAYS) -> Recorded:
    return Recorded(DE, "metered", LIFECYCLE_CONSUMPTION, START_S, GRID.intensity_g_per_kwh[: 24 * days])


def outlook_of(grid: MadeGrid, seed: int, error_share: float, source: str) -> Outlook:
    return replace(grid.outlook(np.random.default_rng(seed), error_share), source=source)


GOOD = outlook_of(GRID, 5, 0.15, "good")
POOR = outlook_of(GRID, 6, 2.0, "poor")
OTHER = outlook_of(made_grid(np.random.default_rng(9), DAYS + 3), 7, 0.1, "of another grid")


def learnt(store: Store, folder: Path, *outlooks: Outlook) -> Histories:
    histories = Histories(folder)
    for outlook in outlooks:
        histories.keep_outlook(outlook)
    histories.keep(Judge(store, (), histories.outlooks).learn(recorded(), END))
    return histories


def asked(histories: Histories, now_utc: datetime, hours: int = 48) -> SignalSeries:
    source = HistorySource("metered", LIFECYCLE_CONSUMPTION, histories, predict, as_of_utc=now_utc)
    return source.fetch(DE, Span(END, END + hours * HOUR), "forecast")


def test_the_outlook_with_which_most_was_captured_moves_the_forecast_and_its_note_says_so(
    store: Store, tmp_path: Path
) -> None:
    histories = learnt(store, tmp_path, POOR, OTHER, GOOD)
    found = learnt_of(histories.get(recorded().name))
    assert found is not None
    assert found.outlook is not None
    assert found.outlook.source == "good"
    plain = learnt_of(learnt(store, tmp_path / "plain").get(recorded().name))
    assert plain is not None
    merit = "history:metered"
    assert found.merits[merit].captured_pct > plain.merits[merit].captured_pct + 3
    series = asked(histories, END)
    assert f"wind and solar and load of the day ahead from good, until {END:%Y-%m-%d}T22:00:00Z" in series.note
    without = asked(learnt(store, tmp_path / "without"), END)
    moved = series.intensity_g_per_kwh != without.intensity_g_per_kwh
    assert moved.nonzero()[0].tolist() == list(range(22))
    came = GRID.intensity_g_per_kwh[24 * DAYS :][:22]
    missed, missed_without = (np.abs(one.intensity_g_per_kwh[:22] - came).mean() for one in (series, without))
    assert missed < missed_without
    assert "day ahead" not in without.note


def test_one_that_is_not_worth_it_is_not_used(store: Store, tmp_path: Path) -> None:
    with_it, without = learnt(store, tmp_path / "a", OTHER), learnt(store, tmp_path / "b")
    found = learnt_of(with_it.get(recorded().name))
    assert found is not None
    assert found.outlook is None
    np.testing.assert_array_equal(asked(with_it, END).intensity_g_per_kwh, asked(without, END).intensity_g_per_kwh)
    assert asked(with_it, END).note == asked(without, END).note


def test_an_outlook_that_comes_after_the_record_ends_is_used_from_then_on(store: Store, tmp_path: Path) -> None:
    histories = learnt(store, tmp_path, GOOD)
    early, late = (asked(histories, END + hours * HOUR) for hours in (16, 17))
    assert f"until {END:%Y-%m-%d}T22:00:00Z" in early.note
    assert f"until {END + timedelta(days=1):%Y-%m-%d}T22:00:00Z" in late.note


def test_where_none_is_out_the_plain_forecast_stands_and_says_so(store: Store, tmp_path: Path) -> None:
    histories = learnt(store, tmp_path, GOOD)
    size = 24 * DAYS
    old = GOOD.with_steps(GOOD.start_s, 3600.0, GOOD.megawatt[:, :size], GOOD.published_s[:size])
    histories.keep_outlook(old)
    assert "without the outlook of good, which is not out" in asked(histories, END).note


def test_what_was_learnt_later_than_the_time_of_planning_moves_nothing(store: Store, tmp_path: Path) -> None:
    histories = learnt(store, tmp_path, GOOD)
    earlier = END - timedelta(days=2)
    assert "day ahead" not in asked(histories, earlier).note


def test_a_few_weeks_of_an_outlook_are_too_few(store: Store, tmp_path: Path) -> None:
    part = slice(24 * (DAYS - 70), None)
    short = GOOD.with_steps(GOOD.start_s + 3600.0 * part.start, 3600.0, GOOD.megawatt[:, part], GOOD.published_s[part])
    found = learnt_of(learnt(store, tmp_path, short).get(recorded().name))
    assert found is not None
    assert found.outlook is None
