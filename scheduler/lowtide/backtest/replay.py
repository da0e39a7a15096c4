"""Past jobs planned by the real planner on the forecasts of their time, once or again and again until they start."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from lowtide.backtest.issued import LaidOut, past_errors
from lowtide.backtest.jobs import on_steps
from lowtide.jobs.guard import worth_shifting
from lowtide.planning.solvers.batch import find_windows
from lowtide.planning.solvers.job_times import sums_from
from lowtide.planning.solvers.pauses_batch import plan_pauses_batch
from lowtide.planning.solvers.steps import SAME_INSTANT_S

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lowtide.backtest.issued import BoolArray, Came, IntArray, Issued
    from lowtide.backtest.jobs import ReplayJobs
    from lowtide_core.series import FloatArray

    Guard = Callable[[FloatArray, FloatArray], BoolArray]
    """Gain over running at once and mean past error of the forecast, both (m,), g/kWh -> whether to shift; (m,)."""

_CELLS_AT_ONCE = 1_000_000
"""Of forecasts laid end to end: more would leave the caches, and lose the microsecond of an instant."""


@dataclass(frozen=True, slots=True)
class Rules:
    """How jobs are planned.

    Attributes:
        replan_s: A waiting job is planned anew so often; s, > 0. Infinite: once.
        pausable: It may pause, in whole steps.
        restart_s: What each resuming costs, as running for so long; s.
        guard: Whether to let a job wait when it comes, or to pause one that runs; None does so for any gain. One that
            waits is not started by it.
        believed_restart_s: What the plans take a resuming to cost, if not what it costs.
    """

    replan_s: float = np.inf
    pausable: bool = False
    restart_s: float = 0.0
    guard: Guard | None = worth_shifting
    believed_restart_s: float | None = None


class Outcomes(NamedTuple):
    """What became of the jobs; (m,) each.

    Attributes:
        planned_g_per_kwh, now_g_per_kwh, oracle_g_per_kwh: Mean intensity over the run as planned, at once, and as
            planned by one who knew.
        start_s: When it began; s from the start of what came.
        plans: How often it was planned.
    """

    planned_g_per_kwh: FloatArray
    now_g_per_kwh: FloatArray
    oracle_g_per_kwh: FloatArray
    start_s: FloatArray
    plans: IntArray


def plannable(issued: Issued, jobs: ReplayJobs, step_s: float) -> BoolArray:
    """Whether a forecast that covers the run at once was known when each came; (m,)."""
    known: BoolArray = np.zeros(jobs.count, dtype=np.bool_)
    for block, part in _blocks(issued, jobs):
        rows = LaidOut(part, np.zeros_like(part.values), step_s).place(jobs.earliest_s[block])
        known[block] = rows.until_s - rows.at_s >= jobs.duration_s[block] - SAME_INSTANT_S
    return known


def replay(
    came: Came, issued: Issued, jobs: ReplayJobs, rules: Rules, progress: Callable[[int], None] | None = None
) -> Outcomes:
    """Plan every job on what was known, and score it on what came.

    Args:
        came: Without a gap in any window, see ``jobs.whole_windows``.
        issued: What was known; ``plannable`` for each job. Where it ends before the window does, so does the choice.
        jobs: In the order of arrival.
        rules: How to plan. Pausable jobs are put on whole steps.
        progress: Told how many more jobs are done.
    """
    jobs = on_steps(jobs, came.step_s) if rules.pausable else jobs
    errors = np.zeros_like(issued.values) if rules.guard is None else past_errors(issued, came)
    parts = []
    for block, part in _blocks(issued, jobs):
        first = int(np.searchsorted(issued.issued_s, part.issued_s[0]))
        mine = errors[first : first + part.issued_s.size]
        walk = _pausing if rules.pausable else _waiting
        parts.append(walk(came, LaidOut(part, mine, came.step_s), jobs.some(block), rules))
        if progress is not None:
            progress(block.size)
    return Outcomes(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def mean_over_runs(came: Came, start_s: FloatArray, duration_s: FloatArray) -> FloatArray:
    """Mean of what came over one uninterrupted run of each job; (m,), g/kWh."""
    series = came.prepared()
    return sums_from(series, start_s, duration_s) / (duration_s * series.counts_per_unit)


def _blocks(issued: Issued, jobs: ReplayJobs) -> Iterator[tuple[IntArray, Issued]]:
    """Jobs that came one after another, with the forecasts that they may see."""
    first = np.maximum(issued.newest(jobs.earliest_s), 0)
    last = np.maximum.accumulate(np.maximum(issued.newest(jobs.end_by_s), 0))  # a paused one plans until then
    most = max(1, _CELLS_AT_ONCE // issued.horizon)
    begin = 0
    while begin < jobs.count:
        end = max(begin + 1, int(np.searchsorted(last, first[begin] + most)))
        yield np.arange(begin, end), issued.between(int(first[begin]), int(last[end - 1]))
        begin = end


def _waiting(came: Came, rows: LaidOut, jobs: ReplayJobs, rules: Rules) -> Outcomes:
    """Jobs that run in one piece: each waits until the newest plan begins before the next planning."""
    start_s, latest_s = jobs.earliest_s.copy(), jobs.latest_s
    plans = np.zeros(jobs.count, dtype=np.int64)
    waiting = np.arange(jobs.count)
    now_s = jobs.earliest_s.copy()
    guard = rules.guard
    while waiting.size:
        start_s[waiting], planned = _starts(rows, jobs.some(waiting), now_s[waiting], start_s[waiting], guard)
        plans[waiting] += planned
        next_s = now_s[waiting] + rules.replan_s
        stays = (start_s[waiting] >= next_s - SAME_INSTANT_S) & (next_s <= latest_s[waiting] + SAME_INSTANT_S)
        waiting = waiting[stays]
        now_s[waiting] += rules.replan_s
        guard = None  # it has let them wait; what they now wait for may change
    series = came.prepared()
    best = find_windows(series, jobs.earliest_s, jobs.end_by_s, jobs.duration_s)
    mean = sums_from(series, start_s, jobs.duration_s) / (jobs.duration_s * series.counts_per_unit)
    return Outcomes(mean, best.mean_at_once, best.mean, start_s, plans)


def _starts(
    rows: LaidOut, jobs: ReplayJobs, now_s: FloatArray, before_s: FloatArray, guard: Guard | None
) -> tuple[FloatArray, BoolArray]:
    """The best start of each by the forecast that is the newest now, and whether there is one; else as before."""
    on = rows.place(now_s)
    known: BoolArray = on.until_s - on.at_s >= jobs.duration_s - SAME_INSTANT_S
    at_s, duration_s = on.at_s[known], jobs.duration_s[known]
    end_s = np.minimum(at_s + (jobs.end_by_s - now_s)[known], on.until_s[known])
    found = find_windows(rows.series, at_s, np.maximum(end_s, at_s + duration_s), duration_s)
    wait_s = found.start_s - at_s
    if guard is not None:
        shifts = guard(found.mean_at_once - found.mean, rows.mean_error(found.start_s, duration_s))
        wait_s = np.where(shifts, wait_s, 0.0)
    start_s = before_s.copy()
    start_s[known] = now_s[known] + wait_s
    return start_s, known


def _pausing(came: Came, rows: LaidOut, jobs: ReplayJobs, rules: Rules) -> Outcomes:
    """Jobs that may pause: each step runs or rests as the newest plan says; all on whole steps."""
    step_s = came.step_s
    arrival, need, window = (
        np.round(times_s / step_s).astype(np.int64)
        for times_s in (jobs.earliest_s, jobs.duration_s, jobs.end_by_s - jobs.earliest_s)
    )
    restart = rules.restart_s / step_s
    believed = restart if rules.believed_restart_s is None else rules.believed_restart_s / step_s
    runs = np.zeros((jobs.count, int(window.max())), dtype=np.bool_)
    plans = np.zeros(jobs.count, dtype=np.int64)
    every = max(1, round(min(rules.replan_s / step_s, runs.shape[1])))
    for passed in range(0, runs.shape[1], every):
        left = need - runs[:, :passed].sum(axis=1)
        active = np.flatnonzero((left > 0) & (window > passed))
        if not active.size:
            break
        running = runs[active, passed - 1] if passed else np.zeros(active.size, dtype=np.bool_)
        waits = ~running if passed else running
        state = _State(left[active], window[active] - passed, running, (left < need)[active], waits)
        ahead, planned = _ahead(rows, jobs.earliest_s[active] + passed * step_s, state, believed, rules.guard)
        plans[active] += planned
        fresh = active[planned]
        runs[fresh, passed:] = False
        runs[fresh, passed : passed + ahead.shape[1]] = ahead[planned]
    best = plan_pauses_batch(came.values, arrival, window, need, restart, 0.0)
    values = values_ahead(came, arrival, runs.shape[1])
    cost = cost_of_runs(values, runs, restart)
    now = mean_over_runs(came, jobs.earliest_s, jobs.duration_s)
    start_s = jobs.earliest_s + runs.argmax(axis=1) * step_s
    return Outcomes(cost / need, now, best.cost / need, start_s, plans)


def values_ahead(came: Came, first: IntArray, width: int) -> FloatArray:
    """What came in so many steps from each on, 0 where nothing is known; (m, width)."""
    steps = np.minimum(first[:, None] + np.arange(width), came.values.size - 1)
    values: FloatArray = np.nan_to_num(came.values[steps])
    return values


def resumes(runs: BoolArray) -> BoolArray:
    """Where a run begins that is not the first; (m, w)."""
    begins = runs.copy()
    begins[:, 1:] &= ~runs[:, :-1]
    again: BoolArray = begins & (np.cumsum(begins, axis=1) > 1)
    return again


def cost_of_runs(values: FloatArray, runs: BoolArray, restart: float) -> FloatArray:
    """What the steps of each job cost, with so many more for every resuming; (m,), value x steps."""
    return np.asarray((values * runs).sum(axis=1) + restart * (values * resumes(runs)).sum(axis=1))


class _State(NamedTuple):
    """How far jobs are; (m,) each.

    Attributes:
        left, window: Steps still to run, and still in the window.
        running, begun: Whether on now, and ever.
        waits: Whether it has been let wait, so that the guard is not asked again.
    """

    left: IntArray
    window: IntArray
    running: BoolArray
    begun: BoolArray
    waits: BoolArray


def _ahead(
    rows: LaidOut, now_s: FloatArray, state: _State, restart: float, guard: Guard | None
) -> tuple[BoolArray, BoolArray]:
    """In which of the coming steps each runs, by the forecast that is the newest now; and whether there is one.

    A job that runs already is given a step before the window that costs nothing: to go on from it is no resuming.
    """
    on = rows.place(now_s)
    step_s = rows.series.step_s
    reach = np.nan_to_num((on.until_s - on.at_s) / step_s).round().astype(np.int64)
    known: BoolArray = reach >= state.left
    left, running, begun = state.left[known], state.running[known], state.begun[known]
    window = np.minimum(state.window, reach)[known]
    ahead = np.zeros((known.size, int(state.window.max())), dtype=np.bool_)
    if not left.size:
        return ahead, known
    width = int(window.max())
    cells = (on.at_s[known] / step_s).round().astype(np.int64)[:, None] + np.arange(width)
    cells = np.minimum(cells, rows.series.size - 1)
    values = np.where(np.arange(width) < window[:, None], rows.series.values[cells], 0.0)
    found = plan_pauses_batch(
        np.pad(values, ((0, 0), (1, 0))).reshape(-1),
        np.arange(left.size) * (width + 1) + ~running,
        window + running,
        left + running,
        restart,
        np.where(begun, restart, 0.0),
    )
    longest = np.pad(found.runs, ((0, 0), (0, width + 1 - found.runs.shape[1])))
    runs = np.where(running[:, None], longest[:, 1:], longest[:, :width])
    runs &= np.cumsum(runs, axis=1) <= left[:, None]  # where steps cost nothing, the free one may have been left out
    if guard is not None:
        now: BoolArray = np.arange(width) < left[:, None]
        now_cost = (values * now).sum(axis=1) + restart * values[:, 0] * (begun & ~running)
        error = (rows.errors[cells] * runs).sum(axis=1)
        shifts = state.waits[known] | guard((now_cost - found.cost) / left, error / left)
        runs = np.where(shifts[:, None], runs, now)
    ahead[known, :width] = runs
    return ahead, known
