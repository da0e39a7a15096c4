"""The embedded climatology: what a series of it is, where there is none, and what its terms mean."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from lowtide_core.errors import InputError
from lowtide_core.places import ZoneId
from lowtide_core.series import LIFECYCLE_CONSUMPTION
from lowtide_core.spans import Span
from lowtide_facts.climatology import annual_series, design_matrix, facts_version, has_shape, penalty_classes, series
from lowtide_facts.regions import all_regions
from lowtide_facts.zones import annual_g_per_kwh

START = datetime(2026, 6, 1, tzinfo=UTC)
YEAR = Span(datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC))
DE = ZoneId("DE")
SHAPED = sorted({region.zone for region in all_regions() if has_shape(region.zone)})


def test_a_series_covers_the_span_in_whole_hours() -> None:
    span = Span(START + timedelta(minutes=20), START + timedelta(hours=5, minutes=1))
    found = series(DE, span)
    assert (found.start_utc, found.end_utc) == (START, START + timedelta(hours=6))
    assert found.step_s == 3600
    assert found.covers(span)


def test_a_series_says_what_it_is() -> None:
    found = series(DE, Span(START, START + timedelta(hours=24)))
    assert (found.kind, found.source, found.frame) == ("climatology", "climatology", LIFECYCLE_CONSUMPTION)
    assert found.issued_at is None
    assert facts_version() in found.note
    assert "level of 2025" in found.note


def test_a_part_of_a_series_is_the_same_as_the_series_of_the_part() -> None:
    whole = series(DE, Span(START, START + timedelta(days=3)))
    part = series(DE, Span(START + timedelta(hours=30), START + timedelta(hours=40)))
    np.testing.assert_allclose(part.intensity_g_per_kwh, whole.intensity_g_per_kwh[30:40], rtol=1e-12)


@pytest.mark.parametrize("zone", SHAPED)
def test_a_year_of_it_has_the_annual_level_and_stays_positive(zone: ZoneId) -> None:
    found = series(zone, YEAR)
    level, _ = annual_g_per_kwh(zone)
    assert found.intensity_g_per_kwh.mean() == pytest.approx(level, rel=0.03)
    assert found.intensity_g_per_kwh.min() > 0
    assert found.low_g_per_kwh is not None
    assert found.high_g_per_kwh is not None
    assert np.all(found.low_g_per_kwh < found.intensity_g_per_kwh)
    assert np.all(found.intensity_g_per_kwh < found.high_g_per_kwh)


def test_california_is_cleanest_around_noon_and_not_in_the_evening() -> None:
    day = series(ZoneId("US-CAL-CISO"), Span(START, START + timedelta(days=1))).intensity_g_per_kwh
    assert int(day.argmin()) in range(16, 22)  # 9 to 14 h local summer time
    assert day.max() > 1.5 * day.min()


def test_thirty_regions_lie_in_zones_without_a_shape() -> None:
    """21 without hourly data; 9 more whose hours are a constant: Hong Kong, Indonesia, Israel."""
    without = [region for region in all_regions() if not has_shape(region.zone)]
    assert len(without) == 30
    assert {region.zone for region in without} >= {"HK", "ID", "IL", "AE", "CN", "CA-AB"}


def test_a_zone_without_a_shape_has_a_level_and_says_place_only() -> None:
    zone, span = ZoneId("AE"), Span(START, START + timedelta(hours=30))
    with pytest.raises(InputError, match="Zone AE has no time shape"):
        series(zone, span)
    flat = annual_series(zone, span)
    assert flat.covers(span)
    assert flat.intensity_g_per_kwh.tolist() == [annual_g_per_kwh(zone)[0]]
    assert flat.note.startswith("no time shape: place only")
    assert flat.frame == LIFECYCLE_CONSUMPTION


def test_unusable_hours_gave_no_shape() -> None:
    assert not [
        zone for zone in ("HK", "ID", "IL", "IN-UP", "US-NW-CHPD", "US-NW-DOPD", "US-NW-SCL") if has_shape(ZoneId(zone))
    ]


def test_the_terms_are_periodic_in_the_day_and_know_the_weekend() -> None:
    monday_s = START.timestamp()
    assert START.weekday() == 0
    rows = design_matrix(monday_s + 86400.0 * np.arange(14))
    classes = penalty_classes()
    assert rows.shape == (14, classes.size) == (14, 54)
    daily, weekend = rows[:, classes == 1], rows[:, classes == 3]
    np.testing.assert_allclose(daily, np.broadcast_to(daily[0], daily.shape), atol=1e-9)
    np.testing.assert_array_equal(weekend[:, 0], [0, 0, 0, 0, 0, 1, 1] * 2)
