"""eCO2mix: no forecast, two data sets of different steps, texts among numbers, rows of the future without a value."""

from __future__ import annotations

import json
import re
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
from lowtide_providers.signals.eco2mix import Eco2mixSource

if TYPE_CHECKING:
    from collections.abc import Iterator

FR = ZoneId("FR")
PARIS = ZoneInfo("Europe/Paris")
QUARTER, HOUR = timedelta(minutes=15), timedelta(hours=1)
START = datetime(2026, 10, 25, 0, 0, tzinfo=UTC)  # French clocks go back an hour later
NOW = START + 9 * HOUR
SPAN = Span(START, START + HOUR)
BASE = "https://odre.opendatasoft.com/api/explore/v2.1/catalog/datasets"
RECENT, OLDER = f"{BASE}/eco2mix-national-tr/exports/json", f"{BASE}/eco2mix-national-cons-def/exports/json"
REAL_TIME, CONSOLIDATED, FINAL = "Données temps réel", "Données consolidées", "Données définitives"


@pytest.fixture
def net() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        yield mock


def _source(http: Http | None = None) -> Eco2mixSource:
    return Eco2mixSource(http or Http(retries=0), now_utc=lambda: NOW)


def _row(quarter: int, value: object, nature: str = REAL_TIME, **more: object) -> dict[str, Any]:
    at = START + quarter * QUARTER
    return {"date_heure": at.isoformat(), "taux_co2": value, "nature": nature, "perimetre": "France", **more}


def _asked(net: responses.RequestsMock) -> list[tuple[str, dict[str, str]]]:
    urls = [urlsplit(call.request.url or "") for call in net.calls]
    return [(url.path.split("/")[-3], {k: v[0] for k, v in parse_qs(url.query).items()}) for url in urls]


def test_there_is_no_forecast_and_nothing_is_asked_for_one() -> None:
    with pytest.raises(NoData, match="no forecast") as caught:
        _source(Http(offline=True)).fetch(FR, SPAN, "forecast")
    assert "energy-charts" in caught.value.hint


def test_real_time_figures_are_estimates_and_say_what_they_are(net: responses.RequestsMock) -> None:
    net.get(RECENT, json=[_row(i, 13 + i) for i in range(8)])
    series = _source().fetch(FR, SPAN, "actual")
    np.testing.assert_array_equal(series.intensity_g_per_kwh, [13, 14, 15, 16])
    assert (series.kind, series.step_s, series.source) == ("estimated", 900.0, "eco2mix")
    assert series.frame == Frame("average", "direct", "production")
    assert (series.issued_at, series.fetched_at) == (None, NOW)
    assert "revised" in series.note
    assert _asked(net) == [
        (
            "eco2mix-national-tr",
            {
                "select": "date_heure,taux_co2,nature,perimetre",
                "where": "date_heure >= date'2026-10-25T00:00:00Z' AND date_heure < date'2026-10-25T01:00:00Z'",
                "order_by": "date_heure",
                "timezone": "UTC",
            },
        )
    ]


def test_offsets_texts_and_rows_of_the_future(net: responses.RequestsMock) -> None:
    rows = [
        _row(0, "13") | {"date_heure": "2026-10-25T02:00:00+02:00"},
        _row(1, "ND"),
        _row(2, None),
        _row(3, 16.5) | {"date_heure": "2026-10-25T02:45:00+02:00"},
        _row(4, None, prevision_j1=52_000),
        _row(5, "ND"),
    ]
    net.get(RECENT, json=rows)
    series = _source().fetch(FR, Span(START, START + 2 * HOUR), "actual")
    np.testing.assert_array_equal(series.intensity_g_per_kwh, [13, np.nan, np.nan, 16.5])


