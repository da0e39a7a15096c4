"""Australia's east: generation and emissions from OpenElectricity (free key), the forecast from AEMO's pre-dispatch."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from lowtide_core.errors import NoData, Rejected
from lowtide_core.series import DIRECT_PRODUCTION, Frame
from lowtide_core.spans import parse_iso_utc
from lowtide_providers.http import Http, Question
from lowtide_providers.signals import nemweb
from lowtide_providers.signals.clock import now_utc
from lowtide_providers.signals.computed import NOTE
from lowtide_providers.signals.refusals import no_key, refusal, unknown_zone
from lowtide_providers.signals.steps import (
    UNREADABLE,
    as_number,
    build_series,
    ceil_to,
    floor_to,
    pieces,
    unknown_shape,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from lowtide_core.places import ZoneId
    from lowtide_core.ports import Wanted
    from lowtide_core.series import SignalSeries
    from lowtide_core.spans import Span

_HOUR = timedelta(hours=1)
_MOST_DAYS = timedelta(days=41)  # of one question; the service answers at most 1,000 steps
_RECENT = timedelta(hours=48)  # in which the last day that is known is looked for
_HOURS_OF_A_DAY = 24
_KEY_HINT = "Set OPENELECTRICITY_API_KEY (lowtide config set openelectricity_key KEY); a key is free."
_UNITS = {"energy": ("MWh",), "emissions": ("t", "tCO2e")}

REGIONS = {"AU-NSW": "NSW1", "AU-QLD": "QLD1", "AU-SA": "SA1", "AU-TAS": "TAS1", "AU-VIC": "VIC1"}
"""Zone -> region of the National Electricity Market."""

_WIND_AND_SUN = frozenset({"wind", "wind_offshore", "solar_utility", "solar_thermal"})
_NOT_COUNTED = frozenset(
    {
        "solar_rooftop",
        "battery",
        "battery_charging",
        "battery_discharging",
        "pumps",
        "imports",
        "exports",
        "interconnector",
        "aggregator_vpp",
        "aggregator_dr",
    }
)
_BURNING = ("coal", "gas", "distillate")
"""How the names of kinds that always emit begin."""


class _Kind(NamedTuple):
    """One kind of plant by start of the hour; NaN where the service has null."""

    energy_mwh: dict[datetime, float]
    emissions_t: dict[datetime, float]


class _Hour(NamedTuple):
    """What a region generated for the grid in one hour, and emitted; NaN where unknown."""

    generated_mwh: float
    of_wind_and_sun_mwh: float
    emitted_t: float

    @property
    def g_per_kwh(self) -> float:
        return self.emitted_t * 1000 / self.generated_mwh if self.generated_mwh > 0 else float("nan")


@dataclass(frozen=True, slots=True)
class OpenElectricitySource:
    """Emissions over generation of a region: its own production alone, and direct, because the service counts
    emissions at the stack; it has no life-cycle figures.

    Roofs are left out: what they make never passes the grid, and pre-dispatch does not forecast it. So actual and
    forecast count the same. Storage, pumps and flows between regions are no generation either.

    The forecast needs the key too: pre-dispatch is free, but the intensity of the plants beside wind and sun, which it
    scales, comes from the last day's actuals.
    """

    key: str = field(repr=False)
    http: Http = field(default_factory=Http)
    now_utc: Callable[[], datetime] = field(default=now_utc, repr=False, compare=False)
    base_url: str = "https://api.openelectricity.org.au/v4"
    nemweb_url: str = "https://nemweb.com.au/Reports/Current/PredispatchIS_Reports/"
    name: str = "openelectricity"
    frame: Frame = DIRECT_PRODUCTION

    def covers(self, zone: ZoneId) -> bool:
        return bool(self.key) and zone in REGIONS

    def fetch(self, zone: ZoneId, span: Span, wanted: Wanted) -> SignalSeries:
        if zone not in REGIONS:
            raise unknown_zone(
                self.name, zone, f"{wanted} {zone}", "the regions of Australia's National Electricity Market"
            )
        if not self.key:
            raise no_key(self.name, f"{wanted} {zone}", _KEY_HINT)
        if wanted == "forecast":
            return self._forecast(zone, span)
        now_utc = self.now_utc()
        start, end = floor_to(span.start_utc, _HOUR), min(ceil_to(span.end_utc, _HOUR), now_utc)
        hours = self._hours(REGIONS[zone], start, end)
        return build_series(
            {at: hour.g_per_kwh for at, hour in hours.items()},
            _HOUR,
            span,
            source=self,
            zone=zone,
            wanted=wanted,
            now_utc=now_utc,
            note=NOTE,
            hint="Its figures come within the hour, and go back as far as the key's plan.",
        )

    def _forecast(self, zone: ZoneId, span: Span) -> SignalSeries:
        run = self._predispatch(REGIONS[zone])
        rest_g_per_kwh = self._rest_g_per_kwh(zone)
        return build_series(
            {at: forecast_g_per_kwh(demand, rest_g_per_kwh) for at, demand in run.half_hours.items()},
            nemweb.STEP,
            span,
            source=self,
            zone=zone,
            wanted="forecast",
            now_utc=self.now_utc(),
            issued_at=run.issued_at,
            note=f"{NOTE}, from pre-dispatch and the last day's plants beside wind and sun",
            hint="Pre-dispatch ends at 04:00 of the market, tomorrow or the day after: 16 to 40 h ahead.",
        )

    def _rest_g_per_kwh(self, zone: ZoneId) -> float:
        """Mean intensity of the plants beside wind and sun in the last 24 hours that are known."""
        now_utc = self.now_utc()
        hours = self._hours(REGIONS[zone], floor_to(now_utc - _RECENT, _HOUR), now_utc)
        recent = [hour for hour in hours.values() if hour.g_per_kwh >= 0][-_HOURS_OF_A_DAY:]
        rest_mwh = sum(hour.generated_mwh - hour.of_wind_and_sun_mwh for hour in recent)
        if rest_mwh <= 0:
            raise NoData(
                f"openelectricity has no recent generation of {zone} beside wind and sun.",
                provider=self.name,
                operation=f"forecast {zone}",
                zone=zone,
            )
        return sum(hour.emitted_t for hour in recent) * 1000 / rest_mwh

    def _predispatch(self, region: str) -> nemweb.Predispatch:
        operation = f"nemweb pre-dispatch {region}"
        name = nemweb.newest_file(
            self.http.get_text(Question(self.nemweb_url, provider=self.name, operation=operation))
        )
        if name is None:
            raise NoData(
                "openelectricity found no file of pre-dispatch: nemweb lists none.",
                provider=self.name,
                operation=operation,
            )
        body = self.http.get_bytes(Question(self.nemweb_url + name, provider=self.name, operation=operation))
        try:
            return nemweb.read_predispatch(nemweb.read_archive(body), region)
        except UNREADABLE as error:
            raise unknown_shape(error, provider=self.name, operation=operation) from error

    def _hours(self, region: str, start: datetime, end: datetime) -> dict[datetime, _Hour]:
        """Start of each hour that has ended -> what was generated in it, in order."""
        hours: dict[datetime, _Hour] = {}
        for first, last in pieces(start, end, _MOST_DAYS):
            operation = f"data {region} {first:%Y-%m-%dT%H:%MZ}"
            body = self._ask(region, first, last, operation)
            try:
                kinds = _kinds(body, region)
                starts = {at for kind in kinds.values() for at in kind.energy_mwh if at + _HOUR <= end}
            except UNREADABLE as error:
                raise unknown_shape(error, provider=self.name, operation=operation) from error
            hours.update({at: _hour(kinds, at) for at in sorted(starts)})
        return hours

    def _ask(self, region: str, first: datetime, last: datetime, operation: str) -> Any:
        try:
            body = self.http.get_json(
                Question(
                    f"{self.base_url}/data/network/NEM?metrics=energy&metrics=emissions",
                    provider=self.name,
                    operation=operation,
                    params={
                        "interval": "1h",
                        "network_region": region,
                        "primary_grouping": "network_region",
                        "secondary_grouping": "fueltech",
                        "date_start": _network_time(first),
                        "date_end": _network_time(last),
                    },
                    headers={"Authorization": f"Bearer {self.key}"},
                )
            )
        except Rejected as error:
            raise refusal(error, _KEY_HINT) from error
        if isinstance(body, dict) and body.get("success") is False:
            raise Rejected(
                f"openelectricity refused ({str(body.get('error'))[:160].replace(self.key, '(hidden)')}): {operation}.",
                provider=self.name,
                operation=operation,
                hint="Choose another source, zone or time.",
                reason="request",
            )
        return body


def forecast_g_per_kwh(demand: nemweb.Demand, rest_g_per_kwh: float) -> float:
    """Intensity of half an hour to come: the other plants' intensity, thinned by wind and sun.

    Args:
        rest_g_per_kwh: Mean intensity of everything but wind and sun, as it was.
    Returns:
        rest x (demand - wind - sun) / demand, g CO2eq/kWh; 0 where wind and sun are enough, NaN where unknown.
    """
    rest_megawatt = demand.demand_megawatt - demand.wind_megawatt - demand.solar_megawatt
    if rest_megawatt <= 0:
        return 0.0
    return rest_g_per_kwh * rest_megawatt / demand.demand_megawatt


def _network_time(instant: datetime) -> str:
    """As the service wants it: the market's time without a zone. It answers with one."""
    return f"{instant.astimezone(nemweb.AEST):%Y-%m-%dT%H:%M:%S}"


