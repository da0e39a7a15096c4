"""Energinet's five minutes: UTC without saying so, newest first by default, two areas in one data set, pages."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit
from zoneinfo import ZoneInfo

import numpy as np
import pytest
import requests
import responses

from lowtide_core.errors import Malformed, NoData, ProviderError, Rejected, Unavailable
from lowtide_core.places import ZoneId
from lowtide_core.series import Frame
from lowtide_core.spans import Span
from lowtide_providers.http import Http
from lowtide_providers.signals.energinet import EnerginetSource

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lowtide_core.ports import Wanted

WEST, EAST = ZoneId("DK-DK1"), ZoneId("DK-DK2")
STEP, HOUR = timedelta(minutes=5), timedelta(hours=1)
DANISH = ZoneInfo("Europe/Copenhagen")
START = datetime(2026, 3, 29, 0, 0, tzinfo=UTC)  # clocks go forward an hour later
NOW = START + timedelta(minutes=7)
SPAN = Span(NOW, NOW + 3 * HOUR)
PROGNOSIS = "https://api.energidataservice.dk/dataset/CO2EmisProg"
MEASURED = "https://api.energidataservice.dk/dataset/CO2Emis"


@pytest.fixture
def net() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        yield mock


def _source(http: Http | None = None) -> EnerginetSource:
    return EnerginetSource(http or Http(retries=0), now_utc=lambda: NOW)


def _record(at: datetime, value: object, area: str = "DK1") -> dict[str, object]:
    return {
        "Minutes5UTC": f"{at:%Y-%m-%dT%H:%M:%S}",
        "Minutes5DK": f"{at.astimezone(DANISH):%Y-%m-%dT%H:%M:%S}",
        "PriceArea": area,
        "CO2Emission": value,
    }


def _body(records: list[Any], total: int | None = None) -> dict[str, object]:
    return {
        "total": len(records) if total is None else total,
        "sort": "Minutes5UTC asc",
        "limit": 5000,
        "dataset": "CO2EmisProg",
        "records": records,
    }


def _asked(net: responses.RequestsMock) -> list[dict[str, str]]:
    queries = [urlsplit(call.request.url or "").query for call in net.calls]
    return [{name: values[0] for name, values in parse_qs(query).items()} for query in queries]


def _service(request: Any, first: datetime, count: int, zone: ZoneInfo | None) -> tuple[int, dict[str, str], str]:
    """It filters, sorts, limits and pages as it says it does; ``zone`` is the one in which it reads start and end."""
    asked = {name: values[0] for name, values in parse_qs(urlsplit(request.url).query).items()}
    start, end = (datetime.fromisoformat(asked[name]).replace(tzinfo=zone or UTC) for name in ("start", "end"))
    areas = json.loads(asked.get("filter", "{}")).get("PriceArea", ["DK1", "DK2"])
    rows = [
        _record(first + i * STEP, i + (0 if area == "DK1" else 0.5), area)
        for i in range(count)
        for area in areas
        if start <= first + i * STEP < end
    ]
    if asked.get("sort") != "Minutes5UTC asc":
        rows.reverse()
    offset, limit = int(asked.get("offset", 0)), int(asked.get("limit", 100))
    return 200, {}, json.dumps(_body(rows[offset : offset + limit], len(rows)))


def test_a_forecast_is_of_its_area_in_utc_and_says_what_it_is(net: responses.RequestsMock) -> None:
    net.get(PROGNOSIS, json=_body([_record(START + i * STEP, 90 + i) for i in range(100)]))
    series = _source().fetch(WEST, SPAN, "forecast")
    assert series.start_utc == START + STEP
    np.testing.assert_array_equal(series.intensity_g_per_kwh, 91.0 + np.arange(37))
    assert (series.kind, series.step_s, series.source) == ("forecast", 300.0, "energinet")
    assert series.frame == Frame("average", "direct", "consumption")
    assert series.issued_at == series.fetched_at == NOW
    assert _asked(net) == [
        {
            "start": "2026-03-29T00:05",
            "end": "2026-03-29T05:10",  # and two hours, should they be read as Danish time
            "timezone": "UTC",
            "filter": '{"PriceArea": ["DK1"]}',
            "sort": "Minutes5UTC asc",
            "limit": "5000",
            "offset": "0",
        }
    ]


def test_the_other_area_is_the_other_zone(net: responses.RequestsMock) -> None:
    net.add_callback(responses.GET, PROGNOSIS, lambda request: _service(request, START, 100, None))
    assert _source().fetch(WEST, SPAN, "forecast").intensity_g_per_kwh[:2].tolist() == [1, 2]
    assert _source().fetch(EAST, SPAN, "forecast").intensity_g_per_kwh[:2].tolist() == [1.5, 2.5]


def test_an_actual_is_of_the_other_data_set_and_keeps_its_gaps(net: responses.RequestsMock) -> None:
    records = [_record(START - 3 * STEP, 94), _record(START - 2 * STEP, None), _record(START, 95.25)]
    net.get(MEASURED, json=_body(records))
    series = _source().fetch(WEST, Span(START - HOUR, START + HOUR), "actual")
    np.testing.assert_array_equal(series.intensity_g_per_kwh, [94, np.nan, np.nan, 95.25])
    assert (series.kind, series.issued_at, series.note) == ("actual", None, "")


def test_the_clock_of_this_machine_does_not_matter(
    net: responses.RequestsMock, monkeypatch: pytest.MonkeyPatch
) -> None:
    net.get(PROGNOSIS, json=_body([_record(START + i * STEP, i) for i in range(60)]))
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        series = _source().fetch(WEST, SPAN, "forecast")
    finally:
        monkeypatch.undo()
        time.tzset()
    assert (series.start_utc, series.intensity_g_per_kwh[0]) == (START + STEP, 1)


def test_order_does_not_matter(net: responses.RequestsMock) -> None:
    net.get(PROGNOSIS, json=_body([_record(START + i * STEP, i) for i in range(60, -1, -1)]))
    assert _source().fetch(WEST, SPAN, "forecast").intensity_g_per_kwh[:2].tolist() == [1, 2]


@pytest.mark.parametrize("zone", [None, DANISH], ids=["utc", "danish"])
@pytest.mark.parametrize("day", ["2026-03-29", "2026-10-25", "2026-07-01"])
def test_a_day_is_whole_however_the_service_reads_its_bounds(
    net: responses.RequestsMock, zone: ZoneInfo | None, day: str
) -> None:
    """Also the days of 23 and of 25 hours, on which Danish clock times are missing or come twice."""
    start = datetime.fromisoformat(f"{day}T00:00").replace(tzinfo=DANISH).astimezone(UTC)
    end = (datetime.fromisoformat(f"{day}T00:00") + timedelta(days=1)).replace(tzinfo=DANISH).astimezone(UTC)
    first = start - 6 * HOUR
    net.add_callback(responses.GET, MEASURED, lambda request: _service(request, first, 12 * 40, zone))
    series = _source().fetch(WEST, Span(start, end), "actual")
    assert (series.start_utc, series.end_utc) == (start, end)
    np.testing.assert_array_equal(series.intensity_g_per_kwh, 72.0 + np.arange((end - start) // STEP))


def test_all_pages_are_fetched(net: responses.RequestsMock) -> None:
    count = 12 * 24 * 60
    net.add_callback(responses.GET, MEASURED, lambda request: _service(request, START, count, None))
    series = _source().fetch(EAST, Span(START, START + count * STEP), "actual")
    assert [asked["offset"] for asked in _asked(net)] == ["0", "5000", "10000", "15000"]
    np.testing.assert_array_equal(series.intensity_g_per_kwh, 0.5 + np.arange(count))


def test_a_total_that_is_never_reached_does_not_ask_for_ever(net: responses.RequestsMock) -> None:
    net.get(PROGNOSIS, json=_body([_record(START + i * STEP, i) for i in range(60)], total=1_465_496))
    net.get(PROGNOSIS, json=_body([], total=1_465_496))
    assert _source().fetch(WEST, SPAN, "forecast").covers(SPAN)
    assert len(net.calls) == 2


def test_the_same_page_again_is_not_asked_for_ever(net: responses.RequestsMock) -> None:
    net.get(PROGNOSIS, json=_body([_record(START + i * STEP, i) for i in range(60)], total=1_465_496))
    assert _source().fetch(WEST, SPAN, "forecast").covers(SPAN)
    assert len(net.calls) == 2


def test_an_answer_that_was_not_filtered_is_refused(net: responses.RequestsMock) -> None:
    net.get(PROGNOSIS, json=_body([_record(START, 1), _record(START, 2, "DK2")]))
    with pytest.raises(Malformed, match="answered for DK2") as caught:
        _source().fetch(WEST, SPAN, "forecast")
    assert caught.value.facts["zone"] == WEST


@pytest.mark.parametrize("zone", ["DK", "DK-BHM", "DE", "DK1"])
def test_another_zone_is_not_asked_for(zone: str) -> None:
    source = _source(Http(offline=True))
    assert not source.covers(ZoneId(zone))
    with pytest.raises(NoData, match=zone) as caught:
        source.fetch(ZoneId(zone), SPAN, "forecast")
    assert caught.value.facts["zone"] == zone


def test_beyond_its_horizon_there_is_nothing(net: responses.RequestsMock) -> None:
    net.get(PROGNOSIS, json=_body([]))
    with pytest.raises(NoData, match="DK-DK1") as caught:
        _source().fetch(WEST, SPAN, "forecast")
    assert "tomorrow" in caught.value.hint


@pytest.mark.parametrize(
    "change",
    [
        {"CO2Emission": "ND"},
        {"CO2Emission": -1},
        {"CO2Emission": True},
        {"CO2Emission": 10**400},
        {"Minutes5UTC": "2026-03-29T00:05:00Z"},
        {"Minutes5UTC": "2026-03-29T01:05:00+01:00"},
        {"Minutes5UTC": "2026-03-29T00:07:00"},
        {"Minutes5UTC": 1774742700},
        {"Minutes5UTC": None},
    ],
    ids=str,
)
def test_a_strange_row_is_malformed(net: responses.RequestsMock, change: dict[str, object]) -> None:
    good = [_record(START + i * STEP, 1) for i in (2, 3)]
    net.get(PROGNOSIS, json=_body([{**_record(START + STEP, 1), **change}, *good]))
    with pytest.raises(Malformed) as caught:
        _source().fetch(WEST, SPAN, "forecast")
    assert caught.value.__cause__ is not None


@pytest.mark.parametrize("name", ["Minutes5UTC", "PriceArea", "CO2Emission"])
def test_a_renamed_column_is_malformed(net: responses.RequestsMock, name: str) -> None:
    record = _record(START + STEP, 1)
    record[name.lower()] = record.pop(name)
    net.get(PROGNOSIS, json=_body([record]))
    with pytest.raises(Malformed, match=name):
        _source().fetch(WEST, SPAN, "forecast")


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (400, '{"message":"invented: bad filter"}', Rejected),
        (401, "", Rejected),
        (403, "Access denied", Rejected),
        (404, '{"message":"no such dataset (invented)"}', NoData),
        (204, "", NoData),
        (429, "", Unavailable),
        (500, "", Unavailable),
        (502, "<html>", Unavailable),
        (200, "<html>", Malformed),
        (200, "null", Malformed),
        (200, "[]", Malformed),
        (200, '{"total":1}', Malformed),
        (200, '{"total":null,"records":[]}', Malformed),
        (200, '{"total":0,"records":[]}', NoData),
    ],
)
@pytest.mark.parametrize("wanted", ["forecast", "actual"])
def test_every_failure_has_its_type(
    net: responses.RequestsMock, wanted: Wanted, status: int, body: str, error: type[ProviderError]
) -> None:
    net.get(PROGNOSIS, status=status, body=body)
    net.get(MEASURED, status=status, body=body)
    with pytest.raises(ProviderError) as caught:
        _source().fetch(WEST, SPAN, wanted)
    assert type(caught.value) is error
    assert caught.value.operation == f"{wanted} DK-DK1"


def test_a_limit_is_waited_for_as_long_as_it_says(net: responses.RequestsMock) -> None:
    waits: list[float] = []
    net.get(PROGNOSIS, status=429, headers={"Retry-After": "9"})
    net.get(PROGNOSIS, json=_body([_record(START + i * STEP, i) for i in range(60)]))
    assert _source(Http(retries=1, sleep=waits.append)).fetch(WEST, SPAN, "forecast").covers(SPAN)
    assert waits == [9.0]


def test_a_time_out_is_unavailable(net: responses.RequestsMock) -> None:
    net.get(PROGNOSIS, body=requests.ConnectTimeout())
    with pytest.raises(Unavailable):
        _source().fetch(WEST, SPAN, "forecast")
