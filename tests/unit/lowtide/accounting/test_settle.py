"""Settlements: the states, the baseline, the best possible, the difference, and what is not known."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from lowtide.accounting.profiles import Profile
from lowtide.accounting.settle import Settlement, SettlementInputs, SitedPlace, Unsettled, settle
from lowtide.jobs.manner import Pausing
from lowtide.planning.types import ForecastUsed, Plan, Segment
from lowtide_core.errors import InputError
from lowtide_core.places import LOCAL, Place, RegionId, ZoneId
from lowtide_core.series import LIFECYCLE_CONSUMPTION, Frame, SignalSeries
from lowtide_core.spans import iso_utc

T0 = datetime(2026, 1, 3, tzinfo=UTC)
DE, FR = ZoneId("DE"), ZoneId("FR")
HOURLY = [400.0, 300.0, 100.0, 200.0, 500.0, 400.0]


def at(hours: float) -> datetime:
    return T0 + timedelta(hours=hours)


def series(zone: ZoneId = DE, values: list[float] | None = None, kind: Any = "forecast", **more: Any) -> SignalSeries:
    return SignalSeries(
        zone, T0, 3600.0, values or HOURLY, more.pop("frame", LIFECYCLE_CONSUMPTION), kind, kind, **more
    )


def plan(start_h: float, hours: float = 1.0, energy_kwh: float = 1.2, emissions_g: float = 120.0) -> Plan:
    segment = Segment(at(start_h), at(start_h + hours), LOCAL, DE)
    used = ForecastUsed("forecast", "forecast", T0, LIFECYCLE_CONSUMPTION, at(6))
    return Plan((segment,), energy_kwh, emissions_g, None, None, None, 480.0, "", emissions_g, True, None, None, used,
                forecast_edge=False, pue=1.0, transfer_g=0.0, baseline_pue=1.0, baseline_transfer_g=0.0)  # fmt: skip


def result(start_h: float, hours: float = 1.0, energy_kwh: float = 1.2, **more: Any) -> dict[str, Any]:
    """A run at constant power, as the sampler reports it."""
    buckets = round(hours * 12)
    energy_j = energy_kwh * 3.6e6
    return {
        "run_id": f"run-{start_h}",
        "start_utc": iso_utc(at(start_h)),
        "duration_s": hours * 3600.0,
        "energy_j": energy_j,
        "energy_low_j": 0.9 * energy_j,
        "energy_high_j": 1.2 * energy_j,
        "measured_share": 0.75,
        "modelled_share": 0.25,
        "filled_share": 0.0,
        "components": {"cpu": {"energy_j": energy_j, "sources": ["powercap"]}, "gpu": None},
        "buckets": [
            {"start_utc": iso_utc(at(start_h + i / 12)), "energy_j": energy_j / buckets} for i in range(buckets)
        ],
        **more,
    }


def inputs(**changes: Any) -> SettlementInputs:
    """Planned and run in hour 2, at home; every change is one cause."""
    home = SitedPlace(Place(LOCAL, DE), 1.0)
    given = SettlementInputs(
        job_id="abc",
        plan=plan(2),
        results=(result(2),),
        planned=home,
        realised=home,
        home=home,
        no_home_why="",
        earliest_utc=T0,
        deadline_utc=at(6),
        forecast={DE: series()},
        actual={DE: series(kind="actual")},
        final=True,
        facts_version="facts-1",
    )
    return replace(given, **changes)


def settled(**changes: Any) -> Settlement:
    answer = settle(inputs(**changes))
    assert isinstance(answer, Settlement)
    return answer


def test_a_run_as_planned_differs_by_nothing() -> None:
    found = settled()
    assert found.realised_g == pytest.approx(120.0)
    assert found.difference is not None
    parts = (
        found.difference.energy_g,
        found.difference.timing_g,
        found.difference.place_g,
        found.difference.forecast_g,
    )
    assert parts == (0.0, 0.0, 0.0, 0.0)


def test_a_run_as_planned_differs_by_nothing_although_its_buckets_end_at_odd_seconds() -> None:
    odd_h = 2 + 137 / 3600
    found = settled(
        plan=plan(odd_h, 0.9, 1.0),
        results=(
            result(
                odd_h,
                0.9,
                1.0,
                buckets=[
                    {"start_utc": iso_utc(at(2 + i / 12)), "energy_j": 3.6e6 * seconds / 3240}
                    for i, seconds in enumerate([163] + [300] * 10 + [77])
                ],
            ),
        ),
    )
    assert found.difference is not None
    assert found.difference.timing_g == 0.0


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"actual": {}}, "modelled"),
        ({"actual": {DE: series(kind="actual", values=HOURLY[:2])}}, "modelled"),
        ({"actual": {DE: series(kind="actual", values=[400, 300, float("nan"), 200, 500, 400])}}, "modelled"),
        ({"final": False}, "provisional"),
        ({}, "settled"),
    ],
)
def test_the_state_says_what_the_emissions_rest_on(changes: dict[str, Any], expected: str) -> None:
    assert settled(**changes).state == expected


def test_without_an_actual_neither_the_possible_nor_the_forecasts_part_is_known() -> None:
    found = settled(actual={}, results=(result(3, energy_kwh=1.5),))
    item = found.to_json()
    assert item["possible_g"] is None
    assert item["captured_pct"] is None
    assert item["difference"]["forecast_g"] is None
    assert item["saved_g"] == pytest.approx(1.5 * (400 - 200))
    explained = sum(value for value in item["difference"].values() if value is not None)
    assert explained == pytest.approx(found.realised_g - 120.0)


def test_pue_enters_once_and_in_plan_and_settlement_alike() -> None:
    site = SitedPlace(Place(LOCAL, DE), 1.5)
    found = settled(planned=site, realised=site, home=site, plan=plan(2, emissions_g=180.0))
    item = found.to_json()
    assert found.realised_g == pytest.approx(1.2 * 1.5 * 100)
    assert item["realised"]["energy_kwh"] == pytest.approx(1.2)
    assert item["realised"]["intensity_g_per_kwh"] == pytest.approx(100.0)
    assert item["planned"]["intensity_g_per_kwh"] == pytest.approx(100.0)


def test_the_baseline_is_the_same_energy_at_once_at_home() -> None:
    paris = SitedPlace(Place(RegionId("aws:eu-west-3"), FR), 1.1)
    actual = {DE: series(kind="actual"), FR: series(FR, [50.0] * 6, "actual")}
    forecast = {DE: series(), FR: series(FR, [40.0] * 6)}
    found = settled(home=paris, actual=actual, forecast=forecast)
    assert found.baseline_g == pytest.approx(1.2 * 1.1 * 50)
    assert found.saved_g == pytest.approx(1.2 * (55 - 100))


def test_without_home_there_is_no_saving_and_the_reason_is_told() -> None:
    item = settled(home=None, no_home_why="home has no H100").to_json()
    assert (item["baseline_g"], item["saved_g"], item["saved_pct"], item["captured_pct"]) == (None, None, None, None)
    assert item["no_baseline_why"] == "home has no H100"


def test_a_home_without_an_actual_has_no_baseline_in_a_settled_receipt() -> None:
    paris = SitedPlace(Place(RegionId("aws:eu-west-3"), FR), 1.1)
    found = settled(home=paris, forecast={DE: series(), FR: series(FR)})
    assert found.state == "settled"
    assert found.baseline_g is None
    assert "FR" in found.no_baseline_why


def test_captured_is_all_in_the_best_hour_and_part_in_another() -> None:
    assert settled().captured_pct == pytest.approx(100.0)
    assert settled(plan=plan(3), results=(result(3),)).captured_pct == pytest.approx(100 * (400 - 200) / (400 - 100))


def test_nothing_is_captured_where_nothing_could_be_saved() -> None:
    flat = {DE: series(values=[250.0] * 6, kind="actual")}
    found = settled(actual=flat)
    assert found.saved_g == pytest.approx(0.0)
    assert found.captured_pct is None


def test_every_attempts_energy_counts() -> None:
    found = settled(results=(result(1, energy_kwh=0.6), result(2)))
    assert found.realised_g == pytest.approx(0.6 * 300 + 1.2 * 100)


def test_each_cause_is_named_alone() -> None:
    more_energy = settled(results=(result(2, energy_kwh=1.8),)).difference
    later = settled(results=(result(3),)).difference
    dirtier = settled(actual={DE: series(values=[600.0, 500.0, 150.0, 300.0, 500.0, 400.0], kind="actual")}).difference
    assert more_energy is not None
    assert later is not None
    assert dirtier is not None
    assert (more_energy.energy_g, more_energy.timing_g, more_energy.forecast_g) == (pytest.approx(60.0), 0.0, 0.0)
    assert (later.energy_g, later.timing_g, later.forecast_g) == (0.0, pytest.approx(120.0), 0.0)
    assert (dirtier.energy_g, dirtier.timing_g, dirtier.forecast_g) == (0.0, 0.0, pytest.approx(60.0))


def test_the_place_is_a_cause_with_its_overhead_and_its_transfer() -> None:
    paris = SitedPlace(Place(RegionId("aws:eu-west-3"), FR), 1.5, transfer_g=7.0)
    known = {DE: series(kind="actual"), FR: series(FR, [60.0] * 6, "actual")}
    found = settled(realised=paris, forecast=known, actual=known)
    assert found.difference is not None
    assert found.difference.place_g == pytest.approx(1.2 * (1.5 * 60 - 100) + 7.0)
    assert found.difference.total_g == pytest.approx(found.realised_g - 120.0)


def test_a_difference_is_not_split_beyond_what_the_forecast_covers() -> None:
    found = settled(forecast={DE: series(values=HOURLY[:3])}, results=(result(4),))
    assert found.difference is None
    assert "forecast of DE" in found.no_difference_why
    assert found.realised_g == pytest.approx(600.0)


def test_the_band_is_the_energys_and_in_a_model_the_intensitys_too() -> None:
    banded = series(low_g_per_kwh=[value / 2 for value in HOURLY], high_g_per_kwh=[value * 2 for value in HOURLY])
    measured, modelled = settled(forecast={DE: banded}), settled(forecast={DE: banded}, actual={})
    assert (measured.realised_low_g, measured.realised_high_g) == (pytest.approx(108.0), pytest.approx(144.0))
    assert (modelled.realised_low_g, modelled.realised_high_g) == (pytest.approx(54.0), pytest.approx(288.0))


def test_frames_are_never_mixed() -> None:
    other = series(kind="actual", frame=Frame("marginal", "direct", "production"))
    with pytest.raises(InputError, match="different frames"):
        settle(inputs(actual={DE: other}))


def test_unknown_energy_is_not_zero_emissions() -> None:
    shares = {"measured_share": None, "modelled_share": None, "filled_share": None}
    answer = settle(inputs(results=(result(2, energy_kwh=0.0, **shares),)))
    assert isinstance(answer, Unsettled)
    assert "unknown" in answer.why


def test_an_attempt_without_energy_has_no_weight_in_the_shares() -> None:
    nothing = result(1, energy_kwh=0.0, measured_share=None, modelled_share=None, filled_share=None)
    item = settled(results=(nothing, result(2))).to_json()
    assert item["realised"]["measured_share"] == pytest.approx(0.75)


@pytest.mark.parametrize("forecast", [{}, {DE: series(values=HOURLY[:2])}])
def test_without_any_intensity_nothing_is_settled(forecast: dict[ZoneId, SignalSeries]) -> None:
    answer = settle(inputs(forecast=forecast, actual={}))
    assert isinstance(answer, Unsettled)
    assert "DE" in answer.why


def test_embodied_emissions_stand_beside_and_in_no_sum() -> None:
    without, beside = settled().to_json(), settled(embodied_g_per_h=20.0).to_json()
    assert (without["embodied_g"], without["sci_g"]) == (None, None)
    assert beside["embodied_g"] == pytest.approx(20.0)
    assert beside["sci_g"] == pytest.approx(140.0)
    assert beside["realised"]["emissions_g"] == without["realised"]["emissions_g"]


def test_settling_twice_gives_the_same_words() -> None:
    assert json.dumps(settled().to_json()) == json.dumps(settled().to_json())


def test_a_pause_is_cut_out_of_the_run_at_once() -> None:
    run = Profile(np.array([0.0, 100.0]), np.array([100.0, 300.0]), np.array([1.0, 4.0]))
    cut = run.without(((50.0, 150.0), (400.0, 500.0)))
    assert cut.start_s.tolist() == [0.0, 50.0]
    assert cut.end_s.tolist() == [50.0, 200.0]
    assert cut.energy_kwh.tolist() == pytest.approx([0.5, 3.0])
    assert run.without(((-10.0, 1000.0),)) is run, "nothing would be left"


def test_a_paused_job_is_compared_with_itself_at_once_and_with_the_best_pauses() -> None:
    """Hours 2 and 5 instead of the best two, 2 and 3; at once it would have been 0 and 1, without the pause."""
    two = replace(
        plan(2, energy_kwh=2.0),
        segments=(Segment(at(2), at(3), LOCAL, DE), Segment(at(5), at(6), LOCAL, DE)),
    )
    buckets = [{"start_utc": iso_utc(at(2 + i / 12)), "energy_j": 3.6e6 / 12 * (i < 12 or i >= 36)} for i in range(48)]
    found = settled(plan=two, results=(result(2, 4.0, 2.0, buckets=buckets),), pausing=Pausing())
    assert found.realised_g == pytest.approx(100 + 400)
    assert found.baseline_g == pytest.approx(400 + 300)
    assert found.possible_g == pytest.approx(100 + 200)
    assert found.captured_pct == pytest.approx(100 * 200 / 400)
    dear = settled(plan=two, results=(result(2, 4.0, 2.0, buckets=buckets),), pausing=Pausing(restart_kwh=9.0))
    assert dear.possible_g == pytest.approx(100 + 200), "these two hours touch: there is nothing to resume"
