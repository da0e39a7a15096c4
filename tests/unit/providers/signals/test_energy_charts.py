"""Energy-Charts: two parallel lists, lower-case countries, nulls at the end, and a refusal in words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
import requests
import responses

from lowtide_core.errors import Malformed, NoData, ProviderError, Rejected, Unavailable
from lowtide_core.places import ZoneId
from lowtide_core.series import Frame
from lowtide_core.spans import Span
from lowtide_providers.http import Http
from lowtide_providers.signals.energy_charts import COUNTRIES, EnergyChartsSource

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lowtide_core.ports import Wanted

DE = ZoneId("DE")
QUARTER, HOUR = timedelta(minutes=15), timedelta(hours=1)
START = datetime(2026, 10, 25, 0, 0, tzinfo=UTC)  # Germany's clocks go back an hour later
NOW = START + timedelta(hours=4, minutes=20)
SPAN = Span(NOW, NOW + 4 * HOUR)
URL = "https://api.energy-charts.info/co2eq"


@pytest.fixture
def net() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        yield mock


def _source(http: Http | None = None) -> EnergyChartsSource:
    return EnergyChartsSource(http or Http(retries=0), now_utc=lambda: NOW)


def _body(measured: list[object], forecast: list[object], step: timedelta = QUARTER, **more: object) -> dict[str, Any]:
    """One row after the other from ``START`` on: first the measured, then the forecast."""
    count = len(measured) + len(forecast)
    return {
        "unix_seconds": [int((START + i * step).timestamp()) for i in range(count)],
        "co2eq": [*measured, *[None] * len(forecast)],
        "co2eq_forecast": [*[None] * len(measured), *forecast],
        "deprecated": False,
        **more,
    }


def _asked(net: responses.RequestsMock) -> list[dict[str, str]]:
    queries = [urlsplit(call.request.url or "").query for call in net.calls]
    return [{name: values[0] for name, values in parse_qs(query).items()} for query in queries]


def test_a_forecast_is_asked_with_its_end_and_says_what_it_is(net: responses.RequestsMock) -> None:
    net.get(URL, json=_body([500.5] * 8, [400 + i for i in range(60)] + [None] * 20))
    series = _source().fetch(DE, SPAN, "forecast")
    assert _asked(net) == [{"country": "de", "start": "2026-10-25T04:00Z", "end": "2026-10-25T09:00Z"}]
    assert series.start_utc == START + timedelta(hours=4, minutes=15)
    np.testing.assert_array_equal(series.intensity_g_per_kwh, 409.0 + np.arange(17))
    assert (series.kind, series.step_s, series.source) == ("forecast", 900.0, "energy-charts")
    assert series.frame == Frame("average", "lifecycle", "production")
    assert series.issued_at == series.fetched_at == NOW
    assert "does not say when" in series.note
    assert "inferred" in series.note


def test_an_actual_is_measured_and_never_the_forecast(net: responses.RequestsMock) -> None:
    net.get(URL, json=_body([500, None, 497.4, None, None], [390] * 20))
    series = _source().fetch(DE, Span(START, START + 3 * HOUR), "actual")
    np.testing.assert_array_equal(series.intensity_g_per_kwh, [500, np.nan, 497.4])
    assert (series.kind, series.issued_at) == ("actual", None)
    assert series.note == "its frame is inferred: energy-charts states neither factors nor accounting"


def test_a_forecast_is_never_filled_with_what_was_measured(net: responses.RequestsMock) -> None:
    net.get(URL, json=_body([500] * 4, [390] * 20))
    span = Span(START, START + 3 * HOUR)
    series = _source().fetch(DE, span, "forecast")
    assert series.start_utc == START + HOUR
    assert series.missing(span) == (Span(START, START + HOUR),)


def test_a_missing_tail_is_missing(net: responses.RequestsMock) -> None:
    net.get(URL, json=_body([], [390, 391, None, 393, None, None]))
    series = _source().fetch(DE, Span(START, START + 3 * HOUR), "forecast")
    np.testing.assert_array_equal(series.intensity_g_per_kwh, [390, 391, np.nan, 393])


@pytest.mark.parametrize(
    ("day", "hours"), [(datetime(2026, 10, 24, 22, tzinfo=UTC), 25), (datetime(2026, 3, 28, 23, tzinfo=UTC), 23)]
)
def test_a_local_day_of_25_or_23_hours_has_no_hole_and_no_overlap(
    net: responses.RequestsMock, day: datetime, hours: int
) -> None:
    seconds = [int(day.timestamp()) + 900 * i for i in range(hours * 4)]
    net.get(URL, json={"unix_seconds": seconds, "co2eq": list(range(hours * 4)), "co2eq_forecast": [None] * hours * 4})
    series = _source().fetch(DE, Span(day, day + hours * HOUR), "actual")
    np.testing.assert_array_equal(series.intensity_g_per_kwh, np.arange(hours * 4))
    assert series.end_utc == day + hours * HOUR


def test_a_country_of_hours_has_hours(net: responses.RequestsMock) -> None:
    net.get(URL, json=_body([], [60.5, 61.5, 62.5], HOUR))
    series = _source().fetch(ZoneId("CH"), Span(START + HOUR, START + 3 * HOUR), "forecast")
    assert series.step_s == 3600.0
    assert series.intensity_g_per_kwh.tolist() == [61.5, 62.5]
    assert _asked(net)[0]["country"] == "ch"


def test_an_answer_for_more_than_was_asked_is_clipped(net: responses.RequestsMock) -> None:
    net.get(URL, json=_body(list(range(96)), []))
    series = _source().fetch(DE, Span(START + 2 * HOUR, START + 3 * HOUR), "actual")
    assert series.intensity_g_per_kwh.tolist() == [8, 9, 10, 11]


@pytest.mark.parametrize("zone", ["DK", "DK-DK1", "SE", "SE-SE3", "NO-NO1", "IT", "IT-NO", "GB", "RO", "de"])
def test_merged_countries_and_unknown_ones_are_not_covered_and_not_asked(zone: str) -> None:
    source = _source(Http(offline=True))
    assert not source.covers(ZoneId(zone))
    with pytest.raises(NoData, match=zone) as caught:
        source.fetch(ZoneId(zone), SPAN, "forecast")
    assert caught.value.facts["zone"] == zone


def test_country_zones_are_covered() -> None:
    assert {"DE", "FR", "NL", "AT", "BE", "CH", "PL", "ES", "CZ"} < set(COUNTRIES)
    assert all(_source().covers(ZoneId(zone)) for zone in COUNTRIES)


def test_a_country_that_it_no_longer_has_is_no_data_and_asked_once(net: responses.RequestsMock) -> None:
    said = "'lu' is not the code for an available country. Please refer to the API doc for information"
    net.get(URL, status=400, body=said)
    with pytest.raises(NoData, match="LU") as caught:
        _source(Http(retries=3, sleep=lambda _: None)).fetch(ZoneId("LU"), SPAN, "forecast")
    assert caught.value.facts["zone"] == "LU"
    assert isinstance(caught.value.__cause__, Rejected)
    assert len(net.calls) == 1


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (400, "start is not a date (invented)", Rejected),
        (401, "", Rejected),
        (403, "Access denied", Rejected),
        (404, '{"detail":"Not Found"}', NoData),
        (204, "", NoData),
        (429, "Too Many Requests", Unavailable),
        (500, "", Unavailable),
        (503, "<html>", Unavailable),
        (200, "<html>", Malformed),
        (200, "", Malformed),
        (200, "null", Malformed),
        (200, "[]", Malformed),
        (200, "{}", Malformed),
        (200, '{"unix_seconds":[],"co2eq":[],"co2eq_forecast":[]}', NoData),
    ],
)
@pytest.mark.parametrize("wanted", ["forecast", "actual"])
def test_every_failure_has_its_type_and_names_the_zone(
    net: responses.RequestsMock, wanted: Wanted, status: int, body: str, error: type[ProviderError]
) -> None:
    net.get(URL, status=status, body=body)
    with pytest.raises(ProviderError) as caught:
        _source().fetch(DE, SPAN, wanted)
    assert type(caught.value) is error
    assert caught.value.operation == f"{wanted} DE"


def test_a_limit_is_waited_for_as_long_as_it_says(net: responses.RequestsMock) -> None:
    waits: list[float] = []
    net.get(URL, status=429, headers={"Retry-After": "5"})
    net.get(URL, json=_body([], [390] * 60))
    assert _source(Http(retries=1, sleep=waits.append)).fetch(DE, SPAN, "forecast").start_utc
    assert waits == [5.0]


def test_a_time_out_is_unavailable(net: responses.RequestsMock) -> None:
    net.get(URL, body=requests.ReadTimeout())
    with pytest.raises(Unavailable):
        _source().fetch(DE, SPAN, "forecast")


@pytest.mark.parametrize(
    "change",
    [
        {"co2eq_forecast": [1.0]},
        {"co2eq_forecast": "none"},
        {"co2eq_forecast": [-1.0, 1.0, 1.0]},
        {"co2eq_forecast": ["ND", 1.0, 1.0]},
        {"co2eq_forecast": [True, 1.0, 1.0]},
        {"co2eq_forecast": None},
        {"unix_seconds": ["2026-10-25T00:00Z", 1, 2]},
        {"unix_seconds": [1792886400, 1792886400, 1792887300]},
        {"unix_seconds": [1792886400, 1792887300, 1792888199]},
        {"unix_seconds": None},
        {"unix_seconds": [10**30, 1, 2]},
    ],
    ids=str,
)
def test_a_strange_answer_is_malformed(net: responses.RequestsMock, change: dict[str, object]) -> None:
    net.get(URL, json=_body([], [1.0, 2.0, 3.0]) | change)
    with pytest.raises(Malformed) as caught:
        _source().fetch(DE, Span(START, START + HOUR), "forecast")
    assert caught.value.__cause__ is not None


def test_a_renamed_list_is_malformed(net: responses.RequestsMock) -> None:
    body = _body([], [1.0, 2.0])
    body["co2_forecast"] = body.pop("co2eq_forecast")
    net.get(URL, json=body)
    with pytest.raises(Malformed, match="co2eq_forecast"):
        _source().fetch(DE, Span(START, START + HOUR), "forecast")
