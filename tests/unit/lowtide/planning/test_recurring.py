"""Occurrences across the days on which clocks change, in zones that do it in different ways."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lowtide.planning.recurring import occurrences, wall_to_utc
from lowtide_core.errors import InputError
from lowtide_core.spans import Span

BERLIN = ZoneInfo("Europe/Berlin")
DAY = timedelta(days=1)


def local(zone: ZoneInfo, *parts: int) -> datetime:
    return datetime(*parts, tzinfo=zone).astimezone(UTC)  # type: ignore[misc, arg-type]


def night(zone: ZoneInfo, year: int, month: int, day: int, start: int = 22, end: int = 6) -> Span:
    last = datetime(year, month, day) + DAY  # noqa: DTZ001
    return Span(local(zone, year, month, day, start), local(zone, last.year, last.month, last.day, end))


def test_every_night_is_as_long_as_its_clock_makes_it() -> None:
    spring = occurrences(night(BERLIN, 2026, 3, 27), DAY, zone=BERLIN, count=3)
    assert [span.duration_s / 3600 for span in spring] == [8, 7, 8]
    autumn = occurrences(night(BERLIN, 2026, 10, 23), DAY, zone=BERLIN, count=3)
    assert [span.duration_s / 3600 for span in autumn] == [8, 9, 8]
    for span in (*spring, *autumn):
        assert (span.start_utc.astimezone(BERLIN).hour, span.end_utc.astimezone(BERLIN).hour) == (22, 6)


def test_whole_days_of_23_and_25_hours_touch() -> None:
    for month, day, hours in ((3, 27, [24, 24, 23, 24]), (10, 23, [24, 24, 25, 24])):
        first = Span(local(BERLIN, 2026, month, day), local(BERLIN, 2026, month, day + 1))
        days = occurrences(first, DAY, zone=BERLIN, count=4)
        assert [span.duration_s / 3600 for span in days] == hours
        assert all(a.end_utc == b.start_utc for a, b in pairwise(days))


def test_a_skipped_time_moves_to_the_first_instant_after_the_gap() -> None:
    assert wall_to_utc(datetime(2026, 3, 29, 2, 30), BERLIN) == datetime(2026, 3, 29, 1, tzinfo=UTC)  # noqa: DTZ001
    apia = ZoneInfo("Pacific/Apia")  # 30 December 2011 was skipped
    assert wall_to_utc(datetime(2011, 12, 30, 9), apia) == datetime(2011, 12, 30, 10, tzinfo=UTC)  # noqa: DTZ001
    lord_howe = ZoneInfo("Australia/Lord_Howe")  # by half an hour
    moved = wall_to_utc(datetime(2026, 10, 4, 2, 10), lord_howe)  # noqa: DTZ001
    assert moved.astimezone(lord_howe).replace(tzinfo=None) == datetime(2026, 10, 4, 2, 30)  # noqa: DTZ001


def test_a_time_that_comes_twice_is_the_first() -> None:
    assert wall_to_utc(datetime(2026, 10, 25, 2, 30), BERLIN) == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)  # noqa: DTZ001
    later = Span(datetime(2026, 10, 25, 1, 30, tzinfo=UTC), datetime(2026, 10, 25, 5, tzinfo=UTC))  # the second 2:30
    assert occurrences(later, DAY, zone=BERLIN, count=2)[0] == later


def test_an_occurrence_that_falls_into_a_gap_keeps_its_length() -> None:
    first = Span(local(BERLIN, 2026, 3, 28, 2, 10), local(BERLIN, 2026, 3, 28, 2, 40))
    second = occurrences(first, DAY, zone=BERLIN, count=2)[1]
    assert second == Span(datetime(2026, 3, 29, 1, tzinfo=UTC), datetime(2026, 3, 29, 1, 30, tzinfo=UTC))


def test_hours_repeat_by_seconds_whatever_the_clock_says() -> None:
    spans = occurrences(night(BERLIN, 2026, 3, 28), timedelta(hours=12), zone=BERLIN, count=4)
    assert [span.duration_s / 3600 for span in spans] == [7] * 4
    assert {b.start_utc - a.start_utc for a, b in pairwise(spans)} == {timedelta(hours=12)}


def test_weeks_repeat_by_the_clock_and_an_end_ends() -> None:
    spans = occurrences(
        night(BERLIN, 2026, 3, 20), timedelta(weeks=1), zone=BERLIN, until_utc=local(BERLIN, 2026, 4, 10, 22)
    )
    assert [span.start_utc.astimezone(BERLIN).date().isoformat() for span in spans] == [
        "2026-03-20",
        "2026-03-27",
        "2026-04-03",
    ]
    both = occurrences(spans[0], DAY, zone=BERLIN, count=2, until_utc=local(BERLIN, 2026, 4, 10))
    assert len(both) == 2


@given(
    st.datetimes(datetime(1990, 1, 1), datetime(2035, 1, 1)),  # noqa: DTZ001
    st.sampled_from(["Europe/Berlin", "America/New_York", "Pacific/Apia", "Australia/Lord_Howe", "Asia/Kolkata"]),
)
def test_a_clock_time_is_shown_at_its_instant_and_never_before(wall: datetime, name: str) -> None:
    zone, wall = ZoneInfo(name), wall.replace(microsecond=0)
    instant = wall_to_utc(wall, zone)
    shown = instant.astimezone(zone).replace(tzinfo=None, fold=0)
    assert shown >= wall
    before = (instant - timedelta(seconds=1)).astimezone(zone).replace(tzinfo=None, fold=0)
    assert before < wall
    assert instant.astimezone(zone).fold == 0


def test_in_a_zone_without_changes_days_are_seconds() -> None:
    fixed = timezone(timedelta(hours=5, minutes=45))
    first = Span(datetime(2026, 3, 1, 20, tzinfo=UTC), datetime(2026, 3, 2, 4, tzinfo=UTC))
    spans = occurrences(first, 2 * DAY, zone=fixed, count=5)
    assert spans == tuple(Span(first.start_utc + 2 * n * DAY, first.end_utc + 2 * n * DAY) for n in range(5))


@pytest.mark.parametrize(
    "call",
    [
        lambda span: occurrences(span, timedelta(0), zone=UTC, count=1),
        lambda span: occurrences(span, -DAY, zone=UTC, count=1),
        lambda span: occurrences(span, DAY, zone=UTC),
        lambda span: occurrences(span, DAY, zone=UTC, count=0),
        lambda span: occurrences(span, DAY, zone=UTC, until_utc=datetime(2026, 4, 1)),  # noqa: DTZ001
    ],
)
def test_what_has_no_end_or_no_step_is_refused(call: Callable[[Span], object]) -> None:
    with pytest.raises(InputError):
        call(night(BERLIN, 2026, 3, 20))
