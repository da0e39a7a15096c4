"""What goes wrong between lowtide and a provider: each failure has its type, and none of them tells a key."""

from __future__ import annotations

import logging
import re
import traceback
from base64 import b64encode
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
import requests
import responses

from lowtide_core.errors import Malformed, NoData, ProviderError, Rejected, Unavailable
from lowtide_core.places import ZoneId
from lowtide_core.spans import Span
from lowtide_providers.http import Http, Question
from lowtide_providers.signals.carbon_aware_sdk import CarbonAwareSdkSource, read_statement
from lowtide_providers.signals.eco2mix import Eco2mixSource
from lowtide_providers.signals.eia930 import Eia930Source
from lowtide_providers.signals.electricitymaps import ElectricityMapsSource
from lowtide_providers.signals.energinet import EnerginetSource
from lowtide_providers.signals.energy_charts import EnergyChartsSource
from lowtide_providers.signals.entsoe import EntsoeSource
from lowtide_providers.signals.gb_neso import GbNesoSource
from lowtide_providers.signals.openelectricity import OpenElectricitySource
from lowtide_providers.signals.registry import SignalSettings, build_source
from lowtide_providers.signals.watttime import WattTimeSource

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lowtide_core.ports import SignalSource, Wanted

NOW = datetime(2026, 5, 4, 9, 10, tzinfo=UTC)
SPAN = Span(NOW, NOW + timedelta(hours=6))
GB = ZoneId("GB")
KEY = "k3y-that-nobody-may-see"
ASKED = Question("https://invented.example/", provider="invented", operation="x")
ANYWHERE = re.compile(r"https://.*")


@pytest.fixture
def net() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        yield mock


@pytest.fixture
def waits() -> list[float]:
    return []


@pytest.fixture
def http(waits: list[float]) -> Http:
    return Http(timeout_s=1.0, retries=3, sleep=waits.append)


_SDK = CarbonAwareSdkSource(f"https://user:{KEY}@sdk.example", read_statement("watttime"))
SOURCES: dict[str, tuple[SignalSource, str, Wanted]] = {
    "gb-neso": (GbNesoSource(now_utc=lambda: NOW), "GB", "forecast"),
    "electricitymaps": (ElectricityMapsSource(KEY, now_utc=lambda: NOW), "GB", "forecast"),
    "energy-charts": (EnergyChartsSource(now_utc=lambda: NOW), "DE", "forecast"),
    "energinet": (EnerginetSource(now_utc=lambda: NOW), "DK-DK2", "forecast"),
    "eco2mix": (Eco2mixSource(now_utc=lambda: NOW), "FR", "actual"),
    "eia930": (Eia930Source(KEY, now_utc=lambda: NOW), "US-TEX-ERCO", "actual"),
    "openelectricity": (OpenElectricitySource(KEY, now_utc=lambda: NOW), "AU-NSW", "actual"),
    "entsoe": (EntsoeSource(KEY, now_utc=lambda: NOW), "NL", "actual"),
    "carbon-aware-sdk": (_SDK, "GB", "forecast"),
}
"""Name -> a source, a zone that it has, and what it can be asked for."""


@pytest.mark.parametrize("name", SOURCES)
@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (400, '{"status":"error","message":"invented: bad date"}', Rejected),
        (400, '{"error":{"code":"400 Bad Request","message":"invented"}}', Rejected),
        (401, '{"error":"Invalid auth-token"}', Rejected),
        (401, '{"error":"Request unauthorized for zoneKey=GB,requestType=x,dataType=y."}', Rejected),
        (403, "Access denied", Rejected),
        (404, '{"error":"No recent data for zone \\"GB\\""}', NoData),
        (404, '{"message":"no Route matched with those values"}', NoData),
        (418, "", Rejected),
        (301, "", Malformed),
        (429, '{"message":"API rate limit exceeded"}', Unavailable),
        (500, '{"error":{"code":"500 Internal Server Error","message":"Requested resource not found."}}', Unavailable),
        (502, "<html>bad gateway</html>", Unavailable),
        (503, "", Unavailable),
        (504, "[]", Unavailable),
        (200, "<html>maintenance</html>", Malformed),
        (200, "", Malformed),
        (200, '["invented"]', Malformed),
        (200, '{"renamed":[]}', Malformed),
    ],
)
def test_every_failure_has_its_type(
    net: responses.RequestsMock, http: Http, name: str, status: int, body: str, error: type[ProviderError]
) -> None:
    net.get(ANYWHERE, status=status, body=body)
    source, zone, wanted = SOURCES[name]
    with pytest.raises(ProviderError) as caught:
        replace(source, http=http).fetch(ZoneId(zone), SPAN, wanted)  # type: ignore[type-var]
    assert type(caught.value) is error
    assert caught.value.provider == name
    assert caught.value.operation
    assert "\n" not in str(caught.value)
    shown = "".join(traceback.format_exception(caught.value)) + f"{caught.value!r} {caught.value.facts} {source!r}"
    assert KEY not in shown


