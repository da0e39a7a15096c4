"""Carbon against waiting, against an enumeration in exact fractions that shares no code with the planner."""

from __future__ import annotations

import os
from dataclasses import dataclass
from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from lowtide.planning.solvers.waiting import plan_waits, wait_frontier
from lowtide.planning.solvers.windows import StepSeries

EXAMPLES = int(os.environ.get("LOWTIDE_EXAMPLES", "100"))
START_S = 1_700_000_000 // 3600 * 3600


@dataclass(frozen=True)
class Case:
    """A few jobs on a series; whole seconds from its start, all multiples of ``grain_s``."""

    values: list[int]
    step_s: int
    grain_s: int
    arrival_s: list[int]
    length_s: list[int]
    believed_s: list[int]
    max_wait_s: list[int]
    weight: list[int]

    def series(self) -> StepSeries:
        return StepSeries(float(START_S), float(self.step_s), np.array(self.values, dtype=float))

    def columns(self) -> tuple[Any, ...]:
        return (
            self.series(),
            START_S + np.array(self.arrival_s, dtype=float),
            self.length_s,
            self.max_wait_s,
            self.weight,
        )

    def cost(self, job: int, wait_s: int, length_s: int) -> int:
        """Value x s x weight, by overlap of the run with each step."""
        start = self.arrival_s[job] + wait_s
        inside = (
            max(0, min(start + length_s, (k + 1) * self.step_s) - max(start, k * self.step_s)) * value
            for k, value in enumerate(self.values)
        )
        return self.weight[job] * sum(inside)

    def choices(self, job: int, grid_s: int | None = None) -> list[tuple[int, int]]:
        """(wait, cost by the believed length) at every grain, which all kinks of the cost lie on."""
        waits = range(0, self.max_wait_s[job] + 1, grid_s or self.grain_s)
        return [(wait, self.cost(job, wait, self.believed_s[job])) for wait in waits]


@st.composite
def cases(draw: st.DrawFn, *, jobs: int = 3) -> Case:
    grain_s = draw(st.sampled_from([60, 300, 7]))
    step_s = grain_s * draw(st.integers(1, 4))
    values = draw(st.lists(st.integers(0, 9), min_size=6, max_size=14))
    total = step_s * len(values) // grain_s
    count = draw(st.integers(1, jobs))
    arrivals = draw(st.lists(st.integers(0, total - 2), min_size=count, max_size=count))
    lengths, believed, waits = [], [], []
    for arrival in arrivals:
        wait = draw(st.integers(0, min(12, total - arrival - 1)))
        length = st.integers(1, total - arrival - wait)
        lengths.append(draw(length))
        believed.append(draw(st.one_of(st.just(lengths[-1]), length)))
        waits.append(wait)
    columns = [[grain_s * value for value in column] for column in (arrivals, lengths, believed, waits)]
    weights = draw(st.lists(st.integers(0, 3), min_size=count, max_size=count))
    return Case(values, step_s, grain_s, *columns, weights)


def least_within(case: Case, budget_s: int, grid_s: int | None = None) -> int:
    """Least believed cost over every combination of waits whose sum keeps the budget."""
    best: dict[int, int] = {0: 0}
    for job in range(len(case.arrival_s)):
        grown: dict[int, int] = {}
        for (waited, cost), (wait, own) in product(best.items(), case.choices(job, grid_s)):
            if waited + wait <= budget_s:
                grown[waited + wait] = min(cost + own, grown.get(waited + wait, cost + own))
        best = grown
    return min(best.values())


def lagrangian_bound(case: Case, budget_s: int, grid_s: int | None = None) -> Fraction:
    """Largest over prices of sum(min(cost + price x wait)) - price x budget; the best price is a slope."""
    choices = [case.choices(job, grid_s) for job in range(len(case.arrival_s))]
    prices = {Fraction(0)} | {
        Fraction(a[1] - b[1], b[0] - a[0]) for own in choices for a in own for b in own if a[0] < b[0] and b[1] < a[1]
    }
    return max(
        sum(min(cost + price * wait for wait, cost in own) for own in choices) - price * budget_s for price in prices
    )


def close(found: float, exact: int | Fraction) -> bool:
    return abs(found - float(exact)) <= 1e-6 * max(1.0, abs(float(exact)))


