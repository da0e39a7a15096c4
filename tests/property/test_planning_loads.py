"""Loads against plain sums over whole microseconds: no prefix sums, no slopes, no arrays."""

from __future__ import annotations

import os
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lowtide.planning.solvers.loads import Load, best_load
from lowtide.planning.solvers.windows import StepSeries, best_window

MANY = settings(max_examples=int(os.environ.get("LOWTIDE_EXAMPLES", "300")), deadline=None)
START_S = 1_700_000_000 // 3600 * 3600
MICRO = 1_000_000


class Case(NamedTuple):
    """Whole seconds from the start of the series."""

    values: list[int]
    step_s: int
    earliest_s: int
    end_by_s: int
    edges_s: list[int]
    weight: list[int]
    setup_s: int
    teardown_s: int

    @property
    def latest_s(self) -> int:
        return self.end_by_s - self.edges_s[-1]

    def series(self) -> StepSeries:
        return StepSeries(float(START_S), float(self.step_s), np.array(self.values, dtype=float))

    def load(self) -> Load:
        return Load(np.array(self.edges_s, float), np.array(self.weight, float), self.setup_s, self.teardown_s)

    def window_s(self) -> tuple[float, float]:
        return START_S + float(self.earliest_s), START_S + float(self.end_by_s)


