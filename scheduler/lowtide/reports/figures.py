"""Figures as people read them: three significant digits, the unit behind, local time with its zone and how far away."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from lowtide_core.quantities import duration_text

if TYPE_CHECKING:
    from datetime import datetime, tzinfo

_UNKNOWN = "-"
_NOTHING = 1e-6


def significant(value: float, digits: int = 3) -> str:
    """``4890`` -> ``4,890``; ``0.20999`` -> ``0.210``; what is less than a millionth is ``0``."""
    if abs(value) < _NOTHING:
        return "0"
    text = f"{float(f'{value:.{digits}g}'):,.10f}"
    whole, _, part = text.partition(".")
    places = max(0, digits - len(whole.lstrip("-").replace(",", "").lstrip("0"))) if whole.strip("-0,") else None
    if places is None:
        zeros = len(part) - len(part.lstrip("0"))
        places = zeros + digits
    return f"{whole}.{part[:places]}" if places else whole


def grams(emissions_g: float | None) -> str:
    """``352 g``, ``4.89 kg``, ``1.20 t``; ``-`` for unknown, never zero."""
    if emissions_g is None:
        return _UNKNOWN
    if abs(emissions_g) >= 999_500:
        return f"{significant(emissions_g / 1e6)} t"
    if abs(emissions_g) >= 9_995:
        return f"{significant(emissions_g / 1e3)} kg"
    return f"{significant(emissions_g)} g"


def signed_grams(emissions_g: float | None) -> str:
    """``+3.00 g``, ``-0.80 g``, ``0 g``."""
    if emissions_g is None:
        return _UNKNOWN
    return f"+{grams(emissions_g)}" if emissions_g >= _NOTHING else grams(emissions_g)


def band(low_g: float, high_g: float) -> str:
    """``300-420 g``, both in the unit of the higher."""
    unit = grams(high_g).split(" ")[1]
    factor = {"g": 1.0, "kg": 1e3, "t": 1e6}[unit]
    return f"{significant(low_g / factor)}-{significant(high_g / factor)} {unit}"


def grams_in_band(emissions_g: float, low_g: float, high_g: float) -> str:
    """``352 g (300-420)``: the band in the unit of the figure."""
    text = grams(emissions_g)
    factor = {"g": 1.0, "kg": 1e3, "t": 1e6}[text.split(" ")[1]]
    return f"{text} ({significant(low_g / factor)}-{significant(high_g / factor)})"


def kwh(energy_kwh: float | None) -> str:
    """``1.65 kWh``, ``42.0 Wh``, ``0.310 Wh``."""
    if energy_kwh is None:
        return _UNKNOWN
    if 0 < abs(energy_kwh) < 0.0995:
        return f"{significant(energy_kwh * 1000)} Wh"
    return f"{significant(energy_kwh)} kWh"


def energy_band(low_kwh: float, high_kwh: float) -> str:
    """``1.20-1.65 kWh``, both in the unit of the higher."""
    unit = kwh(high_kwh).split(" ")[1]
    factor = 1000.0 if unit == "Wh" else 1.0
    return f"{significant(low_kwh * factor)}-{significant(high_kwh * factor)} {unit}"


def kwh_in_band(energy_kwh: float, low_kwh: float, high_kwh: float) -> str:
    """``1.32 kWh (1.20-1.65)``: the band in the unit of the figure."""
    text = kwh(energy_kwh)
    factor = 1000.0 if text.endswith(" Wh") else 1.0
    return f"{text} ({significant(low_kwh * factor)}-{significant(high_kwh * factor)})"


def percent(value_pct: float | None) -> str:
    """``45 %``; ``-`` for unknown."""
    return _UNKNOWN if value_pct is None else f"{round(value_pct)} %"


def intensity(g_per_kwh: float | None) -> str:
    """``190 g/kWh``."""
    return _UNKNOWN if g_per_kwh is None else f"{significant(g_per_kwh)} g/kWh"


def duration(seconds: float) -> str:
    """``3 h 20 min``, ``45 s``, ``2 d 4 h``: the two largest units."""
    return duration_text(seconds)


def clock(instant: datetime, zone: tzinfo | None = None) -> str:
    """``01:40 CET``, with the day where it is not today's reader's concern to guess: ``Wed 25 Nov 01:40 CET``."""
    return f"{instant.astimezone(zone):%a %d %b %H:%M %Z}".rstrip()


def local_time(instant: datetime, now: datetime, zone: tzinfo | None = None) -> str:
    """``tomorrow 01:40 CET, in 8 h 40 min``; ``at once`` where it is now or past."""
    away_s = (instant - now).total_seconds()
    if away_s <= 0:
        return f"at once, {instant.astimezone(zone):%H:%M %Z}".rstrip()
    here, today = instant.astimezone(zone), now.astimezone(zone).date()
    if here.date() == today:
        day = ""
    elif here.date() == today + timedelta(days=1):
        day = "tomorrow "
    else:
        day = f"{here:%a %d %b} "
    return f"{day}{here:%H:%M %Z}".rstrip() + f", in {duration(away_s)}"
