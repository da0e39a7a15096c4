"""The planner's answer as a whole: places, limits, baselines, bands, the edge of the forecast."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from lowtide.jobs.manner import Judgement, Manner, Pausing
from lowtide.jobs.widths import WidthTable
from lowtide.planning.explain import explain
from lowtide.planning.replan import keep
from lowtide.planning.solve import require_plan, solve
from lowtide.planning.solvers.windows import StepSeries, best_window
from lowtide.planning.types import Candidate, Moves, NoPlan, Plan, PlanProblem, Segment
from lowtide_core.errors import InfeasibleError, InputError
from lowtide_core.places import LOCAL, RegionId, ZoneId
from lowtide_core.series import LIFECYCLE_CONSUMPTION, Frame, SignalSeries

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR_S = 3600.0


def series(
    values: list[float], *, zone: str = "DE", band: float = 0.0, frame: Frame = LIFECYCLE_CONSUMPTION
) -> SignalSeries:
    middle = np.array(values)
    return SignalSeries(
        zone=ZoneId(zone),
        start_utc=NOW,
        step_s=HOUR_S,
        intensity_g_per_kwh=middle,
        low_g_per_kwh=middle * (1 - band) if band else None,
        high_g_per_kwh=middle * (1 + band) if band else None,
        frame=frame,
        kind="forecast",
        source="invented",
        issued_at=NOW,
    )


def candidate(values: list[float], *, region: str = LOCAL, pue: float = 1.0, **more: float) -> Candidate:
    return Candidate(RegionId(region), ZoneId("DE"), series(values), power_w=1000.0, pue=pue, **more)  # type: ignore[arg-type]


def problem(*candidates: Candidate, hours: float = 2, deadline_h: float = 6, **more: object) -> PlanProblem:
    first = candidates[0]
    return PlanProblem(
        earliest_utc=NOW,
        deadline_utc=NOW + timedelta(hours=deadline_h),
        duration_s=hours * HOUR_S,
        candidates=candidates,
        baseline=more.pop("baseline", first),  # type: ignore[arg-type]
        **more,  # type: ignore[arg-type]
    )


def planned(answer: Plan | NoPlan) -> Plan:
    assert isinstance(answer, Plan)
    return answer


def test_the_cheapest_window_and_its_figures() -> None:
    plan = planned(solve(problem(candidate([400, 300, 200, 100, 100, 300]))))
    assert (plan.start_utc - NOW, plan.end_utc - NOW) == (timedelta(hours=3), timedelta(hours=5))
    assert plan.energy_kwh == pytest.approx(2.0)
    assert plan.emissions_g == pytest.approx(200.0)
    assert plan.baseline_g == pytest.approx(700.0)
    assert plan.saved_pct == pytest.approx(100 * 500 / 700)
    assert plan.bound_g == plan.emissions_g
    assert plan.exact
    assert plan.chance_worse is None, "a forecast without a band cannot tell"


def test_pue_enters_once_in_plan_and_baseline() -> None:
    plan = planned(solve(problem(candidate([400, 100, 100], pue=1.5), hours=1, deadline_h=3)))
    assert plan.energy_kwh == pytest.approx(1.0), "energy is IT energy"
    assert plan.emissions_g == pytest.approx(150.0)
    assert plan.baseline_g == pytest.approx(600.0)


def test_a_clean_place_wins_unless_bringing_the_data_costs_more() -> None:
    home, north = candidate([300] * 6), candidate([50] * 6, region="aws:eu-north-1")
    assert planned(solve(problem(home, north))).segments[0].region == "aws:eu-north-1"
    heavy = replace(north, transfer_g=501.0)
    assert planned(solve(problem(home, heavy))).segments[0].region == LOCAL


def test_order_of_candidates_is_irrelevant() -> None:
    places = [candidate([300, 200, 250], region=f"aws:r{i}", pue=1 + i / 10) for i in range(4)]
    one = planned(solve(problem(*places, hours=1, deadline_h=3, baseline=None)))
    other = planned(solve(problem(*reversed(places), hours=1, deadline_h=3, baseline=None)))
    assert one == other


def test_no_baseline_has_a_reason_and_no_saving() -> None:
    plan = planned(solve(problem(candidate([300] * 6), baseline=None, no_baseline_why="home has no H100")))
    assert plan.baseline_g is None
    assert plan.saved_pct is None
    assert plan.no_baseline_why == "home has no H100"
    assert plan.at_once_g == pytest.approx(600.0)


def test_the_end_of_the_forecast_is_marked() -> None:
    falling = candidate([500, 400, 300, 200])
    assert planned(solve(problem(falling, deadline_h=9))).forecast_edge
    assert planned(solve(problem(falling, deadline_h=4))).forecast_edge, "it is still the last of the forecast"
    assert not planned(solve(problem(falling, deadline_h=3))).forecast_edge, "the deadline binds, not the forecast"
    assert not planned(solve(problem(candidate([500, 100, 100, 200]), deadline_h=9))).forecast_edge


def test_only_what_is_known_without_a_gap_is_used() -> None:
    plan = planned(solve(problem(candidate([400, 300, float("nan"), 1, 1, 1]))))
    assert plan.end_utc == NOW + timedelta(hours=2)
    assert plan.forecast.known_until_utc == NOW + timedelta(hours=2)
    assert plan.forecast_edge


def test_a_window_over_a_gap_is_refused_by_the_solver_itself() -> None:
    with pytest.raises(InputError, match="no value") as caught:
        best_window(StepSeries(0.0, 60.0, np.array([1.0, np.nan, 1.0])), 0.0, 180.0, 60.0)
    assert caught.value.facts["short_by_s"] == 120.0


def test_not_fitting_is_an_answer_with_reasons() -> None:
    answer = solve(problem(candidate([300, 300]), hours=3, deadline_h=9))
    assert isinstance(answer, NoPlan)
    assert answer.misfits[0].limit == "forecast"
    assert answer.misfits[0].short_by_s == pytest.approx(HOUR_S)
    with pytest.raises(InfeasibleError, match="known only until"):
        require_plan(answer, problem(candidate([300, 300])))


@pytest.mark.parametrize(("price", "why"), [(50.0, "costs \\$100.00"), (None, "no price is known")])
def test_a_price_limit_excludes(price: float | None, why: str) -> None:
    limited = problem(replace(candidate([300] * 6), price_usd_per_h=price), max_price_usd=80.0)
    with pytest.raises(InfeasibleError, match=why):
        require_plan(solve(limited), limited)


def test_price_is_for_the_whole_run() -> None:
    plan = planned(solve(problem(replace(candidate([300] * 6), price_usd_per_h=7.5))))
    assert plan.price_usd == pytest.approx(15.0)


def test_a_wide_band_makes_a_small_gain_doubtful() -> None:
    def with_band(band: float) -> Plan:
        place = replace(candidate([1]), series=series([300, 300, 280, 280, 300, 300], band=band))
        return planned(solve(problem(place)))

    sure, doubtful = with_band(0.01), with_band(0.5)
    assert sure.chance_worse is not None
    assert doubtful.chance_worse is not None
    assert 0.0 < sure.chance_worse < 0.05
    assert 0.3 < doubtful.chance_worse < 0.5
    assert doubtful.emissions_low_g == pytest.approx(280.0)
    assert doubtful.emissions_high_g == pytest.approx(840.0)


def test_running_at_once_is_never_worse_than_running_at_once() -> None:
    place = replace(candidate([1]), series=series([100, 200, 300, 300], band=0.3))
    assert planned(solve(problem(place, deadline_h=4))).chance_worse == 0.0


def test_a_pausable_job_takes_the_cheap_steps() -> None:
    plan = planned(solve(problem(candidate([100, 400, 100, 400, 300, 400]), manner=Manner(pausing=Pausing()))))
    assert [(s.start_utc - NOW, s.end_utc - NOW) for s in plan.segments] == [
        (timedelta(hours=0), timedelta(hours=1)),
        (timedelta(hours=2), timedelta(hours=3)),
    ]
    assert plan.emissions_g == pytest.approx(200.0)


def test_frames_are_never_mixed() -> None:
    direct = replace(candidate([300]), series=series([100] * 6, frame=Frame("average", "direct", "consumption")))
    with pytest.raises(InputError, match="different frames"):
        solve(problem(candidate([300] * 6), direct))


@pytest.mark.parametrize(
    ("field", "value"), [("power_w", 0.0), ("power_w", float("nan")), ("pue", 0.9), ("transfer_g", -1.0)]
)
def test_impossible_figures_are_refused(field: str, value: float) -> None:
    with pytest.raises(InputError, match="cannot be"):
        solve(problem(replace(candidate([300] * 6), **{field: value})))


def test_the_duration_must_be_positive() -> None:
    with pytest.raises(InputError, match="duration"):
        solve(replace(problem(candidate([300] * 6)), duration_s=0.0))


def test_daylight_saving_is_irrelevant() -> None:
    """The hours around the change are hours like others: everything is UTC."""
    change = datetime(2026, 3, 29, 0, tzinfo=UTC)
    values = [300.0, 100.0, 90.0, 300.0]
    place = replace(candidate([1]), series=replace(series(values), start_utc=change))
    plan = planned(
        solve(replace(problem(place, hours=2), earliest_utc=change, deadline_utc=change + timedelta(hours=4)))
    )
    assert plan.start_utc == change + timedelta(hours=1)
    assert plan.emissions_g == pytest.approx(190.0)


def test_the_guard_keeps_to_the_price_limit() -> None:
    """At once it would run at the base width, which costs more than the narrower one that is planned."""
    table = WidthTable((1, 2), (1.0, 1.5), (500.0, 760.0), base=2, fixed=True)
    place = replace(candidate([1]), series=series([300.0] * 6, band=0.5), price_usd_per_h=5.0)
    limited = problem(
        place,
        hours=2,
        deadline_h=6,
        manner=Manner(widths=table),
        max_price_usd=8.0,
        judgement=Judgement(least_errors=9.0),
    )
    plan = planned(solve(limited))
    assert plan.price_usd is not None
    assert plan.price_usd <= 8.0


def test_the_bound_of_a_moving_job_is_on_what_is_emitted() -> None:
    here, there = [100.0, 10.0, 100.0, 10.0], [10.0, 100.0, 10.0, 100.0]
    places = (
        replace(candidate(here, region="aws:a"), price_usd_per_h=1.0),
        replace(candidate(there, region="aws:b"), price_usd_per_h=9.0),
    )
    free = Moves(np.zeros((2, 2)), np.zeros((2, 2)), np.zeros((2, 2)))
    manner = Manner(pausing=Pausing())
    asked = problem(*places, hours=4, deadline_h=4, manner=manner, moves=free)
    dear = Judgement(carbon_price_usd_per_t=1.0)
    weighed = planned(solve(replace(asked, judgement=dear)))
    assert planned(solve(asked)).emissions_g == pytest.approx(40.0)
    assert weighed.emissions_g == pytest.approx(220.0), "moving would cost dollars, and a tonne counts for one"
    assert weighed.bound_g == pytest.approx(40.0)
    assert weighed.exact


def test_an_old_plan_that_breaks_a_limit_is_not_kept() -> None:
    asked = problem(
        candidate([10, 300, 10, 300, 10, 300]), hours=3, deadline_h=6, manner=Manner(pausing=Pausing(max_pauses=1))
    )
    hours = [Segment(NOW + timedelta(hours=h), NOW + timedelta(hours=h + 1), LOCAL, ZoneId("DE")) for h in (0, 2, 4)]
    assert keep(asked, hours) is None
    freer = replace(asked, manner=Manner(pausing=Pausing(max_pauses=2)))
    assert keep(freer, hours) is not None
    short = [*hours[:2], replace(hours[2], end_utc=hours[2].end_utc - timedelta(seconds=0.9))]
    assert keep(freer, short) is None, "it would do less than the job"


def test_each_freedom_brings_what_it_brings() -> None:
    """By hand: home is flat, so time brings nothing there; the other place is cheaper by 100, and later by 100 more."""
    home, other = candidate([300] * 4), candidate([200, 100, 200, 200], region="aws:b")
    asked = problem(home, other, hours=1, deadline_h=4, baseline=home)
    told = explain(asked, planned(solve(asked)))
    assert told.saved_g == {"time": pytest.approx(50.0), "place": pytest.approx(150.0)}
    without_home = replace(asked, baseline=None)
    told = explain(without_home, planned(solve(without_home)))
    assert told.saved_g == {"time": pytest.approx(100.0)}, "there is no home to be freed from"


def test_the_same_series_read_twice_is_one_forecast() -> None:
    """What a snapshot holds decides, not which object it stands in."""
    values = [300.0, 300.0, 280.0, 280.0, 300.0]
    one = replace(candidate([1]), series=series(values, band=0.4))
    twin = replace(one, series=series(values, band=0.4))
    same = planned(solve(problem(one, deadline_h=5, baseline=one)))
    read_again = planned(solve(problem(one, deadline_h=5, baseline=twin)))
    assert same.chance_worse == read_again.chance_worse
