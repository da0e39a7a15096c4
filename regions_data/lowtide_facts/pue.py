"""Facility energy over IT energy."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from statistics import median
from typing import TYPE_CHECKING

from lowtide_core.places import LOCAL
from lowtide_facts.regions import all_regions

if TYPE_CHECKING:
    from lowtide_core.places import RegionId


@dataclass(frozen=True, slots=True)
class PueFacts:
    """A PUE, whose figure it is, and of which year (None: it is derived)."""

    pue: float
    basis: str
    year: int | None


def pue_of(region: RegionId) -> PueFacts:
    """The provider's figure for the region, else the median of its other regions; 1 for this machine."""
    if region == LOCAL:
        return PueFacts(1.0, "this machine: no data-centre overhead is assumed", None)
    facts = next(item for item in all_regions() if item.region == region)
    if facts.pue is not None:
        return PueFacts(facts.pue, f"published by {facts.provider} for this region", facts.pue_year)
    return PueFacts(_provider_median(facts.provider), f"median of {facts.provider}'s published regions", None)


@cache
def _provider_median(provider: str) -> float:
    return median(item.pue for item in all_regions() if item.provider == provider and item.pue is not None)
