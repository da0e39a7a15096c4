"""Joins a request, the facts and the signals into one ``PlanProblem``, and keeps what a person will ask about it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np

from lowtide.assembly.promises import FREE, blocked_at_home
from lowtide.jobs.promises import peak_power_w
from lowtide.planning.energy import booked_s, tail_s
from lowtide.planning.types import Candidate, Misfit, Moves, PlanProblem
from lowtide_core.errors import InfeasibleError, InputError
from lowtide_core.places import LOCAL
from lowtide_core.spans import Span

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lowtide.assembly.promises import Blocked
    from lowtide.assembly.request import PlanRequest
    from lowtide_core.offers import Offer
    from lowtide_core.places import Place, RegionId, ZoneId
    from lowtide_core.series import SignalSeries
    from lowtide_facts.power import PowerEstimate
    from lowtide_providers.signals.chain import Chain, Resolution, Skipped


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
        excluded: Places that the user's limits rule out before anything is planned, and why.
    """

    problem: PlanProblem
    series: Mapping[ZoneId, SignalSeries]
    skipped: tuple[Skipped, ...]
    offers: Mapping[RegionId, Offer]
    power: Mapping[RegionId, PowerEstimate]
    excluded: tuple[Misfit, ...] = ()


def build_problem(request: PlanRequest, chain: Chain) -> Gathered:
    """Gathers once; everything after decides on the result alone.

    Raises:
        InputError: A place does not offer the accelerator, or an input names nothing that is known.
        InfeasibleError: Residency or latency leave no place.
        ProviderError: No source of the chain covers a zone.
    """
    request, excluded = within_limits(request)
    offers = _offers(request)
    request, unoffered = _offered(request, offers)
    everywhere = dict.fromkeys(
        place.zone for place in (*request.places, request.home, request.data_from) if place is not None
    )
    resolution = _resolved(request, chain, tuple(everywhere))
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
        manner=request.manner,
        judgement=request.judgement,
        max_price_usd=request.max_price_usd,
        moves=_moves(request, resolution.series),
        done_s=request.done_s,
        running=request.running,
        pauses_used=request.pauses_used,
    )
    return Gathered(problem, resolution.series, resolution.skipped, offers, power, (*excluded, *unoffered))


def _resolved(request: PlanRequest, chain: Chain, zones: tuple[ZoneId, ...]) -> Resolution:
    """The series of every zone, beyond the deadline where they can be had; a gap there is no reason to fail."""
    needed = Span(request.earliest_utc, request.earliest_utc + timedelta(seconds=_least_s(request)))
    beyond = max(MARGIN, timedelta(seconds=_longest_s(request)))
    wide, narrow = (Span(request.earliest_utc, request.deadline_utc + more) for more in (beyond, timedelta()))
    try:
        return chain.resolve(zones, span=wide, needed=needed, wanted="forecast")
    except InputError:
        return chain.resolve(zones, span=narrow, needed=needed, wanted="forecast")


def _longest_s(request: PlanRequest) -> float:
    """How long the job may run beyond its deadline, were it started at the last moment; s."""
    return request.duration_s + tail_s(request.manner)


def _least_s(request: PlanRequest) -> float:
    """What must be known of the intensity, for there to be any plan: the shortest run, begun at once; s."""
    widths = request.manner.widths
    whole_s = booked_s(request.manner, request.duration_s)
    fastest = 1.0 if widths is None else widths.at(widths.base)[0] / max(widths.throughput)
    return max(1.0, (whole_s - request.done_s) * fastest + tail_s(request.manner))


def within_limits(request: PlanRequest) -> tuple[PlanRequest, tuple[Misfit, ...]]:
    """The request with the places that residency and latency allow, and the others with their reasons.

    Raises:
        InputError: A residency that nobody knows. InfeasibleError: No place is left.
    """
    if not request.residency and request.max_latency_ms is None:
        return request, ()
    excluded = [misfit for place in request.places if (misfit := _beyond_limits(request, place)) is not None]
    regions = {misfit.region for misfit in excluded}
    left = tuple(place for place in request.places if place.region not in regions)
    if not left:
        first = excluded[0]
        raise InfeasibleError(
            f"None of {len(excluded)} places is within the limits: {first.region}, {first.why}.",
            hint="Widen --residency or --max-latency, or name other --regions.",
            misfits=tuple(excluded),
        )
    return replace(request, places=left), tuple(excluded)


def _beyond_limits(request: PlanRequest, place: Place) -> Misfit | None:
    from lowtide_facts.regions import find_region, in_residency, zone_in_residency

    if request.residency:
        at_home = place.region == LOCAL
        inside = (
            zone_in_residency(place.zone, request.residency)
            if at_home
            else in_residency(find_region(place.region), request.residency)
        )
        if not inside:
            return Misfit(place.region, place.zone, f"it does not lie in {request.residency.upper()}", "residency")
    origin, most_ms = request.latency_from, request.max_latency_ms
    if most_ms is None or origin is None or origin.region == place.region:
        return None
    from lowtide_facts.network import round_trip_ms

    if LOCAL in (origin.region, place.region):
        why = "its distance is not known: home is a zone, not a region"
        return Misfit(place.region, place.zone, why, "latency")
    takes_ms = round_trip_ms(origin.region, place.region)
    if takes_ms is None or takes_ms > most_ms:
        told = "is not known" if takes_ms is None else f"is some {takes_ms:.0f} ms (modelled from the distance)"
        return Misfit(place.region, place.zone, f"the round trip to {origin.region} {told}", "latency")
    return None