def _kinds(body: Any, region: str) -> dict[str, _Kind]:
    """Name of a kind of plant that feeds the grid -> its hours; only of that region."""
    kinds: dict[str, _Kind] = {}
    for block in body["data"]:
        metric = block["metric"]
        if metric not in _UNITS:
            continue
        if block["unit"] not in _UNITS[metric] or block["interval"] != "1h":
            raise ValueError(f"{metric} in {block['unit']} by {block['interval']}")
        for result in block["results"]:
            named = result["columns"]
            name = named["fueltech"].lower()
            if (named["region"] if "region" in named else named["network_region"]) != region or name in _NOT_COUNTED:
                continue
            kind = kinds.setdefault(name, _Kind({}, {}))
            figures = kind.energy_mwh if metric == "energy" else kind.emissions_t
            figures.update({parse_iso_utc(at): as_number(value) for at, value in result["data"]})
    return kinds


def _hour(kinds: Mapping[str, _Kind], at: datetime) -> _Hour:
    """The sum of what runs. Null is ordinary, and is a kind that stands still.

    Unknown are an hour of which only the sun is told, as in the newest ones, and one in which something burns and its
    emissions are not told.
    """
    unknown = float("nan")
    energy_mwh = {name: kind.energy_mwh.get(at, unknown) for name, kind in kinds.items()}
    running = [name for name, energy in energy_mwh.items() if energy > 0]
    told = any(energy == energy and not name.startswith("solar") for name, energy in energy_mwh.items())
    emitted_t = 0.0
    for name in running:
        emissions_t = kinds[name].emissions_t.get(at, unknown)
        emitted_t += emissions_t if emissions_t == emissions_t or name.startswith(_BURNING) else 0.0
    return _Hour(
        sum(energy_mwh[name] for name in running) if told else unknown,
        sum(energy_mwh[name] for name in running if name in _WIND_AND_SUN),
        emitted_t,
    )
