"""Many jobs that may pause at a cost, on one regular series and in whole steps, in one call."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import accumulate, pairwise, starmap
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from lowtide_core.errors import InputError

if TYPE_CHECKING:
    import numpy.typing as npt

    from lowtide_core.series import FloatArray

    BoolArray = npt.NDArray[np.bool_]
    IntArray = npt.NDArray[np.int64]

_CACHE_BYTES = 900_000
"""Of the three arrays of a step, by which the number of lanes at a time is chosen: more would leave the caches, fewer
are not worth the calls."""

_LEAST_SHARED = 4
"""Jobs to a mark that make it worth solving what comes after it once for all of them."""

_RUNNING, _PAUSING = 1, 2
"""How a job comes to a mark, as the number of its lane there; 0 is one that has not begun."""


@dataclass(frozen=True, slots=True, eq=False)
class PausedBatch:
    """The cheapest plan of each job.

    Attributes:
        cost: Starts and stop included; (n,), value·steps.
        runs: Whether the job runs in each step of its window; (n, longest window).
    """

    cost: FloatArray
    runs: BoolArray

    @property
    def restarts(self) -> IntArray:
        """Resumes after a pause; (n,)."""
        before = np.pad(self.runs, ((0, 0), (1, 0)))[:, :-1]
        return np.asarray((self.runs & ~before).sum(axis=1) - 1, dtype=np.int64)


def plan_pauses_batch(
    values: FloatArray,
    start_steps: npt.ArrayLike,
    window_steps: npt.ArrayLike,
    run_steps: npt.ArrayLike,
    restart_steps: npt.ArrayLike,
    first_start_steps: npt.ArrayLike,
    stop_steps: npt.ArrayLike = 0.0,
) -> PausedBatch:
    """The cheapest plan of many jobs, each of whole steps in a window of whole steps.

    Args:
        values: Of each step; (T,), finite and >= 0 in all windows.
        start_steps: First step of each job's window; (n,), whole.
        window_steps, run_steps: How many steps each has, and needs; (n,) or one for all, whole, 1 <= run <= window.
        restart_steps, first_start_steps, stop_steps: What a resume, the first start and the stop cost, as steps of
            running; (n,) or one for all, >= 0. Charged at the step that begins there, the stop at the last step.
    Returns:
        Costs and plans, exact. Of equally cheap plans one that ends early is taken.
    Raises:
        InputError: A window lies outside the series or has no room for its run, a value in it is missing or negative,
            or a cost is negative; names the first such job.
    Notes:
        With ``on`` and ``off`` the least costs of having done ``j`` steps and running, or not, when step ``t`` begins:
        ``on(t + 1, j + 1) = min(on(t, j), off(t, j) + restart · v(t)) + v(t)`` and
        ``off(t + 1, j) = min(off(t, j), on(t, j))``, for those ``j`` alone that can be reached and finished in time.
        Lanes lie next to each other in memory; which way was taken is kept as one bit per state.

        Where many jobs have the same costs, marks are set every few steps of the series, and a window is cut at the
        first mark in it. What comes after a mark is solved once for all jobs cut there: for each number of steps left,
        and for a job that has not run yet, is running or pauses at the mark. What comes before is short and each job's
        own. The plan is the cheapest sum of the two, over the steps done before the mark and the state at it.
    """
    starts = np.atleast_1d(np.asarray(start_steps))
    count = starts.size
    starts = _whole("start_steps", starts, count)
    windows, lengths = _whole("window_steps", window_steps, count), _whole("run_steps", run_steps, count)
    costs = (
        _amounts("restart_steps", restart_steps, count),
        _amounts("first_start_steps", first_start_steps, count),
        _amounts("stop_steps", stop_steps, count),
    )
    values = np.asarray(values, dtype=np.float64)
    _require_sound(values, starts, windows, lengths)
    values = np.where((values >= 0) & (values < np.inf), values, 0.0)  # lanes run on behind the windows

    which, rows = _distinct(_Rows(windows, lengths, *costs, starts))
    cost, runs = np.empty(rows.start.size), np.zeros((rows.start.size, int(windows.max(initial=0))), dtype=np.bool_)
    shape_ends = [*_changes(rows.window, rows.length).nonzero()[0].tolist(), rows.start.size]
    for jobs in starmap(slice, pairwise(shape_ends)):
        window, length = int(rows.window[jobs.start]), int(rows.length[jobs.start])
        cost[jobs], runs[jobs, :window] = _solve(values, rows.take(jobs), window, length)
    return PausedBatch(cost[which], runs[which])


class _Rows(NamedTuple):
    """Jobs, (n,) each; where they are in order, it is that of the columns."""

    window: IntArray
    length: IntArray
    restart: FloatArray
    first: FloatArray
    stop: FloatArray
    start: IntArray

    def take(self, which: IntArray | slice) -> _Rows:
        return _Rows._make(each[which] for each in self)


def _distinct(rows: _Rows) -> tuple[IntArray, _Rows]:
    """Which of the different jobs each job is, (n,), and the different jobs, in order."""
    order = np.lexsort(rows[::-1])
    rows = rows.take(order)
    new = _changes(*rows)
    which = np.empty(order.size, dtype=np.int64)
    which[order] = np.cumsum(new) - 1
    return which, rows.take(new.nonzero()[0])


def _changes(*columns: npt.NDArray[np.generic]) -> BoolArray:
    """Whether a row differs from the one before; the first does."""
    new = np.ones(columns[0].size, dtype=np.bool_)
    new[1:] = np.any([column[1:] != column[:-1] for column in columns], axis=0)
    return new


class _Shape(NamedTuple):
    """Steps of window and run; marks are less than ``reach`` steps from the starts; ``kinds`` of lanes after each."""

    window: int
    length: int
    reach: int
    kinds: int
    """A job comes to the mark not begun, running or pausing; a pausing one that pays for its resume what it would for
    its first start is as one not begun, and without a reach there is that alone."""


def _solve(values: FloatArray, rows: _Rows, window: int, length: int) -> tuple[FloatArray, BoolArray]:
    """Costs, (n,), and in which steps of its window each runs, (n, window)."""
    reach = math.isqrt(2 * window)  # what is before the marks and what is after then take about equally long
    marks = -(-rows.start // reach) * reach
    new = _changes(marks, *rows[:-1])
    if rows.stop.any() or np.count_nonzero(new) * _LEAST_SHARED > new.size:
        reach, marks, new = 1, rows.start, np.ones(new.size, dtype=np.bool_)
    kinds = 1 if reach == 1 else 2 if np.array_equal(rows.first, rows.restart) else 3
    shape = _Shape(window, length, reach, kinds)
    cost, runs = np.empty(new.size), np.empty((new.size, window), dtype=np.bool_)
    chunk = max(64, _CACHE_BYTES // (24 * (length + 1) * kinds))
    for low, high in pairwise([*new.nonzero()[0][::chunk].tolist(), new.size]):
        away = (marks - rows.start)[low:high]
        jobs = low + away.argsort(kind="stable")
        ends = np.append(0, np.bincount(away, minlength=reach).cumsum()).tolist()
        first = low + new[low:high].nonzero()[0]
        after = _after(values, rows.take(first)._replace(start=marks[first]), shape)
        before = _before(values, rows.take(jobs), ends, shape)
        mark = (np.cumsum(new[low:high]) - 1)[jobs - low]
        cost[jobs], runs[jobs] = _joined(after, before, mark, ends, shape)
    return cost, runs


class _Table:
    """The dynamic programme of jobs side by side, each in its own lane, step by step from the start of its lane.

    Attributes:
        steps: Values; (steps, lanes).
        rows: What starts and stops cost in each lane; the stop comes with the last of the cells.
        cells: How many steps are run at most.
        spare: In how many steps at most a lane may stand still, where it is to run in all of its cells.
        on, off: Least costs of having done so many steps and having run in the last step, or not; (cells + 1, lanes).
        came: Of a state after a step: whether the lane was off before and runs (1), was on before and is off (0);
            (steps, 2, cells + 1, lanes).
    """

    def __init__(self, steps: FloatArray, rows: _Rows, cells: int, spare: int, running: BoolArray) -> None:
        """Lanes that have done nothing; those that are running, (lanes,), go on without a start."""
        self.steps, self.cells, self.spare = steps, cells, spare
        self.rows, self.stops = rows, bool(rows.stop.any())
        self.restarts = steps * rows.restart
        shape = (cells + 1, steps.shape[1])
        self.came = np.empty((steps.shape[0], 2, *shape), dtype=np.bool_)
        self.on, self.off, self.begun = np.full(shape, np.inf), np.full(shape, np.inf), np.empty(shape)
        self.off[0, ~running], self.on[0, running] = 0.0, 0.0

    def advance(self, step: int) -> None:
        """The step after as many as have passed."""
        on, off, begun, came = self.on, self.off, self.begun, self.came[step]
        low, high = max(0, step - self.spare), min(step + 1, self.cells)
        was_on, was_off, begin = on[low:high], off[low:high], begun[low:high]
        np.add(was_off, self.restarts[step], out=begin)
        if low == 0:
            np.multiply(self.steps[step], self.rows.first, out=begin[0])
            begin[0] += off[0]
        np.less(begin, was_on, out=came[1, low + 1 : high + 1])
        np.minimum(begin, was_on, out=begin)
        to_rest = slice(low, min(step, self.cells) + 1)
        np.less(on[to_rest], off[to_rest], out=came[0, to_rest])
        np.minimum(off[to_rest], on[to_rest], out=off[to_rest])
        np.add(begin, self.steps[step], out=on[low + 1 : high + 1])
        if step == 0:
            on[0] = np.inf
        if self.stops and high == self.cells:
            on[high] += self.rows.stop * self.steps[step]

    def walk(self, lane: IntArray, cell: IntArray, running: BoolArray, active: list[slice]) -> BoolArray:
        """In which steps plans run, from how they end; (steps, plans).

        Args:
            lane, cell, running: Where each plan ends; (plans,).
            active: Of each step, the plans that have it.
        """
        cells, lanes = self.on.shape
        ran = np.empty((len(active), lane.size), dtype=np.bool_)
        to_running = cells * lanes
        state = running.astype(np.int64)
        at = lane + lanes * cell + to_running * state
        for step in range(len(active) - 1, -1, -1):
            now, place = state[active[step]], at[active[step]]
            ran[step, active[step]] = now
            changed = self.came[step].reshape(-1).take(place)
            place -= now * (to_running + lanes)
            now ^= changed
            place += now * to_running
        return ran


class _Before(NamedTuple):
    """What lies before the marks: a lane for each job, and the costs of coming to its mark."""

    table: _Table
    costs: FloatArray
    """Of not having run in the last step, or having; of having done so many steps; (2, cells + 1, n)."""


def _after(values: FloatArray, rows: _Rows, shape: _Shape) -> _Table:
    """The lanes from the marks on, not solved yet; all marks of one kind lie together."""
    kind = np.repeat(np.arange(shape.kinds), rows.start.size)
    lanes = rows.take(np.tile(np.arange(rows.start.size), shape.kinds))
    lanes = lanes._replace(first=np.where(kind, lanes.restart, lanes.first))
    steps = _by_step(values, lanes.start, shape.window)
    return _Table(steps, lanes, shape.length, shape.window - shape.length, kind == _RUNNING)


def _before(values: FloatArray, rows: _Rows, ends: list[int], shape: _Shape) -> _Before:
    """The lanes of jobs, (n,), from start to mark: from ``ends[d]`` to ``ends[d + 1]``, the mark is ``d`` steps off."""
    steps, cells = shape.reach - 1, min(shape.length, shape.reach - 1)
    table = _Table(_by_step(values, rows.start, steps), rows, cells, steps, np.zeros(ends[-1], dtype=np.bool_))
    costs = np.full((2, cells + 1, ends[-1]), np.inf)
    costs[0, 0] = 0.0
    for step, there in enumerate(starmap(slice, pairwise(ends[1:]))):
        table.advance(step)
        costs[:, :, there] = table.off[:, there], table.on[:, there]
    return _Before(table, costs)


def _joined(
    after: _Table, before: _Before, mark: IntArray, ends: list[int], shape: _Shape
) -> tuple[FloatArray, BoolArray]:
    """Costs and plans, as of ``_solve``, of jobs cut at the marks, (n,); ``ends`` as in ``_before``."""
    cost = np.empty(mark.size)
    found = []
    for step in range(shape.window):
        after.advance(step)
        distance = shape.window - 1 - step
        if distance < shape.reach:
            jobs = slice(ends[distance], ends[distance + 1])
            cost[jobs], some = _cheapest(after, before.costs[:, : distance + 1, jobs], mark[jobs], shape)
            found.append(some._replace(job=some.job + jobs.start))
    found.reverse()
    plans = _Plans(*map(np.concatenate, zip(*found, strict=True)))
    runs = _walked(after, before.table, plans, [0, *accumulate(some.job.size for some in found)], shape)
    taken = np.bincount(plans.job)[plans.job] == 1
    several = (~taken).nonzero()[0]
    if several.size:
        taken[several[_preferred(plans.job[several], runs[several])]] = True
        runs = runs[taken]
    return cost, runs


class _Plans(NamedTuple):
    """Plans of the least cost, at least one for each job, by where they end and how they come to the mark; (p,)."""

    job: IntArray
    lane: IntArray
    left: IntArray
    """Steps run after the mark."""
    ends_running: BoolArray
    done: IntArray
    """Steps run before the mark."""
    running: BoolArray
    """At the mark."""


def _cheapest(after: _Table, costs: FloatArray, mark: IntArray, shape: _Shape) -> tuple[FloatArray, _Plans]:
    """The least costs, (n,), and all ways over the mark that have them, of jobs that end where the table stands.

    Args:
        costs: Of coming to the mark; as in ``_Before``.
        mark: The mark of each job; (n,).
    """
    most = min(costs.shape[1] - 1, shape.length)
    marks = after.on.shape[1] // shape.kinds
    done = np.concatenate((np.arange(most + 1), np.arange(1, most + 1)))
    running = np.arange(done.size) > most
    kind = np.where(running, _RUNNING, np.where(done > 0, _PAUSING % shape.kinds, 0))
    final = np.minimum(after.on[shape.length - most :], after.off[shape.length - most :])[::-1]
    totals = np.concatenate((costs[0, : most + 1], costs[1, 1 : most + 1]))
    for total, row, first in zip(totals, done.tolist(), (kind * marks).tolist(), strict=True):
        total += final[row, first : first + marks].take(mark)
    least = totals.min(axis=0)
    job, way = (totals == least).T.nonzero()
    lane, left = kind[way] * marks + mark[job], shape.length - done[way]
    ends_running = after.on[left, lane] < after.off[left, lane]
    return least, _Plans(job, lane, left, ends_running, done[way], running[way])


def _walked(after: _Table, before: _Table, plans: _Plans, ends: list[int], shape: _Shape) -> BoolArray:
    """In which steps of the window each plan runs, (p, window); ``ends`` as in ``_before``, but of plans."""
    late = after.walk(
        plans.lane,
        plans.left,
        plans.ends_running,
        [slice(ends[min(shape.reach, shape.window - step)]) for step in range(shape.window)],
    )
    early = before.walk(
        plans.job, plans.done, plans.running, [slice(ends[step + 1], None) for step in range(shape.reach - 1)]
    )
    runs = np.empty((ends[-1], shape.window), dtype=np.bool_)
    for distance, some in enumerate(starmap(slice, pairwise(ends))):
        runs[some, :distance] = early[:distance, some].T
        runs[some, distance:] = late[: shape.window - distance, some].T
    return runs


def _preferred(job: IntArray, runs: BoolArray) -> IntArray:
    """The index of one plan for each job, (n,), of equally cheap ones, (p, window), of jobs in order, (p,).

    Seen from the end, it is the one whose state changes later, as a walk back through a single table finds it.
    """
    changes = runs ^ np.pad(runs, ((0, 0), (0, 1)))[:, 1:]
    packed = np.packbits(changes[:, ::-1], axis=1)
    keys = packed.view(f"S{packed.shape[1]}")[:, 0]
    order = np.lexsort((keys, job))
    return order[_changes(job[order])]


def _by_step(values: FloatArray, starts: IntArray, window: int) -> FloatArray:
    """The values of each job's window, step by step; (window, jobs). Three times as fast as one look-up of all."""
    steps = np.empty((window, starts.size))
    for step, row in enumerate(steps):
        values[step:].take(starts, out=row, mode="clip")
    return steps