@pytest.mark.parametrize(
    "failure",
    [
        requests.ConnectTimeout(f"url: /?key={KEY}"),
        requests.ReadTimeout(f"url: /?key={KEY}"),
        requests.ConnectionError(f"Max retries exceeded with url: /?key={KEY}"),
        requests.exceptions.SSLError(KEY),
        requests.exceptions.ChunkedEncodingError(KEY),
        requests.exceptions.InvalidURL(KEY),
    ],
    ids=lambda failure: type(failure).__name__,
)
def test_no_answer_is_unavailable_and_tells_no_address(
    net: responses.RequestsMock, http: Http, waits: list[float], failure: Exception
) -> None:
    net.get(ANYWHERE, body=failure)
    with pytest.raises(Unavailable) as caught:
        http.get_json(replace(ASKED, params={"key": KEY}))
    shown = "".join(traceback.format_exception(caught.value)) + repr(caught.value) + str(caught.value.facts)
    assert KEY not in shown
    assert type(failure).__name__ in str(caught.value)
    assert len(waits) <= 1, "a time-out was waited for again and again"


def test_a_key_stands_in_no_message_repr_or_log(
    net: responses.RequestsMock, http: Http, caplog: pytest.LogCaptureFixture
) -> None:
    net.get(ANYWHERE, status=401, json={"error": f"Invalid auth-token {KEY}", "message": KEY})
    settings = SignalSettings(keys={"electricitymaps_token": KEY})
    source = ElectricityMapsSource(KEY, http)
    with caplog.at_level(logging.DEBUG), pytest.raises(Rejected) as caught:
        source.fetch(GB, SPAN, "forecast")
    shown = "".join(traceback.format_exception(caught.value))
    shown += f"{caught.value!r} {caught.value.facts} {caught.value.__cause__!r} {source!r} {settings!r} {caplog.text}"
    shown += repr(build_source("electricitymaps", settings))
    assert KEY not in shown
    assert net.calls[0].request.headers["auth-token"] == KEY


def test_a_redirect_is_not_followed_with_the_key(net: responses.RequestsMock, http: Http) -> None:
    net.get(re.compile(r"https://api\.electricitymaps\.com/.*"), status=302, headers={"Location": "https://stranger/"})
    with pytest.raises(Malformed):
        ElectricityMapsSource(KEY, http).fetch(GB, SPAN, "forecast")
    assert len(net.calls) == 1


@pytest.mark.parametrize(
    ("said", "reason", "words"),
    [
        ("Request unauthorized for zoneKey=GB,requestType=latest.", "plan", "plan"),
        ("Invalid auth-token", "key", "key"),
    ],
)
def test_a_401_is_the_plan_or_the_key(
    net: responses.RequestsMock, http: Http, said: str, reason: str, words: str
) -> None:
    net.get(ANYWHERE, status=401, json={"error": said})
    with pytest.raises(Rejected) as caught:
        ElectricityMapsSource(KEY, http).fetch(GB, SPAN, "forecast")
    assert caught.value.facts["reason"] == reason
    assert words in caught.value.message
    assert isinstance(caught.value.__cause__, Rejected)


def test_a_block_at_the_edge_is_not_blamed_on_the_key(net: responses.RequestsMock, http: Http) -> None:
    net.get(ANYWHERE, status=403, body="Access denied")
    with pytest.raises(Rejected) as caught:
        ElectricityMapsSource(KEY, http).fetch(GB, SPAN, "forecast")
    assert caught.value.facts["reason"] == "edge"
    assert "not the key" in caught.value.hint


