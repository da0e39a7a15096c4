"""Outlooks of a grid: their shape, whole hours, when they are out, and two put together."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from lowtide_core.errors import InputError
from lowtide_core.outlooks import Outlook, Publication, joined
from lowtide_core.places import ZoneId

T0 = datetime(2026, 3, 28, 22, tzinfo=UTC)
HOUR_S = 3600.0


def outlook(wind: Any, *, at: datetime = T0, step_s: float = HOUR_S, out: Any = 0.0, load: Any = np.nan) -> Outlook:
    wind = np.array(wind, dtype=float)
    same = np.ones(wind.size)
    return Outlook(ZoneId("DE"), at, step_s, wind, same * np.nan, same * load, same * np.array(out), "metered")


def test_quarters_become_means_of_whole_hours_that_are_out_with_their_last_part() -> None:
    late = [100.0, 100.0, 200.0, 100.0, 300.0, 300.0]
    hourly = outlook([1, 2, 3, 4, 5, 6], step_s=900, out=late).hourly()
    np.testing.assert_array_equal(hourly.wind_megawatt, [2.5, np.nan])
    np.testing.assert_array_equal(hourly.published_s, [200, 300])
    assert hourly.step_s == HOUR_S


def test_an_outlook_that_begins_within_an_hour_has_no_mean_of_it() -> None:
    hourly = outlook([9, 1, 1, 1, 1], at=T0 + timedelta(minutes=45), step_s=900).hourly()
    assert hourly.start_utc == T0
    np.testing.assert_array_equal(hourly.wind_megawatt, [np.nan, 1])


@pytest.mark.parametrize(
    ("start", "out"),
    [
        ("2026-01-10T22:00", "2026-01-10T17:00"),  # winter: a day that Brussels begins at 23:00
        ("2026-01-11T21:00", "2026-01-10T17:00"),
        ("2026-07-10T22:00", "2026-07-10T17:00"),
        ("2026-07-10T21:00", "2026-07-09T17:00"),
        ("2026-03-29T01:00", "2026-03-28T17:00"),  # clocks go forward
    ],
)
def test_figures_of_a_day_are_out_together(start: str, out: str) -> None:
    found = Publication(22, -5).out_s(np.array([datetime.fromisoformat(f"{start}Z").timestamp()]))
    assert found.tolist() == [datetime.fromisoformat(f"{out}Z").timestamp()]


def test_what_was_said_first_stands_and_what_comes_later_is_known_since_then() -> None:
    before = outlook([1, 2, np.nan], out=10.0)
    later = outlook([7, 7, 7], at=T0 + timedelta(hours=1), out=20.0, load=50)
    both = joined(before, later)
    np.testing.assert_array_equal(both.wind_megawatt, [1, 2, 7, 7])
    np.testing.assert_array_equal(both.load_megawatt, [np.nan, 50, 50, 50])
    np.testing.assert_array_equal(both.published_s, [10, 20, 20, 20])
    again = joined(both, later)
    np.testing.assert_array_equal(again.megawatt, both.megawatt)
    np.testing.assert_array_equal(again.published_s, both.published_s)


def test_a_hole_between_two_stays_one() -> None:
    both = joined(outlook([1]), outlook([2], at=T0 + timedelta(hours=2)))
    np.testing.assert_array_equal(both.wind_megawatt, [1, np.nan, 2])
    assert both.known_days == pytest.approx(2 / 24)


@pytest.mark.parametrize(
    "wrong",
    [
        {"wind": [1, np.inf]},
        {"wind": []},
        {"wind": [1], "step_s": 7200.0},
        {"wind": [1], "step_s": 1000.0},
        {"wind": [1], "out": np.nan},
        {"wind": [1], "at": T0 + timedelta(minutes=5)},
    ],
)
def test_what_cannot_be_is_refused(wrong: Any) -> None:
    with pytest.raises(InputError):
        outlook(**wrong)
