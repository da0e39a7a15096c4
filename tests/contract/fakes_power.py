"""Invented answers of the sources that compute from generation: 30 hours from now on and 20 before."""

from __future__ import annotations

import json
import re
import zipfile
from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import responses

from lowtide_core.places import ZoneId
from lowtide_providers.signals.eia930 import Eia930Source
from lowtide_providers.signals.entsoe import EntsoeSource
from lowtide_providers.signals.openelectricity import OpenElectricitySource

if TYPE_CHECKING:
    from collections.abc import Callable

    from lowtide_core.ports import SignalSource
    from lowtide_providers.http import Http

Answer = tuple[int, dict[str, str], str]

ZONES = {"eia930": ZoneId("US-TEX-ERCO"), "entsoe": ZoneId("NL"), "openelectricity": ZoneId("AU-NSW")}
NO_FORECAST = ("eia930",)
HOUR = timedelta(hours=1)


def sources(http: Http, now_utc: datetime) -> dict[str, Callable[[], SignalSource]]:
    """Name of a source -> how it is made."""

    def now() -> datetime:
        return now_utc

    return {
        "eia930": lambda: Eia930Source("invented", http, now_utc=now),
        "entsoe": lambda: EntsoeSource("invented", http, now_utc=now),
        "openelectricity": lambda: OpenElectricitySource("invented", http, now_utc=now),
    }


def add_answers(mock: responses.RequestsMock, now_utc: datetime) -> None:
    """Every address of these sources: beside wind of 100, more and more gas."""
    start = now_utc.replace(minute=0) - 20 * HOUR

    def eia(request: object) -> Answer:
        asked = _asked(request)
        rows = [
            {
                "period": period,
                "respondent": asked["facets[respondent][]"],
                "fueltype": fuel,
                "value": str(value),
                "value-units": "megawatthours",
            }
            for hour in range(20)
            for fuel, value in (("NG", 100 + hour), ("WND", 100))
            if asked["start"] <= (period := f"{start + (hour + 1) * HOUR:%Y-%m-%dT%H}") <= asked["end"]
        ]
        return 200, {}, json.dumps({"response": {"total": str(len(rows)), "data": rows}})

    def entsoe(request: object) -> Answer:
        asked = _asked(request)
        hours = 20 if asked["documentType"] == "A75" else 50
        rising = range(200, 200 + hours)
        series = {
            "A75": [("B04", rising), ("B19", [100] * hours)],
            "A69": [("B19", [100] * hours)],
            "A71": [("", rising)],
        }[asked["documentType"]]
        return 200, {}, _gl_document([_gl_series(kind, start, values) for kind, values in series])

    def openelectricity(request: object) -> Answer:
        asked = _asked(request)
        columns = {"region": asked["network_region"], "fueltech": "GAS_CCGT"}
        market = timedelta(hours=10)
        times = [f"{start + i * HOUR + market:%Y-%m-%dT%H:%M:%S}+10:00" for i in range(21)]
        blocks = [
            {
                "metric": metric,
                "unit": unit,
                "interval": "1h",
                "results": [{"columns": columns, "data": [[at, first + i] for i, at in enumerate(times)]}],
            }
            for metric, unit, first in (("energy", "MWh", 500), ("emissions", "t", 200))
        ]
        return 200, {}, json.dumps({"success": True, "data": blocks})

    name = "PUBLIC_PREDISPATCHIS_202603281400_20260328133211.zip"
    folder = "https://nemweb.com.au/Reports/Current/PredispatchIS_Reports/"
    mock.add_callback(responses.GET, re.compile(r"https://api\.eia\.gov/.*"), eia)
    mock.add_callback(responses.GET, re.compile(r"https://web-api\.tp\.entsoe\.eu/.*"), entsoe)
    mock.add_callback(responses.GET, re.compile(r"https://api\.openelectricity\.org\.au/.*"), openelectricity)
    mock.get(folder, body=f'<A HREF="/Reports/CURRENT/PredispatchIS_Reports/{name}">{name}</A>')
    mock.get(folder + name, body=_predispatch(start))


def _asked(request: object) -> dict[str, str]:
    query = urlsplit(str(request.url)).query  # type: ignore[attr-defined]
    return {name: values[0] for name, values in parse_qs(query).items()}


def _gl_series(kind: str, start: datetime, values: list[int] | range) -> str:
    points = "".join(
        f"<Point><position>{i + 1}</position><quantity>{value}</quantity></Point>" for i, value in enumerate(values)
    )
    return (
        "<TimeSeries><inBiddingZone_Domain.mRID>invented</inBiddingZone_Domain.mRID>"
        "<quantity_Measure_Unit.name>MAW</quantity_Measure_Unit.name><curveType>A01</curveType>"
        f"{f'<MktPSRType><psrType>{kind}</psrType></MktPSRType>' if kind else ''}"
        f"<Period><timeInterval><start>{start:%Y-%m-%dT%H:%MZ}</start>"
        f"<end>{start + len(values) * HOUR:%Y-%m-%dT%H:%MZ}</end></timeInterval>"
        f"<resolution>PT60M</resolution>{points}</Period></TimeSeries>"
    )


def _gl_document(series: list[str]) -> str:
    namespace = "urn:iec62325.351:tc57wg16:451-6:generationloaddocument:3:0"
    return f'<?xml version="1.0"?><GL_MarketDocument xmlns="{namespace}">{"".join(series)}</GL_MarketDocument>'


def _predispatch(start: datetime) -> bytes:
    """Half hours of every region."""
    text = "C,NEMP.WORLD,PREDISPATCHIS,AEMO,PUBLIC,2026/03/28,22:02:11,1,PREDISPATCHIS,1\n"
    text += "I,PREDISPATCH,REGION_SOLUTION,4,REGIONID,INTERVENTION,TOTALDEMAND,DATETIME,SS_SOLAR_UIGF,SS_WIND_UIGF\n"
    for index in range(100):
        ends = (start + (index + 1) * HOUR / 2).astimezone(UTC) + timedelta(hours=10)
        for region in ("NSW1", "VIC1"):
            text += f'D,PREDISPATCH,REGION_SOLUTION,4,{region},0,{700 + index},"{ends:%Y/%m/%d %H:%M:%S}",50,100\n'
    body = BytesIO()
    with zipfile.ZipFile(body, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("PUBLIC_PREDISPATCHIS.CSV", text)
    return body.getvalue()
