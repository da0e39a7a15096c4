"""What every source of intensities promises, the built-in ones, the cached ones and a fake alike."""

from __future__ import annotations

import json
import re
import socket
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING

import numpy as np
import pytest
import responses
from tests.contract import fakes_eu, fakes_keyed, fakes_power

from lowtide.planning.solve import require_plan, solve
from lowtide.planning.types import Candidate, PlanProblem
from lowtide.service.replaying import replay
from lowtide.store import open_store
from lowtide.store.archive import Question, question_to_text
from lowtide.store.jobs import NewPlan
from lowtide.testing.jobs import job_spec
from lowtide_core.errors import InputError, NoData, ProviderError, Rejected, Unavailable
from lowtide_core.places import LOCAL, ZoneId
from lowtide_core.ports import SignalSource
from lowtide_core.series import LIFECYCLE_CONSUMPTION, Frame, SignalSeries
from lowtide_core.spans import Span, iso_utc
from lowtide_providers.http import Http
from lowtide_providers.signals.cache import CachedSource
from lowtide_providers.signals.climatology import ClimatologySource
from lowtide_providers.signals.electricitymaps import ElectricityMapsSource
from lowtide_providers.signals.file import FileSource
from lowtide_providers.signals.gb_neso import GbNesoSource
from lowtide_providers.signals.static import StaticSource

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from lowtide_core.ports import Wanted

GB = ZoneId("GB")
NOWHERE = ZoneId("XX-NOWHERE")
NOW = datetime(2026, 3, 28, 12, 10, tzinfo=UTC)
SPAN = Span(NOW + timedelta(minutes=5), NOW + timedelta(hours=20))  # over the night in which clocks change
HOUR = timedelta(hours=1)
NO_WAIT = Http(retries=0)


