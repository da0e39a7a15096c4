"""What is learnt from a record: a forecaster, what each source was worth, and whether mending its forecasts pays."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from lowtide.assembly.history import HistorySource, predict
from lowtide.assembly.judged import JudgedSource
from lowtide.assembly.learnt import Learnt, learnt_of
from lowtide.forecasting.mending import Bias
from lowtide.histories import Histories, Recorded
from lowtide.service.judging import Judge
from lowtide.store import Store, open_store
from lowtide_core.errors import NoData
from lowtide_core.places import ZoneId
from lowtide_core.ports import Wanted
from lowtide_core.series import LIFECYCLE_CONSUMPTION, FloatArray, Frame, SignalSeries
from lowtide_core.spans import Span
from lowtide_providers.signals.chain import Chain

DE = ZoneId("DE")
HOUR = timedelta(hours=1)
T0 = datetime(2026, 1, 1, tzinfo=UTC)
DAYS = 60
END = T0 + timedelta(days=DAYS)
FORECAST_H = 48


def grid() -> FloatArray:
    """Sixty days: a usual day, and weather that lasts for a day or two."""
    random = np.random.default_rng(5)
    hour = np.arange(24 * (DAYS + 3))
    weather = np.repeat(random.normal(0, 60, hour.size // 12 + 1), 12)[: hour.size]
    turned = 70 * np.sin(2 * np.pi * (hour + random.integers(0, 24, hour.size // 48 + 1).repeat(48)[: hour.size]) / 24)
    return np.maximum(20.0, 300 + turned + weather + random.normal(0, 4, hour.size))


CAME = grid()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(tmp_path / "lowtide.db") as opened:
        yield opened


def recorded(days: int = DAYS) -> Recorded:
    return Recorded(DE, "metered", LIFECYCLE_CONSUMPTION, T0.timestamp(), CAME[: 24 * days])


def forecast_at(hour: int, values: FloatArray) -> SignalSeries:
    at = T0 + hour * HOUR
    return SignalSeries(
        DE, at, 3600.0, values, LIFECYCLE_CONSUMPTION, "forecast", "metered", issued_at=at, fetched_at=at
    )


def archive(store: Store, error: FloatArray, *, every_h: int = 6, days: int = 28) -> None:
    """Forecasts of the last days: what came plus an error by the hour of the day."""
    for hour in range(24 * (DAYS - days), 24 * DAYS, every_h):
        of_day = (hour + np.arange(FORECAST_H)) % 24
        store.signals.add(forecast_at(hour, CAME[hour : hour + FORECAST_H] + error[of_day]))


def learnt(store: Store, record: Recorded) -> Recorded:
    return Judge(store).learn(record, END)


def of(record: Recorded) -> Learnt:
    found = learnt_of(record)
    assert found is not None
    return found


def ours(histories: Histories) -> HistorySource:
    return HistorySource("metered", LIFECYCLE_CONSUMPTION, histories, predict, as_of_utc=END)


def test_a_source_that_knew_it_all_captured_all_and_goes_before_our_own(store: Store) -> None:
    archive(store, np.zeros(24))
    merits = of(learnt(store, recorded())).merits
    assert merits["metered"].captured_pct == pytest.approx(100)
    assert merits["history:metered"].captured_pct < 95
    assert merits["metered"].days >= 20


def test_a_source_that_is_often_wrong_goes_behind_our_own(store: Store, tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    for hour in range(24 * (DAYS - 28), 24 * DAYS, 6):
        store.signals.add(forecast_at(hour, random.uniform(100, 500, FORECAST_H)))
    record = learnt(store, recorded())
    merits = of(record).merits
    assert merits["metered"].captured_pct < merits["history:metered"].captured_pct
    histories = Histories(tmp_path / "histories")
    histories.keep(record)
    chain = Chain((Metered(), ours(histories)), lambda _: merits)
    span = Span(END, END + 24 * HOUR)
    series = chain.resolve((DE,), span=span, needed=span, wanted="forecast").series[DE]
    assert series.source == "history:metered"
    assert "captured" in series.note
    assert f"metered {merits['metered'].captured_pct:.0f} %" in series.note
    plain = Chain((Metered(), ours(histories))).resolve((DE,), span=span, needed=span, wanted="forecast").series[DE]
    assert plain.source == "metered", "whoever names sources has said which go first"


@dataclass(frozen=True)
class Metered:
    """The recorded source, asked at the end of the record."""

    error: tuple[float, ...] = (0.0,) * 24
    name: str = "metered"
    frame: Frame = LIFECYCLE_CONSUMPTION

    def covers(self, zone: ZoneId) -> bool:
        return zone == DE

    def fetch(self, zone: ZoneId, span: Span, wanted: Wanted) -> SignalSeries:
        if wanted == "actual":
            raise NoData("metered is asked for forecasts here.", provider=self.name, operation=wanted)
        hour = 24 * DAYS
        of_day = (hour + np.arange(FORECAST_H)) % 24
        return forecast_at(hour, CAME[hour : hour + FORECAST_H] + np.array(self.error)[of_day])


def test_an_error_that_returns_each_day_is_mended_where_that_paid(store: Store, tmp_path: Path) -> None:
    error = 130.0 * (np.arange(24) % 12 < 6)
    archive(store, error)
    record = learnt(store, recorded())
    assert isinstance(of(record).mending, Bias)
    histories = Histories(tmp_path / "histories")
    histories.keep(record)
    source = JudgedSource(Metered(tuple(error)), histories, ours(histories))
    span = Span(END, END + 24 * HOUR)
    mended = source.fetch(DE, span, "forecast")
    assert "less its bias" in mended.note
    came = CAME[24 * DAYS :][:FORECAST_H]
    assert np.abs(mended.intensity_g_per_kwh - came).mean() < 0.3 * np.abs(error).mean()


def test_forecasts_without_a_pattern_in_their_errors_are_used_as_issued(store: Store, tmp_path: Path) -> None:
    archive(store, np.zeros(24))
    record = learnt(store, recorded())
    assert of(record).mending is None
    histories = Histories(tmp_path / "histories")
    histories.keep(record)
    span = Span(END, END + 24 * HOUR)
    plain = Metered().fetch(DE, span, "forecast")
    seen = JudgedSource(Metered(), histories, ours(histories)).fetch(DE, span, "forecast")
    np.testing.assert_array_equal(seen.intensity_g_per_kwh, plain.intensity_g_per_kwh)


def test_a_record_of_a_few_days_forecasts_and_judges_nothing(store: Store) -> None:
    record = learnt(store, recorded(days=5))
    assert of(record).merits == {}
    assert of(record).bands == {}
    assert np.isfinite(predict(record, 48)).all()


def test_our_own_forecast_has_a_frame_an_issue_and_says_from_what(store: Store, tmp_path: Path) -> None:
    histories = Histories(tmp_path / "histories")
    histories.keep(learnt(store, recorded()))
    source = ours(histories)
    assert source.covers(DE)
    assert not source.covers(ZoneId("FR"))
    series = source.fetch(DE, Span(END + timedelta(minutes=20), END + 30 * HOUR), "forecast")
    assert series.start_utc == END
    assert series.issued_at == END
    assert series.kind == "forecast"
    assert "60 days of metered" in series.note
    with pytest.raises(NoData, match="asked of metered"):
        source.fetch(DE, Span(END - HOUR, END), "actual")


def test_what_came_after_the_time_of_planning_is_not_looked_at(store: Store, tmp_path: Path) -> None:
    histories = Histories(tmp_path / "histories")
    earlier = END - timedelta(days=3)
    histories.keep(recorded())
    span = Span(earlier, earlier + 24 * HOUR)
    seen = HistorySource("metered", LIFECYCLE_CONSUMPTION, histories, predict, as_of_utc=earlier)
    full = seen.fetch(DE, span, "forecast")
    histories.keep(recorded(days=DAYS - 3))
    np.testing.assert_array_equal(seen.fetch(DE, span, "forecast").intensity_g_per_kwh, full.intensity_g_per_kwh)


def test_a_record_that_ended_long_ago_is_no_ground_for_a_forecast(tmp_path: Path) -> None:
    histories = Histories(tmp_path / "histories")
    histories.keep(recorded())
    late = END + timedelta(days=8)
    source = HistorySource("metered", LIFECYCLE_CONSUMPTION, histories, predict, as_of_utc=late)
    with pytest.raises(NoData, match="too long ago"):
        source.fetch(DE, Span(late, late + HOUR), "forecast")


def test_forecasts_have_a_band_of_the_errors_that_were_seen(store: Store, tmp_path: Path) -> None:
    random = np.random.default_rng(8)
    for hour in range(24 * (DAYS - 28), 24 * DAYS):
        values = CAME[hour : hour + FORECAST_H] + random.normal(0, 25, FORECAST_H)
        store.signals.add(forecast_at(hour, np.maximum(0, values)))
    record = learnt(store, recorded())
    assert set(of(record).bands) == {"metered", "history:metered"}
    histories = Histories(tmp_path / "histories")
    histories.keep(record)
    span = Span(END, END + FORECAST_H * HOUR)
    banded = JudgedSource(Metered(), histories, ours(histories)).fetch(DE, span, "forecast")
    low, high = banded.low_g_per_kwh, banded.high_g_per_kwh
    assert low is not None
    assert high is not None
    assert np.median(high - low) == pytest.approx(2 * 1.2816 * 25, rel=0.25)
    assert (low <= banded.intensity_g_per_kwh).mean() > 0.9
    own = ours(histories).fetch(DE, span, "forecast")
    assert own.low_g_per_kwh is not None
    assert own.high_g_per_kwh is not None
    assert np.median(own.high_g_per_kwh - own.low_g_per_kwh) > np.median(high - low), "it knows less"


def test_what_was_learnt_later_than_the_time_of_planning_is_not_used(store: Store, tmp_path: Path) -> None:
    archive(store, 130.0 * (np.arange(24) % 12 < 6))
    histories = Histories(tmp_path / "histories")
    histories.keep(learnt(store, recorded()))
    span = Span(END, END + 24 * HOUR)
    earlier = END - timedelta(days=1)
    source = JudgedSource(Metered(), histories, ours(histories), as_of_utc=earlier)
    np.testing.assert_array_equal(
        source.fetch(DE, span, "forecast").intensity_g_per_kwh,
        Metered().fetch(DE, span, "forecast").intensity_g_per_kwh,
    )
    record = histories.get(recorded().name)
    assert learnt_of(record, earlier) is None
    assert learnt_of(record, END) is not None
