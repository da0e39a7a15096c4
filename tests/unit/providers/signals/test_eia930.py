"""Hours of the United States: labels, pages, nulls, storage, and a key that is never told."""

from __future__ import annotations

import json
import traceback
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit
from zoneinfo import ZoneInfo

import numpy as np
import pytest
import responses

from lowtide_core.errors import Malformed, NoData, ProviderError, Rejected, Unavailable
from lowtide_core.places import ZoneId
from lowtide_core.series import DIRECT_PRODUCTION, Frame
from lowtide_core.spans import Span
from lowtide_facts.zones import all_zones
from lowtide_providers.http import Http
from lowtide_providers.signals.eia930 import RESPONDENTS, Eia930Source

if TYPE_CHECKING:
    from collections.abc import Iterator

TEXAS = ZoneId("US-TEX-ERCO")
HOUR = timedelta(hours=1)
START = datetime(2026, 5, 12, 8, tzinfo=UTC)
NOW = START + timedelta(days=2)
ADDRESS = "https://api.eia.gov/v2/electricity/rto/fuel-type-data/data/"
KEY = "invented-key-5309"


@pytest.fixture
def net() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        yield mock


def _source(**more: Any) -> Eia930Source:
    return Eia930Source(KEY, Http(retries=0), now_utc=lambda: NOW, **more)


def _row(hour: int, fuel: str, value: object, **more: object) -> dict[str, Any]:
    """Generation in the hour that begins ``hour`` hours after START, as EIA labels it."""
    return {
        "period": f"{START + (hour + 1) * HOUR:%Y-%m-%dT%H}",
        "respondent": "ERCO",
        "respondent-name": "Invented",
        "fueltype": fuel,
        "type-name": "Invented",
        "value": value,
        "value-units": "megawatthours",
        **more,
    }


def _body(rows: list[dict[str, Any]], total: object = None) -> dict[str, Any]:
    answer = {"total": str(len(rows)) if total is None else total, "frequency": "hourly", "data": rows}
    return {"response": answer, "request": {"params": {"api_key": KEY}}, "apiVersion": "2.1.0"}


def _asked(net: responses.RequestsMock) -> list[dict[str, str]]:
    return [{k: v[0] for k, v in parse_qs(urlsplit(call.request.url or "").query).items()} for call in net.calls]


def _hours(count: int) -> Span:
    return Span(START, START + count * HOUR)


def test_a_period_names_the_hour_that_ends_then(net: responses.RequestsMock) -> None:
    net.get(ADDRESS, json=_body([_row(i, fuel, 1 + (fuel == "NUC") * i) for i in range(5) for fuel in ("NG", "NUC")]))
    series = _source().fetch(TEXAS, _hours(4), "actual")
    np.testing.assert_allclose(series.intensity_g_per_kwh, [(490 + 12 * n) / (1 + n) for n in (1, 2, 3, 4)])
    assert (series.start_utc, series.step_s) == (START, 3600.0)
    assert (_asked(net)[0]["start"], _asked(net)[0]["end"]) == ("2026-05-12T09", "2026-05-12T12")


def test_an_actual_is_the_mean_by_generation(net: responses.RequestsMock) -> None:
    rows = [_row(i, fuel, value) for i in range(3) for fuel, value in (("COL", "300"), ("WND", 100), ("NG", 0.0))]
    net.get(ADDRESS, json=_body(rows))
    series = _source().fetch(TEXAS, _hours(3), "actual")
    np.testing.assert_allclose(series.intensity_g_per_kwh, (3 * 820 + 11) / 4)
    assert series.frame == Frame("average", "lifecycle", "production")
    assert (series.kind, series.source, series.issued_at, series.fetched_at) == ("actual", "eia930", None, NOW)
    assert series.note == "computed from generation: production only"


def test_the_frame_chooses_the_factors(net: responses.RequestsMock) -> None:
    net.get(ADDRESS, json=_body([_row(0, "COL", 5), _row(0, "NUC", 5)]))
    series = _source(frame=DIRECT_PRODUCTION).fetch(TEXAS, _hours(1), "actual")
    np.testing.assert_array_equal(series.intensity_g_per_kwh, [380])
    assert series.frame == DIRECT_PRODUCTION


def test_a_span_in_another_zone_of_time_and_off_the_hour_is_asked_in_whole_hours_of_utc(
    net: responses.RequestsMock,
) -> None:
    net.get(ADDRESS, json=_body([_row(i, "NG", 1) for i in range(-2, 8)]))
    start = (START + timedelta(minutes=20)).astimezone(ZoneInfo("America/Chicago"))
    series = _source().fetch(TEXAS, Span(start, start + 2 * HOUR), "actual")
    assert (_asked(net)[0]["start"], _asked(net)[0]["end"]) == ("2026-05-12T09", "2026-05-12T11")
    assert (series.start_utc, series.intensity_g_per_kwh.size) == (START, 3)


