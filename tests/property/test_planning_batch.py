"""Arrays of jobs against a brute force in whole seconds and exact fractions: no running sums, no ranks."""

from __future__ import annotations

import math
import os
from fractions import Fraction
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lowtide.planning.solvers.batch import find_cheapest, find_windows, slide_cheapest, slide_windows
from lowtide.planning.solvers.ranks import rank_steps
from lowtide.planning.solvers.single import find_pieces, find_window
from lowtide.planning.solvers.steps import PreparedSeries, StepSeries, prepare
from lowtide_core.errors import InputError

EXAMPLES = int(os.environ.get("LOWTIDE_EXAMPLES", "150"))
START_S = 1_700_000_000 // 3600 * 3600

Value = int | None
"""Tenths; None is a gap. Tenths have no exact float, so equal windows are only equal if sums do not round."""


class Job(NamedTuple):
    """Whole seconds from the start of the series."""

    begin_s: int
    end_s: int
    duration_s: int


class Case(NamedTuple):
    values: list[Value]
    step_s: int
    jobs: list[Job]

    def prepared(self) -> PreparedSeries:
        values = [math.nan if value is None else value / 10 for value in self.values]
        return prepare(StepSeries(float(START_S), float(self.step_s), np.array(values)))

    def times_s(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        begin_s, end_s, duration_s = (np.array(column, dtype=float) for column in zip(*self.jobs, strict=True))
        return START_S + begin_s, START_S + end_s, duration_s


@st.composite
def cases(draw: st.DrawFn) -> Case:
    step_s = 60 * draw(st.sampled_from([5, 30, 60]))
    value = st.integers(0, 40) if draw(st.booleans()) else st.integers(0, 9000)  # many equals, or few
    values: list[Value] = list(draw(st.lists(value, min_size=1, max_size=16)))
    if draw(st.integers(0, 3)) == 0:
        values[draw(st.integers(0, len(values) - 1))] = None
    return Case(values, step_s, draw(st.lists(jobs(step_s, len(values)), min_size=1, max_size=6)))


@st.composite
def jobs(draw: st.DrawFn, step_s: int, steps: int) -> Job:
    """On steps, or inside them; now and then before the series, after it, or longer than its window."""
    grain_s = draw(st.sampled_from([step_s, 60, 1]))
    most = step_s * steps // grain_s
    begin = draw(st.integers(0, most - 1))
    end = draw(st.integers(begin + 1, most))
    duration = draw(st.integers(1, end - begin))
    astray = draw(st.integers(0, 9))
    if astray == 0:
        begin -= most
    elif astray == 1:
        end += most
    elif astray == 2:
        duration += end - begin
    return Job(begin * grain_s, end * grain_s, duration * grain_s)


def inside_s(case: Case, step: int, begin_s: int, end_s: int) -> int:
    return max(0, min(end_s, (step + 1) * case.step_s) - max(begin_s, step * case.step_s))


def is_possible(case: Case, job: Job) -> bool:
    if job.begin_s < 0 or job.end_s > case.step_s * len(case.values) or job.duration_s > job.end_s - job.begin_s:
        return False
    return all(
        value is not None or not inside_s(case, step, job.begin_s, job.end_s) for step, value in enumerate(case.values)
    )


def cost(case: Case, begin_s: int, duration_s: int) -> int:
    return sum(
        value * inside_s(case, step, begin_s, begin_s + duration_s)
        for step, value in enumerate(case.values)
        if value is not None
    )


def best_start_s(case: Case, job: Job) -> int:
    """The cost is linear between kinks; a sweep of other starts guards that."""
    edges = [case.step_s * step for step in range(len(case.values) + 1)]
    latest_s = job.end_s - job.duration_s
    sweep = [job.begin_s + (latest_s - job.begin_s) * part // 7 for part in range(8)]
    starts = {*sweep, latest_s, *edges, *(edge - job.duration_s for edge in edges)}
    return min((cost(case, start, job.duration_s), start) for start in starts if job.begin_s <= start <= latest_s)[1]


def least_cost(case: Case, job: Job) -> int:
    left_s, total = job.duration_s, 0
    rooms = ((value, inside_s(case, step, job.begin_s, job.end_s)) for step, value in enumerate(case.values))
    for value, room_s in sorted((value, room_s) for value, room_s in rooms if value is not None):
        total += value * min(left_s, room_s)
        left_s -= min(left_s, room_s)
    return total


def is_mean(found: float, total: int, duration_s: int) -> bool:
    return abs(Fraction(found) - Fraction(total, 10 * duration_s)) <= Fraction(total, 10 * duration_s) / 10**14


@settings(max_examples=EXAMPLES, deadline=None)
@given(cases())
def test_windows_of_jobs_equal_brute_force(case: Case) -> None:
    plans = find_windows(case.prepared(), *case.times_s())
    assert plans.planned.tolist() == [is_possible(case, job) for job in case.jobs]
    for at in np.flatnonzero(plans.planned):
        job = case.jobs[at]
        best_s = best_start_s(case, job)
        assert plans.start_s[at] == START_S + best_s
        assert is_mean(plans.mean[at], cost(case, best_s, job.duration_s), job.duration_s)
        assert is_mean(plans.mean_at_once[at], cost(case, job.begin_s, job.duration_s), job.duration_s)
    astray = ~plans.planned
    assert np.isnan([plans.start_s[astray], plans.mean[astray], plans.mean_at_once[astray]]).all()


@settings(max_examples=EXAMPLES, deadline=None)
@given(cases())
def test_cheapest_steps_of_jobs_equal_brute_force(case: Case) -> None:
    plans = find_cheapest(rank_steps(case.prepared()), *case.times_s())
    assert plans.planned.tolist() == [is_possible(case, job) for job in case.jobs]
    for at in np.flatnonzero(plans.planned):
        job = case.jobs[at]
        least = least_cost(case, job)
        assert is_mean(plans.mean[at], least, job.duration_s)
        assert is_mean(plans.mean_at_once[at], cost(case, job.begin_s, job.duration_s), job.duration_s)
        pieces = [(round(start - START_S), round(end - START_S)) for start, end in plans.pieces(int(at))]
        assert sum(end - start for start, end in pieces) == job.duration_s
        assert sum(cost(case, start, end - start) for start, end in pieces) == least
        assert job.begin_s <= pieces[0][0]
        assert pieces[-1][1] <= job.end_s
    assert np.isnan([plans.mean[~plans.planned], plans.mean_at_once[~plans.planned]]).all()


@settings(max_examples=EXAMPLES, deadline=None)
@given(cases())
def test_many_jobs_are_planned_as_each_alone(case: Case) -> None:
    series = case.prepared()
    windows, cheapest = find_windows(series, *case.times_s()), find_cheapest(rank_steps(series), *case.times_s())
    for at, times_s in enumerate(zip(*case.times_s(), strict=True)):
        if not windows.planned[at]:
            with pytest.raises(InputError) as error:
                find_window(series, *times_s)
            assert error.value.facts["short_by_s"] > 0
            with pytest.raises(InputError):
                cheapest.pieces(at)
            continue
        window, pieces = find_window(series, *times_s), find_pieces(series, *times_s)
        assert window.start_s == windows.start_s[at]
        assert window.mean == pytest.approx(windows.mean[at], rel=1e-14)
        assert window.mean_at_once == pytest.approx(windows.mean_at_once[at], rel=1e-14)
        assert pieces.mean == pytest.approx(cheapest.mean[at], rel=1e-14)
        assert pieces.mean <= window.mean * (1 + 1e-14)
        assert window.saved_share == pytest.approx(windows.saved_share[at], abs=1e-13)
        assert pieces.saved_share == pytest.approx(cheapest.saved_share[at], abs=1e-13)


@settings(max_examples=EXAMPLES, deadline=None)
@given(cases(), st.integers(1, 6), st.integers(0, 12), st.sampled_from([0, 0, 600, 7]), st.sampled_from([0, 0, 60, 11]))
def test_every_start_equals_brute_force(case: Case, length: int, slack: int, more_s: int, later_s: int) -> None:
    duration_s, slack_s = length * case.step_s + more_s, slack * case.step_s + later_s
    series, total_s = case.prepared(), case.step_s * len(case.values)
    if duration_s + slack_s > total_s:
        with pytest.raises(InputError) as error:
            slide_windows(series, duration_s, slack_s)
        assert error.value.facts["short_by_s"] == duration_s + slack_s - total_s
        return
    windows = slide_windows(series, duration_s, slack_s)
    cheapest = slide_cheapest(rank_steps(series), duration_s, slack_s)
    assert windows.planned.size == cheapest.planned.size == (total_s - duration_s - slack_s) // case.step_s + 1
    for start in range(windows.planned.size):
        job = Job(start * case.step_s, start * case.step_s + duration_s + slack_s, duration_s)
        assert windows.planned[start] == cheapest.planned[start] == is_possible(case, job)
        if windows.planned[start]:
            assert windows.start_s[start] == START_S + best_start_s(case, job)
            assert is_mean(windows.mean[start], cost(case, best_start_s(case, job), duration_s), duration_s)
            assert is_mean(windows.mean_at_once[start], cost(case, job.begin_s, duration_s), duration_s)
            assert is_mean(cheapest.mean[start], least_cost(case, job), duration_s)
        else:
            assert np.isnan([windows.start_s[start], windows.mean[start], windows.mean_at_once[start]]).all()


@settings(max_examples=EXAMPLES, deadline=None)
@given(cases(), st.integers(0, 7200), st.integers(2, 9), st.data())
def test_more_freedom_and_cheaper_steps_never_cost_more(
    case: Case, later_s: int, factor: int, data: st.DataObject
) -> None:
    earliest_s, end_by_s, duration_s = case.times_s()
    series = case.prepared()
    step = data.draw(st.integers(0, len(case.values) - 1))
    cut = case._replace(values=[*case.values[:step], case.values[step] and 0, *case.values[step + 1 :]])
    scaled = case._replace(values=[value and value * factor for value in case.values])
    for plan in (
        lambda at, end_s: find_windows(at, earliest_s, end_s, duration_s),
        lambda at, end_s: find_cheapest(rank_steps(at), earliest_s, end_s, duration_s),
    ):
        plain = plan(series, end_by_s)
        later = plan(series, end_by_s + later_s)
        both = plain.planned & later.planned
        assert (later.mean[both] <= plain.mean[both] * (1 + 1e-14)).all()
        cheaper = plan(cut.prepared(), end_by_s)
        assert (cheaper.mean[plain.planned] <= plain.mean[plain.planned] * (1 + 1e-14)).all()
        larger = plan(scaled.prepared(), end_by_s)
        np.testing.assert_allclose(larger.mean, factor * plain.mean, rtol=1e-14)
    moved = find_windows(prepare(series.series._replace(start_s=START_S + 86400.0)), *(
        earliest_s + 86400, end_by_s + 86400, duration_s
    ))  # fmt: skip
    np.testing.assert_array_equal(moved.start_s, find_windows(series, earliest_s, end_by_s, duration_s).start_s + 86400)
