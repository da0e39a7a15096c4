"""Pausing with costs: small cases worked out by hand, and what is refused."""

from __future__ import annotations

import math

import numpy as np
import pytest

from lowtide.planning.solvers import pauses_batch
from lowtide.planning.solvers.pauses import PauseRules, ProgressWeight, paused_cost, plan_pauses
from lowtide.planning.solvers.pauses_batch import plan_pauses_batch
from lowtide.planning.solvers.windows import Piece, StepSeries
from lowtide_core.errors import InputError

H = 3600.0


def hours(*values: float) -> StepSeries:
    return StepSeries(0.0, H, np.array(values, dtype=float))


def spans(pieces: tuple[Piece, ...]) -> list[tuple[float, float]]:
    return [(piece.start_s / H, piece.end_s / H) for piece in pieces]


def test_a_pause_is_taken_where_it_brings_more_than_the_restart_costs() -> None:
    series = hours(1, 9, 1, 9)
    cheap = plan_pauses(series, 0, 4 * H, 2 * H, PauseRules(restart_s=7 * H))
    dear = plan_pauses(series, 0, 4 * H, 2 * H, PauseRules(restart_s=9 * H))
    assert (spans(cheap.pieces), cheap.cost / H, cheap.restarts) == ([(0, 1), (2, 3)], pytest.approx(2 + 7), 1)
    assert (spans(dear.pieces), dear.cost / H, dear.restarts) == ([(0, 2)], pytest.approx(10), 0)


def test_starts_and_the_stop_are_charged_at_their_own_steps() -> None:
    rules = PauseRules(first_start_s=H, restart_s=2 * H, stop_s=3 * H)
    plan = plan_pauses(hours(1, 50, 2, 50), 0, 4 * H, 2 * H, rules)
    assert spans(plan.pieces) == [(0, 1), (2, 3)]
    assert plan.cost / H == pytest.approx(1 + 2 + 1 * 1 + 2 * 2 + 3 * 2)


def test_no_pause_is_made_for_nothing() -> None:
    for values in ((5, 5, 5, 5, 5, 5), (0, 0, 0, 0, 0, 0)):
        plan = plan_pauses(hours(*values), 0, 6 * H, 3 * H, PauseRules(restart_s=60, max_pauses=3))
        assert spans(plan.pieces) == [(0, 3)]


def test_a_running_job_carries_on_without_a_start() -> None:
    rules = PauseRules(first_start_s=10 * H, restart_s=10 * H)
    series = hours(3, 1, 1, 1)
    fresh = plan_pauses(series, 0, 4 * H, 2 * H, rules)
    running = plan_pauses(series, 0, 4 * H, 2 * H, rules, running=True)
    assert (spans(fresh.pieces), fresh.cost / H) == ([(1, 3)], 12)
    assert (spans(running.pieces), running.cost / H, running.restarts) == ([(0, 2)], 4, 0)


def test_to_pause_a_running_job_at_once_is_a_pause() -> None:
    series = hours(9, 1, 1, 1)
    plan = plan_pauses(series, 0, 4 * H, 2 * H, PauseRules(restart_s=H), running=True)
    assert (spans(plan.pieces), plan.cost / H, plan.restarts) == ([(1, 3)], 3, 1)
    kept = plan_pauses(series, 0, 4 * H, 2 * H, PauseRules(restart_s=H, max_pauses=0), running=True)
    assert spans(kept.pieces) == [(0, 2)]


def test_a_running_job_first_completes_its_least_run() -> None:
    rules = PauseRules(min_run_s=2 * H)
    plan = plan_pauses(hours(9, 9, 1, 1, 1), 0, 5 * H, 3 * H, rules, running=True, ran_s=H)
    assert spans(plan.pieces) == [(0, 1), (2, 4)]
    free = plan_pauses(hours(9, 9, 1, 1, 1), 0, 5 * H, 3 * H, rules, running=True, ran_s=2 * H)
    assert spans(free.pieces) == [(2, 5)]


