"""Graphs of tasks that can be worked out by hand, and every refusal."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from lowtide.planning.solvers.graph import GraphPlan, Task, plan_graph
from lowtide.planning.solvers.windows import StepSeries
from lowtide_core.errors import InputError

HOUR_S = 3600.0
DIPS = (300, 100, 300, 50, 300, 300, 80, 300)


def task(name: str, *after: str, hours: float = 1.0, values: tuple[float, ...] = DIPS, **more: float) -> Task:
    return Task(name, hours * HOUR_S, 1.0, StepSeries(0.0, HOUR_S, np.array(values, dtype=float)), after=after, **more)


def starts(plan: GraphPlan) -> dict[str, float]:
    return {run.name: run.start_s / HOUR_S for run in plan.runs}


def test_a_chain_takes_the_dips_in_its_order() -> None:
    plan = plan_graph([task("c", "b"), task("a"), task("b", "a")], 0.0, 8 * HOUR_S)
    assert starts(plan) == {"a": 1, "b": 3, "c": 6}
    assert plan.emissions_g == plan.bound_g == pytest.approx(230)
    assert plan.exact
    assert (plan.critical_path, plan.critical_path_s) == (("a", "b", "c"), 3 * HOUR_S)


def test_what_does_not_wait_runs_beside() -> None:
    plan = plan_graph([task("a"), task("b"), task("c", "a", "b", fixed_g=7.0)], 0.0, 8 * HOUR_S)
    assert starts(plan) == {"a": 1, "b": 1, "c": 3} or starts(plan) == {"a": 3, "b": 3, "c": 6}
    assert plan.emissions_g == pytest.approx(min(100 + 100 + 50, 50 + 50 + 80) + 7)


def test_a_diamond_is_solved_together() -> None:
    plan = plan_graph([task("a"), task("b", "a", hours=2), task("c", "a"), task("d", "b", "c")], 0.0, 8 * HOUR_S)
    assert starts(plan) == {"a": 1, "b": 2, "c": 3, "d": 6}
    assert plan.emissions_g == pytest.approx(100 + 350 + 50 + 80)
    assert plan.critical_path == ("a", "b", "d")


def test_a_handover_takes_its_time() -> None:
    plan = plan_graph([task("a"), task("b", "a", handover_s=1.5 * HOUR_S)], 0.0, 4 * HOUR_S)
    assert starts(plan) == {"a": 0.5, "b": 3}
    assert plan.emissions_g == pytest.approx(200 + 50)
    assert plan.critical_path_s == 3.5 * HOUR_S


def test_own_limits_hold() -> None:
    plan = plan_graph([task("a", deadline_s=1.5 * HOUR_S), task("b", earliest_s=3.5 * HOUR_S)], 0.0, 8 * HOUR_S)
    assert starts(plan) == {"a": 0.5, "b": 6}


def test_any_offset_is_exact() -> None:
    """A chain of odd lengths from an odd second: the ends of the dips are met to the microsecond."""
    plan = plan_graph([task("a", hours=0.7), task("b", "a", hours=1.1)], 1234.567, 4 * HOUR_S - 0.25)
    assert plan.exact
    at_b = 4 * HOUR_S - 0.25 - 1.1 * HOUR_S
    assert plan.runs[1].start_s == pytest.approx(at_b, abs=1e-5)
    assert plan.runs[0].start_s == pytest.approx(HOUR_S, abs=1e-5)


def test_many_tasks_of_incommensurable_lengths_have_a_bound() -> None:
    rng = np.random.default_rng(4)
    values = tuple(rng.uniform(50, 500, 200))
    names = [f"t{i}" for i in range(24)]
    tasks = [
        task(name, *names[max(0, i - 3) : max(0, i - 1)], hours=float(rng.uniform(0.1, 2)), values=values)
        for i, name in enumerate(names)
    ]
    plan = plan_graph(tasks, 0.5, 199 * HOUR_S)
    assert not plan.exact
    assert 0 < plan.bound_g < plan.emissions_g
    ends = {run.name: run.end_s for run in plan.runs}
    for run, own in zip(plan.runs, tasks, strict=True):
        assert all(run.start_s >= ends[name] - 1e-5 for name in own.after)


def test_a_circle_is_named() -> None:
    with pytest.raises(InputError) as caught:
        plan_graph([task("a"), task("b", "a", "d"), task("c", "b"), task("d", "c")], 0.0, 8 * HOUR_S)
    assert sorted(caught.value.facts["circle"]) == ["b", "c", "d"]  # type: ignore[call-overload]


def test_a_name_that_nobody_has_is_named() -> None:
    with pytest.raises(InputError) as caught:
        plan_graph([task("train"), task("test", "trian")], 0.0, 8 * HOUR_S)
    assert caught.value.facts["unknown"] == "trian"
    assert "train" in caught.value.hint


def test_a_chain_that_does_not_fit_says_by_how_much() -> None:
    tasks = [task("a", hours=3), task("x"), task("b", "a", hours=3, handover_s=600.0), task("c", "b", "x", hours=2)]
    with pytest.raises(InputError) as caught:
        plan_graph(tasks, 0.0, 8 * HOUR_S)
    assert caught.value.facts["short_by_s"] == pytest.approx(600)
    assert caught.value.facts["path"] == ("a", "b", "c")
    with pytest.raises(InputError) as caught:
        plan_graph([task("a", hours=2), task("b", "a", deadline_s=2 * HOUR_S)], 0.0, 8 * HOUR_S)
    assert caught.value.facts["path"] == ("a", "b")
    assert caught.value.facts["short_by_s"] == pytest.approx(HOUR_S)


def test_a_series_is_used_up_to_its_gap() -> None:
    gap = (300.0, 200.0, math.nan, 1.0, 1.0)
    plan = plan_graph([task("a", values=gap), task("b")], 0.0, 5 * HOUR_S)
    assert starts(plan)["a"] == 1
    with pytest.raises(InputError) as caught:
        plan_graph([task("a", values=gap, hours=2.5)], 0.0, 5 * HOUR_S)
    assert caught.value.facts["short_by_s"] == pytest.approx(0.5 * HOUR_S)
    later = plan_graph([task("b", values=(math.nan, math.nan, 3.0, 1.0), earliest_s=2 * HOUR_S)], 0.0, 4 * HOUR_S)
    assert later.emissions_g == pytest.approx(1.0)


@pytest.mark.parametrize(
    "call",
    [
        lambda: plan_graph([], 0.0, HOUR_S),
        lambda: plan_graph([task("a"), task("a")], 0.0, 8 * HOUR_S),
        lambda: plan_graph([task("a", "a")], 0.0, 8 * HOUR_S),
        lambda: task("a", hours=0.0),
        lambda: task("a", hours=math.nan),
        lambda: task("a", fixed_g=-1.0),
        lambda: task("a", handover_s=math.inf),
        lambda: task("a", values=(-1.0,)),
        lambda: Task("a", HOUR_S, -1.0, StepSeries(0.0, HOUR_S, np.ones(3))),
    ],
)
def test_what_cannot_be_is_refused(call: Callable[[], object]) -> None:
    with pytest.raises(InputError):
        call()
