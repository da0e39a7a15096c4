"""The United States' hourly generation by fuel, EIA-930. https://www.eia.gov/opendata; free key."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from lowtide_core.errors import Malformed, NoData, Rejected
from lowtide_core.outlooks import Publication
from lowtide_core.series import LIFECYCLE_PRODUCTION, Frame
from lowtide_providers.http import Http, Question
from lowtide_providers.signals.clock import now_utc
from lowtide_providers.signals.computed import NOTE, by_start, on_steps
from lowtide_providers.signals.factors import Fuel, intensity_g_per_kwh
from lowtide_providers.signals.outlooks import build_outlook, on_steps_told
from lowtide_providers.signals.refusals import no_key, refusal, unknown_zone
from lowtide_providers.signals.steps import UNREADABLE, as_number, build_series, ceil_to, floor_to, unknown_shape

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lowtide_core.outlooks import Outlook
    from lowtide_core.places import ZoneId
    from lowtide_core.ports import Wanted
    from lowtide_core.series import SignalSeries
    from lowtide_core.spans import Span

_STEP = timedelta(hours=1)
_PAGE = 5000  # rows; the service answers no more at once
_KEY_HINT = "Set EIA_API_KEY (lowtide config set eia_key KEY); a key is free at www.eia.gov/opendata."
_PERIOD = "%Y-%m-%dT%H"
_DEMAND_OUT = Publication(day_begins_h=4, out_after_h=8)
"""Form EIA-930: a day's demand forecast is posted by 7:00 Eastern of that day, in winter 12:00 UTC. No American day
begins before 04:00 UTC."""

_FUELS: dict[str, Fuel] = {
    "COL": "coal",
    "NG": "gas",
    "NUC": "nuclear",
    "OIL": "oil",
    "WAT": "hydro",
    "SUN": "solar",
    "SNB": "solar",  # with a battery of its own
    "WND": "wind",
    "WNB": "wind",  # with a battery of its own
    "GEO": "geothermal",
    "OTH": "other",
    "UNK": "unknown",
}
_STORAGE = frozenset({"BAT", "PS", "OES", "UES"})
"""Batteries, pumped and other storage: what they give was generated before, and counted then."""

_ZONES = """
    US-CAL-BANC US-CAL-CISO US-CAL-IID US-CAL-LDWP US-CAL-TIDC
    US-CAR-CPLE US-CAR-CPLW US-CAR-DUK US-CAR-SC US-CAR-SCEG US-CAR-YAD
    US-CENT-SPA US-CENT-SWPP
    US-FLA-FMPP US-FLA-FPC US-FLA-FPL US-FLA-GVL US-FLA-JEA US-FLA-SEC US-FLA-TAL US-FLA-TEC
    US-MIDA-PJM US-MIDW-AECI US-MIDW-LGEE US-MIDW-MISO
    US-NE-ISNE US-NY-NYIS
    US-NW-AVA US-NW-BPAT US-NW-CHPD US-NW-DOPD US-NW-GCPD US-NW-IPCO US-NW-NEVP US-NW-NWMT US-NW-PACE US-NW-PACW
    US-NW-PGE US-NW-PSCO US-NW-PSEI US-NW-SCL US-NW-TPWR US-NW-WACM US-NW-WAUW
    US-SE-SEPA US-SE-SOCO
    US-SW-AZPS US-SW-EPE US-SW-PNM US-SW-SRP US-SW-TEPC US-SW-WALC
    US-TEN-TVA US-TEX-ERCO
"""
RESPONDENTS = {zone: zone.rpartition("-")[2] for zone in _ZONES.split()}
"""Zone -> balancing authority, as EIA calls it; Electricity Maps ends its names of zones with the same letters."""


class _DataSet(NamedTuple):
    """One of EIA's tables, the column that says what a row is of, and what is asked of it."""

    name: str
    kind_column: str
    facets: Mapping[str, str]


_GENERATED = _DataSet("fuel-type-data", "fueltype", {})
_DEMAND = _DataSet("region-data", "type", {"facets[type][]": "DF"})


