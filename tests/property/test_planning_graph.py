"""Graphs of tasks against every combination of starts, in plain Python."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lowtide.planning.solvers import graph_starts
from lowtide.planning.solvers.graph import GraphPlan, Task, plan_graph
from lowtide.planning.solvers.windows import StepSeries
from lowtide_core.errors import InputError

EXAMPLES = int(os.environ.get("LOWTIDE_EXAMPLES", "200"))
START_S = 1_700_000_000 // 3600 * 3600


@dataclass(frozen=True)
class Case:
    """All times in units of ``unit_s`` from the series' start; a step has two units."""

    unit_s: int
    values: tuple[tuple[int, ...], ...]
    durations: tuple[int, ...]
    powers: tuple[int, ...]
    after: tuple[tuple[int, ...], ...]
    handovers: tuple[int, ...]
    own: tuple[tuple[int | None, int | None], ...]
    earliest: int
    end: int

    def tasks(self) -> list[Task]:
        def instant_s(unit: int | None) -> float | None:
            return None if unit is None else float(START_S + unit * self.unit_s)

        return [
            Task(
                f"t{i}",
                float(self.durations[i] * self.unit_s),
                float(self.powers[i]),
                StepSeries(float(START_S), 2.0 * self.unit_s, np.array(self.values[i], dtype=float)),
                after=tuple(f"t{j}" for j in self.after[i]),
                handover_s=float(self.handovers[i] * self.unit_s),
                earliest_s=instant_s(self.own[i][0]),
                deadline_s=instant_s(self.own[i][1]),
            )
            for i in range(len(self.durations))
        ]

    def solve(self) -> GraphPlan:
        return plan_graph(self.tasks(), START_S + self.earliest * self.unit_s, START_S + self.end * self.unit_s)

    def room(self, i: int, ends: dict[int, int]) -> range:
        """The starts of a task, given when its predecessors end."""
        first = max([self.earliest, self.own[i][0] or 0, *(ends[j] + self.handovers[i] for j in self.after[i])])
        own_end = self.own[i][1]
        last = (self.end if own_end is None else min(self.end, own_end)) - self.durations[i]
        return range(first, last + 1)


@st.composite
def cases(draw: st.DrawFn, *, most: int = 5) -> Case:
    count, steps = draw(st.integers(1, most)), draw(st.integers(1, 6))
    earliest = draw(st.integers(0, 2 * steps - 1))
    limit = st.one_of(st.none(), st.none(), st.integers(0, 2 * steps))
    one = draw(st.lists(st.integers(0, 500), min_size=steps, max_size=steps))
    other = draw(st.lists(st.integers(0, 500), min_size=steps, max_size=steps))
    return Case(
        unit_s=draw(st.sampled_from([1800, 60, 7])),
        values=tuple(tuple(draw(st.sampled_from([one, other]))) for _ in range(count)),
        durations=tuple(draw(st.sampled_from([1, 1, 2, 3])) for _ in range(count)),
        powers=tuple(draw(st.integers(1, 3)) for _ in range(count)),
        after=tuple(tuple(j for j in range(i) if draw(st.booleans())) for i in range(count)),
        handovers=tuple(draw(st.sampled_from([0, 0, 1])) for _ in range(count)),
        own=tuple((draw(limit), draw(limit)) for _ in range(count)),
        earliest=earliest,
        end=draw(st.integers(earliest + 1, 2 * steps)),
    )