@dataclass(frozen=True, slots=True)
class FakeSource:
    """The smallest source: a constant, for every zone but one."""

    name: str = "fake"
    frame: Frame = LIFECYCLE_CONSUMPTION

    def covers(self, zone: ZoneId) -> bool:
        return zone != NOWHERE

    def fetch(self, zone: ZoneId, span: Span, wanted: Wanted) -> SignalSeries:
        if not self.covers(zone):
            raise NoData(f"fake has no {zone}.", provider=self.name, operation=wanted)
        start = span.start_utc.astimezone(UTC).replace(minute=0)
        values = np.full(int(-(-(span.end_utc - start) // HOUR)), 42.0)
        return SignalSeries(zone, start, 3600.0, values, self.frame, wanted, self.name)


def _csv(folder: Path) -> FileSource:
    start = NOW.replace(minute=0) - 5 * HOUR
    lines = [f"{iso_utc(start + i * HOUR)},{100 + i},GB" for i in range(80)]
    path = folder / "measured.csv"
    path.write_text("start_utc,intensity_g_per_kwh,zone\n" + "\n".join(lines) + "\n")
    return FileSource(str(path))


def _neso(_: Path) -> GbNesoSource:
    return GbNesoSource(NO_WAIT, now_utc=lambda: NOW)


def _maps(_: Path) -> ElectricityMapsSource:
    return ElectricityMapsSource("invented-key", NO_WAIT, now_utc=lambda: NOW)


SOURCES: dict[str, Callable[[Path], SignalSource]] = {
    "fake": lambda _: FakeSource(),
    "climatology": lambda _: ClimatologySource(),
    "static": lambda _: StaticSource(),
    "file": _csv,
    "gb-neso": _neso,
    "electricitymaps": _maps,
    "cached gb-neso": lambda folder: CachedSource(_neso(folder), folder / "cache", now_utc=lambda: NOW),
    "cached electricitymaps": lambda folder: CachedSource(_maps(folder), folder / "cache", now_utc=lambda: NOW),
}
FAKES = (fakes_eu, fakes_keyed, fakes_power)
"""Modules of invented answers: each has ``sources``, ``ZONES`` and ``add_answers``."""

SOURCES |= {name: lambda _, make=make: make() for fakes in FAKES for name, make in fakes.sources(NO_WAIT, NOW).items()}

ZONES = {name: zone for fakes in FAKES for name, zone in fakes.ZONES.items()}
"""Name of a source -> a zone that it has, where that is not Great Britain."""

NO_FORECAST = (*fakes_eu.NO_FORECAST, *fakes_power.NO_FORECAST)


@pytest.fixture(params=SOURCES)
def source(request: pytest.FixtureRequest, tmp_path: Path) -> SignalSource:
    return SOURCES[request.param](tmp_path)


@pytest.fixture
def zone(source: SignalSource) -> ZoneId:
    return ZONES.get(source.name, GB)


def _has_forecasts(source: SignalSource, zone: ZoneId) -> bool:
    """Whether it has any; where it has none, it must say so."""
    if source.name not in NO_FORECAST:
        return True
    with pytest.raises(NoData, match="no forecast"):
        source.fetch(zone, SPAN, "forecast")
    return False


@pytest.fixture
def network() -> Iterator[responses.RequestsMock]:
    """Providers that know 30 hours from now on and 20 before, with the values 200, 201, ..."""

    def neso(_: object) -> tuple[int, dict[str, str], str]:
        start = NOW.replace(minute=0) - 20 * HOUR
        half = HOUR / 2
        rows = [
            {
                "from": f"{start + i * half:%Y-%m-%dT%H:%MZ}",
                "to": f"{start + (i + 1) * half:%Y-%m-%dT%H:%MZ}",
                "intensity": {"forecast": 200 + i, "actual": 200 + i, "index": "moderate"},
            }
            for i in range(100)
        ]
        return 200, {}, json.dumps({"data": rows})

    def maps(request: object) -> tuple[int, dict[str, str], str]:
        path = str(request.url)  # type: ignore[attr-defined]
        zone = re.search(r"zone=([^&]*)", path)
        if "/zones" in path:
            return 200, {}, json.dumps({"GB": {"zoneName": "Great Britain", "access": ["*"]}})
        name = "history" if "/history" in path else "data" if "past-range" in path else "forecast"
        start = NOW.replace(minute=0) - 20 * HOUR
        rows = [{"carbonIntensity": 200 + i, "datetime": iso_utc(start + i * HOUR)} for i in range(50)]
        if "/latest" in path:
            return 200, {}, json.dumps({"zone": zone and zone[1], **rows[20]})
        return 200, {}, json.dumps({"zone": zone and zone[1], name: rows})

    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        mock.add_callback(responses.GET, re.compile(r"https://api\.carbonintensity\.org\.uk/.*"), neso)
        mock.add_callback(responses.GET, re.compile(r"https://api\.electricitymaps\.com/v4/.*"), maps)
        for fakes in FAKES:
            fakes.add_answers(mock, NOW)
        yield mock


def test_a_source_has_the_shape_of_the_port(source: SignalSource) -> None:
    assert isinstance(source, SignalSource)
    assert source.name
    assert isinstance(source.frame, Frame)


def test_it_covers_without_the_network(source: SignalSource, zone: ZoneId, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", refuse)
    assert source.covers(zone)


@pytest.mark.usefixtures("network")
def test_a_forecast_is_clipped_utc_whole_and_in_the_frame_of_its_source(source: SignalSource, zone: ZoneId) -> None:
    if not _has_forecasts(source, zone):
        return
    series = source.fetch(zone, SPAN, "forecast")
    assert series.zone == zone
    assert series.source == source.name
    assert series.frame == source.frame
    assert series.start_utc.utcoffset() == timedelta(0)
    assert series.start_utc <= SPAN.start_utc
    assert SPAN.end_utc <= series.end_utc
    step = timedelta(seconds=series.step_s)
    assert series.start_utc + step > SPAN.start_utc, "a step before the span came back"
    assert series.end_utc - step < SPAN.end_utc, "a step after the span came back"
    assert series.covers(SPAN)


@pytest.mark.usefixtures("network")
def test_the_zone_of_the_asker_does_not_matter(source: SignalSource, zone: ZoneId) -> None:
    if not _has_forecasts(source, zone):
        return
    east = timezone(timedelta(hours=9, minutes=30))
    same = Span(SPAN.start_utc.astimezone(east), SPAN.end_utc.astimezone(east))
    here, there = source.fetch(zone, SPAN, "forecast"), source.fetch(zone, same, "forecast")
    assert there.start_utc == here.start_utc
    np.testing.assert_array_equal(there.intensity_g_per_kwh, here.intensity_g_per_kwh)


@pytest.mark.usefixtures("network")
def test_an_actual_is_never_made_up(source: SignalSource, zone: ZoneId) -> None:
    past = Span(NOW - 3 * HOUR, NOW - 1 * HOUR)
    if source.name in ("climatology", "static"):
        with pytest.raises(NoData):
            source.fetch(zone, past, "actual")
        return
    series = source.fetch(zone, past, "actual")
    assert series.kind in ("actual", "estimated")
    assert series.issued_at is None
    assert series.covers(past)


@pytest.mark.usefixtures("network")
def test_an_unknown_zone_is_refused_and_never_answered_for_another(source: SignalSource) -> None:
    with pytest.raises((ProviderError, InputError)) as caught:
        source.fetch(NOWHERE, SPAN, "forecast")
    assert not isinstance(caught.value, Unavailable)
    assert "XX-NOWHERE" in str(caught.value)
    if isinstance(caught.value, ProviderError):
        assert (caught.value.provider, source.name in caught.value.message) == (source.name, True), "another name"
        assert caught.value.operation


@pytest.mark.usefixtures("network")
def test_what_lies_outside_is_an_error_and_not_an_empty_answer(tmp_path: Path) -> None:
    far = Span(NOW + timedelta(days=90), NOW + timedelta(days=91))
    for name in SOURCES.keys() - {"fake", "climatology", "static"}:
        with pytest.raises((NoData, InputError)):
            SOURCES[name](tmp_path).fetch(ZONES.get(name, GB), far, "forecast")


@pytest.mark.parametrize(
    "name", ["gb-neso", "electricitymaps", *(name for fakes in FAKES for name in fakes.sources(NO_WAIT, NOW))]
)
def test_offline_no_socket_is_opened(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    http = Http(offline=True)
    made: dict[str, Callable[[], SignalSource]] = {
        "gb-neso": lambda: GbNesoSource(http),
        "electricitymaps": lambda: ElectricityMapsSource("invented-key", http),
        **{name: make for fakes in FAKES for name, make in fakes.sources(http, NOW).items()},
    }
    past = Span(NOW - 3 * HOUR, NOW - 1 * HOUR)
    with pytest.raises(Unavailable) as caught:
        made[name]().fetch(ZONES.get(name, GB), past, "actual")
    assert caught.value.provider == name
    assert "offline" in str(caught.value)


def test_without_a_key_nothing_is_asked() -> None:
    source = ElectricityMapsSource("", Http(offline=True))
    assert not source.covers(GB)
    with pytest.raises(Rejected) as caught:
        source.fetch(GB, SPAN, "forecast")
    assert caught.value.facts["reason"] == "key"


@pytest.mark.usefixtures("network")
def test_a_plan_made_of_it_is_made_again_from_the_archive_bit_for_bit(
    source: SignalSource, zone: ZoneId, tmp_path: Path
) -> None:
    if not _has_forecasts(source, zone):
        return
    series = source.fetch(zone, SPAN, "forecast")
    place = Candidate(LOCAL, zone, series, power_w=1000 / 3, pue=1.1)
    problem = PlanProblem(SPAN.start_utc, SPAN.end_utc, 9876.5, (place,), baseline=place)
    plan = require_plan(solve(problem), problem)
    with open_store(tmp_path / "lowtide.db") as store:
        planned = NewPlan(plan, store.signals.add_all({zone: series}), question_to_text(Question(problem)))
        job_id = store.jobs.add(job_spec(NOW), planned, "key", NOW, "test", "quoted")
    with open_store(tmp_path / "lowtide.db") as later:
        found = replay(later, job_id, 1)
    assert found.unlike == ()
    assert found.anew == plan
    assert plan.forecast.frame == source.frame
