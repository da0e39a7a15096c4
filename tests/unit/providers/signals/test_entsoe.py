"""European bidding zones: mixes, storage, gaps, days of clocks, the day ahead, and what the platform refuses."""

from __future__ import annotations

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
from lowtide_providers.signals.entsoe import EIC_BY_ZONE, EntsoeSource, forecast_g_per_kwh

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

NL = ZoneId("NL")
HOUR = timedelta(hours=1)
QUARTER = HOUR / 4
START = datetime(2026, 6, 10, 8, tzinfo=UTC)
NOW = START + timedelta(minutes=20)
ADDRESS = "https://web-api.tp.entsoe.eu/api"
TOKEN = "invented-token 7/3"  # with letters that an address spells otherwise
NOTHING = (
    '<?xml version="1.0"?><Acknowledgement_MarketDocument xmlns="urn:iec62325.351:tc57wg16:451-1:'
    'acknowledgementdocument:7:0"><mRID>1</mRID><Reason><code>{code}</code><text>{text}</text></Reason></Acknowledgement_MarketDocument>'
)
NO_MATCH = NOTHING.format(code="999", text="No matching data found for Data item invented")


@pytest.fixture
def net() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        yield mock


def _source(now: datetime = NOW, **more: Any) -> EntsoeSource:
    return EntsoeSource(TOKEN, Http(retries=0), now_utc=lambda: now, **more)


def _series(
    kind: str,
    values: Sequence[float | None],
    start: datetime = START,
    step: timedelta = HOUR,
    *,
    out: bool = False,
    curve: str = "A01",
) -> str:
    points = "".join(
        f"<Point><position>{i + 1}</position><quantity>{v}</quantity></Point>"
        for i, v in enumerate(values)
        if v is not None
    )
    domain = f"{'out' if out else 'in'}BiddingZone_Domain.mRID"
    return (
        f"<TimeSeries><{domain}>invented</{domain}><quantity_Measure_Unit.name>MAW</quantity_Measure_Unit.name>"
        f"<curveType>{curve}</curveType>{f'<MktPSRType><psrType>{kind}</psrType></MktPSRType>' if kind else ''}"
        f"<Period><timeInterval><start>{start:%Y-%m-%dT%H:%MZ}</start>"
        f"<end>{start + len(values) * step:%Y-%m-%dT%H:%MZ}</end></timeInterval>"
        f"<resolution>PT{step // timedelta(minutes=1)}M</resolution>{points}</Period></TimeSeries>"
    )


def _document(*series: str) -> str:
    namespace = "urn:iec62325.351:tc57wg16:451-6:generationloaddocument:3:0"
    return f'<?xml version="1.0"?><GL_MarketDocument xmlns="{namespace}">{"".join(series)}</GL_MarketDocument>'


def _asked(net: responses.RequestsMock) -> list[dict[str, str]]:
    return [{k: v[0] for k, v in parse_qs(urlsplit(call.request.url or "").query).items()} for call in net.calls]


def _answers(net: responses.RequestsMock, **by_document: str | Iterable[str]) -> None:
    """``A75=...``: the answer to that document type; what is not named has no matching data."""

    def answer(request: Any) -> tuple[int, dict[str, str], str]:
        said = by_document.get(parse_qs(urlsplit(request.url).query)["documentType"][0], NO_MATCH)
        return 200, {}, said if isinstance(said, str) else _document(*said)

    net.add_callback(responses.GET, ADDRESS, answer)


def _hours(count: int, start: datetime = START) -> Span:
    return Span(start, start + count * HOUR)


PAST = _hours(4, START - 6 * HOUR)


def _past(kind: str, values: Sequence[float | None], **more: Any) -> str:
    return _series(kind, values, PAST.start_utc, **more)


def test_an_actual_is_the_mean_by_generation_and_is_asked_in_utc(net: responses.RequestsMock) -> None:
    _answers(net, A75=[_past("B05", [300, 0, 300, 300]), _past("B19", [100] * 4), _past("B02", [0] * 4)])
    there = ZoneInfo("Europe/Amsterdam")
    span = Span(PAST.start_utc.astimezone(there), PAST.end_utc.astimezone(there))
    series = _source().fetch(NL, span, "actual")
    mixed = (3 * 820 + 11) / 4
    np.testing.assert_allclose(series.intensity_g_per_kwh, [mixed, 11, mixed, mixed])
    assert (series.start_utc, series.step_s) == (PAST.start_utc, 3600.0)
    assert (series.kind, series.source, series.issued_at, series.fetched_at) == ("actual", "entsoe", None, NOW)
    assert series.frame == Frame("average", "lifecycle", "production")
    assert series.note == "computed from generation: production only"
    assert _asked(net) == [
        {
            "documentType": "A75",
            "processType": "A16",
            "in_Domain": "10YNL----------L",
            "periodStart": "202606100200",
            "periodEnd": "202606100600",
            "securityToken": TOKEN,
        }
    ]


