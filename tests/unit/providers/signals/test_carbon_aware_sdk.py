"""The user's own Carbon Aware SDK: whose figures these are is said and never guessed."""

from __future__ import annotations

import json
import traceback
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
import requests
import responses

from lowtide_core.errors import Malformed, NoData, ProviderError, Rejected, Unavailable
from lowtide_core.places import ZoneId
from lowtide_core.series import LIFECYCLE_CONSUMPTION, Frame
from lowtide_core.spans import Span, iso_utc
from lowtide_providers.http import Http
from lowtide_providers.signals.carbon_aware_sdk import CarbonAwareSdkSource, read_statement, source_of
from lowtide_providers.signals.chain import Chain
from lowtide_providers.signals.climatology import ClimatologySource
from lowtide_providers.signals.registry import SignalSettings, build_source

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lowtide_core.ports import Wanted

DE = ZoneId("DE")
HOUR = timedelta(hours=1)
START = datetime(2026, 3, 29, 0, tzinfo=UTC)
NOW = START + timedelta(minutes=20)
SPAN = Span(NOW, START + 3 * HOUR)
BASE = "http://sdk.example:5073"
SETTING = f"{BASE}#electricitymaps;DE=germanywestcentral"
MARGINAL = Frame("marginal", "direct", "consumption")


@pytest.fixture
def net() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        yield mock


def _source(setting: str = SETTING, http: Http | None = None) -> CarbonAwareSdkSource:
    made = source_of(setting, http or Http(retries=0))
    return CarbonAwareSdkSource(made.url, made.stated, made.http, now_utc=lambda: NOW)


def _point(index: int, value: object, minutes: int = 60) -> dict[str, Any]:
    at = START + index * timedelta(minutes=minutes)
    return {"location": "DE-region", "timestamp": at.isoformat(), "duration": minutes, "value": value}


def _forecast(points: list[dict[str, Any]], location: str = "germanywestcentral", **more: object) -> dict[str, Any]:
    return {
        "generatedAt": iso_utc(START - HOUR),
        "requestedAt": iso_utc(NOW),
        "location": location,
        "dataStartAt": iso_utc(START),
        "dataEndAt": iso_utc(START + 24 * HOUR),
        "windowSize": 60,
        "optimalDataPoints": points[:1],
        "forecastData": points,
        **more,
    }


def _datum(at: datetime, rating: object, duration: str = "01:00:00", location: str = "DE-region") -> dict[str, Any]:
    return {"location": location, "time": at.isoformat(), "rating": rating, "duration": duration}


def _asked(net: responses.RequestsMock) -> list[tuple[str, dict[str, str]]]:
    urls = [urlsplit(call.request.url or "") for call in net.calls]
    return [(url.path, {k: ",".join(v) for k, v in parse_qs(url.query).items()}) for url in urls]


# what the user says


@pytest.mark.parametrize(
    ("statement", "frame"),
    [
        ("watttime", MARGINAL),
        ("WattTime", MARGINAL),
        ("electricitymaps", LIFECYCLE_CONSUMPTION),
        ("ElectricityMapsFree", LIFECYCLE_CONSUMPTION),
        ("average,direct,production", Frame("average", "direct", "production")),
        (" Marginal, direct , consumption ", MARGINAL),
    ],
)
def test_the_frame_is_the_stated_one(net: responses.RequestsMock, statement: str, frame: Frame) -> None:
    net.get(f"{BASE}/emissions/forecasts/current", json=[_forecast([_point(i, 300) for i in range(4)], "DE")])
    source = _source(f"{BASE}#{statement}")
    assert source.frame == frame
    assert source.fetch(DE, SPAN, "forecast").frame == frame


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        (BASE, "which data source"),
        (f"{BASE}#", "which data source"),
        (f"{BASE}#;DE=westeurope", "which data source"),
        (f"{BASE}#marginal", "marginal"),
        (f"{BASE}#wattime", "wattime"),
        (f"{BASE}#average,direct,guess", "guess"),
        (f"{BASE}#watttime;DE", "DE"),
        (f"{BASE}#watttime;=westeurope", "westeurope"),
        ("sdk.example:5073#watttime", "http://"),
        ("#watttime;DE=x", "not set"),
    ],
)
@pytest.mark.parametrize("wanted", ["forecast", "actual"])
def test_without_a_statement_that_can_be_read_nothing_is_asked(setting: str, words: str, wanted: Wanted) -> None:
    source = _source(setting, Http(offline=True))
    with pytest.raises(Rejected, match=words) as caught:
        source.fetch(DE, SPAN, wanted)
    assert "carbon_aware_sdk_url" in caught.value.hint
    assert caught.value.facts["reason"] == ("setting" if source.url else "key")


