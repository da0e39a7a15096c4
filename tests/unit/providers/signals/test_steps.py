"""What sources of rows share: whole steps, pieces of long questions."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from lowtide_core.errors import Malformed
from lowtide_core.places import ZoneId
from lowtide_core.spans import Span
from lowtide_providers.signals.static import StaticSource
from lowtide_providers.signals.steps import build_series, ceil_to, floor_to, pieces

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


@pytest.mark.parametrize("issued", [datetime(1, 1, 1, tzinfo=UTC), datetime(1970, 1, 1, tzinfo=UTC), T0 + 99 * HOUR])
def test_a_forecast_that_was_issued_when_it_cannot_have_been_is_malformed(issued: datetime) -> None:
    rows = {T0 + hour * HOUR: 100.0 for hour in range(24)}
    asked = {"source": StaticSource(), "zone": ZoneId("DE"), "wanted": "forecast", "now_utc": T0}
    with pytest.raises(Malformed, match="was issued"):
        build_series(rows, HOUR, Span(T0, T0 + 24 * HOUR), issued_at=issued, **asked)
    for fine in (T0 - 100 * HOUR, T0, T0 + 2 * HOUR):
        assert build_series(rows, HOUR, Span(T0, T0 + 24 * HOUR), issued_at=fine, **asked).issued_at == fine


def test_a_time_at_the_end_of_all_time_is_malformed_and_no_bug() -> None:
    rows = {datetime(9999, 12, 31, 23, 30, tzinfo=UTC): 100.0, T0: 90.0}
    asked = {"source": StaticSource(), "zone": ZoneId("DE"), "wanted": "actual", "now_utc": T0}
    with pytest.raises(Malformed):
        build_series(rows, HOUR, Span(T0, T0 + 24 * HOUR), **asked)
