"""Energy-Charts of Fraunhofer ISE: European countries, measured and forecast, no key. https://api.energy-charts.info

What the figures are:
    The service says "co2eq", g CO2eq/kWh, per country, and states neither factors nor accounting where we could find
    it. Average: it is one figure of the whole mix. Life-cycle: inferred from its level. France is given 48 to 65 g/kWh
    (4 October 2026), while the direct emissions of French generation are about 15 (see ``eco2mix``, whose figures can
    be recomputed); the upstream of nuclear, hydro and gas explains the difference, combustion does not. Production:
    inferred from its method, which rests on the generation and the wind and solar forecasts that grid operators report
    to ENTSO-E, recomputed hourly (README of bluehands/Carbon-Aware-Computing, which serves these forecasts); no flow
    between countries is mentioned. Each series says that its frame is inferred.
    In the French answer of that day the forecast starts 10 g/kWh below the last measured value: the two are never
    joined here.
Which countries:
    Those that answered on 6 October 2026 (apps/api/src/gridshift/zones.py of smymuna/gridshift), without Denmark,
    Italy, Norway and Sweden: these are merged here, and several zones elsewhere.
Horizon:
    To about the end of the local day, and of the next from about 19:00 CEST on. Licence: CC BY 4.0 for most series.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from lowtide_core.errors import NoData, Rejected
from lowtide_core.series import LIFECYCLE_PRODUCTION, Frame, SignalSeries
from lowtide_core.spans import from_epoch_s
from lowtide_providers.http import Http, Question
from lowtide_providers.signals.clock import now_utc
from lowtide_providers.signals.steps import UNREADABLE, as_intensity, build_series, ceil_to, floor_to, unknown_shape

if TYPE_CHECKING:
    from collections.abc import Callable

    from lowtide_core.places import ZoneId
    from lowtide_core.ports import Wanted
    from lowtide_core.spans import Span

COUNTRIES = (
    *("AT", "BE", "BG", "CH", "CZ", "DE", "EE", "ES", "FI", "FR", "GR"),
    *("HR", "HU", "IE", "LT", "LU", "LV", "NL", "PL", "PT", "SI", "SK"),
)
_HOUR = timedelta(hours=1)
_USUAL_STEP = timedelta(minutes=15)
_INFERRED = "its frame is inferred: energy-charts states neither factors nor accounting"


@dataclass(frozen=True, slots=True)
class EnergyChartsSource:
    """Country figures: each quarter of an hour is either measured or forecast."""

    http: Http = field(default_factory=Http)
    now_utc: Callable[[], datetime] = field(default=now_utc, repr=False, compare=False)
    base_url: str = "https://api.energy-charts.info"
    name: str = "energy-charts"
    frame: Frame = LIFECYCLE_PRODUCTION

    def covers(self, zone: ZoneId) -> bool:
        return zone in COUNTRIES

    def fetch(self, zone: ZoneId, span: Span, wanted: Wanted) -> SignalSeries:
        if not self.covers(zone):
            raise self._unknown(zone, wanted)
        body = self._answer(zone, span, wanted)
        try:
            rows, step = _rows(body, "co2eq_forecast" if wanted == "forecast" else "co2eq")
        except UNREADABLE as error:
            raise unknown_shape(error, provider=self.name, operation=f"{wanted} {zone}") from error
        return build_series(
            rows,
            step,
            span,
            source=self,
            zone=zone,
            wanted=wanted,
            now_utc=self.now_utc(),
            note=_INFERRED,
            hint="Its forecast ends with today or, in the evening, tomorrow; its actuals lag by some hours.",
        )

    def _answer(self, zone: ZoneId, span: Span, wanted: Wanted) -> Any:
        asked = {
            "country": zone.lower(),
            "start": f"{floor_to(span.start_utc, _HOUR):%Y-%m-%dT%H:%MZ}",
            "end": f"{ceil_to(span.end_utc, _HOUR):%Y-%m-%dT%H:%MZ}",  # without it, today is all that comes
        }
        try:
            return self.http.get_json(
                Question(f"{self.base_url}/co2eq", provider=self.name, operation=f"{wanted} {zone}", params=asked)
            )
        except Rejected as error:
            if error.facts.get("status") == 400 and "country" in str(error.facts.get("said")):
                raise self._unknown(zone, wanted) from error
            raise

    def _unknown(self, zone: ZoneId, wanted: Wanted) -> NoData:
        return NoData(
            f"energy-charts does not have the zone {zone}.",
            provider=self.name,
            operation=f"{wanted} {zone}",
            hint=f"It has the countries {', '.join(COUNTRIES)}.",
            zone=zone,
        )


def _rows(body: Any, name: str) -> tuple[dict[datetime, float], timedelta]:
    """Start of a step -> g/kWh, and the step, of two parallel lists; unknown ones are null there."""
    starts = [from_epoch_s(second) for second in body["unix_seconds"]]
    rows = dict(zip(starts, map(as_intensity, body[name]), strict=True))
    if len(rows) < len(starts):
        raise ValueError("a time stands twice in unix_seconds")
    gaps = (later - earlier for earlier, later in pairwise(sorted(rows)))
    return rows, min(gaps, default=_USUAL_STEP)
