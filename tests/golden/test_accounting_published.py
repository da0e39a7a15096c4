"""Figures that others have published, from our own functions."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from lowtide.accounting.profiles import Profile, emissions_g, mean_intensities
from lowtide.accounting.settle import Settlement, SettlementInputs, SitedPlace, settle
from lowtide.planning.types import ForecastUsed, Plan, Segment
from lowtide_core.places import LOCAL, Place, ZoneId
from lowtide_core.series import LIFECYCLE_CONSUMPTION, SignalSeries
from lowtide_core.spans import iso_utc

T0 = datetime(2021, 11, 17, tzinfo=UTC)
ZONE = ZoneId("US-CAL-CISO")


def series(values: list[float], step: timedelta) -> SignalSeries:
    return SignalSeries(ZONE, T0, step.total_seconds(), np.array(values), LIFECYCLE_CONSUMPTION, "actual", "published")


def even(start: timedelta, end: timedelta) -> Profile:
    """One kWh, spread evenly."""
    edges_s = [np.array([(T0 + away).timestamp()]) for away in (start, end)]
    return Profile(*edges_s, np.ones(1))


@pytest.mark.parametrize(
    ("first", "last", "expected"),
    [
        ("00:00", "20:00", 25.0),
        ("04:00", "20:00", 28.75),
        ("00:00", "16:00", 21.25),
        ("02:30", "17:30", 25.0),
        ("02:00", "03:00", 10.0),
    ],
)
def test_average_over_a_period_of_carbon_aware_sdk(first: str, last: str, expected: float) -> None:
    """Green Software Foundation, carbon-aware-sdk e6de58d, tests of AverageOverPeriod: 5-minute rows of 10 to 40."""
    start, end = (timedelta(minutes=int(text[:2]), seconds=int(text[3:])) for text in (first, last))
    means = mean_intensities(even(start, end), series([10.0, 20.0, 30.0, 40.0], timedelta(minutes=5)))
    assert means is not None
    assert means[0] == pytest.approx(expected)


def test_average_of_a_day_of_carbon_aware_sdk() -> None:
    """The same project, EmissionsHandlerTests: westus in blocks of eight hours; outside the data is no number."""
    westus = series([10.0, 20.0, 30.0], timedelta(hours=8))
    assert emissions_g(even(timedelta(0), timedelta(days=1)), westus, 1.0) == pytest.approx(20.0)
    assert emissions_g(even(timedelta(0), timedelta(days=1, seconds=1)), westus, 1.0) is None


def settled(
    intensities: list[float], energy_kwh: float, ran_h: int, *, embodied_g_per_h: float | None = None
) -> Settlement:
    """An hour's run that began ``ran_h`` hours after it could have, at home, with final figures."""
    at = T0 + timedelta(hours=ran_h)
    known = series(intensities, timedelta(hours=1))
    expected_g = energy_kwh * intensities[ran_h]
    used = ForecastUsed("published", "forecast", T0, LIFECYCLE_CONSUMPTION, known.end_utc)
    home = SitedPlace(Place(LOCAL, ZONE), 1.0)
    energy_j = energy_kwh * 3.6e6
    result: dict[str, Any] = {
        "start_utc": iso_utc(at),
        "duration_s": 3600.0,
        "energy_j": energy_j,
        "energy_low_j": energy_j,
        "energy_high_j": energy_j,
        "measured_share": 1.0,
        "modelled_share": 0.0,
        "filled_share": 0.0,
        "components": {},
        "buckets": [
            {"start_utc": iso_utc(at + timedelta(minutes=5 * i)), "energy_j": energy_j / 12} for i in range(12)
        ],
    }
    plan = Plan((Segment(at, at + timedelta(hours=1), LOCAL, ZONE),), energy_kwh, expected_g, None, None, None, None,
                "", expected_g, True, None, None, used, forecast_edge=False,
                pue=1.0, transfer_g=0.0, baseline_pue=1.0, baseline_transfer_g=0.0)  # fmt: skip
    answer = settle(
        SettlementInputs(
            job_id="published",
            plan=plan,
            results=(result,),
            planned=home,
            realised=home,
            home=home,
            no_home_why="",
            earliest_utc=T0,
            deadline_utc=known.end_utc,
            forecast={ZONE: known},
            actual={ZONE: known},
            final=True,
            facts_version="none",
            embodied_g_per_h=embodied_g_per_h,
        )
    )
    assert isinstance(answer, Settlement)
    return answer


@pytest.mark.parametrize(
    ("at_once", "later", "energy_kwh", "saved_g"), [(450.0, 250.0, 3.2, 640.0), (350.0, 350.0, 1.5, 0.0)]
)
def test_savings_of_compute_gardener(at_once: float, later: float, energy_kwh: float, saved_g: float) -> None:
    """elevated-systems, compute-gardener-scheduler 2e4de88, docs/carbon-calculations.md: against run-at-once."""
    found = settled([at_once, later], energy_kwh, 1)
    assert found.baseline_g == pytest.approx(at_once * energy_kwh)
    assert found.saved_g == pytest.approx(saved_g, abs=1e-9)


def test_a_job_that_was_never_delayed_saves_nothing() -> None:
    """The same document: not delayed at 200 g/kWh, 2.0 kWh; no saving is claimed."""
    found = settled([200.0, 300.0], 2.0, 0)
    assert found.saved_g == pytest.approx(0.0, abs=1e-9)
    assert found.captured_pct is None


@pytest.mark.parametrize(
    ("embodied_g", "lifetime_years", "expected_g"),
    [(1e6, 4, 28.538812785388128), (1.2e6, 4, 34.24657534246575)],
)
def test_embodied_share_of_an_hour(embodied_g: float, lifetime_years: int, expected_g: float) -> None:
    """Green Software Foundation, SCI specification 29cab98 (1000 kg, 4 years, 1 h, whole device) and
    Impact Framework 0829a39, manifests/outputs/builtins/sci-embodied/scenario-1.yaml (1200 kg)."""
    per_h = embodied_g / (lifetime_years * 365 * 24)
    item = settled([100.0], 1.0, 0, embodied_g_per_h=per_h).to_json()
    assert item["embodied_g"] == pytest.approx(expected_g, rel=1e-12)
    assert item["sci_g"] == pytest.approx(100.0 + expected_g)
