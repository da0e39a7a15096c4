"""Electricity Maps, version 4 of its API, or 3 where 4 is gone: what a key really opens is asked, not assumed."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NoReturn

from lowtide_core.errors import Malformed, NoData, Rejected, Unavailable, nearest
from lowtide_core.series import LIFECYCLE_CONSUMPTION, Frame, SignalSeries
from lowtide_core.spans import iso_utc, parse_iso_utc
from lowtide_providers.http import Http, Question
from lowtide_providers.signals.clock import now_utc
from lowtide_providers.signals.refusals import no_key, refused
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
    from collections.abc import Callable, Iterator, Mapping

    from lowtide_core.places import ZoneId
    from lowtide_core.ports import Wanted
    from lowtide_core.spans import Span

_STEP = timedelta(hours=1)
_HORIZONS_H = (72, 48, 24, 6)
_HISTORY = timedelta(hours=24)
_MOST_DAYS = timedelta(days=10)  # of one question for the past
_ENVELOPES = ("data", "history", "forecast")
_SANDBOX = "SANDBOX"
_VERSION, _OLDER_VERSION = "v4", "v3"  # of one shape, in all that is asked for here
_NO_SUCH_PATH = ("no route matched", "cannot get")
_SYNTHETIC_TIER = "TIER_C"
ALL = "*"

_without_version: set[str] = set()
"""Hosts at which the newer version was not found, in this process."""


@dataclass(frozen=True, slots=True)
class ElectricityMapsSource:
    """Flow-traced consumption, life-cycle factors, hourly. Needs a key, and one that covers the zone."""

    token: str = field(repr=False)
    http: Http = field(default_factory=Http)
    now_utc: Callable[[], datetime] = field(default=now_utc, repr=False, compare=False)
    base_url: str = "https://api.electricitymaps.com"
    name: str = "electricitymaps"
    frame: Frame = LIFECYCLE_CONSUMPTION
    _probed: dict[str, dict[str, Any]] = field(default_factory=dict, init=False, repr=False, compare=False)
    """Answers about the key itself: the same for every zone, so asked once."""

    def covers(self, zone: ZoneId) -> bool:  # noqa: ARG002  which zones a key opens is asked at the first fetch
        return bool(self.token)

    def fetch(self, zone: ZoneId, span: Span, wanted: Wanted) -> SignalSeries:
        if not self.token:
            hint = "Set ELECTRICITYMAPS_API_TOKEN (lowtide config set electricitymaps_token KEY)."
            raise no_key(self.name, f"{wanted} {zone}", hint)
        self._refuse_sandbox(zone)
        rows = self._forecast_rows(zone, span) if wanted == "forecast" else self._actual_rows(zone, span)
        try:
            read = list(self._readable(rows))
        except Rejected:  # a sandbox
            raise
        except UNREADABLE as error:
            raise unknown_shape(error, provider=self.name, operation=f"{wanted} {zone}") from error
        methods = {method for at, _, method in read if method and span.start_utc - _STEP < at < span.end_utc}
        estimated = wanted == "actual" and bool(methods)
        return build_series(
            {at: value for at, value, _ in read},
            _STEP,
            span,
            source=self,
            zone=zone,
            wanted=wanted,
            now_utc=self.now_utc(),
            kind="estimated" if estimated else wanted,
            # a forecast's ``updatedAt`` is the time of the answer, not of the model
            note=f"estimated in part or whole: {', '.join(sorted(methods))}" if estimated else "",
            hint="A free key holds only the last 24 hours.",
        )

    def capabilities(self, zone: ZoneId) -> frozenset[str] | None:
        """Endpoints that the key opens for the zone, such as ``carbon-intensity/forecast``; ``*`` is all.

        None: the service does not say, and only asking the endpoint tells.

        Raises:
            NoData: It has no such zone.
        """
        access = self._zone_entry(zone).get("access")
        return frozenset(str(item) for item in access) if isinstance(access, list) else None

    def _zone_entry(self, zone: ZoneId) -> dict[str, Any]:
        """What the service says of the zone and, as far as it knows the key, of its access there."""
        if "/zones" not in self._probed:
            self._probed["/zones"] = self._get("/zones", {})
        zones = self._probed["/zones"]
        entry = zones.get(zone)
        if not isinstance(entry, dict):
            raise NoData(
                f"electricitymaps has no zone {zone}.",
                provider=self.name,
                operation="zones",
                hint=nearest(zone, zones) or "Choose another source.",
                zone=zone,
            )
        return entry

    def _forecast_rows(self, zone: ZoneId, span: Span) -> list[dict[str, Any]]:
        try:
            opened, tier = self.capabilities(zone), self._zone_entry(zone).get("tier")
        except Unavailable:  # seen to fail while the data endpoints answer
            opened, tier = None, None
        if tier == _SYNTHETIC_TIER:
            raise NoData(
                f"electricitymaps makes the curve of {zone} from monthly or yearly figures ({tier}).",
                provider=self.name,
                operation=f"forecast {zone}",
                hint="It is good for no choice of time: use another source, or --signal climatology.",
                zone=zone,
                tier=tier,
            )
        if opened is not None and not opened & {ALL, "carbon-intensity/forecast"}:
            raise _not_in_plan(self.name, f"forecast {zone}")
        needed_h = (span.end_utc - self.now_utc()) / _STEP
        enough_h = min((h for h in _HORIZONS_H if h >= needed_h), default=_HORIZONS_H[0])
        *longer, shortest = (h for h in _HORIZONS_H if h <= enough_h)
        for horizon_h in longer:
            try:
                return self._horizon_rows(zone, horizon_h)
            except Rejected as error:
                if error.facts.get("reason") not in ("plan", "request"):
                    raise  # the key itself: a shorter horizon changes nothing
        return self._horizon_rows(zone, shortest)

    def _horizon_rows(self, zone: ZoneId, horizon_h: int) -> list[dict[str, Any]]:
        return self._rows("/carbon-intensity/forecast", {"zone": zone, "horizonHours": str(horizon_h)})

    def _actual_rows(self, zone: ZoneId, span: Span) -> list[dict[str, Any]]:
        """The trailing day costs one call on any plan; what lies before is asked for in pieces."""
        now_utc = self.now_utc()
        recent = now_utc - _HISTORY + _STEP
        if span.start_utc >= recent:
            return self._rows("/carbon-intensity/history", {"zone": zone})
        begun = ceil_to(min(span.end_utc, now_utc), _STEP)  # the service checks its times strictly
        try:
            return [
                row
                for start, end in pieces(floor_to(span.start_utc, _STEP), begun, _MOST_DAYS)
                for row in self._rows(
                    "/carbon-intensity/past-range", {"zone": zone, "start": iso_utc(start), "end": iso_utc(end)}
                )
            ]
        except Rejected as error:
            if error.facts.get("reason") != "plan" or span.end_utc <= recent:
                raise
        return self._rows("/carbon-intensity/history", {"zone": zone})

    def _refuse_sandbox(self, zone: ZoneId) -> None:
        """A sandbox key answers everything with invented figures, and its forecasts alone do not betray it."""
        path = "/carbon-intensity/latest"
        if path in self._probed:
            return
        try:
            rows = self._rows(path, {"zone": zone})
        except NoData:
            return  # nothing to see here; the rows are looked at as well
        if any(_SANDBOX in str(row.get("estimationMethod")) for row in rows):
            self._raise_sandbox()
        self._probed[path] = {"rows": rows}

    def _raise_sandbox(self) -> NoReturn:
        raise Rejected(
            "The key of electricitymaps is a sandbox key: its figures are invented.",
            provider=self.name,
            operation="latest",
            hint="Use a real key (ELECTRICITYMAPS_API_TOKEN).",
            reason="sandbox",
        )

    def _rows(self, path: str, asked: dict[str, str]) -> list[dict[str, Any]]:
        """Rows in whichever envelope, all of the zone that was asked for."""
        body, operation = self._get(path, asked), _operation(path, asked)
        step = body.get("temporalGranularity", "hourly")
        if step != "hourly":
            raise unknown_shape(ValueError(f"steps are {step}, not hourly"), provider=self.name, operation=operation)
        rows = next((body[name] for name in _ENVELOPES if name in body), [body])
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise unknown_shape(TypeError("rows are not a list of objects"), provider=self.name, operation=operation)
        wrong = {body.get("zone"), *(row.get("zone", asked["zone"]) for row in rows)} - {asked["zone"]}
        if wrong:
            raise Malformed(
                f"electricitymaps was asked for {asked['zone']} and answered for {', '.join(map(str, wrong))}.",
                provider=self.name,
                operation=operation,
                hint="Check the zone's name.",
                zone=asked["zone"],
            )
        return rows

    def _get(self, path: str, asked: dict[str, str]) -> dict[str, Any]:
        operation = _operation(path, asked)
        try:
            body = self._answer(path, asked, operation)
        except Rejected as error:
            raise _refusal(error) from error
        if not isinstance(body, dict):
            raise unknown_shape(TypeError(f"a {type(body).__name__}"), provider=self.name, operation=operation)
        if _SANDBOX in str(body.get("_disclaimer", "")).upper():
            self._raise_sandbox()
        return body

    def _answer(self, path: str, asked: dict[str, str], operation: str) -> object:
        """The body, of the older version where the newer one has no such path."""
        if self.base_url not in _without_version:
            try:
                return self._answer_of(_VERSION, path, asked, operation)
            except NoData as error:
                said = str(error.facts.get("said", "")).lower()
                if not any(words in said for words in _NO_SUCH_PATH):
                    raise
        body = self._answer_of(_OLDER_VERSION, path, asked, operation)
        _without_version.add(self.base_url)
        return body

    def _answer_of(self, version: str, path: str, asked: dict[str, str], operation: str) -> object:
        return self.http.get_json(
            Question(
                f"{self.base_url}/{version}{path}",
                provider=self.name,
                operation=operation,
                params={**asked, "disableCallerLookup": "true"},  # else an unknown zone is answered for our own place
                headers={"auth-token": self.token},
            )
        )

    def _readable(self, rows: list[dict[str, Any]]) -> Iterator[tuple[datetime, float, str]]:
        """Start, g/kWh and how it was estimated (empty: it was not), of each row."""
        for row in rows:
            if _SANDBOX in str(row.get("estimationMethod")):
                self._raise_sandbox()
            if row.get("emissionFactorType", self.frame.scope) != self.frame.scope:
                raise ValueError(f"factors are {row['emissionFactorType']}, not {self.frame.scope}")
            if row.get("flowTraced") is False:
                raise ValueError("imports are not traced")
            method = str(row.get("estimationMethod") or "no method told") if row.get("isEstimated") else ""
            yield parse_iso_utc(row["datetime"]), as_intensity(row["carbonIntensity"]), method


def _operation(path: str, asked: Mapping[str, str]) -> str:
    return f"{path.removeprefix('/')} {asked.get('zone', '')}".strip()


def _refusal(error: Rejected) -> Rejected:
    """Which "no" it is: a 401 is as often the plan as the key, and only the words tell."""
    status, said = error.facts.get("status"), str(error.facts.get("said", ""))
    if status == 401 and "unauthorized for zone" in said:
        return _not_in_plan(error.provider, error.operation)
    if status == 401:
        return refused(
            error,
            "key",
            message=f"{error.provider} does not accept the key: {error.operation}.",
            hint="Check ELECTRICITYMAPS_API_TOKEN; only an account's newest key works.",
        )
    if status == 403:
        return refused(
            error,
            "edge",
            message=f"{error.provider} was not reached, its edge refused ({said}): {error.operation}.",
            hint="It is not the key: try later, or from another network.",
        )
    return refused(error, "request")


def _not_in_plan(provider: str, operation: str) -> Rejected:
    return Rejected(
        f"The plan of the {provider} key does not cover this: {operation}.",
        provider=provider,
        operation=operation,
        hint="The key is good for other zones or endpoints; the next source of the chain is used.",
        reason="plan",
    )