@pytest.mark.parametrize(("day", "hours"), [("2026-03-08", 23), ("2026-11-01", 25), ("2026-06-01", 24)])
def test_days_on_which_clocks_change_are_as_long_as_they_are(net: responses.RequestsMock, day: str, hours: int) -> None:
    first = datetime.fromisoformat(day).replace(tzinfo=ZoneInfo("America/Chicago"))
    span = Span(first, first + timedelta(days=1))  # the next midnight there, by the clock on the wall
    offset = (first.astimezone(UTC) - START) // HOUR
    net.get(ADDRESS, json=_body([_row(offset + i, "NG", 1 + i) for i in range(-3, 30)]))
    series = _source().fetch(TEXAS, span, "actual")
    assert series.intensity_g_per_kwh.size == hours
    assert series.covers(span)


@pytest.mark.parametrize("total", ["7", 7])
def test_all_pages_are_read_in_one_order(net: responses.RequestsMock, total: object) -> None:
    rows = [_row(i, "NG", 1) for i in range(7)]

    def answer(request: Any) -> tuple[int, dict[str, str], str]:
        offset = int(parse_qs(urlsplit(request.url).query)["offset"][0])
        return 200, {}, json.dumps(_body(rows[offset : offset + 3], total))

    net.add_callback(responses.GET, ADDRESS, answer)
    series = _source().fetch(TEXAS, _hours(7), "actual")
    assert series.intensity_g_per_kwh.size == 7
    asked = _asked(net)
    assert [page["offset"] for page in asked] == ["0", "3", "6"]
    assert {page["length"] for page in asked} == {"5000"}
    order = ("sort[0][column]", "sort[0][direction]", "sort[1][column]", "sort[1][direction]")
    assert {tuple(page[name] for name in order) for page in asked} == {("period", "asc", "fueltype", "asc")}


def test_fewer_rows_than_named_are_no_answer(net: responses.RequestsMock) -> None:
    net.get(ADDRESS, json=_body([_row(0, "NG", 1)], "9"))
    net.get(ADDRESS, json=_body([], "9"))
    with pytest.raises(Malformed, match="named 9 rows and gave 1"):
        _source().fetch(TEXAS, _hours(3), "actual")


def test_storage_is_not_generation(net: responses.RequestsMock) -> None:
    rows = [_row(0, "NG", 10), _row(0, "BAT", -5), _row(0, "PS", "700"), _row(0, "OES", 3), _row(0, "UES", 3)]
    net.get(ADDRESS, json=_body(rows))
    series = _source().fetch(TEXAS, _hours(1), "actual")
    np.testing.assert_array_equal(series.intensity_g_per_kwh, [490])


def test_storage_alone_is_no_data(net: responses.RequestsMock) -> None:
    net.get(ADDRESS, json=_body([_row(0, "BAT", 5)]))
    with pytest.raises(NoData):
        _source().fetch(TEXAS, _hours(1), "actual")


def test_panels_and_turbines_with_batteries_are_what_they_are(net: responses.RequestsMock) -> None:
    net.get(ADDRESS, json=_body([_row(0, "SNB", 10), _row(0, "WNB", 10)]))
    series = _source().fetch(TEXAS, _hours(1), "actual")
    np.testing.assert_array_equal(series.intensity_g_per_kwh, [28])
    assert "unknown" not in series.note


def test_a_fuel_of_a_new_name_is_counted_as_unknown_and_said(net: responses.RequestsMock) -> None:
    net.get(ADDRESS, json=_body([_row(0, "NUC", 10), _row(0, "XYZ", 10)]))
    series = _source().fetch(TEXAS, _hours(1), "actual")
    np.testing.assert_array_equal(series.intensity_g_per_kwh, [356])
    assert "fuel XYZ counted as unknown" in series.note


def test_an_hour_with_one_unknown_fuel_is_a_gap(net: responses.RequestsMock) -> None:
    """A null, a row that is missing, an hour that is missing; a fuel is none before it is first told of."""
    rows = [_row(i, "NG", 1) for i in (0, 1, 2, 4, 5)] + [_row(i, "COL", 1) for i in (1, 4, 5)]
    rows += [_row(i, "SUN", None if i == 4 else 0) for i in range(6)]
    net.get(ADDRESS, json=_body(sorted(rows, key=lambda row: str(row["period"]))))
    series = _source().fetch(TEXAS, _hours(6), "actual")
    np.testing.assert_array_equal(series.intensity_g_per_kwh, [490, 655, np.nan, np.nan, np.nan, 655])


def test_what_is_not_out_yet_is_missing_at_the_end(net: responses.RequestsMock) -> None:
    net.get(ADDRESS, json=_body([_row(i, "NG", 1) for i in range(3)]))
    span = _hours(6)
    series = _source().fetch(TEXAS, span, "actual")
    assert series.missing(span) == (Span(START + 3 * HOUR, START + 6 * HOUR),)


