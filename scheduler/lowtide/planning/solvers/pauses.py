"""When a job runs that may pause, where starting, resuming and stopping cost energy and pauses may be limited.

Rules and weights: ``pauses_rules``. The dynamic programmes: ``pauses_cells``. Many jobs on one regular grid:
``pauses_batch``.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from lowtide.planning.solvers.pauses_cells import CellJob, SpanJob, cheapest_cells, cheapest_spans
from lowtide.planning.solvers.pauses_rules import EVEN, PauseRules, ProgressWeight, require_amount
from lowtide.planning.solvers.steps import SAME_INSTANT_S, integral_of, require_fit
from lowtide.planning.solvers.windows import Piece, StepSeries, best_pieces, best_window
from lowtide_core.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lowtide_core.series import FloatArray

__all__ = ["PauseRules", "PausedRun", "ProgressWeight", "paused_cost", "plan_pauses"]

MAX_STATES = 8_000_000
"""States of a dynamic programme (cells of work x cells of standing still x pauses); each takes about 40 bytes."""

_COARSE_STATES = 1_000_000
"""As many as are worth their time where the answer is not exact anyway."""

_LEAST_CELL_S = 60.0
"""No grid is finer, where none is exact: a plan need not be better than to the minute."""


class PausedRun(NamedTuple):
    """When the job runs, and what that costs.

    Attributes:
        pieces: In order, with a pause between each two.
        cost: Starts and stop included; value·s.
        restarts: Resumes after a pause; the first start is none.
        exact: No plan is cheaper, of those that the Notes of ``plan_pauses`` speak of.
        bound: The same, proven: equal to the cost of an exact plan, otherwise below it; value·s.
    """

    pieces: tuple[Piece, ...]
    cost: float
    restarts: int
    exact: bool
    bound: float


def plan_pauses(
    series: StepSeries,
    earliest_s: float,
    end_by_s: float,
    duration_s: float,
    rules: PauseRules,
    *,
    weight: ProgressWeight | None = None,
    running: bool = False,
    ran_s: float = math.inf,
) -> PausedRun:
    """The cheapest runs that add up to the duration, between two instants.

    Args:
        series: Values over time; finite and >= 0 between ``earliest_s`` and ``end_by_s``.
        earliest_s: No start before; s.
        end_by_s: No end after; s, at least ``earliest_s + duration_s``.
        duration_s: What is left to run; s, > 0, need not be a multiple of the step.
        rules: Of a job that has run before: ``rules.after_pauses``.
        weight: By progress from ``earliest_s`` on; None: the same at any progress.
        running: The job is running at ``earliest_s``: carrying on at once is no start, pausing at once is a pause.
        ran_s: How long the present run of a running job has lasted, for ``min_run_s``; s.
    Returns:
        The runs; ``exact`` except where the Notes say so.
    Raises:
        InputError: The window does not fit, or the series does not cover it (``facts["short_by_s"]`` tells by how
            much), or a value is negative.
    Notes:
        Without weight and least run, the plan is the cheapest of all whose runs begin and end on edges, of steps or of
        the window, but for one end of a run, which lies where the duration wants it. Why no other need be looked at: in
        which steps the ends of the runs lie being fixed, the cost is linear in them, and they are bound by their steps
        and by one equation, the duration; so at a vertex at most one is off an edge. The one exception is a start that
        moves up to an edge at which the value rises, and so gets dearer by ``restart_s`` times the rise (likewise the
        stop, where the value falls). Plans that begin a moment before a rise in order to have a start charged at the
        old value are left out on purpose: the cheapest of them does not exist (a shorter moment is better), and no
        machine starts in no time. So no plan at all is cheaper where a start inside a step is charged at the dearer of
        its step and the next, and a stop inside a step at the dearer of its step and the one before.

        With a weight or a least run, the plan is the cheapest of all whose runs begin and end on the grain: the
        largest number of whole seconds that divides the step, the window, the duration, the least run and the ends of
        the factors. The ends of the runs, as differences of what is done and what has been waited, are then bound by
        differences alone, whose matrix is totally unimodular: a vertex lies on the grain.

        Where the grain would make more than ``MAX_STATES`` states (a start at an odd second), runs begin and end on a
        coarser grid, from the first of its lines in the window if there is room; then ``exact`` is false, and ``bound``
        is the optimum without least runs, or with a weight what the cheapest seconds cost with the largest factors on
        the cheapest.
    """
    require_fit(series, earliest_s, end_by_s, duration_s)
    require_amount("ran_s", ran_s, finite=False)
    window = _window(series, earliest_s, end_by_s)
    if weight is None and rules.cost_nothing:
        pieces = best_pieces(series, earliest_s, end_by_s, duration_s)
        restarts = _restarts(pieces, earliest_s if running else None)
        if rules.max_pauses is None or restarts <= rules.max_pauses:
            cost = paused_cost(series, pieces, rules)
            return PausedRun(pieces, cost, restarts, True, cost)
    if weight is None and not rules.min_run_s and _states(series.step_s, window, duration_s, rules) <= MAX_STATES:
        return _plan_on_edges(window, duration_s, rules, running)
    return _plan_on_grid(series, window, duration_s, rules, weight or EVEN, ran_s if running else None)


def paused_cost(
    series: StepSeries,
    pieces: Sequence[Piece],
    rules: PauseRules,
    *,
    weight: ProgressWeight | None = None,
    running_at_s: float | None = None,
) -> float:
    """What given runs cost, such as those of an old plan under a new forecast.

    Args:
        series: Values over time.
        pieces: Runs, in order; whether they keep to the limits of the rules is not looked at.
        rules: What starts and the stop cost.
        weight: By progress from the first piece on.
        running_at_s: Where the job is running: then and only then a first piece that begins there is no start, and any
            other is a resume; None where the job is not running.
    Returns:
        value·s; NaN where a part of a run has no value.
    """
    weight = weight or EVEN
    edges_s = series.edges_s()
    cost = done_s = 0.0
    for index, (start_s, end_s) in enumerate(pieces):
        if not (edges_s[0] - SAME_INSTANT_S <= start_s < end_s <= edges_s[-1] + SAME_INSTANT_S):
            return math.nan
        carried_on = index == 0 and running_at_s is not None and abs(start_s - running_at_s) < SAME_INSTANT_S
        energy_s = rules.restart_s if index or running_at_s is not None else rules.first_start_s
        cuts_s = _cuts(edges_s, weight, start_s, end_s, done_s)
        values = series.values[_step_at(series, cuts_s[:-1])]
        cost += float(np.diff(weight.integral_s(cuts_s - start_s + done_s)) @ values)
        factors = weight.at(cuts_s - start_s + done_s)
        if not carried_on:
            cost += energy_s * float(values[0]) * (float(factors[0]) if weight.is_survival else 1.0)
        done_s += end_s - start_s
        is_last = index == len(pieces) - 1
        if weight.is_survival:
            ends = factors[:-1] - np.where(np.arange(1, factors.size) < factors.size - is_last, factors[1:], 0.0)
            cost += rules.stop_s * float(ends @ values)
        elif is_last:
            cost += rules.stop_s * float(values[-1])
    return cost


class _Window(NamedTuple):
    """The steps of the series between two instants, cut to them; ``edges_s`` since the first."""

    earliest_s: float
    step_s: float
    edges_s: FloatArray
    values: FloatArray

    @property
    def room_s(self) -> float:
        return float(self.edges_s[-1])

    @property
    def first_edge_s(self) -> float:
        """An edge of the steps themselves, not of the window; s since the window's start, may be negative."""
        return float(self.edges_s[1]) - self.step_s if self.edges_s.size > 2 else float(self.edges_s[0])


