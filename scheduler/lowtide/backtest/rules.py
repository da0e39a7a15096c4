"""What other rules would have done with the same jobs: published ones, and those of a plain cron line.

Source:
    P. Wiesner et al., Let's Wait Awhile, Middleware 2021: plan once on the forecast.
    W. A. Hanafy et al., Going Green for Less Green (GAIA), ASPLOS 2024: Carbon-Time.
    J. Lorenz, K. Panagiotou, A. Steger, Optimal Algorithms for k-Search, Algorithmica 55 (2009): reservation prices.
    R. El-Yaniv et al., Optimal Search and One-Way Trading Online Algorithms, Algorithmica 30 (2001): one threshold.
    A. Lechowicz et al., The Online Pause and Resume Problem, SIGMETRICS 2024: two thresholds for every step of work.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from lowtide.backtest.issued import step_at, steps_until
from lowtide.backtest.replay import mean_over_runs
from lowtide.planning.solvers.steps import SAME_INSTANT_S

if TYPE_CHECKING:
    from lowtide.backtest.issued import BoolArray, Came, IntArray, Issued
    from lowtide.backtest.jobs import ReplayJobs
    from lowtide_core.series import FloatArray

_LEAST_RATIO = 1 + 1e-9
_DAY_S = 86_400.0


class Thresholds(NamedTuple):
    """The most that each further step of work may cost: to begin or resume with it, and to go on; (k,)."""

    resume: FloatArray
    go_on: FloatArray


def pause_and_resume(low: float, high: float, work: int, switch: float) -> Thresholds:
    """The double threshold whose worst ratio to the best plan is least.

    Args:
        low, high: The range of the values; ``low`` > 0.
        work: Steps of work; >= 1.
        switch: What turning on or off costs each; value x steps. 0: the reservation prices of the k-min search.
    Notes:
        With ``i`` steps done and ``high`` for the rest, the worst cost is ``a`` times that of the best plan at the
        next threshold ``l_{i+1}``: ``sum(u_j) + (k - i) high + 2 switch = a (k l_{i+1} + 2 switch)`` with
        ``u = l + 2 switch``. The ratio ``a`` is the one for which the threshold after the last is ``low``.
    """
    cycle = 2 * switch

    def after(ratio: float, done: int) -> float:
        grown = (1 + 1 / (ratio * work)) ** done
        return high - cycle - ((1 - 1 / ratio) * high - (1 - 1 / work + 1 / (ratio * work)) * cycle) * grown

    below, above = _LEAST_RATIO, high / low + 1
    for _ in range(200):
        middle = (below + above) / 2
        below, above = (middle, above) if after(middle, work) > low else (below, middle)
    resume = np.array([after(above, done) for done in range(work)])
    return Thresholds(resume, resume + cycle)


def one_threshold(low: float, high: float, work: int) -> Thresholds:
    """The same price for every step, between the range's ends on a scale of ratios."""
    price = np.full(work, math.sqrt(low * high))
    return Thresholds(price, price)


def runs_by_thresholds(values: FloatArray, window: IntArray, work: IntArray, limits: Thresholds) -> BoolArray:
    """Run where the next step of work may cost what it costs now, and where no other step is left.

    Args:
        values: What each step of the window cost; (m, w).
        window, work: How many steps each job has, and needs; (m,).
        limits: (m, k) each, k the most work of a job.
    Returns:
        Whether each runs in each step; (m, w).
    """
    runs = np.zeros(values.shape, dtype=np.bool_)
    done = np.zeros(work.size, dtype=np.int64)
    jobs = np.arange(work.size)
    for step in range(values.shape[1]):
        left = work - done
        next_one = np.minimum(done, work - 1)
        running = runs[:, step - 1] if step else np.zeros(work.size, dtype=np.bool_)
        most = np.where(running, limits.go_on[jobs, next_one], limits.resume[jobs, next_one])
        runs[:, step] = (left > 0) & ((values[:, step] <= most) | (left >= window - step)) & (step < window)
        done += runs[:, step]
    return runs


