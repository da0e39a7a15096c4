"""Australia's east: network time, nulls, roofs and storage, and a forecast that thins what burns."""

from __future__ import annotations

import json
import traceback
import zipfile
from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit
from zoneinfo import ZoneInfo

import numpy as np
import pytest
import responses

from lowtide_core.errors import Malformed, NoData, ProviderError, Rejected, Unavailable
from lowtide_core.places import ZoneId
from lowtide_core.series import Frame
from lowtide_core.spans import Span
from lowtide_facts.zones import all_zones
from lowtide_providers.http import Http
from lowtide_providers.signals.nemweb import AEST, Demand
from lowtide_providers.signals.openelectricity import REGIONS, OpenElectricitySource, forecast_g_per_kwh

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

NSW = ZoneId("AU-NSW")
HOUR = timedelta(hours=1)
START = datetime(2026, 11, 20, 3, tzinfo=UTC)  # 13:00 of the market
NOW = START + timedelta(minutes=10)
PAST = Span(START - 4 * HOUR, START)
DATA = "https://api.openelectricity.org.au/v4/data/network/NEM"
FOLDER = "https://nemweb.com.au/Reports/Current/PredispatchIS_Reports/"
NEWEST = "PUBLIC_PREDISPATCHIS_202611201330_20261120130211.zip"
KEY = "invented-key-5309"


@pytest.fixture
def net() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        yield mock


def _source(now: datetime = NOW) -> OpenElectricitySource:
    return OpenElectricitySource(KEY, Http(retries=0), now_utc=lambda: now)


Kinds = dict[str, "tuple[Sequence[float | None], Sequence[float | None]]"]


def _body(kinds: Kinds, start: datetime = PAST.start_utc, region: str = "NSW1", **more: object) -> dict[str, Any]:
    """Kind of plant -> MWh and tonnes of successive hours, as the service writes them."""

    def result(metric: str, kind: str, values: Sequence[float | None], region: str) -> dict[str, Any]:
        rows = [[f"{(start + i * HOUR).astimezone(AEST).isoformat()}", value] for i, value in enumerate(values)]
        return {"name": f"{metric}_{region}|{kind}", "columns": {"region": region, "fueltech": kind}, "data": rows}

    def block(metric: str, unit: str, which: int) -> dict[str, Any]:
        results = [result(metric, kind, figures[which], region) for kind, figures in kinds.items()]
        other = result(metric, "COAL_BROWN", [999.0] * 4, "VIC1")
        return {"network_code": "NEM", "metric": metric, "unit": unit, "interval": "1h", "results": [*results, other]}

    blocks = [block("energy", "MWh", 0), block("emissions", "t", 1), {"metric": "price"}]
    return {"version": "4.4.5", "success": True, "error": None, "data": blocks, **more}


MIX: Kinds = {
    "COAL_BLACK": ([300, 200, 100, 100], [270, 180, 90, 90]),
    "WIND": ([100, 200, 300, 0], [0, 0, 0, None]),
}


def _asked(net: responses.RequestsMock) -> list[dict[str, list[str]]]:
    return [parse_qs(urlsplit(call.request.url or "").query) for call in net.calls if DATA in str(call.request.url)]


def test_an_actual_is_emissions_over_generation_asked_in_network_time(net: responses.RequestsMock) -> None:
    net.get(DATA, json=_body(MIX))
    series = _source().fetch(NSW, PAST, "actual")
    np.testing.assert_allclose(series.intensity_g_per_kwh, [675, 450, 225, 900])
    assert (series.start_utc, series.step_s, series.kind) == (PAST.start_utc, 3600.0, "actual")
    assert series.start_utc.utcoffset() == timedelta(0)
    assert series.frame == Frame("average", "direct", "production")
    assert (series.source, series.issued_at, series.fetched_at) == ("openelectricity", None, NOW)
    assert "production only" in series.note
    (asked,) = _asked(net)
    assert asked["metrics"] == ["energy", "emissions"]
    assert asked["date_start"] == ["2026-11-20T09:00:00"], "neither shifted twice nor with a zone"
    assert asked["date_end"] == ["2026-11-20T13:00:00"]
    assert (asked["interval"], asked["network_region"]) == (["1h"], ["NSW1"])
    assert (asked["primary_grouping"], asked["secondary_grouping"]) == (["network_region"], ["fueltech"])


def test_an_older_name_of_the_region_is_understood(net: responses.RequestsMock) -> None:
    net.get(DATA, body=json.dumps(_body(MIX)).replace('"region":', '"network_region":'))
    np.testing.assert_allclose(_source().fetch(NSW, PAST, "actual").intensity_g_per_kwh, [675, 450, 225, 900])


