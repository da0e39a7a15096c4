"""eCO2mix of RTE, France's system operator: what its generation emits, tomorrow's load, no key. https://odre.opendatasoft.com

What the figures are:
    ``taux_co2``: what the primary fuel of generation in mainland France (without Corsica) emits, in g per kWh produced
    (rte-france.com, "Les émissions de CO2 par kWh produit en France"): average, direct, production. It can be
    recomputed: 12 July 2022 14:45Z, 4614 MW gas, 493 oil, 28 coal and 752 bioenergy at 429, 777, 986 and 494 g/kWh, of
    48 575 MW generated, is 57 g/kWh, as published; nuclear counts 0, and so do the 4196 MW imported.
Two data sets:
    ``eco2mix-national-tr``, quarter hours of about the last month or more, called an estimate by RTE, revised later;
    ``eco2mix-national-cons-def``, consolidated and then final, half hours since 2012, in rows of quarter hours of
    which every second one is empty. Where the first does not reach back, the second is asked, and each half hour is
    given as two quarters of the same value.
Load:
    ``prevision_j1``, the day before's forecast, in MW, in the same rows. When it is out was not found: taken as known
    once its day has begun, unless it came earlier.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from lowtide_core.errors import NoData
from lowtide_core.outlooks import Publication
from lowtide_core.series import DIRECT_PRODUCTION, Frame, SignalSeries
from lowtide_core.spans import iso_utc, parse_iso_utc
from lowtide_providers.http import Http, Question
from lowtide_providers.signals.clock import now_utc
from lowtide_providers.signals.outlooks import build_outlook, on_steps_told
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
    from lowtide_core.spans import Span

_QUARTER, _HALF, _HOUR = timedelta(minutes=15), timedelta(minutes=30), timedelta(hours=1)
_RECENT, _CONSOLIDATED = "eco2mix-national-tr", "eco2mix-national-cons-def"
_REVISED = ("Données consolidées", "Données définitives")
_NOT_KNOWN = ("", "ND", "-")
_LOAD_OUT = Publication(day_begins_h=22, out_after_h=1)


@dataclass(frozen=True, slots=True)
class Eco2mixSource:
    """National figures of zone ``FR``: imports not counted, direct, so comparable with few others."""

    http: Http = field(default_factory=Http)
    now_utc: Callable[[], datetime] = field(default=now_utc, repr=False, compare=False)
    base_url: str = "https://odre.opendatasoft.com/api/explore/v2.1/catalog/datasets"
    name: str = "eco2mix"
    frame: Frame = DIRECT_PRODUCTION

    def covers(self, zone: ZoneId) -> bool:
        return zone == "FR"

    def fetch(self, zone: ZoneId, span: Span, wanted: Wanted) -> SignalSeries:
        if not self.covers(zone):
            raise self._nothing_but_france(zone, wanted)
        if wanted == "forecast":
            raise NoData(
                "eco2mix has no forecast of CO2, only of the demand.",
                provider=self.name,
                operation=f"{wanted} {zone}",
                hint="For a forecast of FR, use energy-charts.",
                zone=zone,
            )
        start, end = floor_to(span.start_utc, _HALF), ceil_to(span.end_utc, _HALF)
        rows = self._known("taux_co2", start, end)
        used = [revised for at, (_, revised) in rows.items() if at + _QUARTER > span.start_utc and at < span.end_utc]
        return build_series(
            {at: value for at, (value, _) in rows.items()},
            _QUARTER,
            span,
            source=self,
            zone=zone,
            wanted=wanted,
            now_utc=self.now_utc(),
            kind="actual" if all(used) else "estimated",
            note="" if all(used) else "in part RTE's real-time estimate, which is revised later",
            hint="Its figures lag by about two hours.",
        )

    def outlook(self, zone: ZoneId, span: Span) -> Outlook:
        """The load as forecast the day before."""
        if not self.covers(zone):
            raise self._nothing_but_france(zone, "outlook")
        start, end = floor_to(span.start_utc, _HOUR), ceil_to(span.end_utc, _HOUR)
        told = {at: value for at, (value, _) in self._known("prevision_j1", start, end).items()}
        return build_outlook(
            {"load": on_steps_told(told, start, end, _QUARTER, name=self.name)},
            start,
            end,
            _QUARTER,
            name=self.name,
            zone=zone,
            now_utc=self.now_utc(),
            publication=_LOAD_OUT,
        )

    def _nothing_but_france(self, zone: ZoneId, what: str) -> NoData:
        return NoData(
            f"eco2mix knows only FR, not {zone}.",
            provider=self.name,
            operation=f"{what} {zone}",
            hint="For a forecast of FR, use energy-charts.",
            zone=zone,
        )

    def _known(self, column: str, start: datetime, end: datetime) -> dict[datetime, tuple[float, bool]]:
        """As ``_rows``, quarter hours: of the recent data set, before it of the consolidated one."""
        rows = self._rows(_RECENT, column, start, end)
        first = min(rows, default=end)
        if first > start:
            rows = _quarters(self._rows(_CONSOLIDATED, column, start, first)) | rows
        return rows

    def _rows(self, dataset: str, column: str, start: datetime, end: datetime) -> dict[datetime, tuple[float, bool]]:
        """Start of a step -> figure, and whether it is a revised figure; only what is known, of ``[start, end)``."""
        body: Any = self.http.get_json(
            Question(
                f"{self.base_url}/{dataset}/exports/json",  # the whole answer; ``records`` gives a hundred rows at most
                provider=self.name,
                operation=dataset,
                params={
                    "select": f"date_heure,{column},nature,perimetre",
                    "where": f"date_heure >= date'{iso_utc(start)}' AND date_heure < date'{iso_utc(end)}'",
                    "order_by": "date_heure",
                    "timezone": "UTC",
                },
            )
        )
        try:
            rows = {}
            for row in body:
                if row["perimetre"] != "France":
                    raise ValueError(f"the figures are of {row['perimetre']}")
                at, value = parse_iso_utc(row["date_heure"]), _READ[column](_known_cell(row[column]))
                if start <= at < end and not np.isnan(value):
                    rows[at] = value, row["nature"] in _REVISED
        except UNREADABLE as error:
            raise unknown_shape(error, provider=self.name, operation=dataset) from error
        return rows


_READ = {"taux_co2": as_intensity, "prevision_j1": as_number}


def _known_cell(value: object) -> object:
    return None if value in _NOT_KNOWN else value


def _quarters(rows: dict[datetime, tuple[float, bool]]) -> dict[datetime, tuple[float, bool]]:
    """Rows of half hours as quarter hours; rows that are quarter hours already, as they are."""
    if any((at - floor_to(at, _HALF)) for at in rows):
        return rows
    return rows | {at + _QUARTER: row for at, row in rows.items()}