def _moves(request: PlanRequest, series: Mapping[ZoneId, SignalSeries]) -> Moves | None:
    """What moving the checkpoint, and the data, between each pair of places emits, costs and takes."""
    if request.checkpoint_gb is None or request.manner.pausing is None or len(request.places) < 2:
        return None
    size_gb = request.checkpoint_gb + request.data_gb  # what lay at the machine goes with it
    count = len(request.places)
    emitted, paid, takes = np.zeros((count, count)), np.zeros((count, count)), np.zeros((count, count))
    for row, origin in enumerate(request.places):
        for column, place in enumerate(request.places):
            if row == column:
                continue
            moved_g, usd = _bring(size_gb, origin, place, series)
            emitted[row, column] = moved_g
            paid[row, column] = np.nan if usd is None else usd
            takes[row, column] = _takes_s(request, size_gb)
    return Moves(emitted, paid, takes)


def _offers(request: PlanRequest) -> dict[RegionId, Offer]:
    if not request.gpu:
        return {}
    from lowtide_core.offers import OfferQuery
    from lowtide_facts.accelerators import offers

    return {offer.region: offer for offer in offers(OfferQuery(request.gpu, request.gpu_count))}


def _offered(request: PlanRequest, offers: Mapping[RegionId, Offer]) -> tuple[PlanRequest, tuple[Misfit, ...]]:
    """The request with the places that offer the accelerator, and the others as misfits.

    Raises:
        InputError: None of them does.
    """
    missing = [place for place in request.places if place.region != LOCAL and place.region not in offers]
    if not request.gpu or not missing:
        return request, ()
    what = f"a machine with {request.gpu_count} x {request.gpu}"
    if len(missing) == len(request.places):
        raise InputError(
            f"{', '.join(place.region for place in missing)} {'does' if len(missing) == 1 else 'do'} not offer {what}.",
            hint=f"lowtide regions --gpu {request.gpu} --count {request.gpu_count} lists the regions that do.",
            regions=tuple(place.region for place in missing),
        )
    left = tuple(place for place in request.places if place not in missing)
    why = f"it does not offer {what}"
    return replace(request, places=left), tuple(Misfit(p.region, p.zone, why, "offer") for p in missing)


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
        return PowerEstimate(request.power_w, request.power_w, request.power_w, request.power_basis, "--power")
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
    blocked = _blocked(request, place, power.power_w)
    return Candidate(
        region=place.region,
        zone=place.zone,
        series=series[place.zone],
        power_w=power.power_w,
        pue=pue_at(place, request.local_pue),
        transfer_g=transfer_g,
        price_usd_per_h=0.0 if place.region == LOCAL else offer.price_usd_per_h if offer else None,
        egress_usd=egress_usd,
        transfer_s=_takes_s(request, request.data_gb) if _travels(request, place) else 0.0,
        blocked=blocked.spans,
        blocked_by=blocked.why,
    )


def _blocked(request: PlanRequest, place: Place, power_w: float) -> Blocked:
    """When what is promised at home leaves no room for the job, were it to draw the most that it ever does."""
    if place.region != LOCAL or not request.limits:
        return FREE
    return blocked_at_home(request.promised, request.limits, peak_power_w(request.manner, power_w))


def pue_at(place: Place, local_pue: float) -> float:
    """Facility over IT energy: the provider's, or that of this machine."""
    if place.region == LOCAL:
        return local_pue
    from lowtide_facts.pue import pue_of

    return pue_of(place.region).pue


def _travels(request: PlanRequest, place: Place) -> bool:
    """Whether data has to be brought to the place first."""
    origin = request.data_from
    return bool(request.data_gb) and origin is not None and origin.region != place.region


def _takes_s(request: PlanRequest, size_gb: float) -> float:
    """How long so much data is on its way; 0 where nobody said how fast it is."""
    return size_gb / request.bandwidth_gb_per_s if request.bandwidth_gb_per_s else 0.0


def _transfer(request: PlanRequest, place: Place, series: Mapping[ZoneId, SignalSeries]) -> tuple[float, float | None]:
    """Emissions and price of bringing the data there."""
    if not _travels(request, place) or request.data_from is None:
        return 0.0, 0.0
    return _bring(request.data_gb, request.data_from, place, series)


def _bring(
    size_gb: float, origin: Place, place: Place, series: Mapping[ZoneId, SignalSeries]
) -> tuple[float, float | None]:
    """Emissions, g, and price, USD, of a transfer: at the mean intensity of both ends, since nobody says when.

    The price is None where it is not known: between providers, mostly.
    """
    from lowtide_facts.network import egress_usd_per_gb, transfer_g

    ends = [float(np.nanmean(series[zone].intensity_g_per_kwh)) for zone in (origin.zone, place.zone)]
    egress = egress_usd_per_gb(origin.region, place.region) if origin.region != LOCAL else 0.0
    return transfer_g(size_gb, *ends), None if egress is None else egress * size_gb
