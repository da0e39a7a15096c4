"""The regions that offer an accelerator, solved one by one and put in order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lowtide.assembly.problem import build_problem
from lowtide.planning.solve import baseline_of, evaluate
from lowtide_core.quantities import SECONDS_PER_HOUR
from lowtide_core.spans import from_epoch_s, iso_utc

if TYPE_CHECKING:
    from datetime import datetime

    from lowtide.assembly.problem import Gathered
    from lowtide.assembly.request import PlanRequest
    from lowtide.planning.options import Option
    from lowtide.planning.types import Misfit
    from lowtide_core.offers import Offer
    from lowtide_core.series import SignalSeries
    from lowtide_providers.signals.chain import Chain


@dataclass(frozen=True, slots=True)
class RankedRegion:
    """One region's best run.

    Attributes:
        gpu_count: Accelerators that the job asked for; the machine may have more.
        intensity_g_per_kwh: Mean over the run, at its best start.
        emissions_g: Of the run, without the transfer of data. total_g: with it; the order is by this.
        embodied_g: Share of the machine's making that falls on the run; beside, in no other sum. None: unknown.
        saved_pct: Against the run at once at home; None where there is no baseline.
        place_only: No time shape is known there, so its start time means nothing.
    """

    offer: Offer
    option: Option
    gpu_count: int
    duration_s: float
    intensity_g_per_kwh: float
    emissions_g: float
    total_g: float
    embodied_g: float | None
    saved_pct: float | None
    place_only: bool

    @property
    def series(self) -> SignalSeries:
        return self.option.candidate.series

    @property
    def best_start_utc(self) -> datetime | None:
        return None if self.place_only else from_epoch_s(self.option.runs[0].start_s)

    def to_json(self) -> dict[str, object]:
        """The contract of ``lowtide regions --json``, and more."""
        candidate, frame = self.option.candidate, self.series.frame
        return {
            "region": candidate.region,
            "zone": candidate.zone,
            "gpu": self.offer.gpu,
            "count": self.gpu_count,
            "machine": self.offer.machine,
            "machine_gpu_count": self.offer.gpu_count,
            "price_usd_per_h": self.offer.price_usd_per_h,
            "price_basis": self.offer.price_basis,
            "price_usd": self.option.price_usd,
            "intensity_g_per_kwh": self.intensity_g_per_kwh,
            "energy_kwh": self.option.energy_kwh,
            "pue": candidate.pue,
            "emissions_g": self.emissions_g,
            "emissions_low_g": self.option.emissions_low_g,
            "emissions_high_g": self.option.emissions_high_g,
            "transfer_g": candidate.transfer_g,
            "embodied_g": self.embodied_g,
            "saved_pct": self.saved_pct,
            "best_start_utc": iso_utc(self.best_start_utc) if self.best_start_utc else None,
            "place_only": self.place_only,
            "at_once_g": self.option.at_once_g,
            "source": self.series.source,
            "note": self.series.note,
            "basis": frame.basis,
            "scope": frame.scope,
            "accounting": frame.accounting,
        }


@dataclass(frozen=True, slots=True)
class Ranking:
    """All regions, the least emitting first, the ones that do not fit with their reasons, and the baseline."""

    regions: tuple[RankedRegion, ...]
    misfits: tuple[Misfit, ...]
    baseline_g: float | None
    no_baseline_why: str
    gathered: Gathered


def rank(request: PlanRequest, chain: Chain) -> Ranking:
    """Solves the request for every place and orders them by operational emissions and transfer."""
    gathered = build_problem(request, chain)
    problem = gathered.problem
    options, misfits = evaluate(problem)
    baseline_g, no_baseline_why = baseline_of(problem)
    ranked = [_ranked(option, gathered, request, baseline_g) for option in options]
    ranked.sort(key=lambda region: (region.total_g, region.option.candidate.region))
    return Ranking(tuple(ranked), misfits, baseline_g, no_baseline_why, gathered)


def _ranked(option: Option, gathered: Gathered, request: PlanRequest, baseline_g: float | None) -> RankedRegion:
    candidate = option.candidate
    offer = gathered.offers[candidate.region]
    emissions_g = option.emissions_g - candidate.transfer_g
    embodied = offer.embodied_g_per_h
    return RankedRegion(
        offer=offer,
        option=option,
        gpu_count=request.gpu_count,
        duration_s=request.duration_s,
        intensity_g_per_kwh=emissions_g / (option.energy_kwh * candidate.pue),
        emissions_g=emissions_g,
        total_g=option.emissions_g,
        embodied_g=None if embodied is None else embodied * request.duration_s / SECONDS_PER_HOUR,
        saved_pct=None if not baseline_g else 100 * (baseline_g - option.emissions_g) / baseline_g,
        place_only=candidate.series.kind == "climatology" and candidate.series.intensity_g_per_kwh.size == 1,
    )
