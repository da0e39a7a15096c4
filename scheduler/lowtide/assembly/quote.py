"""A planning question and its answer, together: what the person sees, what a program reads, what is archived."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lowtide.assembly.problem import build_problem
from lowtide.planning.solve import require_plan, solve
from lowtide_core.places import LOCAL
from lowtide_core.spans import iso_utc

if TYPE_CHECKING:
    from lowtide.assembly.problem import Gathered
    from lowtide.assembly.request import PlanRequest
    from lowtide.planning.types import Plan
    from lowtide_core.series import SignalSeries
    from lowtide_providers.signals.chain import Chain


@dataclass(frozen=True, slots=True, eq=False)
class Quote:
    """The plan, and the snapshot that it was made from."""

    request: PlanRequest
    gathered: Gathered
    plan: Plan

    @property
    def series(self) -> SignalSeries:
        """What is expected where the plan runs."""
        return self.gathered.series[self.plan.segments[0].zone]

    @property
    def power_basis(self) -> str:
        return self.gathered.power[self.plan.segments[0].region].basis

    @property
    def power_w(self) -> float:
        return self.gathered.power[self.plan.segments[0].region].power_w

    def to_json(self) -> dict[str, object]:
        """The contract of ``lowtide plan --json``, and more."""
        plan, forecast, request = self.plan, self.plan.forecast, self.request
        return {
            "segments": [
                {
                    "start_utc": iso_utc(segment.start_utc),
                    "end_utc": iso_utc(segment.end_utc),
                    "region": segment.region,
                    "zone": segment.zone,
                    "width": segment.width,
                }
                for segment in plan.segments
            ],
            "energy_kwh": plan.energy_kwh,
            "emissions_g": plan.emissions_g,
            "emissions_low_g": plan.emissions_low_g,
            "emissions_high_g": plan.emissions_high_g,
            "at_once_g": plan.at_once_g,
            "baseline_g": plan.baseline_g,
            "no_baseline_why": plan.no_baseline_why or None,
            "saved_pct": plan.saved_pct,
            "bound_g": plan.bound_g,
            "exact": plan.exact,
            "forecast": {
                "source": forecast.source,
                "kind": forecast.kind,
                "issued_at": iso_utc(forecast.issued_at) if forecast.issued_at else None,
                "basis": forecast.frame.basis,
                "scope": forecast.frame.scope,
                "accounting": forecast.frame.accounting,
                "known_until_utc": iso_utc(forecast.known_until_utc),
                "note": self.series.note,
            },
            "forecast_edge": plan.forecast_edge,
            "chance_worse": plan.chance_worse,
            "price_usd": plan.price_usd,
            "power_w": self.power_w,
            "power_basis": self.power_basis,
            "earliest_utc": iso_utc(request.earliest_utc),
            "deadline_utc": iso_utc(request.deadline_utc),
            "duration_s": request.duration_s,
            "home": None if request.home is None else _name(request.home.region, request.home.zone),
            "misfits": [{"region": m.region, "zone": m.zone, "why": m.why} for m in plan.misfits],
            "sources_not_used": [
                {"zone": skip.zone, "source": skip.source, "why": skip.why} for skip in self.gathered.skipped
            ],
        }


def quote(request: PlanRequest, chain: Chain) -> Quote:
    """Gathers, then decides.

    Raises:
        InputError, ProviderError: See ``build_problem``.
        InfeasibleError: No place fits.
    """
    gathered = build_problem(request, chain)
    return Quote(request, gathered, require_plan(solve(gathered.problem), gathered.problem))


def _name(region: str, zone: str) -> str:
    return zone if region == LOCAL else region
