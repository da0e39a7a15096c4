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

_UNIT_S = {"s": 1, "sec": 1, "m": 60, "min": 60, "h": 3600, "hour": 3600, "hours": 3600, "d": 86400, "day": 86400,
           "days": 86400, "w": 604800, "week": 604800, "weeks": 604800}  # fmt: skip
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]+)")
_ISO_DURATION = re.compile(
    r"P(?:(?P<w>\d+(?:\.\d+)?)W)?(?:(?P<d>\d+(?:\.\d+)?)D)?"
    r"(?:T(?:(?P<h>\d+(?:\.\d+)?)H)?(?:(?P<m>\d+(?:\.\d+)?)M)?(?:(?P<s>\d+(?:\.\d+)?)S)?)?"
)
_CLOCK = re.compile(r"(?:(?P<day>today|tomorrow|mon|tue|wed|thu|fri|sat|sun)[a-z]*\s+)?(?P<h>\d{1,2}):(?P<m>\d{2})")
_WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def parse_duration_s(text: str) -> float:
    """Seconds of ``90m``, ``4h``, ``1d12h``, ``1.5 h`` or ISO 8601 ``PT4H``; > 0.

    Raises:
        InputError: Not a duration, a bare number (which unit?), or zero.
    """
    plain = text.strip().lower()
    seconds = _iso_duration_s(text.strip().upper())
    if seconds is None:
        parts = _PART.findall(plain)
        rest = _PART.sub("", plain).strip()
        if not parts or rest or any(unit not in _UNIT_S for _, unit in parts):
            raise InputError(
                f"{text!r} is not a duration.", hint="Write it with its unit: 90m, 4h, 1d12h or PT4H.", text=text
            )
        seconds = sum(float(number) * _UNIT_S[unit] for number, unit in parts)
    if seconds <= 0:
        raise InputError(f"The duration {text!r} is zero.", hint="Give a positive one, such as 30m.", text=text)
    return seconds


def _iso_duration_s(text: str) -> float | None:
    match = _ISO_DURATION.fullmatch(text)
    if match is None or not any(match.groupdict().values()):
        return None
    return sum(float(number) * _UNIT_S[unit] for unit, number in match.groupdict().items() if number)


def parse_instant_utc(text: str, *, now_utc: datetime, local_zone: tzinfo | None = None) -> datetime:
    """Aware UTC instant of ``24h`` (from now), ``09:00``, ``tomorrow 09:00``, ``fri 18:00``, ``now`` or ISO 8601.

    A time without a zone is local. A clock time that has passed today is tomorrow's.

    Args:
        now_utc: What "now" is.
        local_zone: The person's zone; None is the machine's.
    Raises:
        InputError: Not a time.
    """
    plain = text.strip().lower()
    if plain == "now":
        return now_utc
    clock = _CLOCK.fullmatch(plain)
    if clock is not None and int(clock["h"]) < 24 and int(clock["m"]) < 60:
        return _clock_utc(clock, now_utc.astimezone(local_zone), local_zone)
    try:
        instant = datetime.fromisoformat(text.strip())
    except ValueError:
        pass
    else:
        return (instant if instant.tzinfo else _in_zone(instant, local_zone)).astimezone(UTC)
    try:
        return now_utc + timedelta(seconds=parse_duration_s(plain.removeprefix("+")))
    except InputError:
        raise InputError(
            f"{text!r} is not a time.",
            hint="Write a duration from now (24h), a clock time (tomorrow 09:00) or ISO 8601 (2026-01-03T10:00Z).",
            text=text,
        ) from None


def _clock_utc(clock: re.Match[str], now_local: datetime, local_zone: tzinfo | None) -> datetime:
    day = now_local.date()
    if clock["day"] == "tomorrow":
        day += timedelta(days=1)
    elif clock["day"] in _WEEKDAYS:
        day += timedelta(days=(_WEEKDAYS.index(clock["day"]) - day.weekday()) % 7)
    wanted = datetime(day.year, day.month, day.day, int(clock["h"]), int(clock["m"]))  # noqa: DTZ001  given its zone next
    instant = _in_zone(wanted, local_zone)
    if instant <= now_local and clock["day"] not in ("today", "tomorrow"):
        instant = _in_zone(wanted + timedelta(days=7 if clock["day"] else 1), local_zone)
    return instant.astimezone(UTC)


def _in_zone(naive: datetime, zone: tzinfo | None) -> datetime:
    return naive.astimezone() if zone is None else naive.replace(tzinfo=zone)


_POWER_W = {"": 1.0, "w": 1.0, "kw": 1e3, "megawatt": 1e6}
_SIZE_GB = {"kb": 1e-6, "mb": 1e-3, "gb": 1.0, "tb": 1e3, "pb": 1e6, "kib": 1.024e-6, "mib": 1.048576e-3,
            "gib": 1.073741824, "tib": 1099.511627776}  # fmt: skip


def parse_power_w(text: str) -> float:
    """Watts of ``300W``, ``1.2 kW`` or a bare number (W); > 0. ``MW`` is refused: milli or mega?"""
    power_w = _scaled(text, _POWER_W, kind="power", examples="300W or 1.2kW")
    if power_w <= 0:
        raise InputError(f"The power {text!r} is zero.", hint="Give a positive one, such as 300W.", text=text)
    return power_w


def parse_size_gb(text: str) -> float:
    """Gigabytes (10^9 bytes) of ``50GB``, ``1.5 TB`` or ``20GiB``; >= 0."""
    return _scaled(text, _SIZE_GB, kind="size", examples="50GB or 1.5TB")


def _scaled(text: str, factors: dict[str, float], *, kind: str, examples: str) -> float:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([a-z]*)", text.strip().lower())
    factor = factors.get(match[2]) if match else None
    if match is None or factor is None:
        raise InputError(f"{text!r} is not a {kind}.", hint=f"Write it with its unit: {examples}.", text=text)
    return float(match[1]) * factor
