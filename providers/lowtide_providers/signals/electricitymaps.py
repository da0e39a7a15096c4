"""Electricity Maps, version 4 of its API: what a key really opens is asked, not assumed."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from lowtide_core.errors import Malformed, NoData, Rejected
from lowtide_core.series import LIFECYCLE_CONSUMPTION, Frame, SignalSeries
from lowtide_core.spans import iso_utc, parse_iso_utc
from lowtide_providers.http import Http

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lowtide_core.places import ZoneId
    from lowtide_core.ports import Wanted
    from lowtide_core.spans import Span

_STEP = timedelta(hours=1)
_HORIZONS_H = (72, 48, 24, 6)
_MOST_DAYS = timedelta(days=10)  # of one question for the past
_ALL = "*"


def _now_utc() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class ElectricityMapsSource:
    """Flow-traced consumption, life-cycle factors, hourly. Needs a key, and one that covers the zone."""

    token: str = field(repr=False)
    http: Http = field(default_factory=Http)
    now_utc: Callable[[], datetime] = _now_utc
    base_url: str = "https://api.electricitymaps.com/v4"
    name: str = "electricitymaps"
    frame: Frame = LIFECYCLE_CONSUMPTION

    def covers(self, zone: ZoneId) -> bool:  # noqa: ARG002  which zones a key opens is asked at the first fetch
        return bool(self.token)

    def fetch(self, zone: ZoneId, span: Span, wanted: Wanted) -> SignalSeries:
        self._refuse_sandbox(zone)
        rows = self._forecast(zone, span) if wanted == "forecast" else self._actual(zone, span)
        return self._series(zone, rows, span, wanted)

    def capabilities(self, zone: ZoneId) -> frozenset[str]:
        """The endpoints that the key opens for the zone, such as ``carbon-intensity/forecast``; ``*`` is all."""
        body = self._get("/zones", {}, f"zones for {zone}")
        entry = body.get(zone)
        access = entry.get("access") if isinstance(entry, dict) else None
        return frozenset(str(item) for item in access or ())

    def _forecast(self, zone: ZoneId, span: Span) -> list[dict[str, Any]]:
        opened = self.capabilities(zone)
        if not opened & {_ALL, "carbon-intensity/forecast"}:
            raise Rejected(
                f"The key of Electricity Maps does not open forecasts for {zone}.",
                provider=self.name,
                operation="forecast",
                hint="Its plan covers other zones or endpoints; lowtide plans with the next source.",
                zone=zone,
            )
        needed_h = (span.end_utc - self.now_utc()) / _STEP
        wanted = [h for h in _HORIZONS_H if h >= needed_h][-1:] or [_HORIZONS_H[0]]
        tried = [h for h in _HORIZONS_H if h <= wanted[0]]
        for horizon_h in tried[:-1]:
            try:
                return self._horizon(zone, horizon_h)
            except (Rejected, Malformed):  # 401 or 400: this horizon is not in the plan
                continue
        return self._horizon(zone, tried[-1])

    def _horizon(self, zone: ZoneId, horizon_h: int) -> list[dict[str, Any]]:
        asked = {"zone": zone, "horizonHours": str(horizon_h)}
        return self._rows("/carbon-intensity/forecast", asked, "forecast", zone)

    def _actual(self, zone: ZoneId, span: Span) -> list[dict[str, Any]]:
        if span.start_utc >= self.now_utc() - timedelta(hours=23):
            return self._rows("/carbon-intensity/history", {"zone": zone}, "history", zone)
        rows: list[dict[str, Any]] = []
        start = span.start_utc
        while start < span.end_utc:
            end = min(start + _MOST_DAYS, span.end_utc)
            asked = {"zone": zone, "start": iso_utc(start), "end": iso_utc(end)}
            rows += self._rows("/carbon-intensity/past-range", asked, "data", zone)
            start = end
        return rows

    def _refuse_sandbox(self, zone: ZoneId) -> None:
        """A sandbox key answers everything with invented figures; forecasts alone do not betray it."""
        latest = self._get("/carbon-intensity/latest", {"zone": zone}, f"latest {zone}")
        if latest.get("estimationMethod") == "SANDBOX_MODE_DATA":
            self._raise_sandbox()

    def _raise_sandbox(self) -> None:
        raise Rejected(
            "The key of Electricity Maps is a sandbox key: its figures are invented.",
            provider=self.name,
            operation="latest",
            hint="Use a real key (ELECTRICITYMAPS_API_TOKEN).",
        )

    def _rows(self, path: str, asked: dict[str, str], envelope: str, zone: ZoneId) -> list[dict[str, Any]]:
        body = self._get(path, asked, f"{path} {zone}")
        if body.get("zone", zone) != zone:
            raise Malformed(
                f"Electricity Maps was asked for {zone} and answered for {body['zone']}.",
                provider=self.name,
                operation=path,
                hint="Check the zone's name.",
                zone=zone,
            )
        rows = body.get(envelope)
        if not isinstance(rows, list):
            raise Malformed(
                f"Electricity Maps answered without {envelope!r}: {path} {zone}.",
                provider=self.name,
                operation=path,
                hint="Please report it; plan without it: --signal climatology.",
            )
        return rows

    def _get(self, path: str, asked: dict[str, str], operation: str) -> dict[str, Any]:
        body = self.http.get_json(
            self.base_url + path,
            provider=self.name,
            operation=operation,
            params={**asked, "disableCallerLookup": "true"},
            headers={"auth-token": self.token},
        )
        if not isinstance(body, dict):
            raise Malformed(
                f"Electricity Maps answered a {type(body).__name__}: {operation}.",
                provider=self.name,
                operation=operation,
            )
        if "SANDBOX" in str(body.get("_disclaimer", "")).upper():
            self._raise_sandbox()
        return body

    def _series(self, zone: ZoneId, rows: list[dict[str, Any]], span: Span, wanted: Wanted) -> SignalSeries:
        slots: dict[datetime, float] = {}
        estimated = False
        for at, value, guessed in self._readable(rows):
            if at + _STEP > span.start_utc and at < span.end_utc:
                slots[at] = value
                estimated = estimated or guessed
        if not slots or all(np.isnan(value) for value in slots.values()):
            raise NoData(
                f"Electricity Maps has no {wanted} intensity of {zone} for {span}.",
                provider=self.name,
                operation=wanted,
                hint="A free key holds only the last 24 hours.",
                zone=zone,
            )
        first, last = min(slots), max(slots)
        values = np.full(round((last - first) / _STEP) + 1, np.nan)
        for at, value in slots.items():
            values[round((at - first) / _STEP)] = value
        now = self.now_utc()
        return SignalSeries(
            zone=zone,
            start_utc=first,
            step_s=_STEP.total_seconds(),
            intensity_g_per_kwh=values,
            frame=self.frame,
            kind="forecast" if wanted == "forecast" else "estimated" if estimated else "actual",
            source=self.name,
            issued_at=now if wanted == "forecast" else None,  # ``updatedAt`` is only the time of the answer
            fetched_at=now,
        )

    def _readable(self, rows: list[dict[str, Any]]) -> Iterator[tuple[datetime, float, bool]]:
        try:
            for row in rows:
                value = row["carbonIntensity"]
                if row.get("estimationMethod") == "SANDBOX_MODE_DATA":
                    self._raise_sandbox()
                at = parse_iso_utc(row["datetime"])
                yield at, float("nan") if value is None else float(value), bool(row.get("isEstimated"))
        except (KeyError, TypeError, ValueError) as error:
            raise Malformed(
                f"Electricity Maps answered rows in an unknown shape: {error!r}.",
                provider=self.name,
                operation="rows",
                hint="Please report it; plan without it: --signal climatology.",
            ) from error