def test_roofs_storage_pumps_and_flows_are_no_generation_for_the_grid(net: responses.RequestsMock) -> None:
    others = ("SOLAR_ROOFTOP", "BATTERY_DISCHARGING", "BATTERY_CHARGING", "PUMPS", "IMPORTS", "EXPORTS")
    net.get(DATA, json=_body({**MIX, **{kind: ([500.0] * 4, [0.0] * 4) for kind in others}}))
    np.testing.assert_allclose(_source().fetch(NSW, PAST, "actual").intensity_g_per_kwh, [675, 450, 225, 900])


def test_null_is_a_kind_that_stands_still_and_negative_is_its_own_use(net: responses.RequestsMock) -> None:
    idle: Kinds = {
        "GAS_OCGT": ([None, 0, -1, None], [None, None, None, None]),
        "SOLAR_UTILITY": ([None] * 4, [None] * 4),
    }
    net.get(DATA, json=_body({**MIX, **idle}))
    np.testing.assert_allclose(_source().fetch(NSW, PAST, "actual").intensity_g_per_kwh, [675, 450, 225, 900])


def test_what_burns_without_emissions_told_is_not_known(net: responses.RequestsMock) -> None:
    kinds: Kinds = {"COAL_BLACK": ([100] * 4, [90, None, 90, 90]), "HYDRO": ([100] * 4, [None, None, None, None])}
    net.get(DATA, json=_body(kinds))
    np.testing.assert_allclose(_source().fetch(NSW, PAST, "actual").intensity_g_per_kwh, [450, np.nan, 450, 450])


def test_an_hour_of_which_only_the_sun_is_told_is_not_known(net: responses.RequestsMock) -> None:
    kinds: Kinds = {"COAL_BLACK": ([100, 100, 100, None], [90, 90, 90, None]), "SOLAR_UTILITY": ([100] * 4, [0] * 4)}
    net.get(DATA, json=_body(kinds))
    assert _source().fetch(NSW, PAST, "actual").missing(PAST) == (Span(START - HOUR, START),)


def test_the_running_hour_is_not_told(net: responses.RequestsMock) -> None:
    kinds: Kinds = {"COAL_BLACK": ([100] * 5, [90] * 5)}
    net.get(DATA, json=_body(kinds))
    series = _source().fetch(NSW, Span(PAST.start_utc, START + 6 * HOUR), "actual")
    assert series.end_utc == START
    assert _asked(net)[0]["date_end"] == ["2026-11-20T13:10:00"]


def test_a_time_to_come_has_no_actual_and_nothing_is_asked(net: responses.RequestsMock) -> None:
    with pytest.raises(NoData):
        _source().fetch(NSW, Span(START + 5 * HOUR, START + 9 * HOUR), "actual")
    assert not net.calls


def test_a_long_past_is_asked_in_parts_of_less_than_a_thousand_hours(net: responses.RequestsMock) -> None:
    def answer(request: Any) -> tuple[int, dict[str, str], str]:
        asked = parse_qs(urlsplit(request.url).query)
        first, last = (
            datetime.fromisoformat(asked[name][0]).replace(tzinfo=AEST) for name in ("date_start", "date_end")
        )
        count = (last - first) // HOUR
        assert count <= 1000
        return 200, {}, json.dumps(_body({"COAL_BLACK": ([100] * count, [90] * count)}, first.astimezone(UTC)))

    net.add_callback(responses.GET, DATA, answer)
    span = Span(START - timedelta(days=100), START)
    series = _source().fetch(NSW, span, "actual")
    assert len(net.calls) == 3
    assert series.covers(span)


@pytest.mark.parametrize(("day", "hours"), [("2026-10-04", 23), ("2026-04-05", 25)])
def test_days_on_which_clocks_change_are_as_long_as_they_are(net: responses.RequestsMock, day: str, hours: int) -> None:
    first = datetime.fromisoformat(day).replace(tzinfo=ZoneInfo("Australia/Sydney"))
    span = Span(first, first + timedelta(days=1))  # the next midnight there, by the clock on the wall
    net.get(DATA, json=_body({"COAL_BLACK": ([100] * 30, [90] * 30)}, first.astimezone(UTC)))
    series = _source().fetch(NSW, span, "actual")
    assert series.intensity_g_per_kwh.size == hours
    assert series.covers(span)


# --- the forecast


