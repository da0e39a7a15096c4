"""Invented answers of sources that need an account: 30 hours from now on and 20 before."""

from __future__ import annotations

import json
import re
from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import responses

from lowtide_core.places import ZoneId
from lowtide_core.spans import iso_utc
from lowtide_providers.signals.watttime import WattTimeSource

if TYPE_CHECKING:
    from collections.abc import Callable

    from lowtide_core.ports import SignalSource
    from lowtide_providers.http import Http

ZONES = {"watttime": ZoneId("US-CAL-CISO")}


def sources(http: Http, now_utc: datetime) -> dict[str, Callable[[], SignalSource]]:
    """Name of a source -> how it is made."""
    return {"watttime": lambda: WattTimeSource("somebody", "s3cret", http, now_utc=lambda: now_utc)}


def add_answers(mock: responses.RequestsMock, now_utc: datetime) -> None:
    """Every address of these sources, with the values 200, 201, ..."""
    step = timedelta(minutes=5)
    first = now_utc - timedelta(hours=20)

    def watttime(request: object) -> tuple[int, dict[str, str], str]:
        url = urlsplit(str(request.url))  # type: ignore[attr-defined]
        if url.path == "/login":
            return 200, {}, json.dumps({"token": "invented"})
        asked = {name: values[0] for name, values in parse_qs(url.query).items()}
        ends = [asked.get("start", iso_utc(now_utc)), asked.get("end", iso_utc(now_utc + timedelta(hours=30)))]
        start, end = (datetime.fromisoformat(end) for end in ends)
        rows = [
            {"point_time": (start + i * step).isoformat(), "value": 200 + (start - first) // step + i}
            for i in range((end - start) // step + 1)
        ]
        meta = {"region": asked["region"], "units": "lbs_co2_per_mwh", "generated_at": iso_utc(now_utc)}
        return 200, {}, json.dumps({"data": rows, "meta": meta})

    mock.add_callback(responses.GET, re.compile(r"https://api\.watttime\.org/.*"), watttime)
