"""Great Britain's system operator: half-hourly forecast and actual, no key. https://api.carbonintensity.org.uk"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from lowtide_core.errors import NoData, Rejected, Unavailable
from lowtide_core.series import Frame, SignalSeries
from lowtide_core.spans import parse_iso_utc
from lowtide_providers.http import Http
from lowtide_providers.signals.steps import UNREADABLE, as_intensity, regular, unknown_shape

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lowtide_core.places import ZoneId
    from lowtide_core.ports import Wanted
    from lowtide_core.spans import Span

DIRECT_CONSUMPTION = Frame("average", "direct", "consumption")
_STEP = timedelta(minutes=30)
_MOST_DAYS = timedelta(days=13)  # of one question for the past; the service refuses more than 14


def _now_utc() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class GbNesoSource:
    """National figures for zone ``GB``: imports counted, direct factors, so not comparable with life-cycle ones."""

    http: Http = field(default_factory=Http)
    now_utc: Callable[[], datetime] = field(default=_now_utc, repr=False, compare=False)
    base_url: str = "https://api.carbonintensity.org.uk"
    name: str = "gb-neso"
    frame: Frame = DIRECT_CONSUMPTION

    def covers(self, zone: ZoneId) -> bool:
        return zone == "GB"

    def fetch(self, zone: ZoneId, span: Span, wanted: Wanted) -> SignalSeries:
        if not self.covers(zone):
            raise NoData(f"gb-neso knows only GB, not {zone}.", provider=self.name, operation=wanted, zone=zone)
        rows: dict[datetime, float] = {}
        for address in _addresses(span, wanted):
            rows.update(self._rows(address, wanted))
        return self._series(zone, rows, span, wanted)

    def _rows(self, address: str, wanted: Wanted) -> dict[datetime, float]:
        body = self.http.get_json(self.base_url + address, provider=self.name, operation=f"{wanted} {address}")
        if not body:  # its way to say "nothing there"
            return {}
        try:
            self._refuse_error(body, address)
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
            raise unknown_shape(error, provider=self.name, operation=address) from error
        return rows

    def _refuse_error(self, body: object, address: str) -> None:
        error = body.get("error") if isinstance(body, dict) else None
        if not error:
            return
        code, said = (error.get("code", ""), error.get("message", "")) if isinstance(error, dict) else ("", error)
        kind = Unavailable if str(code).startswith("5") else Rejected
        raise kind(
            f"gb-neso answered an error ({said or code}): {address}.",
            provider=self.name,
            operation=address,
            hint="Try again later, or plan without it: --signal climatology.",
            code=code,
        )

    def _series(self, zone: ZoneId, rows: dict[datetime, float], span: Span, wanted: Wanted) -> SignalSeries:
        try:
            run = regular(rows, _STEP, span)
        except ValueError as error:
            raise unknown_shape(error, provider=self.name, operation=wanted) from error
        if run is None:
            raise NoData(
                f"gb-neso has no {wanted} intensity for {span}.",
                provider=self.name,
                operation=wanted,
                hint="Its forecast ends after 15 to 48 h; its actuals lag by an hour.",
                zone=zone,
            )
        start_utc, values = run
        now_utc = self.now_utc()
        return SignalSeries(
            zone=zone,
            start_utc=start_utc,
            step_s=_STEP.total_seconds(),
            intensity_g_per_kwh=values,
            frame=self.frame,
            kind=wanted,
            source=self.name,
            issued_at=now_utc if wanted == "forecast" else None,
            fetched_at=now_utc,
            note="issued when fetched: gb-neso does not say when" if wanted == "forecast" else "",
        )


def _addresses(span: Span, wanted: Wanted) -> Iterator[str]:
    """Each starts a minute into a step: asked on the boundary, the service adds the step that ends there."""
    start = _floor(span.start_utc.astimezone(UTC))
    end = span.end_utc.astimezone(UTC)
    minute = timedelta(minutes=1)
    if wanted == "forecast":
        yield f"/intensity/{start + minute:%Y-%m-%dT%H:%MZ}/fw48h"
        return
    while start < end:
        until = min(start + _MOST_DAYS, _floor(end + _STEP))
        yield f"/intensity/{start + minute:%Y-%m-%dT%H:%MZ}/{until:%Y-%m-%dT%H:%MZ}"
        start = until


def _floor(instant: datetime) -> datetime:
    return instant.replace(minute=instant.minute // 30 * 30, second=0, microsecond=0)