def test_the_frame_chooses_the_factors(net: responses.RequestsMock) -> None:
    _answers(net, A75=[_past("B04", [5] * 4), _past("B14", [5] * 4)])
    series = _source(frame=DIRECT_PRODUCTION).fetch(NL, PAST, "actual")
    np.testing.assert_array_equal(series.intensity_g_per_kwh, [185] * 4)
    assert series.frame == DIRECT_PRODUCTION


def test_every_kind_of_plant_has_its_fuel(net: responses.RequestsMock) -> None:
    by_kind = {"B01": 230, "B02": 820, "B04": 490, "B06": 650, "B09": 38, "B11": 24, "B14": 12, "B16": 45, "B18": 11}
    _answers(net, A75=[_past(kind, [10] * 4) for kind in by_kind])
    series = _source().fetch(NL, PAST, "actual")
    np.testing.assert_allclose(series.intensity_g_per_kwh, np.mean(list(by_kind.values())))
    assert "unknown" not in series.note


def test_a_new_kind_of_plant_is_counted_as_unknown_and_said(net: responses.RequestsMock) -> None:
    _answers(net, A75=[_past("B14", [10] * 4), _past("B77", [10] * 4)])
    series = _source().fetch(NL, PAST, "actual")
    np.testing.assert_array_equal(series.intensity_g_per_kwh, [356] * 4)
    assert "B77 counted as unknown" in series.note


def test_what_storage_takes_is_subtracted_and_a_battery_is_no_plant(net: responses.RequestsMock) -> None:
    """Pumped: 30 - 20; only taken; only given, the other untold; and 0 - 0."""
    given, taken = _past("B10", [30, None, 10, 0]), _past("B10", [20, 40, None, 0], out=True)
    batteries = [_past("B25", [500] * 4), _past("B25", [400] * 4, out=True)]
    _answers(net, A75=[_past("B04", [10] * 4), given, taken, *batteries])
    series = _source().fetch(NL, PAST, "actual")
    np.testing.assert_allclose(series.intensity_g_per_kwh, [257, 490, 257, 490])


def test_omitted_positions_repeat_the_one_before(net: responses.RequestsMock) -> None:
    _answers(
        net, A75=[_past("B04", [10, None, None, 30], curve="A03"), _past("B14", [10, None, 30, None], curve="A03")]
    )
    series = _source().fetch(NL, PAST, "actual")
    np.testing.assert_allclose(series.intensity_g_per_kwh, [251, 251, (490 + 3 * 12) / 4, 251])


def test_nothing_is_filled_beyond_what_has_happened(net: responses.RequestsMock) -> None:
    span = _hours(12, START - 2 * HOUR)
    _answers(net, A75=[_series("B04", [10] + [None] * 11, span.start_utc, curve="A03")])
    series = _source().fetch(NL, span, "actual")
    assert series.end_utc == START


@pytest.mark.parametrize("minutes", [15, 30, 60])
def test_the_steps_are_those_of_the_zone(net: responses.RequestsMock, minutes: int) -> None:
    step = timedelta(minutes=minutes)
    count = 4 * HOUR // step
    _answers(net, A75=[_past("B04", range(1, count + 1), step=step), _past("B14", [1] * count, step=step)])
    series = _source().fetch(NL, PAST, "actual")
    n = np.arange(1, count + 1)
    assert series.step_s == minutes * 60
    np.testing.assert_allclose(series.intensity_g_per_kwh, (490 * n + 12) / (n + 1))


def test_a_coarse_kind_holds_over_the_finer_steps_of_another(net: responses.RequestsMock) -> None:
    _answers(net, A75=[_past("B04", [10, 30, 10, 10]), _past("B14", [10] * 16, step=QUARTER)])
    series = _source().fetch(NL, PAST, "actual")
    assert series.step_s == 900
    np.testing.assert_allclose(series.intensity_g_per_kwh[2:6], [251, 251, 370.5, 370.5])