def test_a_chain_goes_on_after_a_statement_that_is_wrong() -> None:
    chain = Chain((_source(f"{BASE}#wattime", Http(offline=True)), ClimatologySource()))
    found = chain.resolve((DE,), span=SPAN, needed=SPAN, wanted="forecast")
    assert found.series[DE].source == "climatology"
    assert "wattime" in found.skipped[0].why


def test_without_an_address_nothing_is_covered() -> None:
    source = build_source("carbon-aware-sdk", SignalSettings())
    assert not source.covers(DE)
    with pytest.raises(Rejected) as caught:
        source.fetch(DE, SPAN, "forecast")
    assert caught.value.facts["reason"] == "key"


def test_the_setting_reaches_the_source() -> None:
    source = build_source("carbon-aware-sdk", SignalSettings(keys={"carbon_aware_sdk_url": f"{BASE}#watttime"}))
    assert source.frame == MARGINAL
    assert source.covers(DE)


def test_what_was_kept_under_another_statement_is_not_served(net: responses.RequestsMock, tmp_path: Path) -> None:
    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    points = [_point(0, 300) | {"timestamp": (hour + i * HOUR).isoformat()} for i in range(6)]
    answer = _forecast(points, "DE") | {"generatedAt": hour.isoformat()}
    net.get(f"{BASE}/emissions/forecasts/current", json=[answer])
    span = Span(hour, hour + 2 * HOUR)
    for statement, frame in [
        ("watttime", MARGINAL),
        ("electricitymaps", LIFECYCLE_CONSUMPTION),
        ("watttime", MARGINAL),
    ]:
        keys = {"carbon_aware_sdk_url": f"{BASE}#{statement}"}
        source = build_source("carbon-aware-sdk", SignalSettings(keys=keys, cache_dir=tmp_path))
        assert source.fetch(DE, span, "forecast").frame == source.frame == frame
    assert len(net.calls) == 2, "what was kept under the same statement was not served"


def test_a_statement_that_is_wrong_does_not_stand_in_the_way_of_other_sources() -> None:
    assert build_source("carbon-aware-sdk", SignalSettings(keys={"carbon_aware_sdk_url": f"{BASE}#?"})).covers(DE)


def test_with_locations_only_these_zones_are_covered() -> None:
    source = _source(f"{BASE}#watttime; DE = germanywestcentral ;GB=uksouth;", Http(offline=True))
    assert source.stated.locations == {"DE": "germanywestcentral", "GB": "uksouth"}
    assert source.covers(DE)
    assert not source.covers(ZoneId("FR"))
    with pytest.raises(NoData, match="FR") as caught:
        source.fetch(ZoneId("FR"), SPAN, "forecast")
    assert "FR=LOCATION" in caught.value.hint


def test_an_empty_statement_is_wrong() -> None:
    assert read_statement("").frame is None
    assert read_statement("").wrong


# forecasts


def test_a_forecast_is_all_of_the_current_one_without_windows(net: responses.RequestsMock) -> None:
    net.get(f"{BASE}/emissions/forecasts/current", json=[_forecast([_point(i, 300.5 + i) for i in range(24)])])
    series = _source().fetch(DE, SPAN, "forecast")
    assert _asked(net) == [("/emissions/forecasts/current", {"location": "germanywestcentral"})]
    assert series.intensity_g_per_kwh.tolist() == [300.5, 301.5, 302.5]
    assert (series.zone, series.start_utc, series.step_s) == (DE, START, 3600.0)
    assert (series.kind, series.source) == ("forecast", "carbon-aware-sdk")
    assert (series.issued_at, series.fetched_at) == (START - HOUR, NOW)
    assert "germanywestcentral" in series.note
    assert "stated" in series.note


def test_the_statement_is_not_sent_and_a_prefix_is_kept(net: responses.RequestsMock) -> None:
    net.get(f"{BASE}/prefix/emissions/forecasts/current", json=[_forecast([_point(i, 300) for i in range(4)], "DE")])
    assert _source(f" {BASE}/prefix/#watttime ").fetch(DE, SPAN, "forecast").covers(SPAN)
    assert "watttime" not in (net.calls[0].request.url or "")


