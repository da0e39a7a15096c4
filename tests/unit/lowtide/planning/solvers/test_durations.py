"""Unknown durations by hand: two like jobs, a range, a promise, and the end of what is known."""

from __future__ import annotations

import numpy as np
import pytest

from lowtide.planning.solvers.durations import Durations, best_uncertain_start, survival_weights
from lowtide.planning.solvers.windows import StepSeries
from lowtide_core.errors import InputError

HOUR_S = 3600.0
START_S = 1_700_000_000 // 3600 * 3600.0


def hours(*values: float) -> StepSeries:
    return StepSeries(START_S, HOUR_S, np.array(values, dtype=float))


def test_a_sample_by_hand() -> None:
    lengths = Durations.sample([3.0, 1.0, 1.0, 7.0])
    assert lengths.mean_s == 3.0
    assert [lengths.survival(x) for x in (-1.0, 0.0, 0.99, 1.0, 3.0, 6.9, 7.0)] == [1.0, 1.0, 1.0, 0.5, 0.25, 0.25, 0.0]
    assert [lengths.quantile_s(p) for p in (0.1, 0.5, 0.51, 0.75, 0.76, 1.0)] == [1.0, 1.0, 3.0, 3.0, 7.0, 7.0]
    weighted = Durations.sample([3.0, 1.0, 7.0, 9.0], [1.0, 2.0, 1.0, 0.0])
    assert (weighted.mean_s, weighted.longest_s, weighted.quantile_s(0.5)) == (3.0, 7.0, 1.0)


def test_a_range_by_hand() -> None:
    range_s = Durations.uniform(2.0, 6.0)
    assert range_s.mean_s == 4.0
    assert [range_s.survival(x) for x in (0.0, 2.0, 3.0, 6.0)] == [1.0, 1.0, 0.75, 0.0]
    assert [range_s.quantile_s(p) for p in (0.25, 0.5, 1.0)] == [3.0, 4.0, 6.0]
    assert list(range_s.lasting_s(np.array([1.0, 2.0, 4.0, 9.0]))) == [1.0, 2.0, 3.5, 4.0]
    assert Durations.uniform(5.0, 5.0).quantile_s(0.5) == 5.0
    assert Durations.uniform(0.0, 5.0).survival(1.0) == pytest.approx(0.8)


def test_what_is_left_of_a_run_that_goes_on() -> None:
    assert Durations.sample([1.0, 3.0, 7.0]).after(1.0).mean_s == pytest.approx((2.0 + 6.0) / 2)
    rest = Durations.uniform(2.0, 6.0).after(4.0)
    assert (rest.longest_s, rest.mean_s) == (2.0, 1.0)
    assert Durations.uniform(2.0, 6.0).after(1.0).mean_s == pytest.approx(3.0)
    with pytest.raises(InputError) as refused:
        Durations.sample([1.0, 3.0]).after(3.0)
    assert refused.value.facts["longest_s"] == 3.0


def test_a_long_tail_keeps_the_run_out_of_an_hour_before_a_dear_one() -> None:
    series = hours(30, 10, 90, 20, 20, 20)
    known = Durations.sample([HOUR_S])
    assert best_uncertain_start(series, START_S, np.inf, known, probability=1.0).start_s == START_S + HOUR_S
    doubtful = Durations.sample([HOUR_S, 2 * HOUR_S])
    found = best_uncertain_start(series, START_S, np.inf, doubtful, probability=1.0)
    assert found.start_s == START_S + 3 * HOUR_S
    assert found.expected_cost == pytest.approx(20 * HOUR_S + 0.5 * 20 * HOUR_S)


def test_the_deadline_is_kept_as_often_as_promised_and_no_oftener_where_that_is_cleaner() -> None:
    series = hours(50, 50, 50, 5, 5, 5)
    lengths = Durations.sample([HOUR_S, HOUR_S, HOUR_S, 3 * HOUR_S])
    sure = best_uncertain_start(series, START_S, START_S + 5 * HOUR_S, lengths, probability=0.9)
    assert (sure.latest_start_s, sure.start_s) == (START_S + 2 * HOUR_S, START_S + 2 * HOUR_S)
    assert sure.keeps_deadline_probability == 1.0
    likely = best_uncertain_start(series, START_S, START_S + 5 * HOUR_S, lengths, probability=0.75)
    assert likely.start_s == START_S + 3 * HOUR_S
    assert likely.keeps_deadline_probability == 0.75
    assert likely.latest_start_s == START_S + 4 * HOUR_S


