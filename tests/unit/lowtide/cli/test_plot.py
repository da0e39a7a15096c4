"""The chart: every part of it says what the series says."""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lowtide.cli.plot import plot
from lowtide.cli.text import table
from lowtide.planning.types import Segment
from lowtide_core.places import LOCAL, ZoneId
from lowtide_core.series import LIFECYCLE_CONSUMPTION, SignalSeries
from lowtide_core.spans import Span

T0 = datetime(2026, 1, 3, 10, tzinfo=UTC)


def chart(values: list[float], run_h: tuple[float, float]) -> list[str]:
    series = SignalSeries(ZoneId("DE"), T0, 3600.0, np.array(values), LIFECYCLE_CONSUMPTION, "forecast", "invented")
    run = Segment(T0 + timedelta(hours=run_h[0]), T0 + timedelta(hours=run_h[1]), LOCAL, ZoneId("DE"))
    return plot(series, Span(T0, T0 + timedelta(hours=len(values))), (run,), UTC)


def test_higher_values_stand_higher_and_the_run_lies_below_the_low() -> None:
    lines = chart([400.0] * 12 + [100.0] * 12, (12, 24))
    top, bottom, runs = lines[0], lines[3], lines[-1]
    assert top.count("█") == 24
    assert bottom.count("█") == 48
    assert top.startswith("   400")
    first = runs.index("├")
    assert first == top.rindex("█") + 1, "the run starts where the bars fall"
    assert "run" in runs


def test_hours_stand_under_their_columns() -> None:
    lines = chart([100.0] * 24, (3, 4))
    hours, bars = lines[-2], lines[0]
    assert hours.index("12") - bars.index("█") == 4, "two columns to the hour, from 10:00"


def test_a_gap_is_blank_and_no_line_is_too_long() -> None:
    lines = chart([100.0, float("nan")] * 36, (0, 72))
    assert all(len(line) <= 84 for line in lines)
    assert "█ █" in lines[0]


def test_a_short_run_is_still_seen() -> None:
    assert "┃" in chart([100.0] * 72, (10, 10.2))[-1]


def test_tables_align() -> None:
    lines = table(("name", "g"), [("a", "1"), ("long", "100")], left={0})
    assert lines == ["name    g", "a       1", "long  100"]


ZONES = (
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "America/Havana",
    "Africa/Cairo",
    "Asia/Kolkata",
    "Australia/Lord_Howe",
    "Pacific/Chatham",
)
LABEL = re.compile(r"(?<!\S)(?:\d\d [A-Z][a-z]{2}|[A-Z][a-z]{2} \d{4}|\d\d:\d\d|\d\d)(?!\S)")


def flat(start: datetime, length: timedelta, zone: str) -> list[str]:
    series = SignalSeries(
        ZoneId("DE"), start, 3600.0, np.full(30_000, 10.0), LIFECYCLE_CONSUMPTION, "forecast", "invented"
    )
    run = Segment(start, start + length / 2, LOCAL, ZoneId("DE"))
    return plot(series, Span(start, start + length), (run,), ZoneInfo(zone))


def labels(lines: list[str]) -> list[tuple[int, str]]:
    axis = lines[-2].removeprefix(" g/kWh")
    assert not LABEL.sub("", axis).strip(), f"labels of {axis!r} touch or are broken"
    return [(match.start() - 3, match[0]) for match in LABEL.finditer(axis)]


@settings(max_examples=int(os.environ.get("LOWTIDE_EXAMPLES", "200")), deadline=None)
@given(
    start=st.integers(0, 3 * 365 * 1440).map(
        lambda minute: datetime(2025, 1, 1, tzinfo=UTC) + timedelta(minutes=minute)
    ),
    minutes=st.one_of(
        st.integers(10, 240),
        st.integers(240, 4 * 1440),
        st.integers(4 * 1440, 250 * 1440),
        st.integers(10, 1096 * 1440),
    ),
    zone=st.sampled_from(ZONES),
)
def test_every_window_has_an_axis_that_can_be_read(start: datetime, minutes: int, zone: str) -> None:
    length = timedelta(minutes=minutes)
    lines = flat(start, length, zone)
    assert all(len(line) <= 84 for line in lines)
    found = labels(lines)
    assert len(found) >= 2
    columns = lines[0].count("█")
    for column, text in found:
        under = start + length * (column / columns)
        assert text in shown_near(under, length / columns, text, ZoneInfo(zone)), f"{text} stands under {under}"


def shown_near(instant: datetime, slack: timedelta, text: str, zone: ZoneInfo) -> set[str]:
    """What a label of this kind could say at most a column away."""
    if " " in text:
        pattern = "%d %b" if text[0].isdigit() else "%b %Y"
        return {f"{(instant + slack * eighth / 8).astimezone(zone):{pattern}}" for eighth in range(-8, 9)}
    minutes = int(slack / timedelta(minutes=1)) + 1
    near = [(instant + timedelta(minutes=minute)).astimezone(zone) for minute in range(-minutes, minutes + 1)]
    return {f"{local:%H:%M}" for local in near} | {f"{local:%H}" for local in near if local.minute == 0}


@pytest.mark.parametrize(
    ("length", "first", "second"),
    [
        (timedelta(minutes=10), "13:15", "13:20"),
        (timedelta(hours=2), "14:00", "15:00"),
        (timedelta(hours=24), "15", "18"),
        (timedelta(days=3), "26 Nov", "27 Nov"),
        (timedelta(days=200), "Dec 2026", "Feb 2027"),
    ],
)
def test_the_step_suits_the_window(length: timedelta, first: str, second: str) -> None:
    found = labels(flat(datetime(2026, 11, 25, 13, 12, tzinfo=UTC), length, "UTC"))
    assert [text for _, text in found][:2] == [first, second]


def test_a_day_that_is_an_hour_longer_stands_an_hour_wider() -> None:
    """Berlin puts the clock back on 25 October 2026: one column to the hour."""
    found = labels(
        flat(datetime(2026, 10, 24, 22, tzinfo=UTC) - timedelta(days=1), timedelta(hours=72), "Europe/Berlin")
    )
    assert found == [(0, "24 Oct"), (24, "25 Oct"), (49, "26 Oct")]


def test_the_hours_of_a_day_that_is_an_hour_shorter() -> None:
    """Berlin skips 02:00 on 29 March 2026: from 00:00 to 06:00 are five hours, ten columns."""
    found = labels(flat(datetime(2026, 3, 28, 23, tzinfo=UTC), timedelta(hours=24), "Europe/Berlin"))
    assert found[0] == (0, "00")
    assert (10, "06") in found
