"""Keys of places: a zone of the grid, and a region of a provider."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NewType

ZoneId = NewType("ZoneId", str)
"""An area of the grid with one intensity at a time, named as Electricity Maps names it: ``DE``, ``US-CAL-CISO``."""

RegionId = NewType("RegionId", str)
"""A provider's place, ``aws:eu-central-1``; ``local`` is the machine at home."""

LOCAL = RegionId("local")


@dataclass(frozen=True, slots=True)
class Place:
    """A region together with the zone of the grid that feeds it."""

    region: RegionId
    zone: ZoneId
