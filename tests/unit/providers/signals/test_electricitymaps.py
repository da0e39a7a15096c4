"""Electricity Maps: what the key opens, whose figures came back, what they are called."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
import responses

from lowtide_core.errors import Malformed, NoData, ProviderError, Rejected, Unavailable
from lowtide_core.places import ZoneId
from lowtide_core.series import LIFECYCLE_CONSUMPTION
from lowtide_core.spans import Span, iso_utc
from lowtide_providers.http import Http
from lowtide_providers.signals.electricitymaps import ElectricityMapsSource

if TYPE_CHECKING:
    from collections.abc import Iterator

DE = ZoneId("DE")
HOUR = timedelta(hours=1)
START = datetime(2026, 6, 10, 8, tzinfo=UTC)
NOW = START + timedelta(minutes=20)
SPAN = Span(NOW, START + 6 * HOUR)
BASE = "https://api.electricitymaps.com/v4"
NO_PLAN = {"error": "Request unauthorized for zoneKey=DE,requestType=forecast,dataType=carbon-intensity."}


@pytest.fixture
def net() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        yield mock


def _source() -> ElectricityMapsSource:
    return ElectricityMapsSource("invented-key", Http(retries=0), now_utc=lambda: NOW)


def _row(hour: int, value: object, **more: object) -> dict[str, Any]:
    return {"carbonIntensity": value, "datetime": f"{START + hour * HOUR:%Y-%m-%dT%H:%M:%S}.000Z", **more}


def _answers(net: responses.RequestsMock, *, access: object = ("*",), **by_path: object) -> None:
    """``latest`` and ``zones`` as an ordinary key sees them; other paths by their last part."""
    net.get(f"{BASE}/zones", json={"DE": {"zoneName": "Germany", "access": access}, "FR": {"access": []}})
    net.get(f"{BASE}/carbon-intensity/latest", json={"zone": "DE", **_row(0, 300), "isEstimated": True})
    for path, body in by_path.items():
        net.get(f"{BASE}/carbon-intensity/{path.replace('_', '-')}", json=body)


def _forecast(count: int = 25, **more: object) -> dict[str, object]:
    return {"zone": "DE", "forecast": [_row(i, 300 + i) for i in range(count)], "temporalGranularity": "hourly", **more}


def _asked(net: responses.RequestsMock, last: str) -> list[dict[str, str]]:
    urls = [urlsplit(call.request.url or "") for call in net.calls]
    return [{k: v[0] for k, v in parse_qs(url.query).items()} for url in urls if url.path.endswith(f"/{last}")]


def test_a_forecast_is_hourly_life_cycle_and_issued_when_fetched(net: responses.RequestsMock) -> None:
    _answers(net, forecast=_forecast(updatedAt="2020-01-01T00:00:00.000Z"))
    series = _source().fetch(DE, SPAN, "forecast")
    np.testing.assert_array_equal(series.intensity_g_per_kwh, 300.0 + np.arange(6))
    assert (series.start_utc, series.step_s, series.kind) == (START, 3600.0, "forecast")
    assert series.frame == LIFECYCLE_CONSUMPTION
    assert series.issued_at == NOW, "updatedAt is the time of the answer, not of the forecast"
    assert _asked(net, "forecast") == [{"zone": "DE", "horizonHours": "6", "disableCallerLookup": "true"}]
    assert all(call.request.headers["auth-token"] == "invented-key" for call in net.calls)


def test_the_key_is_probed_once_for_all_zones(net: responses.RequestsMock) -> None:
    _answers(net, forecast=_forecast())
    source = _source()
    source.fetch(DE, SPAN, "forecast")
    source.fetch(DE, SPAN, "forecast")
    assert len(_asked(net, "zones")) == len(_asked(net, "latest")) == 1
    assert len(_asked(net, "forecast")) == 2


def test_what_a_key_opens_is_read(net: responses.RequestsMock) -> None:
    _answers(net, access=["carbon-intensity/latest", "carbon-intensity/history"])
    assert _source().capabilities(DE) == {"carbon-intensity/latest", "carbon-intensity/history"}
    with pytest.raises(Rejected) as caught:
        _source().fetch(DE, SPAN, "forecast")
    assert caught.value.facts["reason"] == "plan"
    assert not _asked(net, "forecast"), "asked although the key does not open it"


def test_where_the_probe_says_nothing_the_endpoint_decides(net: responses.RequestsMock) -> None:
    net.get(f"{BASE}/zones", json={"DE": {"zoneName": "Germany"}})
    net.get(f"{BASE}/carbon-intensity/latest", status=404, json={"error": "No recent data"})
    net.get(f"{BASE}/carbon-intensity/forecast", json=_forecast())
    assert _source().capabilities(DE) is None
    assert _source().fetch(DE, SPAN, "forecast").covers(SPAN)


def test_a_probe_that_fails_does_not_end_it(net: responses.RequestsMock) -> None:
    net.get(f"{BASE}/zones", status=500)
    net.get(f"{BASE}/carbon-intensity/latest", json={"zone": "DE", **_row(0, 300)})
    net.get(f"{BASE}/carbon-intensity/forecast", json=_forecast())
    assert _source().fetch(DE, SPAN, "forecast").covers(SPAN)


@pytest.mark.parametrize("refusal", [(401, NO_PLAN), (400, {"status": "error", "message": "horizonHours"})])
def test_a_shorter_horizon_is_tried_where_a_longer_is_refused(
    net: responses.RequestsMock, refusal: tuple[int, dict[str, str]]
) -> None:
    def answer(request: Any) -> tuple[int, dict[str, str], str]:
        hours = int(parse_qs(urlsplit(request.url).query)["horizonHours"][0])
        if hours > 24:
            return refusal[0], {}, json.dumps(refusal[1])
        return 200, {}, json.dumps(_forecast(hours + 1))

    _answers(net)
    net.add_callback(responses.GET, f"{BASE}/carbon-intensity/forecast", answer)
    span = Span(NOW, NOW + 60 * HOUR)
    series = _source().fetch(DE, span, "forecast")
    assert [asked["horizonHours"] for asked in _asked(net, "forecast")] == ["72", "48", "24"]
    assert series.end_utc == START + 25 * HOUR


def test_a_failure_is_no_reason_for_a_shorter_horizon(net: responses.RequestsMock) -> None:
    _answers(net)
    net.get(f"{BASE}/carbon-intensity/forecast", status=503)
    with pytest.raises(Unavailable):
        _source().fetch(DE, Span(NOW, NOW + 60 * HOUR), "forecast")
    assert len(_asked(net, "forecast")) == 1


@pytest.mark.parametrize(
    ("latest", "rows"),
    [
        ({"estimationMethod": "SANDBOX_MODE_DATA"}, {}),
        ({"_disclaimer": "SANDBOX MODE: invented"}, {}),
        ({}, {"_disclaimer": "This is sandbox mode, invented"}),
    ],
)
def test_a_sandbox_key_is_refused(net: responses.RequestsMock, latest: dict[str, str], rows: dict[str, str]) -> None:
    net.get(f"{BASE}/zones", json={"DE": {"access": ["*"]}})
    net.get(f"{BASE}/carbon-intensity/latest", json={"zone": "DE", **_row(0, 300), **latest})
    net.get(f"{BASE}/carbon-intensity/forecast", json=_forecast(**rows))
    with pytest.raises(Rejected) as caught:
        _source().fetch(DE, SPAN, "forecast")
    assert caught.value.facts["reason"] == "sandbox"


def test_a_sandbox_row_is_refused(net: responses.RequestsMock) -> None:
    rows = [_row(-2, 300), _row(-1, 310, estimationMethod="SANDBOX_MODE_DATA")]
    _answers(net, history={"zone": "DE", "history": rows})
    with pytest.raises(Rejected):
        _source().fetch(DE, Span(START - 2 * HOUR, START), "actual")


@pytest.mark.parametrize(
    "body",
    [
        {**_forecast(), "zone": "US-CENT-SWPP"},
        {key: value for key, value in _forecast().items() if key != "zone"},
        {"zone": "DE", "forecast": [{**_row(0, 1), "zone": "FR"}]},
    ],
    ids=["other", "none", "row of another"],
)
def test_an_answer_for_another_zone_is_refused(net: responses.RequestsMock, body: object) -> None:
    _answers(net, forecast=body)
    with pytest.raises(Malformed, match="answered for"):
        _source().fetch(DE, SPAN, "forecast")


def test_an_unknown_zone_has_no_data_and_near_names(net: responses.RequestsMock) -> None:
    net.get(f"{BASE}/zones", json={"US-CAL-CISO": {"access": ["*"]}})
    with pytest.raises(NoData) as caught:
        _source().capabilities(ZoneId("US-CAL-CISCO"))
    assert "US-CAL-CISO" in caught.value.hint


def test_the_last_day_is_asked_at_once_and_estimates_are_called_so(net: responses.RequestsMock) -> None:
    rows = [_row(-3, 58.7654), _row(-2, None), _row(-1, 61, isEstimated=True), _row(0, 70, isEstimated=True)]
    _answers(net, history={"zone": "DE", "history": rows})
    measured = _source().fetch(DE, Span(START - 3 * HOUR, START - HOUR), "actual")
    assert (measured.kind, measured.intensity_g_per_kwh.tolist()) == ("actual", [58.7654])
    series = _source().fetch(DE, Span(START - 3 * HOUR, START), "actual")
    assert (series.kind, series.issued_at) == ("estimated", None)
    np.testing.assert_array_equal(series.intensity_g_per_kwh, [58.7654, np.nan, 61])
    assert _asked(net, "past-range") == []


def test_an_older_past_is_asked_in_whole_hours_of_ten_days(net: responses.RequestsMock) -> None:
    def answer(request: Any) -> tuple[int, dict[str, str], str]:
        asked = parse_qs(urlsplit(request.url).query)
        start, end = (datetime.fromisoformat(asked[name][0]) for name in ("start", "end"))
        assert end - start <= timedelta(days=10)
        rows = [_row((start - START) // HOUR + i, 100) for i in range((end - start) // HOUR)]
        return 200, {}, json.dumps({"zone": "DE", "data": rows})

    _answers(net)
    net.add_callback(responses.GET, f"{BASE}/carbon-intensity/past-range", answer)
    span = Span(START - timedelta(days=25, minutes=13), NOW + 5 * HOUR)
    series = _source().fetch(DE, span, "actual")
    asked = _asked(net, "past-range")
    assert len(asked) == 3
    assert asked[0]["start"] == iso_utc(START - timedelta(days=25, hours=1))
    assert asked[-1]["end"] == iso_utc(START + HOUR), "asked for hours that have not begun"
    assert series.covers(Span(span.start_utc, START))


def test_a_key_without_the_past_still_has_the_last_day(net: responses.RequestsMock) -> None:
    rows = [_row(i, 200 + i) for i in range(-23, 1)]
    _answers(net, history={"zone": "DE", "history": rows})
    net.get(f"{BASE}/carbon-intensity/past-range", status=401, json=NO_PLAN)
    series = _source().fetch(DE, Span(START - 40 * HOUR, START), "actual")
    assert series.start_utc == START - 23 * HOUR
    with pytest.raises(Rejected):
        _source().fetch(DE, Span(START - 60 * HOUR, START - 40 * HOUR), "actual")


@pytest.mark.parametrize(
    "row",
    [
        {"intensity": 1, "datetime": "2026-06-10T08:00:00.000Z"},
        {"carbonIntensity": 1, "time": "2026-06-10T08:00:00.000Z"},
        {"carbonIntensity": "ND", "datetime": "2026-06-10T08:00:00.000Z"},
        {"carbonIntensity": -1, "datetime": "2026-06-10T08:00:00.000Z"},
        {"carbonIntensity": True, "datetime": "2026-06-10T08:00:00.000Z"},
        {"carbonIntensity": [1], "datetime": "2026-06-10T08:00:00.000Z"},
        {"carbonIntensity": 1, "datetime": "2026-06-10T08:00:00"},
        {"carbonIntensity": 1, "datetime": 1781078400},
        {"carbonIntensity": 1, "datetime": "2026-06-10T08:00:00.000Z", "emissionFactorType": "direct"},
        "row",
    ],
    ids=str,
)
def test_a_strange_row_is_malformed(net: responses.RequestsMock, row: object) -> None:
    _answers(net, forecast={"zone": "DE", "forecast": [row]})
    with pytest.raises(Malformed):
        _source().fetch(DE, SPAN, "forecast")


@pytest.mark.parametrize("envelope", ["data", "history", "forecast"])
def test_any_known_envelope_will_do(net: responses.RequestsMock, envelope: str) -> None:
    _answers(net, forecast={"zone": "DE", envelope: [_row(i, 1) for i in range(7)]})
    assert _source().fetch(DE, SPAN, "forecast").covers(SPAN)


def test_only_nulls_are_no_data(net: responses.RequestsMock) -> None:
    _answers(net, forecast={"zone": "DE", "forecast": [_row(i, None) for i in range(7)]})
    with pytest.raises(NoData):
        _source().fetch(DE, SPAN, "forecast")


@pytest.mark.parametrize("said", [{"message": "no Route matched with those values"}, {"error": "Cannot GET /v4/zones"}])
def test_where_the_newer_version_is_gone_the_older_is_asked_from_then_on(
    net: responses.RequestsMock, said: dict[str, str], request: pytest.FixtureRequest
) -> None:
    host = f"https://invented-{abs(hash(request.node.name))}.example"  # what is remembered is remembered by host
    net.get(re.compile(f"{host}/v4/.*"), status=404, json=said)
    net.get(f"{host}/v3/zones", json={"DE": {"access": ["*"]}})
    net.get(f"{host}/v3/carbon-intensity/latest", json={"zone": "DE", **_row(0, 300)})
    net.get(f"{host}/v3/carbon-intensity/forecast", json=_forecast())
    for _ in range(2):
        source = ElectricityMapsSource("invented-key", Http(retries=0), now_utc=lambda: NOW, base_url=host)
        assert source.fetch(DE, SPAN, "forecast").covers(SPAN)
    assert len([call for call in net.calls if "/v4/" in str(call.request.url)]) == 1


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (401, {"error": "Invalid auth-token", "message": "no Route matched with those values"}),
        (404, {"error": 'No recent data for zone "DE"'}),
        (403, {"message": "no Route matched with those values"}),
        (500, {"message": "no Route matched with those values"}),
    ],
)
def test_another_no_is_no_reason_for_the_older_version(
    net: responses.RequestsMock, status: int, body: dict[str, str]
) -> None:
    net.get(re.compile(f"{BASE}/.*"), status=status, json=body)
    with pytest.raises(ProviderError):
        _source().fetch(DE, SPAN, "forecast")
    assert not [call for call in net.calls if "/v3/" in str(call.request.url)]


def test_where_neither_version_has_it_nothing_is_remembered(net: responses.RequestsMock) -> None:
    host = "https://invented-neither.example"
    net.get(re.compile(f"{host}/.*"), status=404, json={"message": "no Route matched with those values"})
    source = ElectricityMapsSource("invented-key", Http(retries=0), now_utc=lambda: NOW, base_url=host)
    for _ in range(2):
        with pytest.raises(NoData):
            source.capabilities(DE)
    assert [str(call.request.url).split("/")[3] for call in net.calls] == ["v4", "v3"] * 2


@pytest.mark.parametrize("tier", ["TIER_A", "TIER_B", None, "TIER_C"])
def test_a_synthetic_curve_is_no_forecast(net: responses.RequestsMock, tier: str | None) -> None:
    net.get(f"{BASE}/zones", json={"DE": {"access": ["*"], "tier": tier}})
    net.get(f"{BASE}/carbon-intensity/latest", json={"zone": "DE", **_row(0, 300)})
    net.get(f"{BASE}/carbon-intensity/forecast", json=_forecast())
    if tier != "TIER_C":
        assert _source().fetch(DE, SPAN, "forecast").covers(SPAN)
        return
    with pytest.raises(NoData, match="DE from monthly or yearly figures") as caught:
        _source().fetch(DE, SPAN, "forecast")
    assert caught.value.facts["tier"] == "TIER_C"
    assert not _asked(net, "forecast")


def test_how_figures_were_estimated_is_told(net: responses.RequestsMock) -> None:
    rows = [
        _row(-4, 1, isEstimated=True, estimationMethod="OUTSIDE_THE_SPAN"),
        _row(-3, 60, isEstimated=False, estimationMethod=None),
        _row(-2, 61, isEstimated=True, estimationMethod="FORECASTS_HIERARCHY", flowTraced=True),
        _row(-1, 62, isEstimated=True, createdAt="2026-06-08T00:00:00.000Z"),
    ]
    _answers(net, history={"zone": "DE", "history": rows, "temporalGranularity": "hourly"})
    series = _source().fetch(DE, Span(START - 3 * HOUR, START), "actual")
    assert series.kind == "estimated"
    assert series.note == "estimated in part or whole: FORECASTS_HIERARCHY, no method told"
    measured = _source().fetch(DE, Span(START - 3 * HOUR, START - 2 * HOUR), "actual")
    assert (measured.kind, measured.note) == ("actual", "")


@pytest.mark.parametrize(
    "body",
    [
        {**_forecast(), "temporalGranularity": "15_minutes"},
        {"zone": "DE", "forecast": [_row(i, 1, flowTraced=False) for i in range(7)]},
    ],
    ids=["step", "production"],
)
def test_figures_of_another_kind_are_refused(net: responses.RequestsMock, body: object) -> None:
    _answers(net, forecast=body)
    with pytest.raises(Malformed, match=r"not (hourly|traced)"):
        _source().fetch(DE, SPAN, "forecast")
