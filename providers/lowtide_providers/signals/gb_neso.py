"""Great Britain's system operator: half-hourly forecast and actual, no key. https://api.carbonintensity.org.uk"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from lowtide_core.errors import NoData, Rejected, Unavailable
from lowtide_core.series import DIRECT_CONSUMPTION, Frame, SignalSeries
from lowtide_core.spans import parse_iso_utc
from lowtide_providers.http import Http, Question
from lowtide_providers.signals.clock import now_utc
from lowtide_providers.signals.steps import (
    UNREADABLE,
    as_intensity,
    build_series,
    ceil_to,
    floor_to,
    pieces,
    unknown_shape,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lowtide_core.places import ZoneId
    from lowtide_core.ports import Wanted
    from lowtide_core.spans import Span

_STEP = timedelta(minutes=30)
_MOST_DAYS = timedelta(days=13)  # of one question for the past; the service refuses more than 14


@dataclass(frozen=True, slots=True)
class GbNesoSource:
    """National figures for zone ``GB``: imports counted, direct factors, so not comparable with life-cycle ones."""

    http: Http = field(default_factory=Http)
    now_utc: Callable[[], datetime] = field(default=now_utc, repr=False, compare=False)
    base_url: str = "https://api.carbonintensity.org.uk"
    name: str = "gb-neso"
    frame: Frame = DIRECT_CONSUMPTION

    def covers(self, zone: ZoneId) -> bool:
        return zone == "GB"

    def fetch(self, zone: ZoneId, span: Span, wanted: Wanted) -> SignalSeries:
        if not self.covers(zone):
            raise NoData(
                f"gb-neso knows only GB, not {zone}.", provider=self.name, operation=f"{wanted} {zone}", zone=zone
            )
        rows: dict[datetime, float] = {}
        for address in _addresses(span, wanted):
            rows.update(self._rows(address, wanted))
        return build_series(
            rows,
            _STEP,
            span,
            source=self,
            zone=zone,
            wanted=wanted,
            now_utc=self.now_utc(),
            hint="Its forecast ends after 15 to 48 h; its actuals lag by an hour.",
        )

    def _rows(self, address: str, wanted: Wanted) -> dict[datetime, float]:
        operation = f"{wanted} {address}"
        body = self.http.get_json(Question(self.base_url + address, provider=self.name, operation=operation))
        if not body:  # its way to say "nothing there"
            return {}
        try:
            self._refuse_error(body, operation)
            rows = {}
            for row in body["data"]:  # type: ignore[index]
                start = parse_iso_utc(row["from"])
                if parse_iso_utc(row["to"]) - start != _STEP:
                    raise ValueError(f"{row['from']} to {row['to']} is not half an hour")
                # ``actual`` is null for what is to come, and may be missing; a forecast always has its key
                figures = row["intensity"]
                rows[start] = as_intensity(figures["forecast"] if wanted == "forecast" else figures.get("actual"))
        except (Rejected, Unavailable):
            raise
        except UNREADABLE as error:
            raise unknown_shape(error, provider=self.name, operation=operation) from error
        return rows

    def _refuse_error(self, body: object, operation: str) -> None:
        error = body.get("error") if isinstance(body, dict) else None
        if not error:
            return
        code, said = (error.get("code", ""), error.get("message", "")) if isinstance(error, dict) else ("", error)
        kind = Unavailable if str(code).startswith("5") else Rejected
        raise kind(
            f"gb-neso answered an error ({said or code}): {operation}.",
            provider=self.name,
            operation=operation,
            hint="Try again later, or plan without it: --signal climatology.",
            code=code,
        )


def _addresses(span: Span, wanted: Wanted) -> Iterator[str]:
    """Each starts a minute into a step: asked on the boundary, the service adds the step that ends there."""
    start, minute = floor_to(span.start_utc, _STEP), timedelta(minutes=1)
    if wanted == "forecast":
        yield f"/intensity/{start + minute:%Y-%m-%dT%H:%MZ}/fw48h"
        return
    for first, last in pieces(start, ceil_to(span.end_utc, _STEP), _MOST_DAYS):
        yield f"/intensity/{first + minute:%Y-%m-%dT%H:%MZ}/{last:%Y-%m-%dT%H:%MZ}"
