"""Unknown durations against the mean over each length, one run after the other."""

from __future__ import annotations

import os
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lowtide.planning.solvers.durations import Durations, best_uncertain_start, survival_weights
from lowtide.planning.solvers.windows import StepSeries, best_window
from lowtide_core.errors import InputError

MANY = settings(max_examples=int(os.environ.get("LOWTIDE_EXAMPLES", "100")), deadline=None)
START_S = 1_700_000_000 // 3600 * 3600


class Case(NamedTuple):
    """Whole seconds from the start of the series, which is long enough for the longest run from the latest start."""

    values: list[int]
    step_s: int
    earliest_s: int
    deadline_s: int
    lengths_s: list[int]
    probability: float

    def series(self) -> StepSeries:
        return StepSeries(float(START_S), float(self.step_s), np.array(self.values, dtype=float))

    def cost(self, start_s: float, length_s: float) -> float:
        total = 0.0
        for step, value in enumerate(self.values):
            inside_s = min(start_s + length_s, (step + 1) * self.step_s) - max(start_s, step * self.step_s)
            total += value * max(0.0, inside_s)
        return total

    def best(self, durations: Durations, probability: float | None = None) -> tuple[float, float, float, float]:
        found = best_uncertain_start(
            self.series(),
            START_S + float(self.earliest_s),
            START_S + float(self.deadline_s),
            durations,
            probability=self.probability if probability is None else probability,
        )
        assert found.beyond_known_probability == 0.0
        start_s, latest_s = found.start_s - START_S, found.latest_start_s - START_S
        return start_s, found.expected_cost, found.keeps_deadline_probability, latest_s


