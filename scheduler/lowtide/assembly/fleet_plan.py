"""The plan of a fleet with what its indices mean: what the person sees and a program reads."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Literal

import numpy as np

from lowtide.assembly.fleet import label_of
from lowtide.planning.fleet.board import placed_emissions_g
from lowtide.planning.fleet.types import UNPLACED
from lowtide_core.quantities import JOULES_PER_KWH
from lowtide_core.spans import iso_utc

if TYPE_CHECKING:
    from datetime import datetime

    from lowtide.assembly.fleet import GatheredFleet
    from lowtide.planning.fleet.types import FleetMisfit, FleetPlan, Relax


@dataclass(frozen=True, slots=True)
class PlacedJob:
    """One job with its time and place; figures in g."""

    name: str
    start_utc: datetime
    end_utc: datetime
    region: str
    zone: str
    label: str
    energy_kwh: float
    emissions_g: float
    at_once_g: float


@dataclass(frozen=True, slots=True)
class UnplacedJob:
    """One job that does not fit, and which limit keeps it out."""

    name: str
    why: str
    limit: str
    resource: str
    short_by: float


@dataclass(frozen=True, slots=True)
class Way:
    """One limit to relax: a job's deadline, by so much; or a place's capacity, by so much for a time."""

    kind: Literal["capacity", "deadline"]
    name: str = ""
    later_s: float = 0.0
    place: str = ""
    resource: str = ""
    raise_by: float = 0.0
    from_utc: datetime | None = None
    until_utc: datetime | None = None

    def to_json(self) -> dict[str, object]:
        """Only what the kind has."""
        if self.kind == "deadline":
            return {"kind": self.kind, "name": self.name, "later_s": self.later_s}
        ends = {
            key: None if instant is None else iso_utc(instant)
            for key, instant in (("from_utc", self.from_utc), ("until_utc", self.until_utc))
        }
        return {"kind": self.kind, "place": self.place, "resource": self.resource, "raise_by": self.raise_by, **ends}


@dataclass(frozen=True, slots=True, eq=False)
class FleetQuote:
    """The joint plan. ``ways``: what to relax so that all fit; all of one kind are enough."""

    gathered: GatheredFleet
    placed: tuple[PlacedJob, ...]
    misfits: tuple[UnplacedJob, ...]
    ways: tuple[Way, ...]
    emissions_g: float
    at_once_g: float
    bound_g: float
    uncapped_g: float
    gap_pct: float
    exact: bool

    @property
    def saved_pct(self) -> float | None:
        """Against every job at once at its first place, in percent; None where that emits nothing."""
        return 100 * (self.at_once_g - self.emissions_g) / self.at_once_g if self.at_once_g > 0 else None

    def to_json(self) -> dict[str, object]:
        """The contract of ``lowtide plan-fleet --json``."""
        return {
            "jobs": [
                {
                    "name": job.name,
                    "start_utc": iso_utc(job.start_utc),
                    "end_utc": iso_utc(job.end_utc),
                    "region": job.region,
                    "zone": job.zone,
                    "energy_kwh": job.energy_kwh,
                    "emissions_g": job.emissions_g,
                    "at_once_g": job.at_once_g,
                }
                for job in self.placed
            ],
            "misfits": [
                {
                    "name": job.name,
                    "why": job.why,
                    "limit": job.limit,
                    "resource": job.resource or None,
                    "short_by": job.short_by,
                }
                for job in self.misfits
            ],
            "relax": [way.to_json() for way in self.ways],
            "emissions_g": self.emissions_g,
            "at_once_g": self.at_once_g,
            "bound_g": self.bound_g,
            "uncapped_g": self.uncapped_g,
            "gap_pct": self.gap_pct,
            "saved_pct": self.saved_pct,
            "exact": self.exact,
            "step_s": self.gathered.problem.step_s,
            "forecast": {
                "source": self.gathered.sources,
                "basis": self.gathered.frame.basis,
                "scope": self.gathered.frame.scope,
                "accounting": self.gathered.frame.accounting,
            },
        }


def plan_gathered(gathered: GatheredFleet) -> FleetQuote:
    """Plans the fleet, or the graph where jobs wait for one another.

    Raises:
        InputError, InfeasibleError: Of jobs that wait for one another, see ``plan_dependent``.
    """
    if any(job.after for job in gathered.jobs):
        from lowtide.assembly.fleet_graph import plan_dependent

        return plan_dependent(gathered)
    from lowtide.planning.fleet.solve import plan_fleet

    plan = plan_fleet(gathered.problem)
    return quote_of(gathered, plan)


def quote_of(gathered: GatheredFleet, plan: FleetPlan) -> FleetQuote:
    """The plan of the arrays in the words of the file."""
    jobs = gathered.problem.jobs
    emissions_g = placed_emissions_g(gathered.problem, plan.start_step, plan.pool)
    at_once_g = placed_emissions_g(gathered.problem, np.where(plan.placed, jobs.release_step, UNPLACED), jobs.home)
    return FleetQuote(
        gathered=gathered,
        placed=tuple(
            _placed(gathered, plan, job, float(emissions_g[job]), float(at_once_g[job]))
            for job in np.flatnonzero(plan.placed).tolist()
        ),
        misfits=tuple(_unplaced(gathered, misfit) for misfit in plan.misfits),
        ways=tuple(_way(gathered, relax) for relax in plan.relax),
        emissions_g=plan.emissions_g,
        at_once_g=plan.at_once_g,
        bound_g=plan.bound_g,
        uncapped_g=plan.uncapped_g,
        gap_pct=plan.gap_pct,
        exact=plan.exact,
    )


def _placed(gathered: GatheredFleet, plan: FleetPlan, job: int, emissions_g: float, at_once_g: float) -> PlacedJob:
    one, place = gathered.jobs[job], gathered.places[int(plan.pool[job])]
    start_utc = gathered.instant_utc(int(plan.start_step[job]))
    return PlacedJob(
        name=one.name,
        start_utc=start_utc,
        end_utc=start_utc + timedelta(seconds=one.duration_s),
        region=place.region,
        zone=place.zone,
        label=label_of(place),
        energy_kwh=one.power_w * one.duration_s / JOULES_PER_KWH,
        emissions_g=emissions_g,
        at_once_g=at_once_g,
    )


def _unplaced(gathered: GatheredFleet, misfit: FleetMisfit) -> UnplacedJob:
    return UnplacedJob(
        gathered.jobs[misfit.job].name, misfit.why, misfit.limit, misfit.resource, float(misfit.short_by)
    )


def _way(gathered: GatheredFleet, relax: Relax) -> Way:
    """One limit to relax, in the words of the file."""
    if relax.kind == "deadline":
        later_s = relax.later_steps * gathered.problem.step_s
        return Way("deadline", name=gathered.jobs[relax.job].name, later_s=later_s)
    return Way(
        "capacity",
        place=relax.pool,
        resource=relax.resource,
        raise_by=relax.raise_by,
        from_utc=gathered.instant_utc(relax.from_step),
        until_utc=gathered.instant_utc(relax.to_step),
    )