@pytest.mark.parametrize("optimal", [{"optimalDataPoint": {"value": 1}}, {"optimalDataPoints": None}, {}])
def test_the_optimal_points_are_not_needed_in_either_spelling(
    net: responses.RequestsMock, optimal: dict[str, object]
) -> None:
    forecast = _forecast([_point(i, 300) for i in range(4)])
    del forecast["optimalDataPoints"]
    net.get(f"{BASE}/emissions/forecasts/current", json=[forecast | optimal])
    assert _source().fetch(DE, SPAN, "forecast").covers(SPAN)


def test_ours_is_found_among_several_in_any_case(net: responses.RequestsMock) -> None:
    others = [_forecast([_point(i, 1) for i in range(4)], "uksouth"), _forecast([_point(i, 2) for i in range(4)])]
    others[1]["location"] = "GermanyWestCentral"
    net.get(f"{BASE}/emissions/forecasts/current", json=others)
    assert set(_source().fetch(DE, SPAN, "forecast").intensity_g_per_kwh) == {2.0}


def test_a_forecast_for_another_location_is_refused(net: responses.RequestsMock) -> None:
    net.get(f"{BASE}/emissions/forecasts/current", json=[_forecast([_point(0, 300)], "westeurope")])
    with pytest.raises(Malformed, match="answered for westeurope") as caught:
        _source().fetch(DE, SPAN, "forecast")
    assert caught.value.facts["zone"] == DE


def test_moving_averages_are_refused(net: responses.RequestsMock) -> None:
    """Points every five minutes that last ten are means over a window that we did not ask for."""
    points = [_point(i, 300, minutes=5) | {"duration": 10} for i in range(30)]
    net.get(f"{BASE}/emissions/forecasts/current", json=[_forecast(points, windowSize=10)])
    with pytest.raises(Malformed, match="not on the step"):
        _source().fetch(DE, SPAN, "forecast")


def test_a_forecast_of_five_minutes_with_a_null(net: responses.RequestsMock) -> None:
    points = [_point(i, None if i == 6 else 300 + i, minutes=5) for i in range(12)]
    net.get(f"{BASE}/emissions/forecasts/current", json=[_forecast(points)])
    series = _source().fetch(DE, SPAN, "forecast")
    assert (series.start_utc, series.step_s) == (NOW, 300.0)
    np.testing.assert_array_equal(series.intensity_g_per_kwh, [304, 305, np.nan, *range(307, 312)])


@pytest.mark.parametrize("body", ["[]", '[{"location":"germanywestcentral","generatedAt":"%s","forecastData":[]}]'])
def test_an_empty_forecast_is_no_data(net: responses.RequestsMock, body: str) -> None:
    net.get(f"{BASE}/emissions/forecasts/current", body=body.replace("%s", iso_utc(NOW)))
    with pytest.raises(NoData, match="DE"):
        _source().fetch(DE, SPAN, "forecast")


def test_a_data_source_without_forecasts_is_no_data(net: responses.RequestsMock) -> None:
    net.get(f"{BASE}/emissions/forecasts/current", status=501, json={"title": "NotImplementedException", "status": 501})
    with pytest.raises(NoData) as caught:
        _source().fetch(DE, SPAN, "forecast")
    assert "ForecastDataSource" in caught.value.hint


# actuals


def test_an_actual_is_asked_by_its_right_names_in_whole_hours(net: responses.RequestsMock) -> None:
    net.get(f"{BASE}/emissions/bylocation", json=[_datum(START + i * HOUR, 200 + i) for i in range(-5, 2)])
    past = Span(START - timedelta(minutes=170), START - timedelta(minutes=50))
    series = _source().fetch(DE, past, "actual")
    asked = {"location": "germanywestcentral", "time": "2026-03-28T21:00:00Z", "toTime": "2026-03-29T00:00:00Z"}
    assert _asked(net) == [("/emissions/bylocation", asked)]
    assert series.intensity_g_per_kwh.tolist() == [197, 198, 199], "more came than was asked for"
    assert (series.kind, series.issued_at, series.start_utc) == ("actual", None, START - 3 * HOUR)


