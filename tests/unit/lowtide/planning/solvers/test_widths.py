from __future__ import annotations

import math

import numpy as np
import pytest

from lowtide.planning.solvers.widths import WidthRun, Widths, best_fixed_width, fit_memory, plan_widths, work_of
from lowtide.planning.solvers.widths_bill import Stretches, WidthBill, bill_of, slots_of
from lowtide.planning.solvers.windows import StepSeries
from lowtide_core.errors import InputError

H = 3600.0
TWO = Widths((1, 2), np.array([10.0, 20.0]), np.array([100.0, 300.0]))


def series(*values: float) -> StepSeries:
    return StepSeries(0.0, H, np.array(values, dtype=float))


def facts_of(*arguments: object, **rules: object) -> dict[str, object]:
    with pytest.raises(InputError) as caught:
        plan_widths(*arguments, **rules)  # type: ignore[arg-type]
    return caught.value.facts


def test_the_cheapest_hour_runs_wide_and_the_rest_narrow() -> None:
    plan = plan_widths(series(100, 10, 100, 100), 0.0, 4 * H, 25.0, TWO)
    # 20 units in hour 1 (300 Wh at 10), 5 units at width 1 for half an hour (50 Wh at 100), in the earliest such hour
    assert plan.runs == (WidthRun(0.5 * H, H, 1), WidthRun(H, 2 * H, 2))
    assert plan.cost == pytest.approx(0.3 * 10 + 0.05 * 100)
    assert plan.energy_kwh == pytest.approx(0.35)
    assert plan.work_done == pytest.approx(25.0)
    assert plan.exact
    assert plan.bound == plan.cost
    assert plan.gap_share == 0.0
    assert plan.switches == 2


def test_one_step_is_shared_by_two_widths_in_the_order_of_fewer_changes() -> None:
    plan = plan_widths(series(10, 10.5, 100), 0.0, 3 * H, 25.0, TWO)
    assert plan.runs == (WidthRun(0.0, 0.5 * H, 2), WidthRun(0.5 * H, 2 * H, 1))


def test_a_width_above_the_hull_is_passed_over() -> None:
    """Width 2 does twice the work at 3.5 times the power, width 3 four times at four times: never 2."""
    widths = Widths((1, 2, 3), np.array([10.0, 20.0, 40.0]), np.array([100.0, 350.0, 400.0]))
    plan = plan_widths(series(10, 20, 30), 0.0, 3 * H, 70.0, widths)
    assert {run.width for run in plan.runs} <= {1, 3}
    assert plan.cost == pytest.approx(0.4 * 10 + 0.3 * 20)


def test_whole_slots_may_take_a_width_above_the_hull() -> None:
    widths = Widths((1, 2, 3), np.array([10.0, 20.0, 40.0]), np.array([100.0, 350.0, 400.0]))
    plan = plan_widths(series(10, 90, 90), 0.0, 3 * H, 20.0, widths, whole_slots=True)
    assert plan.runs == (WidthRun(0.0, H, 2),)
    assert plan.cost == pytest.approx(3.5)
    assert plan.relaxed_cost == pytest.approx(2.0)
    assert plan.exact


def test_whole_slots_count_the_last_one_whole_unless_told_to_stop() -> None:
    whole = plan_widths(series(10, 10), 0.0, 2 * H, 15.0, TWO, whole_slots=True)
    stopped = plan_widths(series(10, 10), 0.0, 2 * H, 15.0, TWO, whole_slots=True, stop_when_done=True)
    assert (whole.cost, whole.work_done) == (pytest.approx(2.0), 20.0)
    assert (stopped.cost, stopped.work_done) == (pytest.approx(1.5), pytest.approx(15.0))
    assert stopped.runs == (WidthRun(0.0, 1.5 * H, 1),)


