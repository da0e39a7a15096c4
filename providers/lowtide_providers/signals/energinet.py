"""Energinet, Denmark's system operator: western and eastern Denmark, five minutes, no key.

https://api.energidataservice.dk/dataset/CO2Emis (near real time) and CO2EmisProg (prognosis).

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
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from lowtide_core.errors import Malformed, NoData
from lowtide_core.series import DIRECT_CONSUMPTION, Frame, SignalSeries
from lowtide_providers.http import Http, Question
from lowtide_providers.signals.clock import now_utc
from lowtide_providers.signals.steps import UNREADABLE, as_intensity, build_series, ceil_to, floor_to, unknown_shape

if TYPE_CHECKING:
    from collections.abc import Callable

    from lowtide_core.places import ZoneId
    from lowtide_core.ports import Wanted
    from lowtide_core.spans import Span

_AREAS = {"DK-DK1": "DK1", "DK-DK2": "DK2"}
_DATASETS = {"forecast": "CO2EmisProg", "actual": "CO2Emis"}
_STEP = timedelta(minutes=5)
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
        if not self.covers(zone):
            raise NoData(
                f"energinet knows only {' and '.join(_AREAS)}, not {zone}.",
                provider=self.name,
                operation=f"{wanted} {zone}",
                zone=zone,
            )
        return build_series(
            self._rows(zone, span, wanted),
            _STEP,
            span,
            source=self,
            zone=zone,
            wanted=wanted,
            now_utc=self.now_utc(),
            hint="Its prognosis ends with today or, from the afternoon on, tomorrow; its actuals lag by minutes.",
        )

    def _rows(self, zone: ZoneId, span: Span, wanted: Wanted) -> dict[datetime, float]:
        operation = f"{wanted} {zone}"
        area = _AREAS[zone]
        rows: dict[datetime, float] = {}
        seen = 0
        while True:
            body: Any = self.http.get_json(
                Question(
                    f"{self.base_url}/dataset/{_DATASETS[wanted]}",
                    provider=self.name,
                    operation=operation,
                    params=_asked(area, span, seen),
                )
            )
            try:
                total, records = int(body["total"]), body["records"]
                other = {row["PriceArea"] for row in records} - {area}
                page = [(_utc(row["Minutes5UTC"]), as_intensity(row["CO2Emission"])) for row in records]
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
            known = len(rows)
            rows.update(page)
            seen += len(page)
            if seen >= total or len(rows) == known:  # the latter: it does not page as it says
                return rows


def _asked(area: str, span: Span, offset: int) -> dict[str, str]:
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
        "sort": "Minutes5UTC asc",
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