@pytest.mark.parametrize(
    ("text", "seconds"), [("00:05:00", 300), ("00:05", 300), ("01:00:00.0000000", 3600), ("1.00:00:00", 86400)]
)
def test_durations_are_time_spans(net: responses.RequestsMock, text: str, seconds: int) -> None:
    step = timedelta(seconds=seconds)
    net.get(f"{BASE}/emissions/bylocation", json=[_datum(START - (i + 1) * step, i, text) for i in range(3)])
    series = _source().fetch(DE, Span(START - 3 * step, START), "actual")
    assert series.step_s == seconds
    assert series.intensity_g_per_kwh.tolist() == [2, 1, 0]


def test_nulls_and_missing_rows_are_gaps(net: responses.RequestsMock) -> None:
    rows = [_datum(START - 4 * HOUR, 10), _datum(START - 3 * HOUR, None), _datum(START - HOUR, "13.5")]
    net.get(f"{BASE}/emissions/bylocation", json=rows)
    series = _source().fetch(DE, Span(START - 4 * HOUR, START), "actual")
    np.testing.assert_array_equal(series.intensity_g_per_kwh, [10, np.nan, np.nan, 13.5])


def test_now_in_place_of_the_past_is_no_data(net: responses.RequestsMock) -> None:
    net.get(f"{BASE}/emissions/bylocation", json=[_datum(START, 200)])
    with pytest.raises(NoData, match="DE"):
        _source().fetch(DE, Span(START - 4 * HOUR, START - HOUR), "actual")


def test_a_long_past_is_asked_in_pieces_and_no_future_at_all(net: responses.RequestsMock) -> None:
    def answer(request: Any) -> tuple[int, dict[str, str], str]:
        asked = parse_qs(urlsplit(request.url).query)
        low, high = (datetime.fromisoformat(asked[name][0]) for name in ("time", "toTime"))
        assert high - low <= timedelta(days=10)
        assert high <= START + HOUR
        rows = [_datum(low + i * HOUR, (low - START) // HOUR + i + 700) for i in range((high - low) // HOUR + 1)]
        return 200, {}, json.dumps(rows)

    net.add_callback(responses.GET, f"{BASE}/emissions/bylocation", answer)
    series = _source().fetch(DE, Span(START - timedelta(days=25), START + 9 * HOUR), "actual")
    assert len(net.calls) == 3
    np.testing.assert_array_equal(series.intensity_g_per_kwh[:-1], 100.0 + np.arange(25 * 24 + 1))


def test_what_has_not_begun_is_not_asked_for() -> None:
    with pytest.raises(NoData):
        _source(http=Http(offline=True)).fetch(DE, Span(START + 2 * HOUR, START + 3 * HOUR), "actual")


def test_actuals_of_two_regions_are_refused(net: responses.RequestsMock) -> None:
    rows = [_datum(START - 2 * HOUR, 1), _datum(START - HOUR, 2, location="FR-region")]
    net.get(f"{BASE}/emissions/bylocation", json=rows)
    with pytest.raises(Malformed, match="DE-region, FR-region"):
        _source().fetch(DE, Span(START - 2 * HOUR, START), "actual")


def test_204_is_no_data(net: responses.RequestsMock) -> None:
    net.get(f"{BASE}/emissions/bylocation", status=204)
    with pytest.raises(NoData, match="DE") as caught:
        _source().fetch(DE, Span(START - 2 * HOUR, START), "actual")
    assert caught.value.facts["zone"] == DE


def test_204_in_one_piece_does_not_hide_the_next(net: responses.RequestsMock) -> None:
    net.get(f"{BASE}/emissions/bylocation", status=204)
    net.get(f"{BASE}/emissions/bylocation", json=[_datum(START - HOUR, 5)])
    series = _source().fetch(DE, Span(START - timedelta(days=11), START), "actual")
    assert series.intensity_g_per_kwh.tolist() == [5]


# refusals


PROBLEM = {"title": "ArgumentException", "status": 400, "detail": "Invalid parameters", "errors": {"location": ["x"]}}


def test_a_400_for_an_unknown_location_says_so_with_near_names(net: responses.RequestsMock) -> None:
    net.get(f"{BASE}/emissions/forecasts/current", status=400, json=PROBLEM)
    net.get(f"{BASE}/locations", json={"germanywestcentral": {}, "uksouth": {}})
    with pytest.raises(NoData, match="germanywestcentrl") as caught:
        _source(f"{BASE}#watttime;DE=germanywestcentrl").fetch(DE, SPAN, "forecast")
    assert "germanywestcentral" in caught.value.hint
    assert caught.value.facts["zone"] == DE
    assert isinstance(caught.value.__cause__, Rejected)


@pytest.mark.parametrize(
    ("status", "body"), [(200, '{"GermanyWestCentral":{}}'), (200, "[]"), (404, ""), (500, ""), (200, "<html>")]
)
def test_a_400_for_another_reason_stays_one(net: responses.RequestsMock, status: int, body: str) -> None:
    net.get(f"{BASE}/emissions/forecasts/current", status=400, json=PROBLEM)
    net.get(f"{BASE}/locations", status=status, body=body)
    with pytest.raises(Rejected) as caught:
        _source().fetch(DE, SPAN, "forecast")
    assert caught.value.facts["status"] == 400


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (401, "", Rejected),
        (403, "", Rejected),
        (404, "", NoData),
        (429, "", Unavailable),
        (500, '{"title":"InternalServerError","status":500}', Unavailable),
        (503, "", Unavailable),
        (302, "", Malformed),
        (200, "<html>", Malformed),
        (200, "", Malformed),
        (200, "null", Malformed),
        (200, "{}", Malformed),
        (200, '["invented"]', Malformed),
        (200, '[{"renamed":1}]', Malformed),
    ],
)
@pytest.mark.parametrize("wanted", ["forecast", "actual"])
def test_every_failure_has_its_type(
    net: responses.RequestsMock, wanted: Wanted, status: int, body: str, error: type[ProviderError]
) -> None:
    for route in ("forecasts/current", "bylocation"):
        net.get(f"{BASE}/emissions/{route}", status=status, body=body)
    with pytest.raises(ProviderError) as caught:
        _source().fetch(DE, Span(START - 2 * HOUR, START + HOUR), wanted)
    assert type(caught.value) is error
    assert caught.value.operation == f"{wanted} germanywestcentral"
    assert len(net.calls) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"rating": "ND"},
        {"rating": -1},
        {"rating": True},
        {"time": "2026-03-28T23:00:00"},
        {"time": 1774735200},
        {"duration": "an hour"},
        {"duration": "00:00:00"},
        {"duration": "00:05:00"},
        {"duration": None},
    ],
    ids=str,
)
def test_a_strange_row_is_malformed(net: responses.RequestsMock, change: dict[str, object]) -> None:
    rows = [_datum(START - 2 * HOUR, 1), _datum(START - HOUR, 2) | change]
    net.get(f"{BASE}/emissions/bylocation", json=rows)
    with pytest.raises(Malformed) as caught:
        _source().fetch(DE, Span(START - 2 * HOUR, START), "actual")
    assert caught.value.__cause__ is not None


