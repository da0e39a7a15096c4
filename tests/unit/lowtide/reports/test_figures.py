"""Figures as people read them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from lowtide.reports import figures

BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 1, 3, 16, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.20999, "0.210"), (1.5, "1.50"), (99.96, "100"), (4890.4, "4,890"), (0.00123, "0.00123"),
     (-44.04, "-44.0")],
)  # fmt: skip
def test_three_significant_digits(value: float, text: str) -> None:
    assert figures.significant(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "-"), (0.0, "0 g"), (352.4, "352 g"), (4890.0, "4,890 g"), (48_900.0, "48.9 kg"), (1.2e6, "1.20 t"),
     (-2.5, "-2.50 g")],
)  # fmt: skip
def test_grams_choose_their_unit_and_unknown_is_not_zero(value: float | None, text: str) -> None:
    assert figures.grams(value) == text


def test_signs_are_shown_where_they_matter() -> None:
    assert [figures.signed_grams(value) for value in (3.0, -0.8, 0.0, None)] == ["+3.00 g", "-0.800 g", "0 g", "-"]


def test_bands_stand_in_the_unit_of_their_upper_edge() -> None:
    assert figures.band(9_500.0, 12_000.0) == "9.50-12.0 kg"
    assert figures.energy_band(0.08, 0.2) == "0.0800-0.200 kWh"
    assert figures.energy_band(0.001, 0.002) == "1.00-2.00 Wh"


def test_a_band_beside_a_figure_stands_in_the_figure_s_unit() -> None:
    assert figures.grams_in_band(7_500.0, 4_380.0, 10_500.0) == "7,500 g (4,380-10,500)"
    assert figures.grams_in_band(12_000.0, 9_500.0, 14_000.0) == "12.0 kg (9.50-14.0)"
    assert figures.kwh_in_band(0.05, 0.03, 0.2) == "50.0 Wh (30.0-200)"
    assert figures.kwh_in_band(1.5, 0.08, 1.65) == "1.50 kWh (0.0800-1.65)"


@pytest.mark.parametrize(("value", "text"), [(1.65, "1.65 kWh"), (0.042, "42.0 Wh"), (None, "-")])
def test_energy(value: float | None, text: str) -> None:
    assert figures.kwh(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0 s"),
        (0.012, "0.012 s"),
        (2, "2.0 s"),
        (45, "45 s"),
        (59.7, "60 s"),
        (12_000, "3 h 20 min"),
        (187_200, "2 d 4 h"),
        (3600, "1 h"),
        (-90, "-2 min"),
    ],
)
def test_durations_show_two_units(seconds: float, text: str) -> None:
    assert figures.duration(seconds) == text


@pytest.mark.parametrize(
    ("away", "text"),
    [
        (timedelta(hours=8, minutes=40), "tomorrow 01:40 CET, in 8 h 40 min"),
        (timedelta(hours=2), "19:00 CET, in 2 h"),
        (timedelta(days=3), "Tue 06 Jan 17:00 CET, in 3 d"),
        (timedelta(0), "at once, 17:00 CET"),
    ],
)
def test_local_times_say_their_zone_and_how_far_away(away: timedelta, text: str) -> None:
    assert figures.local_time(NOW + away, NOW, BERLIN) == text
