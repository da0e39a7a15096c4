"""Zones of the grid and their annual life-cycle intensity."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from lowtide_core.errors import InputError, nearest
from lowtide_core.places import ZoneId
from lowtide_facts.tablefiles import read_table

_PREFIX = "g_per_kwh_"
_ALSO = {"uk": ZoneId("GB"), "united kingdom": ZoneId("GB"), "de-lu": ZoneId("DE")}
"""What people and exchanges call a zone that Electricity Maps calls otherwise."""
_HOW_TO_NAME = "Give a zone (DE, US-CAL-CISO) or a country's name (Germany); lowtide signals --zone ZONE shows one."


@dataclass(frozen=True, slots=True)
class ZoneFacts:
    """One zone, with its annual mean intensities (average, life-cycle, consumption) by year, g CO2eq/kWh."""

    zone: ZoneId
    name: str
    g_per_kwh_by_year: tuple[tuple[int, float], ...]


@cache
def all_zones() -> dict[ZoneId, ZoneFacts]:
    """Zone -> its facts."""
    return {zone: ZoneFacts(zone, row["name"], _levels(row)) for zone, row in _rows().items()}


@cache
def _rows() -> dict[ZoneId, dict[str, str]]:
    return {ZoneId(row["zone"]): row for row in read_table("zones")}


def _levels(row: dict[str, str]) -> tuple[tuple[int, float], ...]:
    return tuple((int(key.removeprefix(_PREFIX)), float(row[key])) for key in row if _PREFIX in key and row[key])


def find_zone(text: str) -> ZoneId:
    """The zone that a person means: its key in any case (``de``), or its name (``Germany``).

    Raises:
        InputError: Unknown, with the nearest names.
    """
    wanted = text.strip()
    if wanted.upper() in _rows():
        return ZoneId(wanted.upper())
    zones = all_zones()
    by_name = {facts.name.lower(): zone for zone, facts in zones.items()} | _ALSO
    if wanted.lower() in by_name:
        return by_name[wanted.lower()]
    inside = sorted(zone for zone in zones if zone.startswith(f"{wanted.upper()}-"))
    names = [facts.name for facts in zones.values()]
    looks_like_a_key = len(wanted) <= 3 or "-" in wanted
    likely, other = (zones, names) if looks_like_a_key else (names, zones)
    hint = nearest(wanted, likely) or nearest(wanted, other) or _HOW_TO_NAME
    if inside:
        hint = f"{wanted.upper()} has several zones: {', '.join(inside[:8])}{', ...' if len(inside) > 8 else ''}."
    raise InputError(f"There is no grid zone {text!r}.", hint=hint, zone=text)


def annual_g_per_kwh(zone: ZoneId, year: int | None = None) -> tuple[float, int]:
    """Annual mean intensity and its year: of that year, or the newest.

    Raises:
        InputError: The zone is unknown, or has no figure for that year.
    """
    row = _rows().get(zone)
    if row is None:
        raise InputError(f"There is no grid zone {zone!r}.", hint=nearest(zone, all_zones()) or _HOW_TO_NAME, zone=zone)
    every = _levels(row)
    levels = [pair for pair in every if year in (None, pair[0])]
    if not levels:
        known = ", ".join(str(pair[0]) for pair in every)
        raise InputError(f"Zone {zone} has no annual intensity for {year}.", hint=f"It has {known}.", zone=zone)
    newest, level = max(levels)
    return level, newest
