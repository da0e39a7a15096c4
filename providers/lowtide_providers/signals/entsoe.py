"""Europe's generation by kind of plant, actual and day-ahead: the ENTSO-E Transparency Platform; free token."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np

from lowtide_core.errors import NoData, Rejected
from lowtide_core.series import LIFECYCLE_PRODUCTION, Frame
from lowtide_core.spans import Span
from lowtide_providers.http import Http, Question
from lowtide_providers.signals.clock import now_utc
from lowtide_providers.signals.computed import NOTE, by_start
from lowtide_providers.signals.entsoe_document import QUARTER, Acknowledgement, Block, on_quarters, read_document
from lowtide_providers.signals.factors import FACTORS_G_PER_KWH, Fuel, intensity_g_per_kwh
from lowtide_providers.signals.outlooks import EUROPEAN, build_outlook
from lowtide_providers.signals.refusals import no_key, refusal, unknown_zone
from lowtide_providers.signals.steps import UNREADABLE, build_series, ceil_to, floor_to, pieces, unknown_shape

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from lowtide_core.outlooks import Outlook
    from lowtide_core.places import ZoneId
    from lowtide_core.ports import Wanted
    from lowtide_core.series import FloatArray, Scope, SignalSeries

_HOUR = timedelta(hours=1)
_MOST_DAYS = timedelta(days=30)  # of one question; it refuses more than a year, and is slow long before
_RECENT = timedelta(hours=48)  # in which the last known mix is looked for
_QUARTERS_OF_A_DAY = 96
_KEY_HINT = "Set ENTSOE_API_KEY (lowtide config set entsoe_token TOKEN); a token is free on request to ENTSO-E."
_NOTHING = "No matching data found"

_FUELS: dict[str, Fuel] = {
    "B01": "biomass",
    "B02": "coal",  # lignite
    "B03": "gas",  # made from coal
    "B04": "gas",
    "B05": "coal",
    "B06": "oil",
    "B07": "coal",  # oil shale: nearer to coal than to oil
    "B08": "coal",  # peat
    "B09": "geothermal",
    "B10": "hydro",  # pumped storage, with what flows in by itself; what it pumps is subtracted
    "B11": "hydro",
    "B12": "hydro",
    "B13": "ocean",
    "B14": "nuclear",
    "B15": "other",
    "B16": "solar",
    "B17": "biomass",  # waste
    "B18": "wind",
    "B19": "wind",
    "B20": "other",
}
_STORAGE = frozenset({"B25"})
"""What it gives was generated before, and counted then."""
_SOLAR, _WIND = ("B16",), ("B18", "B19")

EIC_BY_ZONE = {
    "AL": "10YAL-KESH-----5",
    "AT": "10YAT-APG------L",
    "BA": "10YBA-JPCC-----D",
    "BE": "10YBE----------2",
    "BG": "10YCA-BULGARIA-R",
    "CH": "10YCH-SWISSGRIDZ",
    "CZ": "10YCZ-CEPS-----N",
    "DE": "10Y1001A1001A82H",
    "DK-DK1": "10YDK-1--------W",
    "DK-DK2": "10YDK-2--------M",
    "EE": "10Y1001A1001A39I",
    "ES": "10YES-REE------0",
    "FI": "10YFI-1--------U",
    "FR": "10YFR-RTE------C",
    "GR": "10YGR-HTSO-----Y",
    "HR": "10YHR-HEP------M",
    "HU": "10YHU-MAVIR----U",
    "IE": "10Y1001A1001A59C",
    "IT-CNO": "10Y1001A1001A70O",
    "IT-CSO": "10Y1001A1001A71M",
    "IT-NO": "10Y1001A1001A73I",
    "IT-SAR": "10Y1001A1001A74G",
    "IT-SIC": "10Y1001A1001A75E",
    "IT-SO": "10Y1001A1001A788",
    "LT": "10YLT-1001A0008Q",
    "LV": "10YLV-1001A00074",
    "ME": "10YCS-CG-TSO---S",
    "MK": "10YMK-MEPSO----8",
    "NL": "10YNL----------L",
    "NO-NO1": "10YNO-1--------2",
    "NO-NO2": "10YNO-2--------T",
    "NO-NO3": "10YNO-3--------J",
    "NO-NO4": "10YNO-4--------9",
    "NO-NO5": "10Y1001A1001A48H",
    "PL": "10YPL-AREA-----S",
    "PT": "10YPT-REN------W",
    "RO": "10YRO-TEL------P",
    "RS": "10YCS-SERBIATSOV",
    "SE-SE1": "10Y1001A1001A44P",
    "SE-SE2": "10Y1001A1001A45N",
    "SE-SE3": "10Y1001A1001A46L",
    "SE-SE4": "10Y1001A1001A47J",
    "SI": "10YSI-ELES-----O",
    "SK": "10YSK-SEPS-----K",
}
"""Zone -> bidding zone; DE is the one with Luxembourg, IE the one of the whole island."""


@dataclass(frozen=True, slots=True)
class EntsoeSource:
    """Generation of a bidding zone x factors: its own production alone, imports are not traced.

    Life-cycle factors, because most other sources stand there; in the frame of direct production it takes direct ones.
    The platform has no forecast of the whole mix; see ``forecast_g_per_kwh`` for the one that is computed. It ends with
    the day for which wind, sun and total are out: with tomorrow from about 18:00 Brussels time on.
    """

    token: str = field(repr=False)
    http: Http = field(default_factory=Http)
    now_utc: Callable[[], datetime] = field(default=now_utc, repr=False, compare=False)
    base_url: str = "https://web-api.tp.entsoe.eu/api"
    name: str = "entsoe"
    frame: Frame = LIFECYCLE_PRODUCTION

    def covers(self, zone: ZoneId) -> bool:
        return bool(self.token) and zone in EIC_BY_ZONE

    def fetch(self, zone: ZoneId, span: Span, wanted: Wanted) -> SignalSeries:
        eic = self._eic(zone, wanted)
        start, end = floor_to(span.start_utc, _HOUR), ceil_to(span.end_utc, _HOUR)
        if wanted == "forecast":
            values, step, note = self._forecast(zone, eic, start, end)
        else:
            mix, step, note = self._generation(zone, eic, start, end)
            values = intensity_g_per_kwh(list(mix.values()), self.frame.scope)
        return build_series(
            by_start(_on_steps(values, step), start, step),
            step,
            span,
            source=self,
            zone=zone,
            wanted=wanted,
            now_utc=self.now_utc(),
            note=note,
            hint="Its forecast ends with today, from the evening on with tomorrow; actuals come hours late.",
        )

    def outlook(self, zone: ZoneId, span: Span) -> Outlook:
        """Wind, sun and load as forecast the day before."""
        eic = self._eic(zone, "outlook")
        start, end = floor_to(span.start_utc, _HOUR), ceil_to(span.end_utc, _HOUR)
        count = (end - start) // QUARTER
        renewables = self._blocks("A69", "A01", "in_Domain", eic, start, end)
        load = self._blocks("A65", "A01", "outBiddingZone_Domain", eic, start, end)
        known = {"load": on_quarters(load, start, count)}
        for quantity, kinds in (("wind", _WIND), ("solar", _SOLAR)):
            if any(block.psr_type in kinds for block in renewables):
                known[quantity] = _of_kinds(renewables, kinds, start, count)
        now = self.now_utc()
        return build_outlook(known, start, end, QUARTER, name=self.name, zone=zone, now_utc=now, publication=EUROPEAN)

    def _eic(self, zone: ZoneId, wanted: str) -> str:
        if zone not in EIC_BY_ZONE:
            raise unknown_zone(self.name, zone, f"{wanted} {zone}", "bidding zones of Europe")
        if not self.token:
            raise no_key(self.name, f"{wanted} {zone}", _KEY_HINT)
        return EIC_BY_ZONE[zone]

    def _generation(
        self, zone: ZoneId, eic: str, start: datetime, end: datetime
    ) -> tuple[dict[str, tuple[Fuel, FloatArray]], timedelta, str]:
        """Fuel and MW of each kind of plant on quarters; the finest step that occurs; and what to note."""
        blocks = [
            block
            for block in self._blocks("A75", "A16", "in_Domain", eic, start, end)
            if block.psr_type not in _STORAGE and block.start_utc < end
        ]
        produced = [block for block in blocks if not block.consumed]
        if not produced:
            raise self._nothing(zone, "actual generation", "actual", Span(start, end))
        count = (end - start) // QUARTER
        ended = max(0, (self.now_utc() - start) // QUARTER)  # a period may be filled beyond what has happened
        mix: dict[str, tuple[Fuel, FloatArray]] = {}
        for kind in sorted({block.psr_type for block in produced}):
            own = [block for block in blocks if block.psr_type == kind]
            values = _net(own, start, count)
            taken = on_quarters((block for block in own if block.consumed), start, count)
            values[np.isnan(values) & ~np.isnan(taken)] = 0.0  # storage that fills, and tells only of that
            first = min(block.start_utc for block in own if not block.consumed)
            values[: max(0, (first - start) // QUARTER)] = 0.0  # none before it is first told of
            values[ended:] = np.nan
            mix[kind] = (_FUELS.get(kind, "unknown"), values)
        strange = ", ".join(sorted(mix.keys() - _FUELS.keys()))
        note = f"{NOTE}; plants {strange} counted as unknown" if strange else NOTE
        return mix, min(block.step for block in produced), note

    def _forecast(self, zone: ZoneId, eic: str, start: datetime, end: datetime) -> tuple[FloatArray, timedelta, str]:
        """g/kWh on quarters, the finest step that occurs, and what to note."""
        span = Span(start, end)
        renewables = self._blocks("A69", "A01", "in_Domain", eic, start, end)
        if not renewables:
            raise self._nothing(zone, "day-ahead wind and sun", "forecast", span)
        totals, of_load = self._blocks("A71", "A01", "in_Domain", eic, start, end), False
        if not totals:
            totals, of_load = self._blocks("A65", "A01", "outBiddingZone_Domain", eic, start, end), True
        if not totals:
            raise self._nothing(zone, "day-ahead generation or load", "forecast", span)
        kinds = {block.psr_type for block in renewables} & {*_WIND, *_SOLAR}
        recent = ceil_to(self.now_utc(), _HOUR)
        mix, _, note = self._generation(zone, eic, recent - _RECENT, recent)
        rest_g_per_kwh = _last_day_g_per_kwh([mix[kind] for kind in mix if kind not in kinds], self.frame.scope)
        if np.isnan(rest_g_per_kwh):
            raise self._nothing(zone, "recent mix of the plants beside wind and sun", "forecast", span)
        count = (end - start) // QUARTER
        values = forecast_g_per_kwh(
            wind_megawatt=_of_kinds(renewables, _WIND, start, count),
            solar_megawatt=_of_kinds(renewables, _SOLAR, start, count),
            total_megawatt=on_quarters(totals, start, count) if of_load else _net(totals, start, count),
            rest_g_per_kwh=rest_g_per_kwh,
            scope=self.frame.scope,
        )
        note += ", from wind, sun and total of the day ahead and the last day's other plants"
        if of_load:
            note += "; the load stands for the total, imports count as other plants"
        return values, min(block.step for block in (*renewables, *totals)), note

    def _blocks(
        self, document: str, process: str, domain: str, eic: str, start: datetime, end: datetime
    ) -> list[Block]:
        """Every block of the time; empty where there is none."""
        found: list[Block] = []
        for first, last in pieces(start, end, _MOST_DAYS):
            operation = f"{document} {process} {eic} {first:%Y-%m-%dT%H:%MZ}"
            body = self._ask(
                {
                    "documentType": document,
                    "processType": process,
                    domain: eic,
                    "periodStart": f"{first:%Y%m%d%H%M}",
                    "periodEnd": f"{last:%Y%m%d%H%M}",
                },
                operation,
            )
            if body is None:
                continue
            try:
                answer = read_document(body)
            except UNREADABLE as error:
                raise unknown_shape(error, provider=self.name, operation=operation) from error
            if not isinstance(answer, Acknowledgement):
                found += answer
            elif answer.code != "999":
                raise Rejected(
                    f"entsoe refused ({answer.code}, {answer.text[:160]}): {operation}.",
                    provider=self.name,
                    operation=operation,
                    hint="Choose another source, zone or time.",
                    reason="request",
                )
        return found

    def _ask(self, asked: dict[str, str], operation: str) -> bytes | None:
        """The answer; None for "no matching data" in its older form, under status 400."""
        try:
            return self.http.get_bytes(
                Question(
                    self.base_url,
                    provider=self.name,
                    operation=operation,
                    params=asked,
                    secret_params={"securityToken": self.token},
                )
            )
        except Rejected as error:
            if error.facts.get("status") == 400 and _NOTHING in str(error.facts.get("said")):
                return None
            raise refusal(error, _KEY_HINT) from error

    def _nothing(self, zone: ZoneId, what: str, wanted: Wanted, span: Span) -> NoData:
        return NoData(
            f"entsoe has no {what} of {zone} for {span}.",
            provider=self.name,
            operation=f"{wanted} {zone}",
            hint="Its forecast ends with today, from the evening on with tomorrow; actuals come hours late.",
            zone=zone,
        )


def forecast_g_per_kwh(
    *,
    wind_megawatt: FloatArray,
    solar_megawatt: FloatArray,
    total_megawatt: FloatArray,
    rest_g_per_kwh: float,
    scope: Scope,
) -> FloatArray:
    """Intensity of a day ahead of which wind, sun and the total are known.

    Args:
        wind_megawatt, solar_megawatt, total_megawatt: (n,), MW, NaN where unknown.
        rest_g_per_kwh: Mean intensity of everything else, as it was.
    Returns:
        (n,), g CO2eq/kWh.
    Notes:
        What wind and sun leave of the total is generated by the other plants in their last shares. A day on which
        coal goes before gas, or reactors before both, comes out wrong by the difference.
    """
    factors = FACTORS_G_PER_KWH[scope]
    rest = np.maximum(total_megawatt - wind_megawatt - solar_megawatt, 0.0)
    grams = factors["wind"] * wind_megawatt + factors["solar"] * solar_megawatt + rest_g_per_kwh * rest
    generated = wind_megawatt + solar_megawatt + rest
    mean: FloatArray = np.divide(grams, generated, out=np.full(rest.shape, np.nan), where=generated > 0)
    return mean


def _last_day_g_per_kwh(mix: Sequence[tuple[Fuel, FloatArray]], scope: Scope) -> float:
    """Mean intensity, by generation, of the last day's quarters in which every kind is known; NaN: there is none."""
    if not mix:
        return float("nan")
    generated = np.array([values for _, values in mix])
    known = np.flatnonzero(~np.isnan(generated).any(axis=0))[-_QUARTERS_OF_A_DAY:]
    summed: list[tuple[Fuel, FloatArray]] = [
        (fuel, np.maximum(values[known], 0.0).sum(keepdims=True)) for fuel, values in mix
    ]
    return float(intensity_g_per_kwh(summed, scope)[0])


def _net(blocks: Sequence[Block], start: datetime, count: int) -> FloatArray:
    """What is produced less what is consumed, MW on quarters; NaN where production is not told."""
    produced = on_quarters((block for block in blocks if not block.consumed), start, count)
    consumed = on_quarters((block for block in blocks if block.consumed), start, count)
    net: FloatArray = produced - np.nan_to_num(consumed)
    return net


def _of_kinds(blocks: Sequence[Block], kinds: Sequence[str], start: datetime, count: int) -> FloatArray:
    """The sum of those kinds that occur, MW on quarters; 0 where none does."""
    rows = [
        on_quarters((block for block in blocks if block.psr_type == kind), start, count)
        for kind in kinds
        if any(block.psr_type == kind for block in blocks)
    ]
    return np.sum(rows, axis=0) if rows else np.zeros(count)


def _on_steps(quarters: FloatArray, step: timedelta) -> FloatArray:
    """Means of steps; NaN where one quarter of an hour is."""
    means: FloatArray = quarters.reshape(-1, step // QUARTER).mean(axis=1)
    return means
