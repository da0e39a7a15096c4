"""Keys of places: a zone of the grid, and a region of a provider."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NewType

from lowtide_core.errors import InputError

ZoneId = NewType("ZoneId", str)
"""An area of the grid with one intensity at a time, named as Electricity Maps names it: ``DE``, ``US-CAL-CISO``."""

RegionId = NewType("RegionId", str)
"""A provider's place, ``aws:eu-central-1``; ``local`` is the machine at home."""

LOCAL = RegionId("local")


def split_region(region: RegionId) -> tuple[str, str]:
    """``aws:eu-central-1`` -> ``("aws", "eu-central-1")``; ``local`` -> ``("local", "")``."""
    provider, _, name = region.partition(":")
    if region != LOCAL and not name:
        raise InputError(
            f"{region!r} does not name a region.",
            hint="Write provider:region, such as aws:eu-central-1.",
            region=region,
        )
    return provider, name


@dataclass(frozen=True, slots=True)
class Place:
    """A region together with the zone of the grid that feeds it."""

    region: RegionId
    zone: ZoneId
