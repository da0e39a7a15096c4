"""The series: half-open, step-wise, gaps stay gaps, frames never mix."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest

from lowtide_core.errors import InputError
from lowtide_core.places import ZoneId
from lowtide_core.series import LIFECYCLE_CONSUMPTION, Frame, SignalSeries, require_one_frame
from lowtide_core.spans import Span, iso_utc, parse_iso_utc

T0 = datetime(2026, 1, 3, 10, tzinfo=UTC)


def series(*values: float, step_s: float = 3600.0) -> SignalSeries:
    return SignalSeries(ZoneId("DE"), T0, step_s, np.array(values), LIFECYCLE_CONSUMPTION, "actual", "invented")


def hours(start: float, end: float) -> Span:
    return Span(T0 + timedelta(hours=start), T0 + timedelta(hours=end))


def test_the_mean_is_step_wise_and_takes_part_steps() -> None:
    assert series(100, 200, 400).mean_g_per_kwh(hours(0.5, 2.25)) == pytest.approx((50 + 200 + 100) / 1.75)


def test_a_mean_over_a_gap_or_beyond_the_end_is_unknown() -> None:
    assert math.isnan(series(100, float("nan"), 300).mean_g_per_kwh(hours(0, 3)))
    assert math.isnan(series(100, 200).mean_g_per_kwh(hours(1, 2.5)))
    assert series(100, float("nan"), 300).mean_g_per_kwh(hours(2, 3)) == 300


def test_missing_parts_are_named_and_joined() -> None:
    holes = series(1, float("nan"), float("nan"), 4).missing(hours(-1, 5))
    assert holes == (hours(-1, 0), hours(1, 3), hours(4, 5))
    assert series(1, 2).covers(hours(0, 2))
    assert not series(1, 2).covers(hours(0, 2.01))


def test_clip_keeps_whole_steps() -> None:
    clipped = series(1, 2, 3, 4).clip(hours(1.5, 2.5))
    assert clipped.start_utc == T0 + timedelta(hours=1)
    assert clipped.intensity_g_per_kwh.tolist() == [2, 3]
    whole = series(1, 2)
    assert whole.clip(hours(-5, 5)) is whole
    with pytest.raises(InputError, match="covers"):
        whole.clip(hours(7, 8))


def test_values_cannot_be_changed_from_outside() -> None:
    given = np.array([1.0, 2.0])
    held = SignalSeries(ZoneId("DE"), T0, 60.0, given, LIFECYCLE_CONSUMPTION, "actual", "invented")
    given[0] = 9.0
    assert held.intensity_g_per_kwh[0] == 1.0
    with pytest.raises(ValueError, match="read-only"):
        held.intensity_g_per_kwh[0] = 5.0


@pytest.mark.parametrize("values", [[], [-1.0], [float("inf")], [[1.0]]])
def test_impossible_values_are_refused(values: list[float]) -> None:
    with pytest.raises(InputError):
        SignalSeries(ZoneId("DE"), T0, 60.0, np.array(values), LIFECYCLE_CONSUMPTION, "actual", "invented")


def test_naive_times_and_bad_steps_are_refused() -> None:
    with pytest.raises(InputError, match="no zone"):
        SignalSeries(ZoneId("DE"), datetime(2026, 1, 1), 60.0, np.array([1.0]), LIFECYCLE_CONSUMPTION, "actual", "x")  # noqa: DTZ001
    with pytest.raises(InputError, match="step"):
        series(1.0, step_s=0.0)
    with pytest.raises(InputError, match="empty"):
        hours(2, 2)


def test_frames_compare_only_with_themselves() -> None:
    direct = Frame("average", "direct", "consumption")
    assert require_one_frame([("a", direct), ("a", direct)]) == direct
    with pytest.raises(InputError, match="a is average, direct") as caught:
        require_one_frame([("a", direct), ("a", LIFECYCLE_CONSUMPTION)])
    assert caught.value.facts["frames"] == (("a", direct), ("a", LIFECYCLE_CONSUMPTION))
    with pytest.raises(InputError, match="not a basis"):
        Frame("mean", "direct", "consumption")  # type: ignore[arg-type]


def test_instants_are_written_and_read_in_utc() -> None:
    east = timezone(timedelta(hours=5, minutes=30))
    assert iso_utc(datetime(2026, 1, 1, 5, 30, tzinfo=east)) == "2026-01-01T00:00:00Z"
    assert parse_iso_utc("2026-01-01T05:30+05:30") == datetime(2026, 1, 1, tzinfo=UTC)
    with pytest.raises(InputError, match="no zone"):
        parse_iso_utc("2026-01-01T05:30")
