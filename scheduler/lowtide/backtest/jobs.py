"""The jobs that are replayed: when each came, how long it took, and by when it had to be done."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from lowtide.backtest.issued import step_at, steps_until
from lowtide.planning.solvers.steps import SAME_INSTANT_S
from lowtide_core.errors import InputError
from lowtide_core.quantities import SECONDS_PER_HOUR
from lowtide_core.spans import from_epoch_s

if TYPE_CHECKING:
    from lowtide.backtest.issued import BoolArray, Came, IntArray
    from lowtide_core.series import FloatArray

Arrivals = Literal["hourly", "daily"]
_EVERY_S = {"hourly": SECONDS_PER_HOUR, "daily": 24 * SECONDS_PER_HOUR}


@dataclass(frozen=True, slots=True, eq=False)
class ReplayJobs:
    """Jobs as columns, in the order of arrival; (m,) each, seconds from the start of what came.

    Attributes:
        earliest_s: When it came; no start before.
        end_by_s: Finished by then.
        duration_s: > 0.
        power_kw: Mean IT power; > 0. Equal jobs have 1.
        cpus: What it takes of a capacity.
    """

    earliest_s: FloatArray
    end_by_s: FloatArray
    duration_s: FloatArray
    power_kw: FloatArray
    cpus: FloatArray

    @property
    def count(self) -> int:
        return int(self.earliest_s.size)

    @property
    def latest_s(self) -> FloatArray:
        """The latest start of each."""
        return np.maximum(self.earliest_s, self.end_by_s - self.duration_s)

    def some(self, which: IntArray | BoolArray) -> ReplayJobs:
        """These only."""
        return ReplayJobs(*(getattr(self, name)[which] for name in self.__slots__))


def alike_jobs(arrival_s: FloatArray, *, duration_s: float, slack_s: float) -> ReplayJobs:
    """One job like all others at each time.

    Raises:
        InputError: The duration is not positive, or the slack negative.
    """
    if not (0 < duration_s < np.inf and 0 <= slack_s < np.inf):
        raise InputError(
            f"A job of {duration_s:g} s with {slack_s:g} s of slack cannot be.",
            hint="The duration is positive, the slack not negative.",
        )
    one = np.ones(arrival_s.size)
    return ReplayJobs(arrival_s, arrival_s + (duration_s + slack_s), duration_s * one, one, one)


def arrivals(
    came: Came, from_s: float, to_s: float, *, every: Arrivals, duration_s: float, slack_s: float
) -> ReplayJobs:
    """Equal jobs, one each hour or day, from the first whole hour at or after ``from_s`` on.

    Args:
        from_s, to_s: First and last arrival, the last excluded; s from the start of what came.
    Raises:
        InputError: None has its window within what came.
    """
    last_s = came.step_s * came.values.size - duration_s - slack_s
    first_s = np.ceil((max(0.0, from_s) - SAME_INSTANT_S) / SECONDS_PER_HOUR) * SECONDS_PER_HOUR
    at_s = np.arange(first_s, min(to_s, last_s + SAME_INSTANT_S), _EVERY_S[every])
    if not at_s.size:
        begin, end = (from_epoch_s(came.start_s + at) for at in (0.0, came.step_s * came.values.size))
        raise InputError(
            f"No job of {duration_s / SECONDS_PER_HOUR:g} h with {slack_s / SECONDS_PER_HOUR:g} h of slack that comes "
            f"from {from_epoch_s(came.start_s + from_s):%Y-%m-%d %H:%M} UTC on fits into {came.source}, "
            f"{begin:%Y-%m-%d} to {end:%Y-%m-%d}.",
            hint="Give more history, shorter jobs, less slack, or other --from and --to.",
        )
    return alike_jobs(at_s, duration_s=duration_s, slack_s=slack_s)


def on_steps(jobs: ReplayJobs, step_s: float) -> ReplayJobs:
    """On whole steps: it comes at the next, runs whole ones, and is done by the last that ends in time, or at once."""
    arrival = steps_until(jobs.earliest_s, step_s)
    run = np.maximum(1, steps_until(jobs.duration_s, step_s))
    due = np.maximum(arrival + run, step_at(jobs.end_by_s, step_s))
    earliest_s, end_by_s, duration_s = (steps.astype(np.float64) * step_s for steps in (arrival, due, run))
    # The energy stays what it is: the power is that of the longer run.
    return ReplayJobs(earliest_s, end_by_s, duration_s, jobs.power_kw * jobs.duration_s / duration_s, jobs.cpus)


def whole_windows(jobs: ReplayJobs, came: Came) -> BoolArray:
    """Whether what came is known over the whole window of each; (m,)."""
    gaps = np.concatenate(([0], np.cumsum(np.isnan(came.values))))
    first, last = step_at(jobs.earliest_s, came.step_s), steps_until(jobs.end_by_s, came.step_s)
    inside = (first >= 0) & (last <= came.values.size)
    first, last = (np.clip(step, 0, came.values.size) for step in (first, last))
    whole: BoolArray = inside & (gaps[last] == gaps[first])
    return whole