def test_beyond_the_known_series_nothing_is_guessed() -> None:
    lengths = Durations.sample([HOUR_S, HOUR_S, 4 * HOUR_S])
    found = best_uncertain_start(hours(9, 8, 7), START_S, np.inf, lengths, probability=0.6)
    assert found.start_s == START_S + 2 * HOUR_S
    assert found.beyond_known_probability == pytest.approx(1 / 3)
    assert found.expected_cost == pytest.approx(7 * HOUR_S)
    enough = best_uncertain_start(hours(9, 8, 7, 7, 7, 7), START_S, START_S + 3 * HOUR_S, lengths, probability=0.6)
    assert enough.beyond_known_probability == 0.0


def test_a_set_up_is_paid_where_the_run_starts() -> None:
    found = best_uncertain_start(
        hours(20, 10, 40), START_S, np.inf, Durations.sample([HOUR_S]), probability=1.0, setup_s=HOUR_S
    )
    assert (found.start_s, found.expected_cost) == (START_S + HOUR_S, 2 * 10 * HOUR_S)


def test_a_promise_that_cannot_be_kept_says_what_would_do() -> None:
    lengths = Durations.uniform(HOUR_S, 3 * HOUR_S)
    with pytest.raises(InputError) as deadline:
        best_uncertain_start(hours(1, 2, 3, 4), START_S, START_S + 2 * HOUR_S, lengths, probability=1.0)
    assert deadline.value.facts["short_by_s"] == pytest.approx(HOUR_S)
    assert deadline.value.facts["earliest_feasible_s"] == pytest.approx(START_S + 3 * HOUR_S)
    with pytest.raises(InputError) as known:
        best_uncertain_start(hours(1, np.nan, 3, 4), START_S, START_S + 4 * HOUR_S, lengths, probability=0.5)
    assert known.value.facts["short_by_s"] == pytest.approx(HOUR_S)


def test_survival_by_progress_for_a_job_that_pauses() -> None:
    exact = survival_weights(Durations.sample([1.0, 3.0, 3.0, 8.0]), 100.0, 0.75)
    assert (list(exact.edges_s), list(exact.weight)) == ([0.0, 1.0, 3.0], [1.0, 0.75])
    assert (exact.off_by, exact.beyond_probability) == (0.0, 0.25)
    cells = survival_weights(Durations.uniform(2.0, 6.0), 5.0, 1.0, grain_s=2.0)
    assert list(cells.edges_s) == [0.0, 2.0, 4.0, 5.0]
    assert list(cells.weight) == [1.0, 0.75, 0.375]
    assert cells.off_by == pytest.approx(2.0 / (2 * 4.0))
    assert cells.beyond_probability == pytest.approx(0.25)


@pytest.mark.parametrize(
    ("make", "fact"),
    [
        (lambda: Durations.sample([]), "weights"),
        (lambda: Durations.sample([60.0, -1.0]), "edges_s"),
        (lambda: Durations.sample([60.0, np.nan]), "edges_s"),
        (lambda: Durations.sample([60.0], [0.0]), "weights"),
        (lambda: Durations.sample([60.0, 70.0], [1.0]), "weights"),
        (lambda: Durations.uniform(7.0, 5.0), "low_s"),
        (lambda: Durations.uniform(-1.0, 5.0), "low_s"),
        (lambda: Durations.uniform(0.0, 0.0), "edges_s"),
        (lambda: Durations.uniform(0.0, np.inf), "edges_s"),
        (lambda: Durations(np.array([0.0, 1.0, 2.0]), np.array([1.0, 0.5]), np.array([0.4, 0.0])), "shares"),
        (lambda: Durations.sample([60.0]).quantile_s(0.0), "probability"),
        (lambda: survival_weights(Durations.sample([60.0]), 0.0, 0.5), "horizon_s"),
        (lambda: survival_weights(Durations.uniform(0.0, 60.0), 60.0, 0.5), "grain_s"),
        (lambda: best_uncertain_start(hours(1), np.nan, 0.0, Durations.sample([60.0]), probability=1.0), "earliest_s"),
    ],
)
def test_what_cannot_be_is_refused(make: object, fact: str) -> None:
    with pytest.raises(InputError) as refused:
        make()  # type: ignore[operator]
    assert fact in refused.value.facts
