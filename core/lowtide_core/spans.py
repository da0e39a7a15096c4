"""Instants and half-open spans in UTC; inside, seconds since 1970 as float."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from lowtide_core.errors import InputError


def to_epoch_s(instant_utc: datetime) -> float:
    """Seconds since 1970 of an aware instant; a naive one is an error, never a guess."""
    if instant_utc.tzinfo is None:
        raise InputError(
            f"The time {instant_utc.isoformat()} has no zone.",
            hint="Give it one (2026-01-03T10:00Z).",
            instant=instant_utc,
        )
    return instant_utc.timestamp()


def from_epoch_s(epoch_s: float) -> datetime:
    """Aware UTC instant of seconds since 1970."""
    return datetime.fromtimestamp(epoch_s, UTC)


def iso_utc(instant_utc: datetime) -> str:
    """``2026-01-03T10:00:00Z``; fractions of a second only where there are some."""
    utc = instant_utc.astimezone(UTC)
    return utc.isoformat(timespec="microseconds" if utc.microsecond else "seconds").replace("+00:00", "Z")


def parse_iso_utc(text: str) -> datetime:
    """Aware UTC instant of an ISO 8601 text that carries a zone, as data files and wire formats do.

    Raises:
        InputError: Not ISO 8601, or without a zone.
    """
    try:
        instant = datetime.fromisoformat(text.strip())
    except ValueError:
        raise InputError(
            f"{text!r} is not an ISO 8601 time.", hint="Write it as 2026-01-03T10:00Z.", text=text
        ) from None
    if instant.tzinfo is None:
        raise InputError(f"The time {text!r} has no zone.", hint="Write it as 2026-01-03T10:00Z.", text=text)
    return instant.astimezone(UTC)


@dataclass(frozen=True, slots=True)
class Span:
    """``[start_utc, end_utc)``, aware, never empty."""

    start_utc: datetime
    end_utc: datetime

    def __post_init__(self) -> None:
        if to_epoch_s(self.end_utc) <= to_epoch_s(self.start_utc):
            raise InputError(
                f"The span {iso_utc(self.start_utc)} to {iso_utc(self.end_utc)} is empty.",
                hint="Its end must lie after its start.",
            )

    @property
    def duration_s(self) -> float:
        return self.end_utc.timestamp() - self.start_utc.timestamp()

    def __str__(self) -> str:
        """For messages: whole seconds."""
        return "–".join(iso_utc(instant.replace(microsecond=0)) for instant in (self.start_utc, self.end_utc))
