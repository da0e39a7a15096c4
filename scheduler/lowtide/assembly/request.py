"""A planning question in words that people use, with everything typed resolved to keys."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lowtide.jobs.manner import EXPECTED, PLAIN, Judgement, Manner
from lowtide.jobs.promises import UNLIMITED, HomeLimits
from lowtide_core.errors import InputError
from lowtide_core.places import LOCAL, Place

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from lowtide.jobs.promises import Promise


@dataclass(frozen=True, slots=True, eq=False)
class PlanRequest:
    """What is to be planned.

    Attributes:
        duration_s: > 0. earliest_utc, deadline_utc: the run lies between them.
        places: Where it may run.
        home: Where it would run without lowtide; None where nobody said.
        home_gpus: Accelerators at home, where home is this machine.
        gpu: Accelerator model, found in the facts; empty for a job without one. gpu_count: how many.
        cpus: Threads that the job keeps busy.
        power_w: IT power of the job's share of the node, where the user knows it; None is modelled. power_basis: how
            the user told it.
        manner: How it runs: pauses, power over the run, widths, a duration that is not known.
        judgement: What counts as better, and how much better it must be.
        data_gb, data_from: Data to be brought to the place first, and where it lies.
        bandwidth_gb_per_s: How fast data is brought; None: the time that it takes is not counted.
        checkpoint_gb: What has to move along when the job goes on in another region; None: it stays where it began.
        residency, max_latency_ms, latency_from: Limits on the places; those that break one are told as misfits.
        local_pue: Facility over IT energy of this machine.
        limits: What this machine may run at once. promised: what of that others have been promised.
        done_s, running, pauses_used: Of a job that has begun: how far it is, and how.
    """

    duration_s: float
    earliest_utc: datetime
    deadline_utc: datetime
    places: tuple[Place, ...]
    home: Place | None = None
    home_gpus: tuple[str, ...] = ()
    gpu: str = ""
    gpu_count: int = 1
    cpus: float = 4
    power_w: float | None = None
    power_basis: str = "given by the user"
    manner: Manner = PLAIN
    judgement: Judgement = EXPECTED
    max_price_usd: float | None = None
    data_gb: float = 0.0
    data_from: Place | None = None
    bandwidth_gb_per_s: float | None = None
    checkpoint_gb: float | None = None
    residency: str = ""
    max_latency_ms: float | None = None
    latency_from: Place | None = None
    done_s: float = 0.0
    running: bool = False
    pauses_used: int = 0
    local_pue: float = 1.0
    limits: HomeLimits = UNLIMITED
    promised: tuple[Promise, ...] = ()


def region_place(text: str) -> Place:
    """The cloud region that a person means, with its zone."""
    from lowtide_facts.regions import find_region

    region = find_region(text)
    return Place(region.region, region.zone)


def local_place(zone_text: str) -> Place:
    """This machine, in the zone that a person names."""
    from lowtide_facts.zones import find_zone

    return Place(LOCAL, find_zone(zone_text))


def home_place(text: str) -> Place | None:
    """Home as it was set: a zone (this machine), or a region such as ``aws:us-east-1``; None where nobody said."""
    if not text:
        return None
    if ":" in text:
        return region_place(text)
    try:
        return local_place(text)
    except InputError as error:
        try:
            return region_place(text)  # ``Frankfurt``, ``eu-central-1``
        except InputError as no_region:
            raise (no_region if " regions: " in no_region.message else error) from None


def requested_places(*, zone: str, region: str, regions: Sequence[str], home: Place | None) -> tuple[Place, ...]:
    """The places that a command line names: one zone, one region or several; none named is home.

    Raises:
        InputError: Several kinds named, an unknown name, or nothing named and no home.
    """
    if sum(map(bool, (zone, region, regions))) > 1:
        raise InputError("--zone, --region and --regions exclude each other.", hint="Give one of them.")
    if zone:
        return (local_place(zone),)
    if region or regions:
        return tuple(dict.fromkeys(region_place(text) for text in (regions or [region])))
    if home is None:
        raise InputError(
            "No place to plan for: no --zone or --region is given, and home is not set.",
            hint="Say where this machine is, once: lowtide config set home DE (or give --zone DE).",
        )
    return (home,)
