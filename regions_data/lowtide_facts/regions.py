"""Cloud regions: where they stand, which zone of the grid feeds them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from lowtide_core.errors import InputError, nearest
from lowtide_core.places import RegionId, ZoneId
from lowtide_facts.tablefiles import number, read_table


@dataclass(frozen=True, slots=True)
class RegionFacts:
    """One provider's region.

    Attributes:
        zone: Zone of the grid; chosen by the region's city, so a user may know better.
        pue, pue_year: As the provider published it for this region; None where it did not.
    """

    region: RegionId
    provider: str
    display_name: str
    city: str
    country: str
    lat_deg: float | None
    lon_deg: float | None
    zone: ZoneId
    status: str
    pue: float | None
    pue_year: int | None

    @property
    def name(self) -> str:
        """The provider's own name of it, without the provider."""
        return self.region.partition(":")[2]


@cache
def all_regions() -> tuple[RegionFacts, ...]:
    """Every region of the table, in its order."""
    return tuple(
        RegionFacts(
            region=RegionId(row["region"]),
            provider=row["provider"],
            display_name=row["display_name"],
            city=row["city"],
            country=row["country"],
            lat_deg=number(row["lat_deg"]),
            lon_deg=number(row["lon_deg"]),
            zone=ZoneId(row["zone"]),
            status=row["status"],
            pue=number(row["pue"]),
            pue_year=int(row["pue_year"]) if row["pue_year"] else None,
        )
        for row in read_table("regions")
    )


def regions_of_zone(zone: ZoneId) -> tuple[RegionFacts, ...]:
    """The regions that the zone feeds; none where no provider is there."""
    return tuple(region for region in all_regions() if region.zone == zone)


def find_region(text: str) -> RegionFacts:
    """The region that a person means: ``aws:eu-central-1``, ``eu-central-1``, its display name, or its city.

    Raises:
        InputError: Nothing has that name (with the nearest), or several regions have it (with all of them).
    """
    wanted = text.strip().lower()
    for names in (_ids, _own_names, _described):
        found = [region for region in all_regions() if wanted in names(region)]
        if len(found) == 1:
            return found[0]
        if found:
            raise InputError(
                f"{text!r} is {len(found)} regions: {', '.join(region.region for region in found)}.",
                hint="Name one of them.",
                region=text,
            )
    known = [name for region in all_regions() for name in (*_ids(region), *_own_names(region), region.city.lower())]
    raise InputError(
        f"There is no region {text!r}.",
        hint=nearest(wanted, known) or "lowtide regions --gpu T4 --all lists regions; they read provider:region.",
        region=text,
    )


def _ids(region: RegionFacts) -> tuple[str, ...]:
    return (region.region.lower(),)


def _own_names(region: RegionFacts) -> tuple[str, ...]:
    return (region.name.lower(),)


def _described(region: RegionFacts) -> tuple[str, ...]:
    return (region.display_name.lower(), region.city.lower())


_EU = frozenset(
    ("AT", "BE", "BG", "HR", "CY", "CZ", "DK", "EE", "FI", "FR", "DE", "GR", "HU", "IE", "IT", "LV", "LT", "LU", "MT",
     "NL", "PL", "PT", "RO", "SK", "SI", "ES", "SE")
)  # fmt: skip
_GROUPS = {"EU": _EU, "EEA": _EU | {"IS", "LI", "NO"}, "UK": frozenset({"GB"})}
"""Members as of 2026; the GDPR's area is the EEA."""


def in_residency(region: RegionFacts, group: str) -> bool:
    """Whether data in the region lies in the group: ``EU``, ``EEA``, ``UK``, or a country's two letters.

    Raises:
        InputError: The group is none of these.
    """
    return region.country in _countries(group)


def zone_in_residency(zone: ZoneId, group: str) -> bool:
    """Whether a zone lies in the group: its key begins with its country's two letters.

    Raises:
        InputError: The group is none that ``in_residency`` knows.
    """
    return zone.partition("-")[0] in _countries(group)


def _countries(group: str) -> frozenset[str]:
    wanted = group.strip().upper()
    if wanted in _GROUPS:
        return _GROUPS[wanted]
    countries = {region.country for region in all_regions()}
    if wanted not in countries:
        raise InputError(
            f"{group!r} is not a residency.",
            hint=f"Give EU, EEA, UK or the two letters of a country with a region: {', '.join(sorted(countries))}.",
        )
    return frozenset({wanted})
