"""WattTime, version 3 of its API: marginal intensities in steps of five minutes, forecast for three days."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from lowtide_core.errors import Malformed, NoData, Rejected, nearest
from lowtide_core.series import MARGINAL_CONSUMPTION, Frame, SignalSeries
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

REGIONS: Mapping[str, str] = {
    "AE": "ARE",
    "AU-NSW": "NEM_NSW",
    "AU-VIC": "NEM_VIC",
    "BE": "BE",
    "BH": "BHR",
    "CA-QC": "HQ",
    "CH": "CH",
    "DE": "DE",
    "ES": "ES",
    "FI": "FI",
    "FR": "FR",
    "HK": "HKG",
    "ID": "IDN",
    "IE": "IE",
    "IL": "ISR",
    "JP-KN": "JP_KN",
    "JP-TK": "JP_TK",
    "KR": "KOR",
    "NL": "NL",
    "PL": "PL",
    "SA": "SAU",
    "SE": "SE",
    "SG": "SGP",
    "TW": "TWN",
    "US-CAL-CISO": "CAISO_NORTH",
    "US-CAR-SC": "SC",
    "US-NW-BPAT": "BPA",
    "US-NW-NEVP": "NEVP",
    "US-NW-PACE": "PACE",
    "ZA": "ZAF",
}
"""Zone -> WattTime's region, where one is the other, and the one part of a zone that every account may ask for.

Left out: zones that WattTime divides (PJM, MISO, ERCOT, Ontario), and regions of several zones (India, Italy, Brazil).

Source:
    Green Software Foundation, Real-Time Cloud, Cloud Region Metadata, 2024: em-zone-id and wt-region-id.
