"""Bringing data to another place: energy, emissions, price."""

from __future__ import annotations

from functools import cache
from math import asin, cos, radians, sin, sqrt
from typing import TYPE_CHECKING

from lowtide_facts.tablefiles import read_table

if TYPE_CHECKING:
    from lowtide_core.places import RegionId

TRANSFER_KWH_PER_GB = 0.01
"""Of the whole way, both ends. Published figures reach from 0.001 (fixed core networks, 2020s) to 0.06 (Aslan et al.
2018, 2015's networks); an assumption that a user should know of."""

ROUND_TRIP_MS_PER_KM = 0.0165
"""Median of round trip over great-circle distance between 34 regions of Google Cloud (1,122 pairs, published by Google,
read in umassos/decarbonization-potential, Apache-2.0); a tenth of the pairs take less than 0.0129, a tenth more than
0.0245: cables do not follow great circles."""

EARTH_RADIUS_KM = 6371.0


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


def round_trip_ms(from_region: RegionId, to_region: RegionId) -> float | None:
    """Modelled round trip between two regions, from the distance of their cities; ms, None where a place is not known.

    Source:
        ``ROUND_TRIP_MS_PER_KM``; the haversine formula.
    """
    from lowtide_facts.regions import find_region

    ends = [find_region(region) for region in (from_region, to_region)]
    if any(end.lat_deg is None or end.lon_deg is None for end in ends):
        return None
    (lat_a, lon_a), (lat_b, lon_b) = ((radians(end.lat_deg or 0), radians(end.lon_deg or 0)) for end in ends)
    half_chord = sin((lat_b - lat_a) / 2) ** 2 + cos(lat_a) * cos(lat_b) * sin((lon_b - lon_a) / 2) ** 2
    return 2 * EARTH_RADIUS_KM * asin(min(1.0, sqrt(half_chord))) * ROUND_TRIP_MS_PER_KM
