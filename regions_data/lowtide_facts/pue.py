"""Facility energy over IT energy."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from lowtide_core.errors import InputError, nearest
from lowtide_core.places import LOCAL
from lowtide_facts.regions import all_regions

if TYPE_CHECKING:
    from lowtide_core.places import RegionId
    from lowtide_facts.regions import RegionFacts

_SOURCE = "Green Software Foundation, real-time-cloud, see NOTICE"


@dataclass(frozen=True, slots=True)
class PueFacts:
    """A PUE, how it was come by, of which year (None: it is derived), and who compiled it (empty: nobody)."""

    pue: float
    basis: str
    year: int | None
    source: str = ""


def pue_of(region: RegionId) -> PueFacts:
    """The provider's figure for the region, else the median of its other regions; 1 for this machine.

    Raises:
        InputError: The region is unknown.
    """
    if region == LOCAL:
        return PueFacts(1.0, "this machine: no data-centre overhead is assumed", None)
    facts = _by_region().get(region)
    if facts is None:
        raise InputError(f"There is no region {region!r}.", hint=nearest(region, _by_region()), region=region)
    if facts.pue is not None:
        return PueFacts(facts.pue, f"published by {facts.provider} for this region", facts.pue_year, _SOURCE)
    return PueFacts(_provider_median(facts.provider), f"median of {facts.provider}'s published regions", None, _SOURCE)


@cache
def _by_region() -> dict[RegionId, RegionFacts]:
    return {facts.region: facts for facts in all_regions()}


@cache
def _provider_median(provider: str) -> float:
    known = sorted(item.pue for item in all_regions() if item.provider == provider and item.pue is not None)
    return (known[(len(known) - 1) // 2] + known[len(known) // 2]) / 2