def brute(case: Case) -> float:
    """The least emissions of all combinations of starts; inf where there is none."""
    best = [np.inf]

    def run_g(i: int, start: int) -> float:
        values = case.values[i]
        total = sum(values[unit // 2] for unit in range(start, start + case.durations[i]))
        return case.powers[i] * total * case.unit_s / 3600

    def place(i: int, ends: dict[int, int], total: float) -> None:
        if i == len(case.durations):
            best[0] = min(best[0], total)
            return
        for start in case.room(i, ends):
            g = total + run_g(i, start)
            if g < best[0]:
                place(i + 1, {**ends, i: start + case.durations[i]}, g)

    place(0, {}, 0.0)
    return best[0]


@settings(max_examples=EXAMPLES, deadline=None)
@given(cases(), st.sampled_from([600, 10]))
def test_a_graph_equals_every_combination_of_starts(case: Case, few: int) -> None:
    """Also where the candidates are taken for many, so that the cut is made over some of them first."""
    least_g = brute(case)
    if np.isinf(least_g):
        with pytest.raises(InputError) as caught:
            case.solve()
        assert caught.value.facts["short_by_s"] > 0
        assert set(caught.value.facts["path"]) <= {task.name for task in case.tasks()}
        return
    with patch.object(graph_starts, "_FEW_IN_CUT", few):
        plan = case.solve()
    assert plan.exact
    assert plan.emissions_g == plan.bound_g == pytest.approx(least_g, rel=1e-8, abs=1e-6)
    ends: dict[int, int] = {}
    for i, run in enumerate(plan.runs):
        start = (run.start_s - START_S) / case.unit_s
        room = case.room(i, ends)
        assert room[0] - 1e-5 <= start <= room[-1] + 1e-5
        assert run.end_s - run.start_s == pytest.approx(case.durations[i] * case.unit_s)
        ends[i] = round(start + case.durations[i])
    assert sum(run.emissions_g for run in plan.runs) == pytest.approx(plan.emissions_g)


@settings(max_examples=EXAMPLES, deadline=None)
@given(cases(), st.integers(1, 40))
def test_the_window_that_is_asked_for_is_enough(case: Case, more: int) -> None:
    """Where no own limit binds, a deadline later by ``short_by_s`` is feasible, and one that is earlier is not."""
    case = replace(
        case, own=((None, None),) * len(case.own), values=tuple((*row, *([100] * 20)) for row in case.values)
    )
    start_s, end_s = START_S + case.earliest * case.unit_s, START_S + case.end * case.unit_s
    try:
        plan = plan_graph(case.tasks(), start_s, end_s)
    except InputError as error:
        short_by_s = error.facts["short_by_s"]
        assert isinstance(short_by_s, float)
        plan = plan_graph(case.tasks(), start_s, end_s + short_by_s)
        assert plan.critical_path_s == pytest.approx(end_s + short_by_s - start_s)
        with pytest.raises(InputError):
            plan_graph(case.tasks(), start_s, end_s + short_by_s - 0.01 * more)
    assert plan.critical_path_s <= max(run.end_s for run in plan.runs) - start_s + 1e-5


@settings(max_examples=EXAMPLES, deadline=None)
@given(cases(), st.integers(2, 9), st.data())
def test_more_room_is_never_worse_and_scaling_and_shifting_carry_through(
    case: Case, factor: int, data: st.DataObject
) -> None:
    try:
        plain = case.solve()
    except InputError:
        return
    near = plain.emissions_g * (1 + 1e-9) + 1e-7
    assert replace(case, end=2 * len(case.values[0])).solve().emissions_g <= near
    fewer = data.draw(st.integers(0, len(case.after) - 1))
    freer = tuple(() if i == fewer else row for i, row in enumerate(case.after))
    assert replace(case, after=freer).solve().emissions_g <= near
    step = data.draw(st.integers(0, len(case.values[0]) - 1))
    cheaper = tuple(tuple(v // 2 if at == step else v for at, v in enumerate(row)) for row in case.values)
    assert replace(case, values=cheaper).solve().emissions_g <= near
    scaled = replace(case, values=tuple(tuple(factor * v for v in row) for row in case.values)).solve()
    assert scaled.emissions_g == pytest.approx(factor * plain.emissions_g, rel=1e-9, abs=1e-7)
    shifted = plan_graph(
        [
            replace(
                task,
                series=task.series._replace(start_s=task.series.start_s + 86400.0),
                earliest_s=None if task.earliest_s is None else task.earliest_s + 86400.0,
                deadline_s=None if task.deadline_s is None else task.deadline_s + 86400.0,
            )
            for task in case.tasks()
        ],
        START_S + 86400 + case.earliest * case.unit_s,
        START_S + 86400 + case.end * case.unit_s,
    )
    assert [run.start_s - 86400 for run in shifted.runs] == pytest.approx([run.start_s for run in plain.runs])
    assert shifted.emissions_g == pytest.approx(plain.emissions_g)
