"""Every solver against a brute force that shares no code with it: plain Python, exact fractions, no prefix sums."""

from __future__ import annotations

import os
from fractions import Fraction
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from lowtide.planning.solvers.single import find_pieces, find_window
from lowtide.planning.solvers.steps import prepare
from lowtide.planning.solvers.windows import Piece, StepSeries, best_pieces, best_window, mean_over

EXAMPLES = int(os.environ.get("LOWTIDE_EXAMPLES", "300"))
START_S = 1_700_000_000 // 3600 * 3600


@st.composite
def cases(draw: st.DrawFn) -> tuple[list[int], int, int, int, int]:
    """Values per step, the step, and earliest, end and duration in whole seconds from the series' start."""
    step_s = 60 * draw(st.sampled_from([5, 15, 30, 60]))
    values = draw(st.lists(st.integers(0, 900), min_size=1, max_size=24))
    total_s = step_s * len(values)
    grain_s = draw(st.sampled_from([step_s, 60, 1]))  # on the steps, part steps of minutes, part steps of seconds
    earliest_s = draw(st.integers(0, (total_s - grain_s) // grain_s)) * grain_s
    end_s = draw(st.integers(earliest_s // grain_s + 1, total_s // grain_s)) * grain_s
    duration_s = draw(st.integers(1, (end_s - earliest_s) // grain_s)) * grain_s
    if draw(st.booleans()):
        end_s = total_s  # the deadline exactly at the end of the series
        duration_s = min(duration_s, end_s - earliest_s)
    return values, step_s, earliest_s, end_s, duration_s


def brute_mean(values: list[int], step_s: int, start_s: int, duration_s: int) -> Fraction:
    total = Fraction(0)
    for index, value in enumerate(values):
        inside = min(start_s + duration_s, (index + 1) * step_s) - max(start_s, index * step_s)
        total += value * max(0, inside)
    return total / duration_s


def series_of(values: list[int], step_s: int) -> StepSeries:
    return StepSeries(float(START_S), float(step_s), np.array(values, dtype=float))


@settings(max_examples=EXAMPLES, deadline=None)
@given(cases())
def test_best_window_equals_brute_force(case: tuple[list[int], int, int, int, int]) -> None:
    values, step_s, earliest_s, end_s, duration_s = case
    # Between two kinks the cost is linear, so the least lies on a kink; a coarse sweep of other starts guards that.
    kinks = {earliest_s, end_s - duration_s}
    kinks |= {k * step_s for k in range(len(values) + 1)} | {k * step_s - duration_s for k in range(len(values) + 1)}
    sweep = {earliest_s + (end_s - duration_s - earliest_s) * part // 17 for part in range(18)}
    starts = [s for s in kinks | sweep if earliest_s <= s <= end_s - duration_s]
    least = min(brute_mean(values, step_s, start, duration_s) for start in starts)

    found = best_window(series_of(values, step_s), START_S + earliest_s, START_S + end_s, duration_s)

    assert found.end_s - found.start_s == duration_s
    assert earliest_s <= found.start_s - START_S
    assert found.end_s - START_S <= end_s
    own = brute_mean(values, step_s, round(found.start_s - START_S), duration_s)
    assert abs(own - least) <= Fraction(1, 10**7)
    earlier = [s for s in starts if s < found.start_s - START_S]
    assert all(brute_mean(values, step_s, start, duration_s) > least for start in earlier), "the earliest of equals"
    assert mean_over(series_of(values, step_s), (found,)) == float(own) or abs(
        mean_over(series_of(values, step_s), (found,)) - float(own)
    ) <= 1e-9 * max(1.0, float(own))


@settings(max_examples=EXAMPLES, deadline=None)
@given(cases())
def test_best_pieces_equal_the_cheapest_seconds(case: tuple[list[int], int, int, int, int]) -> None:
    values, step_s, earliest_s, end_s, duration_s = case
    room = []
    for index, value in enumerate(values):
        inside = min(end_s, (index + 1) * step_s) - max(earliest_s, index * step_s)
        if inside > 0:
            room.append((value, inside))
    left, total = duration_s, 0
    for value, inside in sorted(room):
        taken = min(left, inside)
        total += value * taken
        left -= taken

    pieces = best_pieces(series_of(values, step_s), START_S + earliest_s, START_S + end_s, duration_s)

    assert sum(piece.end_s - piece.start_s for piece in pieces) == duration_s
    assert pieces[0].start_s >= START_S + earliest_s
    assert pieces[-1].end_s <= START_S + end_s
    assert all(a.end_s < b.start_s for a, b in pairwise(pieces))
    assert abs(mean_over(series_of(values, step_s), pieces) * duration_s - total) <= 1e-6 * max(1, total)


@settings(max_examples=EXAMPLES, deadline=None)
@given(cases(), st.integers(1, 50), st.integers(0, 400))
def test_scaling_shifting_and_adding_a_constant_move_no_window(
    case: tuple[list[int], int, int, int, int], factor: int, constant: int
) -> None:
    values, step_s, earliest_s, end_s, duration_s = case
    plain = best_window(series_of(values, step_s), START_S + earliest_s, START_S + end_s, duration_s)
    other = [factor * value + constant for value in values]
    assert best_window(series_of(other, step_s), START_S + earliest_s, START_S + end_s, duration_s) == plain
    shifted = StepSeries(START_S + 86400.0, float(step_s), np.array(values, dtype=float))
    moved = best_window(shifted, START_S + 86400 + earliest_s, START_S + 86400 + end_s, duration_s)
    assert moved == Piece(plain.start_s + 86400, plain.end_s + 86400)


@settings(max_examples=EXAMPLES, deadline=None)
@given(cases(), st.integers(1, 7200))
def test_more_slack_never_costs_more(case: tuple[list[int], int, int, int, int], less_s: int) -> None:
    values, step_s, earliest_s, end_s, duration_s = case
    series = series_of(values, step_s)
    tight_end_s = max(earliest_s + duration_s, end_s - less_s)
    tight = best_window(series, START_S + earliest_s, START_S + tight_end_s, duration_s)
    wide = best_window(series, START_S + earliest_s, START_S + end_s, duration_s)
    assert mean_over(series, (wide,)) <= mean_over(series, (tight,)) * (1 + 1e-12)


class FloatCase(NamedTuple):
    """Anything that a forecaster may give: values of many magnitudes, times in millionths of a second; s."""

    values: list[float]
    step_s: float
    earliest_s: float
    end_s: float
    duration_s: float


@st.composite
def float_cases(draw: st.DrawFn) -> FloatCase:
    value = st.floats(0, 900) | st.sampled_from([0.0, 1e-9, 123.4, 1 / 3, 1e6])
    values = draw(st.lists(value, min_size=1, max_size=12))
    step_s = draw(st.sampled_from([300.0, 1800.0, 3600.0, 0.7]))
    total_s = step_s * len(values)
    first, last = sorted((draw(st.integers(0, 999)), draw(st.integers(0, 999))))
    earliest_s, end_s = total_s * first / 1000, total_s * (last + 1) / 1000
    duration_s = (end_s - earliest_s) * draw(st.integers(1, 1000)) / 1000
    return FloatCase(values, step_s, *(round(seconds, 6) for seconds in (earliest_s, end_s, duration_s)))


def exact_cost(case: FloatCase, start_s: Fraction, end_s: Fraction) -> Fraction:
    step = Fraction(case.step_s)
    return sum(
        (
            Fraction(value) * max(Fraction(0), min(end_s, (index + 1) * step) - max(start_s, index * step))
            for index, value in enumerate(case.values)
        ),
        Fraction(0),
    )


def slip_of(case: FloatCase) -> Fraction:
    """A float of time is up to 1e-12 s off here and the shortest run 3e-4 s long; a value of 1e-300 is nothing."""
    return Fraction(max(case.values)) / 10**8 + Fraction(1, 10**280)


@settings(max_examples=EXAMPLES, deadline=None)
@given(float_cases())
def test_windows_of_any_floats_are_as_good_as_the_best(case: FloatCase) -> None:
    earliest, end, duration = (Fraction(seconds) for seconds in case[2:])
    edges = [Fraction(case.step_s) * index for index in range(len(case.values) + 1)]
    latest = max(earliest, end - duration)
    starts = {earliest, latest, *edges, *(edge - duration for edge in edges)}
    least = min(exact_cost(case, s, s + duration) for s in starts if earliest <= s <= latest) / duration
    slip = slip_of(case)

    found = find_window(prepare(StepSeries(0.0, case.step_s, np.array(case.values))), *case[2:])
    start = Fraction(found.start_s)
    own = exact_cost(case, start, start + duration) / duration
    assert case.earliest_s <= found.start_s <= case.end_s - case.duration_s + 1e-9
    assert own <= least + slip
    assert abs(Fraction(found.mean) - own) <= slip
    assert abs(Fraction(found.mean_at_once) - exact_cost(case, earliest, earliest + duration) / duration) <= slip


@settings(max_examples=EXAMPLES, deadline=None)
@given(float_cases())
def test_pieces_of_any_floats_are_the_cheapest(case: FloatCase) -> None:
    earliest, end, duration = (Fraction(seconds) for seconds in case[2:])
    step, left, least = Fraction(case.step_s), duration, Fraction(0)
    for value, index in sorted((value, index) for index, value in enumerate(case.values)):
        room = max(Fraction(0), min(end, (index + 1) * step) - max(earliest, index * step))
        least += Fraction(value) * min(left, room)
        left -= min(left, room)
    slip = slip_of(case)

    found = find_pieces(prepare(StepSeries(0.0, case.step_s, np.array(case.values))), *case[2:])
    own = sum((exact_cost(case, Fraction(a), Fraction(b)) for a, b in found.pieces), Fraction(0))
    assert abs(own - least) <= slip * duration
    assert abs(Fraction(found.mean) - least / duration) <= slip
    assert abs(sum(b - a for a, b in found.pieces) - case.duration_s) <= 1e-9
    assert all(a.end_s < b.start_s for a, b in pairwise(found.pieces))


@settings(max_examples=EXAMPLES, deadline=None)
@given(cases(), st.data())
def test_a_cheaper_step_and_a_pause_never_cost_more(
    case: tuple[list[int], int, int, int, int], data: st.DataObject
) -> None:
    values, step_s, earliest_s, end_s, duration_s = case
    times_s = (START_S + earliest_s, START_S + end_s, duration_s)
    index = data.draw(st.integers(0, len(values) - 1))
    cheaper = [*values[:index], data.draw(st.integers(0, values[index])), *values[index + 1 :]]
    plain, cut = prepare(series_of(values, step_s)), prepare(series_of(cheaper, step_s))
    for find in (find_window, find_pieces):
        assert find(cut, *times_s).mean <= find(plain, *times_s).mean
    window = find_window(plain, *times_s)
    assert find_pieces(plain, *times_s).mean <= window.mean <= window.mean_at_once