def _whole(name: str, given: npt.ArrayLike, count: int) -> IntArray:
    numbers = np.asarray(given)
    whole = numbers.astype(np.int64)
    if not np.array_equal(whole, numbers) or numbers.size not in (1, count):
        raise InputError(
            f"{name} are not whole numbers, one for each of {count} jobs.", hint="Count in steps.", name=name
        )
    return np.broadcast_to(whole, (count,))


def _amounts(name: str, given: npt.ArrayLike, count: int) -> FloatArray:
    amounts = np.asarray(given, dtype=np.float64)
    if amounts.size not in (1, count) or not np.all((amounts >= 0) & (amounts < np.inf)):
        raise InputError(f"{name}: not one finite amount >= 0 for each of {count} jobs.", hint="Mend it.", name=name)
    return np.broadcast_to(amounts, (count,))


def _require_sound(values: FloatArray, starts: IntArray, windows: IntArray, lengths: IntArray) -> None:
    for wrong, what, hint in (
        ((lengths < 1) | (lengths > windows), "has no room for its run", "A run has 1 to as many steps as its window."),
        ((starts < 0) | (starts + windows > values.size), "reaches outside the series", "Give a longer series."),
    ):
        if wrong.any():
            raise _refusal(int(np.flatnonzero(wrong)[0]), starts, windows, lengths, what, hint)
    bad = np.concatenate(([0], np.cumsum(~((values >= 0) & (values < np.inf)))))
    if bad[-1]:
        gaps = np.flatnonzero(bad[starts + windows] > bad[starts])
        if gaps.size:
            what = "has a value that is missing, infinite or negative"
            raise _refusal(int(gaps[0]), starts, windows, lengths, what, "Leave that job out, or mend the series.")


def _refusal(job: int, starts: IntArray, windows: IntArray, lengths: IntArray, what: str, hint: str) -> InputError:
    start, window, length = int(starts[job]), int(windows[job]), int(lengths[job])
    return InputError(
        f"The window of job {job}, {window} steps from step {start} for a run of {length}, {what}.",
        hint=hint,
        job=job,
        short_by_steps=max(0, length - window),
    )
