"""What is promised to others: where it blocks a job, what the planner says of it, and when it is the limit."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from lowtide.assembly.promises import ALWAYS, blocked_at_home
from lowtide.jobs.manner import Judgement, Manner, Pausing
from lowtide.jobs.promises import HomeLimits, Promise
from lowtide.jobs.widths import WidthTable
from lowtide.planning.explain import explain
from lowtide.planning.gaps import free_spans, overlaps
from lowtide.planning.solve import require_plan, solve
from lowtide.planning.types import Candidate, Misfit, Moves, NoPlan, Plan, PlanProblem
from lowtide_core.errors import InfeasibleError, InputError
from lowtide_core.places import LOCAL, RegionId, ZoneId
from lowtide_core.series import LIFECYCLE_CONSUMPTION, SignalSeries

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR_S = 3600.0


def at(hours: float) -> float:
    return NOW.timestamp() + hours * HOUR_S


def promise(job: str, start_h: float, end_h: float, power_w: float = 100.0) -> Promise:
    return Promise(job, NOW + timedelta(hours=start_h), NOW + timedelta(hours=end_h), power_w)


def in_hours(spans: tuple[tuple[float, float], ...]) -> list[tuple[float, float]]:
    return [((start_s - at(0)) / HOUR_S, (end_s - at(0)) / HOUR_S) for start_s, end_s in spans]


def problem(
    values: list[float], *spans_h: tuple[float, float], hours: float = 2, band: float = 0.0, **more: object
) -> PlanProblem:
    row = np.array(values)
    series = SignalSeries(
        ZoneId("DE"), NOW, HOUR_S, row, LIFECYCLE_CONSUMPTION, "forecast", "invented",
        low_g_per_kwh=row * (1 - band) if band else None, high_g_per_kwh=row * (1 + band) if band else None,
    )  # fmt: skip
    blocked = tuple((at(start_h), at(end_h)) for start_h, end_h in spans_h)
    home = Candidate(LOCAL, ZoneId("DE"), series, 1000.0, 1.0, blocked=blocked, blocked_by="2 jobs are promised")
    deadline_h = more.pop("deadline_h", len(values))
    return PlanProblem(NOW, NOW + timedelta(hours=deadline_h), hours * HOUR_S, (home,), home, **more)  # type: ignore[arg-type]


def planned(answer: Plan | NoPlan) -> Plan:
    assert isinstance(answer, Plan)
    return answer


def misfit_of(answer: Plan | NoPlan) -> Misfit:
    assert isinstance(answer, NoPlan)
    return answer.misfits[0]


def hours_of(plan: Plan) -> list[tuple[float, float]]:
    return in_hours(tuple((one.start_utc.timestamp(), one.end_utc.timestamp()) for one in plan.segments))


def test_home_is_full_where_as_many_jobs_as_may_run_are_promised() -> None:
    promised = [promise("a", 0, 3), promise("b", 2, 5), promise("c", 5, 6), promise("c", 8, 9)]
    one, two = (blocked_at_home(promised, HomeLimits(jobs=count), 100.0) for count in (1, 2))
    assert in_hours(one.spans) == [(0, 6), (8, 9)], "what touches is one span"
    assert in_hours(two.spans) == [(2, 3)]
    assert one.why == "3 jobs are promised"
    assert blocked_at_home(promised, HomeLimits(jobs=3), 100.0).spans == ()
    assert blocked_at_home(promised[:1], HomeLimits(jobs=1), 100.0).why == "1 job is promised"


def test_home_is_full_where_the_power_would_be_too_much() -> None:
    promised = [promise("a", 0, 3, 300.0), promise("b", 2, 5, 600.0)]
    limits = HomeLimits(power_w=1000.0)
    assert in_hours(blocked_at_home(promised, limits, 100.0).spans) == []
    assert in_hours(blocked_at_home(promised, limits, 101.0).spans) == [(2, 3)]
    assert in_hours(blocked_at_home(promised, limits, 500.0).spans) == [(2, 5)]
    assert blocked_at_home((), limits, 1000.0).spans == ()
    alone = blocked_at_home((), limits, 1000.1)
    assert alone.spans == ALWAYS
    assert "1000.1 W" in alone.why


def test_what_is_free_between_blocked_spans() -> None:
    assert free_spans(((2.0, 3.0), (5.0, 9.0)), 0.0, 7.0) == ((0.0, 2.0), (3.0, 5.0))
    assert free_spans(((-5.0, 1.0), (1.0 + 1e-9, 2.0)), 0.0, 4.0) == ((2.0, 4.0),)
    assert free_spans(ALWAYS, 0.0, 7.0) == ()
    assert overlaps(((2.0, 3.0),), 2.9, 4.0)
    assert not overlaps(((2.0, 3.0),), 3.0, 4.0)


def test_the_next_cheapest_window_where_the_cheapest_is_promised() -> None:
    values = [400.0, 300, 200, 100, 100, 300]
    plan = planned(solve(problem(values, (4, 5))))
    assert hours_of(plan) == [(2, 4)]
    assert plan.emissions_g == pytest.approx(300.0)
    assert (plan.at_once_g, plan.baseline_g) == (pytest.approx(700.0), pytest.approx(700.0))
    assert explain(problem(values, (4, 5)), plan).binding[0].limit == "home capacity"
    assert explain(problem(values, (4, 5)), plan).binding[0].gain_g == pytest.approx(100.0)


def test_of_equal_gaps_the_first_is_taken() -> None:
    shifted = problem([300.1] * 12, (0, 1.3), (3.7, 4.1), (8.9, 9.3))
    assert hours_of(planned(solve(shifted))) == [(pytest.approx(1.3), pytest.approx(3.3))]


def test_at_once_is_as_if_alone_even_where_it_is_blocked() -> None:
    plan = planned(solve(problem([100.0, 200, 300], (0, 1))))
    assert plan.at_once_g == pytest.approx(300.0)
    assert plan.saved_pct == pytest.approx(100 * (300 - 500) / 300), "waiting for room may cost more than at once"


def test_the_guard_takes_the_first_start_that_is_free() -> None:
    guarded = Judgement(least_errors=1.0)
    values = [301.0, 301, 301, 300, 300, 300]
    assert hours_of(planned(solve(problem(values, band=0.3, judgement=guarded)))) == [(0, 2)]
    plan = planned(solve(problem(values, (0.5, 1), band=0.3, judgement=guarded)))
    assert hours_of(plan) == [(1, 3)]
    assert plan.held_back_g == pytest.approx(2.0)


def test_no_room_says_who_was_there_first_and_how_much_is_missing() -> None:
    answer = solve(problem([100.0] * 8, (1, 3), (4, 9), deadline_h=6))
    misfit = misfit_of(answer)
    assert (misfit.limit, misfit.short_by_s) == ("capacity", 5 * HOUR_S), "from 9 to 11, and the deadline is at 6"
    assert "2 jobs are promised" in misfit.why
    with pytest.raises(InfeasibleError) as caught:
        require_plan(answer, problem([100.0] * 8))
    assert caught.value.facts["short_by_s"] == 5 * HOUR_S
    assert "home_jobs" in caught.value.hint
    paused = misfit_of(solve(problem([100.0] * 8, (1, 5), (5.5, 9), deadline_h=6, manner=Manner(pausing=Pausing()))))
    assert paused.short_by_s == pytest.approx(3.5 * HOUR_S), "1 h, half an hour, and half an hour from 9 on"


def test_a_job_that_can_never_run_is_short_of_nothing() -> None:
    never = problem([100.0] * 6)
    never = replace(never, candidates=(replace(never.candidates[0], blocked=ALWAYS),))
    misfit = misfit_of(solve(never))
    assert (misfit.limit, misfit.short_by_s) == ("capacity", 0.0)


def test_room_beyond_what_is_known_is_the_forecasts_limit() -> None:
    misfit = misfit_of(solve(problem([100.0] * 4, (1, 5), deadline_h=9)))
    assert (misfit.limit, misfit.short_by_s) == ("forecast", 3 * HOUR_S)


def test_pauses_that_cost_something_stay_out_of_blocked_steps() -> None:
    values = [50.0, 100, 400, 60, 90, 300]
    costly = Manner(pausing=Pausing(restart_kwh=0.2))
    free = planned(solve(problem(values, (3, 4), hours=3, manner=costly)))
    assert hours_of(free) == [(0, 2), (4, 5)]
    assert free.emissions_g == pytest.approx(50 + 100 + 90 + 0.2 * 90)
    assert free.exact


def test_blocks_at_odd_seconds_are_avoided_and_bounded() -> None:
    values = [50.0, 100, 400, 60, 90, 300]
    costly = Manner(pausing=Pausing(restart_kwh=0.2))
    odd = problem(values, (3.01, 3.4567), hours=3, manner=costly)
    plan = planned(solve(odd))
    assert not any(overlaps(odd.candidates[0].blocked, at(start), at(end)) for start, end in hours_of(plan))
    assert plan.bound_g <= plan.emissions_g
    # what a part of a twelfth of an hour can be worth, at most: three edges, dear to cheap
    assert plan.emissions_g - plan.bound_g <= 3 * (400 - 50) / 12


def test_a_block_that_begins_before_the_job_may_start_costs_no_exactness() -> None:
    manner = Manner(pausing=Pausing(restart_kwh=0.2))
    plan = planned(solve(problem([50.0, 100, 400, 60], (-1, 0.2345), hours=1.5, manner=manner)))
    assert plan.exact
    assert hours_of(plan)[0][0] >= 0.2345 - 1e-9


def test_whole_steps_of_widths_stay_whole() -> None:
    table = WidthTable((1, 2), (1.0, 1.8), (100.0, 220.0), base=1, whole_steps=True)
    plan = planned(solve(problem([50.0, 400, 60, 300], (2, 2.5), hours=2, manner=Manner(widths=table))))
    assert all(start == int(start) for start, _ in hours_of(plan)), "half a step is none"
    assert not any(start < 2.5 and end > 2 for start, end in hours_of(plan))
    assert plan.bound_g <= plan.emissions_g


def test_what_cannot_be_planned_around_promises_is_refused() -> None:
    unordered = problem([100.0] * 6)
    unordered = replace(unordered, candidates=(replace(unordered.candidates[0], blocked=((2.0, 3.0), (1.0, 2.0))),))
    with pytest.raises(InputError, match="not in order"):
        solve(unordered)
    full = problem([100.0] * 6, (0, 1), manner=Manner(pausing=Pausing()))
    away = replace(full.candidates[0], region=RegionId("aws:r"), blocked=())
    moving = replace(full, candidates=(*full.candidates, away), moves=Moves(*(np.zeros((2, 2)) for _ in range(3))))
    with pytest.raises(InputError, match="moves"):
        solve(moving)
