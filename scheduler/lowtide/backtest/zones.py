"""The jobs of one zone replayed and counted, and the sums over zones."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import reduce
from operator import add
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from lowtide.backtest.capacity import QueueRules, replay_queue
from lowtide.backtest.compare import WITHOUT_OUTLOOK, Policy, policies, queue_policies, without_outlook
from lowtide.backtest.jobs import on_steps, whole_windows
from lowtide.backtest.replay import Outcomes, Rules, mean_over_runs, plannable, replay
from lowtide.backtest.score import Score, score, window_ranks
from lowtide.planning.solvers.batch import find_windows
from lowtide_core.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lowtide.backtest.issued import Came, Issued
    from lowtide.backtest.jobs import ReplayJobs
    from lowtide_core.series import FloatArray


class Month(NamedTuple):
    """The jobs that came in one month (UTC)."""

    month: str
    score: Score


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Jobs that are not counted.

    Attributes:
        gap: What came is not known over their whole window.
        unforecast: No forecast that covers the run at once was known when they came.
        unplaced: Without a place under the capacity.
    """

    gap: int = 0
    unforecast: int = 0
    unplaced: int = 0

    def __add__(self, other: LeftOut) -> LeftOut:
        return LeftOut(*(getattr(self, name) + getattr(other, name) for name in self.__slots__))


@dataclass(frozen=True, slots=True)
class ZoneResult:
    """What one zone gave.

    Attributes:
        policies: Name of each policy -> its score; empty unless asked for.
        plan_s: What the planning took; s.
    """

    zone: str
    score: Score
    months: tuple[Month, ...]
    left_out: LeftOut
    policies: dict[str, Score] = field(default_factory=dict)
    plan_s: float = 0.0


@dataclass(frozen=True, slots=True)
class ReplayTerms:
    """How the jobs of every zone are replayed.

    Attributes:
        rules: How each job is planned, or the queue of them all.
        compare: Whether other policies are wanted beside.
    """

    rules: Rules | QueueRules
    compare: bool = False


def replay_zone(
    came: Came,
    issued: Issued,
    jobs: ReplayJobs,
    terms: ReplayTerms,
    *,
    monotonic_s: Callable[[], float],
    progress: Callable[[int], None] | None = None,
    without: Issued | None = None,
) -> ZoneResult:
    """Replay the jobs of one zone.

    Args:
        monotonic_s: Tells how long the planning took.
        progress: Told how many more jobs are done.
        without: Forecasts of the same issues made without an outlook, to stand beside.
    Raises:
        InputError: Not one job can be counted; says why.
    """
    rules = terms.rules
    stepped = isinstance(rules, QueueRules) or rules.pausable
    jobs = on_steps(jobs, came.step_s) if stepped else jobs
    whole = whole_windows(jobs, came)
    forecast = np.zeros_like(whole)
    forecast[whole] = plannable(issued, jobs.some(whole), came.step_s)
    left_out = LeftOut(gap=int((~whole).sum()), unforecast=int((whole & ~forecast).sum()))
    jobs = jobs.some(forecast)
    if not jobs.count:
        raise _nothing_counts(came, left_out)
    began_s = monotonic_s()
    if isinstance(rules, QueueRules):
        jobs, outcomes, unplaced = _queue(came, issued, jobs, rules.cpus, progress)
        left_out += LeftOut(unplaced=unplaced)
    else:
        outcomes = replay(came, issued, jobs, rules, progress)
    plan_s = monotonic_s() - began_s
    ranks = window_ranks(came, issued, jobs)
    ranks_of = {} if without is None else {WITHOUT_OUTLOOK: window_ranks(came, without, jobs)}
    if not terms.compare:
        beside: tuple[Policy, ...] = () if without is None else (Policy("lowtide", outcomes.planned_g_per_kwh),)
    elif isinstance(rules, QueueRules):
        beside = queue_policies(came, jobs, rules.cpus, outcomes)
    else:
        beside = policies(came, issued, jobs, rules, outcomes)
    if without is not None:
        beside = (without_outlook(came, without, jobs, rules, outcomes), *beside)
    others = {
        policy.name: score(
            jobs, outcomes._replace(planned_g_per_kwh=policy.mean_g_per_kwh), ranks_of.get(policy.name, ranks)
        )
        for policy in beside
    }
    return ZoneResult(
        came.zone, score(jobs, outcomes, ranks), _months(came, jobs, outcomes, ranks), left_out, others, plan_s
    )


def total(results: Sequence[ZoneResult]) -> ZoneResult:
    """Sums over the zones."""
    months = sorted({month.month for result in results for month in result.months})
    names = list(results[0].policies)
    return ZoneResult(
        ", ".join(result.zone for result in results),
        reduce(add, (result.score for result in results)),
        tuple(
            Month(name, reduce(add, (m.score for result in results for m in result.months if m.month == name)))
            for name in months
        ),
        reduce(add, (result.left_out for result in results)),
        {name: reduce(add, (result.policies[name] for result in results)) for name in names},
        sum(result.plan_s for result in results),
    )


def _queue(
    came: Came, issued: Issued, jobs: ReplayJobs, cpus: float, progress: Callable[[int], None] | None
) -> tuple[ReplayJobs, Outcomes, int]:
    """The jobs that found a place, what became of them, and how many did not."""
    queue = replay_queue(came, issued, jobs, cpus, progress)
    placed = queue.placed
    if not placed.any():
        raise InputError(
            f"None of {jobs.count} jobs fits into {cpus:g} CPUs.", hint="Raise --capacity, or leave it out."
        )
    some, start_s = jobs.some(placed), queue.start_s[placed]
    best = find_windows(came.prepared(), some.earliest_s, some.end_by_s, some.duration_s)
    mean = mean_over_runs(came, start_s, some.duration_s)
    return some, Outcomes(mean, best.mean_at_once, best.mean, start_s, queue.plans[placed]), int((~placed).sum())


def _months(came: Came, jobs: ReplayJobs, outcomes: Outcomes, ranks: FloatArray) -> tuple[Month, ...]:
    months = ((came.start_s + jobs.earliest_s) // 1).astype("datetime64[s]").astype("datetime64[M]")
    rows = []
    for month in np.unique(months):
        mine = months == month
        part = Outcomes(*(column[mine] for column in outcomes))
        rows.append(Month(str(month), score(jobs.some(mine), part, ranks[mine])))
    return tuple(rows)


def _nothing_counts(came: Came, left_out: LeftOut) -> InputError:
    named = f" of {came.zone}" if came.zone else ""
    if left_out.gap >= left_out.unforecast:
        return InputError(
            f"No job{named} can be counted: {came.source} has a gap in the window of each of {left_out.gap}, or ends "
            "before it does.",
            hint="Fill the gaps, or take less slack.",
            gap=left_out.gap,
        )
    return InputError(
        f"No job{named} can be counted: for none of {left_out.unforecast} a forecast of its whole run was known.",
        hint="Give forecasts that were issued before the jobs came, or a longer past.",
        unforecast=left_out.unforecast,
    )
