"""When each of many jobs may run on one series: checked arrays, and what each costs from a given start."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from lowtide.planning.solvers.steps import SAME_INSTANT_S
from lowtide_core.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from lowtide.planning.solvers.steps import IntArray, PreparedSeries
    from lowtide_core.series import FloatArray

    BoolArray = npt.NDArray[np.bool_]

_JOBS_AT_ONCE = 4096


class JobTimes(NamedTuple):
    """No start before, no end after, and how long; (m,), s, on the axis of the caller or from a series' start."""

    earliest_s: FloatArray
    end_by_s: FloatArray
    duration_s: FloatArray

    def some(self, which: IntArray | BoolArray) -> JobTimes:
        """Of these jobs only."""
        return JobTimes(self.earliest_s[which], self.end_by_s[which], self.duration_s[which])

    def since(self, start_s: float) -> JobTimes:
        """Counted from another instant."""
        return JobTimes(self.earliest_s - start_s, self.end_by_s - start_s, self.duration_s)


def job_times(earliest_s: npt.ArrayLike, end_by_s: npt.ArrayLike, duration_s: npt.ArrayLike) -> JobTimes:
    """The times of all jobs, as long as the longest of the three.

    Raises:
        InputError: A time that is not finite, or a duration that is not positive; ``facts["job"]`` is the first such.
    """
    times_s = np.broadcast_arrays(
        *(np.atleast_1d(np.asarray(values, dtype=np.float64)) for values in (earliest_s, end_by_s, duration_s))
    )
    if times_s[0].ndim != 1:
        raise InputError(f"The jobs have the shape {times_s[0].shape}.", hint="Give one row of jobs.")
    sound = np.isfinite(times_s).all(axis=0) & (times_s[2] > 0)
    if not sound.all():
        job = int(sound.argmin())
        first_s, last_s, length_s = (values.item(job) for values in times_s)
        raise InputError(
            f"Job {job} shall run {length_s} s between {first_s} and {last_s} s.",
            hint="Give finite times and positive durations.",
            job=job,
        )
    return JobTimes(*times_s)


def starts_on_steps(series: PreparedSeries, duration_s: float, slack_s: float) -> int:
    """From how many steps, counted from the first, duration and slack fit into the series.

    Raises:
        InputError: From none, or the duration is not positive, or the slack negative.
    """
    if not (duration_s > 0 and slack_s >= 0):
        raise InputError(
            f"The duration is {duration_s} s, the slack {slack_s} s.",
            hint="The duration is positive, the slack not negative.",
            duration_s=duration_s,
            slack_s=slack_s,
        )
    short_by_s = duration_s + slack_s - series.size * series.step_s
    if short_by_s > SAME_INSTANT_S:
        raise InputError(
            f"A run of {duration_s:g} s with a slack of {slack_s:g} s does not fit into the series.",
            hint=f"Give a series that is {short_by_s:g} s longer.",
            short_by_s=short_by_s,
        )
    return int((SAME_INSTANT_S - short_by_s) / series.step_s) + 1


def every_start(series: PreparedSeries, duration_s: float, slack_s: float) -> JobTimes:
    """The same job at every start on a step; errors as in ``starts_on_steps``."""
    starts = starts_on_steps(series, duration_s, slack_s)
    earliest_s = series.start_s + series.step_s * np.arange(starts, dtype=np.float64)
    return JobTimes(earliest_s, earliest_s + (duration_s + slack_s), np.full(starts, float(duration_s)))


def fitting(series: PreparedSeries, times: JobTimes) -> BoolArray:
    """Whether each job fits into its window (times on the axis of the series), covered without a gap; (m,)."""
    begin_s, end_s, duration_s = times.since(series.start_s)
    known_s = series.size * series.step_s
    inside = (begin_s >= 0) & (begin_s < known_s) & (end_s <= known_s + SAME_INSTANT_S)
    inside &= begin_s + duration_s <= end_s + SAME_INSTANT_S
    first = np.where(inside, begin_s / series.step_s, 0.0).astype(np.int64)
    last = np.where(inside, np.ceil((end_s - SAME_INSTANT_S) / series.step_s), 0.0).astype(np.int64)
    fits: BoolArray = inside & (series.gaps[np.maximum(first + 1, last)] == series.gaps[first])
    return fits


def blocks(jobs: IntArray) -> Iterator[IntArray]:
    """So many jobs at a time that what is computed of them stays near the processor."""
    for begin in range(0, jobs.size, _JOBS_AT_ONCE):
        yield jobs[begin : begin + _JOBS_AT_ONCE]


def sums_from(series: PreparedSeries, begin_s: FloatArray, duration_s: FloatArray) -> FloatArray:
    """Counts x seconds from each start, counted from the series' start, for each duration; (m,).

    Not ``steps.Integral``: whole counts keep equal windows equal.
    """
    step_s, counts, sums = series.step_s, series.counts, series.sums
    end_s = begin_s + duration_s
    first = (begin_s / step_s).astype(np.int64)
    last = np.minimum((end_s / step_s).astype(np.int64), series.size)
    total = ((first + 1) * step_s - begin_s) * counts[first] + (sums[last] - sums[first + 1]) * step_s
    total += np.where(last < series.size, end_s - last * step_s, 0.0) * counts[np.minimum(last, series.size - 1)]
    within: FloatArray = np.where(first == last, duration_s * counts[first], total)
    return within
