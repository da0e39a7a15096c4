"""Durations, instants, power and sizes as people write them; converted once, into names that carry the unit."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from lowtide_core.errors import InputError

if TYPE_CHECKING:
    from datetime import tzinfo

JOULES_PER_KWH = 3.6e6
G_PER_LB = 453.59237
SECONDS_PER_HOUR = 3600.0

_UNIT_S = {"s": 1, "sec": 1, "secs": 1, "second": 1, "seconds": 1, "m": 60, "min": 60, "mins": 60, "minute": 60,
           "minutes": 60, "h": 3600, "hr": 3600, "hrs": 3600, "hour": 3600, "hours": 3600, "d": 86400, "day": 86400,
           "days": 86400, "w": 604800, "week": 604800, "weeks": 604800}  # fmt: skip
_LONGEST_S = 10 * 365.25 * 86400
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]+)")
_MINUTES_LEFT_BARE = re.compile(r"(?<=\dh)\s*[0-5]?\d$")
_ISO_DURATION = re.compile(
    r"P(?:(?P<w>\d+(?:\.\d+)?)W)?(?:(?P<d>\d+(?:\.\d+)?)D)?"
    r"(?:T(?:(?P<h>\d+(?:\.\d+)?)H)?(?:(?P<m>\d+(?:\.\d+)?)M)?(?:(?P<s>\d+(?:\.\d+)?)S)?)?"
)
_WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAY = (
    r"(?P<day>today|tomorrow|(?:mon|tues?|wed(?:nes)?|thu(?:rs?)?|fri|sat(?:ur)?|sun)(?:day)?)"
    r"|(?P<date>\d{1,2})\s+(?P<month>jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?"
    r"|sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)(?:\s+(?P<year>\d{4}))?"
)
_CLOCK = r"(?P<h>\d{1,2})(?::(?P<m>\d{2}))?\s*(?P<half>am|pm)?"
_WHEN = re.compile(rf"(?:{_DAY})?(?:(?:^|\s+)(?:at\s+)?{_CLOCK})?")
_TIME_HINT = (
    "Write a duration from now (24h), a clock time (18:00, 6pm), a day with or without one (tomorrow, friday 18:00, "
    "26 nov 18:00), or ISO 8601 (2026-01-03T10:00Z)."
)


def parse_duration_s(text: str) -> float:
    """Seconds of ``90m``, ``4h``, ``1d12h``, ``1h30``, ``2 hours 30 minutes`` or ISO 8601 ``PT4H``; > 0.

    Raises:
        InputError: Not a duration, a bare number (which unit?), zero, or more than 10 years.
    """
    seconds = _duration_s(text)
    if seconds is None:
        raise InputError(
            f"{text!r} is not a duration.", hint="Write it with its unit: 90m, 4h, 1d12h or PT4H.", text=text
        )
    if seconds <= 0:
        raise InputError(f"The duration {text!r} is zero.", hint="Give a positive one, such as 30m.", text=text)
    if seconds > _LONGEST_S:
        raise InputError(
            f"The duration {text!r} is more than 10 years.", hint="Give a shorter one, such as 36h.", text=text
        )
    return seconds


def _duration_s(text: str) -> float | None:
    iso = _ISO_DURATION.fullmatch(text.strip().upper())
    if iso is not None and any(iso.groupdict().values()):
        return sum(float(number) * _UNIT_S[unit] for unit, number in iso.groupdict().items() if number)
    plain = _MINUTES_LEFT_BARE.sub(r"\g<0>m", text.strip().lower())
    parts = _PART.findall(plain)
    if not parts or _PART.sub("", plain).strip() or any(unit not in _UNIT_S for _, unit in parts):
        return None
    return sum(float(number) * _UNIT_S[unit] for number, unit in parts)


def duration_text(duration_s: float) -> str:
    """``3 h 20 min``, ``45 s``, ``2 d 4 h``: the two largest units, for messages to people."""
    if duration_s < 0:
        return f"-{duration_text(-duration_s)}"
    if duration_s < 1e-4:
        return "0 s"
    if duration_s < 60:
        return f"{duration_s:#.2g} s" if duration_s < 9.95 else f"{round(duration_s)} s"
    minutes = round(duration_s / 60)
    days, hours, minutes = minutes // 1440, minutes // 60 % 24, minutes % 60
    parts = [f"{days} d" if days else "", f"{hours} h" if hours else "", f"{minutes} min" if minutes else ""]
    return " ".join([part for part in parts if part][:2])


def parse_instant_utc(text: str, *, now_utc: datetime, local_zone: tzinfo | None = None) -> datetime:
    """Aware UTC instant of ``24h``, ``in 24 hours``, ``18:00``, ``friday 6pm``, ``26 nov 18:00``, ``now`` or ISO 8601.

    A time without a zone is local. A day without a clock time is its start: ``tomorrow`` is the coming midnight. A
    clock time that has passed today is tomorrow's, a weekday's next week's; a date without a year that lies before
    today is next year's. Bare ``today`` is refused: its start has passed, and its end is nobody's obvious meaning.

    Args:
        now_utc: What "now" is.
        local_zone: The person's zone; None is the machine's.
    Raises:
        InputError: Not a time, or one outside the years 1970 to 2999.
    """
    plain = text.strip().lower()
    if plain == "now":
        return now_utc
    try:
        instant = _instant(plain, now_utc.astimezone(local_zone), local_zone)
        instant_utc = None if instant is None else instant.astimezone(UTC)
    except (ValueError, OverflowError):
        instant_utc = None  # a 31 February, or past the calendar's end
    if instant_utc is None:
        duration = plain.removeprefix("in ").removeprefix("+")
        if _duration_s(duration) is None:
            raise InputError(f"{text!r} is not a time.", hint=_TIME_HINT, text=text)
        return now_utc + timedelta(seconds=parse_duration_s(duration))
    if not 1970 <= instant_utc.year <= 2999:
        raise InputError(f"{text!r} lies outside the years 1970 to 2999.", hint=_TIME_HINT, text=text)
    return instant_utc


def _instant(plain: str, now_local: datetime, local_zone: tzinfo | None) -> datetime | None:
    when = _WHEN.fullmatch(plain)
    if when is not None:
        return _spoken(when, now_local, local_zone)
    instant = datetime.fromisoformat(plain.upper())
    return instant if instant.tzinfo else _in_zone(instant, local_zone)


def _spoken(when: re.Match[str], now_local: datetime, local_zone: tzinfo | None) -> datetime | None:
    clock = _hour_minute(when)
    if clock is None:
        return None
    day, today = when["day"] or "", now_local.date()
    wanted = datetime(today.year, today.month, today.day, *clock)  # noqa: DTZ001  given its zone below
    if when["month"]:
        wanted = wanted.replace(
            year=int(when["year"] or today.year), month=_MONTHS.index(when["month"][:3]) + 1, day=int(when["date"])
        )
        if not when["year"] and wanted.date() < today:
            wanted = wanted.replace(year=wanted.year + 1)
        return _in_zone(wanted, local_zone)
    if day == "tomorrow":
        wanted += timedelta(days=1)
    elif day[:3] in _WEEKDAYS:
        wanted += timedelta(days=(_WEEKDAYS.index(day[:3]) - today.weekday()) % 7)
    instant = _in_zone(wanted, local_zone)
    if instant <= now_local and day not in ("today", "tomorrow"):
        instant = _in_zone(wanted + timedelta(days=7 if day else 1), local_zone)
    return instant


def _hour_minute(when: re.Match[str]) -> tuple[int, int] | None:
    if when["h"] is None:
        return (0, 0) if when["month"] or when["day"] not in (None, "today") else None
    hour, minute = int(when["h"]), int(when["m"] or 0)
    if when["half"]:
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + (12 if when["half"] == "pm" else 0)
    elif when["m"] is None:
        return None
    return (hour, minute) if hour < 24 and minute < 60 else None


def _in_zone(naive: datetime, zone: tzinfo | None) -> datetime:
    return naive.astimezone() if zone is None else naive.replace(tzinfo=zone)


_POWER_W = {"": 1.0, "w": 1.0, "kw": 1e3, "megawatt": 1e6, "megawatts": 1e6}
_SIZE_GB = {"kb": 1e-6, "mb": 1e-3, "gb": 1.0, "tb": 1e3, "pb": 1e6, "kib": 1.024e-6, "mib": 1.048576e-3,
            "gib": 1.073741824, "tib": 1099.511627776}  # fmt: skip

_ENERGY_KWH = {"wh": 1e-3, "kwh": 1.0, "j": 1 / JOULES_PER_KWH, "kj": 1e3 / JOULES_PER_KWH}


def parse_power_w(text: str) -> float:
    """Watts of ``300W``, ``1.2 kW`` or a bare number (W); > 0. ``MW`` is refused: milli or mega?"""
    if match := re.fullmatch(r"(\d+(?:\.\d+)?)\s*mw", text.strip().lower()):
        raise InputError(
            f"The power {text!r} may be milliwatts or megawatts.",
            hint=f"Write {match[1]}megawatt or {float(match[1]) * 1e3:.12g}kW; one accelerator draws some 300W.",
            text=text,
        )
    power_w = _scaled(text, _POWER_W, kind="power", examples="300W or 1.2kW")
    if power_w <= 0:
        raise InputError(f"The power {text!r} is zero.", hint="Give a positive one, such as 300W.", text=text)
    return power_w


def parse_size_gb(text: str) -> float:
    """Gigabytes (10^9 bytes) of ``50GB``, ``1.5 TB`` or ``20GiB``; >= 0."""
    return _scaled(text, _SIZE_GB, kind="size", examples="50GB or 1.5TB")


def parse_energy_kwh(text: str) -> float:
    """Kilowatt-hours of ``200Wh``, ``0.2 kWh`` or ``720kJ``; >= 0. ``MWh`` is refused: milli or mega?"""
    if re.fullmatch(r"(\d+(?:\.\d+)?)\s*mwh", text.strip().lower()):
        raise InputError(
            f"The energy {text!r} may be milli- or megawatt-hours.", hint="Write it in Wh or kWh.", text=text
        )
    return _scaled(text, _ENERGY_KWH, kind="energy", examples="200Wh or 0.2kWh")


def parse_rate_gb_per_s(text: str) -> float:
    """Gigabytes a second of ``1Gbps``, ``100 Mbit/s`` or ``125MB/s``; > 0. A small b is a bit, a large B a byte."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kKmMgGtT])(bps|b/s|bit/s|Bps|B/s)", text.strip())
    if match is None or not float(match[1]):
        raise InputError(f"{text!r} is not a rate.", hint="Write it with its unit: 1Gbps or 125MB/s.", text=text)
    giga = {"k": 1e-6, "m": 1e-3, "g": 1.0, "t": 1e3}[match[2].lower()]
    return float(match[1]) * giga / (1.0 if match[3].startswith("B") else 8.0)


def parse_share(text: str) -> float:
    """The share of ``95%``, ``95 %`` or ``0.95``; 0-1."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(%?)", text.strip())
    share = float(match[1]) / (100.0 if match[2] else 1.0) if match else -1.0
    if not 0 <= share <= 1:
        raise InputError(f"{text!r} is not a share.", hint="Write it as 95% or 0.95.", text=text)
    return share


def _scaled(text: str, factors: dict[str, float], *, kind: str, examples: str) -> float:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([a-z]*)", text.strip().lower())
    factor = factors.get(match[2]) if match else None
    if match is None or factor is None:
        article = "an" if kind[0] in "aeiou" else "a"
        raise InputError(f"{text!r} is not {article} {kind}.", hint=f"Write it with its unit: {examples}.", text=text)
    value = float(match[1]) * factor
    if value == float("inf"):
        raise InputError(f"The {kind} {text[:20]!r}... is too large.", hint=f"Give one such as {examples}.", text=text)
    return value
