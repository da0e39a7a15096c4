"""What sources of rows share: whole steps, pieces of long questions."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from lowtide_providers.signals.steps import ceil_to, floor_to, pieces

T0 = datetime(2026, 3, 29, 0, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.mark.parametrize("zone", [UTC, ZoneInfo("Europe/Paris"), ZoneInfo("Asia/Kathmandu")])
@pytest.mark.parametrize(
    ("minutes", "below", "above"), [(0, 0, 0), (0.5, 0, 15), (14, 0, 15), (15, 15, 15), (-1, -15, 0), (120, 120, 120)]
)
def test_whole_steps_are_those_of_utc(zone: ZoneInfo, minutes: float, below: int, above: int) -> None:
    at, step = (T0 + timedelta(minutes=minutes)).astimezone(zone), timedelta(minutes=15)
    assert floor_to(at, step) == T0 + timedelta(minutes=below)
    assert ceil_to(at, step) == T0 + timedelta(minutes=above)
    assert floor_to(at, step).utcoffset() == ceil_to(at, step).utcoffset() == timedelta(0)


def test_pieces_follow_each_other_and_end_where_they_should() -> None:
    assert list(pieces(T0, T0 + 5 * HOUR, 2 * HOUR)) == [
        (T0, T0 + 2 * HOUR),
        (T0 + 2 * HOUR, T0 + 4 * HOUR),
        (T0 + 4 * HOUR, T0 + 5 * HOUR),
    ]
    assert list(pieces(T0, T0, HOUR)) == list(pieces(T0 + HOUR, T0, HOUR)) == []