@pytest.mark.parametrize(("day", "quarters"), [("2026-03-29", 92), ("2026-10-25", 100), ("2026-06-10", 96)])
def test_days_on_which_clocks_change_are_as_long_as_they_are(
    net: responses.RequestsMock, day: str, quarters: int
) -> None:
    first = datetime.fromisoformat(day).replace(tzinfo=ZoneInfo("Europe/Amsterdam"))
    span = Span(first, first + timedelta(days=1))  # the next midnight there, by the clock on the wall
    _answers(net, A75=[_series("B04", range(1, quarters + 1), first.astimezone(UTC), QUARTER)])
    series = _source(NOW + timedelta(days=200)).fetch(NL, span, "actual")
    assert series.intensity_g_per_kwh.size == quarters
    assert series.covers(span)
    assert _asked(net)[0]["periodEnd"] == f"{span.end_utc.astimezone(UTC):%Y%m%d%H%M}"


def test_an_hour_with_one_silent_kind_is_a_gap_and_a_kind_is_none_before_it_is_told_of(
    net: responses.RequestsMock,
) -> None:
    late = _series("B05", [10, 10], PAST.start_utc + HOUR)
    _answers(net, A75=[_past("B04", [10] * 4), late])
    series = _source().fetch(NL, PAST, "actual")
    np.testing.assert_allclose(series.intensity_g_per_kwh, [490, 655, 655])
    assert series.missing(PAST) == (Span(PAST.end_utc - HOUR, PAST.end_utc),)