def test_what_the_recent_set_lacks_is_asked_of_the_older_one(net: responses.RequestsMock) -> None:
    net.get(RECENT, json=[_row(i, 20 + i) for i in range(4, 8)])
    net.get(OLDER, json=[_row(i, None if i % 2 else 10 + i, CONSOLIDATED) for i in range(4)])
    series = _source().fetch(FR, Span(START, START + 2 * HOUR), "actual")
    np.testing.assert_array_equal(series.intensity_g_per_kwh, [10, 10, 12, 12, 24, 25, 26, 27])
    assert series.kind == "estimated", "half of it is"
    assert [name for name, _ in _asked(net)] == ["eco2mix-national-tr", "eco2mix-national-cons-def"]
    assert _asked(net)[1][1]["where"].endswith("date_heure < date'2026-10-25T01:00:00Z'")


@pytest.mark.parametrize("nature", [CONSOLIDATED, FINAL])
def test_half_hours_are_two_quarters_and_revised_ones_are_actual(net: responses.RequestsMock, nature: str) -> None:
    net.get(RECENT, json=[])
    net.get(OLDER, json=[_row(i, 10 + i, nature) for i in range(0, 8, 2)])
    series = _source().fetch(FR, Span(START + QUARTER, START + 2 * HOUR), "actual")
    np.testing.assert_array_equal(series.intensity_g_per_kwh, [10, 12, 12, 14, 14, 16, 16])
    assert (series.kind, series.step_s, series.note) == ("actual", 900.0, "")


def test_only_figures_within_the_span_make_it_an_estimate(net: responses.RequestsMock) -> None:
    net.get(RECENT, json=[_row(0, 10), _row(1, 11, FINAL), _row(2, 12, FINAL), _row(3, 13)])
    assert _source().fetch(FR, Span(START + QUARTER, START + 3 * QUARTER), "actual").kind == "actual"
    assert _source().fetch(FR, Span(START, START + 3 * QUARTER), "actual").kind == "estimated"
    assert _source().fetch(FR, Span(START + QUARTER, START + 4 * QUARTER), "actual").kind == "estimated"


def test_a_gap_among_half_hours_stays_one(net: responses.RequestsMock) -> None:
    net.get(RECENT, json=[])
    net.get(OLDER, json=[_row(0, 10, FINAL), _row(1, None, FINAL), _row(2, "ND", FINAL), _row(4, 14, FINAL)])
    series = _source().fetch(FR, Span(START, START + 2 * HOUR), "actual")
    np.testing.assert_array_equal(series.intensity_g_per_kwh, [10, 10, np.nan, np.nan, 14, 14])


def test_an_older_set_of_quarter_hours_is_not_doubled(net: responses.RequestsMock) -> None:
    net.get(RECENT, json=[])
    net.get(OLDER, json=[_row(0, 10, FINAL), _row(1, 11, FINAL), _row(2, 12, FINAL), _row(4, 14, FINAL)])
    series = _source().fetch(FR, Span(START, START + 2 * HOUR), "actual")
    np.testing.assert_array_equal(series.intensity_g_per_kwh, [10, 11, 12, np.nan, 14])