def _predispatch(rows: Sequence[tuple[object, object, object]], wind: str = "SS_WIND_UIGF") -> bytes:
    """Demand, wind and sun of half hours from START on; ``wind`` is the name of that column."""
    text = "C,NEMP.WORLD,PREDISPATCHIS,AEMO,PUBLIC,2026/11/20,13:02:11,1,PREDISPATCHIS,1\n"
    text += f"I,PREDISPATCH,REGION_SOLUTION,4,REGIONID,INTERVENTION,TOTALDEMAND,{wind},SS_SOLAR_UIGF,DATETIME\n"
    for index, figures in enumerate(rows):
        ends = (START + (index + 1) * HOUR / 2).astimezone(AEST)
        listed = ",".join(map(str, figures))
        text += f'D,PREDISPATCH,REGION_SOLUTION,4,NSW1,0,{listed},"{ends:%Y/%m/%d %H:%M:%S}"\n'
    body = BytesIO()
    with zipfile.ZipFile(body, "w") as archive:
        archive.writestr(NEWEST.replace("zip", "CSV"), text)
    return body.getvalue()


def _answers(
    net: responses.RequestsMock, rows: Sequence[tuple[object, object, object]], mix: Kinds | None = None
) -> None:
    names = ("PUBLIC_PREDISPATCHIS_202611201300_20261120123211.zip", NEWEST)
    net.get(FOLDER, body="".join(f'<A HREF="/Reports/CURRENT/PredispatchIS_Reports/{name}">' for name in names))
    net.get(FOLDER + NEWEST, body=_predispatch(rows))
    net.get(DATA, json=_body(MIX if mix is None else mix))


def test_a_forecast_thins_what_burned_by_wind_and_sun(net: responses.RequestsMock) -> None:
    _answers(net, [(1000, 100, 0), (1000, 250, 250), (2000, 0, 0), (500, 400, 300), (-50, 100, 0)])
    series = _source().fetch(NSW, Span(NOW, START + 3 * HOUR), "forecast")
    np.testing.assert_allclose(series.intensity_g_per_kwh, [810, 450, 900, 0, 0])
    assert (series.start_utc, series.step_s, series.kind) == (START, 1800.0, "forecast")
    assert series.issued_at == datetime(2026, 11, 20, 3, 2, 11, tzinfo=UTC)
    assert series.fetched_at == NOW
    assert series.frame == Frame("average", "direct", "production")
    assert "production only" in series.note
    assert "does not say when" not in series.note


def test_the_other_plants_are_those_of_the_last_day_that_is_known(net: responses.RequestsMock) -> None:
    """Before it, brown coal alone; hydro and gas count among the others, wind and sun do not."""
    old, day = 20, 24
    start = START - (old + day) * HOUR
    kinds: Kinds = {
        "COAL_BROWN": ([1000] * old + [0] * day, [1200] * old + [0] * day),
        "GAS_CCGT": ([0] * old + [300] * day, [0] * old + [120] * day),
        "HYDRO": ([0] * old + [100] * day, [None] * (old + day)),
        "SOLAR_UTILITY": ([700] * (old + day), [0] * (old + day)),
        "WIND": ([70] * (old + day), [0] * (old + day)),
    }
    _answers(net, [(1000, 0, 0)])
    net.replace(responses.GET, DATA, json=_body(kinds, start))
    series = _source().fetch(NSW, Span(START, START + HOUR), "forecast")
    np.testing.assert_allclose(series.intensity_g_per_kwh, [300])
    assert _asked(net)[0]["date_start"] == ["2026-11-18T13:00:00"]


def test_an_unknown_figure_is_a_gap(net: responses.RequestsMock) -> None:
    _answers(net, [(1000, 0, 0), (1000, "", 0), (1000, 0, 0)])
    series = _source().fetch(NSW, Span(START, START + 2 * HOUR), "forecast")
    np.testing.assert_allclose(series.intensity_g_per_kwh, [900, np.nan, 900])
    assert np.isnan(forecast_g_per_kwh(Demand(float("nan"), 1, 1), 500))


def test_wind_alone_has_no_rest_to_hold(net: responses.RequestsMock) -> None:
    _answers(net, [(1000, 0, 0)], {"WIND": ([100] * 4, [0] * 4)})
    with pytest.raises(NoData, match="beside wind and sun") as caught:
        _source().fetch(NSW, Span(START, START + HOUR), "forecast")
    assert caught.value.facts["zone"] == NSW


def test_a_folder_without_a_file_is_no_data(net: responses.RequestsMock) -> None:
    net.get(FOLDER, body="<html>empty</html>")
    with pytest.raises(NoData, match="nemweb lists none"):
        _source().fetch(NSW, PAST, "forecast")


def test_a_time_beyond_pre_dispatch_is_no_data(net: responses.RequestsMock) -> None:
    _answers(net, [(1000, 0, 0)])
    with pytest.raises(NoData) as caught:
        _source().fetch(NSW, Span(START + 90 * HOUR, START + 91 * HOUR), "forecast")
    assert "16 to 40 h" in caught.value.hint