def test_a_job_shorter_than_the_least_run_is_one_run() -> None:
    plan = plan_pauses(hours(1, 9, 1), 0, 3 * H, 2 * H, PauseRules(min_run_s=3 * H))
    assert spans(plan.pieces) == [(0, 2)]
    assert plan.exact


def test_one_end_of_a_run_lies_where_the_duration_wants_it() -> None:
    plan = plan_pauses(hours(1, 9, 3, 9), 600, 4 * H - 77, 1.5 * H, PauseRules(restart_s=60))
    assert spans(plan.pieces) == [(pytest.approx(1 / 6), 1), (2, pytest.approx(2 + 2 / 3))]
    assert plan.cost == pytest.approx(3000 + 2400 * 3 + 60 * 3)


def test_the_expensive_part_of_the_work_goes_to_the_cheap_hours() -> None:
    weight = ProgressWeight((H, 3 * H), (0.1, 1.0))
    plan = plan_pauses(hours(5, 8, 1, 1), 0, 4 * H, 3 * H, PauseRules(), weight=weight)
    assert (spans(plan.pieces), plan.cost / H) == ([(0, 1), (2, 4)], pytest.approx(0.5 + 2))


def test_restarts_of_a_job_that_may_have_ended_count_less() -> None:
    weight = ProgressWeight((H, 2 * H), (1.0, 0.25), is_survival=True)
    rules = PauseRules(restart_s=4 * H, stop_s=H)
    plan = plan_pauses(hours(2, 9, 3, 9), 0, 4 * H, 2 * H, rules, weight=weight)
    # Run on: 2 + 9/4, stop 0.75 x 2 + 0.25 x 9. Pause: 2 + 3/4, resume 4 x 3 x 0.25, stop 0.75 x 2 + 0.25 x 3.
    assert (spans(plan.pieces), plan.cost / H) == ([(0, 2)], 2 + 9 / 4 + 1.5 + 9 / 4)
    cheaper = plan_pauses(hours(2, 9, 3, 9), 0, 4 * H, 2 * H, PauseRules(restart_s=1.5 * H), weight=weight)
    assert (spans(cheaper.pieces), cheaper.cost / H) == ([(0, 1), (2, 3)], pytest.approx(2 + 3 / 4 + 1.5 * 3 / 4))


def test_the_weight_of_what_is_left() -> None:
    weight = ProgressWeight((100.0, 300.0, 400.0), (0.8, 0.4, 0.1), is_survival=True)
    assert weight.after(100.0) == ProgressWeight((200.0, 300.0), (1.0, 0.25), is_survival=True)
    assert weight.after(50.0) == ProgressWeight((50.0, 250.0, 350.0), (1.0, 0.5, 0.125), is_survival=True)
    # half of the first stretch is done: the chance there is between its ends, and no chance is above 1
    assert weight.after(50.0, still=0.75).factors == (1.0, 0.4 / 0.75, 0.1 / 0.75)
    assert weight.after(50.0, still=0.95).factors == (0.8 / 0.95, 0.4 / 0.95, 0.1 / 0.95)
    assert weight.after(50.0, still=0.0) == weight.after(50.0)
    with pytest.raises(InputError) as refused:
        weight.after(50.0, still=math.nan)
    assert math.isnan(refused.value.facts["still"])
    plain = ProgressWeight((100.0, 300.0), (2.0, 1.0))
    assert plain.after(1000.0).at(np.array([0.0, 10.0])).tolist() == [1.0, 1.0]
    assert plain.integral_s(np.array([0.0, 50.0, 200.0, 500.0])).tolist() == [0.0, 100.0, 300.0, 600.0]


def test_the_rules_of_what_is_left() -> None:
    rules = PauseRules(first_start_s=5.0, restart_s=2.0, max_pauses=3)
    assert rules.after_pauses(2) == PauseRules(first_start_s=2.0, restart_s=2.0, max_pauses=1)
    with pytest.raises(InputError) as refused:
        rules.after_pauses(4)
    assert refused.value.facts["max_pauses"] == -1


