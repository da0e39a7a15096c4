"""Joins a request, the facts and the signals into one ``PlanProblem``, and keeps what a person will ask about it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np

from lowtide.planning.types import Candidate, PlanProblem
from lowtide_core.errors import InputError
from lowtide_core.places import LOCAL
from lowtide_core.spans import Span

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lowtide.assembly.request import PlanRequest
    from lowtide_core.offers import Offer
    from lowtide_core.places import Place, RegionId, ZoneId
    from lowtide_core.series import SignalSeries
    from lowtide_facts.power import PowerEstimate
    from lowtide_providers.signals.chain import Chain, Skipped


MARGIN = timedelta(hours=3)
"""How far beyond the deadline is asked at least: for a run that ends late, and to say what more time would bring."""


@dataclass(frozen=True, slots=True, eq=False)
class Gathered:
    """One snapshot: the problem, and beside it what the planner need not know.

    Attributes:
        series: The series used, by zone; what a plan's archive keeps.
        skipped: Links of the chain that were not used, and why.
        offers: The machine chosen in each region that sells the accelerator.
        power: Estimate behind each place's power.
    """

    problem: PlanProblem
    series: Mapping[ZoneId, SignalSeries]
    skipped: tuple[Skipped, ...]
    offers: Mapping[RegionId, Offer]
    power: Mapping[RegionId, PowerEstimate]


def build_problem(request: PlanRequest, chain: Chain) -> Gathered:
    """Gathers once; everything after decides on the result alone.

    Raises:
        InputError: A place does not offer the accelerator, or an input names nothing that is known.
        ProviderError: No source of the chain covers a zone.
    """
    offers = _offers(request)
    _require_offered(request, offers)
    everywhere = dict.fromkeys(
        place.zone for place in (*request.places, request.home, request.data_from) if place is not None
    )
    resolution = chain.resolve(
        tuple(everywhere),
        span=Span(request.earliest_utc, request.deadline_utc + max(MARGIN, timedelta(seconds=request.duration_s))),
        needed=Span(request.earliest_utc, request.earliest_utc + timedelta(seconds=request.duration_s)),
        wanted="forecast",
    )
    power = {place.region: _power(request, place, offers) for place in (*request.places, request.home) if place}
    baseline, why = _baseline(request, offers)
    problem = PlanProblem(
        earliest_utc=request.earliest_utc,
        deadline_utc=request.deadline_utc,
        duration_s=request.duration_s,
        candidates=tuple(
            _candidate(request, place, resolution.series, offers, power[place.region]) for place in request.places
        ),
        baseline=None
        if baseline is None
        else _candidate(request, baseline, resolution.series, offers, power[baseline.region]),
        no_baseline_why=why,
        pausable=request.pausable,
        max_price_usd=request.max_price_usd,
    )
    return Gathered(problem, resolution.series, resolution.skipped, offers, power)


def _offers(request: PlanRequest) -> dict[RegionId, Offer]:
    if not request.gpu:
        return {}
    from lowtide_core.offers import OfferQuery
    from lowtide_facts.accelerators import offers

    return {offer.region: offer for offer in offers(OfferQuery(request.gpu, request.gpu_count))}


def _require_offered(request: PlanRequest, offers: Mapping[RegionId, Offer]) -> None:
    missing = [place.region for place in request.places if place.region != LOCAL and place.region not in offers]
    if request.gpu and missing:
        raise InputError(
            f"{', '.join(missing)} {'does' if len(missing) == 1 else 'do'} not offer a machine with "
            f"{request.gpu_count} x {request.gpu}.",
            hint=f"lowtide regions --gpu {request.gpu} --count {request.gpu_count} lists the regions that do.",
            regions=tuple(missing),
        )


def _baseline(request: PlanRequest, offers: Mapping[RegionId, Offer]) -> tuple[Place | None, str]:
    home = request.home
    if home is None:
        return None, "home is not set: lowtide config set home ZONE"
    if not request.gpu or home in request.places or home.region in offers:
        return home, ""
    if home.region != LOCAL:
        return None, f"home {home.region} offers no machine with {request.gpu_count} x {request.gpu}"
    from lowtide_facts.accelerators import find_accelerator

    if request.gpu in {find_accelerator(name).name for name in request.home_gpus}:
        return home, ""
    return None, f"home has no {request.gpu} that lowtide knows of: lowtide config set home_gpus {request.gpu}"


def _power(request: PlanRequest, place: Place, offers: Mapping[RegionId, Offer]) -> PowerEstimate:
    from lowtide_facts.power import PowerEstimate, cpu_job_power_w, machine_power_w

    if request.power_w is not None:
        return PowerEstimate(request.power_w, request.power_w, request.power_w, "given by the user", "--power")
    if not request.gpu:
        return cpu_job_power_w(request.cpus)
    offer = offers.get(place.region)
    if offer is None:  # a machine of our own with just these accelerators
        return machine_power_w(request.gpu, request.gpu_count, request.gpu_count, None, None)
    return machine_power_w(request.gpu, request.gpu_count, offer.gpu_count, offer.vcpus, offer.memory_gib)


def _candidate(
    request: PlanRequest,
    place: Place,
    series: Mapping[ZoneId, SignalSeries],
    offers: Mapping[RegionId, Offer],
    power: PowerEstimate,
) -> Candidate:
    offer = offers.get(place.region)
    transfer_g, egress_usd = _transfer(request, place, series)
    return Candidate(
        region=place.region,
        zone=place.zone,
        series=series[place.zone],
        power_w=power.power_w,
        pue=_pue(request, place),
        transfer_g=transfer_g,
        price_usd_per_h=offer.price_usd_per_h if offer else None,
        egress_usd=egress_usd,
    )


def _pue(request: PlanRequest, place: Place) -> float:
    if place.region == LOCAL:
        return request.local_pue
    from lowtide_facts.pue import pue_of

    return pue_of(place.region).pue


def _transfer(request: PlanRequest, place: Place, series: Mapping[ZoneId, SignalSeries]) -> tuple[float, float | None]:
    """Emissions and price of bringing the data there; the mean intensity of both ends, since nobody says when.

    The price is None where it is not known: between providers, mostly.
    """
    origin = request.data_from
    if not request.data_gb or origin is None or origin.region == place.region:
        return 0.0, 0.0
    from lowtide_facts.network import egress_usd_per_gb, transfer_g

    ends = [float(np.nanmean(series[zone].intensity_g_per_kwh)) for zone in (origin.zone, place.zone)]
    egress = egress_usd_per_gb(origin.region, place.region) if origin.region != LOCAL else 0.0
    return transfer_g(request.data_gb, *ends), None if egress is None else egress * request.data_gb
