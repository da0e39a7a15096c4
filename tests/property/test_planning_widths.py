"""Elastic plans against enumeration, a table over whole work units and the vertices of the linear programme."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, replace
from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lowtide.planning.solvers.widths import WidthPlan, Widths, best_fixed_width, plan_widths
from lowtide.planning.solvers.widths_sequence import cheapest_sequence
from lowtide.planning.solvers.widths_whole import cheapest_slots, menu_of
from lowtide.planning.solvers.windows import StepSeries

EXAMPLES = int(os.environ.get("LOWTIDE_EXAMPLES", "300"))
START_S = 1_700_000_000 // 3600 * 3600


@dataclass(frozen=True)
class Case:
    """All in whole numbers. ``options`` are (width, throughput per minute, W), the pause first; times in minutes."""

    values: tuple[int, ...]
    step_min: int
    earliest_min: int
    end_min: int
    options: tuple[tuple[int, int, int], ...]
    work: int
    switch_wh: int

    def slots(self) -> list[tuple[int, int]]:
        """(value, minutes) of each step inside the window."""
        inside = [
            (value, min(self.end_min, (i + 1) * self.step_min) - max(self.earliest_min, i * self.step_min))
            for i, value in enumerate(self.values)
        ]
        return [(value, minutes) for value, minutes in inside if minutes > 0]

    def useful(self) -> list[tuple[int, int, int]]:
        """The pause, and what makes progress: a width that makes none is never taken."""
        return [option for option in self.options if option[0] == 0 or option[1] > 0]

    def series(self) -> StepSeries:
        return StepSeries(float(START_S), 60.0 * self.step_min, np.array(self.values, dtype=float))

    def widths(self) -> Widths:
        (_, _, idle_w), *running = self.options
        return Widths(
            tuple(width for width, _, _ in running),
            np.array([60.0 * rate for _, rate, _ in running]),
            np.array([float(power) for _, _, power in running]),
            idle_power_w=float(idle_w),
        )

    def plan(self, **rules: object) -> WidthPlan:
        earliest_s, end_s = START_S + 60.0 * self.earliest_min, START_S + 60.0 * self.end_min
        return plan_widths(self.series(), earliest_s, end_s, float(self.work), self.widths(), **rules)  # type: ignore[arg-type]


@st.composite
def cases(draw: st.DrawFn, *, steps: int = 5, widths: int = 3, whole_steps: bool = False) -> Case:
    step_min = draw(st.sampled_from([5, 30, 60]))
    values = tuple(draw(st.lists(st.integers(0, 9), min_size=1, max_size=steps)))
    total = step_min * len(values)
    earliest, end = 0, total
    if not whole_steps and draw(st.booleans()):
        earliest = draw(st.integers(0, step_min - 1))
        end = draw(st.integers(max(earliest + 1, total - step_min + 1), total))
    idle_w = draw(st.sampled_from([0, 0, 3]))
    names = draw(st.lists(st.integers(1, 9), min_size=1, max_size=widths, unique=True))
    rates = draw(st.lists(st.integers(0, 6), min_size=len(names), max_size=len(names)).filter(any))
    powers = draw(st.lists(st.integers(idle_w, 20), min_size=len(names), max_size=len(names)))
    most = max(rates) * (end - earliest)
    work = draw(st.integers(1, most)) if draw(st.booleans()) else max(1, most // draw(st.integers(1, 6)))
    options = ((0, 0, idle_w), *zip(names, rates, powers, strict=True))
    return Case(values, step_min, earliest, end, options, work, draw(st.sampled_from([0, 1, 10, 100])))


def billed(
    case: Case, choice: tuple[tuple[int, int, int], ...], *, switch_wh: int = 0, stop_when_done: bool = False
) -> float:
    """Value x W x min of one choice of options for the steps; infinite where the work is not done."""
    slots, left, total, before = case.slots(), float(case.work), 0.0, case.options[0]
    idle_w = case.options[0][2]
    for at, ((value, minutes), option) in enumerate(zip(slots, choice, strict=True)):
        _, rate, power = option
        if left <= 0:
            total += value * minutes * idle_w
            continue
        if option != before:
            charged_at = value if option[0] else slots[at - 1][0]
            total += switch_wh * 60 * charged_at
        share = min(1.0, left / (rate * minutes)) if stop_when_done and rate else 1.0
        total += value * minutes * (share * power + (1 - share) * idle_w)
        left -= rate * minutes
        before = option
    return total if left <= 0 else math.inf


def enumerated(case: Case, **rules: object) -> float:
    choices = product(case.useful(), repeat=len(case.slots()))
    return min(billed(case, choice, **rules) for choice in choices) / 60_000  # type: ignore[arg-type]


def same(found: float, expected: float) -> bool:
    return found == pytest.approx(expected, rel=1e-9, abs=1e-12)


def chosen(case: Case, plan: WidthPlan) -> tuple[tuple[int, int, int], ...]:
    """The option that the plan runs at the beginning of each step."""
    by_width = {option[0]: option for option in case.options}
    choice, at = [], START_S + 60.0 * case.earliest_min
    for _, minutes in case.slots():
        running = [run.width for run in plan.runs if run.start_s <= at + 1e-3 and run.end_s > at + 2e-3]
        choice.append(by_width[running[0] if running else 0])
        at += 60.0 * minutes
    return tuple(choice)


@settings(max_examples=EXAMPLES, deadline=None)
@given(cases())
def test_whole_slots_equal_enumeration(case: Case) -> None:
    plan = case.plan(whole_slots=True)
    assert plan.exact
    assert plan.bound == plan.cost
    assert same(plan.cost, enumerated(case))
    assert same(billed(case, chosen(case, plan)) / 60_000, plan.cost)
    assert plan.work_done >= case.work * (1 - 1e-9)
    assert plan.relaxed_cost <= plan.cost * (1 + 1e-9)


@settings(max_examples=EXAMPLES, deadline=None)
@given(cases(), st.booleans())
def test_changes_and_stopping_equal_enumeration(case: Case, stop: bool) -> None:
    plan = case.plan(whole_slots=True, switch_kwh=case.switch_wh / 1000, stop_when_done=stop)
    assert plan.exact
    assert same(plan.cost, enumerated(case, switch_wh=case.switch_wh, stop_when_done=stop))
    own = billed(case, chosen(case, plan), switch_wh=case.switch_wh, stop_when_done=stop)
    assert same(own / 60_000, plan.cost)
    if stop:
        assert plan.work_done == pytest.approx(case.work, rel=1e-9)


@settings(max_examples=EXAMPLES, deadline=None)
@given(cases(steps=4))
def test_part_slots_equal_the_vertices_of_the_linear_programme(case: Case) -> None:
    """A vertex has whole choices in all steps but one, which two choices share so that the work is just done."""
    plan = case.plan()
    slots = case.slots()
    least = math.inf
    for choice in product(case.options, repeat=len(slots)):
        done = sum(rate * minutes for (_, rate, _), (_, minutes) in zip(choice, slots, strict=True))
        cost = sum(value * minutes * power for (_, _, power), (value, minutes) in zip(choice, slots, strict=True))
        if done >= case.work:
            least = min(least, cost)
        for (_, rate, power), (value, minutes) in zip(choice, slots, strict=True):
            for _, other_rate, other_power in case.options:
                if done < case.work <= done + (other_rate - rate) * minutes:
                    share = (case.work - done) / ((other_rate - rate) * minutes)
                    least = min(least, cost + share * value * minutes * (other_power - power))
    assert plan.exact
    assert same(plan.cost, least / 60_000)
    assert plan.work_done == pytest.approx(case.work, rel=1e-9)


@settings(max_examples=EXAMPLES, deadline=None)
@given(cases())
def test_runs_of_part_slots_can_be_run(case: Case) -> None:
    """In order, inside the window, at two widths a step at most, at least as long as the clock can tell."""
    plan = case.plan()
    earliest_s, end_s = START_S + 60.0 * case.earliest_min, START_S + 60.0 * case.end_min
    assert earliest_s <= plan.runs[0].start_s
    assert plan.runs[-1].end_s <= end_s
    for run, later in pairwise(plan.runs):
        assert run.start_s < run.end_s <= later.start_s
        assert run.end_s < later.start_s or run.width != later.width
    begun = [
        edge_s for run in plan.runs for edge_s in (run.start_s, run.end_s) if (edge_s - START_S) % (60 * case.step_min)
    ]
    inner = {edge_s for edge_s in begun if earliest_s < edge_s < end_s}
    assert len(inner) <= 1
    power_w = {width: power for width, _, power in case.options}
    cost = energy = 0.0  # value x W x s, W x s
    for step, value in enumerate(case.values):
        begin_s, over_s = START_S + 60.0 * case.step_min * step, START_S + 60.0 * case.step_min * (step + 1)
        idle_s = max(0.0, min(end_s, over_s) - max(earliest_s, begin_s))
        for run in plan.runs:
            run_s = max(0.0, min(run.end_s, over_s) - max(run.start_s, begin_s))
            idle_s -= run_s
            energy += power_w[run.width] * run_s
            cost += value * power_w[run.width] * run_s
        energy += power_w[0] * idle_s
        cost += value * power_w[0] * idle_s
    assert same(cost / 3.6e6, plan.cost)
    assert same(energy / 3.6e6, plan.energy_kwh)
    assert plan.switches == len(plan.runs) + sum(run.end_s < later.start_s for run, later in pairwise(plan.runs))


def tabulated(case: Case, *, switch_wh: int) -> float:
    """Shortest path over (work still to do, last option), step after step."""
    best = {(case.work, case.options[0]): 0}
    slots = case.slots()
    done = math.inf
    for at, (value, minutes) in enumerate(slots):
        idle_after = sum(v * m for v, m in slots[at + 1 :]) * case.options[0][2]
        after: dict[tuple[int, tuple[int, int, int]], int] = {}
        for (left, before), cost in best.items():
            for option in case.useful():
                charge = 0 if option == before else switch_wh * 60 * (value if option[0] else slots[at - 1][0])
                total = cost + charge + value * minutes * option[2]
                rest = left - option[1] * minutes
                if rest <= 0:
                    done = min(done, total + idle_after)
                elif total < after.get((rest, option), math.inf):
                    after[rest, option] = total
        best = after
    return done / 60_000


@settings(max_examples=max(1, EXAMPLES // 5), deadline=None)
@given(cases(steps=14, widths=5, whole_steps=True))
def test_longer_windows_equal_a_table_over_work(case: Case) -> None:
    for switch_wh in {0, case.switch_wh}:
        plan = case.plan(whole_slots=True, switch_kwh=switch_wh / 1000)
        assert plan.exact
        assert same(plan.cost, tabulated(case, switch_wh=switch_wh))


@settings(max_examples=EXAMPLES, deadline=None)
@given(cases(), st.integers(1, 3))
def test_without_room_for_states_the_bound_still_holds(case: Case, limit: int) -> None:
    slots, widths = case.slots(), case.widths()
    efficient = list(widths.efficient)
    menu = menu_of(
        np.array([minutes / 60 for _, minutes in slots]),
        np.array([float(value) for value, _ in slots]),
        widths.throughput_per_h[efficient],
        (widths.power_w[efficient] - widths.idle_power_w) / 1000,
        [widths.efficient.index(i) for i in widths.corners],
        float(case.work),
    )
    idle = sum(value * minutes for value, minutes in slots) * case.options[0][2] / 60_000
    change = np.array([value * case.switch_wh / 1000 for value, _ in slots])
    for found, switch_wh in (
        (cheapest_slots(menu, limit), 0),
        (cheapest_sequence(menu, change, state_limit=limit), case.switch_wh),
    ):
        best = enumerated(case, switch_wh=switch_wh) - idle
        choice = tuple(
            case.options[1 + efficient[column - 1]] if column else case.options[0] for column in found.choice
        )
        own = billed(case, choice, switch_wh=switch_wh) / 60_000 - idle
        assert found.bound <= best * (1 + 1e-9) + 1e-12
        assert own >= best - 1e-9 * abs(best) - 1e-12
        if found.exact:
            assert same(own, best)


@settings(max_examples=EXAMPLES, deadline=None)
@given(cases())
def test_one_width_is_never_better_than_many(case: Case) -> None:
    earliest_s, end_s = START_S + 60.0 * case.earliest_min, START_S + 60.0 * case.end_min
    given_ = (case.series(), earliest_s, end_s, float(case.work), case.widths())
    free, split, whole = case.plan(), best_fixed_width(*given_, pausable=True), best_fixed_width(*given_)
    assert free.cost <= split.cost * (1 + 1e-9) + 1e-12
    assert split.cost <= whole.cost * (1 + 1e-9) + 1e-12
    assert len(whole.runs) == 1
    assert len({run.width for run in split.runs}) == 1
    for width, rate, power in case.options[1:]:
        if rate * (case.end_min - case.earliest_min) >= case.work:  # the first moment is one of the starts it may take
            left, own = case.work / rate, 0.0
            for value, minutes in case.slots():
                ran = min(left, minutes)
                own += value * (ran * power + (minutes - ran) * case.options[0][2])
                left -= ran
            assert whole.cost <= own / 60_000 * (1 + 1e-9) + 1e-12, width


RULES = st.sampled_from([{}, {"whole_slots": True}, {"whole_slots": True, "stop_when_done": True}])


@settings(max_examples=EXAMPLES, deadline=None)
@given(cases(whole_steps=True), RULES, st.data())
def test_more_freedom_never_costs_more(case: Case, rules: dict[str, bool], data: st.DataObject) -> None:
    if rules:
        rules = {**rules, "switch_kwh": case.switch_wh / 1000}  # type: ignore[dict-item]
    plan = case.plan(**rules)
    no_more = plan.cost * (1 + 1e-9) + 1e-12
    at = data.draw(st.integers(0, len(case.values) - 1))
    cheaper = (*case.values[:at], case.values[at] // 2, *case.values[at + 1 :])
    assert replace(case, values=cheaper).plan(**rules).cost <= no_more
    width, rate, power = data.draw(st.tuples(st.just(10), st.integers(0, 8), st.integers(case.options[0][2], 20)))
    assert replace(case, options=(*case.options, (width, rate, power))).plan(**rules).cost <= no_more
    if case.options[0][2] == 0:  # a longer window is a longer time of idling
        later = data.draw(st.integers(0, 9))
        longer = replace(case, values=(*case.values, later), end_min=case.end_min + case.step_min)
        assert longer.plan(**rules).cost <= no_more
    less = data.draw(st.integers(1, case.work))
    assert replace(case, work=less).plan(**rules).cost <= no_more


@settings(max_examples=EXAMPLES, deadline=None)
@given(cases(), RULES, st.integers(2, 50), st.integers(-40, 40))
def test_scaling_scales_and_shifting_shifts(case: Case, rules: dict[str, bool], factor: int, hours: int) -> None:
    plan = case.plan(**rules)
    dearer = replace(case, values=tuple(factor * value for value in case.values)).plan(**rules)
    assert same(dearer.cost, factor * plan.cost)
    series, shift_s = case.series(), 3600.0 * hours
    shifted = plan_widths(
        series._replace(start_s=series.start_s + shift_s),
        START_S + 60.0 * case.earliest_min + shift_s,
        START_S + 60.0 * case.end_min + shift_s,
        float(case.work),
        case.widths(),
        **rules,
    )
    assert shifted.cost == plan.cost
    assert [run.width for run in shifted.runs] == [run.width for run in plan.runs]
    assert all(
        late.start_s == pytest.approx(run.start_s + shift_s, abs=1e-5)
        for run, late in zip(plan.runs, shifted.runs, strict=True)
    )
