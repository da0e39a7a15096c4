"""What was recorded, hour by hour: series of any step join, the newer stands, and a file is whole or not there."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from lowtide.histories import MOST_HOURS, Histories, Recorded, RecordName, hourly, with_series
from lowtide_core.errors import InputError
from lowtide_core.places import ZoneId
from lowtide_core.series import LIFECYCLE_CONSUMPTION, Frame, SignalSeries

T0 = datetime(2026, 3, 1, tzinfo=UTC)
DE = ZoneId("DE")
NAN = float("nan")


def series(values: list[float], *, start: datetime = T0, step_s: float = 3600.0, zone: str = "DE") -> SignalSeries:
    return SignalSeries(ZoneId(zone), start, step_s, np.array(values), LIFECYCLE_CONSUMPTION, "actual", "metered")


def values_of(recorded: Recorded) -> list[float]:
    return recorded.intensity_g_per_kwh.tolist()


def test_quarters_give_the_mean_of_each_whole_hour() -> None:
    start_s, values = hourly(series([1, 2, 3, 4, 10, 10, NAN, 10, 7], step_s=900.0))
    assert start_s == T0.timestamp()
    np.testing.assert_array_equal(values, [2.5, NAN, NAN])


def test_a_series_that_begins_within_an_hour_leaves_that_hour_unknown() -> None:
    start_s, values = hourly(series([5, 6, 6], start=T0 + timedelta(minutes=30), step_s=1800.0))
    assert start_s == T0.timestamp()
    np.testing.assert_array_equal(values, [NAN, 6.0])


def test_longer_steps_hold_for_each_of_their_hours() -> None:
    _, values = hourly(series([8, 4], step_s=7200.0))
    np.testing.assert_array_equal(values, [8, 8, 4, 4])


def test_the_newer_value_stands_and_a_gap_takes_nothing_away() -> None:
    old = with_series(None, series([1, 2, 3]))
    new = with_series(old, series([NAN, 30, 40], start=T0 + timedelta(hours=1)))
    np.testing.assert_array_equal(values_of(new), [1, 2, 30, 40])
    assert new.end_s == (T0 + timedelta(hours=4)).timestamp()


def test_hours_between_two_series_are_unknown_and_an_earlier_one_goes_before() -> None:
    late = with_series(None, series([9], start=T0 + timedelta(hours=3)))
    both = with_series(late, series([1]))
    np.testing.assert_array_equal(values_of(both), [1, NAN, NAN, 9])
    assert both.start_s == T0.timestamp()


def test_only_four_years_are_held() -> None:
    long = with_series(None, series([1.0] * MOST_HOURS))
    more = with_series(long, series([2.0], start=T0 + timedelta(hours=MOST_HOURS)))
    assert more.intensity_g_per_kwh.size == MOST_HOURS
    assert values_of(more)[-1] == 2.0
    assert more.start_s == long.start_s + 3600.0


def test_another_zone_or_frame_does_not_belong_to_a_record() -> None:
    record = with_series(None, series([1]))
    with pytest.raises(InputError, match="does not belong"):
        with_series(record, series([1], zone="FR"))
    other = SignalSeries(DE, T0, 3600.0, np.ones(1), Frame("marginal", "direct", "consumption"), "actual", "metered")
    with pytest.raises(InputError, match="does not belong"):
        with_series(record, other)


def test_a_record_is_read_as_it_was_kept(tmp_path: Path) -> None:
    histories = Histories(tmp_path / "histories")
    assert histories.names() == ()
    name = RecordName(DE, "metered", LIFECYCLE_CONSUMPTION)
    assert histories.get(name) is None
    kept = Recorded(*name, T0.timestamp(), np.array([1.5, NAN]), {"model_a": np.array([[1.0]])}, {"learnt_utc_s": 3.0})
    histories.keep(kept)
    found = histories.get(name)
    assert found is not None
    assert found.name == name
    np.testing.assert_array_equal(found.intensity_g_per_kwh, kept.intensity_g_per_kwh)
    np.testing.assert_array_equal(found.learnt["model_a"], [[1.0]])
    assert dict(found.said) == {"learnt_utc_s": 3.0}
    assert histories.names() == (name,)
    assert [path.name for path in (tmp_path / "histories").iterdir()] == [
        "DE@metered@average-lifecycle-consumption.npz"
    ]


def test_a_torn_file_is_no_record(tmp_path: Path) -> None:
    histories = Histories(tmp_path)
    histories.keep(with_series(None, series([1, 2])))
    (path,) = tmp_path.glob("*.npz")
    path.write_bytes(path.read_bytes()[:40])
    assert histories.get(RecordName(DE, "metered", LIFECYCLE_CONSUMPTION)) is None


def test_a_file_that_is_not_ours_is_passed_over(tmp_path: Path) -> None:
    histories = Histories(tmp_path)
    for name in ("stray.npz", "a@b@c.npz", "DE@x@average-lifecycle.npz", "@@.npz", "notes.txt"):
        (tmp_path / name).touch()
    assert histories.names() == ()


def test_a_source_of_any_name_has_a_file_of_its_own(tmp_path: Path) -> None:
    histories = Histories(tmp_path)
    names = [RecordName(DE, source, LIFECYCLE_CONSUMPTION) for source in ("a/b", "a_b", "a@b", "../up", "ü")]
    for number, name in enumerate(names):
        histories.keep(Recorded(*name, T0.timestamp(), np.array([float(number)])))
    assert set(histories.names()) == set(names)
    for number, name in enumerate(names):
        found = histories.get(name)
        assert found is not None
        assert values_of(found) == [number]
    assert not list(tmp_path.parent.glob("*.npz"))
