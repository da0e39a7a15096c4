"""The planner as a whole against plain enumeration: every set of hours, at every place, counted by hand."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import combinations
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lowtide.jobs.durations import DurationGuess
from lowtide.jobs.manner import Judgement, Manner, Pausing
from lowtide.jobs.widths import WidthTable
from lowtide.planning.explain import explain, freedoms
from lowtide.planning.replan import replan
from lowtide.planning.solve import solve
from lowtide.planning.types import Candidate, Moves, NoPlan, Plan, PlanProblem
from lowtide_core.places import RegionId, ZoneId
from lowtide_core.series import LIFECYCLE_CONSUMPTION, SignalSeries

EXAMPLES = int(os.environ.get("LOWTIDE_EXAMPLES", "150"))
FEWER = max(30, EXAMPLES // 5)
"""Of the tests whose examples solve many problems each."""
NOW = datetime(2026, 3, 1, tzinfo=UTC)
HOUR_S = 3600.0


class Case(NamedTuple):
    """Whole hours and whole numbers, so that the enumeration is exact."""

    intensity: list[list[int]]
    pue: list[float]
    transfer_g: list[int]
    usd_per_h: list[int]
    hours: int
    manner: Manner


@st.composite
def cases(draw: st.DrawFn, *, most_places: int = 3, pausing: bool | None = None) -> Case:
    places = draw(st.integers(1, most_places))
    steps = draw(st.integers(2, 7))
    hours = draw(st.integers(1, min(4, steps)))
    pauses = draw(st.booleans()) if pausing is None else pausing
    course: tuple[tuple[float, float], ...] = ()
    if hours > 1 and draw(st.booleans()):
        powers = draw(st.lists(st.integers(1, 5), min_size=hours, max_size=hours))
        course = tuple((1 / hours, power * hours / sum(powers)) for power in powers)
    manner = Manner(
        pausing=Pausing(
            restart_kwh=draw(st.sampled_from([0.0, 0.25, 1.0])),
            max_pauses=draw(st.sampled_from([None, 0, 1, 2])),
            min_run_s=draw(st.sampled_from([0.0, HOUR_S, 2 * HOUR_S])),
        )
        if pauses
        else None,
        setup_kwh=draw(st.sampled_from([0.0, 0.5])),
        teardown_kwh=draw(st.sampled_from([0.0, 0.5])),
        course=course,
    )
    rows = st.lists(st.integers(0, 500), min_size=steps, max_size=steps)
    return Case(
        [draw(rows) for _ in range(places)],
        [draw(st.sampled_from([1.0, 1.5])) for _ in range(places)],
        [draw(st.integers(0, 300)) for _ in range(places)],
        [draw(st.integers(0, 9)) for _ in range(places)],
        hours,
        manner,
    )


def problem_of(case: Case, **more: object) -> PlanProblem:
    """The same question for the planner; home is the first place."""
    steps = len(case.intensity[0])
    candidates = tuple(
        Candidate(
            RegionId(f"aws:r{place}"),
            ZoneId(f"Z{place}"),
            SignalSeries(
                ZoneId(f"Z{place}"), NOW, HOUR_S, np.array(row, float), LIFECYCLE_CONSUMPTION, "forecast", "invented"
            ),
            power_w=1000.0,
            pue=case.pue[place],
            transfer_g=float(case.transfer_g[place]),
            price_usd_per_h=float(case.usd_per_h[place]),
        )
        for place, row in enumerate(case.intensity)
    )
    problem = PlanProblem(
        NOW, NOW + timedelta(hours=steps), case.hours * HOUR_S, candidates, candidates[0], manner=case.manner
    )
    return replace(problem, **more)  # type: ignore[arg-type]


def runs_of(hours: tuple[int, ...]) -> list[list[int]]:
    runs: list[list[int]] = []
    for hour in hours:
        if runs and runs[-1][-1] == hour - 1:
            runs[-1].append(hour)
        else:
            runs.append([hour])
    return runs


def counted_g(case: Case, place: int, hours: tuple[int, ...]) -> float | None:
    """Emissions of running in these hours, by the words of the manner; None where they break one of its limits."""
    manner, runs = case.manner, runs_of(hours)
    if manner.pausing is None and len(runs) > 1:
        return None
    if manner.pausing is not None:
        most, least_s = manner.pausing.max_pauses, manner.pausing.min_run_s
        if most is not None and len(runs) - 1 > most:
            return None
        if len(runs) > 1 and any(len(run) * HOUR_S < least_s for run in runs):
            return None
    row = case.intensity[place]
    power = [relative for _, relative in manner.course] or [1.0] * case.hours
    total = sum(power[done] * row[hour] for done, hour in enumerate(hours))
    total += manner.setup_kwh * row[hours[0]] + manner.teardown_kwh * row[hours[-1]]
    if manner.pausing is not None:
        total += sum(manner.pausing.restart_kwh * row[run[0]] for run in runs[1:])
    return total * case.pue[place] + case.transfer_g[place]


def least_g(case: Case, places: list[int]) -> float:
    every = (
        counted_g(case, place, hours)
        for place in places
        for hours in combinations(range(len(case.intensity[0])), case.hours)
    )
    return min(grams for grams in every if grams is not None)


def planned(answer: Plan | NoPlan) -> Plan:
    assert isinstance(answer, Plan)
    return answer


@settings(max_examples=EXAMPLES, deadline=None)
@given(cases())
def test_the_plan_is_the_least_of_all(case: Case) -> None:
    plan = planned(solve(problem_of(case)))
    least = least_g(case, list(range(len(case.intensity))))
    assert plan.emissions_g == pytest.approx(least, rel=1e-9, abs=1e-9)
    assert plan.bound_g == pytest.approx(least, rel=1e-9, abs=1e-9)
    assert plan.exact
    assert sum(plan.energy_of(segment) for segment in plan.segments) == pytest.approx(plan.energy_kwh)


@settings(max_examples=EXAMPLES, deadline=None)
@given(cases(), st.integers(1, 30))
def test_a_price_limit_leaves_the_least_of_what_can_be_paid(case: Case, limit_usd: int) -> None:
    affordable = [place for place, usd in enumerate(case.usd_per_h) if usd * case.hours <= limit_usd]
    answer = solve(problem_of(case, max_price_usd=float(limit_usd)))
    if not affordable:
        assert isinstance(answer, NoPlan)
        assert {misfit.limit for misfit in answer.misfits} == {"price"}
        return
    assert planned(answer).emissions_g == pytest.approx(least_g(case, affordable), rel=1e-9, abs=1e-9)


@settings(max_examples=EXAMPLES, deadline=None)
@given(cases(), st.sampled_from([50.0, 5_000.0, 500_000.0]))
def test_a_carbon_price_adds_money_and_emissions(case: Case, usd_per_t: float) -> None:
    plan = planned(solve(problem_of(case, judgement=Judgement(carbon_price_usd_per_t=usd_per_t))))
    scores = [
        least_g(case, [place]) * usd_per_t / 1e6 + case.usd_per_h[place] * case.hours
        for place in range(len(case.intensity))
    ]
    assert plan.price_usd is not None
    assert plan.emissions_g * usd_per_t / 1e6 + plan.price_usd == pytest.approx(min(scores), rel=1e-9, abs=1e-9)


@settings(max_examples=FEWER, deadline=None)
@given(cases())
def test_the_parts_of_a_saving_add_up(case: Case) -> None:
    problem = problem_of(case)
    plan = planned(solve(problem))
    told = explain(problem, plan)
    assert told.against_g == pytest.approx(plan.baseline_g)
    assert list(told.saved_g) == freedoms(problem)
    assert plan.baseline_g is not None
    total = plan.baseline_g - plan.emissions_g
    assert sum(told.saved_g.values()) == pytest.approx(total, rel=1e-9, abs=1e-6)
    assert all(binding.gain_g > 0 for binding in told.binding)


@settings(max_examples=FEWER, deadline=None)
@given(cases(), st.integers(1, 3))
def test_more_freedom_never_costs_more(case: Case, less: int) -> None:
    problem = problem_of(case)
    free = planned(solve(problem)).emissions_g
    earlier = solve(replace(problem, deadline_utc=problem.deadline_utc - timedelta(hours=less)))
    if isinstance(earlier, Plan):
        assert free <= earlier.emissions_g + 1e-9
    assert free <= planned(solve(replace(problem, candidates=problem.candidates[:1]))).emissions_g + 1e-9
    uninterrupted = replace(problem, manner=replace(problem.manner, pausing=None))
    if problem.manner.pausing is not None:
        assert free <= planned(solve(uninterrupted)).emissions_g + 1e-9


@settings(max_examples=FEWER, deadline=None)
@given(cases(), st.integers(2, 9), st.integers(1, 72))
def test_scaling_and_shifting(case: Case, factor: int, hours: int) -> None:
    problem = problem_of(case)
    plan = planned(solve(problem))
    scaled = case._replace(
        intensity=[[factor * value for value in row] for row in case.intensity],
        transfer_g=[factor * grams for grams in case.transfer_g],
    )
    assert planned(solve(problem_of(scaled))).emissions_g == pytest.approx(factor * plan.emissions_g)
    away = timedelta(hours=hours)
    shifted = replace(
        problem,
        earliest_utc=NOW + away,
        deadline_utc=problem.deadline_utc + away,
        candidates=tuple(replace(one, series=replace(one.series, start_utc=NOW + away)) for one in problem.candidates),
        baseline=None,
    )
    moved = planned(solve(shifted))
    assert [segment.start_utc - away for segment in moved.segments] == [segment.start_utc for segment in plan.segments]


@settings(max_examples=FEWER, deadline=None)
@given(cases(most_places=2), cases(most_places=1), st.data())
def test_a_new_plan_is_never_worse_than_the_old_one_kept(case: Case, other: Case, data: st.DataObject) -> None:
    old = planned(solve(problem_of(case)))
    steps = len(case.intensity[0])
    rows = st.lists(st.integers(0, 500), min_size=steps, max_size=steps)
    now_known = case._replace(intensity=[data.draw(rows) for _ in case.intensity])
    problem = problem_of(now_known)
    new = planned(replan(problem, old.segments))
    place = int(old.segments[0].region.removeprefix("aws:r"))
    hours = tuple(
        hour
        for segment in old.segments
        for hour in range(
            round((segment.start_utc - NOW).total_seconds() / HOUR_S),
            round((segment.end_utc - NOW).total_seconds() / HOUR_S),
        )
    )
    kept_g = counted_g(now_known, place, hours)
    assert kept_g is not None
    assert new.emissions_g <= kept_g * (1 + 1e-9) + 1e-9
    assert new.emissions_g == pytest.approx(least_g(now_known, list(range(len(case.intensity)))), rel=1e-6, abs=1e-6)


@settings(max_examples=EXAMPLES, deadline=None)
@given(cases(most_places=1, pausing=True), st.data())
def test_the_rest_of_a_running_job(case: Case, data: st.DataObject) -> None:
    """So much is done, and it runs: going on costs nothing, a pause costs its restart."""
    case = case._replace(
        manner=replace(case.manner, setup_kwh=0.0, pausing=replace(case.manner.pausing, min_run_s=0.0))
    )  # type: ignore[type-var]
    done = data.draw(st.integers(0, case.hours - 1))
    steps, left = len(case.intensity[0]), case.hours - done
    problem = problem_of(case, done_s=done * HOUR_S, running=True)
    row, pausing = case.intensity[0], case.manner.pausing
    assert pausing is not None
    power = [relative for _, relative in case.manner.course] or [1.0] * case.hours
    costs = []
    for hours in combinations(range(steps), left):
        runs = runs_of(hours)
        pauses = len(runs) - (hours[0] == 0)
        if pausing.max_pauses is not None and pauses > pausing.max_pauses:
            continue
        grams = sum(power[done + count] * row[hour] for count, hour in enumerate(hours))
        grams += case.manner.teardown_kwh * row[hours[-1]]
        grams += sum(pausing.restart_kwh * row[run[0]] for run in runs if run[0] != 0)
        costs.append(grams * case.pue[0] + case.transfer_g[0])
    assert planned(solve(problem)).emissions_g == pytest.approx(min(costs), rel=1e-9, abs=1e-9)


PAUSES_FOR_NEXT_TO_NOTHING = Case(
    [[0, 0, 21, 17, 17, 17], [8, 13, 10, 11, 10, 0]], [1.5, 1.5], [0, 0], [0, 0], 3,
    Manner(pausing=Pausing(restart_kwh=0.25)),
)  # fmt: skip


@settings(max_examples=FEWER, deadline=None)
@given(cases(most_places=3, pausing=True), st.integers(0, 400), st.sampled_from([0.0, HOUR_S]))
@example(PAUSES_FOR_NEXT_TO_NOTHING, 30, 0.0)  # going on in the same place takes its share of the cooling too
def test_moving_pays_only_where_it_brings_more_than_it_costs(case: Case, move_g: int, takes_s: float) -> None:
    restart_kwh = case.manner.pausing.restart_kwh if case.manner.pausing else 0.0
    case = case._replace(manner=Manner(pausing=Pausing(restart_kwh=restart_kwh)))
    count, steps = len(case.intensity), len(case.intensity[0])
    table = np.full((count, count), float(move_g))
    np.fill_diagonal(table, 0.0)
    moves = Moves(table, np.zeros((count, count)), np.where(table > 0, takes_s, 0.0))
    delay = int(takes_s // HOUR_S) if move_g else 0

    def routes(hour: int, left: int, at: int | None, since: int, grams: float) -> list[float]:
        if left == 0:
            return [grams]
        if hour == steps:
            return []
        found = routes(hour + 1, left, at, since, grams)
        for place in range(count):
            cost = case.intensity[place][hour] * case.pue[place]
            if at is None:
                cost += case.transfer_g[place]
            elif place == at and since < hour:
                cost += restart_kwh * case.intensity[place][hour] * case.pue[place]
            elif place != at:
                if hour - since < delay:
                    continue
                cost += move_g + restart_kwh * case.intensity[place][hour] * case.pue[place]
            found += routes(hour + 1, left - 1, place, hour + 1, grams + cost)
        return found

    plan = planned(solve(problem_of(case, moves=moves)))
    if plan.exact:
        assert plan.emissions_g == pytest.approx(min(routes(0, case.hours, None, 0, 0.0)), rel=1e-9, abs=1e-9)
    else:
        assert plan.bound_g <= min(routes(0, case.hours, None, 0, 0.0)) * (1 + 1e-9) + 1e-9
    if len({segment.region for segment in plan.segments}) > 1:
        staying = planned(solve(problem_of(case)))
        assert plan.emissions_g < staying.emissions_g


@settings(max_examples=EXAMPLES, deadline=None)
@given(
    st.lists(st.integers(1, 500), min_size=8, max_size=11),
    st.lists(st.integers(1, 4), min_size=1, max_size=4),
    st.sampled_from([0.5, 0.75, 1.0]),
    st.integers(4, 7),
    st.booleans(),
)
def test_unknown_durations_are_expectations(
    row: list[int], lengths: list[int], keep: float, deadline: int, pausable: bool
) -> None:
    """Against the mean over the durations of what each would emit: booked hours, and after them it runs on."""
    guess = DurationGuess(min(lengths) * HOUR_S, max(lengths) * HOUR_S, tuple(h * HOUR_S for h in lengths), keep)
    manner = Manner(pausing=Pausing() if pausable else None, guess=guess)
    booked = sorted(lengths)[max(1, int(np.ceil(keep * len(lengths) - 1e-9))) - 1]
    case = Case([row], [1.0], [0], [0], booked, Manner(pausing=manner.pausing))
    problem = problem_of(case, manner=manner, duration_s=guess.mean_s, deadline_utc=NOW + timedelta(hours=deadline))
    expected = []
    for hours in combinations(range(deadline), booked):
        tail = [hours[-1] + 1 + more for more in range(max(lengths) - booked)]
        if counted_g(case, 0, hours) is None or (tail and tail[-1] >= len(row)):
            continue
        run_on = [*hours, *tail]
        expected.append(float(np.mean([sum(row[hour] for hour in run_on[:length]) for length in lengths])))
    plan = planned(solve(problem))
    assert plan.energy_kwh == pytest.approx(np.mean(lengths))
    assert plan.bound_g <= min(expected) * (1 + 1e-9)
    if plan.exact:
        assert plan.emissions_g == pytest.approx(min(expected), rel=1e-9)
    assert plan.exact or (pausable and booked < max(lengths))


@settings(max_examples=EXAMPLES, deadline=None)
@given(
    st.lists(st.integers(1, 500), min_size=3, max_size=5),
    st.lists(st.tuples(st.integers(1, 4), st.integers(1, 5)), min_size=1, max_size=3),
    st.integers(1, 3),
)
def test_a_fixed_width_is_the_best_of_all_widths(row: list[int], steps: list[tuple[int, int]], hours: int) -> None:
    throughput = np.cumsum([up for up, _ in steps]).tolist()
    power_w = np.cumsum([100.0 * more for _, more in steps]).tolist()
    table = WidthTable(tuple(range(1, len(steps) + 1)), tuple(throughput), tuple(power_w), base=1, fixed=True)
    case = Case([row], [1.0], [0], [0], hours, Manner(widths=table))
    answer = solve(problem_of(case))
    costs = []
    for speed, watts in zip(throughput, power_w, strict=True):
        minutes = round(60 * hours * throughput[0] / speed, 9)
        starts = {0.0, 60.0 * len(row) - minutes}
        starts |= {60.0 * edge for edge in range(len(row))} | {60.0 * edge - minutes for edge in range(len(row) + 1)}
        for start in starts:
            if 0 <= start <= 60 * len(row) - minutes + 1e-9:
                inside = (max(0.0, min(start + minutes, 60 * h + 60) - max(start, 60.0 * h)) for h in range(len(row)))
                costs.append(sum(part * row[h] for h, part in enumerate(inside)) / 60 * watts / 1000)
    if not costs:
        assert isinstance(answer, NoPlan)
        return
    assert planned(answer).emissions_g == pytest.approx(min(costs), rel=1e-9)