def test_rows_that_last_no_time_are_malformed(net: responses.RequestsMock) -> None:
    net.get(f"{BASE}/emissions/bylocation", json=[_datum(START - HOUR, 1, "00:00:00")])
    with pytest.raises(Malformed, match="durations"):
        _source().fetch(DE, Span(START - 2 * HOUR, START), "actual")


def test_a_limit_is_waited_for_as_long_as_it_says(net: responses.RequestsMock) -> None:
    waits: list[float] = []
    net.get(f"{BASE}/emissions/forecasts/current", status=429, headers={"Retry-After": "6"})
    net.get(f"{BASE}/emissions/forecasts/current", json=[_forecast([_point(i, 300) for i in range(4)])])
    assert _source(http=Http(retries=1, sleep=waits.append)).fetch(DE, SPAN, "forecast").covers(SPAN)
    assert waits == [6.0]


@pytest.mark.parametrize(
    "failure", [requests.ReadTimeout("url: http://u:s3cret@sdk"), requests.ConnectionError("http://u:s3cret@sdk")]
)
def test_a_silent_sdk_is_unavailable_and_its_address_is_not_told(
    net: responses.RequestsMock, failure: Exception
) -> None:
    net.get("http://sdk.example:5073/emissions/forecasts/current", body=failure)
    source = _source("http://u:s3cret@sdk.example:5073#watttime")
    with pytest.raises(Unavailable) as caught:
        source.fetch(DE, SPAN, "forecast")
    shown = "".join(traceback.format_exception(caught.value))
    assert "s3cret" not in f"{shown} {caught.value!r} {caught.value.facts} {source!r}"