@st.composite
def cases(draw: st.DrawFn) -> Case:
    step_s = draw(st.sampled_from([300, 3600, 7]))
    values = draw(st.lists(st.integers(0, 900), min_size=2, max_size=6))
    total_s = step_s * len(values)
    longest_s = draw(st.integers(1, total_s - 1))
    lengths_s = [longest_s, *draw(st.lists(st.integers(1, longest_s), max_size=3))]
    earliest_s = draw(st.integers(0, total_s - longest_s))
    deadline_s = draw(st.integers(earliest_s + longest_s, total_s))
    probability = draw(st.sampled_from([0.5, 0.75, 0.9, 1.0]))
    needed_s = sorted(lengths_s)[-int(-probability * len(lengths_s) // 1) - 1]
    return Case(values, step_s, earliest_s, min(deadline_s, total_s - longest_s + needed_s), lengths_s, probability)


def kinks_s(case: Case, latest_s: float, lengths_s: list[int]) -> list[float]:
    edges = range(0, case.step_s * (len(case.values) + 1), case.step_s)
    kinks = {float(edge - length) for edge in edges for length in (0, *lengths_s)}
    return sorted({kink for kink in kinks if case.earliest_s <= kink <= latest_s} | {float(case.earliest_s), latest_s})


@MANY
@given(cases())
def test_a_sample_is_planned_for_the_mean_over_its_lengths(case: Case) -> None:
    def mean_cost(start_s: float) -> float:
        return sum(case.cost(start_s, length_s) for length_s in case.lengths_s) / len(case.lengths_s)

    found_s, cost, keeps, latest_s = case.best(Durations.sample(case.lengths_s))

    in_time = [sum(latest_s + extra + x <= case.deadline_s for x in case.lengths_s) for extra in (0.0, 0.5)]
    assert in_time[0] >= case.probability * len(case.lengths_s) > in_time[1], "the latest start that keeps the promise"
    starts_s = kinks_s(case, latest_s, case.lengths_s)
    assert cost == pytest.approx(min(mean_cost(start_s) for start_s in starts_s), rel=1e-10, abs=1e-9)
    assert cost == pytest.approx(mean_cost(found_s), rel=1e-10, abs=1e-9)
    assert keeps == pytest.approx(sum(found_s + x <= case.deadline_s for x in case.lengths_s) / len(case.lengths_s))
    assert keeps >= case.probability - 1e-12


@MANY
@given(cases(), st.integers(0, 20_000))
def test_a_range_is_planned_for_the_mean_over_all_lengths(case: Case, less_s: int) -> None:
    high_s = max(case.lengths_s)
    low_s = max(0, high_s - 1 - less_s % high_s)
    case = case._replace(deadline_s=case.earliest_s + max(high_s, case.deadline_s - case.earliest_s))
    if case.deadline_s > case.step_s * len(case.values):
        return

    def mean_cost(start_s: float) -> float:
        """By Simpson's rule between the lengths at which the end meets an edge: exact for straight lines."""
        edges = [k * case.step_s - start_s for k in range(len(case.values) + 1)]
        cuts = [low_s, *sorted(edge for edge in edges if low_s < edge < high_s), high_s]
        total = 0.0
        for a, b in pairwise(cuts):
            parts = [case.cost(start_s, x) for x in (a, (a + b) / 2, b)]
            total += (b - a) * (parts[0] + 4 * parts[1] + parts[2]) / 6
        return total / (high_s - low_s)

    found_s, cost, keeps, latest_s = case.best(Durations.uniform(low_s, high_s), 1.0)

    starts_s = kinks_s(case, latest_s, [low_s, high_s])
    least = float("inf")
    for a, b in zip(starts_s, [*starts_s[1:], starts_s[-1]], strict=True):  # three points tell a parabola
        left, middle, right = (mean_cost(a + (b - a) * part) for part in (0.0, 0.5, 1.0))
        square, slope = 2 * (left - 2 * middle + right), 4 * middle - 3 * left - right
        foot = min(1.0, max(0.0, -slope / (2 * square))) if square > 0 else 0.0
        least = min(least, left, right, mean_cost(a + (b - a) * foot))
    assert cost == pytest.approx(least, rel=1e-9, abs=1e-6)
    assert cost == pytest.approx(mean_cost(found_s), rel=1e-8, abs=1e-3)
    assert keeps == 1.0


@MANY
@given(cases(), st.integers(1, 7200), st.integers(2, 9))
def test_metamorphic(case: Case, more_s: int, factor: int) -> None:
    lengths = Durations.sample(case.lengths_s)
    start_s, cost, _, latest_s = case.best(lengths)
    scaled = case._replace(values=[factor * value for value in case.values])
    assert scaled.best(lengths)[:2] == (start_s, pytest.approx(factor * cost, rel=1e-11, abs=1e-9))
    total_s = case.step_s * len(case.values)
    latest_known_s = total_s - max(case.lengths_s)
    later = case._replace(deadline_s=case.deadline_s + min(more_s, int(latest_known_s - latest_s)))
    assert later.best(lengths)[1] <= cost * (1 + 1e-11) + 1e-9
    less_sure = case._replace(probability=case.probability / 2)
    if less_sure.deadline_s - lengths.quantile_s(less_sure.probability) <= latest_known_s:
        assert less_sure.best(lengths)[1] <= cost * (1 + 1e-11) + 1e-9


@MANY
@given(cases())
def test_a_known_duration_is_the_best_window(case: Case) -> None:
    length_s = float(max(case.lengths_s))
    earliest_s, end_by_s = START_S + float(case.earliest_s), START_S + float(case.step_s * len(case.values))
    found = best_uncertain_start(case.series(), earliest_s, end_by_s, Durations.sample([length_s]), probability=1.0)
    assert found.start_s == best_window(case.series(), earliest_s, end_by_s, length_s).start_s


@MANY
@given(st.lists(st.tuples(st.integers(1, 50), st.integers(0, 5)), min_size=1, max_size=6), st.floats(0.01, 1.0))
def test_quantiles_and_survival_of_a_weighted_sample_are_counted(weighted: list[tuple[int, int]], p: float) -> None:
    total = sum(weight for _, weight in weighted)
    if total == 0:
        with pytest.raises(InputError):
            Durations.sample([x for x, _ in weighted], [float(weight) for _, weight in weighted])
        return
    lengths = Durations.sample([x for x, _ in weighted], [float(weight) for _, weight in weighted])
    assert lengths.mean_s == pytest.approx(sum(x * weight for x, weight in weighted) / total)
    for progress in range(52):
        longer = sum(weight for x, weight in weighted if x > progress)
        assert lengths.survival(float(progress)) == pytest.approx(longer / total, abs=1e-12)
        if progress and longer:
            rest = sum((x - progress) * weight for x, weight in weighted if x > progress) / longer
            assert lengths.after(float(progress)).mean_s == pytest.approx(rest)
    enough = [x for x, _ in weighted if sum(w for y, w in weighted if y <= x) >= (p - 1e-12) * total]
    assert lengths.quantile_s(p) == min(enough)


@MANY
@given(
    st.integers(0, 400),
    st.integers(1, 400),
    st.integers(1, 90),
    st.sampled_from([0.3, 0.8, 1.0]),
    st.lists(st.integers(0, 900), min_size=12, max_size=12),
)
def test_weights_by_progress_give_the_expected_cost_of_whole_stretches(
    low_s: int, spread_s: int, grain_s: int, probability: float, values: list[int]
) -> None:
    lengths = Durations.uniform(float(low_s), float(low_s + spread_s))
    found = survival_weights(lengths, 800.0, probability, grain_s=float(grain_s))
    until_s = low_s + probability * spread_s
    assert found.edges_s[-1] == pytest.approx(until_s)
    assert found.beyond_probability == pytest.approx(1 - probability, abs=1e-5)
    assert (np.diff(found.weight) <= 0).all()
    assert found.off_by <= grain_s / (2 * spread_s) + 1e-9 or (found.off_by <= 1.0 and low_s % grain_s != 0)
    # Mean over very many lengths of what each spends where stretch i stands at value i.
    some = low_s + spread_s * (np.arange(4000) + 0.5) / 4000
    begins, ends = found.edges_s[:-1], found.edges_s[1:]
    spent_s = np.clip(np.minimum(some[:, None], ends) - begins, 0.0, None)
    at = np.array([values[i % 12] for i in range(begins.size)], dtype=float)
    expected = float((spent_s @ at).mean())
    assert float(found.weight * np.diff(found.edges_s) @ at) == pytest.approx(expected, rel=1e-3, abs=0.5)
