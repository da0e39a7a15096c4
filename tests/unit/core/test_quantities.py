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
        ("3 days", 259200), ("2 hours 30 minutes", 9000), ("1h30", 5400), ("1h 05", 3900), ("10 mins", 600),
    ],
)  # fmt: skip
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration_s(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "4", "4x", "h", "-4h", "4h!", "four hours", "P", "PT", "0h", "0", "1e3s", "nan", "1h90", "inf h"]
)
def test_not_durations(text: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_duration_s(text)
    assert caught.value.hint


@pytest.mark.parametrize("text", ["999999d", "1" + "0" * 400 + "h", "P99999W"])
def test_a_duration_of_more_than_ten_years_is_refused_as_such(text: str) -> None:
    with pytest.raises(InputError, match="more than 10 years"):
        parse_duration_s(text)
    with pytest.raises(InputError, match="more than 10 years"):
        parse_instant_utc(text, now_utc=NOW, local_zone=BERLIN)


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
        ("tomorrow", datetime(2026, 1, 7, 23, tzinfo=UTC)),
        ("friday", datetime(2026, 1, 8, 23, tzinfo=UTC)),
        ("wednesday", datetime(2026, 1, 13, 23, tzinfo=UTC)),
        ("friday 18:00", datetime(2026, 1, 9, 17, tzinfo=UTC)),
        ("friday at 6pm", datetime(2026, 1, 9, 17, tzinfo=UTC)),
        ("6pm", datetime(2026, 1, 7, 17, tzinfo=UTC)),
        ("5:15 PM", datetime(2026, 1, 8, 16, 15, tzinfo=UTC)),
        ("12am", datetime(2026, 1, 7, 23, tzinfo=UTC)),
        ("12pm", datetime(2026, 1, 8, 11, tzinfo=UTC)),
        ("in 24 hours", NOW + timedelta(hours=24)),
        ("26 Nov 18:00", datetime(2026, 11, 26, 17, tzinfo=UTC)),
        ("26 november", datetime(2026, 11, 25, 23, tzinfo=UTC)),
        ("6 jan", datetime(2027, 1, 5, 23, tzinfo=UTC)),
        ("7 jan 09:00", datetime(2026, 1, 7, 8, tzinfo=UTC)),
        ("26 Nov 2027 6pm", datetime(2027, 11, 26, 17, tzinfo=UTC)),
        ("2026-01-09t10:00z", datetime(2026, 1, 9, 10, tzinfo=UTC)),
        ("2026-01-09T10:00Z", datetime(2026, 1, 9, 10, tzinfo=UTC)),
        ("2026-01-09T10:00+02:00", datetime(2026, 1, 9, 8, tzinfo=UTC)),
        ("2026-01-09 10:00", datetime(2026, 1, 9, 9, tzinfo=UTC)),
    ],
)
def test_instants_are_local_unless_they_say_otherwise(text: str, instant: datetime) -> None:
    assert parse_instant_utc(text, now_utc=NOW, local_zone=BERLIN) == instant


@pytest.mark.parametrize("text", ["", "soon", "25:00", "today", "12:60", "13pm", "0am", "18", "friendly 18:00",
                                  "31 feb", "2026-13-01", "9999-12-31", "9999-12-31T23:59-12:00", "0001-01-01",
                                  "50000-01-01", "26 nov 0000", "1e9h", "0h"])  # fmt: skip
@pytest.mark.parametrize("zone", [BERLIN, None])
def test_not_instants(text: str, zone: ZoneInfo | None) -> None:
    with pytest.raises(InputError) as caught:
        parse_instant_utc(text, now_utc=NOW, local_zone=zone)
    assert caught.value.hint


@pytest.mark.parametrize(("text", "power_w"), [("300W", 300), ("300", 300), ("1.2 kW", 1200), ("2megawatt", 2e6)])
def test_power(text: str, power_w: float) -> None:
    assert parse_power_w(text) == pytest.approx(power_w)


@pytest.mark.parametrize("text", ["0W", "-3W", "3MW", "W", "three", "300 Wh", "9" * 400 + "W"])
def test_not_power(text: str) -> None:
    with pytest.raises(InputError):
        parse_power_w(text)


def test_mw_is_answered_with_what_it_may_mean() -> None:
    with pytest.raises(InputError) as caught:
        parse_power_w("1.5 MW")
    assert "1.5megawatt or 1500kW" in caught.value.hint


@pytest.mark.parametrize(
    ("text", "size_gb"), [("50GB", 50), ("1.5 TB", 1500), ("20GiB", 21.47483648), ("0GB", 0), ("5 mb", 0.005)]
)
def test_sizes(text: str, size_gb: float) -> None:
    assert parse_size_gb(text) == pytest.approx(size_gb)


@pytest.mark.parametrize("text", ["50", "50 G", "GB", "-1GB"])
def test_not_sizes(text: str) -> None:
    with pytest.raises(InputError):
        parse_size_gb(text)
