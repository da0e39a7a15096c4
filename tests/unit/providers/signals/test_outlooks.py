"""Day-ahead wind, sun and load of the sources that have them: shapes as recorded, numbers invented."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
import responses

from lowtide_core.errors import Malformed, NoData, ProviderError, Rejected, Unavailable
from lowtide_core.places import ZoneId
from lowtide_core.spans import Span
from lowtide_providers.http import Http
from lowtide_providers.signals.abilities import TellsOutlook, outlook_teller
from lowtide_providers.signals.cache import CachedSource
from lowtide_providers.signals.eco2mix import Eco2mixSource
from lowtide_providers.signals.eia930 import Eia930Source
from lowtide_providers.signals.energinet import EnerginetSource
from lowtide_providers.signals.energy_charts import EnergyChartsSource
from lowtide_providers.signals.entsoe import EntsoeSource

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

HOUR = timedelta(hours=1)
QUARTER = HOUR / 4
START = datetime(2026, 3, 28, 23, tzinfo=UTC)  # the day of 23 hours
NOW = START - 5 * HOUR
DAY = Span(START, START + 23 * HOUR)
HTTP = Http(retries=0)
NOTHING = (
    '<?xml version="1.0"?><Acknowledgement_MarketDocument xmlns="urn:iec62325.351:tc57wg16:451-1:'
    'acknowledgementdocument:7:0"><Reason><code>999</code><text>No matching data found</text></Reason>'
    "</Acknowledgement_MarketDocument>"
)


def at(now: datetime) -> dict[str, Any]:
    return {"http": HTTP, "now_utc": lambda: now}


SOURCES: dict[str, tuple[Callable[..., Any], ZoneId, str]] = {
    "entsoe": (lambda **more: EntsoeSource("invented", **more), ZoneId("DE"), "https://web-api.tp.entsoe.eu/api"),
    "energinet": (EnerginetSource, ZoneId("DK-DK1"), "https://api.energidataservice.dk/dataset/Forecasts_Hour"),
    "eco2mix": (
        Eco2mixSource,
        ZoneId("FR"),
        "https://odre.opendatasoft.com/api/explore/v2.1/catalog/datasets/eco2mix-national-tr/exports/json",
    ),
    "eia930": (
        lambda **more: Eia930Source("invented", **more),
        ZoneId("US-TEX-ERCO"),
        "https://api.eia.gov/v2/electricity/rto/region-data/data/",
    ),
}


@pytest.fixture
def net() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        yield mock


def series(kind: str, values: list[float | None], step: timedelta = QUARTER) -> str:
    points = "".join(
        f"<Point><position>{i + 1}</position><quantity>{value}</quantity></Point>"
        for i, value in enumerate(values)
        if value is not None
    )
    plant = f"<MktPSRType><psrType>{kind}</psrType></MktPSRType>" if kind else ""
    domain = "in" if kind else "out"
    return (
        f"<TimeSeries><{domain}BiddingZone_Domain.mRID>x</{domain}BiddingZone_Domain.mRID>"
        f"<quantity_Measure_Unit.name>MAW</quantity_Measure_Unit.name><curveType>A01</curveType>{plant}"
        f"<Period><timeInterval><start>{START:%Y-%m-%dT%H:%MZ}</start>"
        f"<end>{START + len(values) * step:%Y-%m-%dT%H:%MZ}</end></timeInterval>"
        f"<resolution>PT{step // timedelta(minutes=1)}M</resolution>{points}</Period></TimeSeries>"
    )


def entsoe(net: responses.RequestsMock, **by_document: list[str]) -> None:
    namespace = "urn:iec62325.351:tc57wg16:451-6:generationloaddocument:3:0"

    def answer(request: Any) -> tuple[int, dict[str, str], str]:
        asked = {name: values[0] for name, values in parse_qs(urlsplit(request.url).query).items()}
        assert asked["processType"] == "A01"
        assert ("outBiddingZone_Domain" in asked) == (asked["documentType"] == "A65")
        said = by_document.get(asked["documentType"])
        if said is None:
            return 200, {}, NOTHING
        return 200, {}, f'<GL_MarketDocument xmlns="{namespace}">{"".join(said)}</GL_MarketDocument>'

    net.add_callback(responses.GET, SOURCES["entsoe"][2], answer)


def test_entsoe_adds_the_winds_and_has_the_load_beside(net: responses.RequestsMock) -> None:
    quarters: list[float | None] = [float(i) for i in range(92)]
    quarters[6] = None
    entsoe(
        net,
        A69=[series("B19", quarters), series("B18", [100.0] * 23, HOUR), series("B16", [0.0] * 92)],
        A65=[series("", [40_000.0] * 23, HOUR)],
    )
    found = EntsoeSource("invented", **at(NOW)).outlook(ZoneId("DE"), DAY)
    hourly = found.hourly()
    assert (found.source, found.step_s, found.start_utc) == ("entsoe", 900.0, START)
    assert found.published_s.size == 92, "the day on which clocks go forward"
    np.testing.assert_array_equal(found.published_s, NOW.timestamp())
    np.testing.assert_allclose(hourly.wind_megawatt[[0, 2, 22]], [101.5, 109.5, 189.5])
    assert np.isnan(hourly.wind_megawatt[1]), "a gap stays one"
    np.testing.assert_array_equal(hourly.solar_megawatt, 0)
    np.testing.assert_array_equal(hourly.load_megawatt, 40_000)


def test_a_kind_of_plant_that_entsoe_does_not_tell_of_is_not_known(net: responses.RequestsMock) -> None:
    entsoe(net, A69=[series("B19", [5.0] * 23, HOUR)])
    found = EntsoeSource("invented", **at(NOW)).outlook(ZoneId("DE"), DAY)
    np.testing.assert_array_equal(found.wind_megawatt, 5)
    assert np.isnan(found.solar_megawatt).all()
    assert np.isnan(found.load_megawatt).all()


def test_the_past_of_entsoe_counts_as_known_since_the_evening_before(net: responses.RequestsMock) -> None:
    entsoe(net, A69=[series("B19", [5.0] * 23, HOUR)])
    found = EntsoeSource("invented", **at(START + 40 * HOUR)).outlook(ZoneId("DE"), DAY)
    evening = datetime(2026, 3, 28, 17, tzinfo=UTC)
    assert set(found.published_s[:-1]) == {evening.timestamp()}


def energinet(net: responses.RequestsMock, *rows: tuple[int, str, object], **more: object) -> None:
    records = [
        {
            "HourUTC": f"{START + hour * HOUR:%Y-%m-%dT%H:%M:%S}",
            "HourDK": "not read",
            "PriceArea": "DK1",
            "ForecastType": plant,
            "ForecastDayAhead": value,
            "ForecastIntraday": 1e6,
            "Forecast5Hour": 1e6,
            "Forecast1Hour": 1e6,
            "ForecastCurrent": 1e6,
        }
        | more
        for hour, plant, value in rows
    ]
    net.get(SOURCES["energinet"][2], json={"total": len(records), "dataset": "Forecasts_Hour", "records": records})


def test_energinet_adds_the_winds_of_the_day_ahead_alone(net: responses.RequestsMock) -> None:
    energinet(
        net,
        (1, "Onshore Wind", 30.5),
        (0, "Onshore Wind", 20),
        (0, "Offshore Wind", 7),
        (1, "Offshore Wind", None),
        (0, "Solar", 0),
        (1, "Solar", 3),
        (0, "Wave", 9),
    )
    found = EnerginetSource(**at(NOW)).outlook(ZoneId("DK-DK1"), DAY)
    np.testing.assert_array_equal(found.wind_megawatt, [27, np.nan])
    np.testing.assert_array_equal(found.solar_megawatt, [0, 3])
    assert np.isnan(found.load_megawatt).all()
    assert found.step_s == 3600
    asked = parse_qs(urlsplit(net.calls[0].request.url or "").query)
    assert (asked["sort"], asked["timezone"]) == (["HourUTC asc"], ["UTC"])


def eco2mix(net: responses.RequestsMock, *cells: object, perimetre: str = "France") -> None:
    rows = [
        {
            "date_heure": (START + i * QUARTER).isoformat(),
            "prevision_j1": cell,
            "nature": "Données temps réel",
            "perimetre": perimetre,
        }
        for i, cell in enumerate(cells)
    ]
    net.get(SOURCES["eco2mix"][2], json=rows)


def test_eco2mix_has_the_load_of_the_day_also_where_it_is_a_text(net: responses.RequestsMock) -> None:
    eco2mix(net, 50_000, "50200", 50_400, 50_600, 51_000, "ND", None, 51_000)
    found = Eco2mixSource(**at(NOW)).outlook(ZoneId("FR"), DAY)
    hourly = found.hourly()
    np.testing.assert_array_equal(hourly.load_megawatt, [50_300, np.nan])
    assert np.isnan(found.wind_megawatt).all()


def eia(net: responses.RequestsMock, *rows: tuple[int, object], unit: str = "megawatthours") -> None:
    data = [
        {
            "period": f"{START + (hour + 1) * HOUR:%Y-%m-%dT%H}",  # the hour that ends then
            "respondent": "ERCO",
            "type": "DF",
            "type-name": "Day-ahead demand forecast",
            "value": value,
            "value-units": unit,
        }
        for hour, value in rows
    ]
    net.get(SOURCES["eia930"][2], json={"response": {"total": str(len(data)), "data": data}})


def test_eia930_has_the_demand_by_the_start_of_its_hours(net: responses.RequestsMock) -> None:
    eia(net, (0, "41000"), (1, None), (2, 43_000))
    found = Eia930Source("invented", **at(START + 48 * HOUR)).outlook(ZoneId("US-TEX-ERCO"), DAY)
    np.testing.assert_array_equal(found.load_megawatt, [41_000, np.nan, 43_000])
    assert set(found.published_s) == {datetime(2026, 3, 28, 12, tzinfo=UTC).timestamp()}
    asked = parse_qs(urlsplit(net.calls[0].request.url or "").query)
    assert (asked["facets[type][]"], asked["sort[1][column]"]) == (["DF"], ["type"])


@pytest.mark.parametrize("name", SOURCES)
def test_a_source_that_has_nothing_says_so(net: responses.RequestsMock, name: str) -> None:
    made, zone, _ = SOURCES[name]
    entsoe(net)
    energinet(net)
    eco2mix(net)
    net.get(SOURCES["eco2mix"][2].replace("tr/", "cons-def/"), json=[])
    eia(net)
    with pytest.raises(NoData, match=f"{name} has no outlook of {zone}"):
        made(**at(NOW)).outlook(zone, DAY)


@pytest.mark.parametrize("name", SOURCES)
def test_another_zone_is_refused_without_asking(net: responses.RequestsMock, name: str) -> None:
    with pytest.raises(NoData, match="XX"):
        SOURCES[name][0](**at(NOW)).outlook(ZoneId("XX"), DAY)
    assert not net.calls


@pytest.mark.parametrize("name", ["entsoe", "eia930"])
def test_without_a_key_nobody_is_asked(net: responses.RequestsMock, name: str) -> None:
    source = EntsoeSource("", **at(NOW)) if name == "entsoe" else Eia930Source("", **at(NOW))
    with pytest.raises(Rejected, match="no key"):
        source.outlook(SOURCES[name][1], DAY)
    assert not net.calls


@pytest.mark.parametrize("name", SOURCES)
@pytest.mark.parametrize(("status", "error"), [(503, Unavailable), (401, Rejected), (200, Malformed)])
def test_what_goes_wrong_is_told_as_for_intensities(
    net: responses.RequestsMock, name: str, status: int, error: type[ProviderError]
) -> None:
    made, zone, address = SOURCES[name]
    net.get(address, status=status, body=json.dumps({"odd": []}))
    with pytest.raises(error) as caught:
        made(**at(NOW)).outlook(zone, DAY)
    assert caught.value.provider == name


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("energinet", lambda net: energinet(net, (0, "Solar", 1), ForecastDayAhead="a lot")),
        ("energinet", lambda net: energinet(net, (0, "Solar", 1), PriceArea="DK2")),
        ("energinet", lambda net: energinet(net, (0, "Solar", 1), HourUTC="2026-03-29T00:30:00")),
        ("energinet", lambda net: energinet(net, (0, "Solar", 1), HourUTC="2026-03-29T00:00:00+01:00")),
        ("eco2mix", lambda net: eco2mix(net, 1, 2, perimetre="Bretagne")),
        ("eco2mix", lambda net: eco2mix(net, True)),
        ("eia930", lambda net: eia(net, (0, 1), unit="MW")),
        ("eia930", lambda net: eia(net, (0, "inf"))),
    ],
)
def test_rows_that_are_not_as_documented_are_refused(
    net: responses.RequestsMock, name: str, answer: Callable[[responses.RequestsMock], None]
) -> None:
    made, zone, _ = SOURCES[name]
    answer(net)
    with pytest.raises(Malformed):
        made(**at(NOW)).outlook(zone, DAY)


def test_the_ability_is_seen_through_the_cache_and_is_not_everybodys(tmp_path: Path) -> None:
    source = EnerginetSource(HTTP)
    assert isinstance(source, TellsOutlook)
    assert outlook_teller(CachedSource(source, tmp_path)) is source
    assert outlook_teller(EnergyChartsSource(HTTP)) is None
