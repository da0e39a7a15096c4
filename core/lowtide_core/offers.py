"""What a provider sells: machines with accelerators, in regions, at a price."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lowtide_core.places import RegionId, ZoneId


@dataclass(frozen=True, slots=True)
class OfferQuery:
    """What a job needs of a machine; ``providers`` empty means all of them."""

    gpu: str
    count: int = 1
    providers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Offer:
    """One machine type in one region, for one job: the cheapest that has at least what was asked.

    Attributes:
        gpu_count: Accelerators that the machine has; a job pays for, and idles, the whole machine.
        price_usd_per_h: Of the whole machine, on demand; None where no list price is known.
        price_basis: Where the price comes from and of when (``list-2026-07-20``, ``estimated: ...``).
        power_w: IT power of the whole machine at the job's load: a job rents it whole, idle accelerators and all.
        embodied_g_per_h: Embodied emissions of the machine, per hour of its lifetime; None where unknown.
    """

    region: RegionId
    zone: ZoneId
    machine: str
    gpu: str
    gpu_count: int
    vcpus: float | None
    memory_gib: float | None
    price_usd_per_h: float | None
    price_basis: str
    power_w: float
    embodied_g_per_h: float | None
    source: str
