"""Plans around blocked spans against plain enumeration: of sets of hours, and of quarters of hours."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import combinations, pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lowtide.jobs.manner import Manner, Pausing
from lowtide.jobs.widths import WidthTable
from lowtide.planning.explain import explain
from lowtide.planning.replan import replan
from lowtide.planning.solve import solve
from lowtide.planning.types import Candidate, NoPlan, Plan, PlanProblem
from lowtide_core.places import LOCAL, ZoneId
from lowtide_core.series import LIFECYCLE_CONSUMPTION, SignalSeries

EXAMPLES = int(os.environ.get("LOWTIDE_EXAMPLES", "100"))
NOW = datetime(2026, 3, 1, tzinfo=UTC)
HOUR_S, QUARTER_S = 3600.0, 900.0
PARTS = 4


def problem_of(row: list[int], cells: int, blocked: list[bool], cell_s: float, manner: Manner) -> PlanProblem:
    """So many cells of work on hourly values, with some cells blocked; spans that touch are one."""
    spans: list[tuple[float, float]] = []
    for cell, taken in enumerate(blocked):
        start_s = NOW.timestamp() + cell * cell_s
        if taken and spans and spans[-1][1] == start_s:
            spans[-1] = (spans[-1][0], start_s + cell_s)
        elif taken:
            spans.append((start_s, start_s + cell_s))
    series = SignalSeries(
        ZoneId("DE"), NOW, HOUR_S, np.array(row, float), LIFECYCLE_CONSUMPTION, "forecast", "invented"
    )
    home = Candidate(LOCAL, ZoneId("DE"), series, power_w=1000.0, pue=1.0, blocked=tuple(spans), blocked_by="others")
    return PlanProblem(NOW, NOW + timedelta(hours=len(row)), cells * cell_s, (home,), home, manner=manner)


def runs_of(cells: tuple[int, ...]) -> list[list[int]]:
    runs: list[list[int]] = []
    for cell in cells:
        if runs and runs[-1][-1] == cell - 1:
            runs[-1].append(cell)
        else:
            runs.append([cell])
    return runs


def counted_g(row: list[int], cells: tuple[int, ...], parts: int, manner: Manner) -> float | None:
    """Emissions of running in these cells, ``parts`` to the hour; None where they break a limit of the manner."""
    runs, pausing = runs_of(cells), manner.pausing
    if len(runs) > 1:
        if pausing is None or (pausing.max_pauses is not None and len(runs) - 1 > pausing.max_pauses):
            return None
        if any(len(run) * HOUR_S / parts < pausing.min_run_s for run in runs):
            return None
    power = [relative for _, relative in manner.course] or [1.0] * len(cells)
    total = sum(power[done] * row[cell // parts] for done, cell in enumerate(cells)) / parts
    restart_kwh = pausing.restart_kwh if pausing else 0.0
    return total + sum(restart_kwh * row[run[0] // parts] for run in runs[1:])


def least_g(problem: PlanProblem, row: list[int], cells: int, blocked: list[bool], parts: int) -> float | None:
    free = [cell for cell, taken in enumerate(blocked) if not taken]
    counted = (counted_g(row, some, parts, problem.manner) for some in combinations(free, cells))
    return min((grams for grams in counted if grams is not None), default=None)


def require_clear(plan: Plan, problem: PlanProblem) -> None:
    for segment in plan.segments:
        start_s, end_s = segment.start_utc.timestamp(), segment.end_utc.timestamp()
        assert all(end_s <= since_s or start_s >= until_s for since_s, until_s in problem.candidates[0].blocked)


@st.composite
def hourly(draw: st.DrawFn) -> tuple[list[int], int, list[bool], Manner]:
    row = draw(st.lists(st.integers(0, 500), min_size=2, max_size=8))
    hours = draw(st.integers(1, min(4, len(row))))
    blocked = draw(st.lists(st.booleans(), min_size=len(row), max_size=len(row)))
    course: tuple[tuple[float, float], ...] = ()
    if hours > 1 and draw(st.booleans()):
        powers = draw(st.lists(st.integers(1, 5), min_size=hours, max_size=hours))
        course = tuple((1 / hours, power * hours / sum(powers)) for power in powers)
    pausing = None
    if draw(st.booleans()):
        pausing = Pausing(
            restart_kwh=draw(st.sampled_from([0.0, 0.25, 1.0])),
            max_pauses=draw(st.sampled_from([None, 0, 1, 2])),
            min_run_s=draw(st.sampled_from([0.0, HOUR_S, 2 * HOUR_S])),
        )
    return row, hours, blocked, Manner(pausing=pausing, course=course)


@settings(max_examples=EXAMPLES, deadline=None)
@given(hourly())
def test_whole_hours_are_the_least_of_all(case: tuple[list[int], int, list[bool], Manner]) -> None:
    row, hours, blocked, manner = case
    problem = problem_of(row, hours, blocked, HOUR_S, manner)
    least, answer = least_g(problem, row, hours, blocked, 1), solve(problem)
    if least is None:
        assert isinstance(answer, NoPlan)
        assert {misfit.limit for misfit in answer.misfits} == {"capacity"}
        return
    assert isinstance(answer, Plan)
    require_clear(answer, problem)
    assert answer.emissions_g == pytest.approx(least, rel=1e-9, abs=1e-9)
    assert answer.bound_g == pytest.approx(least, rel=1e-9, abs=1e-9)
    assert answer.exact


@settings(max_examples=EXAMPLES, deadline=None)
@given(hourly(), st.data())
def test_the_rest_of_a_running_job(case: tuple[list[int], int, list[bool], Manner], data: st.DataObject) -> None:
    """Where it cannot go on at once it pauses, which counts, and costs a restart."""
    row, hours, blocked, manner = case
    pausing = replace(manner.pausing or Pausing(), min_run_s=0.0)
    done = data.draw(st.integers(0, hours - 1))
    problem = problem_of(row, hours, blocked, HOUR_S, replace(manner, pausing=pausing))
    problem = replace(problem, done_s=done * HOUR_S, running=True)
    power = [relative for _, relative in manner.course] or [1.0] * hours
    costs = []
    for cells in combinations([cell for cell, taken in enumerate(blocked) if not taken], hours - done):
        starts = [run[0] for run in runs_of(cells) if run[0]]
        if pausing.max_pauses is None or len(starts) <= pausing.max_pauses:
            grams = sum(power[done + count] * row[cell] for count, cell in enumerate(cells))
            costs.append(grams + pausing.restart_kwh * sum(row[start] for start in starts))
    answer = solve(problem)
    if not costs:
        assert isinstance(answer, NoPlan)
        return
    assert isinstance(answer, Plan)
    require_clear(answer, problem)
    assert answer.emissions_g == pytest.approx(min(costs), rel=1e-9, abs=1e-9)
    assert answer.exact


@st.composite
def in_quarters(draw: st.DrawFn) -> tuple[list[int], int, list[bool]]:
    row = draw(st.lists(st.integers(0, 500), min_size=2, max_size=3))
    cells = draw(st.integers(1, 5))
    return row, cells, draw(st.lists(st.booleans(), min_size=PARTS * len(row), max_size=PARTS * len(row)))


@settings(max_examples=EXAMPLES, deadline=None)
@given(in_quarters(), st.sampled_from([None, 0.0, 0.25]), st.sampled_from([None, 1]))
def test_blocks_within_hours(
    case: tuple[list[int], int, list[bool]], restart_kwh: float | None, max_pauses: int | None
) -> None:
    row, cells, blocked = case
    pausing = None if restart_kwh is None else Pausing(restart_kwh, max_pauses if restart_kwh else None)
    problem = problem_of(row, cells, blocked, QUARTER_S, Manner(pausing=pausing))
    least, answer = least_g(problem, row, cells, blocked, PARTS), solve(problem)
    if least is None:
        assert isinstance(answer, NoPlan)
        return
    assert isinstance(answer, Plan)
    require_clear(answer, problem)
    assert answer.emissions_g == pytest.approx(least, rel=1e-9, abs=1e-9)
    assert answer.exact


@settings(max_examples=EXAMPLES, deadline=None)
@given(in_quarters(), st.integers(1, QUARTER_S - 1), st.sampled_from([0.1, 0.5]))
def test_blocks_at_odd_seconds_have_a_proven_bound(
    case: tuple[list[int], int, list[bool]], odd_s: int, restart_kwh: float
) -> None:
    """Blocked spans that begin somewhat later leave more room: the plan around the whole quarters is no better."""
    row, cells, blocked = case
    manner = Manner(pausing=Pausing(restart_kwh))
    whole = problem_of(row, cells, blocked, QUARTER_S, manner)
    spans = tuple((since_s + odd_s, until_s) for since_s, until_s in whole.candidates[0].blocked)
    problem = replace(whole, candidates=(replace(whole.candidates[0], blocked=spans),))
    answer, narrower = solve(problem), solve(whole)
    if isinstance(narrower, Plan):
        assert isinstance(answer, Plan)
        assert answer.bound_g <= narrower.emissions_g * (1 + 1e-9) + 1e-9
    if isinstance(answer, Plan):
        require_clear(answer, problem)
        assert answer.bound_g <= answer.emissions_g
        alone = solve(replace(problem, candidates=(replace(problem.candidates[0], blocked=()),)))
        assert isinstance(alone, Plan)
        assert alone.emissions_g <= answer.bound_g * (1 + 1e-9) + 1e-9


@settings(max_examples=max(1, EXAMPLES // 5), deadline=None)  # odd seconds make large grids: 50 ms each
@given(
    st.lists(st.integers(0, 500), min_size=2, max_size=4),
    st.data(),
    st.sampled_from([None, 0, 1, 2]),
    st.sampled_from([0, 1000, 2000]),
)
def test_there_is_a_plan_wherever_there_is_room(
    row: list[int], data: st.DataObject, max_pauses: int | None, min_run_s: int
) -> None:
    """Some gaps, no more than there may be runs, that the job fills with runs that are long enough; at any second."""
    end_s = len(row) * 3600
    cuts = data.draw(st.lists(st.integers(0, end_s), min_size=2, max_size=6, unique=True).map(sorted))
    cuts = cuts[: len(cuts) // 2 * 2]
    job_s = data.draw(st.integers(600, end_s))
    problem = problem_of(row, job_s, [], 1.0, Manner(pausing=Pausing(0.25, max_pauses, float(min_run_s))))
    spans = tuple((NOW.timestamp() + a, NOW.timestamp() + b) for a, b in zip(cuts[::2], cuts[1::2], strict=True))
    problem = replace(problem, candidates=(replace(problem.candidates[0], blocked=spans),))
    edges = [0, *cuts, end_s]
    gaps = [b - a for a, b in zip(edges[::2], edges[1::2], strict=True) if b > a]
    most = len(gaps) if max_pauses is None else min(len(gaps), max_pauses + 1)
    room = any(
        sum(some) >= job_s and (count == 1 or (min(some) >= min_run_s and count * min_run_s <= job_s))
        for count in range(1, most + 1)
        for some in combinations(gaps, count)
    )
    answer = solve(problem)
    assert isinstance(answer, Plan) == room
    if isinstance(answer, Plan):
        require_clear(answer, problem)
        assert answer.bound_g <= answer.emissions_g * (1 + 1e-9) + 1e-9


@settings(max_examples=EXAMPLES, deadline=None)
@given(
    st.lists(st.integers(1, 500), min_size=2, max_size=4),
    st.lists(st.tuples(st.integers(1, 3), st.integers(1, 5)), min_size=1, max_size=3),
    st.lists(st.booleans(), min_size=4, max_size=4),
    st.integers(1, 3),
    st.booleans(),
)
def test_widths_around_blocks(
    row: list[int], more: list[tuple[int, int]], taken: list[bool], hours: int, fixed: bool
) -> None:
    """One width that may pause, or several in part slots: the free hours, by the price of the work in each."""
    throughput = np.cumsum([up for up, _ in more]).tolist()
    power_w = np.cumsum([100.0 * watts for _, watts in more]).tolist()
    table = WidthTable(tuple(range(1, len(more) + 1)), tuple(throughput), tuple(power_w), base=1, fixed=fixed)
    blocked = taken[: len(row)]
    manner = Manner(pausing=Pausing(), widths=table)
    problem = problem_of(row, hours, blocked, HOUR_S, manner)
    free = sorted(value for value, full in zip(row, blocked, strict=True) if not full)
    work = float(hours * throughput[0])
    answer = solve(problem)

    def filled_g(menu: list[tuple[float, float, float]]) -> float | None:
        """The cheapest of (price of a unit, units, -) until the work is done."""
        left, total = work, 0.0
        for price, units, _ in sorted(menu):
            total += price * min(left, units)
            left -= min(left, units)
        return total if left < 1e-9 else None

    if fixed:
        choices = [
            filled_g([(value * watts / 1000 / speed, speed, 0.0) for value in free])
            for speed, watts in zip(throughput, power_w, strict=True)
        ]
    else:
        corners = hull([(0.0, 0.0), *zip(throughput, power_w, strict=True)])
        segments = [(b[0] - a[0], (b[1] - a[1]) / (b[0] - a[0])) for a, b in pairwise(corners)]
        choices = [filled_g([(value * slope / 1000, units, 0.0) for value in free for units, slope in segments])]
    possible = [grams for grams in choices if grams is not None]
    if not possible:
        assert isinstance(answer, NoPlan)
        return
    assert isinstance(answer, Plan)
    require_clear(answer, problem)
    assert answer.emissions_g == pytest.approx(min(possible), rel=1e-9, abs=1e-9)
    assert answer.exact


def hull(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """The lower convex hull, from the pause to the fastest."""
    kept: list[tuple[float, float]] = []
    for x, y in points:
        while len(kept) > 1 and (kept[-1][1] - kept[-2][1]) * (x - kept[-2][0]) >= (y - kept[-2][1]) * (
            kept[-1][0] - kept[-2][0]
        ):
            kept.pop()
        kept.append((x, y))
    return kept


@settings(max_examples=EXAMPLES, deadline=None)
@given(hourly(), st.data())
def test_a_block_more_never_makes_it_better(
    case: tuple[list[int], int, list[bool], Manner], data: st.DataObject
) -> None:
    row, hours, blocked, manner = case
    fewer = [taken and data.draw(st.booleans()) for taken in blocked]
    free, full = (solve(problem_of(row, hours, some, HOUR_S, manner)) for some in (fewer, blocked))
    if isinstance(full, Plan):
        assert isinstance(free, Plan)
        assert free.emissions_g <= full.emissions_g * (1 + 1e-9) + 1e-9
        assert free.at_once_g == full.at_once_g


@settings(max_examples=EXAMPLES, deadline=None)
@given(hourly())
def test_an_old_plan_is_kept_only_where_it_is_free(case: tuple[list[int], int, list[bool], Manner]) -> None:
    row, hours, blocked, manner = case
    alone = solve(problem_of(row, hours, [False] * len(row), HOUR_S, manner))
    problem = problem_of(row, hours, blocked, HOUR_S, manner)
    assert isinstance(alone, Plan)
    new, best = replan(problem, alone.segments), solve(problem)
    assert isinstance(new, Plan) == isinstance(best, Plan)
    if isinstance(new, Plan) and isinstance(best, Plan):
        require_clear(new, problem)
        assert new.emissions_g == pytest.approx(best.emissions_g, rel=1e-9, abs=1e-9)
        told = {binding.limit: binding.gain_g for binding in explain(problem, best).binding}
        gain_g = best.emissions_g - alone.emissions_g
        assert told.get("home capacity", 0.0) == pytest.approx(gain_g if any(blocked) else 0.0, abs=1e-5)