@settings(max_examples=EXAMPLES, deadline=None)
@given(cases(), st.fractions(0, 4, max_denominator=20), st.booleans())
def test_at_a_price_every_job_takes_the_best_of_all_its_starts(case: Case, price: Fraction, on_grid: bool) -> None:
    grid_s = 2 * case.grain_s if on_grid else None
    plan = plan_waits(*case.columns(), wait_price=float(price), believed_length_s=case.believed_s, start_grid_s=grid_s)
    for job in range(len(case.arrival_s)):
        wait_s = float(plan.start_s[job]) - START_S - case.arrival_s[job]
        assert abs(wait_s - round(wait_s)) < 1e-6
        wait = round(wait_s)
        assert 0 <= wait <= case.max_wait_s[job]
        assert not grid_s or wait % grid_s == 0
        totals = {w: cost + price * w for w, cost in case.choices(job, grid_s)}
        least = min(totals.values())
        assert close(float(totals[wait]), least)
        assert close(float(plan.emissions[job]), case.cost(job, wait, case.length_s[job]))
        assert close(float(plan.at_once_emissions[job]), case.cost(job, 0, case.length_s[job]))
        assert wait == min(w for w, total in totals.items() if total == least) or price > 0
    assert close(plan.believed_emissions, round(plan.believed_emissions))
    assert close(plan.bound, round(plan.bound))


@settings(max_examples=EXAMPLES, deadline=None)
@given(cases(), st.integers(0, 36), st.booleans())
def test_under_a_limit_the_bound_is_the_lagrangian_and_the_plan_is_within_one_step(
    case: Case, budget: int, on_grid: bool
) -> None:
    grid_s = 2 * case.grain_s if on_grid else None
    budget_s, jobs = budget * case.grain_s, len(case.arrival_s)
    plan = plan_waits(
        *case.columns(), mean_wait_limit_s=budget_s / jobs, believed_length_s=case.believed_s, start_grid_s=grid_s
    )
    assert plan.mean_wait_s <= budget_s / jobs + 1e-6
    waits_s = plan.start_s - START_S - case.arrival_s
    assert (waits_s > -1e-6).all()
    assert (waits_s < np.array(case.max_wait_s) + 1e-6).all()
    least, bound = least_within(case, budget_s, grid_s), lagrangian_bound(case, budget_s, grid_s)
    slack = 1e-6 * max(1, least)
    assert close(plan.bound, bound)
    assert plan.bound <= least + slack
    assert plan.believed_emissions >= least - slack
    one_step = max(cost - min(c for _, c in own) for own in map(case.choices, range(jobs)) for _, cost in own)
    assert plan.believed_emissions <= plan.bound + one_step + slack


@settings(max_examples=EXAMPLES, deadline=None)
@given(cases())
def test_the_frontier_is_the_lower_hull_of_every_combination(case: Case) -> None:
    frontier = wait_frontier(*case.columns(), believed_length_s=case.believed_s)
    jobs = len(case.arrival_s)
    assert (np.diff(frontier.mean_wait_s) > 0).all()
    assert (np.diff(frontier.believed_emissions) < 0).all()
    assert (np.diff(frontier.wait_price) <= 0).all()
    for mean_wait_s, believed in zip(frontier.mean_wait_s, frontier.believed_emissions, strict=True):
        budget_s = round(float(mean_wait_s) * jobs)
        assert close(budget_s, Fraction(float(mean_wait_s)) * jobs)
        assert close(believed, least_within(case, budget_s)), "a corner is a whole plan"
        assert close(believed, lagrangian_bound(case, budget_s)), "and lies on the hull"
    for budget in range(0, 3 * 12 + 1, 5):
        between = np.interp(budget * case.grain_s / jobs, frontier.mean_wait_s, frontier.believed_emissions)
        assert close(float(between), lagrangian_bound(case, budget * case.grain_s))