def test_a_long_past_is_asked_in_parts(net: responses.RequestsMock) -> None:
    end = START - timedelta(days=2)
    span = Span(end - timedelta(days=70), end)

    def answer(request: Any) -> tuple[int, dict[str, str], str]:
        asked = parse_qs(urlsplit(request.url).query)
        first, last = (
            datetime.strptime(asked[name][0], "%Y%m%d%H%M").replace(tzinfo=UTC) for name in ("periodStart", "periodEnd")
        )
        assert last - first <= timedelta(days=30)
        if first == span.start_utc:
            return 200, {}, NO_MATCH  # the zone began to publish later
        return 200, {}, _document(_series("B04", [5] + [None] * ((last - first) // HOUR - 1), first, curve="A03"))

    net.add_callback(responses.GET, ADDRESS, answer)
    series = _source().fetch(NL, span, "actual")
    assert len(net.calls) == 3
    assert series.start_utc == span.start_utc + timedelta(days=30)
    assert series.covers(Span(series.start_utc, span.end_utc))


# --- the day ahead


def _day_ahead(solar: bool = True) -> list[str]:
    """Six hours from START on: wind 100, 200 ..., sun 50."""
    wind = [_series("B18", [10 * i for i in range(1, 7)]), _series("B19", [90 * i for i in range(1, 7)])]
    return [*wind, *([_series("B16", [50] * 6)] if solar else [])]


def _recent() -> list[str]:
    """Two days until two hours ago: in the last, gas 300 and reactors 100 beside wind and sun; before, another mix."""
    start, hours = NOW.replace(minute=0) - 47 * HOUR, 45
    old = [(1, 900)] * 21 + [(300, 100)] * 24
    return [
        _series("B04", [gas for gas, _ in old], start),
        _series("B14", [reactors for _, reactors in old], start),
        _series("B19", [500] * hours, start),
        _series("B16", [20] * hours, start),
    ]


REST = (3 * 490 + 12) / 4


def test_a_forecast_is_wind_and_sun_and_the_last_mix_of_the_rest_up_to_the_total(net: responses.RequestsMock) -> None:
    _answers(net, A69=_day_ahead(), A71=[_series("", [1000] * 6)], A75=_recent())
    series = _source().fetch(NL, Span(NOW, START + 6 * HOUR), "forecast")
    wind = 100.0 * np.arange(1, 7)
    np.testing.assert_allclose(series.intensity_g_per_kwh, (11 * wind + 45 * 50 + REST * (950 - wind)) / 1000)
    assert (series.start_utc, series.step_s, series.kind) == (START, 3600.0, "forecast")
    assert series.issued_at == series.fetched_at == NOW
    assert "production only" in series.note
    assert "entsoe does not say when" in series.note
    asked = [(ask["documentType"], ask["processType"], ask["in_Domain"]) for ask in _asked(net)]
    eic = "10YNL----------L"
    assert asked == [("A69", "A01", eic), ("A71", "A01", eic), ("A75", "A16", eic)]


def test_without_a_total_the_load_stands_for_it_and_that_is_said(net: responses.RequestsMock) -> None:
    _answers(net, A69=_day_ahead(), A65=[_series("", [1000] * 6, out=True)], A75=_recent())
    series = _source().fetch(NL, _hours(1), "forecast")
    np.testing.assert_allclose(series.intensity_g_per_kwh, (11 * 100 + 45 * 50 + REST * 850) / 1000)
    assert "the load stands for the total" in series.note
    load = _asked(net)[2]
    assert (load["documentType"], load["processType"]) == ("A65", "A01")
    assert load["outBiddingZone_Domain"] == "10YNL----------L"


def test_what_plants_are_planned_to_take_is_not_generated(net: responses.RequestsMock) -> None:
    totals = [_series("", [1200] * 6), _series("", [200] * 6, out=True)]
    _answers(net, A69=_day_ahead(), A71=totals, A75=_recent())
    series = _source().fetch(NL, _hours(1), "forecast")
    np.testing.assert_allclose(series.intensity_g_per_kwh, (11 * 100 + 45 * 50 + REST * 850) / 1000)


def test_a_total_of_which_only_what_is_taken_is_told_is_not_known(net: responses.RequestsMock) -> None:
    totals = [_series("", [1000, None, 1000]), _series("", [0, 200, 0], out=True)]
    _answers(net, A69=_day_ahead(), A71=totals, A75=_recent())
    series = _source().fetch(NL, _hours(3), "forecast")
    np.testing.assert_array_equal(np.isnan(series.intensity_g_per_kwh), [False, True, False])


def test_sun_that_nobody_forecasts_belongs_to_the_rest(net: responses.RequestsMock) -> None:
    _answers(net, A69=_day_ahead(solar=False), A71=[_series("", [1000] * 6)], A75=_recent())
    rest = (300 * 490 + 100 * 12 + 20 * 45) / 420
    series = _source().fetch(NL, _hours(1), "forecast")
    np.testing.assert_allclose(series.intensity_g_per_kwh, (11 * 100 + rest * 900) / 1000)


def test_a_forecast_ends_where_one_of_its_parts_ends(net: responses.RequestsMock) -> None:
    _answers(net, A69=_day_ahead(), A71=[_series("", [1000, 1000, None, 1000])], A75=_recent())
    series = _source().fetch(NL, _hours(6), "forecast")
    assert series.end_utc == START + 4 * HOUR
    np.testing.assert_array_equal(np.isnan(series.intensity_g_per_kwh), [False, False, True, False])


def test_the_finest_step_of_the_parts_is_that_of_the_forecast(net: responses.RequestsMock) -> None:
    quarters = _series("", [1000, 2000] * 12, step=QUARTER)
    _answers(net, A69=_day_ahead(), A71=[quarters], A75=_recent())
    series = _source().fetch(NL, _hours(6), "forecast")
    assert (series.step_s, series.intensity_g_per_kwh.size) == (900.0, 24)
    np.testing.assert_allclose(series.intensity_g_per_kwh[1], (11 * 100 + 45 * 50 + REST * 1850) / 2000)


def test_more_wind_than_total_leaves_nothing_to_the_rest() -> None:
    values = forecast_g_per_kwh(
        wind_megawatt=np.array([900.0, 0.0]),
        solar_megawatt=np.array([300.0, 0.0]),
        total_megawatt=np.array([1000.0, 0.0]),
        rest_g_per_kwh=500.0,
        scope="lifecycle",
    )
    np.testing.assert_allclose(values, [(11 * 3 + 45) / 4, np.nan])


@pytest.mark.parametrize(
    ("missing", "why"),
    [
        ("A69", "day-ahead wind and sun"),
        ("A71", "day-ahead generation or load"),
        ("A75", "actual generation"),
    ],
)
def test_a_part_that_is_not_out_is_no_data_and_named(net: responses.RequestsMock, missing: str, why: str) -> None:
    parts: dict[str, Any] = {"A69": _day_ahead(), "A71": [_series("", [1000] * 6)], "A75": _recent()}
    del parts[missing]
    _answers(net, **parts)
    with pytest.raises(NoData, match=why) as caught:
        _source().fetch(NL, _hours(6), "forecast")
    assert caught.value.facts["zone"] == NL


def test_a_mix_of_wind_and_sun_alone_has_no_rest(net: responses.RequestsMock) -> None:
    _answers(net, A69=_day_ahead(), A71=[_series("", [1000] * 6)], A75=_recent()[2:])
    with pytest.raises(NoData, match="beside wind and sun"):
        _source().fetch(NL, _hours(6), "forecast")


def test_a_time_beyond_the_day_ahead_is_no_data(net: responses.RequestsMock) -> None:
    _answers(net, A69=_day_ahead(), A71=[_series("", [1000] * 6)], A75=_recent())
    with pytest.raises(NoData) as caught:
        _source().fetch(NL, _hours(3, START + timedelta(days=9)), "forecast")
    assert "tomorrow" in caught.value.hint


# --- refusals


def test_no_matching_data_is_no_data_under_either_status(net: responses.RequestsMock) -> None:
    net.get(ADDRESS, body=NO_MATCH, status=200)
    with pytest.raises(NoData):
        _source().fetch(NL, PAST, "actual")
    net.reset()
    net.get(ADDRESS, body=NO_MATCH, status=400)
    with pytest.raises(NoData):
        _source().fetch(NL, PAST, "actual")


def test_another_acknowledgement_is_a_refusal(net: responses.RequestsMock) -> None:
    net.get(ADDRESS, body=NOTHING.format(code="A13", text="invented reason"))
    with pytest.raises(Rejected, match="A13, invented reason") as caught:
        _source().fetch(NL, PAST, "actual")
    assert caught.value.facts["reason"] == "request"


def _told(error: BaseException) -> str:
    return "".join(traceback.format_exception(error)) + repr(vars(error))


@pytest.mark.parametrize(
    ("status", "body", "kind", "reason"),
    [
        (401, f"Unauthorized. Invalid token {TOKEN}", Rejected, "key"),
        (403, "<html><title>Access Denied</title></html>", Rejected, "edge"),
        (400, NOTHING.format(code="999", text="Period longer than a year"), Rejected, "request"),
        (404, "", NoData, None),
        (429, "Max allowed requests per minute from each unique IP is max up to 400 only", Unavailable, None),
        (503, "", Unavailable, None),
        (200, "<html><body>Maintenance</body></html>", Malformed, None),
        (200, "", Malformed, None),
        (200, '<!DOCTYPE x [<!ENTITY a "a">]><GL_MarketDocument/>', Malformed, None),
        (302, "", Malformed, None),
    ],
)
def test_refusals_are_told_apart_and_never_tell_the_token(
    net: responses.RequestsMock, status: int, body: str, kind: type[ProviderError], reason: str | None
) -> None:
    net.get(ADDRESS, body=body, status=status)
    with pytest.raises(kind) as caught:
        _source().fetch(NL, PAST, "actual")
    assert type(caught.value) is kind
    assert caught.value.facts.get("reason") == reason
    assert "invented-token" not in _told(caught.value)
    assert ("ENTSOE_API_KEY" in caught.value.hint) == (reason == "key")


def test_a_time_without_a_zone_is_malformed(net: responses.RequestsMock) -> None:
    net.get(ADDRESS, body=_document(_past("B04", [1] * 4)).replace("Z</start>", "</start>"))
    with pytest.raises(Malformed, match="no zone"):
        _source().fetch(NL, PAST, "actual")


def test_the_token_is_not_told_by_logs_and_reprs(net: responses.RequestsMock, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    _answers(net, A75=[_past("B04", [1] * 4)])
    source = _source()
    series = source.fetch(NL, PAST, "actual")
    assert "invented-token" not in f"{source!r}{series!r}{caplog.text}"


def test_without_a_token_nothing_is_asked() -> None:
    source = EntsoeSource("")
    assert not source.covers(NL)
    with pytest.raises(Rejected) as caught:
        source.fetch(NL, PAST, "forecast")
    assert caught.value.facts["reason"] == "key"
    assert "ENTSOE_API_KEY" in caught.value.hint


def test_the_zones_are_those_of_the_facts_and_others_are_refused() -> None:
    assert EIC_BY_ZONE.keys() <= all_zones().keys()
    assert len(set(EIC_BY_ZONE.values())) == len(EIC_BY_ZONE)
    for other in ("GB", "US-TEX-ERCO", "NO", "DE-LU"):
        assert not _source().covers(ZoneId(other))
        with pytest.raises(NoData, match=other):
            _source().fetch(ZoneId(other), PAST, "actual")


@pytest.mark.parametrize("zone", EIC_BY_ZONE)
def test_the_code_of_a_zone_has_its_check_character(zone: str) -> None:
    """ENTSO-E, The Energy Identification Coding Scheme, section on the check character: weights 16 to 2, modulo 37."""
    letters = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ-"
    *body, check = EIC_BY_ZONE[zone]
    assert len(body) == 15
    weighted = sum(letters.index(letter) * (16 - place) for place, letter in enumerate(body))
    assert check == letters[36 - (weighted - 1) % 37]
