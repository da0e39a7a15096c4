"""The time of sources, where no test gives them another."""

from __future__ import annotations

from datetime import UTC, datetime


def now_utc() -> datetime:
    """Now."""
    return datetime.now(UTC)