def test_a_strange_archive_is_malformed(net: responses.RequestsMock) -> None:
    _answers(net, [(1000, 0, 0)])
    net.replace(responses.GET, FOLDER + NEWEST, body=b"<html>Maintenance</html>")
    with pytest.raises(Malformed, match="nemweb pre-dispatch NSW1"):
        _source().fetch(NSW, PAST, "forecast")


def test_a_renamed_column_is_malformed_and_named(net: responses.RequestsMock) -> None:
    _answers(net, [(1000, 0, 0)])
    net.replace(responses.GET, FOLDER + NEWEST, body=_predispatch([(1000, 0, 0)], wind="SS_WIND"))
    with pytest.raises(Malformed, match="'SS_WIND_UIGF' is missing"):
        _source().fetch(NSW, PAST, "forecast")


# --- refusals


@pytest.mark.parametrize("wanted", ["actual", "forecast"])
def test_without_a_key_neither_is_known_and_nothing_is_asked(wanted: Any) -> None:
    source = OpenElectricitySource("")
    assert not source.covers(NSW)
    with pytest.raises(Rejected) as caught:
        source.fetch(NSW, PAST, wanted)
    assert caught.value.facts["reason"] == "key"
    assert "OPENELECTRICITY_API_KEY" in caught.value.hint


def test_the_zones_are_those_of_the_facts_and_others_are_refused() -> None:
    assert REGIONS.keys() <= all_zones().keys()
    for other in ("AU-WA", "AU", "AU-TAS-KI", "NZ"):
        assert not _source().covers(ZoneId(other))
        with pytest.raises(NoData, match=other):
            _source().fetch(ZoneId(other), PAST, "forecast")


def _told(error: BaseException) -> str:
    return "".join(traceback.format_exception(error)) + repr(vars(error))


@pytest.mark.parametrize(
    ("status", "body", "kind", "reason"),
    [
        (401, {"detail": f"Invalid API key {KEY}"}, Rejected, "key"),
        (403, {"error": "invented"}, Rejected, "key"),
        (400, {"success": False, "error": "Date range too large"}, Rejected, "request"),
        (200, {"success": False, "error": f"refused to {KEY}", "data": []}, Rejected, "request"),
        (404, {}, NoData, None),
        (429, {}, Unavailable, None),
        (500, {}, Unavailable, None),
        (200, [], Malformed, None),
        (200, {"success": True}, Malformed, None),
    ],
)
def test_refusals_are_told_apart_and_never_tell_the_key(
    net: responses.RequestsMock, status: int, body: object, kind: type[ProviderError], reason: str | None
) -> None:
    net.get(DATA, json=body, status=status)
    with pytest.raises(kind) as caught:
        _source().fetch(NSW, PAST, "actual")
    assert caught.value.facts.get("reason") == reason
    assert KEY not in _told(caught.value)
    assert ("OPENELECTRICITY_API_KEY" in caught.value.hint) == (reason == "key")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"unit": "MWh"', '"unit": "GWh"'),
        ('"unit": "t"', '"unit": "kg"'),
        ('"interval": "1h"', '"interval": "5m"'),
        ("+10:00", ""),
        ('"fueltech"', '"fuel"'),
        ('"region": "NSW1"', '"state": "NSW1"'),
        ("270", '"much"'),
        ("270", "true"),
        ('"results"', '"rows"'),
    ],
)
def test_a_strange_answer_is_malformed(net: responses.RequestsMock, old: str, new: str) -> None:
    body = json.dumps(_body(MIX))
    assert old in body
    net.get(DATA, body=body.replace(old, new))
    with pytest.raises(Malformed) as caught:
        _source().fetch(NSW, PAST, "actual")
    assert caught.value.__cause__ is not None


def test_no_result_is_no_data(net: responses.RequestsMock) -> None:
    net.get(DATA, json={"success": True, "data": []})
    with pytest.raises(NoData):
        _source().fetch(NSW, PAST, "actual")


def test_the_key_travels_in_the_header_alone_and_not_to_nemweb(
    net: responses.RequestsMock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    _answers(net, [(1000, 0, 0)])
    source = _source()
    series = source.fetch(NSW, Span(START, START + HOUR), "forecast")
    for call in net.calls:
        ours = str(call.request.url).startswith(DATA)
        assert call.request.headers.get("Authorization") == (f"Bearer {KEY}" if ours else None)
        assert KEY not in str(call.request.url)
    assert KEY not in f"{source!r}{series!r}{caplog.text}"
