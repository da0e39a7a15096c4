"""Great Britain's system operator: half-hourly forecast and actual, no key. https://api.carbonintensity.org.uk"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from lowtide_core.errors import Malformed, NoData, Rejected
from lowtide_core.series import Frame, SignalSeries
from lowtide_core.spans import Span, parse_iso_utc
from lowtide_providers.http import Http

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lowtide_core.places import ZoneId
    from lowtide_core.ports import Wanted

DIRECT_CONSUMPTION = Frame("average", "direct", "consumption")
_STEP = timedelta(minutes=30)
_MOST_DAYS = timedelta(days=13)  # of one question for the past; the service refuses more than 14


def _now_utc() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class GbNesoSource:
    """National figures for zone ``GB``: imports counted, direct factors, so not comparable with life-cycle ones."""

    http: Http = field(default_factory=Http)
    now_utc: Callable[[], datetime] = _now_utc
    base_url: str = "https://api.carbonintensity.org.uk"
    name: str = "gb-neso"
    frame: Frame = DIRECT_CONSUMPTION

    def covers(self, zone: ZoneId) -> bool:
        return zone == "GB"

    def fetch(self, zone: ZoneId, span: Span, wanted: Wanted) -> SignalSeries:
        if not self.covers(zone):
            raise NoData(f"gb-neso knows only GB, not {zone}.", provider=self.name, operation=wanted, zone=zone)
        slots: dict[datetime, float] = {}
        for address in self._addresses(span, wanted):
            slots.update(self._slots(address, wanted))
        return self._series(zone, slots, span, wanted)

    def _addresses(self, span: Span, wanted: Wanted) -> Iterator[str]:
        if wanted == "forecast":
            # One minute after the slot's start: on the boundary the service also returns the slot that ends there.
            start = _slot(span.start_utc) + timedelta(minutes=1)
            yield f"/intensity/{start:%Y-%m-%dT%H:%MZ}/fw48h"
            return
        start = _slot(span.start_utc)
        while start < span.end_utc:
            end = min(start + _MOST_DAYS, span.end_utc)
            yield f"/intensity/{start + timedelta(minutes=1):%Y-%m-%dT%H:%MZ}/{end:%Y-%m-%dT%H:%MZ}"
            start = end

    def _slots(self, address: str, wanted: Wanted) -> Iterator[tuple[datetime, float]]:
        body = self.http.get_json(self.base_url + address, provider=self.name, operation=f"{wanted} {address}")
        if isinstance(body, dict) and body.get("error"):
            raise Rejected(
                f"gb-neso refused: {body['error'].get('message', 'no reason given')}.",
                provider=self.name,
                operation=address,
                hint="Try again later.",
            )
        rows = body.get("data") if isinstance(body, dict) else None
        try:
            for row in rows or ():
                start = parse_iso_utc(row["from"])
                if parse_iso_utc(row["to"]) - start == _STEP:
                    yield start, _number(row["intensity"].get("forecast" if wanted == "forecast" else "actual"))
        except (KeyError, TypeError, AttributeError) as error:
            raise Malformed(
                f"gb-neso answered in an unknown shape: {error!r} is missing.",
                provider=self.name,
                operation=address,
                hint="Please report it; plan without it: --signal climatology.",
            ) from error

    def _series(self, zone: ZoneId, slots: dict[datetime, float], span: Span, wanted: Wanted) -> SignalSeries:
        inside = {at: value for at, value in slots.items() if at + _STEP > span.start_utc and at < span.end_utc}
        known = sorted(at for at, value in inside.items() if not np.isnan(value))
        if not known:
            raise NoData(
                f"gb-neso has no {wanted} intensity for {span}.",
                provider=self.name,
                operation=wanted,
                hint="Its forecast ends after 15 to 48 h, its actuals lag by an hour.",
                zone=zone,
            )
        count = round((known[-1] - known[0]) / _STEP) + 1
        values = np.full(count, np.nan)
        for at in known:
            values[round((at - known[0]) / _STEP)] = inside[at]
        now = self.now_utc()
        return SignalSeries(
            zone=zone,
            start_utc=known[0],
            step_s=_STEP.total_seconds(),
            intensity_g_per_kwh=values,
            frame=self.frame,
            kind="forecast" if wanted == "forecast" else "actual",
            source=self.name,
            issued_at=now if wanted == "forecast" else None,  # the service does not say; it is as fresh as the answer
            fetched_at=now,
        )


def _slot(instant: datetime) -> datetime:
    return instant.replace(minute=instant.minute // 30 * 30, second=0, microsecond=0)


def _number(value: Any) -> float:
    return float("nan") if value is None else float(value)
