"""What people type."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from lowtide_core.errors import InputError
from lowtide_core.quantities import parse_duration_s, parse_instant_utc, parse_power_w, parse_size_gb

BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 1, 7, 16, 30, tzinfo=UTC)  # a Wednesday, 17:30 in Berlin


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90m", 5400), ("4h", 14400), ("1d12h", 129600), ("1.5 h", 5400), ("2h 30min", 9000), ("45s", 45),
        ("PT4H", 14400), ("P1DT12H", 129600), ("pt90m", 5400), ("1 day", 86400), ("1w", 604800),
    ],
)  # fmt: skip
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration_s(text) == seconds


@pytest.mark.parametrize("text", ["", "4", "4x", "h", "-4h", "4h!", "four hours", "P", "PT", "0h", "0", "1e3s", "nan"])
def test_not_durations(text: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_duration_s(text)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("now", NOW),
        ("24h", NOW + timedelta(hours=24)),
        ("+90m", NOW + timedelta(minutes=90)),
        ("tomorrow 09:00", datetime(2026, 1, 8, 8, tzinfo=UTC)),
        ("18:00", datetime(2026, 1, 7, 17, tzinfo=UTC)),
        ("09:00", datetime(2026, 1, 8, 8, tzinfo=UTC)),
        ("today 09:00", datetime(2026, 1, 7, 8, tzinfo=UTC)),
        ("fri 06:00", datetime(2026, 1, 9, 5, tzinfo=UTC)),
        ("Friday 06:00", datetime(2026, 1, 9, 5, tzinfo=UTC)),
        ("wed 06:00", datetime(2026, 1, 14, 5, tzinfo=UTC)),
        ("2026-01-09T10:00Z", datetime(2026, 1, 9, 10, tzinfo=UTC)),
        ("2026-01-09T10:00+02:00", datetime(2026, 1, 9, 8, tzinfo=UTC)),
        ("2026-01-09 10:00", datetime(2026, 1, 9, 9, tzinfo=UTC)),
    ],
)
def test_instants_are_local_unless_they_say_otherwise(text: str, instant: datetime) -> None:
    assert parse_instant_utc(text, now_utc=NOW, local_zone=BERLIN) == instant


@pytest.mark.parametrize("text", ["", "soon", "25:00", "tomorrow", "12:60", "2026-13-01"])
def test_not_instants(text: str) -> None:
    with pytest.raises(InputError):
        parse_instant_utc(text, now_utc=NOW, local_zone=BERLIN)


@pytest.mark.parametrize(("text", "power_w"), [("300W", 300), ("300", 300), ("1.2 kW", 1200), ("2megawatt", 2e6)])
def test_power(text: str, power_w: float) -> None:
    assert parse_power_w(text) == pytest.approx(power_w)


@pytest.mark.parametrize("text", ["0W", "-3W", "3MW", "W", "three", "300 Wh"])
def test_not_power(text: str) -> None:
    with pytest.raises(InputError):
        parse_power_w(text)


@pytest.mark.parametrize(
    ("text", "size_gb"), [("50GB", 50), ("1.5 TB", 1500), ("20GiB", 21.47483648), ("0GB", 0), ("5 mb", 0.005)]
)
def test_sizes(text: str, size_gb: float) -> None:
    assert parse_size_gb(text) == pytest.approx(size_gb)


@pytest.mark.parametrize("text", ["50", "50 G", "GB", "-1GB"])
def test_not_sizes(text: str) -> None:
    with pytest.raises(InputError):
        parse_size_gb(text)