"""
_PARTS: Mapping[str, str] = {"CAISO_NORTH": "of the north of the zone alone (CAISO_NORTH)"}

_G_PER_KWH_OF_LB_PER_MWH = 0.45359237  # a pound is 453.59237 g by definition
_UNITS = "lbs_co2_per_mwh"
_SIGNAL = "co2_moer"
_FORECAST, _HISTORY, _ACCESS = "/v3/forecast", "/v3/historical", "/v3/my-access"
_STEP = timedelta(minutes=5)
_FARTHEST_H = 72
_MOST_DAYS = timedelta(days=30)  # of one question for the past
_TOKEN_AGE = timedelta(minutes=28)  # it is good for 30
_LONGEST_WARNINGS = 300  # characters, in a note


@dataclass(frozen=True, slots=True)
class WattTimeSource:
    """Marginal and direct, so never compared with the average figures of others. Needs an account.

    WattTime defines its marginal operating emissions rate by changes of load in the region, not of generation, and so
    does the Cloud Region Metadata of the Green Software Foundation, where the same figure is called
    ``grid-carbon-intensity-marginal-consumption``. Nothing of building the plants or of bringing fuel is in it.

    A free account opens CAISO_NORTH alone; what another opens is told by ``capabilities``.
    """

    user: str
    password: str = field(repr=False)
    http: Http = field(default_factory=Http)
    now_utc: Callable[[], datetime] = field(default=now_utc, repr=False, compare=False)
    base_url: str = "https://api.watttime.org"
    name: str = "watttime"
    frame: Frame = MARGINAL_CONSUMPTION
    _token: list[tuple[str, datetime]] = field(default_factory=list, init=False, repr=False, compare=False)
    """The newest token and when it was given, or nothing."""

    def covers(self, zone: ZoneId) -> bool:
        return bool(self.user and self.password) and zone in REGIONS

    def fetch(self, zone: ZoneId, span: Span, wanted: Wanted) -> SignalSeries:
        region = self._region(zone, f"{wanted} {zone}")
        answers = [self._answer(path, asked) for path, asked in self._questions(region, span, wanted)]
        imputed = any(span.start_utc - _STEP < at < span.end_utc for answer in answers for at in answer.imputed)
        return build_series(
            {at: value for answer in answers for at, value in answer.g_per_kwh.items()},
            _STEP,
            span,
            source=self,
            zone=zone,
            wanted=wanted,
            now_utc=self.now_utc(),
            kind="estimated" if wanted == "actual" and imputed else wanted,
            issued_at=answers[0].generated_at if wanted == "forecast" else None,
            note=_note(region, answers),
            hint="Its forecast begins now and ends after 72 hours; its history lags.",
        )

    def capabilities(self, zone: ZoneId) -> frozenset[str]:
        """Endpoints that the account opens for the zone, such as ``v3/forecast``; empty where it opens none.

        Raises:
            NoData: The zone is none of WattTime's regions. Otherwise as ``fetch``.
        """
        operation = _ACCESS.removeprefix("/")
        region = self._region(zone, operation)
        body = self._get(_ACCESS, {})
        try:
            return frozenset(
                endpoint["endpoint"]
                for signal in body["signal_types"]
                for entry in signal["regions"]
                for endpoint in entry["endpoints"]
                if signal["signal_type"] == _SIGNAL and entry["region"] == region
            )
        except UNREADABLE as error:
            raise unknown_shape(error, provider=self.name, operation=operation) from error

    def _region(self, zone: ZoneId, operation: str) -> str:
        if not (self.user and self.password):
            hint = "Set WATTTIME_USER and WATTTIME_PASSWORD (lowtide config set watttime_user NAME)."
            raise no_key(self.name, operation, hint, lacks="there is no account")
        if zone not in REGIONS:
            raise NoData(
                f"watttime has no region that is zone {zone}.",
                provider=self.name,
                operation=operation,
                hint=nearest(zone, REGIONS) or f"It is asked for {', '.join(REGIONS)}.",
                zone=zone,
            )
        return REGIONS[zone]

    def _questions(self, region: str, span: Span, wanted: Wanted) -> Iterator[tuple[str, dict[str, str]]]:
        if wanted == "forecast":
            needed_h = -((floor_to(self.now_utc(), _STEP) - span.end_utc) // timedelta(hours=1))
            yield _FORECAST, {"region": region, "horizon_hours": str(min(max(needed_h, 1), _FARTHEST_H))}
            return
        begun = ceil_to(min(span.end_utc, self.now_utc()), _STEP)
        for start, end in pieces(floor_to(span.start_utc, _STEP), begun, _MOST_DAYS):
            last = max(end - _STEP, start + _STEP)  # both are told, and may not be the same
            limits = {"start": iso_utc(start), "end": iso_utc(last), "include_imputed_marker": "true"}
            yield _HISTORY, {"region": region, **limits}

    def _answer(self, path: str, asked: dict[str, str]) -> _Answer:
        operation = f"{path.removeprefix('/')} {asked['region']}"
        body = self._get(path, {"signal_type": _SIGNAL, **asked})
        try:
            answer = _read(body, forecast=path == _FORECAST)
        except UNREADABLE as error:
            raise unknown_shape(error, provider=self.name, operation=operation) from error
        if (answer.region, answer.units) != (asked["region"], _UNITS):
            raise Malformed(
                f"watttime was asked for {_SIGNAL} of {asked['region']} in {_UNITS} and answered for {answer.region} "
                f"in {answer.units}: {operation}.",
                provider=self.name,
                operation=operation,
                hint="A percentile or a damage to health is no intensity. Please report it with this message.",
                units=answer.units,
            )
        return answer

    def _get(self, path: str, asked: dict[str, str]) -> dict[str, Any]:
        """The body; with a new token, where the kept one is no longer taken."""
        operation = f"{path.removeprefix('/')} {asked.get('region', '')}".strip()
        kept = self._kept_token()
        try:
            body = self._get_with(kept or self._new_token(), path, asked, operation)
        except Rejected as error:
            refusal = _refusal(error)
            if not kept or refusal.facts["reason"] not in ("key", "edge"):
                raise refusal from error
            try:
                body = self._get_with(self._new_token(), path, asked, operation)
            except Rejected as again:
                raise _refusal(again) from again
        if not isinstance(body, dict):
            raise unknown_shape(TypeError(f"a {type(body).__name__}"), provider=self.name, operation=operation)
        return body

    def _get_with(self, token: str, path: str, asked: dict[str, str], operation: str) -> object:
        return self.http.get_json(
            Question(
                self.base_url + path,
                provider=self.name,
                operation=operation,
                params=asked,
                headers={"Authorization": f"Bearer {token}"},
            )
        )

    def _kept_token(self) -> str:
        if self._token and self.now_utc() - self._token[0][1] < _TOKEN_AGE:
            return self._token[0][0]
        return ""

    def _new_token(self) -> str:
        body = self.http.get_json(
            Question(f"{self.base_url}/login", provider=self.name, operation="login", basic=(self.user, self.password))
        )
        token = body.get("token") if isinstance(body, dict) else None
        if not isinstance(token, str) or not token:
            raise unknown_shape(KeyError("token"), provider=self.name, operation="login")
        self._token[:] = [(token, self.now_utc())]
        return token


@dataclass(frozen=True, slots=True)
class _Answer:
    """Rows of one answer by the start of their step, and what it says of itself."""

    region: str
    units: str
    g_per_kwh: Mapping[datetime, float]
    imputed: frozenset[datetime]
    generated_at: datetime | None
    warnings: tuple[str, ...]


def _read(body: dict[str, Any], *, forecast: bool) -> _Answer:
    """An answer in either shape; what cannot be read raises one of ``UNREADABLE``. Rows of other units are not read."""
    meta, data = body["meta"], body["data"]
    warnings = meta.get("warnings") or []
    answer = _Answer(
        region=str(meta["region"]),
        units=str(meta["units"]),
        g_per_kwh={},
        imputed=frozenset(parse_iso_utc(row["point_time"]) for row in data if row.get("imputed_data_used")),
        generated_at=parse_iso_utc(meta["generated_at"]) if forecast else None,
        warnings=tuple(_words(warning) for warning in (warnings if isinstance(warnings, list) else [warnings])),
    )
    if answer.units != _UNITS:
        return answer
    step_s = meta.get("data_point_period_seconds", _STEP.total_seconds())
    if step_s != _STEP.total_seconds():
        raise ValueError(f"steps of {step_s} s")
    rows = {parse_iso_utc(row["point_time"]): as_intensity(row["value"]) * _G_PER_KWH_OF_LB_PER_MWH for row in data}
    return replace(answer, g_per_kwh=rows)


def _words(warning: object) -> str:
    said = warning.get("message") or warning.get("type") if isinstance(warning, dict) else warning
    return " ".join(str(said).split())


def _note(region: str, answers: list[_Answer]) -> str:
    warned = "; ".join(dict.fromkeys(word for answer in answers for word in answer.warnings))[:_LONGEST_WARNINGS]
    return "; ".join(filter(None, [_PARTS.get(region, ""), warned and f"watttime warns: {warned}"]))


def _refusal(error: Rejected) -> Rejected:
    """Which "no" it is; only a lack of scope is said in words, everything else is the token or the edge."""
    status, said = error.facts.get("status"), str(error.facts.get("said", ""))
    if status == 403 and "scope" in said.lower():
        return refused(
            error,
            "plan",
            message=f"The plan of the {error.provider} account does not cover this: {error.operation}.",
            hint="A free account opens CAISO_NORTH (zone US-CAL-CISO) alone; the next source of the chain is used.",
        )
    if status == 401 or error.operation == "login":
        return refused(
            error,
            "key",
            message=f"{error.provider} does not accept the account: {error.operation}.",
            hint="Check WATTTIME_USER and WATTTIME_PASSWORD.",
        )
    if status == 403:
        return refused(
            error,
            "edge",
            message=f"{error.provider} was not reached, its edge refused: {error.operation}.",
            hint="It is not the account: try later, or from another network.",
        )
    return refused(error, "request")