def test_an_odd_second_makes_a_least_run_inexact_with_a_bound() -> None:
    values = np.random.default_rng(1).uniform(50, 500, 200)
    series = StepSeries(0.0, H, values)
    rules = PauseRules(H, H, min_run_s=2 * H)
    plan = plan_pauses(series, 1234.0, 190 * H + 77, 60 * H, rules)
    assert not plan.exact
    assert plan.bound <= plan.cost
    on_the_hour = plan_pauses(series, H, 190 * H, 60 * H, rules)
    assert on_the_hour.exact
    assert plan.cost <= on_the_hour.cost * (1 + 1e-9)
    assert all(piece.end_s - piece.start_s >= 2 * H - 1e-6 for piece in plan.pieces)


def test_an_old_plan_under_a_new_forecast() -> None:
    rules = PauseRules(first_start_s=H, restart_s=2 * H)
    old = (Piece(0.5 * H, H), Piece(2 * H, 3 * H))
    series = hours(4, 1, 2)
    assert paused_cost(series, old, rules) / H == 2 + 2 + 4 + 2 * 2
    assert paused_cost(series, old, rules, running_at_s=0.5 * H) / H == 2 + 2 + 2 * 2
    assert paused_cost(series, old, rules, running_at_s=0.0) / H == 2 + 2 + 2 * 4 + 2 * 2
    assert math.isnan(paused_cost(series, (*old, Piece(3 * H, 4 * H)), rules))
    assert math.isnan(paused_cost(hours(4, 1, math.nan), old, rules))


@pytest.mark.parametrize(
    ("rules", "fact"),
    [
        ({"restart_s": -1.0}, "restart_s"),
        ({"first_start_s": math.nan}, "first_start_s"),
        ({"stop_s": math.inf}, "stop_s"),
        ({"min_run_s": -1.0}, "min_run_s"),
        ({"max_pauses": -1}, "max_pauses"),
    ],
)
def test_rules_that_cannot_be(rules: dict[str, float], fact: str) -> None:
    with pytest.raises(InputError) as refused:
        PauseRules(**rules)  # type: ignore[arg-type]
    assert fact in refused.value.facts


@pytest.mark.parametrize(
    ("until_s", "factors", "is_survival", "fact"),
    [
        ((), (), False, "until_s"),
        ((1.0, 1.0), (1.0, 1.0), False, "until_s"),
        ((1.0,), (1.0, 2.0), False, "until_s"),
        ((math.inf,), (1.0,), False, "until_s"),
        ((1.0,), (-1.0,), False, "factor"),
        ((1.0, 2.0), (0.5, 0.6), True, "factors"),
    ],
)
def test_weights_that_cannot_be(
    until_s: tuple[float, ...], factors: tuple[float, ...], is_survival: bool, fact: str
) -> None:
    with pytest.raises(InputError) as refused:
        ProgressWeight(until_s, factors, is_survival)
    assert fact in refused.value.facts


def test_windows_that_cannot_be() -> None:
    rules = PauseRules(restart_s=60)
    with pytest.raises(InputError) as refused:
        plan_pauses(hours(1, 2, 3), 0, 2 * H, 3 * H, rules)
    assert refused.value.facts["short_by_s"] == H
    with pytest.raises(InputError) as refused:
        plan_pauses(hours(1, math.nan, 3), 0, 3 * H, H, rules)
    assert refused.value.facts["short_by_s"] == 2 * H
    with pytest.raises(InputError) as refused:
        plan_pauses(hours(1, -2, 3), 0, 3 * H, H, rules)
    assert refused.value.facts["step"] == 1
    with pytest.raises(InputError) as refused:
        plan_pauses(hours(1, 2, 3), 0, 3 * H, H, rules, running=True, ran_s=-1)
    assert refused.value.facts["ran_s"] == -1


