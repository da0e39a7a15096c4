"""All jobs of a queue planned together: exact where the queue is small, with a proven bound where it is large."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from lowtide.planning.fleet.board import Board, column_now, missing_by_priority, placed_emissions_g
from lowtide.planning.fleet.checks import require_sound
from lowtide.planning.fleet.columns import capacity_of, columns_of, with_jobs
from lowtide.planning.fleet.exact import choose
from lowtide.planning.fleet.groups import merge
from lowtide.planning.fleet.master import solve_master
from lowtide.planning.fleet.prices import ascend, least_of_jobs, proven_bound_g
from lowtide.planning.fleet.relax import misfits_of, relax_for
from lowtide.planning.fleet.repair import improve, make_room, round_mix
from lowtide.planning.fleet.types import UNPLACED, FleetPlan

if TYPE_CHECKING:
    from lowtide.planning.fleet.columns import Columns
    from lowtide.planning.fleet.groups import Groups
    from lowtide.planning.fleet.types import FleetProblem, IntArray
    from lowtide_core.series import FloatArray


@dataclass(frozen=True, slots=True)
class Effort:
    """Limits of the work, in counts: the same input always gives the same plan, on any machine.

    Attributes:
        tiny_columns: With at most so many ways to run the jobs nothing but the exact solution is looked for.
        exact_columns: With at most so many the plan is handed to the exact solution to be proven or bettered.
        mip_work: Limit of nodes x columns^2 of each mixed-integer programme.
        ascent: Evaluations of the prices.
        master_groups: With at most so many groups of like jobs the linear programme is solved to its end; beyond, the
            prices of the ascent have to do, and the bound is a little weaker.
        iterations: Of the simplex method, in each solve.
        tries: Ways tried to make room for jobs that have no place.
        passes: Over all jobs, to move single ones.
    """

    tiny_columns: int = 300
    exact_columns: int = 2000
    mip_work: int = 60_000_000
    ascent: int = 600
    master_groups: int = 4000
    iterations: int = 200_000
    tries: int = 2000
    passes: int = 20


DEFAULT_EFFORT = Effort()


def plan_fleet(problem: FleetProblem, effort: Effort = DEFAULT_EFFORT) -> FleetPlan:
    """When and where each job runs, so that no capacity is exceeded, no deadline missed, and emissions are least.

    Args:
        problem: Jobs, pools and what is free.
        effort: Limits of the work.
    Returns:
        The plan, with a bound that no plan of the same jobs can beat, and the jobs that do not fit with what to relax.
    Raises:
        InputError: As ``checks.require_sound``.
    Notes:
        Feasibility goes first. If not all jobs fit, then in this order: as many as can be of the highest priority, of
        the next, and so on; of such sets one in which the group (``share``) served most is served least, where a group
        is served by the largest part that its jobs take of any resource (only where several groups have jobs that could
        run at all); then the least emissions. ``exact`` says that this was solved to the end. A plan that is not exact
        keeps every limit too; that a job does not fit is then what was found, not proven.

        Prices of capacity are raised until the bound is best (Lagrangian ascent, then the linear programme by
        column generation, over groups of like jobs). The programme's mix is rounded job by job, overloads are undone
        and refilled at the prices, and single jobs are moved while that helps.
    """
    require_sound(problem)
    board = Board(problem)
    able = np.flatnonzero([bool(board.ways(job).fits.any()) for job in range(problem.jobs.count)])
    if not able.size:
        return answer(board, np.zeros_like(board.free), exact=True)
    if _place_alone(board, able):
        return answer(board, None, exact=True)
    part = with_jobs(problem, able)
    count = _columns_in(part)
    if count <= effort.tiny_columns and _place_exactly(board, able, part, None, effort):
        return answer(board, None, exact=True)
    trial = Board(part)
    prices = _place_jointly(trial, part, effort)
    _carry(trial, board, able)
    if count <= effort.exact_columns and _place_exactly(board, able, part, trial, effort):
        return answer(board, None, exact=True)
    placed = np.flatnonzero(board.start != UNPLACED)
    if placed.size < able.size and placed.size:  # the prices of a crowd that does not fit say little of those that do
        prices = priced_mix(with_jobs(problem, placed), effort)[2]
    return answer(board, prices, exact=False)


def _place_alone(board: Board, able: IntArray) -> bool:
    """Place every job where it emits least, were it alone; False, and an empty board, where that is too much."""
    chosen: list[tuple[int, int, int]] = []
    for job in able:
        ways = board.ways(job)
        emissions_g = np.where(ways.fits, ways.emissions_g, np.inf)
        pool, step = np.unravel_index(int(emissions_g.argmin()), emissions_g.shape)
        chosen.append((int(job), int(ways.pools[pool]), ways.first + int(step)))
    for which, where, start in chosen:
        board.put(which, where, start)
    if board.overloaded().size:
        board.clear()
        return False
    return True


def _columns_in(problem: FleetProblem) -> int:
    jobs = problem.jobs
    starts = np.maximum(0, jobs.due_step - jobs.run_steps - jobs.release_step + 1)
    return int(starts @ jobs.allowed.sum(axis=1))


def _place_exactly(board: Board, able: IntArray, part: FleetProblem, trial: Board | None, effort: Effort) -> bool:
    """Place the jobs as the mixed-integer programme says, if that is better than the trial; whether it is optimal."""
    columns = columns_of(part)
    hint = None if trial is None else column_now(columns, trial, np.arange(part.jobs.count))
    nodes = max(1, effort.mip_work // max(1, columns.count) ** 2)
    found = choose(columns, capacity_of(part), part.jobs, nodes=nodes, hint=hint)
    if found.column is None:
        return False
    better = Board(part)
    for row in np.flatnonzero(found.column != UNPLACED):
        column = found.column[row]
        better.put(int(row), int(columns.pool[column]), int(columns.start[column]))
    if better.overloaded().size:  # within the solver's tolerance, and not within ours
        return False
    if found.exact or (trial is not None and _rank(better) < _rank(trial)):
        board.clear()
        _carry(better, board, able)
    return found.exact


def _carry(trial: Board, board: Board, able: IntArray) -> None:
    """Put the jobs of a board of some of the jobs on the board of all."""
    for row in np.flatnonzero(trial.start != UNPLACED):
        board.put(int(able[row]), int(trial.pool[row]), int(trial.start[row]))


def _rank(board: Board) -> tuple[tuple[int, ...], float]:
    """The less, the better: who has no place, then the emissions."""
    return _missing(board), board.emissions_g()


def _place_jointly(board: Board, problem: FleetProblem, effort: Effort) -> FloatArray:
    """Place the jobs by prices, rounding and moves; the prices (P, K, T), g per unit and step."""
    groups, columns, prices, mix = priced_mix(problem, effort)
    round_mix(board, groups, columns, mix, prices)
    if board.unplaced().size:
        _fill(board, prices, effort)
    improve(board, least_of_jobs(problem, np.zeros_like(prices)), effort.passes)
    return prices


def priced_mix(
    problem: FleetProblem, effort: Effort, before: FloatArray | None = None
) -> tuple[Groups, Columns, FloatArray, FloatArray]:
    """Groups of like jobs, their columns, and the prices (g per unit and step) and the mix that answer them.

    Args:
        problem: Every job has a column.
        effort: Of the ascent and the linear programme.
        before: Prices that were good a moment ago.
    """
    groups = merge(problem)
    columns, capacity = columns_of(groups.problem), capacity_of(problem)
    unit_g = max(float(np.abs(columns.cost_g).mean()), 1e-300)  # solvers have absolute tolerances
    scaled = replace(columns, cost_g=columns.cost_g / unit_g)
    start = None if before is None else before / unit_g
    answer = ascend(scaled, capacity, steps=effort.ascent, start=start)
    if groups.problem.jobs.count <= effort.master_groups:
        answer = solve_master(scaled, capacity, answer, iterations=effort.iterations)
    return groups, columns, answer.prices * unit_g, answer.mix


def _fill(board: Board, prices: FloatArray, effort: Effort) -> None:
    """Find a place for those that have none; where that fails, begin anew from orders that are known to pack well."""
    make_room(board, prices, effort.tries)
    if not board.unplaced().size:
        return
    jobs = board.jobs
    best, least_missing = board.snapshot(), _missing(board)
    latest = jobs.due_step - jobs.run_steps
    for order in (np.lexsort((latest, -jobs.priority)), np.lexsort((-board.size, -jobs.priority))):
        board.clear()
        for job in order:
            board.insert_one(int(job))
        make_room(board, prices, effort.tries)
        if _missing(board) < least_missing:
            best, least_missing = board.snapshot(), _missing(board)
    board.restore(best)


def _missing(board: Board) -> tuple[int, ...]:
    return missing_by_priority(board.jobs.priority, board.start == UNPLACED)


def answer(board: Board, prices: FloatArray | None, *, exact: bool) -> FleetPlan:
    """The plan on the board; without prices it is its own bound."""
    problem = board.problem
    placed = np.flatnonzero(board.start != UNPLACED)
    part = with_jobs(problem, placed)
    emissions_g = board.emissions_g()
    uncapped_g = float(least_of_jobs(part, np.zeros_like(board.free)).sum())
    bound_g = emissions_g if prices is None else max(uncapped_g, proven_bound_g(part, prices))
    jobs = part.jobs
    return FleetPlan(
        start_step=board.start.copy(),
        pool=board.pool.copy(),
        emissions_g=emissions_g,
        at_once_g=float(placed_emissions_g(part, jobs.release_step, jobs.home).sum()),
        bound_g=min(bound_g, emissions_g),
        uncapped_g=min(uncapped_g, emissions_g),
        misfits=misfits_of(board),
        relax=relax_for(board),
        exact=exact,
    )
