"""Many jobs on one series in one call: every start of a year, or jobs with their own times; exact, part steps too.

What ``single`` answers for one job is answered here for arrays of jobs, by the same rules and without a loop per job.
A job that does not fit into its window, or whose window the series does not cover, is marked as not planned;
``single`` raises the error that says why.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lowtide.planning.solvers.job_times import blocks, every_start, fitting, job_times, starts_on_steps, sums_from
from lowtide.planning.solvers.ranks import cheapest_sums
from lowtide.planning.solvers.rows import StartRows, argmin_of_next
from lowtide.planning.solvers.single import find_pieces

if TYPE_CHECKING:
    import numpy.typing as npt

    from lowtide.planning.solvers.job_times import BoolArray, JobTimes
    from lowtide.planning.solvers.ranks import RankedSteps
    from lowtide.planning.solvers.steps import Piece, PreparedSeries
    from lowtide_core.series import FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class WindowPlans:
    """The best uninterrupted window of each job; all (m,), NaN where it is not planned.

    Attributes:
        planned: Whether the job fits and its window has no gap.
        start_s: Of the earliest of the best windows.
        mean, mean_at_once: Over that window, and over the run from the earliest start; unit of the series.
    """

    planned: BoolArray
    start_s: FloatArray
    mean: FloatArray
    mean_at_once: FloatArray

    @property
    def saved_share(self) -> FloatArray:
        """What each saves against at once; (m,), 0 where at once costs nothing."""
        return _saved_share(self.mean, self.mean_at_once)


@dataclass(frozen=True, slots=True, eq=False)
class PausablePlans:
    """The cheapest steps and part steps of each job that may pause at no cost; all (m,), NaN where it is not planned.

    Attributes:
        planned: Whether the job fits and its window has no gap.
        mean, mean_at_once: Over the chosen steps, and over the run from the earliest start; unit of the series.
    """

    planned: BoolArray
    mean: FloatArray
    mean_at_once: FloatArray
    _series: PreparedSeries
    _times: JobTimes

    @property
    def saved_share(self) -> FloatArray:
        """What each saves against at once; (m,), 0 where at once costs nothing."""
        return _saved_share(self.mean, self.mean_at_once)

    def pieces(self, job: int) -> tuple[Piece, ...]:
        """When the job runs, in order.

        Raises:
            InputError: It is not planned; says why.
        """
        earliest_s, end_by_s, duration_s = (values_s.item(job) for values_s in self._times)
        return find_pieces(self._series, earliest_s, end_by_s, duration_s).pieces


def find_windows(
    series: PreparedSeries,
    earliest_s: npt.ArrayLike,
    end_by_s: npt.ArrayLike,
    duration_s: npt.ArrayLike,
) -> WindowPlans:
    """The uninterrupted window with the least mean value for each job; of equals, the earliest.

    Args:
        earliest_s, end_by_s, duration_s: As in ``single.find_window``; s, (m,) or what broadcasts to it.
    Raises:
        InputError: A time that is not finite, or a duration that is not positive; ``facts["job"]`` is the first such.
    Notes:
        A job costs time in proportion to its slack in steps. Memory beyond the answer does not grow with the jobs.
    """
    times = job_times(earliest_s, end_by_s, duration_s)
    planned = fitting(series, times)
    windows_s = (times.end_by_s - times.earliest_s)[planned]
    rows = StartRows(series, int(windows_s.max(initial=0.0) / series.step_s) + 2)
    start_s, mean, mean_at_once = (np.full(planned.size, np.nan) for _ in range(3))
    for block in blocks(np.flatnonzero(planned)):
        mine = times.some(block).since(series.start_s)
        best_s = rows.best_starts_s(mine)
        at_once = best_s == mine.earliest_s
        start_s[block] = np.where(at_once, times.earliest_s[block], series.start_s + best_s)
        mean[block] = _means(series, best_s, mine.duration_s)
        mean_at_once[block] = _means(series, mine.earliest_s, mine.duration_s)
    return WindowPlans(planned, start_s, mean, mean_at_once)


def slide_windows(series: PreparedSeries, duration_s: float, slack_s: float) -> WindowPlans:
    """One job at every start on a step: the window with the least mean value within the slack; of equals, the earliest.

    Args:
        duration_s: Length of all; s, > 0.
        slack_s: How much later than at once it may start; s, >= 0.
    Returns:
        One plan for each step from which duration and slack fit into the series, in order.
    Raises:
        InputError: The duration is not positive, the slack negative, or together they are longer than the series.
    Notes:
        Time per start grows with the logarithm of the slack in steps.
    """
    starts = starts_on_steps(series, duration_s, slack_s)
    length, slack = duration_s / series.step_s, slack_s / series.step_s
    if not (float(length).is_integer() and float(slack).is_integer()):
        return find_windows(series, *every_start(series, duration_s, slack_s))
    sums = series.sums[int(length) :] - series.sums[: -int(length)]
    best = argmin_of_next(sums, int(slack) + 1)
    planned = series.gaps[-starts:] == series.gaps[:starts]
    start_s = series.start_s + best.astype(np.float64) * series.step_s
    counts_per_mean = length * series.counts_per_unit
    mean, mean_at_once = sums[best] / counts_per_mean, sums[:starts] / counts_per_mean
    if not planned.all():
        for values in (start_s, mean, mean_at_once):
            values[~planned] = np.nan
    return WindowPlans(planned, start_s, mean, mean_at_once)


def find_cheapest(
    steps: RankedSteps,
    earliest_s: npt.ArrayLike,
    end_by_s: npt.ArrayLike,
    duration_s: npt.ArrayLike,
) -> PausablePlans:
    """The cheapest steps, and parts of steps, that add up to each job's duration: for jobs that may pause at no cost.

    Args:
        steps: From ``ranks.rank_steps``.
        earliest_s, end_by_s, duration_s: As in ``single.find_pieces``; s, (m,) or what broadcasts to it.
    Raises:
        InputError: A time that is not finite, or a duration that is not positive; ``facts["job"]`` is the first such.
    Notes:
        Time per job grows with the logarithm of the series' length, and neither with the window nor with the job.
        The two part steps at the ends of a window come in where their ranks say: before them run the cheaper whole
        steps, and what is left after them goes to the whole steps again.
    """
    series, times = steps.series, job_times(earliest_s, end_by_s, duration_s)
    planned = fitting(series, times)
    mean, mean_at_once = np.full(planned.size, np.nan), np.full(planned.size, np.nan)
    for block in blocks(np.flatnonzero(planned)):
        mine = times.some(block).since(series.start_s)
        mean[block] = cheapest_sums(steps, mine) / (mine.duration_s * series.counts_per_unit)
        mean_at_once[block] = _means(series, mine.earliest_s, mine.duration_s)
    return PausablePlans(planned, mean, mean_at_once, series, times)


def slide_cheapest(steps: RankedSteps, duration_s: float, slack_s: float) -> PausablePlans:
    """One job that may pause at no cost, at every start on a step; arguments and errors as in ``slide_windows``."""
    return find_cheapest(steps, *every_start(steps.series, duration_s, slack_s))


def _means(series: PreparedSeries, begin_s: FloatArray, duration_s: FloatArray) -> FloatArray:
    return sums_from(series, begin_s, duration_s) / (duration_s * series.counts_per_unit)


def _saved_share(mean: FloatArray, mean_at_once: FloatArray) -> FloatArray:
    return 1.0 - np.divide(mean, mean_at_once, out=np.ones_like(mean), where=mean_at_once != 0)
