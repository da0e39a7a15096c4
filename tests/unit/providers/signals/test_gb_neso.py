"""Great Britain's half hours: odd edges, nulls, short horizons and pieces of long questions."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import numpy as np
import pytest
import responses

from lowtide_core.errors import Malformed, NoData, Rejected, Unavailable
from lowtide_core.places import ZoneId
from lowtide_core.series import Frame
from lowtide_core.spans import Span
from lowtide_providers.http import Http
from lowtide_providers.signals.gb_neso import GbNesoSource

if TYPE_CHECKING:
    from collections.abc import Iterator

GB = ZoneId("GB")
HALF = timedelta(minutes=30)
START = datetime(2026, 3, 29, 0, 0, tzinfo=UTC)  # clocks change in Britain an hour later
NOW = START + timedelta(minutes=10)
ANY = re.compile(r"https://api\.carbonintensity\.org\.uk/.*")


@pytest.fixture
def net() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        yield mock


def _source() -> GbNesoSource:
    return GbNesoSource(Http(retries=0), now_utc=lambda: NOW)


def _row(index: int, **figures: object) -> dict[str, Any]:
    start = START + index * HALF
    return {
        "from": f"{start:%Y-%m-%dT%H:%MZ}",
        "to": f"{start + HALF:%Y-%m-%dT%H:%MZ}",
        "intensity": {"index": "low", **figures},
    }


def _paths(net: responses.RequestsMock) -> list[str]:
    return [urlsplit(call.request.url or "").path for call in net.calls]


def test_a_forecast_is_asked_a_minute_into_its_step_and_says_what_it_is(net: responses.RequestsMock) -> None:
    net.get(ANY, json={"data": [_row(i, forecast=100 + i, actual=None) for i in range(-1, 20)]})
    series = _source().fetch(GB, Span(START, START + timedelta(hours=4)), "forecast")
    assert _paths(net) == ["/intensity/2026-03-29T00:01Z/fw48h"]
    np.testing.assert_array_equal(series.intensity_g_per_kwh, 100.0 + np.arange(8))
    assert series.start_utc == START, "the step that ends at the start came along"
    assert series.frame == Frame("average", "direct", "consumption")
    assert (series.kind, series.step_s) == ("forecast", 1800.0)
    assert series.issued_at == series.fetched_at == NOW
    assert "does not say" in series.note


def test_a_span_in_another_zone_of_time_is_asked_in_utc(net: responses.RequestsMock) -> None:
    from zoneinfo import ZoneInfo

    net.get(ANY, json={"data": [_row(i, forecast=100) for i in range(20)]})
    start = (START + timedelta(hours=3, minutes=44)).astimezone(ZoneInfo("Europe/London"))
    _source().fetch(GB, Span(start, start + timedelta(hours=1)), "forecast")
    assert _paths(net) == ["/intensity/2026-03-29T03:31Z/fw48h"]


def test_a_missing_tail_is_missing(net: responses.RequestsMock) -> None:
    net.get(ANY, json={"data": [_row(i, forecast=90) for i in range(4)]})
    span = Span(START, START + timedelta(hours=4))
    series = _source().fetch(GB, span, "forecast")
    assert series.end_utc == START + timedelta(hours=2)
    assert series.missing(span) == (Span(START + timedelta(hours=2), START + timedelta(hours=4)),)


def test_actuals_have_gaps_where_nothing_is_known(net: responses.RequestsMock) -> None:
    rows = [_row(0, actual=50), _row(1, actual=None), _row(2), _row(3, actual=53.5), _row(4, actual=None)]
    net.get(ANY, json={"data": rows})
    series = _source().fetch(GB, Span(START, START + timedelta(hours=3)), "actual")
    np.testing.assert_array_equal(series.intensity_g_per_kwh, [50, np.nan, np.nan, 53.5])
    assert (series.kind, series.issued_at, series.note) == ("actual", None, "")


def test_a_long_past_is_asked_in_pieces_and_no_step_counts_twice(net: responses.RequestsMock) -> None:
    def answer(request: Any) -> tuple[int, dict[str, str], str]:
        import json

        first, last = (
            datetime.strptime(text, "%Y-%m-%dT%H:%MZ").replace(tzinfo=UTC)
            for text in urlsplit(request.url).path.split("/")[2:]
        )
        assert last - first <= timedelta(days=14)
        low, high = (first - START) // HALF, (last - START) // HALF
        return 200, {}, json.dumps({"data": [_row(i, actual=i) for i in range(low, high + 1)]})

    net.add_callback(responses.GET, ANY, answer)
    span = Span(START, START + timedelta(days=30, minutes=7))
    series = _source().fetch(GB, span, "actual")
    assert len(net.calls) == 3
    np.testing.assert_array_equal(series.intensity_g_per_kwh, np.arange(30 * 48 + 1))


@pytest.mark.parametrize("body", ["null", "{}", '{"data":[]}'])
def test_an_empty_answer_is_no_data(net: responses.RequestsMock, body: str) -> None:
    net.get(ANY, body=body)
    with pytest.raises(NoData):
        _source().fetch(GB, Span(START, START + timedelta(hours=4)), "forecast")


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"code": "400 Bad Request", "message": "invented"}, Rejected),
        ({"code": "500 Internal Server Error", "message": "invented"}, Unavailable),
        ("invented", Rejected),
    ],
)
def test_an_error_under_status_200_is_an_error(
    net: responses.RequestsMock, error: object, kind: type[Exception]
) -> None:
    net.get(ANY, json={"error": error})
    with pytest.raises(kind, match="invented"):
        _source().fetch(GB, Span(START, START + timedelta(hours=4)), "forecast")


@pytest.mark.parametrize(
    "row",
    [
        {"start": "2026-03-29T00:00Z", "to": "2026-03-29T00:30Z", "intensity": {"forecast": 1}},
        {"from": "2026-03-29T00:00Z", "to": "2026-03-29T00:30Z", "carbon": {"forecast": 1}},
        {"from": "2026-03-29T00:00Z", "to": "2026-03-29T00:30Z", "intensity": {"predicted": 1}},
        {"from": "2026-03-29T00:00Z", "to": "2026-03-29T00:30Z", "intensity": {"forecast": "ND"}},
        {"from": "2026-03-29T00:00Z", "to": "2026-03-29T00:30Z", "intensity": {"forecast": -4}},
        {"from": "2026-03-29T00:00Z", "to": "2026-03-29T00:30Z", "intensity": {"forecast": True}},
        {"from": "2026-03-29T00:00Z", "to": "2026-03-29T01:00Z", "intensity": {"forecast": 1}},
        {"from": "2026-03-29T00:00", "to": "2026-03-29T00:30", "intensity": {"forecast": 1}},
        {"from": 1774742400, "to": 1774744200, "intensity": {"forecast": 1}},
        "row",
    ],
    ids=str,
)
def test_a_strange_row_is_malformed(net: responses.RequestsMock, row: object) -> None:
    net.get(ANY, json={"data": [row]})
    with pytest.raises(Malformed) as caught:
        _source().fetch(GB, Span(START, START + timedelta(hours=4)), "forecast")
    assert caught.value.__cause__ is not None


def test_steps_off_the_half_hour_are_malformed(net: responses.RequestsMock) -> None:
    odd = {"from": "2026-03-29T00:40Z", "to": "2026-03-29T01:10Z", "intensity": {"forecast": 1}}
    net.get(ANY, json={"data": [_row(0, forecast=1), odd]})
    with pytest.raises(Malformed, match="not on the step"):
        _source().fetch(GB, Span(START, START + timedelta(hours=4)), "forecast")


def test_another_zone_is_not_asked_for() -> None:
    with pytest.raises(NoData) as caught:
        _source().fetch(ZoneId("FR"), Span(START, START + timedelta(hours=4)), "forecast")
    assert caught.value.facts["zone"] == "FR"
