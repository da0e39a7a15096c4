"""Bringing data to another place: energy, emissions, price."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from lowtide_facts.tablefiles import read_table

if TYPE_CHECKING:
    from lowtide_core.places import RegionId

TRANSFER_KWH_PER_GB = 0.01
"""Of the whole way, both ends. Published figures reach from 0.001 (fixed core networks, 2020s) to 0.06 (Aslan et al.
2018, 2015's networks); an assumption that a user should know of."""


def transfer_g(size_gb: float, from_g_per_kwh: float, to_g_per_kwh: float) -> float:
    """Emissions of a transfer: half of its energy at each end's intensity.

    Args:
        size_gb: >= 0. from_g_per_kwh, to_g_per_kwh: mean intensity at the ends, g/kWh.
    """
    return size_gb * TRANSFER_KWH_PER_GB * (from_g_per_kwh + to_g_per_kwh) / 2


@cache
def _egress() -> dict[tuple[str, str], float]:
    return {(row["from_region"], row["to_region"]): float(row["usd_per_gb"]) for row in read_table("egress")}


def egress_usd_per_gb(from_region: RegionId, to_region: RegionId) -> float | None:
    """Price of letting a gigabyte out towards the other region; None where it is not known."""
    if from_region == to_region:
        return 0.0
    return _egress().get((from_region, to_region))
