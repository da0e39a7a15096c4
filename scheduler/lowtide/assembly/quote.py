"""A planning question and its answer, together: what the person sees, what a program reads, what is archived."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from lowtide.assembly.problem import build_problem
from lowtide.planning.explain import explain
from lowtide.planning.solve import require_plan, solve
from lowtide_core.places import LOCAL
from lowtide_core.spans import iso_utc

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from lowtide.assembly.problem import Gathered
    from lowtide.assembly.request import PlanRequest
    from lowtide.planning.explain import Explanation
    from lowtide.planning.types import NoPlan, Plan, Segment
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

    @property
    def promised(self) -> int:
        """How many other jobs home is promised to, as far as that counts: 0 where home has no limit."""
        return len({promise.job for promise in self.request.promised})

    @property
    def planned_around_until_utc(self) -> datetime | None:
        """Until when home is promised to others, where that leaves no room for this job in a part of its window."""
        if not self.request.promised:
            return None
        from lowtide.planning.gaps import overlaps

        window_s = self.request.earliest_utc.timestamp(), self.request.deadline_utc.timestamp()
        crowded = any(overlaps(candidate.blocked, *window_s) for candidate in self.gathered.problem.candidates)
        return max((promise.end_utc for promise in self.request.promised), default=None) if crowded else None

    def to_json(self) -> dict[str, object]:
        """The contract of ``lowtide plan --json``, and more."""
        plan, forecast, request = self.plan, self.plan.forecast, self.request
        guess = request.manner.guess
        return {
            "segments": [
                {
                    "start_utc": iso_utc(segment.start_utc),
                    "end_utc": iso_utc(segment.end_utc),
                    "region": segment.region,
                    "zone": segment.zone,
                    "width": segment.width,
                    "energy_kwh": plan.energy_of(segment),
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
            "held_back_g": plan.held_back_g,
            "pauses": len(plan.segments) - 1,
            "promised": self.promised,
            "price_usd": plan.price_usd,
            "transfer_g": plan.transfer_g,
            "pue": plan.pue,
            "power_w": self.power_w,
            "power_basis": self.power_basis,
            "earliest_utc": iso_utc(request.earliest_utc),
            "deadline_utc": iso_utc(request.deadline_utc),
            "duration_s": request.duration_s,
            "duration_low_s": guess.low_s if guess else request.duration_s,
            "duration_high_s": guess.high_s if guess else request.duration_s,
            "keep_deadline_share": guess.keep_share if guess else None,
            "explanation": self._explanation_json(),
            "home": None if request.home is None else _name(request.home.region, request.home.zone),
            "misfits": [
                {"region": m.region, "zone": m.zone, "limit": m.limit, "why": m.why, "short_by_s": m.short_by_s}
                for m in plan.misfits
            ],
            "sources_not_used": [
                {"zone": skip.zone, "source": skip.source, "why": skip.why} for skip in self.gathered.skipped
            ],
        }

    @property
    def explanation(self) -> Explanation:
        """What each freedom brought, and what a little more of it would bring; solved when it is asked for."""
        return explain(self.gathered.problem, self.plan)

    def _explanation_json(self) -> dict[str, object]:
        told = self.explanation
        return {
            "against_g": told.against_g,
            **{f"{freedom}_g": told.saved_g.get(freedom) for freedom in ("time", "place", "pausing", "width")},
            "hour_more_g": told.hour_more_g,
            "binding": [{"limit": binding.limit, "gain_g": binding.gain_g} for binding in told.binding],
        }


def quote(request: PlanRequest, chain: Chain) -> Quote:
    """Gathers, then decides.

    Raises:
        InputError, ProviderError: See ``build_problem``.
        InfeasibleError: No place fits.
    """
    gathered = build_problem(request, chain)
    return _quoted(request, gathered, solve(gathered.problem))


def requote(request: PlanRequest, chain: Chain, kept: Sequence[Segment]) -> Quote:
    """As ``quote``, for a job that has a plan: its old segments stay where nothing better is known."""
    from lowtide.planning.replan import replan

    gathered = build_problem(request, chain)
    return _quoted(request, gathered, replan(gathered.problem, kept))


def _quoted(request: PlanRequest, gathered: Gathered, answer: Plan | NoPlan) -> Quote:
    plan = require_plan(answer, gathered.problem)
    return Quote(request, gathered, replace(plan, misfits=(*plan.misfits, *gathered.excluded)))


def _name(region: str, zone: str) -> str:
    return zone if region == LOCAL else region