def test_it_waits_longer_each_time_and_then_answers(
    net: responses.RequestsMock, http: Http, waits: list[float]
) -> None:
    for status in (503, 429, 500):
        net.get("https://invented.example/", status=status)
    net.get("https://invented.example/", json={"fine": True})
    assert http.get_json(ASKED) == {"fine": True}
    assert len(waits) == 3
    for wait_s, least_s in zip(waits, (0.5, 1.0, 2.0), strict=True):
        assert least_s <= wait_s <= 2 * least_s


def test_it_waits_as_long_as_it_is_told(net: responses.RequestsMock, http: Http, waits: list[float]) -> None:
    net.get("https://invented.example/", status=429, headers={"Retry-After": "7"})
    net.get("https://invented.example/", json=[])
    http.get_json(ASKED)
    assert waits == [7.0]


@pytest.mark.parametrize(
    "headers",
    [
        {"Retry-After": "3600"},
        {"Retry-After": "Mon, 04 May 2026 10:00:00 GMT", "Date": "Mon, 04 May 2026 09:00:00 GMT"},
    ],
    ids=["seconds", "date"],
)
def test_a_long_wait_is_told_and_not_sat_out(
    net: responses.RequestsMock, http: Http, waits: list[float], headers: dict[str, str]
) -> None:
    net.get("https://invented.example/", status=429, headers=headers)
    with pytest.raises(Unavailable) as caught:
        http.get_json(ASKED)
    assert caught.value.retry_after_s == 3600.0
    assert waits == []


@pytest.mark.parametrize("value", ["soon", "-5", "Mon, 99 May 2026 10:00:00 GMT", ""])
def test_a_strange_retry_after_is_ignored(net: responses.RequestsMock, waits: list[float], value: str) -> None:
    net.get("https://invented.example/", status=503, headers={"Retry-After": value})
    with pytest.raises(Unavailable) as caught:
        Http(retries=1, sleep=waits.append).get_json(ASKED)
    assert caught.value.retry_after_s is None
    assert len(waits) == 1


def test_it_says_who_it_is(net: responses.RequestsMock, http: Http) -> None:
    net.get("https://invented.example/", json=[])
    http.get_json(ASKED)
    assert net.calls[0].request.headers["User-Agent"].startswith("lowtide/")


@pytest.mark.parametrize("said", ["Invalid scope: {}", "{} is not accepted"])
@pytest.mark.parametrize("failing", ["login", "v3/forecast"])
def test_neither_the_password_nor_the_token_of_watttime_is_told(
    net: responses.RequestsMock, http: Http, caplog: pytest.LogCaptureFixture, failing: str, said: str
) -> None:
    token = "t0ken-that-nobody-may-see"
    sent = f"{said.format(KEY)} {token} {b64encode(f'somebody:{KEY}'.encode()).decode()}"
    if failing != "login":
        net.get("https://api.watttime.org/login", json={"token": token})
        sent = said.format(token)
    net.get(f"https://api.watttime.org/{failing}", status=403, json={"error": sent})
    source = WattTimeSource("somebody", KEY, http, now_utc=lambda: NOW)
    settings = SignalSettings(keys={"watttime_user": "somebody", "watttime_password": KEY})
    with caplog.at_level(logging.DEBUG), pytest.raises(Rejected) as caught:
        source.fetch(ZoneId("US-CAL-CISO"), SPAN, "forecast")
    cause = caught.value.__cause__
    assert isinstance(cause, Rejected)
    shown = "".join(traceback.format_exception(caught.value)) + f"{caught.value!r} {caught.value.facts} {cause.facts}"
    shown += f"{source!r} {settings!r} {build_source('watttime', settings)!r} {caplog.text}"
    secrets = [KEY, b64encode(f"somebody:{KEY}".encode()).decode()] + [token] * (failing != "login")
    assert not [secret for secret in secrets if secret in shown]
    assert "(hidden)" in str(cause.facts["said"]), "the service said nothing: this test sees nothing"


def test_a_watttime_login_is_not_redirected_with_the_password(net: responses.RequestsMock, http: Http) -> None:
    net.get("https://api.watttime.org/login", status=302, headers={"Location": "https://stranger/"})
    with pytest.raises(Malformed):
        WattTimeSource("somebody", KEY, http).fetch(ZoneId("US-CAL-CISO"), SPAN, "forecast")
    assert len(net.calls) == 1