def fixed_hour(came: Came, jobs: ReplayJobs, hour: int) -> FloatArray:
    """Start at that hour of the day (UTC), or at once where it does not come in time; (m,), s."""
    day_s = (came.start_s + jobs.earliest_s) % _DAY_S
    start_s = jobs.earliest_s + (hour * 3600 - day_s) % _DAY_S
    return np.where(start_s <= jobs.latest_s + SAME_INSTANT_S, start_s, jobs.earliest_s)


def cheapest_hour(came: Came, until_s: float, duration_s: float) -> int | None:
    """The hour of the day at which such runs cost least before that time; None where there were none.

    What somebody who looks once at the past would write into a cron line.
    """
    starts_s = np.arange(0.0, until_s - duration_s + SAME_INSTANT_S, 3600.0)
    if not starts_s.size:
        return None
    gaps = np.concatenate(([0], np.cumsum(np.isnan(came.values))))
    first = step_at(starts_s, came.step_s)
    last = np.minimum(steps_until(starts_s + duration_s, came.step_s), came.values.size)
    starts_s = starts_s[gaps[last] == gaps[first]]
    mean = mean_over_runs(came, starts_s, np.full(starts_s.size, duration_s))
    hours = ((came.start_s + starts_s) // 3600 % 24).astype(np.int64)
    counts = np.bincount(hours, minlength=24)
    if not counts.all():
        return None
    return int(np.argmin(np.bincount(hours, weights=mean, minlength=24) / counts))


def carbon_time(came: Came, issued: Issued, jobs: ReplayJobs) -> FloatArray:
    """Start where the forecast saving against at once, for each hour until the end, is largest; (m,), s.

    Starts are tried from the arrival on, a step apart, as far as the forecast of the arrival goes.
    """
    step_s = came.step_s
    tries = int(step_at(jobs.latest_s - jobs.earliest_s, step_s).max(initial=0)) + 1
    row = np.maximum(issued.newest(jobs.earliest_s), 0)
    sums = np.pad(np.cumsum(issued.values[row], axis=1), ((0, 0), (1, 0)))  # NaN from the first gap on
    begin_s = jobs.earliest_s - issued.first_step[row] * step_s

    def until(times_s: FloatArray) -> FloatArray:
        cell = np.minimum(step_at(times_s, step_s), issued.horizon)
        below = np.take_along_axis(sums, cell[:, None], axis=1)[:, 0]
        above = np.take_along_axis(sums, np.minimum(cell + 1, issued.horizon)[:, None], axis=1)[:, 0]
        into_s = np.maximum(0.0, times_s - cell * step_s)
        return np.where(into_s > SAME_INSTANT_S, below + into_s / step_s * (above - below), below)

    at_once = until(begin_s + jobs.duration_s) - until(begin_s)
    best, start_s = np.zeros(jobs.count), jobs.earliest_s.copy()
    for tried in range(1, tries):
        wait_s = tried * step_s
        end_s = begin_s + wait_s + jobs.duration_s
        fits = (jobs.earliest_s + wait_s <= jobs.latest_s + SAME_INSTANT_S) & (
            end_s <= issued.horizon * step_s + SAME_INSTANT_S
        )
        rate = (at_once - (until(end_s) - until(begin_s + wait_s))) / (wait_s + jobs.duration_s)
        better = fits & (rate > best)  # NaN is not
        best[better], start_s[better] = rate[better], jobs.earliest_s[better] + wait_s
    return start_s


def known_range(came: Came, when_s: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Least and largest value of all steps that had ended by each time; (m,) each, NaN where there were none."""
    low, high = np.fmin.accumulate(came.values), np.fmax.accumulate(came.values)
    last = step_at(when_s, came.step_s) - 1
    known = last >= 0
    return np.where(known, low[last], np.nan), np.where(known, high[last], np.nan)
