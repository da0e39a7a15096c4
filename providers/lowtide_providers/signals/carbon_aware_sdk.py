"""The Web API of the Green Software Foundation's Carbon Aware SDK, as the user runs it; written for version 1.8.

The setting ``carbon_aware_sdk_url`` (``CARBON_AWARE_SDK_URL``) says where it is, what stands behind it and, where they
differ from the zones, which of its locations are meant::

    http://localhost:5073#electricitymaps
    http://localhost:5073#watttime;US-CAL-CISO=westus
    https://carbon.example/api#average,direct,production;DE=germanywestcentral;GB=uksouth

What the figures are:
    Those of the data source that the SDK is configured with, in g/kWh; the API does not tell which one. So what follows
    the ``#`` is needed, and is never guessed: ``watttime`` (its marginal operating emissions), ``electricitymaps``
    (average, life-cycle, flow-traced consumption), or a frame in three words for another source, such as a file.
    It stays here: what follows a ``#`` is not sent. Which past values are estimates, the API does not tell either.
Locations:
    Names of the user's own SDK (``/locations``). Without any ``ZONE=location``, the location is called like the zone;
    with some, only these zones are covered.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from lowtide_core.errors import InputError, Malformed, NoData, ProviderError, Rejected, nearest
from lowtide_core.series import LIFECYCLE_CONSUMPTION, MARGINAL_CONSUMPTION, Frame, SignalSeries
from lowtide_core.spans import iso_utc, parse_iso_utc
from lowtide_providers.http import Http, Question
from lowtide_providers.signals.clock import now_utc
from lowtide_providers.signals.refusals import no_key
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
    from collections.abc import Callable, Iterable, Mapping

    from lowtide_core.places import ZoneId
    from lowtide_core.ports import Wanted
    from lowtide_core.spans import Span

_HOUR = timedelta(hours=1)
_MOST_DAYS = timedelta(days=10)  # of one question for the past: all that Electricity Maps gives the SDK at once
_KNOWN_FRAMES = {
    "watttime": MARGINAL_CONSUMPTION,
    "electricitymaps": LIFECYCLE_CONSUMPTION,
    "electricitymapsfree": LIFECYCLE_CONSUMPTION,
}
_HOW = (
    "Write it behind the address: carbon_aware_sdk_url = http://localhost:5073#watttime, or #electricitymaps, or a "
    "frame such as #average,direct,production; then ;DE=germanywestcentral for a location not called like its zone."
)


@dataclass(frozen=True, slots=True)
class Statement:
    """What the user says about the SDK's data.

    Attributes:
        frame: Of its figures; None where nothing was said that can be read.
        locations: Zone -> location; empty: every location is called like its zone.
        wrong: What is missing or cannot be read; empty where all is well. It is told when the source is asked, so that
            a setting of one source does not stand in the way of the others.
    """

    frame: Frame | None = None
    locations: Mapping[str, str] = field(default_factory=dict)
    wrong: str = "it is not said which data source stands behind it"


def read_statement(text: str) -> Statement:
    """The statement in ``watttime;US-CAL-CISO=westus``."""
    said, *mapped = (part.strip() for part in text.split(";"))
    if not said:
        return Statement()
    locations = {}
    for item in filter(None, mapped):
        zone, _, location = (part.strip() for part in item.partition("="))
        if not zone or not location:
            return Statement(wrong=f"{item!r} is not ZONE=location")
        locations[zone] = location
    frame = _KNOWN_FRAMES.get(said.lower())
    if frame is not None:
        return Statement(frame, locations, "")
    words = [word.strip().lower() for word in said.split(",")]
    if len(words) != 3:
        return Statement(wrong=f"{said!r} is neither a known data source nor a frame")
    try:
        return Statement(Frame(*words), locations, "")  # type: ignore[arg-type]  # checked there
    except InputError as error:
        return Statement(wrong=error.message.rstrip("."))


@dataclass(frozen=True, slots=True)
class CarbonAwareSdkSource:
    """Passes on what the user's own Carbon Aware SDK says, in the frame that the user states.

    Attributes:
        url: Its address, with any prefix of the routes; empty: there is none.
    """

    url: str = field(repr=False)  # it may hold a password
    stated: Statement = field(default_factory=Statement)
    http: Http = field(default_factory=Http)
    now_utc: Callable[[], datetime] = field(default=now_utc, repr=False, compare=False)
    name: str = "carbon-aware-sdk"

    @property
    def frame(self) -> Frame:
        """The stated one. Without a statement ``fetch`` gives nothing, so that no figure ever stands in the other."""
        return self.stated.frame or LIFECYCLE_CONSUMPTION

    @property
    def stated_frame(self) -> Frame | None:
        return self.stated.frame

    def covers(self, zone: ZoneId) -> bool:
        return bool(self.url) and (not self.stated.locations or zone in self.stated.locations)

    def fetch(self, zone: ZoneId, span: Span, wanted: Wanted) -> SignalSeries:
        self._refuse_unready(zone, wanted)
        location = self.stated.locations.get(zone, zone)
        try:
            if wanted == "forecast":
                rows, step, issued_at = self._forecast(zone, location)
            else:
                rows, step = self._actual(zone, location, span)
                issued_at = None
        except Rejected as error:
            self._refuse_unknown(zone, location, error)
            raise
        return build_series(
            rows,
            step,
            span,
            source=self,
            zone=zone,
            wanted=wanted,
            now_utc=self.now_utc(),
            issued_at=issued_at,
            note=f"passed on for {location} in the frame stated in carbon_aware_sdk_url",
            hint="Its data source has nothing there.",
        )

    def _refuse_unready(self, zone: ZoneId, wanted: Wanted) -> None:
        if not self.url:
            raise no_key(
                self.name,
                f"{wanted} {zone}",
                "Set CARBON_AWARE_SDK_URL (lowtide config set carbon_aware_sdk_url ADDRESS#SOURCE).",
                lacks="its address is not set",
            )
        wrong = self.stated.wrong or (
            "" if re.match(r"https?://[^/]", self.url) else "the address does not begin with http:// or https://"
        )
        if wrong:
            raise Rejected(
                f"carbon-aware-sdk was not asked: {wrong}.",
                provider=self.name,
                operation=f"{wanted} {zone}",
                hint=_HOW,
                reason="setting",
                setting="carbon_aware_sdk_url",
            )
        if not self.covers(zone):
            raise NoData(
                f"carbon-aware-sdk has no location for {zone}.",
                provider=self.name,
                operation=f"{wanted} {zone}",
                hint=f"Add ;{zone}=LOCATION to carbon_aware_sdk_url.",
                zone=zone,
            )

    def _forecast(self, zone: ZoneId, location: str) -> tuple[dict[datetime, float], timedelta, datetime]:
        """All of the current forecast.

        Neither ``dataStartAt`` nor ``dataEndAt`` is sent, which are refused where they lie outside of it, nor
        ``windowSize``, which would turn the values into moving averages.
        """
        operation = f"forecast {location}"
        body = self._get("/emissions/forecasts/current", {"location": location}, operation)
        if not body:
            return {}, _HOUR, self.now_utc()
        try:
            answered = {item["location"].lower(): item for item in body}
            ours = answered.get(location.lower())
            if ours is not None:
                points = ((point["timestamp"], point["duration"], point["value"]) for point in ours["forecastData"])
                return *_rows(points), parse_iso_utc(ours["generatedAt"])
        except UNREADABLE as error:
            raise unknown_shape(error, provider=self.name, operation=operation) from error
        raise self._answered_for(answered, zone, location, operation)

    def _actual(self, zone: ZoneId, location: str, span: Span) -> tuple[dict[datetime, float], timedelta]:
        operation = f"actual {location}"
        start = floor_to(span.start_utc, _HOUR)
        end = min(ceil_to(span.end_utc, _HOUR), ceil_to(self.now_utc(), _HOUR))
        items: list[Any] = []
        for first, last in pieces(start, end, _MOST_DAYS):
            asked = {"location": location, "time": iso_utc(first), "toTime": iso_utc(last)}
            items += self._get("/emissions/bylocation", asked, operation)
        try:
            # a point is of the data source's region, whose name is not ours to know; but it is one region
            regions = {item["location"] for item in items}
            rows = _rows((item["time"], item["duration"], item["rating"]) for item in items)
        except UNREADABLE as error:
            raise unknown_shape(error, provider=self.name, operation=operation) from error
        if len(regions) > 1:
            raise self._answered_for(regions, zone, location, operation)
        return rows

    def _get(self, route: str, asked: Mapping[str, str], operation: str) -> list[Any]:
        try:
            body = self.http.get_json(Question(self.url + route, provider=self.name, operation=operation, params=asked))
        except NoData as error:
            if error.facts.get("status") == 204:
                return []
            raise
        except Malformed as error:
            if error.facts.get("status") != 501:
                raise
            raise NoData(
                f"carbon-aware-sdk cannot do that with its data source: {operation}.",
                provider=self.name,
                operation=operation,
                hint="Give the SDK a ForecastDataSource and an EmissionsDataSource.",
            ) from error
        if not isinstance(body, list):
            raise unknown_shape(TypeError("not a list"), provider=self.name, operation=operation)
        return body

    def _refuse_unknown(self, zone: ZoneId, location: str, refusal: Rejected) -> None:
        """After a 400: whether it was for the name, which only the list of names tells.

        Raises:
            NoData: The SDK has no location of that name.
        """
        if refusal.facts.get("status") != 400:
            return
        try:
            known = self.http.get_json(Question(f"{self.url}/locations", provider=self.name, operation="locations"))
        except ProviderError:
            return  # an SDK without that list: the refusal itself is told
        if not isinstance(known, dict) or location.lower() in map(str.lower, known):
            return
        raise NoData(
            f"carbon-aware-sdk has no location {location} for {zone}.",
            provider=self.name,
            operation="locations",
            hint=f"{nearest(location, known)} Its /locations lists them; add ;{zone}=LOCATION to "
            "carbon_aware_sdk_url.".strip(),
            zone=zone,
        ) from refusal

    def _answered_for(self, names: Iterable[str], zone: ZoneId, location: str, operation: str) -> Malformed:
        return Malformed(
            f"carbon-aware-sdk was asked for {location} and answered for {', '.join(sorted(map(str, names)))}.",
            provider=self.name,
            operation=operation,
            hint="Check the location's name.",
            zone=zone,
        )


def source_of(setting: str, http: Http) -> CarbonAwareSdkSource:
    """The source of ``carbon_aware_sdk_url``."""
    url, _, statement = setting.strip().partition("#")
    return CarbonAwareSdkSource(url.strip().rstrip("/"), read_statement(statement), http)


def _rows(points: Iterable[tuple[str, object, object]]) -> tuple[dict[datetime, float], timedelta]:
    """Start of a step -> g/kWh, and the step.

    Raises:
        ValueError: The durations differ, or are not positive. (Points that lie closer than they last, as moving
            averages do, are found to be off the step later.)
    """
    read = [(parse_iso_utc(at), _duration(lasts), as_intensity(value)) for at, lasts, value in points]
    durations = {duration for _, duration, _ in read} or {_HOUR}
    if len(durations) > 1 or min(durations) <= timedelta(0):
        raise ValueError(f"durations are {', '.join(sorted(map(str, durations)))}")
    return {at: value for at, _, value in read}, durations.pop()


def _duration(lasts: object) -> timedelta:
    """Minutes, or .NET's TimeSpan: ``00:05:00``, ``01:00``, ``1.00:00:00``, with fractions of a second."""
    if isinstance(lasts, int | float) and not isinstance(lasts, bool):
        return timedelta(minutes=lasts)
    found = re.fullmatch(r"(?:(\d+)\.)?(\d+):(\d{2})(?::(\d{2}(?:\.\d+)?))?", str(lasts))
    if found is None:
        raise ValueError(f"{lasts!r} is not a duration")
    days, hours, minutes, seconds = (float(part or 0) for part in found.groups())
    return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
