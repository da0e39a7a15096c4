"""Pausing with costs against every way there is to fill the cells of a window, in whole numbers."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from itertools import combinations, pairwise
from unittest import mock

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from lowtide.planning.solvers import pauses, pauses_batch
from lowtide.planning.solvers.pauses import PausedRun, PauseRules, ProgressWeight, paused_cost, plan_pauses
from lowtide.planning.solvers.pauses_batch import plan_pauses_batch
from lowtide.planning.solvers.windows import StepSeries, best_pieces, best_window, mean_over

EXAMPLES = int(os.environ.get("LOWTIDE_EXAMPLES", "100"))
START_S = 1_700_000_000 // 3600 * 3600
CELL_S = 600


@dataclass(frozen=True)
class Case:
    """A window of cells; steps of ``per_step`` cells begin ``offset`` cells before it, ``work`` cells are to be run."""

    steps: tuple[int, ...]
    per_step: int
    offset: int
    room: int
    work: int
    first: int = 0
    restart: int = 0
    stop: int = 0
    max_pauses: int | None = None
    least: int = 0
    running: bool = False
    ran: int = 99
    factors: tuple[float, ...] = ()
    is_survival: bool = False

    def values(self) -> list[int]:
        return [self.steps[(self.offset + cell) // self.per_step] for cell in range(self.room)]

    def rules(self) -> PauseRules:
        return PauseRules(
            float(self.first), float(self.restart), float(self.stop), self.max_pauses, float(self.least * CELL_S)
        )

    def weight(self) -> ProgressWeight | None:
        if not self.factors:
            return None
        ends_s = tuple(float(CELL_S * (i + 1)) for i in range(len(self.factors)))
        return ProgressWeight(ends_s, self.factors, self.is_survival)

    def series(self) -> StepSeries:
        return StepSeries(float(START_S), float(self.per_step * CELL_S), np.array(self.steps, dtype=float))

    @property
    def earliest_s(self) -> float:
        return float(START_S + self.offset * CELL_S)

    def plan(self) -> PausedRun:
        return plan_pauses(
            self.series(),
            self.earliest_s,
            self.earliest_s + self.room * CELL_S,
            float(self.work * CELL_S),
            self.rules(),
            weight=self.weight(),
            running=self.running,
            ran_s=float(self.ran * CELL_S),
        )


def runs_of(cells: tuple[int, ...]) -> list[tuple[int, int]]:
    runs: list[tuple[int, int]] = []
    for cell in cells:
        if runs and runs[-1][1] == cell:
            runs[-1] = (runs[-1][0], cell + 1)
        else:
            runs.append((cell, cell + 1))
    return runs


def allowed(case: Case, runs: list[tuple[int, int]]) -> bool:
    carried_on = case.running and runs[0][0] == 0
    restarts = len(runs) - (carried_on or not case.running)
    if case.max_pauses is not None and restarts > case.max_pauses:
        return False
    least = min(case.least, case.work)
    for index, (begin, end) in enumerate(runs):
        if index == 0 and carried_on:
            if len(runs) > 1 and end + case.ran < case.least:
                return False
        elif end - begin < least:
            return False
    return not (case.running and not carried_on and case.ran < case.least)


def cost_of(case: Case, runs: list[tuple[int, int]], *, dearer: bool = False) -> float:
    """By the definition, cell for cell.

    With ``dearer``, a start inside a step counts with the next step if that is higher, a stop with the one before.
    """
    values = case.values()
    factors = list(case.factors) + [case.factors[-1] if case.factors else 1.0] * case.work
    cost, done = 0.0, 0
    for index, (begin, end) in enumerate(runs):
        charge = values[begin]
        inside = (case.offset + begin) % case.per_step
        following = begin + case.per_step - inside
        if dearer and inside and begin and following < case.room:
            charge = max(charge, values[following])
        if not (case.running and index == 0 and begin == 0):
            energy = case.first if index == 0 and not case.running else case.restart
            cost += energy * charge * (factors[done] if case.is_survival else 1)
        for cell in range(begin, end):
            cost += CELL_S * factors[done] * values[cell]
            done += 1
            if case.is_survival:
                cost += case.stop * values[cell] * (factors[done - 1] - (factors[done] if done < case.work else 0))
    if not case.is_survival:
        end = runs[-1][1]
        charge = values[end - 1]
        before = end - (case.offset + end) % case.per_step - 1
        if dearer and end < case.room and 0 <= before < end - 1:
            charge = max(charge, values[before])
        cost += case.stop * charge
    return cost


def off_edges(case: Case, runs: list[tuple[int, int]]) -> int:
    ends = [end for run in runs for end in run]
    return sum(0 < end < case.room and (case.offset + end) % case.per_step != 0 for end in ends)


def all_plans(case: Case) -> list[list[tuple[int, int]]]:
    plans = (runs_of(cells) for cells in combinations(range(case.room), case.work))
    return [runs for runs in plans if allowed(case, runs)]


def check_sound(case: Case, plan: PausedRun) -> None:
    """The pieces are a plan that is allowed, and the cost is theirs."""
    cells = [((p.start_s - case.earliest_s) / CELL_S, (p.end_s - case.earliest_s) / CELL_S) for p in plan.pieces]
    runs = [(round(begin), round(end)) for begin, end in cells]
    assert cells == [pytest.approx(run, abs=1e-6) for run in runs]
    assert runs[0][0] >= 0
    assert runs[-1][1] <= case.room
    assert all(a[1] < b[0] for a, b in pairwise(runs))
    assert sum(end - begin for begin, end in runs) == case.work
    assert allowed(case, runs)
    assert plan.restarts == len(runs) - (not case.running or runs[0][0] == 0)
    assert plan.cost == pytest.approx(cost_of(case, runs), rel=1e-9, abs=1e-6)
    running_at_s = case.earliest_s if case.running else None
    again = paused_cost(case.series(), plan.pieces, case.rules(), weight=case.weight(), running_at_s=running_at_s)
    assert again == pytest.approx(plan.cost, rel=1e-9, abs=1e-6)


@st.composite
def windows(draw: st.DrawFn, *, per_step: int | None = None) -> Case:
    per_step = per_step or draw(st.sampled_from([2, 3, 4]))
    room = draw(st.integers(1, 9))
    offset = draw(st.integers(0, per_step - 1))
    count = -(-(offset + room) // per_step)
    return Case(
        steps=tuple(draw(st.lists(st.integers(0, 9), min_size=count, max_size=count))),
        per_step=per_step,
        offset=offset,
        room=room,
        work=draw(st.integers(1, room)),
        first=draw(st.sampled_from([0, 100, 600, 2000])),
        restart=draw(st.sampled_from([0, 100, 600, 2000])),
        stop=draw(st.sampled_from([0, 0, 900])),
        max_pauses=draw(st.sampled_from([None, None, 0, 1, 2])),
        running=draw(st.booleans()),
    )


@st.composite
def weighted(draw: st.DrawFn, *, per_step: int | None = None) -> Case:
    case = draw(windows(per_step=per_step))
    factors = tuple(draw(st.lists(st.sampled_from([0.0, 0.25, 0.5, 1.0, 2.0]), max_size=case.work + 1)))
    is_survival = bool(factors) and draw(st.booleans())
    if is_survival:
        factors = tuple(sorted(factors, reverse=True))
    least = draw(st.integers(0, 4))
    return replace(case, factors=factors, is_survival=is_survival, least=least, ran=draw(st.integers(0, 4)))


@settings(max_examples=EXAMPLES, deadline=None)
@given(windows(per_step=1))
def test_whole_steps_equal_brute_force(case: Case) -> None:
    plan = case.plan()
    check_sound(case, plan)
    assert plan.exact
    least = min(cost_of(case, runs) for runs in all_plans(case))
    assert plan.cost == plan.bound == pytest.approx(least, rel=1e-9, abs=1e-6)


@settings(max_examples=EXAMPLES, deadline=None)
@given(windows())
def test_part_steps_equal_brute_force_over_plans_on_the_edges(case: Case) -> None:
    plan = case.plan()
    check_sound(case, plan)
    assert plan.exact
    plans = all_plans(case)
    least = min(cost_of(case, runs) for runs in plans if off_edges(case, runs) <= 1)
    assert plan.cost == pytest.approx(least, rel=1e-9, abs=1e-6)
    assert plan.cost <= min(cost_of(case, runs, dearer=True) for runs in plans) + 1e-6


@settings(max_examples=EXAMPLES, deadline=None)
@given(windows())
def test_part_steps_without_start_up_energy_equal_brute_force_over_all_plans(case: Case) -> None:
    case = replace(case, first=0, restart=0, stop=0)
    plan = case.plan()
    check_sound(case, plan)
    assert plan.cost == pytest.approx(min(cost_of(case, runs) for runs in all_plans(case)), rel=1e-9, abs=1e-6)


@settings(max_examples=EXAMPLES, deadline=None)
@given(weighted())
def test_least_runs_and_weights_equal_brute_force_on_the_grain(case: Case) -> None:
    assume(case.factors or case.least)
    plan = case.plan()
    check_sound(case, plan)
    assert plan.exact
    grain = np.gcd.reduce([case.per_step, case.offset, case.room, case.work, case.least])
    if case.running and case.ran < case.least:
        grain = np.gcd(grain, case.least - case.ran)
    if case.factors:
        grain = 1 if case.work > 1 and len(case.factors) > 1 else grain
    on_grain = [runs for runs in all_plans(case) if all(end % grain == 0 for run in runs for end in run)]
    least = min(cost_of(case, runs) for runs in on_grain)
    assert plan.cost == pytest.approx(least, rel=1e-9, abs=1e-6)


@settings(max_examples=EXAMPLES, deadline=None)
@given(weighted(), st.sampled_from([1, 4, 12]))
def test_a_coarse_grid_keeps_the_rules_and_its_bound(case: Case, states: int) -> None:
    with mock.patch.object(pauses, "MAX_STATES", states):
        plan = case.plan()
    again = paused_cost(
        case.series(),
        plan.pieces,
        case.rules(),
        weight=case.weight(),
        running_at_s=case.earliest_s if case.running else None,
    )
    assert again == pytest.approx(plan.cost, rel=1e-9, abs=1e-6)
    assert sum(p.end_s - p.start_s for p in plan.pieces) == pytest.approx(case.work * CELL_S, abs=1e-5)
    assert plan.pieces[0].start_s >= case.earliest_s - 1e-6
    assert plan.pieces[-1].end_s <= case.earliest_s + case.room * CELL_S + 1e-6
    assert case.max_pauses is None or plan.restarts <= case.max_pauses
    least_s = min(case.least, case.work) * CELL_S
    fresh = plan.pieces[1:] if case.running and plan.pieces[0].start_s == case.earliest_s else plan.pieces
    assert all(p.end_s - p.start_s >= least_s - 1e-6 for p in fresh)
    assert plan.bound <= min(cost_of(case, runs) for runs in all_plans(case)) + 1e-6
    assert plan.bound <= plan.cost + 1e-6


@settings(max_examples=EXAMPLES, deadline=None)
@given(weighted(per_step=1), st.integers(1, 3000))
def test_a_harder_rule_is_never_cheaper(case: Case, more: int) -> None:
    cost = case.plan().cost
    slack = 1e-9 * cost + 1e-6
    assert replace(case, restart=case.restart + more).plan().cost >= cost - slack
    assert replace(case, first=case.first + more).plan().cost >= cost - slack
    assert replace(case, stop=case.stop + more).plan().cost >= cost - slack
    if case.max_pauses:
        assert replace(case, max_pauses=case.max_pauses - 1).plan().cost >= cost - slack
    if case.least < case.work:
        assert replace(case, least=case.least + 1).plan().cost >= cost - slack
    longer = replace(case, room=case.room + 1, steps=(*case.steps, more % 10))
    assert longer.plan().cost <= cost + slack
    cheaper = tuple(value // 2 for value in case.steps)
    assert replace(case, steps=cheaper).plan().cost <= cost + slack


@settings(max_examples=EXAMPLES, deadline=None)
@given(windows())
def test_the_ends_are_the_cheapest_steps_and_one_window(case: Case) -> None:
    free = replace(case, first=0, restart=0, stop=0, max_pauses=None, running=False)
    end_by_s = case.earliest_s + case.room * CELL_S
    pieces = best_pieces(case.series(), case.earliest_s, end_by_s, case.work * CELL_S)
    work_s = case.work * CELL_S
    assert free.plan().cost == pytest.approx(mean_over(case.series(), pieces) * work_s, rel=1e-9, abs=1e-6)
    window = best_window(case.series(), case.earliest_s, end_by_s, case.work * CELL_S)
    one = replace(free, max_pauses=0)
    assert one.plan().cost == pytest.approx(mean_over(case.series(), (window,)) * work_s, rel=1e-9, abs=1e-6)
    if min(case.steps) > 0:
        assert replace(free, restart=10**6).plan().restarts == 0


@settings(max_examples=EXAMPLES, deadline=None)
@given(windows(), st.integers(2, 9))
def test_scaling_values_and_shifting_time(case: Case, factor: int) -> None:
    plan = case.plan()
    scaled = replace(case, steps=tuple(value * factor for value in case.steps)).plan()
    assert scaled.cost == pytest.approx(factor * plan.cost, rel=1e-9, abs=1e-6)
    series = case.series()
    later = plan_pauses(
        series._replace(start_s=series.start_s + 86400),
        case.earliest_s + 86400,
        case.earliest_s + 86400 + case.room * CELL_S,
        float(case.work * CELL_S),
        case.rules(),
        running=case.running,
    )
    assert later.cost == pytest.approx(plan.cost, rel=1e-9, abs=1e-6)
    assert [(p.start_s - 86400, p.end_s - 86400) for p in later.pieces] == [pytest.approx(p) for p in plan.pieces]


@settings(max_examples=EXAMPLES, deadline=None)
@given(windows())
def test_to_be_running_already_is_no_disadvantage(case: Case) -> None:
    case = replace(case, first=max(case.first, case.restart), max_pauses=None)
    slack = 1e-9 * case.plan().cost + 1e-6
    assert replace(case, running=True).plan().cost <= replace(case, running=False).plan().cost + slack


@st.composite
def batches(draw: st.DrawFn) -> tuple[list[int], list[tuple[int, int, int, int, int, int]]]:
    """A series, and jobs: first step, steps of window and run, and what resume, first start and stop cost."""
    values = draw(st.lists(st.integers(0, 9), min_size=1, max_size=14))
    jobs = []
    for _ in range(draw(st.integers(1, 6))):
        window = draw(st.integers(1, min(8, len(values))))
        start = draw(st.integers(0, len(values) - window))
        jobs.append((start, window, draw(st.integers(1, window)), *(draw(st.integers(0, 3)) for _ in range(3))))
    return values, jobs


@settings(max_examples=EXAMPLES, deadline=None)
@given(batches(), st.sampled_from([0, 4]))
def test_a_batch_equals_brute_force(
    batch: tuple[list[int], list[tuple[int, int, int, int, int, int]]], least_shared: int
) -> None:
    values, jobs = batch
    with mock.patch.object(pauses_batch, "_LEAST_SHARED", least_shared):
        plans = plan_pauses_batch(np.array(values, dtype=float), *np.array(jobs).T)
    for index, (start, window, work, restart, first, stop) in enumerate(jobs):
        case = Case(
            steps=tuple(values[start : start + window]),
            per_step=1,
            offset=0,
            room=window,
            work=work,
            first=first * CELL_S,
            restart=restart * CELL_S,
            stop=stop * CELL_S,
        )
        least = min(cost_of(case, runs) for runs in all_plans(case)) / CELL_S
        chosen = runs_of(tuple(np.flatnonzero(plans.runs[index]).tolist()))
        assert sum(end - begin for begin, end in chosen) == work
        assert plans.cost[index] == pytest.approx(least, rel=1e-9, abs=1e-9)
        assert cost_of(case, chosen) / CELL_S == pytest.approx(least, rel=1e-9, abs=1e-9)
        assert plans.restarts[index] == len(chosen) - 1


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.data(), st.integers(1, 24), st.integers(0, 40))
def test_jobs_that_share_what_comes_after_a_mark_are_planned_as_alone(
    data: st.DataObject, window: int, more: int
) -> None:
    """Among whole numbers, where sums are exact and many plans cost the same: the very same steps."""
    size = window + more
    values = np.array(data.draw(st.lists(st.integers(0, 5), min_size=size, max_size=size)), dtype=float)
    starts = np.array(data.draw(st.lists(st.integers(0, more), min_size=1, max_size=60)))
    work = data.draw(st.integers(1, window))
    restart, first = data.draw(st.sampled_from([(0, 0), (1, 1), (0.5, 2), (2, 0)]))
    with mock.patch.object(pauses_batch, "_LEAST_SHARED", 0):
        shared = plan_pauses_batch(values, starts, window, work, restart, first)
    with mock.patch.object(pauses_batch, "_LEAST_SHARED", 1000):
        alone = plan_pauses_batch(values, starts, window, work, restart, first)
    assert shared.cost.tolist() == alone.cost.tolist()
    assert shared.runs.tolist() == alone.runs.tolist()
