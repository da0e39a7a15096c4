"""Jobs as they arrive: what runs stays, new ones see the capacity that is left and what it will be worth to others."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from lowtide.planning.fleet.board import Board, sizes
from lowtide.planning.fleet.checks import ROUNDING, loads, require_sound, tolerances
from lowtide.planning.fleet.columns import capacity_of, columns_of, power_of_pairs, rows_of, with_jobs, with_way_out
from lowtide.planning.fleet.groups import merge
from lowtide.planning.fleet.prices import ascend
from lowtide.planning.fleet.repair import make_room, start_now
from lowtide.planning.fleet.solve import answer
from lowtide.planning.fleet.types import UNPLACED, FleetJobs

if TYPE_CHECKING:
    from lowtide.planning.fleet.types import BoolArray, FleetPlan, FleetProblem, IntArray
    from lowtide_core.series import FloatArray

Policy = Literal["replan", "commit"]
"""``replan``: what has not started may move while others arrive; ``commit``: a promise, once given, stands."""

_DAY_S = 86400.0
_NOT_PLACED = 100.0
_NOT_COME = 8.0
"""What a job costs that is left out when prices are made, known or expected: times the dearest use of what it takes.

So prices have an end where not all can fit. That of a known job is far above all it could save; an expected one may not
come, or come smaller.
"""


@dataclass(frozen=True, slots=True)
class OnlineEffort:
    """Limits of the work in each step, in counts.

    Attributes:
        ascent: Evaluations of the prices, from those of the step before.
        first_ascent: The same where there are none yet.
        tries: Ways tried to make room for jobs that have no place.
        days: Days of arrivals of which the mean stands for those to come; a week has each weekday once.
        ahead_days: How far ahead arrivals are expected.
        expected_share: What is expected, as a share of that mean: more keeps more room for a rush.
    """

    ascent: int = 120
    first_ascent: int = 300
    tries: int = 200
    days: int = 7
    ahead_days: float = 2.0
    expected_share: float = 1.0


DEFAULT_EFFORT = OnlineEffort()


class Standing(NamedTuple):
    """What is promised after a step, and the prices that were seen.

    Attributes:
        start_step, pool: Of the known jobs, ``UNPLACED`` for those without a place; (n,).
        prices: (P, K, T), g per unit and step; of steps that have passed, as they were last.
    """

    start_step: IntArray
    pool: IntArray
    prices: FloatArray


def plan_next(
    problem: FleetProblem,
    standing: Standing,
    *,
    now: int,
    expected: FleetJobs | None = None,
    policy: Policy = "replan",
    effort: OnlineEffort = DEFAULT_EFFORT,
) -> Standing:
    """Give the known jobs their places at one step.

    Args:
        problem: The jobs that are known by now, and all capacity.
        standing: What was promised before; new jobs ``UNPLACED``.
        now: The current step. Whatever was to start before it runs or has run, and stays.
        expected: Jobs that may still come, in parts if need be; they take no place, but what they would pay for it
            counts. None expects nothing.
        policy: Whether a promise for ``now`` or later may be moved.
        effort: Limits of the work.
    Returns:
        The places; a job that had one keeps some place, and none starts before ``now``.
    """
    placed = standing.start_step != UNPLACED
    fixed = placed if policy == "commit" else placed & (standing.start_step < now)
    movable = np.flatnonzero(~fixed & _can_start(problem.jobs, now))
    if not movable.size:
        return standing
    end = int(problem.jobs.due_step[movable].max())
    if expected is not None and expected.count:
        end = max(end, int(expected.due_step.max()))
    rest = _rest(problem, standing, fixed, slice(now, end))
    part = replace(rest, jobs=_from_step(rows_of(problem.jobs, movable), now))
    outlook = part if expected is None else replace(rest, jobs=_both(part, _from_step(expected, now)))
    new_prices = _prices(outlook, movable.size, standing.prices[:, :, now:end], effort)
    board = Board(part)
    for job in np.flatnonzero(placed[movable]):
        board.put(int(job), int(standing.pool[movable[job]]), int(standing.start_step[movable[job]] - now))
    board.insert(board.unplaced().tolist(), new_prices)
    if board.unplaced().size:
        make_room(board, new_prices, effort.tries)
    start_now(board, columns_of(part), new_prices)
    start, pool, prices = standing.start_step.copy(), standing.pool.copy(), standing.prices.copy()
    start[movable] = np.where(board.start == UNPLACED, UNPLACED, board.start + now)
    pool[movable] = board.pool
    prices[:, :, now:end] = new_prices
    return Standing(start, pool, prices)


def _prices(outlook: FleetProblem, known: int, before: FloatArray, effort: OnlineEffort) -> FloatArray:
    """What capacity is worth to the jobs of the outlook, the first of which are known; (P, K, T), g per unit and step.

    Args:
        before: Those of the step before; zero where there are none.
    Notes:
        Prices that only said that not all fit are not taken over: they would be too high for long after.
    """
    groups = merge(outlook)
    columns, capacity = columns_of(groups.problem), capacity_of(outlook)
    size = sizes(groups.problem)
    own_g = np.maximum.reduceat(np.abs(columns.cost_g), columns.offset[:-1])
    dearest_g = float((own_g / np.where(size > 0, size, np.inf)).max(initial=0.0))  # per step of a whole capacity
    factor = np.full(size.size, _NOT_COME)
    factor[groups.of_job[:known]] = _NOT_PLACED
    columns = with_way_out(columns, own_g + factor * dearest_g * size)
    unit = (tolerances(outlook) / ROUNDING)[None, :, None]
    start = np.minimum(before, _NOT_COME * dearest_g / unit) if before.any() else None
    steps = effort.first_ascent if start is None else effort.ascent
    return ascend(columns, capacity, steps=steps, start=start).prices


def _can_start(jobs: FleetJobs, now: int) -> BoolArray:
    """Whose window still has room for the run at ``now`` or later; (n,)."""
    return np.asarray(jobs.due_step - jobs.run_steps >= np.maximum(jobs.release_step, now))


def _rest(problem: FleetProblem, standing: Standing, fixed: BoolArray, span: slice) -> FleetProblem:
    """The steps of the span with what the fixed jobs leave."""
    start = np.where(fixed, standing.start_step, UNPLACED)
    free = np.maximum(0.0, capacity_of(problem) - loads(problem, start, standing.pool))[:, :, span]
    pools = tuple(
        replace(pool, intensity_g_per_kwh=pool.intensity_g_per_kwh[span], capacity=free[row])
        for row, pool in enumerate(problem.pools)
    )
    return replace(problem, pools=pools)


def _from_step(jobs: FleetJobs, now: int) -> FleetJobs:
    """The same jobs on the axis that begins at ``now``."""
    return replace(jobs, release_step=np.maximum(0, jobs.release_step - now), due_step=jobs.due_step - now)


def _both(part: FleetProblem, expected: FleetJobs) -> FleetJobs:
    """Known and expected jobs in one table."""
    known = replace(part.jobs, power_kw=power_of_pairs(part))
    other = replace(expected, power_kw=power_of_pairs(replace(part, jobs=expected)))
    columns = {name: np.concatenate([getattr(known, name), getattr(other, name)]) for name in known.__slots__}
    return FleetJobs(**columns)


def expected_jobs(
    problem: FleetProblem, arrival_step: IntArray, *, now: int, effort: OnlineEffort = DEFAULT_EFFORT
) -> FleetJobs | None:
    """What is likely to arrive after ``now``: the mean of the last days at the same time of day.

    Before one day has passed, what has come so far is taken to come again and again.

    Args:
        problem: All jobs; only those that have arrived by ``now`` are looked at.
        arrival_step: When each became known; (n,).
        now: The current step.
        effort: How many days back and ahead.
    Returns:
        Jobs of a part of the size each; None where nothing has arrived.
    """
    elapsed = now + 1 - int(arrival_step.min(initial=now + 1))
    period = min(max(1, round(_DAY_S / problem.step_s)), elapsed)
    if not period:
        return None
    periods = min(effort.days, elapsed // period)
    ahead = round(effort.ahead_days * _DAY_S / problem.step_s)
    recent = np.flatnonzero((arrival_step <= now) & (arrival_step > now - periods * period))
    phase = (arrival_step[recent] - now - 1) % period + 1  # steps from now until it comes again for the first time
    copies = np.maximum(0, (ahead - phase) // period + 1)
    row = np.repeat(np.arange(recent.size), copies)
    later = np.arange(row.size) - np.repeat(np.cumsum(copies) - copies, copies)
    moved = now + phase[row] + later * period - arrival_step[recent[row]]
    jobs = rows_of(problem.jobs, recent[row])
    run = coarse_runs(jobs.run_steps)
    part = effort.expected_share / periods * jobs.run_steps / run
    jobs = replace(
        jobs,
        release_step=jobs.release_step + moved,
        due_step=jobs.due_step + moved + run - jobs.run_steps,
        run_steps=run,
        demand=jobs.demand * part[:, None],
        power_kw=jobs.power_kw * (part if jobs.power_kw.ndim == 1 else part[:, None]),
        fixed_g=jobs.fixed_g * (effort.expected_share / periods),
        unused=np.zeros(row.size),
    )
    return rows_of(jobs, np.flatnonzero((jobs.due_step <= problem.steps) & _can_start(jobs, now + 1)))


def coarse_runs(run_steps: IntArray) -> IntArray:
    """Lengths rounded to powers of two, so that many expected jobs become one; (n,)."""
    return np.asarray(2 ** np.round(np.log2(run_steps)), dtype=np.int64)


def plan_arrivals(
    problem: FleetProblem,
    *,
    arrival_step: IntArray | None = None,
    past: FleetJobs | None = None,
    policy: Policy = "replan",
    effort: OnlineEffort = DEFAULT_EFFORT,
) -> FleetPlan:
    """Replay a queue: each step plans with the jobs that have arrived by then, and starts what is due.

    Args:
        problem: All jobs and capacity; the intensity is what is forecast.
        arrival_step: When each job becomes known; (n,), at or before its release. None takes the release.
        past: Jobs of the days before step 0, released at negative steps, of which it is learnt what is likely to come;
            None learns from nothing.
        policy: As in ``plan_next``.
        effort: Limits of the work in each step.
    Returns:
        The plan as it was carried out; its bound is that of the prices last seen for each step.
    Raises:
        InputError: As ``checks.require_sound``.
    """
    require_sound(problem)
    arrival = problem.jobs.release_step if arrival_step is None else arrival_step
    board = Board(problem)
    start, pool = board.start.copy(), board.pool.copy()
    prices = np.zeros_like(board.free)
    seen, seen_at = problem, arrival
    if past is not None:
        seen = replace(problem, jobs=_both(replace(problem, jobs=past), problem.jobs))
        seen_at = np.concatenate([past.release_step, arrival])
    for now in np.unique(arrival):
        known = np.flatnonzero(arrival <= now)
        expected = expected_jobs(seen, seen_at, now=int(now), effort=effort)
        standing = Standing(start[known], pool[known], prices)
        start[known], pool[known], prices = plan_next(
            with_jobs(problem, known), standing, now=int(now), expected=expected, policy=policy, effort=effort
        )
    for job in np.flatnonzero(start != UNPLACED):
        board.put(int(job), int(pool[job]), int(start[job]))
    return answer(board, prices, exact=False)
