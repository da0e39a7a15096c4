"""Energinet, Denmark's system operator: western and eastern Denmark, five minutes, no key.

https://api.energidataservice.dk/dataset/CO2Emis (near real time), CO2EmisProg (prognosis) and Forecasts_Hour (wind and
sun; of its columns ForecastDayAhead is read, the others are made later).

What the figures are:
    "CO2 emission from electricity consumed in Denmark", computed per hour from production, consumption and exchange
    with Norway, Sweden and Germany (energidataservice.dk: dataset CO2Emis, group CO2 Emission): average, consumption.
    Direct: the emissions of the power plants' fuel, of which combined heat and power gives a part to heat at an
    efficiency of 125 % (same page). The prognosis is made likewise, from production schedules (dataset CO2EmisProg).
    Not found: with which figures imports are counted.
    That page once said that DK1 and DK2 hold the same, Danish value until each has its own; not found: since when.
Horizon:
    At least 9 hours, to the end of today, and of tomorrow once its schedules are known.
"""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from lowtide_core.errors import Malformed, NoData
from lowtide_core.series import DIRECT_CONSUMPTION, Frame, SignalSeries
from lowtide_providers.http import Http, Question
from lowtide_providers.signals.clock import now_utc
from lowtide_providers.signals.outlooks import EUROPEAN, build_outlook, on_steps_told
from lowtide_providers.signals.steps import (
    UNREADABLE,
    as_intensity,
    as_number,
    build_series,
    ceil_to,
    floor_to,
    unknown_shape,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from lowtide_core.outlooks import Outlook
    from lowtide_core.places import ZoneId
    from lowtide_core.ports import Wanted
    from lowtide_core.series import FloatArray
    from lowtide_core.spans import Span

_AREAS = {"DK-DK1": "DK1", "DK-DK2": "DK2"}
_DATASETS = {"forecast": "CO2EmisProg", "actual": "CO2Emis"}
_STEP, _HOUR = timedelta(minutes=5), timedelta(hours=1)
_PLANTS = {"Offshore Wind": "wind", "Onshore Wind": "wind", "Solar": "solar"}
_PAGE_ROWS = 5000
_DANISH_LEAD = timedelta(hours=2)


@dataclass(frozen=True, slots=True)
class EnerginetSource:
    """Figures of ``DK-DK1`` and ``DK-DK2``: imports counted, direct, so not comparable with life-cycle ones."""

    http: Http = field(default_factory=Http)
    now_utc: Callable[[], datetime] = field(default=now_utc, repr=False, compare=False)
    base_url: str = "https://api.energidataservice.dk"
    name: str = "energinet"
    frame: Frame = DIRECT_CONSUMPTION

    def covers(self, zone: ZoneId) -> bool:
        return zone in _AREAS

    def fetch(self, zone: ZoneId, span: Span, wanted: Wanted) -> SignalSeries:
        operation = f"{wanted} {zone}"
        records = self._records(zone, _DATASETS[wanted], "Minutes5UTC", span, operation)
        try:
            rows = {_utc(row["Minutes5UTC"]): as_intensity(row["CO2Emission"]) for row in records}
        except UNREADABLE as error:
            raise unknown_shape(error, provider=self.name, operation=operation) from error
        return build_series(
            rows,
            _STEP,
            span,
            source=self,
            zone=zone,
            wanted=wanted,
            now_utc=self.now_utc(),
            hint="Its prognosis ends with today or, from the afternoon on, tomorrow; its actuals lag by minutes.",
        )

    def outlook(self, zone: ZoneId, span: Span) -> Outlook:
        """Wind and sun as forecast the day before."""
        operation = f"outlook {zone}"
        start, end = floor_to(span.start_utc, _HOUR), ceil_to(span.end_utc, _HOUR)
        told: dict[str, dict[datetime, float]] = defaultdict(dict)
        records = self._records(zone, "Forecasts_Hour", "HourUTC", span, operation)
        try:
            for row in records:
                told[row["ForecastType"]][_utc(row["HourUTC"])] = as_number(row["ForecastDayAhead"])
        except UNREADABLE as error:
            raise unknown_shape(error, provider=self.name, operation=operation) from error
        known: dict[str, FloatArray] = {}
        for plant, quantity in _PLANTS.items():
            if plant in told:
                megawatt = on_steps_told(told[plant], start, end, _HOUR, name=self.name)
                known[quantity] = known[quantity] + megawatt if quantity in known else megawatt
        now = self.now_utc()
        return build_outlook(known, start, end, _HOUR, name=self.name, zone=zone, now_utc=now, publication=EUROPEAN)

    def _records(self, zone: ZoneId, dataset: str, start_column: str, span: Span, operation: str) -> list[Any]:
        """Every page of a data set for one zone."""
        if not self.covers(zone):
            raise NoData(
                f"energinet knows only {' and '.join(_AREAS)}, not {zone}.",
                provider=self.name,
                operation=operation,
                zone=zone,
            )
        area = _AREAS[zone]
        records: list[Any] = []
        page: list[Any] = []
        while True:
            body: Any = self.http.get_json(
                Question(
                    f"{self.base_url}/dataset/{dataset}",
                    provider=self.name,
                    operation=operation,
                    params=_asked(area, span, start_column, len(records)),
                )
            )
            before = page
            try:
                total, page = int(body["total"]), list(body["records"])
                other = {row["PriceArea"] for row in page} - {area}
            except UNREADABLE as error:
                raise unknown_shape(error, provider=self.name, operation=operation) from error
            if other:
                raise Malformed(
                    f"energinet was asked for {area} and answered for {', '.join(sorted(map(str, other)))}.",
                    provider=self.name,
                    operation=operation,
                    hint="Please report it; plan without it: --signal climatology.",
                    zone=zone,
                )
            records += page
            if len(records) >= total or page in ([], before):  # the latter: it does not page as it says
                return records


def _asked(area: str, span: Span, start_column: str, offset: int) -> dict[str, str]:
    """One page, oldest first: by default the newest hundred rows of both areas come.

    ``start`` and ``end`` are Danish time unless ``timezone`` says otherwise, and Danish time is up to two hours ahead:
    with two hours more at the end, the answer holds the span however they are read.
    """
    end = ceil_to(span.end_utc, _STEP) + _DANISH_LEAD
    return {
        "start": f"{floor_to(span.start_utc, _STEP):%Y-%m-%dT%H:%M}",
        "end": f"{end:%Y-%m-%dT%H:%M}",
        "timezone": "UTC",
        "filter": json.dumps({"PriceArea": [area]}),
        "sort": f"{start_column} asc",
        "limit": str(_PAGE_ROWS),
        "offset": str(offset),
    }


def _utc(text: str) -> datetime:
    """The instant of ``2026-03-29T01:00:00``, which is UTC and does not say so.

    Raises:
        ValueError: It does say something about its zone: then it is not what the dataset documents.
    """
    instant = datetime.fromisoformat(text)
    if instant.tzinfo is not None:
        raise ValueError(f"{text} carries a zone")
    return instant.replace(tzinfo=UTC)
