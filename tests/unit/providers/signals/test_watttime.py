"""WattTime: the login and its token, marginal pounds made grams, what an account opens, and every way to say no."""

from __future__ import annotations

import json
from base64 import b64encode
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
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
from lowtide_facts.zones import find_zone
from lowtide_providers.http import Http
from lowtide_providers.signals.watttime import REGIONS, WattTimeSource

if TYPE_CHECKING:
    from collections.abc import Iterator

CAL = ZoneId("US-CAL-CISO")
STEP, HOUR, DAY = timedelta(minutes=5), timedelta(hours=1), timedelta(days=1)
START = datetime(2026, 6, 10, 8, 10, tzinfo=UTC)
NOW = START + timedelta(minutes=2)
SPAN = Span(NOW, START + 6 * HOUR)
BASE = "https://api.watttime.org"
G = 0.45359237
SCOPE = {
    "error": "Invalid query parameters",
    "message": "Invalid scope. You do not have sufficient access to this resource.",
}


@dataclass
class World:
    """A clock, and how often somebody logged in; each login gives another token."""

    now_utc: datetime = NOW
    logins: int = 0


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def net(world: World) -> Iterator[responses.RequestsMock]:
    def login(_: object) -> tuple[int, dict[str, str], str]:
        world.logins += 1
        return 200, {}, json.dumps({"token": f"token-{world.logins}"})

    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        mock.add_callback(responses.GET, f"{BASE}/login", login)
        yield mock


@pytest.fixture
def source(world: World) -> WattTimeSource:
    return WattTimeSource("somebody", "s3cret", Http(retries=0), now_utc=lambda: world.now_utc)


def _rows(start: datetime, values: list[float | None], **more: object) -> list[dict[str, object]]:
    return [{"point_time": (start + i * STEP).isoformat(), "value": value, **more} for i, value in enumerate(values)]


def _body(rows: list[dict[str, object]], **meta: object) -> dict[str, object]:
    return {
        "data": rows,
        "meta": {
            "data_point_period_seconds": 300,
            "region": "CAISO_NORTH",
            "warnings": [],
            "signal_type": "co2_moer",
            "model": {"date": "2025-01-01"},
            "units": "lbs_co2_per_mwh",
            "generated_at_period_seconds": 300,
            "generated_at": START.isoformat(),
            **meta,
        },
    }


def _forecast(hours: int = 24, **meta: object) -> dict[str, object]:
    return _body(_rows(START, [1000.0 + i for i in range(12 * hours)]), **meta)