@st.composite
def cases(draw: st.DrawFn, impulses: bool = True) -> Case:
    step_s = draw(st.sampled_from([300, 1800, 3600, 7]))
    values = draw(st.lists(st.integers(0, 900), min_size=1, max_size=6))
    total_s = step_s * len(values)
    grain_s = draw(st.sampled_from([step_s, 1]))
    earliest_s = draw(st.integers(0, (total_s - grain_s) // grain_s)) * grain_s
    end_by_s = draw(st.integers(earliest_s // grain_s + 1, total_s // grain_s)) * grain_s
    room = (end_by_s - earliest_s) // grain_s
    ends = sorted(draw(st.sets(st.integers(1, room), min_size=1, max_size=3)))
    weight = draw(st.lists(st.integers(0, 9), min_size=len(ends), max_size=len(ends)))
    setup_s, teardown_s = (draw(st.sampled_from([0, 0, 60, 5000])) if impulses else 0 for _ in range(2))
    edges_s = [0, *(grain_s * end for end in ends)]
    return Case(values, step_s, earliest_s, end_by_s, edges_s, weight, setup_s, teardown_s)


def brute_cost(case: Case, start_us: int) -> int:
    """Value x weight x microseconds, from a start in whole microseconds."""
    total = 0
    for weight, begin_s, end_s in zip(case.weight, case.edges_s, case.edges_s[1:], strict=False):
        for step, value in enumerate(case.values):
            low = max(start_us + begin_s * MICRO, step * case.step_s * MICRO)
            high = min(start_us + end_s * MICRO, (step + 1) * case.step_s * MICRO)
            total += weight * value * max(0, high - low)
    step_us, end_us = case.step_s * MICRO, start_us + case.edges_s[-1] * MICRO
    at_start = case.values[min(start_us // step_us, len(case.values) - 1)]
    at_end = case.values[(end_us - 1) // step_us]
    return total + MICRO * (case.setup_s * at_start + case.teardown_s * at_end)


def stops_us(case: Case) -> set[int]:
    """Where an edge of the load meets an edge of the series, and the two ends of what is allowed."""
    stops = {MICRO * (step * case.step_s - edge_s) for step in range(len(case.values) + 1) for edge_s in case.edges_s}
    ends = {MICRO * case.earliest_s, MICRO * case.latest_s}
    return ends | {stop for stop in stops if MICRO * case.earliest_s <= stop <= MICRO * case.latest_s}


def candidate_starts_us(case: Case) -> set[int]:
    """Where an edge of the load meets an edge of the series, a microsecond to both sides of it, and a coarse sweep."""
    kinks = {step * case.step_s - edge_s for step in range(len(case.values) + 1) for edge_s in case.edges_s}
    kinks |= {case.earliest_s, case.latest_s}
    near = {MICRO * kink + aside for kink in kinks for aside in (-1, 0, 1)}
    span_us = MICRO * (case.latest_s - case.earliest_s)
    sweep = {MICRO * case.earliest_s + span_us * part // 7 for part in range(8)}
    return {start for start in near | sweep if MICRO * case.earliest_s <= start <= MICRO * case.latest_s}


@MANY
@given(cases())
def test_the_best_load_equals_brute_force(case: Case) -> None:
    costs = {start_us: brute_cost(case, start_us) for start_us in stops_us(case)}
    least = min(costs.values())

    found = best_load(case.series(), *case.window_s(), case.load())

    slip = 1e-6
    assert found.cost == pytest.approx(least / MICRO, rel=1e-11, abs=slip)
    assert round((found.start_s - START_S) * MICRO) in costs
    assert found.end_s - found.start_s == pytest.approx(case.edges_s[-1], abs=1e-6)
    assert case.earliest_s <= found.start_s - START_S
    assert found.end_s - START_S <= case.end_by_s + 1e-6


@MANY
@given(cases(impulses=False))
def test_without_impulses_it_is_exact_and_the_earliest(case: Case) -> None:
    costs = {start_us: brute_cost(case, start_us) for start_us in candidate_starts_us(case)}
    least = min(costs.values())
    found = best_load(case.series(), *case.window_s(), case.load())
    found_us = round((found.start_s - START_S) * MICRO)
    assert brute_cost(case, found_us) == least
    assert found.cost == pytest.approx(least / MICRO, rel=1e-12, abs=1e-9)
    assert all(cost > least for start_us, cost in costs.items() if start_us < found_us)


@MANY
@given(cases(), st.integers(0, 10**9))
def test_the_cost_from_any_start_equals_brute_force(case: Case, part: int) -> None:
    span_us = MICRO * (case.latest_s - case.earliest_s)
    start_s = case.earliest_s + (span_us * part // 10**9) // MICRO
    only_s = START_S + float(start_s)
    found = best_load(case.series(), only_s, only_s + case.edges_s[-1], case.load())
    assert found.cost == pytest.approx(brute_cost(case, MICRO * start_s) / MICRO, rel=1e-12, abs=1e-9)


@MANY
@given(cases(impulses=False))
def test_constant_power_is_the_best_window(case: Case) -> None:
    found = best_load(case.series(), *case.window_s(), Load.constant(float(case.edges_s[-1])))
    assert (found.start_s, found.end_s) == best_window(case.series(), *case.window_s(), float(case.edges_s[-1]))


@MANY
@given(cases(), st.integers(1, 9), st.integers(0, 300))
def test_scaling_values_shifting_time_and_adding_a_constant(case: Case, factor: int, constant: int) -> None:
    plain = best_load(case.series(), *case.window_s(), case.load())
    scaled = case._replace(values=[factor * value for value in case.values])
    again = best_load(scaled.series(), *scaled.window_s(), scaled.load())
    assert (again.start_s, again.cost) == (plain.start_s, pytest.approx(factor * plain.cost, rel=1e-11, abs=1e-9))
    later = StepSeries(START_S + 86400.0, float(case.step_s), np.array(case.values, dtype=float))
    moved = best_load(later, *(time_s + 86400.0 for time_s in case.window_s()), case.load())
    assert (moved.start_s - 86400.0, moved.cost) == (plain.start_s, pytest.approx(plain.cost, rel=1e-11, abs=1e-9))
    raised = case._replace(values=[constant + value for value in case.values])
    spent_s = sum(w * (b - a) for w, a, b in zip(case.weight, case.edges_s, case.edges_s[1:], strict=False))
    spent_s += case.setup_s + case.teardown_s
    dearer = best_load(raised.series(), *raised.window_s(), raised.load())
    assert dearer.cost == pytest.approx(plain.cost + constant * spent_s, rel=1e-11, abs=1e-9)


@MANY
@given(cases(), st.integers(1, 7200), st.integers(0, 7), st.integers(0, 900))
def test_a_longer_deadline_and_a_cheaper_step_never_cost_more(case: Case, less_s: int, at: int, less: int) -> None:
    case = case._replace(setup_s=0, teardown_s=0)  # with them a later deadline brings other stops, not more of them
    wide = best_load(case.series(), *case.window_s(), case.load())
    tight = case._replace(end_by_s=max(case.earliest_s + case.edges_s[-1], case.end_by_s - less_s))
    slip = 4e-6 * 9 * max(case.values)
    assert wide.cost <= best_load(tight.series(), *tight.window_s(), case.load()).cost + slip
    values = list(case.values)
    values[at % len(values)] = max(0, values[at % len(values)] - less)
    cheaper = case._replace(values=values)
    assert best_load(cheaper.series(), *cheaper.window_s(), cheaper.load()).cost <= wide.cost + slip


@MANY
@given(cases(impulses=False), st.lists(st.integers(0, 9), min_size=4, max_size=4))
def test_a_power_that_changes_in_straight_lines_equals_many_short_steps(case: Case, ends: list[int]) -> None:
    load = Load(
        np.array(case.edges_s, float),
        np.array(case.weight, float),
        end_weight=np.array(ends[: len(case.weight)], float),
    )

    def brute(start_s: float) -> float:
        total = 0.0
        for first, last, begin_s, end_s in zip(load.weight, ends, case.edges_s, case.edges_s[1:], strict=False):
            for step, value in enumerate(case.values):
                low_s = max(start_s + begin_s, step * case.step_s)
                high_s = min(start_s + end_s, (step + 1) * case.step_s)
                if high_s > low_s:
                    middle = ((low_s + high_s) / 2 - start_s - begin_s) / (end_s - begin_s)
                    total += value * (high_s - low_s) * (first + (last - first) * middle)
        return total

    kinks = sorted(start_us / MICRO for start_us in candidate_starts_us(case) if start_us % MICRO == 0)
    least = float("inf")
    for low_s, high_s in zip(kinks, [*kinks[1:], kinks[-1]], strict=True):  # three points tell a parabola
        left, middle, right = (brute(low_s + (high_s - low_s) * part) for part in (0.0, 0.5, 1.0))
        square, slope = 2 * (left - 2 * middle + right), 4 * middle - 3 * left - right
        foot = min(1.0, max(0.0, -slope / (2 * square))) if square > 0 else 0.0
        least = min(least, left, right, brute(low_s + (high_s - low_s) * foot))

    found = best_load(case.series(), *case.window_s(), load)
    assert found.cost == pytest.approx(least, rel=1e-9, abs=1e-6)
    assert found.cost == pytest.approx(brute(found.start_s - START_S), rel=1e-9, abs=1e-2)
