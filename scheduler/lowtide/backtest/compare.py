"""Several policies on the same jobs, side by side."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from lowtide.backtest.capacity import QueueRules, queue_knowing, replay_queue
from lowtide.backtest.issued import step_at
from lowtide.backtest.jobs import on_steps
from lowtide.backtest.replay import cost_of_runs, mean_over_runs, replay, values_ahead
from lowtide.backtest.rules import (
    Thresholds,
    carbon_time,
    cheapest_hour,
    fixed_hour,
    known_range,
    one_threshold,
    pause_and_resume,
    runs_by_thresholds,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lowtide.backtest.issued import Came, IntArray, Issued
    from lowtide.backtest.jobs import ReplayJobs
    from lowtide.backtest.replay import Outcomes, Rules
    from lowtide_core.series import FloatArray

    Family = Callable[[float, float, int], Thresholds]

_USUAL_HOUR = 3
"""Where there is no past to look at."""


WITHOUT_OUTLOOK = "lowtide, without the outlook"


class Policy(NamedTuple):
    """A way to run the jobs, and the mean intensity over the run of each; (m,)."""

    name: str
    mean_g_per_kwh: FloatArray


def policies(came: Came, issued: Issued, jobs: ReplayJobs, rules: Rules, lowtide: Outcomes) -> tuple[Policy, ...]:
    """Run now, a fixed hour, thresholds, the published rules on the same forecast, lowtide, and the oracle.

    Args:
        jobs: As replayed; put on whole steps here where they may pause.
        lowtide: What ``replay`` found by ``rules``.
    Notes:
        Rules with thresholds know what the present step costs, which lowtide does not, and the range of all values
        before the arrival.
    """
    jobs = on_steps(jobs, came.step_s) if rules.pausable else jobs
    hour = cheapest_hour(came, float(jobs.earliest_s[0]), float(jobs.duration_s.mean()))
    hour = _USUAL_HOUR if hour is None else hour
    awhile = replace(rules, replan_s=np.inf, guard=None, believed_restart_s=0.0)
    return (
        Policy("run now", lowtide.now_g_per_kwh),
        Policy("a fixed hour of the day", _mean(came, jobs, fixed_hour(came, jobs, hour))),
        *(_by_thresholds(came, jobs, rules) if rules.pausable else _by_one_threshold(came, jobs)),
        Policy("Let's Wait Awhile", replay(came, issued, jobs, awhile).planned_g_per_kwh),
        Policy("Carbon-Time (GAIA)", _mean(came, jobs, carbon_time(came, issued, jobs))),
        Policy("lowtide", lowtide.planned_g_per_kwh),
        Policy("oracle", lowtide.oracle_g_per_kwh),
    )


def queue_policies(came: Came, jobs: ReplayJobs, cpus: float, lowtide: Outcomes) -> tuple[Policy, ...]:
    """The same for a queue: at once and at the best time as if there were no limit, and one that knew the intensities.

    Args:
        jobs: Those that lowtide has placed.
    """
    knowing = queue_knowing(came, jobs, cpus)
    start_s = np.where(knowing.placed, knowing.start_s, lowtide.start_s)
    return (
        Policy("run now, without limit", lowtide.now_g_per_kwh),
        Policy("lowtide", lowtide.planned_g_per_kwh),
        Policy("lowtide, intensities known", _mean(came, jobs, start_s)),
        Policy("oracle, without limit", lowtide.oracle_g_per_kwh),
    )


def without_outlook(
    came: Came, plain: Issued, jobs: ReplayJobs, rules: Rules | QueueRules, lowtide: Outcomes
) -> Policy:
    """What the same forecaster would have reached of the past alone; a queue's job without a place is as with it.

    Args:
        plain: Forecasts of the same issues.
    """
    if isinstance(rules, QueueRules):
        queue = replay_queue(came, plain, jobs, rules.cpus)
        return Policy(WITHOUT_OUTLOOK, _mean(came, jobs, np.where(queue.placed, queue.start_s, lowtide.start_s)))
    return Policy(WITHOUT_OUTLOOK, replay(came, plain, jobs, rules).planned_g_per_kwh)


def _mean(came: Came, jobs: ReplayJobs, start_s: FloatArray) -> FloatArray:
    return mean_over_runs(came, start_s, jobs.duration_s)


def _by_one_threshold(came: Came, jobs: ReplayJobs) -> Iterator[Policy]:
    """Start as soon as it costs no more than the middle of the range, at the latest in time."""
    waits = step_at(jobs.latest_s - jobs.earliest_s, came.step_s)
    values = values_ahead(came, step_at(jobs.earliest_s, came.step_s), int(waits.max()) + 1)
    one = np.ones(jobs.count, dtype=np.int64)
    runs = runs_by_thresholds(values, waits + 1, one, _limits(came, jobs, one, one_threshold))
    yield Policy("one threshold", _mean(came, jobs, jobs.earliest_s + runs.argmax(axis=1) * came.step_s))


def _by_thresholds(came: Came, jobs: ReplayJobs, rules: Rules) -> Iterator[Policy]:
    need, window = (
        np.round(times_s / came.step_s).astype(np.int64)
        for times_s in (jobs.duration_s, jobs.end_by_s - jobs.earliest_s)
    )
    values = values_ahead(came, step_at(jobs.earliest_s, came.step_s), int(window.max()))
    restart = rules.restart_s / came.step_s

    def k_min(low: float, high: float, work: int) -> Thresholds:
        return pause_and_resume(low, high, work, 0.0)

    def double(low: float, high: float, work: int) -> Thresholds:
        return pause_and_resume(low, high, work, restart * np.sqrt(low * high) / 2)

    families: dict[str, Family] = {"one threshold": one_threshold, "k-min search": k_min}
    if restart:
        families["pause and resume"] = double
    for name, family in families.items():
        runs = runs_by_thresholds(values, window, need, _limits(came, jobs, need, family))
        yield Policy(name, cost_of_runs(values, runs, restart) / need)


def _limits(came: Came, jobs: ReplayJobs, work: IntArray, family: Family) -> Thresholds:
    """The thresholds of each job, from the range before it came; (m, most work). No past: anything is taken."""
    low, high = known_range(came, jobs.earliest_s)
    keys = np.stack([np.maximum(1.0, np.floor(low)), np.maximum(2.0, np.ceil(high)), work])
    unlike, which = np.unique(keys, axis=1, return_inverse=True)
    most = int(work.max())
    resume, go_on = (np.full((unlike.shape[1], most), np.inf) for _ in range(2))
    for row, (least, largest, steps) in enumerate(unlike.T.tolist()):
        if np.isnan(least):
            continue
        limits = family(least, largest, int(steps))
        resume[row, : int(steps)], go_on[row, : int(steps)] = limits
    return Thresholds(resume[which.reshape(-1)], go_on[which.reshape(-1)])