def _history(net: responses.RequestsMock, *, value: float = 100.0) -> None:
    """Answers both ends of what is asked, as the service does."""

    def answer(request: Any) -> tuple[int, dict[str, str], str]:
        asked = parse_qs(urlsplit(request.url).query)
        start, end = (datetime.fromisoformat(asked[name][0]) for name in ("start", "end"))
        return 200, {}, json.dumps(_body(_rows(start, [value] * ((end - start) // STEP + 1))))

    net.add_callback(responses.GET, f"{BASE}/v3/historical", answer)


def _asked(net: responses.RequestsMock, last: str) -> list[dict[str, str]]:
    urls = [urlsplit(call.request.url or "") for call in net.calls]
    return [{k: v[0] for k, v in parse_qs(url.query).items()} for url in urls if url.path.endswith(f"/{last}")]


def test_a_forecast_is_marginal_direct_in_grams_and_issued_when_it_was_made(
    net: responses.RequestsMock, source: WattTimeSource
) -> None:
    net.get(f"{BASE}/v3/forecast", json=_forecast(generated_at="2026-06-10T08:05:00+00:00"))
    series = source.fetch(CAL, SPAN, "forecast")
    np.testing.assert_allclose(series.intensity_g_per_kwh, G * (1000.0 + np.arange(72)), rtol=1e-15)
    assert (series.start_utc, series.step_s, series.kind) == (START, 300.0, "forecast")
    assert series.frame == Frame("marginal", "direct", "consumption")
    assert series.issued_at == START - STEP
    assert series.fetched_at == NOW
    assert "north of the zone alone (CAISO_NORTH)" in series.note
    assert _asked(net, "forecast") == [{"signal_type": "co2_moer", "region": "CAISO_NORTH", "horizon_hours": "6"}]


def test_a_region_that_is_the_zone_needs_no_note(net: responses.RequestsMock, source: WattTimeSource) -> None:
    net.get(f"{BASE}/v3/forecast", json=_forecast(region="NEM_NSW"))
    assert source.fetch(ZoneId("AU-NSW"), SPAN, "forecast").note == ""
    assert _asked(net, "forecast")[0]["region"] == "NEM_NSW"


@pytest.mark.parametrize(
    ("end", "horizon_h"),
    [
        (START + STEP, "1"),
        (START + HOUR, "1"),
        (START + HOUR + STEP, "2"),
        (START + 72 * HOUR, "72"),
        (START + 200 * HOUR, "72"),
    ],
)
def test_as_far_as_needed_is_asked(
    net: responses.RequestsMock, source: WattTimeSource, end: datetime, horizon_h: str
) -> None:
    net.get(f"{BASE}/v3/forecast", json=_forecast(72))
    series = source.fetch(CAL, Span(NOW, end), "forecast")
    assert _asked(net, "forecast")[0]["horizon_hours"] == horizon_h
    assert series.end_utc == min(end, START + 72 * HOUR)


def test_beyond_the_horizon_is_no_data(net: responses.RequestsMock, source: WattTimeSource) -> None:
    net.get(f"{BASE}/v3/forecast", json=_forecast(72))
    with pytest.raises(NoData, match="US-CAL-CISO"):
        source.fetch(CAL, Span(NOW + 90 * HOUR, NOW + 95 * HOUR), "forecast")


@pytest.mark.parametrize(
    ("warnings", "note"),
    [
        ([{"type": "EXAMPLE", "message": "Invented warning"}], "watttime warns: Invented warning"),
        ([{"type": "ONLY_TYPE"}], "watttime warns: ONLY_TYPE"),
        (["as text", "as text", "more"], "watttime warns: as text; more"),
        ("alone", "watttime warns: alone"),
        ([], ""),
        (None, ""),
    ],
)
def test_its_warnings_are_told(
    net: responses.RequestsMock, source: WattTimeSource, warnings: object, note: str
) -> None:
    net.get(f"{BASE}/v3/forecast", json=_forecast(region="BPA", warnings=warnings))
    assert source.fetch(ZoneId("US-NW-BPAT"), SPAN, "forecast").note == note


def test_the_login_is_basic_and_its_token_is_kept(
    net: responses.RequestsMock, source: WattTimeSource, world: World
) -> None:
    net.get(f"{BASE}/v3/forecast", json=_forecast())
    for _ in range(2):
        source.fetch(CAL, SPAN, "forecast")
    assert world.logins == 1
    first = net.calls[0].request
    assert first.method == "GET"
    assert first.headers["Authorization"] == f"Basic {b64encode(b'somebody:s3cret').decode()}"
    assert [call.request.headers["Authorization"] for call in net.calls][1:] == ["Bearer token-1"] * 2
    world.now_utc += timedelta(minutes=29)
    source.fetch(CAL, Span(world.now_utc, SPAN.end_utc), "forecast")
    assert world.logins == 2, "a token was used for longer than it is good for"


@pytest.mark.parametrize(("status", "body"), [(401, '{"error":"expired"}'), (403, "<html>403 Forbidden</html>")])
def test_a_token_that_is_no_longer_taken_is_renewed_once(
    net: responses.RequestsMock, source: WattTimeSource, world: World, status: int, body: str
) -> None:
    def answer(request: Any) -> tuple[int, dict[str, str], str]:
        if request.headers["Authorization"] == "Bearer token-1" and world.logins == 1 and len(net.calls) > 1:
            return status, {}, body
        return 200, {}, json.dumps(_forecast())

    net.add_callback(responses.GET, f"{BASE}/v3/forecast", answer)
    for _ in range(2):
        assert source.fetch(CAL, SPAN, "forecast").covers(SPAN)
    assert world.logins == 2
    assert [call.request.headers["Authorization"] for call in net.calls][-1] == "Bearer token-2"


@pytest.mark.parametrize(("status", "reason"), [(401, "key"), (403, "edge")])
def test_a_new_token_that_is_refused_is_not_renewed_again(
    net: responses.RequestsMock, source: WattTimeSource, world: World, status: int, reason: str
) -> None:
    net.get(f"{BASE}/v3/forecast", status=status, body="<html>no</html>")
    for logins in (1, 2):
        with pytest.raises(Rejected) as caught:
            source.fetch(CAL, SPAN, "forecast")
        assert caught.value.facts["reason"] == reason
        assert world.logins == logins


def test_a_plan_that_does_not_cover_it_is_no_matter_of_the_token(
    net: responses.RequestsMock, source: WattTimeSource, world: World
) -> None:
    net.get(f"{BASE}/v3/forecast", status=403, json=SCOPE)
    for _ in range(2):
        with pytest.raises(Rejected) as caught:
            source.fetch(ZoneId("DE"), SPAN, "forecast")
        assert caught.value.facts["reason"] == "plan"
        assert "CAISO_NORTH" in caught.value.hint
    assert world.logins == 1


@pytest.mark.parametrize(
    ("status", "body", "error", "reason"),
    [
        (403, "<html><h1>403 Forbidden</h1></html>", Rejected, "key"),
        (401, "<html><h1>401 Authorization Required</h1></html>", Rejected, "key"),
        (200, "<html>maintenance</html>", Malformed, None),
        (200, "{}", Malformed, None),
        (200, "[]", Malformed, None),
        (200, '{"token": null}', Malformed, None),
        (429, "", Unavailable, None),
        (502, "", Unavailable, None),
    ],
)
def test_a_login_that_fails(
    source: WattTimeSource, status: int, body: str, error: type[ProviderError], reason: str | None
) -> None:
    with responses.RequestsMock() as net:
        net.get(f"{BASE}/login", status=status, body=body)
        with pytest.raises(ProviderError) as caught:
            source.fetch(CAL, SPAN, "forecast")
    assert type(caught.value) is error
    assert caught.value.facts.get("reason") == reason
    assert caught.value.operation == "login"


@pytest.mark.parametrize(
    ("status", "body", "error", "reason"),
    [
        (400, {"error": "Invalid query parameters", "message": "invented: horizon_hours"}, Rejected, "request"),
        (404, {"error": "No coverage available for these coordinates and signal_type"}, NoData, None),
        (429, {"message": "invented"}, Unavailable, None),
        (500, {}, Unavailable, None),
        (200, [], Malformed, None),
        (200, {"data": []}, Malformed, None),
        (200, _body([]), NoData, None),
        (200, _body(_rows(START, [None, None])), NoData, None),
        (200, _body(_rows(START, [-1.0])), Malformed, None),
        (200, _body([{"point_time": START.isoformat(), "renamed": 1}]), Malformed, None),
        (200, _body([{"point_time": "2026-06-10T08:10:00", "value": 1}]), Malformed, None),
        (200, _body(_rows(START + STEP / 2, [1.0]) + _rows(START, [1.0])), Malformed, None),
        (200, _body(_rows(START, [1.0]), region="CAISO_SOUTH"), Malformed, None),
        (200, _body(_rows(START, [1.0]), data_point_period_seconds=3600), Malformed, None),
        (200, _body(_rows(START, [1.0]), generated_at=None), Malformed, None),
    ],
    ids=lambda value: str(value)[:40],
)
def test_every_failure_has_its_type(
    net: responses.RequestsMock,
    source: WattTimeSource,
    status: int,
    body: object,
    error: type[ProviderError],
    reason: str | None,
) -> None:
    net.get(f"{BASE}/v3/forecast", status=status, json=body)
    with pytest.raises(ProviderError) as caught:
        source.fetch(CAL, SPAN, "forecast")
    assert type(caught.value) is error
    assert caught.value.facts.get("reason") == reason
    assert caught.value.provider == "watttime"


@pytest.mark.parametrize("units", ["percentile", "health_damage_usd_per_mwh", "g_co2_per_kwh", "LBS_CO2_PER_MWH"])
def test_other_units_are_refused_by_name(net: responses.RequestsMock, source: WattTimeSource, units: str) -> None:
    net.get(f"{BASE}/v3/forecast", json=_body(_rows(START, [96.0]), units=units))
    with pytest.raises(Malformed, match=units) as caught:
        source.fetch(CAL, SPAN, "forecast")
    assert caught.value.facts["units"] == units


def test_the_past_is_asked_in_pieces_of_thirty_days_that_do_not_meet(
    net: responses.RequestsMock, source: WattTimeSource
) -> None:
    _history(net)
    span = Span(START - 70 * DAY + timedelta(minutes=3), NOW + 5 * HOUR)
    series = source.fetch(CAL, span, "actual")
    asked = [tuple(datetime.fromisoformat(one[name]) for name in ("start", "end")) for one in _asked(net, "historical")]
    assert [start.utcoffset() for start, _ in asked] == [timedelta(0)] * 3
    assert all(end - start <= 30 * DAY for start, end in asked)
    assert [start - end for (_, end), (start, _) in pairwise(asked)] == [STEP] * 2
    assert (asked[0][0], asked[-1][1]) == (START - 70 * DAY, START), "steps were asked for that have not begun"
    assert series.intensity_g_per_kwh.size == 70 * 288 + 1
    np.testing.assert_allclose(series.intensity_g_per_kwh, 100.0 * G)
    assert (series.kind, series.issued_at) == ("actual", None)
    assert {one["include_imputed_marker"] for one in _asked(net, "historical")} == {"true"}


def test_what_lies_ahead_is_never_asked_of_the_past(net: responses.RequestsMock, source: WattTimeSource) -> None:
    with pytest.raises(NoData):
        source.fetch(CAL, Span(NOW + HOUR, NOW + 2 * HOUR), "actual")
    assert len(net.calls) == 0


def test_a_single_step_is_asked_with_two_different_ends(net: responses.RequestsMock, source: WattTimeSource) -> None:
    _history(net)
    series = source.fetch(CAL, Span(START - HOUR, START - HOUR + STEP), "actual")
    assert series.intensity_g_per_kwh.size == 1
    assert _asked(net, "historical")[0]["start"] < _asked(net, "historical")[0]["end"]


def test_gaps_stay_gaps(net: responses.RequestsMock, source: WattTimeSource) -> None:
    first = START - HOUR
    rows = _rows(first, [100.0, None]) + _rows(first + 4 * STEP, [300.0])
    net.get(f"{BASE}/v3/historical", json=_body(rows[::-1]))
    series = source.fetch(CAL, Span(first, first + 12 * STEP), "actual")
    np.testing.assert_allclose(series.intensity_g_per_kwh, np.array([100, np.nan, np.nan, np.nan, 300]) * G)


def test_rows_told_twice_count_once(net: responses.RequestsMock, source: WattTimeSource) -> None:
    first = START - HOUR
    net.get(f"{BASE}/v3/historical", json=_body(_rows(first, [100.0, 200.0]) * 2))
    assert source.fetch(CAL, Span(first, first + 2 * STEP), "actual").intensity_g_per_kwh.size == 2


@pytest.mark.parametrize(("marked", "kind"), [(True, "estimated"), (False, "actual"), (None, "actual")])
def test_imputed_figures_are_called_estimated(
    net: responses.RequestsMock, source: WattTimeSource, marked: bool | None, kind: str
) -> None:
    first = START - HOUR
    outside = _rows(first - 2 * STEP, [1.0], imputed_data_used=True)  # before the span: does not matter
    rows = outside + _rows(first, [1.0]) + _rows(first + STEP, [1.0], imputed_data_used=marked)
    net.get(f"{BASE}/v3/historical", json=_body(rows))
    assert source.fetch(CAL, Span(first, first + 2 * STEP), "actual").kind == kind


@pytest.mark.parametrize("day", ["2026-03-08", "2025-11-02"], ids=["spring", "autumn"])
def test_a_night_in_which_clocks_change_has_all_its_steps(
    net: responses.RequestsMock, source: WattTimeSource, day: str
) -> None:
    _history(net)
    midnight = datetime.fromisoformat(day).replace(tzinfo=ZoneInfo("America/Los_Angeles"))
    local = Span(midnight, midnight + DAY)  # a day by the clock on the wall
    series = source.fetch(CAL, local, "actual")
    steps = (local.end_utc.astimezone(UTC) - local.start_utc.astimezone(UTC)) // STEP
    assert steps in (23 * 12, 25 * 12)
    assert series.intensity_g_per_kwh.size == steps
    assert series.covers(local)


def test_what_an_account_opens_is_read(net: responses.RequestsMock, source: WattTimeSource) -> None:
    def signal(name: str, region: str, *endpoints: str) -> dict[str, object]:
        opened = [{"endpoint": endpoint, "models": []} for endpoint in endpoints]
        return {"signal_type": name, "regions": [{"region": region, "endpoints": opened}]}

    net.get(
        f"{BASE}/v3/my-access",
        json={
            "signal_types": [
                signal("co2_moer", "CAISO_NORTH", "v3/forecast", "v3/historical"),
                signal("health_damage", "BPA", "v3/forecast"),
            ]
        },
    )
    assert source.capabilities(CAL) == {"v3/forecast", "v3/historical"}
    assert source.capabilities(ZoneId("US-NW-BPAT")) == frozenset(), "another signal's access was counted"


@pytest.mark.parametrize("body", [{}, {"signal_types": 5}, {"signal_types": [{"regions": [{"region": "X"}]}]}])
def test_an_unknown_list_of_access_is_malformed(
    net: responses.RequestsMock, source: WattTimeSource, body: object
) -> None:
    net.get(f"{BASE}/v3/my-access", json=body)
    with pytest.raises(Malformed):
        source.capabilities(CAL)


def test_without_an_account_nothing_is_asked() -> None:
    for user, password in (("", ""), ("somebody", ""), ("", "s3cret")):
        source = WattTimeSource(user, password, Http(offline=True))
        assert not source.covers(CAL)
        with pytest.raises(Rejected) as caught:
            source.fetch(CAL, SPAN, "forecast")
        assert caught.value.facts["reason"] == "key"
        assert "WATTTIME_USER" in caught.value.hint


def test_a_zone_that_is_none_of_its_regions_is_not_asked_for(
    net: responses.RequestsMock, source: WattTimeSource
) -> None:
    for zone, near in (("US-MIDA-PJM", ""), ("US-CAL-CISOX", "US-CAL-CISO")):
        assert not source.covers(ZoneId(zone))
        with pytest.raises(NoData, match=zone) as caught:
            source.fetch(ZoneId(zone), SPAN, "forecast")
        assert near in caught.value.hint
    assert len(net.calls) == 0


def test_every_zone_is_one_and_no_region_stands_for_two() -> None:
    assert all(find_zone(zone) == zone for zone in REGIONS)
    assert len(set(REGIONS.values())) == len(REGIONS)