@pytest.mark.parametrize("restart", [0.5, np.linspace(0.5, 0.6, 1470)])
def test_a_batch_of_one_shape_is_more_than_one_chunk(
    restart: float | np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = np.random.default_rng(2).uniform(50, 500, 1500)
    starts = np.arange(2940) % 1470
    restarts = np.broadcast_to(restart, 1470)
    together = plan_pauses_batch(values, starts, 30, 20, np.tile(restarts, 2), 0.25)
    assert together.cost[1470:].tolist() == together.cost[:1470].tolist()
    monkeypatch.setattr(pauses_batch, "_CACHE_BYTES", 1)
    chunks = plan_pauses_batch(values, starts, 30, 20, np.tile(restarts, 2), 0.25)
    assert chunks.cost.tolist() == together.cost.tolist()
    assert chunks.runs.tolist() == together.runs.tolist()
    for job in (0, 17, 700, 1469):
        rules = PauseRules(0.25, float(restarts[job]))
        alone = plan_pauses(StepSeries(0.0, 1.0, values), job, job + 30, 20, rules)
        assert chunks.cost[job] == pytest.approx(alone.cost, rel=1e-12)
        assert chunks.restarts[job] == alone.restarts


@pytest.mark.parametrize(
    ("changed", "fact", "value"),
    [
        ({"run_steps": [1, 5]}, "job", 1),
        ({"run_steps": [0, 1]}, "job", 0),
        ({"start_steps": [0, 3]}, "job", 1),
        ({"start_steps": [-1, 0]}, "job", 0),
        ({"values": [1.0, 2.0, 3.0, 4.0, math.nan, 6.0]}, "job", 1),
        ({"values": [-1.0, 2.0, 3.0, 4.0, 5.0, 6.0]}, "job", 0),
        ({"run_steps": 1.5}, "name", "run_steps"),
        ({"window_steps": [4, 4, 4]}, "name", "window_steps"),
        ({"restart_steps": -1.0}, "name", "restart_steps"),
        ({"first_start_steps": [0.0, math.nan]}, "name", "first_start_steps"),
    ],
)
def test_batches_that_cannot_be(changed: dict[str, object], fact: str, value: object) -> None:
    given = {
        "values": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0],
        "start_steps": [0, 2],
        "window_steps": 4,
        "run_steps": 2,
        "restart_steps": 0.5,
        "first_start_steps": 0.5,
    }
    with pytest.raises(InputError) as refused:
        plan_pauses_batch(**{**given, **changed})  # type: ignore[arg-type]
    assert refused.value.facts[fact] == value


def test_jobs_that_pay_differently_share_nothing_and_values_outside_of_windows_are_not_looked_at() -> None:
    values = np.random.default_rng(3).uniform(50, 500, 200)
    values[:9], values[-9:] = math.nan, math.inf
    starts = np.arange(9, 200 - 9 - 30 + 1)
    even = plan_pauses_batch(values, starts, 30, 12, 0.5, 0.25)
    for job in (0, 1, 60, starts.size - 1):
        alone = plan_pauses_batch(values, starts[job], 30, 12, 0.5, 0.25)
        assert even.runs[job].tolist() == alone.runs[0].tolist()
        assert even.cost[job] == pytest.approx(alone.cost[0], rel=1e-12)
    restarts = np.linspace(0, 1, starts.size)
    uneven = plan_pauses_batch(values, starts, 30, 12, restarts, 0.25, 0.125)
    for job in (0, 60, starts.size - 1):
        alone = plan_pauses_batch(values, starts[job], 30, 12, restarts[job], 0.25, 0.125)
        assert uneven.cost[job] == alone.cost[0]
        assert uneven.runs[job].tolist() == alone.runs[0].tolist()


def test_a_batch_of_no_jobs() -> None:
    plans = plan_pauses_batch(np.ones(5), np.array([], dtype=int), 4, 2, 0.5, 0.5)
    assert plans.cost.shape == plans.restarts.shape == (0,)