@dataclass(frozen=True, slots=True)
class Eia930Source:
    """Generation of a balancing authority x factors: its own production alone, imports are not traced.

    Life-cycle factors, because most other sources stand there; in the frame of direct production it takes direct ones.
    There are only actuals, hours to a day late: EIA forecasts demand, not generation.
    """

    key: str = field(repr=False)
    http: Http = field(default_factory=Http)
    now_utc: Callable[[], datetime] = field(default=now_utc, repr=False, compare=False)
    base_url: str = "https://api.eia.gov/v2/electricity/rto"
    name: str = "eia930"
    frame: Frame = LIFECYCLE_PRODUCTION

    def covers(self, zone: ZoneId) -> bool:
        return bool(self.key) and zone in RESPONDENTS

    def fetch(self, zone: ZoneId, span: Span, wanted: Wanted) -> SignalSeries:
        if zone not in RESPONDENTS:
            raise unknown_zone(self.name, zone, f"{wanted} {zone}", "the balancing authorities of the United States")
        if wanted == "forecast":
            raise NoData(
                f"eia930 has no forecast of generation, and so none for {zone}.",
                provider=self.name,
                operation=f"{wanted} {zone}",
                hint="It gives actuals; plan with another source (--signal climatology).",
                zone=zone,
            )
        if not self.key:
            raise no_key(self.name, f"{wanted} {zone}", _KEY_HINT)
        start, end = floor_to(span.start_utc, _STEP), ceil_to(span.end_utc, _STEP)
        known = self._generation(RESPONDENTS[zone], start, end)
        strange = sorted(known.keys() - _FUELS.keys())
        count = (end - start) // _STEP
        mix: list[tuple[Fuel, Any]] = [
            (_FUELS.get(code, "unknown"), on_steps(hours, start, _STEP, count)) for code, hours in sorted(known.items())
        ]
        return build_series(
            by_start(intensity_g_per_kwh(mix, self.frame.scope), start, _STEP),
            _STEP,
            span,
            source=self,
            zone=zone,
            wanted=wanted,
            now_utc=self.now_utc(),
            note=f"{NOTE}; fuel {', '.join(strange)} counted as unknown" if strange else NOTE,
            hint="Its figures come hours to a day late.",
        )

    def outlook(self, zone: ZoneId, span: Span) -> Outlook:
        """The demand as its balancing authority forecast it the day before."""
        if zone not in RESPONDENTS:
            raise unknown_zone(self.name, zone, f"outlook {zone}", "the balancing authorities of the United States")
        if not self.key:
            raise no_key(self.name, f"outlook {zone}", _KEY_HINT)
        start, end = floor_to(span.start_utc, _STEP), ceil_to(span.end_utc, _STEP)
        demand = self._figures(RESPONDENTS[zone], _DEMAND, start, end)
        return build_outlook(
            {"load": on_steps_told(demand.get("DF", {}), start, end, _STEP, name=self.name)},
            start,
            end,
            _STEP,
            name=self.name,
            zone=zone,
            now_utc=self.now_utc(),
            publication=_DEMAND_OUT,
        )

    def _generation(self, respondent: str, start: datetime, end: datetime) -> dict[str, dict[datetime, float]]:
        """MWh by code of the fuel and start of the hour, NaN where the answer has null.

        Raises:
            NoData: Not one row.
        """
        known = self._figures(respondent, _GENERATED, start, end)
        if not known:
            raise NoData(
                f"eia930 has no generation of {respondent} from {start:{_PERIOD}} to {end:{_PERIOD}}.",
                provider=self.name,
                operation=f"fuel-type-data {respondent}",
                hint="Its figures come hours to a day late.",
            )
        return known

    def _figures(
        self, respondent: str, of: _DataSet, start: datetime, end: datetime
    ) -> dict[str, dict[datetime, float]]:
        """MWh by kind and start of the hour, NaN where the answer has null."""
        operation = f"{of.name} {respondent}"
        rows = self._rows(respondent, of, start + _STEP, end, operation)
        known: dict[str, dict[datetime, float]] = {}
        try:
            for row in rows:
                if row["respondent"] != respondent:
                    raise ValueError(f"a row of {row['respondent']}")
                if row["value-units"] != "megawatthours":
                    raise ValueError(f"the unit {row['value-units']}")
                ends = datetime.strptime(row["period"], _PERIOD).replace(tzinfo=UTC)
                kind = row[of.kind_column]
                if not isinstance(kind, str):
                    raise TypeError(f"the {of.kind_column} {kind!r}")
                if kind not in _STORAGE:  # a period is the hour that ends then
                    known.setdefault(kind, {})[ends - _STEP] = as_number(row["value"])
        except UNREADABLE as error:
            raise unknown_shape(error, provider=self.name, operation=operation) from error
        return known

    def _rows(
        self, respondent: str, of: _DataSet, first: datetime, last: datetime, operation: str
    ) -> list[dict[str, Any]]:
        """Every page of the periods from first to last, both counted; one order, so that none is on two pages."""
        rows: list[dict[str, Any]] = []
        while True:
            page, total = self._page(
                of,
                {
                    "frequency": "hourly",
                    "data[0]": "value",
                    "facets[respondent][]": respondent,
                    **of.facets,
                    "start": first.strftime(_PERIOD),
                    "end": last.strftime(_PERIOD),
                    "sort[0][column]": "period",
                    "sort[0][direction]": "asc",
                    "sort[1][column]": of.kind_column,
                    "sort[1][direction]": "asc",
                    "offset": str(len(rows)),
                    "length": str(_PAGE),
                },
                operation,
            )
            rows += page
            if len(rows) >= total:
                return rows
            if not page:
                raise Malformed(
                    f"eia930 named {total} rows and gave {len(rows)}: {operation}.",
                    provider=self.name,
                    operation=operation,
                    hint="Try again; a figure may have been added meanwhile.",
                )

    def _page(self, of: _DataSet, asked: dict[str, str], operation: str) -> tuple[list[dict[str, Any]], int]:
        """Rows, and how many there are on all pages. The answer echoes the key: nothing else of it is kept."""
        try:
            body = self.http.get_json(
                Question(
                    f"{self.base_url}/{of.name}/data/",
                    provider=self.name,
                    operation=operation,
                    params=asked,
                    headers={"X-Api-Key": self.key},
                )
            )
        except Rejected as error:
            raise refusal(error, _KEY_HINT) from error
        try:
            answer = body["response"]  # type: ignore[index]
            rows, total = answer["data"], int(answer["total"])
            if not isinstance(rows, list):
                raise TypeError("rows are not a list")
        except UNREADABLE as error:
            raise unknown_shape(error, provider=self.name, operation=operation) from error
        return rows, total
