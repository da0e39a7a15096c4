"""Many jobs that may pause at a cost, on one regular series and in whole steps, in one call."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lowtide_core.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from lowtide_core.series import FloatArray

    BoolArray = npt.NDArray[np.bool_]
    IntArray = npt.NDArray[np.int64]

_CACHE_BYTES = 900_000
"""Of the three arrays of a step, by which the number of jobs at a time is chosen: more would leave the caches, fewer
are not worth the calls."""


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
        Jobs lie next to each other in memory; which way was taken is kept as one bit per state.
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

    cost = np.empty(count)
    runs = np.zeros((count, int(windows.max(initial=0))), dtype=np.bool_)
    for window, length, jobs in _alike(windows, lengths):
        chunk = max(64, _CACHE_BYTES // (24 * (length + 1)))
        solver = _Chunk(window, length, min(chunk, jobs.size))
        for first in range(0, jobs.size, chunk):
            some = jobs[first : first + chunk]
            steps = _by_step(values, starts[some], window)
            cost[some], ran = solver.solve(steps, *(each[some] for each in costs))
            runs[some, :window] = ran.T
    return PausedBatch(cost, runs)


class _Chunk:
    """The dynamic programme of jobs of one shape; its memory serves one chunk after the other."""

    def __init__(self, window: int, length: int, jobs: int) -> None:
        self.window, self.length, self.jobs = window, length, jobs
        self.came = np.empty((window, 2, length + 1, jobs), dtype=np.bool_)
        """Of a state after step ``t``: whether the job was off before and runs (1), was on before and is off (0)."""
        self.on, self.off, self.begun = (np.empty((length + 1, jobs)) for _ in range(3))

    def solve(
        self, steps: FloatArray, restart: FloatArray, first: FloatArray, stop: FloatArray
    ) -> tuple[FloatArray, BoolArray]:
        """Costs, (jobs,), and in which steps each runs, (window, jobs)."""
        jobs = steps.shape[1]
        if jobs < self.jobs:
            return _Chunk(self.window, self.length, jobs).solve(steps, restart, first, stop)
        on, off, begun, came = self.on, self.off, self.begun, self.came
        on.fill(np.inf)
        off.fill(np.inf)
        off[0] = 0.0
        restarts, stops = steps * restart, bool(stop.any())
        for step in range(self.window):
            low, high = max(0, step - self.window + self.length), min(step + 1, self.length)
            was_on, was_off, begin = on[low:high], off[low:high], begun[low:high]
            np.add(was_off, restarts[step], out=begin)
            if low == 0:
                np.multiply(steps[step], first, out=begin[0])
            np.less(begin, was_on, out=came[step, 1, low + 1 : high + 1])
            np.minimum(begin, was_on, out=begin)
            to_rest = slice(low, min(step, self.length) + 1)
            np.less(on[to_rest], off[to_rest], out=came[step, 0, to_rest])
            np.minimum(off[to_rest], on[to_rest], out=off[to_rest])
            np.add(begin, steps[step], out=on[low + 1 : high + 1])
            if stops and high == self.length:
                on[high] += stop * steps[step]
        running = on[-1] < off[-1]
        return np.minimum(on[-1], off[-1]), self._walk(running)

    def _walk(self, running: BoolArray) -> BoolArray:
        """In which steps each job runs, from how it ends."""
        jobs = self.jobs
        ran = np.empty((self.window, jobs), dtype=np.bool_)
        to_running = jobs * (self.length + 1)
        state = running.astype(np.int64)
        at = np.arange(jobs) + jobs * self.length + to_running * state
        for step in range(self.window - 1, -1, -1):
            ran[step] = state
            changed = self.came[step].reshape(-1).take(at)
            at -= state * (to_running + jobs)
            state ^= changed
            at += state * to_running
        return ran


def _by_step(values: FloatArray, starts: IntArray, window: int) -> FloatArray:
    """The values of each job's window, step by step; (window, jobs). Three times as fast as one look-up of all."""
    steps = np.empty((window, starts.size))
    for step, row in enumerate(steps):
        values[step:].take(starts, out=row, mode="clip")
    return steps


def _alike(windows: IntArray, lengths: IntArray) -> Iterator[tuple[int, int, IntArray]]:
    """Jobs of equal window and length."""
    shapes, which = np.unique(np.stack((windows, lengths)), axis=1, return_inverse=True)
    order = np.argsort(which.reshape(-1), kind="stable")
    ends = np.cumsum(np.bincount(which.reshape(-1), minlength=shapes.shape[1]))
    for (window, length), jobs in zip(shapes.T.tolist(), np.split(order, ends[:-1]), strict=False):
        if jobs.size:
            yield window, length, jobs


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
