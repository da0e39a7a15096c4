"""Which regions are candidates at all: those that offer the machine, within the user's limits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lowtide_core.errors import InfeasibleError, InputError, nearest
from lowtide_core.offers import OfferQuery
from lowtide_core.places import Place

if TYPE_CHECKING:
    from collections.abc import Sequence


def offering_places(gpu: str, count: int, *, providers: Sequence[str], residency: str) -> tuple[Place, ...]:
    """Regions with a machine of at least ``count`` accelerators, of these providers, where the data may lie.

    Raises:
        InputError: No accelerator given, an unknown provider or residency.
        InfeasibleError: None is left; names the limit that removed the last ones.
    """
    from lowtide_facts.accelerators import offers
    from lowtide_facts.regions import all_regions, find_region, in_residency

    if not gpu:
        raise InputError("No accelerator is given.", hint="Name one: --gpu H100.")
    known = {region.provider for region in all_regions()}
    for provider in providers:
        if provider not in known:
            raise InputError(
                f"{provider!r} is not a provider.",
                hint=nearest(provider, known) or f"The providers are {', '.join(sorted(known))}.",
            )
    found = offers(OfferQuery(gpu, count))
    if not found:
        raise InfeasibleError(
            f"No region offers one machine with {count} x {gpu}.", hint="Ask for fewer (--count), or another --gpu."
        )
    of_provider = [offer for offer in found if not providers or offer.region.partition(":")[0] in providers]
    allowed = [o for o in of_provider if not residency or in_residency(find_region(o.region), residency)]
    if not allowed:
        limit = f"--provider {','.join(providers)}" if not of_provider else f"--residency {residency}"
        raise InfeasibleError(
            f"No region with {count} x {gpu} is left under {limit}; {len(found)} offer it in all.",
            hint="Widen that limit.",
        )
    return tuple(Place(offer.region, offer.zone) for offer in allowed)