def _window(series: StepSeries, earliest_s: float, end_by_s: float) -> _Window:
    """Raises ``InputError`` for a negative or infinite value."""
    first = int((earliest_s - series.start_s + SAME_INSTANT_S) // series.step_s)
    last = math.ceil((end_by_s - series.start_s - SAME_INSTANT_S) / series.step_s)
    values = np.asarray(series.values[first:last], dtype=np.float64)
    if not (values.min() >= 0 and values.max() < math.inf):
        wrong = int(np.flatnonzero(~((values >= 0) & (values < math.inf)))[0])
        raise InputError(
            f"The value of step {first + wrong} is {values[wrong]}.",
            hint="Values are finite and not negative.",
            step=first + wrong,
        )
    edges_s = (series.start_s - earliest_s) + series.step_s * np.arange(first, last + 1, dtype=np.float64)
    edges_s[0] = max(edges_s[0], 0.0)
    edges_s[-1] = min(edges_s[-1], end_by_s - earliest_s)
    return _Window(earliest_s, series.step_s, edges_s, values)


def _plan_on_edges(window: _Window, duration_s: float, rules: PauseRules, running: bool) -> PausedRun:
    """The plan where there is neither a weight nor a least run."""
    step_s = window.step_s
    values = window.values
    steps = duration_s / step_s
    lengths_s = window.edges_s[1] - window.edges_s[0], window.edges_s[-1] - window.edges_s[-2]
    if min(lengths_s) > step_s - SAME_INSTANT_S and abs(steps - round(steps)) * step_s < SAME_INSTANT_S:
        work = np.full(round(steps), step_s)
        work[-1] += rules.stop_s
        start = np.full(work.size, rules.restart_s)
        start[0] = rules.restart_s if running else rules.first_start_s
        runs = cheapest_cells(CellJob(values, values, values, work, start, 1, 0 if running else None), rules.max_pauses)
        spans = [(begin * step_s, end * step_s) for begin, end in runs.spans]
    else:
        job = _span_job(window, duration_s, rules, running, values, values)
        runs = cheapest_spans(job, rules.max_pauses)
        spans = list(runs.spans)
    pieces = _pieces(window.earliest_s, spans)
    restarts = _restarts(pieces, window.earliest_s if running else None)
    return PausedRun(pieces, runs.cost, restarts, True, runs.cost)


def _span_job(
    window: _Window,
    duration_s: float,
    rules: PauseRules,
    running: bool,
    start_values: FloatArray,
    stop_values: FloatArray,
) -> SpanJob:
    return SpanJob(
        window.edges_s,
        window.values,
        start_values,
        stop_values,
        window.step_s,
        duration_s,
        rules.first_start_s,
        rules.restart_s,
        rules.stop_s,
        running,
    )


def _plan_on_grid(
    series: StepSeries,
    window: _Window,
    duration_s: float,
    rules: PauseRules,
    weight: ProgressWeight,
    ran_s: float | None,
) -> PausedRun:
    """The plan on the grain of all numbers, or on a grid that is coarser; ``ran_s`` None where not running."""
    owed_s = None if ran_s is None else min(duration_s, max(0.0, rules.min_run_s - ran_s))
    inner_s = [window.step_s, duration_s, rules.min_run_s, *(end for end in weight.until_s[:-1] if end < duration_s)]
    cell_s = _grain_s([*inner_s, -window.first_edge_s, window.room_s, owed_s or 0.0])
    exact = cell_s > 0 and _states(cell_s, window, duration_s, rules) <= MAX_STATES
    shift_s = 0.0
    if not exact:
        inner_grain_s = _grain_s(inner_s)
        base_s = inner_grain_s if inner_grain_s >= _LEAST_CELL_S else window.step_s
        cell_s = _coarse_cell_s(base_s, window, duration_s, rules)
        shift_s = window.first_edge_s % cell_s if ran_s is None else 0.0
        shift_s = shift_s if shift_s + duration_s <= window.room_s else 0.0
    job, last_s = _cell_job(window, cell_s, shift_s, duration_s, rules, weight, owed_s)
    runs = cheapest_cells(job, rules.max_pauses)
    cells = [(shift_s + begin * cell_s, shift_s + end * cell_s) for begin, end in runs.spans]
    cells[-1] = (cells[-1][0], cells[-1][1] - cell_s + last_s)
    pieces = _pieces(window.earliest_s, cells)
    running_at_s = None if ran_s is None else window.earliest_s
    if exact:
        return PausedRun(pieces, runs.cost, _restarts(pieces, running_at_s), True, runs.cost)
    plans = [pieces, (Piece(window.earliest_s, window.earliest_s + duration_s),)]
    if ran_s is None:
        plans.append((best_window(series, window.earliest_s, window.earliest_s + window.room_s, duration_s),))
    costs = [paused_cost(series, plan, rules, weight=weight, running_at_s=running_at_s) for plan in plans]
    best = int(np.argmin(costs))
    bound = min(costs[best], _bound(window, duration_s, rules, weight, ran_s is not None))
    return PausedRun(plans[best], costs[best], _restarts(plans[best], running_at_s), False, bound)


def _cell_job(
    window: _Window,
    cell_s: float,
    shift_s: float,
    duration_s: float,
    rules: PauseRules,
    weight: ProgressWeight,
    owed_s: float | None,
) -> tuple[CellJob, float]:
    """The job on a grid from ``shift_s`` after the window's start, and the length of its last cell of work; s."""
    cells = max(1, math.ceil((duration_s - SAME_INSTANT_S) / cell_s))
    last_s = duration_s - (cells - 1) * cell_s
    count = max(cells, math.floor((window.room_s - shift_s - last_s + SAME_INSTANT_S) / cell_s) + 1)
    begins_s = shift_s + cell_s * np.arange(count, dtype=np.float64)
    integral = integral_of(window.edges_s, window.values)
    means = [integral.over(begins_s, length_s) / length_s for length_s in (cell_s, last_s)]
    step = np.searchsorted(window.edges_s, begins_s + SAME_INSTANT_S, "right") - 1
    at_start = window.values[np.minimum(step, window.values.size - 1)]

    done_s = np.append(cell_s * np.arange(cells), duration_s)
    factors = weight.at(done_s[:-1])
    work = np.diff(weight.integral_s(done_s))
    if weight.is_survival:
        work += rules.stop_s * (factors - np.append(factors[1:], 0.0))
    else:
        work[-1] += rules.stop_s
    start = np.full(cells, rules.restart_s)
    start[0] = rules.first_start_s if owed_s is None else rules.restart_s
    if weight.is_survival:
        start *= factors
    short_last = last_s < cell_s - SAME_INSTANT_S  # a run that ends with the last cell is shorter than its cells
    least = math.ceil((rules.min_run_s - SAME_INSTANT_S) / cell_s) + short_last
    owed = None if owed_s is None else min(cells, math.ceil((owed_s - SAME_INSTANT_S) / cell_s))
    return CellJob(means[0], at_start, means[1], work, start, min(cells, max(1, least)), owed), last_s


def _bound(window: _Window, duration_s: float, rules: PauseRules, weight: ProgressWeight, running: bool) -> float:
    """No plan costs less: without least runs where there is no weight; otherwise the cheapest seconds.

    Without least runs the optimum is that of ``_plan_on_edges``, if a start at an edge may be charged at the step that
    ends there, and a stop at the one that begins. Otherwise starts and stop are charged at the least value.
    """
    if weight is EVEN and _states(window.step_s, window, duration_s, rules) <= MAX_STATES:
        values = window.values
        before, after = np.append(values[:1], values[:-1]), np.append(values[1:], values[-1:])
        low_start, low_stop = np.minimum(values, before), np.minimum(values, after)
        return cheapest_spans(_span_job(window, duration_s, rules, running, low_start, low_stop), rules.max_pauses).cost
    first = weight.factors[0] if weight.is_survival else 1.0
    starts_s = rules.stop_s + (0.0 if running else rules.first_start_s)
    return _cheapest_seconds(window, duration_s, weight) + first * starts_s * float(window.values.min())


def _cheapest_seconds(window: _Window, duration_s: float, weight: ProgressWeight) -> float:
    """Cost of the cheapest seconds of the window, the cheapest with the largest factors; value·s."""
    order = np.argsort(window.values, kind="stable")
    cheap_s = np.cumsum(np.diff(window.edges_s)[order])
    ends_s = np.minimum([*weight.until_s[:-1], duration_s], duration_s)
    large = np.argsort(-np.array(weight.factors), kind="stable")
    large_s = np.cumsum(np.diff(ends_s, prepend=0.0)[large])
    cuts_s = np.unique(np.concatenate(([0.0, duration_s], cheap_s[cheap_s < duration_s], large_s)))
    middles_s = (cuts_s[:-1] + cuts_s[1:]) / 2
    values = window.values[order][np.minimum(np.searchsorted(cheap_s, middles_s), order.size - 1)]
    factors = np.array(weight.factors)[large][np.minimum(np.searchsorted(large_s, middles_s), large.size - 1)]
    return float(np.diff(cuts_s) @ (values * factors))


def _grain_s(numbers_s: Sequence[float]) -> float:
    """The largest number of whole seconds that divides all; 0 where they are not whole."""
    if any(abs(number_s - round(number_s)) > SAME_INSTANT_S for number_s in numbers_s):
        return 0.0
    return float(math.gcd(*(round(number_s) for number_s in numbers_s)))


def _states(cell_s: float, window: _Window, duration_s: float, rules: PauseRules) -> float:
    cells = math.ceil(duration_s / cell_s)
    return cells * ((window.room_s - duration_s) / cell_s + 1) * (1 + min(rules.max_pauses or 0, cells))


def _coarse_cell_s(base_s: float, window: _Window, duration_s: float, rules: PauseRules) -> float:
    """A part or a multiple of the base, as fine as the number of states allows."""
    most = min(MAX_STATES, _COARSE_STATES)
    for part in range(int(base_s // _LEAST_CELL_S), 1, -1):
        if _states(base_s / part, window, duration_s, rules) <= most:
            return base_s / part
    cell_s = base_s
    while cell_s < duration_s and _states(cell_s, window, duration_s, rules) > most:
        cell_s *= 2
    return cell_s


def _cuts(edges_s: FloatArray, weight: ProgressWeight, start_s: float, end_s: float, done_s: float) -> FloatArray:
    """The instants of a run between which neither value nor factor changes, its ends included; s."""
    changes_s = np.concatenate((edges_s, np.array(weight.until_s[:-1]) + (start_s - done_s)))
    inside_s = np.unique(changes_s[(changes_s > start_s + SAME_INSTANT_S) & (changes_s < end_s - SAME_INSTANT_S)])
    return np.concatenate(([start_s], inside_s, [end_s]))


def _step_at(series: StepSeries, instants_s: FloatArray) -> FloatArray:
    """The step that holds at each instant, at an edge the one that begins there; (n,), whole numbers."""
    steps = np.floor((instants_s - series.start_s + SAME_INSTANT_S) / series.step_s)
    return np.clip(steps, 0, series.values.size - 1).astype(np.int64)


def _pieces(origin_s: float, spans: Sequence[tuple[float, float]]) -> tuple[Piece, ...]:
    """Spans that touch are one piece."""
    joined: list[Piece] = []
    for begin_s, end_s in spans:
        if joined and origin_s + begin_s <= joined[-1].end_s + SAME_INSTANT_S:
            joined[-1] = Piece(joined[-1].start_s, origin_s + end_s)
        else:
            joined.append(Piece(origin_s + begin_s, origin_s + end_s))
    return tuple(joined)


def _restarts(pieces: Sequence[Piece], running_at_s: float | None) -> int:
    paused_at_once = running_at_s is not None and pieces[0].start_s > running_at_s + SAME_INSTANT_S
    return len(pieces) - 1 + paused_at_once