def test_a_change_of_width_is_made_only_where_it_pays() -> None:
    values = series(10, 50, 10, 10)
    free = plan_widths(values, 0.0, 4 * H, 30.0, TWO, whole_slots=True)
    dear = plan_widths(values, 0.0, 4 * H, 30.0, TWO, whole_slots=True, switch_kwh=1.0)
    assert free.runs == (WidthRun(0.0, H, 1), WidthRun(2 * H, 4 * H, 1))
    # a pause and a second start would cost 20; the third unit of work is done wide rather than through the dear hour
    assert dear.runs == (WidthRun(2 * H, 4 * H, 2),)
    assert dear.switches == 1
    assert dear.cost == pytest.approx(0.3 * 20 + 10)
    assert dear.exact
    assert dear.relaxed_cost == free.relaxed_cost


def test_idle_power_is_drawn_whenever_the_job_does_not_run() -> None:
    idle = Widths((1,), np.array([10.0]), np.array([100.0]), idle_power_w=40.0)
    for rules in ({}, {"whole_slots": True}, {"whole_slots": True, "stop_when_done": True}):
        plan = plan_widths(series(30, 10, 20), 0.0, 3 * H, 10.0, idle, **rules)
        assert plan.runs == (WidthRun(H, 2 * H, 1),)
        assert plan.cost == pytest.approx(0.1 * 10 + 0.04 * 50)
        assert plan.energy_kwh == pytest.approx(0.18)


def test_parts_of_steps_at_the_ends_of_the_window() -> None:
    plan = plan_widths(series(10, 100, 20), 0.25 * H, 2.5 * H, 12.5, TWO, whole_slots=True)
    assert plan.runs == (WidthRun(0.25 * H, H, 1), WidthRun(2 * H, 2.5 * H, 1))
    assert plan.work_done == pytest.approx(12.5)


def test_work_that_needs_the_whole_window_fits() -> None:
    for rules in ({}, {"whole_slots": True}, {"whole_slots": True, "stop_when_done": True, "switch_kwh": 0.1}):
        plan = plan_widths(series(1, 2, 3), 0.0, 3 * H, 60.0, TWO, **rules)
        assert plan.runs == (WidthRun(0.0, 3 * H, 2),)


def test_a_job_of_a_moment_still_runs() -> None:
    for rules in ({}, {"whole_slots": True}, {"whole_slots": True, "stop_when_done": True, "switch_kwh": 0.1}):
        for work in (1e-6, 1e-3):
            plan = plan_widths(series(3, 1, 2), 0.0, 3 * H, work, TWO, **rules)
            assert [run.width for run in plan.runs] == [1]
            assert plan.runs[0].start_s == H
            assert plan.work_done >= work * (1 - 1e-9)


def test_values_of_nothing_cost_nothing() -> None:
    for rules in ({}, {"whole_slots": True}, {"whole_slots": True, "switch_kwh": 0.1}):
        plan = plan_widths(series(0, 0, 0), 0.0, 3 * H, 33.0, TWO, **rules)
        assert plan.cost == 0.0
        assert plan.work_done >= 33.0 * (1 - 1e-9)
        assert plan.exact


def test_where_nothing_tells_the_steps_apart_the_bound_is_still_close() -> None:
    """Equal steps, and power in proportion to throughput: a sum of irrational numbers just above the work is wanted."""
    rate = 1000 * np.sqrt(np.arange(2.0, 10.0))
    plan = plan_widths(
        series(*[100.0] * 24), 0.0, 24 * H, 30_000.5, Widths(tuple(range(1, 9)), rate, rate / 10), whole_slots=True
    )
    assert plan.relaxed_cost * (1 - 1e-9) <= plan.bound <= plan.cost
    assert not plan.exact
    assert 0 < plan.gap_share < 5e-3
    assert plan.work_done >= 30_000.5 * (1 - 1e-9)