@pytest.mark.parametrize(("day", "hours"), [("2026-10-25", 25), ("2026-03-29", 23), ("2026-07-01", 24)])
def test_a_french_day_is_whole(net: responses.RequestsMock, day: str, hours: int) -> None:
    start = datetime.fromisoformat(f"{day}T00:00").replace(tzinfo=PARIS).astimezone(UTC)

    def answer(request: Any) -> tuple[int, dict[str, str], str]:
        """It answers exactly what it is asked, in French time."""
        where = parse_qs(urlsplit(request.url).query)["where"][0]
        low, high = (datetime.fromisoformat(text) for text in re.findall(r"date'([^']*)'", where))
        rows = [
            _row(0, i) | {"date_heure": (low + i * QUARTER).astimezone(PARIS).isoformat()}
            for i in range((high - low) // QUARTER)
        ]
        return 200, {}, json.dumps(rows)

    net.add_callback(responses.GET, RECENT, answer)
    series = _source().fetch(FR, Span(start, start + hours * HOUR), "actual")
    np.testing.assert_array_equal(series.intensity_g_per_kwh, np.arange(hours * 4))
    assert series.start_utc == start
    assert len(net.calls) == 1


def test_rows_outside_of_what_was_asked_are_not_taken(net: responses.RequestsMock) -> None:
    net.get(RECENT, json=[_row(-96, 1), _row(1, 13), _row(400, 1)])
    net.get(OLDER, json=[_row(-2, 1), _row(0, 12), _row(6, 1)])
    series = _source().fetch(FR, SPAN, "actual")
    assert (series.start_utc, series.intensity_g_per_kwh.tolist()) == (START, [12, 13])


def test_nothing_anywhere_is_no_data(net: responses.RequestsMock) -> None:
    net.get(RECENT, json=[_row(i, None) for i in range(4)])
    net.get(OLDER, json=[])
    with pytest.raises(NoData) as caught:
        _source().fetch(FR, SPAN, "actual")
    assert caught.value.facts["zone"] == "FR"
    assert "two hours" in caught.value.hint


@pytest.mark.parametrize("zone", ["FR-COR", "DE", "fr"])
def test_another_zone_is_not_asked_for(zone: str) -> None:
    source = _source(Http(offline=True))
    assert not source.covers(ZoneId(zone))
    with pytest.raises(NoData, match=zone):
        source.fetch(ZoneId(zone), SPAN, "actual")


@pytest.mark.parametrize(
    "change",
    [
        {"perimetre": "Bretagne"},
        {"taux_co2": "n.c."},
        {"taux_co2": -3},
        {"taux_co2": False},
        {"taux_co2": [13]},
        {"date_heure": "2026-10-25T00:00:00"},
        {"date_heure": "2026-10-25T00:10:00+00:00"},
        {"date_heure": 1792886400},
    ],
    ids=str,
)
def test_a_strange_row_is_malformed(net: responses.RequestsMock, change: dict[str, object]) -> None:
    net.get(RECENT, json=[_row(0, 1) | change, _row(1, 2)])
    net.get(OLDER, json=[])
    with pytest.raises(Malformed) as caught:
        _source().fetch(FR, SPAN, "actual")
    assert caught.value.__cause__ is not None


@pytest.mark.parametrize("name", ["date_heure", "taux_co2", "nature", "perimetre"])
def test_a_renamed_column_is_malformed(net: responses.RequestsMock, name: str) -> None:
    row = _row(0, 13)
    row[name.upper()] = row.pop(name)
    net.get(RECENT, json=[row])
    with pytest.raises(Malformed, match=name):
        _source().fetch(FR, SPAN, "actual")


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (400, '{"error_code":"ODSQLSyntaxError","message":"invented"}', Rejected),
        (401, "", Rejected),
        (403, "", Rejected),
        (404, '{"error_code":"InexistentDataset","message":"invented"}', NoData),
        (204, "", NoData),
        (429, '{"errorcode":10002,"error":"Too many requests (invented)"}', Unavailable),
        (500, "", Unavailable),
        (504, "", Unavailable),
        (200, "<html>", Malformed),
        (200, "null", Malformed),
        (200, '[{"date_heure":"2026-10-25T00:00:00+00:00", "taux_co2":13}, interrupted', Malformed),
        (200, '{"results":[]}', Malformed),
        (200, '["row"]', Malformed),
    ],
)
def test_every_failure_has_its_type(
    net: responses.RequestsMock, status: int, body: str, error: type[ProviderError]
) -> None:
    net.get(RECENT, status=status, body=body)
    with pytest.raises(ProviderError) as caught:
        _source().fetch(FR, SPAN, "actual")
    assert type(caught.value) is error
    assert caught.value.provider == "eco2mix"


def test_a_limit_is_waited_for_as_long_as_it_says(net: responses.RequestsMock) -> None:
    waits: list[float] = []
    net.get(RECENT, status=429, headers={"Retry-After": "4"})
    net.get(RECENT, json=[_row(i, 13) for i in range(4)])
    assert _source(Http(retries=1, sleep=waits.append)).fetch(FR, SPAN, "actual").covers(SPAN)
    assert waits == [4.0]


def test_a_time_out_is_unavailable(net: responses.RequestsMock) -> None:
    net.get(RECENT, body=requests.ReadTimeout())
    with pytest.raises(Unavailable):
        _source().fetch(FR, SPAN, "actual")