@pytest.mark.parametrize("total", ["0", 0])
def test_no_row_is_no_data(net: responses.RequestsMock, total: object) -> None:
    net.get(ADDRESS, json=_body([], total))
    with pytest.raises(NoData) as caught:
        _source().fetch(TEXAS, _hours(3), "actual")
    assert "late" in caught.value.hint


def test_rows_of_another_time_are_not_taken_for_those_asked_for(net: responses.RequestsMock) -> None:
    net.get(ADDRESS, json=_body([_row(i, "NG", 1) for i in range(-9, -3)]))
    with pytest.raises(NoData):
        _source().fetch(TEXAS, _hours(3), "actual")


def test_there_is_no_forecast_and_nothing_is_asked() -> None:
    with pytest.raises(NoData, match="no forecast of generation") as caught:
        _source().fetch(TEXAS, _hours(3), "forecast")
    assert caught.value.facts["zone"] == TEXAS


def test_without_a_key_nothing_is_asked() -> None:
    source = Eia930Source("")
    assert not source.covers(TEXAS)
    with pytest.raises(Rejected) as caught:
        source.fetch(TEXAS, _hours(3), "actual")
    assert caught.value.facts["reason"] == "key"
    assert "EIA_API_KEY" in caught.value.hint


def test_the_zones_are_those_of_the_facts_and_end_with_the_respondent() -> None:
    assert RESPONDENTS.keys() <= all_zones().keys()
    assert (RESPONDENTS["US-CAL-CISO"], RESPONDENTS["US-CENT-SWPP"], RESPONDENTS["US-CAR-SC"]) == ("CISO", "SWPP", "SC")
    assert _source().covers(ZoneId("US-MIDA-PJM"))
    for other in ("DE", "US-HI", "US", "ERCO"):
        assert not _source().covers(ZoneId(other))
        with pytest.raises(NoData, match=other):
            _source().fetch(ZoneId(other), _hours(3), "actual")


def _told(error: BaseException) -> str:
    return "".join(traceback.format_exception(error)) + repr(vars(error))


@pytest.mark.parametrize(
    ("status", "body", "kind", "reason"),
    [
        (403, {"error": {"code": "API_KEY_INVALID", "message": f"{KEY} is invalid"}}, Rejected, "key"),
        (400, {"error": f"Invalid facet, asked by {KEY}", "code": 400}, Rejected, "request"),
        (404, {"error": "invented"}, NoData, None),
        (429, {"error": {"code": "OVER_RATE_LIMIT", "message": f"{KEY} asked too often"}}, Unavailable, None),
        (500, {"error": "invented"}, Unavailable, None),
        (302, {}, Malformed, None),
    ],
)
def test_refusals_are_told_apart_and_never_tell_the_key(
    net: responses.RequestsMock, status: int, body: object, kind: type[ProviderError], reason: str | None
) -> None:
    net.get(ADDRESS, json=body, status=status)
    with pytest.raises(kind) as caught:
        _source().fetch(TEXAS, _hours(3), "actual")
    assert caught.value.facts.get("reason") == reason
    assert KEY not in _told(caught.value)
    assert ("EIA_API_KEY" in caught.value.hint) == (reason == "key")


@pytest.mark.parametrize(
    "body",
    [
        [],
        {"request": {"api_key": KEY}},
        {"response": {"data": [], "request": KEY}},
        {"response": {"total": "many", "data": []}},
        {"response": {"total": 1, "data": {"period": KEY}}},
        _body([_row(0, "NG", "a lot")]),
        _body([_row(0, "NG", True)]),
        _body([_row(0, "NG", 1, respondent="CISO")]),
        _body([_row(0, "NG", 1, **{"value-units": "gigawatthours"})]),
        _body([_row(0, "NG", 1, period="2026-05-12T08:00:00Z")]),
        _body([_row(0, "NG", 1, period=12)]),
        _body([{"fuel": "NG", "period": "2026-05-12T08", "value": 1}]),
    ],
    ids=range(12),
)
def test_a_strange_answer_is_malformed_and_the_echoed_key_is_not_told(
    net: responses.RequestsMock, body: object
) -> None:
    net.get(ADDRESS, json=body)
    with pytest.raises(Malformed) as caught:
        _source().fetch(TEXAS, _hours(3), "actual")
    assert KEY not in _told(caught.value)


def test_the_key_travels_in_the_header_alone_and_stays_in_nothing(
    net: responses.RequestsMock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    net.get(ADDRESS, json=_body([_row(0, "NG", 1)]))
    source = _source()
    series = source.fetch(TEXAS, _hours(1), "actual")
    request = net.calls[0].request
    assert request.headers["X-Api-Key"] == KEY
    assert KEY not in str(request.url)
    assert KEY not in f"{source!r}{series!r}{caplog.text}"