def test_one_width_for_the_whole_run() -> None:
    values = series(50, 10, 10, 50)
    fixed = best_fixed_width(values, 0.0, 4 * H, 20.0, TWO)
    assert fixed.runs == (WidthRun(H, 3 * H, 1),)
    assert fixed.cost == pytest.approx(2.0)
    short = best_fixed_width(series(90, 10, 90, 90), 0.0, 4 * H, 20.0, TWO)
    assert short.runs == (WidthRun(H, 2 * H, 2),)
    split = best_fixed_width(series(10, 90, 11, 90), 0.0, 4 * H, 20.0, TWO, pausable=True)
    assert split.runs == (WidthRun(0.0, H, 1), WidthRun(2 * H, 3 * H, 1))
    late = best_fixed_width(values, 0.0, 1.5 * H, 30.0, TWO)
    assert late.runs == (WidthRun(0.0, 1.5 * H, 2),)


def billed(runs: tuple[WidthRun, ...], *, switch_kwh: float = 0.0) -> WidthBill:
    start_s, end_s = (np.array([run[side] for run in runs], dtype=np.float64) for side in (0, 1))
    which = np.array([TWO.width.index(run.width) for run in runs], dtype=np.int64)
    return bill_of(slots_of(series(10, 20, 40), 0.0, 3 * H), Stretches(start_s, end_s, which), TWO, switch_kwh)


def test_the_bill_of_given_runs() -> None:
    runs = (WidthRun(0.5 * H, H, 1), WidthRun(H, 1.5 * H, 2), WidthRun(2.5 * H, 3 * H, 2))
    bill = billed(runs, switch_kwh=1.0)
    # started at 10, changed at 20, paused at 20, started again at 40; the end is free
    assert bill.switches == 4
    assert bill.cost == pytest.approx(0.05 * 10 + 0.15 * 20 + 0.15 * 40 + 10 + 20 + 20 + 40)
    assert bill.energy_kwh == pytest.approx(0.35 + 4)
    assert bill.work_done == pytest.approx(5 + 10 + 10)
    unbroken = (WidthRun(0.0, H, 1), WidthRun(H, 2 * H, 1))
    assert billed(unbroken).switches == 1
    assert billed(()).cost == 0.0


def test_work_that_does_not_fit_says_when_it_would() -> None:
    for rules in ({}, {"whole_slots": True}):
        facts = facts_of(series(1, 2, 3), 0.5 * H, 2 * H, 40.0, TWO, **rules)
        assert facts["earliest_feasible_s"] == pytest.approx(2.5 * H)
        assert facts["short_by_s"] == pytest.approx(0.5 * H)
    with pytest.raises(InputError) as caught:
        best_fixed_width(series(1, 2, 3), 0.5 * H, 2 * H, 40.0, TWO)
    assert caught.value.facts["short_by_s"] == pytest.approx(0.5 * H)


def test_a_gap_in_the_window_is_named_and_one_outside_is_not() -> None:
    assert facts_of(series(1, math.nan, 3), 0.0, 3 * H, 1.0, TWO)["short_by_s"] == pytest.approx(2 * H)
    assert facts_of(series(1, 2, 3), 0.0, 4 * H, 1.0, TWO)["short_by_s"] == pytest.approx(H)
    assert facts_of(series(1, 2, 3), -H, 3 * H, 1.0, TWO)["short_by_s"] == pytest.approx(4 * H)
    assert plan_widths(series(1, 2, math.nan), 0.0, 2 * H, 1.0, TWO).exact