@settings(max_examples=EXAMPLES, deadline=None)
@given(cases())
def test_every_corner_of_the_frontier_is_the_plan_at_its_price(case: Case) -> None:
    frontier = wait_frontier(*case.columns(), believed_length_s=case.believed_s)
    for index in np.flatnonzero(np.append(np.diff(frontier.wait_price) < -1e-9, True)):
        price = float(frontier.wait_price[index])
        below = float(frontier.wait_price[index + 1]) if index + 1 < frontier.wait_price.size else 0.0
        between = (min(price, below + 1.0) + below) / 2
        plan = plan_waits(*case.columns(), believed_length_s=case.believed_s, wait_price=between)
        assert np.isclose(plan.mean_wait_s, frontier.mean_wait_s[index], atol=1e-6)
        assert np.isclose(plan.believed_emissions, frontier.believed_emissions[index], atol=1e-6)
        assert np.isclose(plan.emissions.sum(), frontier.emissions[index], atol=1e-6)


def changed(case: Case, **columns: object) -> Case:
    return Case(**{**{name: getattr(case, name) for name in Case.__dataclass_fields__}, **columns})  # type: ignore[arg-type]


@settings(max_examples=EXAMPLES, deadline=None)
@given(cases(jobs=6), st.integers(0, 20), st.integers(0, 5), st.integers(0, 13))
def test_more_waiting_or_a_cheaper_step_never_raises_what_must_be_emitted(
    case: Case, budget: int, which: int, step: int
) -> None:
    limit_s = float(budget * case.grain_s)

    def bound(of: Case, limit_s: float) -> float:
        return plan_waits(*of.columns(), believed_length_s=of.believed_s, mean_wait_limit_s=limit_s).bound

    plain = bound(case, limit_s)
    slack = 1e-9 * max(1.0, plain)
    assert bound(case, limit_s + case.grain_s) <= plain + slack
    job = which % len(case.arrival_s)
    shorter = [max(0, wait - 2 * case.grain_s) if i == job else wait for i, wait in enumerate(case.max_wait_s)]
    assert bound(changed(case, max_wait_s=shorter), limit_s) >= plain - slack
    cheaper = [max(0, value - 1) if i == step % len(case.values) else value for i, value in enumerate(case.values)]
    assert bound(changed(case, values=cheaper), limit_s) <= plain + slack


@settings(max_examples=EXAMPLES, deadline=None)
@given(cases(jobs=6), st.fractions(0, 4, max_denominator=20), st.integers(2, 9))
def test_scaling_shifting_a_constant_and_the_order_of_the_jobs_change_nothing_else(
    case: Case, price: Fraction, factor: int
) -> None:
    def least(of: Case, price: float, by_s: float = 0.0) -> float:
        series, arrival_s, *rest = of.columns()
        moved = series._replace(start_s=series.start_s + by_s)
        plan = plan_waits(moved, arrival_s + by_s, *rest, believed_length_s=of.believed_s, wait_price=price)
        return plan.believed_emissions + price * plan.mean_wait_s * len(of.arrival_s)

    names = ("arrival_s", "length_s", "believed_s", "max_wait_s", "weight")
    plain = least(case, float(price))
    scaled = least(changed(case, values=[factor * value for value in case.values]), float(factor * price))
    raised = least(changed(case, values=[value + factor for value in case.values]), float(price))
    turned = least(changed(case, **{name: getattr(case, name)[::-1] for name in names}), float(price))
    constant = factor * float(np.dot(case.weight, case.believed_s))
    assert np.isclose(plain * factor, scaled, atol=1e-5)
    assert np.isclose(plain + constant, raised, atol=1e-5)
    assert np.isclose(plain, turned, atol=1e-5)
    assert np.isclose(plain, least(case, float(price), by_s=86400.0), atol=1e-5)


@settings(max_examples=EXAMPLES, deadline=None)
@given(cases(jobs=6), st.fractions(0, 4, max_denominator=20))
def test_at_a_fixed_price_a_start_depends_on_no_other_job(case: Case, price: Fraction) -> None:
    series, *columns = case.columns()
    together = plan_waits(series, *columns, believed_length_s=case.believed_s, wait_price=float(price))
    for job in range(len(case.arrival_s)):
        alone = plan_waits(
            series,
            *(np.asarray(column, dtype=float)[job : job + 1] for column in columns),
            believed_length_s=case.believed_s[job],
            wait_price=float(price),
        )
        assert alone.start_s[0] == together.start_s[job]
