"""Invented answers of the European sources and of a Carbon Aware SDK: 30 hours from now on and 20 before."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import responses

from lowtide_core.places import ZoneId
from lowtide_core.spans import iso_utc
from lowtide_providers.http import Http
from lowtide_providers.signals.carbon_aware_sdk import CarbonAwareSdkSource, read_statement
from lowtide_providers.signals.eco2mix import Eco2mixSource
from lowtide_providers.signals.energinet import EnerginetSource
from lowtide_providers.signals.energy_charts import EnergyChartsSource

if TYPE_CHECKING:
    from collections.abc import Callable

    from lowtide_core.ports import SignalSource

Answer = tuple[int, dict[str, str], str]

ZONES = {"energy-charts": ZoneId("DE"), "energinet": ZoneId("DK-DK1"), "eco2mix": ZoneId("FR")}
NO_FORECAST = ("eco2mix",)


def sources(http: Http, now_utc: datetime) -> dict[str, Callable[[], SignalSource]]:
    """Name of a source -> how it is made."""

    def now() -> datetime:
        return now_utc

    return {
        "energy-charts": lambda: EnergyChartsSource(http, now_utc=now),
        "energinet": lambda: EnerginetSource(http, now_utc=now),
        "eco2mix": lambda: Eco2mixSource(http, now_utc=now),
        "carbon-aware-sdk": lambda: CarbonAwareSdkSource(
            "http://sdk.example:5073", read_statement("watttime"), http, now_utc=now
        ),
    }


def add_answers(mock: responses.RequestsMock, now_utc: datetime) -> None:
    """Every address of these sources, with the values 200, 201, ..."""
    start = now_utc.replace(minute=0) - timedelta(hours=20)

    def starts(step: timedelta) -> list[datetime]:
        return [start + i * step for i in range(timedelta(hours=50) // step)]

    def asked(request: object) -> dict[str, str]:
        query = urlsplit(str(request.url)).query  # type: ignore[attr-defined]
        return {name: values[0] for name, values in parse_qs(query).items()}

    def energy_charts(request: object) -> Answer:
        if asked(request)["country"] != "de":
            return 400, {}, "'xx' is not the code for an available country."
        at = starts(timedelta(minutes=15))
        measured = [200 + i if when < now_utc else None for i, when in enumerate(at)]
        forecast = [None if value else 200 + i for i, value in enumerate(measured)]
        seconds = [int(when.timestamp()) for when in at]
        body = {"unix_seconds": seconds, "co2eq": measured, "co2eq_forecast": forecast, "deprecated": False}
        return 200, {}, json.dumps(body)

    def energinet(request: object) -> Answer:
        area = json.loads(asked(request)["filter"])["PriceArea"][0]
        records = [
            {"Minutes5UTC": f"{when:%Y-%m-%dT%H:%M:%S}", "PriceArea": area, "CO2Emission": 200 + i}
            for i, when in enumerate(starts(timedelta(minutes=5)))
        ]
        return 200, {}, json.dumps({"total": len(records), "records": records})

    def eco2mix(_: object) -> Answer:
        rows = [
            {"date_heure": iso_utc(when), "taux_co2": 200 + i, "nature": "Données temps réel", "perimetre": "France"}
            for i, when in enumerate(starts(timedelta(minutes=15)))
        ]
        return 200, {}, json.dumps(rows)

    def sdk(request: object) -> Answer:
        location = asked(request).get("location", "")
        at = starts(timedelta(minutes=5))
        if "/locations" in str(request.url):  # type: ignore[attr-defined]
            return 200, {}, json.dumps({"GB": {}, "DE": {}})
        if location not in ("GB", "DE"):
            return 400, {}, json.dumps({"title": "ArgumentException", "status": 400})
        if "bylocation" in str(request.url):  # type: ignore[attr-defined]
            rows = [
                {"location": "UK", "time": when.astimezone(UTC).isoformat(), "rating": 200 + i, "duration": "00:05:00"}
                for i, when in enumerate(at)
            ]
            return 200, {}, json.dumps(rows)
        points = [
            {"location": "UK", "timestamp": iso_utc(when), "duration": 5, "value": 200 + i} for i, when in enumerate(at)
        ]
        return 200, {}, json.dumps([{"location": location, "generatedAt": iso_utc(now_utc), "forecastData": points}])

    mock.add_callback(responses.GET, re.compile(r"https://api\.energy-charts\.info/co2eq.*"), energy_charts)
    mock.add_callback(responses.GET, re.compile(r"https://api\.energidataservice\.dk/dataset/.*"), energinet)
    mock.add_callback(responses.GET, re.compile(r"https://odre\.opendatasoft\.com/.*"), eco2mix)
    mock.add_callback(responses.GET, re.compile(r"http://sdk\.example:5073/.*"), sdk)