def test_figures_that_cannot_be_are_named() -> None:
    assert facts_of(series(1, -2), 0.0, 2 * H, 1.0, TWO)["least"] == -2.0
    assert facts_of(series(1, math.inf), 0.0, 2 * H, 1.0, TWO)["most"] == math.inf
    assert facts_of(series(1, 2), 0.0, 2 * H, 0.0, TWO)["work"] == 0.0
    assert "work" in facts_of(series(1, 2), 0.0, 2 * H, math.nan, TWO)
    assert facts_of(series(1, 2), H, H, 1e-9, TWO)["short_by_s"] == pytest.approx(1e-9 / 20 * H)
    with pytest.raises(InputError) as caught:
        slots_of(series(1, 2), H, H)
    assert caught.value.facts["end_by_s"] == H
    assert facts_of(series(1, 2), 0.0, 2 * H, 1.0, TWO, whole_slots=True, switch_kwh=-1.0)["switch_kwh"] == -1.0
    assert facts_of(series(1, 2), 0.0, 2 * H, 1.0, TWO, switch_kwh=0.1)["switch_kwh"] == 0.1
    assert facts_of(series(1, 2), 0.0, 2 * H, 1.0, TWO, stop_when_done=True)["stop_when_done"] is True


@pytest.mark.parametrize(
    ("width", "throughput", "power", "idle", "fact"),
    [
        ((), (), (), 0.0, "widths"),
        ((1, 2), (1.0, 2.0), (5.0,), 0.0, "widths"),
        ((1, 1), (1.0, 2.0), (5.0, 6.0), 0.0, "widths"),
        ((0, 1), (0.0, 2.0), (5.0, 6.0), 0.0, "widths"),
        ((1, 2), (1.0, -2.0), (5.0, 6.0), 0.0, "throughput_per_h"),
        ((1, 2), (1.0, math.nan), (5.0, 6.0), 0.0, "throughput_per_h"),
        ((1, 2), (1.0, 2.0), (5.0, -6.0), 0.0, "power_w"),
        ((1, 2), (1.0, 2.0), (5.0, math.nan), 0.0, "power_w"),
        ((1, 2), (1.0, 2.0), (5.0, 6.0), 5.5, "power_w"),
        ((1, 2), (1.0, 2.0), (5.0, 6.0), -1.0, "idle_power_w"),
        ((1, 2), (0.0, 0.0), (5.0, 6.0), 0.0, "widths"),
    ],
)
def test_widths_that_cannot_be_are_refused(
    width: tuple[int, ...], throughput: tuple[float, ...], power: tuple[float, ...], idle: float, fact: str
) -> None:
    with pytest.raises(InputError) as caught:
        Widths(width, np.array(throughput), np.array(power), idle)
    assert fact in caught.value.facts


def test_widths_are_not_changed_from_outside() -> None:
    power_w = np.array([100.0, 300.0])
    widths = Widths((1, 2), np.array([10.0, 20.0]), power_w)
    power_w[:] = 0.0
    assert widths.power_w.tolist() == [100.0, 300.0]
    with pytest.raises(ValueError):
        widths.power_w[0] = 1.0


def test_widths_that_memory_forbids_are_left_out() -> None:
    fitting = fit_memory(TWO, [40.0, 20.0], server_gb=24.0)
    assert fitting.usable == (False, True)
    assert {run.width for run in plan_widths(series(1, 2), 0.0, 2 * H, 10.0, fitting).runs} == {2}
    with pytest.raises(InputError) as caught:
        fit_memory(fitting, [40.0, 20.0], server_gb=16.0)
    assert caught.value.facts["excluded"] == (1, 2)
    with pytest.raises(InputError) as caught:
        fit_memory(TWO, [math.nan, 20.0], server_gb=16.0)
    assert caught.value.facts["server_gb"] == 16.0
    with pytest.raises(InputError):
        fit_memory(TWO, [20.0], server_gb=16.0)


def test_a_deadline_that_only_an_excluded_width_keeps_is_not_kept() -> None:
    narrow = fit_memory(TWO, [10.0, 20.0], server_gb=16.0)
    assert facts_of(series(1, 2), 0.0, 2 * H, 30.0, narrow)["earliest_feasible_s"] == 3 * H


def test_work_by_duration_at_a_width() -> None:
    assert work_of(TWO, 2, 1.5 * H) == pytest.approx(30.0)
    with pytest.raises(InputError) as caught:
        work_of(TWO, 3, H)
    assert caught.value.facts["width"] == 3
