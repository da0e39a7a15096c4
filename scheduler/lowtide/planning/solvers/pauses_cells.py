"""The dynamic programmes of ``pauses``: over how much is done and how long the job has stood still.

Both walk over what is done, one cell of work at a time, with all amounts of standing still in one array: a job that has
done ``j`` cells and stood still for ``u`` is about to enter cell ``j + u`` of its window. So only the states are
visited from which the job can still be finished in time, and a pause is a running minimum.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from lowtide.planning.solvers.steps import SAME_INSTANT_S

if TYPE_CHECKING:
    from lowtide_core.series import FloatArray

_TIE = 1e-13
"""What a start costs in addition, relative to the whole run: of plans that cost the same, fewer pauses are taken."""


class Runs(NamedTuple):
    """``spans`` are half-open, in order, and may touch; cells in ``cheapest_cells``, s in ``cheapest_spans``."""

    cost: float
    restarts: int
    spans: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class CellJob:
    """A job of K cells of work in a window of T cells of time.

    Attributes:
        values: Mean value of each cell; (T,), >= 0.
        start_values: Value at the instant at which each cell begins; (T,).
        last_values: As ``values``, for the last cell of work, which may be shorter than the others; (T,).
        work: What each cell of work costs per value, tear-down included; (K,), s, >= 0.
        start: What a start or resume before each cell of work costs per value; (K,), s, >= 0.
        least: Cells that a run has at least; 1 to K.
        owed: Cells that the present run has to go on for before it may pause; None where the job is not running.
    """

    values: FloatArray
    start_values: FloatArray
    last_values: FloatArray
    work: FloatArray
    start: FloatArray
    least: int
    owed: int | None


def cheapest_cells(job: CellJob, max_pauses: int | None) -> Runs:
    """The cheapest runs of whole cells; ``spans`` in cells.

    Notes:
        With ``on`` the least cost of having done ``j`` cells, the last of them just now, and standing still for ``u``
        so far, less what the first ``j`` cells cost without any start at this ``u`` (so that running on is free):
        ``on(j, u) = min(on(j - 1, u), begun(j - least, u))`` and
        ``begun(j, u) = min over u' <= u of paused(j, u') + start(j) value(j + u)``, less the same.
        K (T - K + 1) states, times the pauses if they are limited and the limit binds.
    """
    free = _solve_cells(job, None)
    return free if max_pauses is None or free.restarts <= max_pauses else _solve_cells(job, max_pauses)


def _solve_cells(job: CellJob, max_pauses: int | None) -> Runs:
    cells, least = job.work.size, job.least
    idle = job.values.size - cells + 1
    unbroken = _unbroken(job, idle)
    tie = _TIE * (float(unbroken[-2].max()) or 1.0)
    begin = _entered(job.start_values, cells, idle) * job.start[:, None]
    begin += tie
    begin -= unbroken[:-1]

    # Pauses are counted only where they are limited; an axis of one would cost as much as the work itself.
    counts = () if max_pauses is None else (1 + max_pauses,)
    begun = np.full((cells, *counts, idle), np.inf)
    paused = np.empty((cells, *counts, idle))
    on = np.full((*counts, idle), np.inf)
    resumed, left = (begun[:, 1:], paused[:, :-1]) if counts else (begun, paused)
    if job.owed is None:
        begun[0].reshape(-1)[:idle] = begin[0]
    elif job.owed == 0:
        on.flat[0] = 0.0
        if max_pauses != 0:
            resumed[0].reshape(-1)[:idle] = begin[0]
    runs = list(begun)
    states = zip(unbroken[1:-1], paused[1:], left[1:], resumed[1:], begin[1:], strict=True)
    for done, (so_far, off, kept, later, start) in enumerate(states, start=1):
        if done >= least:
            np.minimum(on, runs[done - least], out=on)
        if done == job.owed:
            on.flat[0] = 0.0
        np.add(on, so_far, out=off)
        np.minimum.accumulate(kept, axis=-1, out=later)
        np.add(later, start, out=later)
    np.minimum(on, begun[cells - least], out=on)
    if job.owed is not None and job.owed >= cells:
        on.flat[0] = 0.0
    costs = on + unbroken[-1]
    count, still = divmod(int(costs.argmin()), idle)
    planes = (cells, -1, idle)
    spans, starts = _walk_cells(job, begun.reshape(planes), paused.reshape(planes), (count, still), len(counts))
    return Runs(float(costs.flat[count * idle + still]) - tie * starts, starts - (job.owed is None), spans)


def _entered(values: FloatArray, cells: int, idle: int) -> FloatArray:
    """The value of the cell that is entered from each state, a view; (K, T - K + 1).

    As numpy's ``sliding_window_view``, which takes a third of the time of a whole plan.
    """
    row = np.ascontiguousarray(values, dtype=np.float64)
    return np.ndarray((cells, idle), row.dtype, row, 0, (row.itemsize, row.itemsize))


def _unbroken(job: CellJob, idle: int) -> FloatArray:
    """What the first ``j`` cells of work cost without a start, after standing still for ``u``; (K + 1, T - K + 1)."""
    cells = job.work.size
    sums = np.zeros((cells + 1, idle))
    np.multiply(_entered(job.values, cells, idle), job.work[:, None], out=sums[1:])
    sums[-1] = job.last_values[cells - 1 :] * job.work[-1]
    return np.cumsum(sums, axis=0, out=sums)


def _walk_cells(
    job: CellJob, begun: FloatArray, paused: FloatArray, end: tuple[int, int], lag: int
) -> tuple[tuple[tuple[float, float], ...], int]:
    """The runs that lead to the end, and how many of them began with a start; a tie goes to the longer run."""
    count, still = end
    done = job.work.size
    spans: list[tuple[float, float]] = []
    starts = 0
    while done:
        rows = begun[: done - job.least + 1, count, still]
        first = int(rows.argmin()) if rows.size else 0
        carried_on = job.owed is not None and job.owed <= done and still == 0 and count == 0
        if carried_on and not (rows.size and rows[first] < 0.0):
            spans.append((0, done))
            break
        spans.append((first + still, done + still))
        starts += 1
        if first:
            count -= lag
            still = int(paused[first, count, : still + 1].argmin())
        done = first
    return tuple(reversed(spans)), starts


@dataclass(frozen=True, slots=True)
class SpanJob:
    """A job of any length in a window of whole steps that may have a part of a step at either end.

    Attributes:
        edges_s: Of the steps, the window's ends included; (M + 1,), s, rising.
        values: Of the steps; (M,), >= 0.
        start_values, stop_values: At which a start and a stop in each step are charged; (M,), >= 0.
        step_s: Length of every step but the first and the last, which may be shorter; s.
        duration_s: s, > 0, at most the window.
        first_s, restart_s, stop_s: What the first start, a resume and the final stop cost per value; s, >= 0.
        running: The job is running as the window opens.
    """

    edges_s: FloatArray
    values: FloatArray
    start_values: FloatArray
    stop_values: FloatArray
    step_s: float
    duration_s: float
    first_s: float
    restart_s: float
    stop_s: float
    running: bool


class _Ends(NamedTuple):
    """One way to fill the window: which part steps are run whole, how many steps are entered, and the part step."""

    full: FloatArray
    part: FloatArray
    part_s: float
    entered: int
    from_first: bool
    to_last: bool


def cheapest_spans(job: SpanJob, max_pauses: int | None) -> Runs:
    """The cheapest runs that begin and end on edges, all but one of their ends; ``spans`` in s.

    Notes:
        Whether the part steps at the ends of the window are run whole decides what is left for the one step of which
        only a part is run, so each of these at most four cases is a dynamic programme of its own, in which the part is
        either begun late (the run goes on or stops at the edge) or left early.
    """
    free = _best_ends(job, None)
    return free if max_pauses is None or free.restarts <= max_pauses else _best_ends(job, max_pauses)


def _best_ends(job: SpanJob, max_pauses: int | None) -> Runs:
    answers = (_Layers(job, ends, max_pauses).solve() for ends in _all_ends(job))
    return min(answers, key=lambda answer: answer.cost)


def _all_ends(job: SpanJob) -> list[_Ends]:
    lengths_s = np.diff(job.edges_s)
    is_part = lengths_s < job.step_s - SAME_INSTANT_S
    first_part = bool(is_part[0])
    last_part = bool(is_part[-1]) and lengths_s.size > 1
    found = []
    for first in (False, True)[: 1 + first_part]:
        for last in (False, True)[: 1 + last_part]:
            left_s = job.duration_s - first * lengths_s[0] - last * lengths_s[-1]
            whole = int((left_s + SAME_INSTANT_S) // job.step_s)
            part_s = float(left_s) - whole * job.step_s
            part_s = 0.0 if part_s < SAME_INSTANT_S else part_s
            entered = first + last + whole + (part_s > 0)
            if left_s < -SAME_INSTANT_S or not 0 < entered <= lengths_s.size:
                continue
            full = lengths_s * job.values
            part = np.where(part_s < lengths_s - SAME_INSTANT_S, part_s * job.values, np.inf)
            if first_part:
                (part if first else full)[0] = np.inf
            if last_part:
                (part if last else full)[-1] = np.inf
            found.append(_Ends(full, part, part_s, entered, first, last))
    return found


class _Layers:
    """The dynamic programme of one case: before (0) and after (1) the part step.

    ``on[layer][j]``: least cost of having entered ``j`` steps and running at the edge; ``left[j]``: of having left the
    last of them early; ``begun[layer][j]``: of beginning in the next; each over the pauses so far and ``u``.
    """

    def __init__(self, job: SpanJob, ends: _Ends, max_pauses: int | None) -> None:
        self.job, self.ends = job, ends
        self.idle = job.values.size - ends.entered + 1
        self.lag = 0 if max_pauses is None else 1
        self.rows = 1 + (max_pauses or 0)
        self.tie = _TIE * (float(np.max(job.values)) * job.duration_s or 1.0)
        counts = () if max_pauses is None else (self.rows,)  # as in _solve_cells
        states = (ends.entered + 1, *counts, self.idle)
        self.on = [np.full(states, np.inf), np.full(states, np.inf)]
        self.begun = [np.full(states, np.inf), np.full(states, np.inf)]
        self.left = np.full(states, np.inf)

    def solve(self) -> Runs:
        """The cheapest runs of this case; of infinite cost where it has none."""
        job, ends, idle = self.job, self.ends, self.idle
        if job.running:
            self.on[0].flat[0] = 0.0
        for done in range(ends.entered):
            self._begin(done)
            full, part = ends.full[done : done + idle], ends.part[done : done + idle]
            on_before, begun_before = self.on[0][done], self.begun[0][done]
            np.add(np.minimum(on_before, begun_before), full, out=self.on[0][done + 1])
            if ends.part_s:
                np.add(on_before, part, out=self.left[done + 1])
                going_on = np.minimum(self.on[1][done], self.begun[1][done]) + full
                np.minimum(going_on, begun_before + part, out=self.on[1][done + 1])
        last = ends.entered
        costs = np.minimum(self.on[1][last], self.left[last]) if ends.part_s else self.on[0][last].copy()
        costs += job.stop_s * job.stop_values[last - 1 : last - 1 + idle]
        if ends.to_last:
            costs[..., :-1] = np.inf
        least = int(costs.argmin())
        cost = float(costs.flat[least])
        return self._walk(cost, *divmod(least, idle)) if np.isfinite(cost) else Runs(cost, 0, ())

    def _begin(self, done: int) -> None:
        """Fills ``begun`` for the step that is entered next."""
        job = self.job
        value = job.start_values[done : done + self.idle]
        if done == 0:
            allowed = np.zeros(self.idle)
            if self.ends.from_first:
                allowed[1:] = np.inf
            row = self.lag if job.running else 0
            if row < self.rows:
                begun = self.begun[0][0].reshape(-1, self.idle)
                begun[row] = allowed + (job.restart_s if job.running else job.first_s) * value + self.tie
            return
        start = job.restart_s * value + self.tie
        for layer in range(1 + (self.ends.part_s > 0)):
            standing, begun = self._standing(layer, done), self.begun[layer][done]
            if self.lag:
                standing, begun = standing[:-1], begun[1:]
            np.minimum.accumulate(standing, axis=-1, out=begun)
            begun += start

    def _standing(self, layer: int, done: int) -> FloatArray:
        states: FloatArray = np.minimum(self.on[1][done], self.left[done]) if layer else self.on[0][done]
        return states

    def _walk(self, cost: float, count: int, still: int) -> Runs:
        job, ends, edges_s = self.job, self.ends, self.job.edges_s
        planes = (ends.entered + 1, self.rows, self.idle)
        on, begun = ([layer.reshape(planes) for layer in layers] for layers in (self.on, self.begun))
        left = self.left.reshape(planes)
        spans: list[tuple[float, float]] = []
        layer, done, starts = (1 if ends.part_s else 0), ends.entered, 0
        standing = True  # as opposed to running on over the edge, which having left early does not allow
        while done:
            at = (count, still)
            begin_s, end_s = float(edges_s[done - 1 + still]), float(edges_s[done + still])
            left_early = layer == 1 and standing and left[done][at] < on[1][done][at]
            done -= 1
            stops = standing
            if left_early:
                spans.append((begin_s, begin_s + ends.part_s))
                layer, standing = 0, False
                continue
            stay, begin = on[layer][done][at], begun[layer][done][at]
            standing = begin < stay
            if layer == 1:
                full, part = ends.full[done + still], ends.part[done + still]
                if begun[0][done][at] + part < min(stay, begin) + full:
                    begin_s, end_s = (begin_s, begin_s + ends.part_s) if stops else (end_s - ends.part_s, end_s)
                    layer, standing = 0, True
            spans.append((begin_s, end_s))
            if standing:
                starts += 1
                if done:
                    count -= self.lag
                    standings = np.minimum(on[1][done], left[done]) if layer else on[0][done]
                    still = int(standings[count, : still + 1].argmin())
                else:
                    break
        return Runs(cost - self.tie * starts, starts - (not job.running), tuple(reversed(spans)))
