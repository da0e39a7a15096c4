"""A stream of jobs on machines that are paid for anyway, and on demand beyond them: money, carbon and waiting."""

from __future__ import annotations

import heapq
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from lowtide.planning.solvers.steps import SAME_INSTANT_S
from lowtide.planning.solvers.waiting import kinks_s
from lowtide.planning.solvers.waiting_jobs import integral_from_start, require_jobs
from lowtide_core.errors import InputError
from lowtide_core.quantities import SECONDS_PER_HOUR

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import ArrayLike

    from lowtide.planning.solvers.steps import Integral, StepSeries
    from lowtide.planning.solvers.waiting_jobs import WaitingJobs
    from lowtide_core.series import FloatArray

BoolArray = np.ndarray[tuple[int, ...], np.dtype[np.bool_]]

_TIE = 1e-12
"""Two starts whose costs differ by less, relatively, cost the same: the earlier one is taken."""

_BATCH = 1024
"""Jobs whose costs are computed at once."""

_STAGES = 96
"""Into how many parts the longest wait is cut, where a job decides anew in each: quarters of an hour in a day."""

_BOUND_EDGES = 64
"""At how many ends of the time in which reserved machines have a worth the bound is looked at."""


class Prices(NamedTuple):
    """What is weighed against what; USD, all >= 0.

    Attributes:
        on_demand_usd_per_cpu_h: A CPU beyond the reserved ones. The reserved ones cost nothing further.
        carbon_usd_per_unit: Of value x s x CPU: where values are g/kWh, (USD/t) x (W per CPU) / 3.6e12.
        wait_usd_per_h: One job's start an hour later.
    """

    on_demand_usd_per_cpu_h: float
    carbon_usd_per_unit: float
    wait_usd_per_h: float


@dataclass(frozen=True, slots=True, eq=False)
class ReservedPlan:
    """Where and when every job runs; (n,) each.

    Attributes:
        start_s: s.
        on_reserved: Whether the whole job runs on reserved CPUs; it runs on demand otherwise.
        emissions: Of the true lengths; value x s x CPU.
        on_demand_usd: 0 on reserved CPUs.
        mean_wait_s: Mean of start - arrival; s.
        weighed_usd: Sum over jobs of money, carbon and waiting at the given prices.
    """

    start_s: FloatArray
    on_reserved: BoolArray
    emissions: FloatArray
    on_demand_usd: FloatArray
    mean_wait_s: float
    weighed_usd: float


def plan_reserved(
    series: StepSeries,
    arrival_s: ArrayLike,
    length_s: ArrayLike,
    max_wait_s: ArrayLike,
    cpus: ArrayLike,
    *,
    reserved_cpus: float,
    prices: Prices,
) -> ReservedPlan:
    """Every job, in the order of arrival, at its best start and place given what was promised to those before it.

    Args:
        series: Values over time, without gaps from the first arrival to the last possible end.
        arrival_s: When each job may start first; (n,), s on the axis of the series.
        length_s: Uninterrupted run, > 0; (n,) or one for all, s.
        max_wait_s: Longest start - arrival, >= 0; (n,) or one for all, s.
        cpus: Width of each job, >= 0; (n,) or one for all. A job runs on reserved CPUs as a whole or not at all.
        reserved_cpus: How many there are; >= 0.
        prices: The weights of money, carbon and waiting.
    Returns:
        The plan. At no time more than ``reserved_cpus`` are promised.
    Raises:
        InputError: A column is out of range or of another length, or the series does not cover a job.
    Notes:
        An online rule: a promise is made at the arrival and kept. Each job's own choice is exact: its cost is linear
        in the start but where the start or the end meets an edge of a step or of what is promised. The whole is not the
        optimum over all jobs; ``reserved_bound`` tells how far it can be from it.
    """
    jobs, integral = _require(series, arrival_s, length_s, max_wait_s, cpus, None, reserved_cpus, prices)
    promised = _Promised()
    waits_s = np.zeros(jobs.arrival_s.size)
    on_reserved = np.zeros(jobs.arrival_s.size, dtype=np.bool_)
    for job, kinked_s, costs in _in_order(integral, jobs, prices):
        promised.forget(float(jobs.arrival_s[job]))
        waits_s[job], on_reserved[job] = _choose(integral, jobs, prices, job, kinked_s, costs, promised, reserved_cpus)
        if on_reserved[job]:
            from_s = float(jobs.arrival_s[job] + waits_s[job])
            promised.add(from_s, from_s + float(jobs.length_s[job]), float(jobs.weight[job]))
    return _plan(series, integral, jobs, prices, waits_s, on_reserved)


def _choose(
    integral: Integral,
    jobs: WaitingJobs,
    prices: Prices,
    job: int,
    kinked_s: FloatArray,
    costs: FloatArray,
    promised: _Promised,
    reserved_cpus: float,
) -> tuple[float, bool]:
    """The job's cheapest wait given what is promised, of equals the shortest; s, and whether on reserved CPUs."""
    arrival_s, length_s, cpus = jobs.arrival_s[job], jobs.length_s[job], jobs.weight[job]
    full_from_s, full_until_s = promised.full(float(reserved_cpus - cpus))
    beside_s = np.concatenate((full_until_s, full_from_s - length_s)) - arrival_s
    beside_s = beside_s[(beside_s >= 0.0) & (beside_s <= jobs.max_wait_s[job])]
    waits_s = np.concatenate((kinked_s, beside_s))
    usd = np.concatenate((costs, _weigh(integral, prices, cpus, arrival_s + beside_s, length_s, beside_s)))
    start_s = arrival_s + waits_s
    next_full = np.searchsorted(full_until_s, start_s + SAME_INSTANT_S, side="right")
    free = np.append(full_from_s, np.inf)[next_full] >= start_s + length_s - SAME_INSTANT_S
    usd += np.where(free, 0.0, _usd_per_cpu_s(prices) * cpus * length_s)
    equal = np.flatnonzero(usd <= usd.min() + _TIE * abs(usd.min()))
    best = equal[waits_s[equal].argmin()]
    return float(waits_s[best]), bool(free[best])


def replay_reserved(
    series: StepSeries,
    arrival_s: ArrayLike,
    length_s: ArrayLike,
    max_wait_s: ArrayLike,
    cpus: ArrayLike,
    *,
    believed_length_s: ArrayLike,
    room_after_s: float,
    reserved_cpus: float,
    prices: Prices,
) -> ReservedPlan:
    """What becomes of a stream of jobs whose lengths nobody knows before they end, by an online rule.

    Args:
        believed_length_s: The lengths that decide (a queue's average), > 0; (n,) or one for all, s.
        room_after_s: How long a waiting job expects to wait until reserved CPUs are free for it; s, > 0.
        series, arrival_s, length_s, max_wait_s, cpus, reserved_cpus, prices: As in ``plan_reserved``; the lengths say
            when each job turns out to end.
    Returns:
        What happened.
    Raises:
        InputError: As in ``plan_reserved``.
    Notes:
        Each waiting job faces a problem of optimal stopping: room on reserved CPUs comes at the rate 1 / room_after_s;
        until then it may start on demand at any time, and must at its longest wait. The rule solves it backwards in 96
        parts of the longest wait. When room comes, waiting jobs are asked in the order of arrival whether it is better
        for them than waiting on; they are asked at every arrival, end, planned start and edge of a step. The rule is
        exact for the rate, which is itself an assumption.
    """
    jobs, integral = _require(series, arrival_s, length_s, max_wait_s, cpus, believed_length_s, reserved_cpus, prices)
    if not (np.isfinite(room_after_s) and room_after_s > 0.0):
        raise InputError(f"room_after_s is {room_after_s}.", hint="It must be positive.", column="room_after_s")
    waiting_on, latest_s = _stopping_rule(integral, jobs, prices, room_after_s, reserved_cpus)
    start_s = np.zeros(jobs.arrival_s.size)
    on_reserved = np.zeros(jobs.arrival_s.size, dtype=np.bool_)
    events = [(float(arrival), 1, job) for job, arrival in enumerate(jobs.arrival_s)]
    heapq.heapify(events)
    waiting: list[int] = []
    free = reserved_cpus
    while events:
        now_s = events[0][0]
        while events and events[0][0] == now_s:
            _, kind, job = heapq.heappop(events)
            if kind == 0:
                free += float(jobs.weight[job])
            elif kind == 1:
                waiting.append(job)
                heapq.heappush(events, (float(latest_s[job]), 2, job))
        for job in _asked(integral, jobs, prices, waiting, now_s, waiting_on, latest_s, free):
            fits = bool(jobs.weight[job] <= free)
            if fits or latest_s[job] <= now_s:
                waiting.remove(job)
                start_s[job], on_reserved[job] = now_s, fits
                if fits:
                    free -= float(jobs.weight[job])
                    heapq.heappush(events, (now_s + float(jobs.length_s[job]), 0, job))
        if waiting:
            heapq.heappush(events, ((now_s // series.step_s + 1) * series.step_s, 3, -1))
    return _plan(series, integral, jobs, prices, start_s - jobs.arrival_s, on_reserved)


def reserved_bound(
    series: StepSeries,
    arrival_s: ArrayLike,
    length_s: ArrayLike,
    max_wait_s: ArrayLike,
    cpus: ArrayLike,
    *,
    reserved_cpus: float,
    prices: Prices,
) -> float:
    """A sum of money, carbon and waiting that no plan undercuts, whoever knows what; USD.

    Arguments and errors as in ``plan_reserved``.

    Notes:
        Lagrangian relaxation of the reserved CPUs, which are given the worth of CPUs on demand from the first arrival
        until some edge of a step, and none after it: every job then takes its cheapest start alone, and the worth of
        all reserved CPUs is paid back. Any such edge gives a bound; the best of about 64 is returned.
    """
    jobs, integral = _require(series, arrival_s, length_s, max_wait_s, cpus, None, reserved_cpus, prices)
    first_s = float(jobs.arrival_s.min())
    last_s = float((jobs.arrival_s + jobs.max_wait_s + jobs.length_s).max())
    edges_s = series.step_s * np.arange(np.ceil(first_s / series.step_s), np.ceil(last_s / series.step_s))
    edges_s = edges_s[:: edges_s.size // _BOUND_EDGES + 1]
    until_s = np.concatenate(([first_s], edges_s, [last_s]))
    total = -_usd_per_cpu_s(prices) * reserved_cpus * (until_s - first_s)
    for job, waits_s, costs in _in_order(integral, jobs, prices):
        run_s = np.clip(until_s[:, None] - (jobs.arrival_s[job] + waits_s), 0.0, jobs.length_s[job])
        total += (costs + _usd_per_cpu_s(prices) * jobs.weight[job] * run_s).min(axis=1)
    level = prices.carbon_usd_per_unit * integral.level * float(jobs.weight @ jobs.length_s)
    return float(total.max()) + level


class _Promised:
    """Reserved CPUs that are promised over time: ``used[i]`` from ``edges_s[i]`` until the next edge."""

    def __init__(self) -> None:
        self.edges_s = [-np.inf, np.inf]
        self.used = [0.0]

    def full(self, room: float) -> tuple[FloatArray, FloatArray]:
        """The steps in which more than ``room`` is promised: when they begin, and when they end; s."""
        full = [step for step, used in enumerate(self.used) if used > room + 1e-9]
        edges_s = np.array(self.edges_s)
        return edges_s[full], edges_s[[step + 1 for step in full]]

    def add(self, from_s: float, until_s: float, cpus: float) -> None:
        """Promise some CPUs between two instants; s."""
        for edge_s in (from_s, until_s):
            at = bisect_left(self.edges_s, edge_s)
            if self.edges_s[at] != edge_s:
                self.edges_s.insert(at, edge_s)
                self.used.insert(at, self.used[at - 1])
        for step in range(bisect_left(self.edges_s, from_s), bisect_left(self.edges_s, until_s)):
            self.used[step] += cpus

    def forget(self, before_s: float) -> None:
        """Drop what was promised before an instant after which alone is asked; s."""
        past = bisect_right(self.edges_s, before_s) - 1
        del self.edges_s[1 : past + 1], self.used[:past]


def _in_order(integral: Integral, jobs: WaitingJobs, prices: Prices) -> Iterator[tuple[int, FloatArray, FloatArray]]:
    """Each job in the order of arrival, its waits with a kink, and what they cost by carbon and waiting; s, USD."""
    order = np.argsort(jobs.arrival_s, kind="stable")
    for done in range(0, order.size, _BATCH):
        rows = order[done : done + _BATCH]
        arrival_s, length_s, max_wait_s, cpus = (
            column[rows, None] for column in (jobs.arrival_s, jobs.length_s, jobs.max_wait_s, jobs.weight)
        )
        waits_s = kinks_s(integral, arrival_s, length_s, max_wait_s)
        costs = _weigh(integral, prices, cpus, arrival_s + waits_s, length_s, waits_s)
        yield from zip(rows.tolist(), waits_s, costs, strict=True)


def _weigh(
    integral: Integral,
    prices: Prices,
    cpus: FloatArray,
    start_s: FloatArray,
    length_s: FloatArray,
    waits_s: FloatArray,
) -> FloatArray:
    """Carbon, less that of the series' level, and waiting; USD."""
    usd: FloatArray = prices.carbon_usd_per_unit * cpus * integral.above_level(start_s, length_s)
    return usd + prices.wait_usd_per_h / SECONDS_PER_HOUR * waits_s


def _usd_per_cpu_s(prices: Prices) -> float:
    return prices.on_demand_usd_per_cpu_h / SECONDS_PER_HOUR


def _stopping_rule(
    integral: Integral, jobs: WaitingJobs, prices: Prices, room_after_s: float, reserved_cpus: float
) -> tuple[FloatArray, FloatArray]:
    """What waiting on is worth to each job in each part of its longest wait, and when it starts on demand.

    Returns:
        waiting_on: USD counted as ``_weigh`` does without the wait until then; (n, 97), inf in the last.
        latest_s: Start on demand if no room came; (n,), s.
    """
    part_s = jobs.max_wait_s / _STAGES
    waits_s = part_s[:, None] * np.arange(_STAGES + 1)
    cpus, believed_s = jobs.weight[:, None], jobs.believed_s[:, None]
    running = _weigh(integral, prices, cpus, jobs.arrival_s[:, None] + waits_s, believed_s, np.zeros(1))
    on_demand = running + _usd_per_cpu_s(prices) * cpus * believed_s
    room = np.where(jobs.weight <= reserved_cpus, -np.expm1(-part_s / room_after_s), 0.0)
    waiting_on = np.full(running.shape, np.inf)
    value = on_demand[:, -1]
    for stage in range(_STAGES - 1, -1, -1):
        with_room = np.minimum(running[:, stage + 1], value)
        a_part = prices.wait_usd_per_h / SECONDS_PER_HOUR * part_s
        waiting_on[:, stage] = a_part + room * with_room + (1 - room) * value
        value = np.minimum(on_demand[:, stage], waiting_on[:, stage])
    latest = np.argmax(on_demand <= waiting_on, axis=1)
    return waiting_on, jobs.arrival_s + part_s * latest


def _asked(
    integral: Integral,
    jobs: WaitingJobs,
    prices: Prices,
    waiting: list[int],
    now_s: float,
    waiting_on: FloatArray,
    latest_s: FloatArray,
    free: float,
) -> list[int]:
    """The waiting jobs that would start now if reserved CPUs were free for them, or must; in their order."""
    asked = np.array(waiting, dtype=np.intp)
    asked = asked[(jobs.weight[asked] <= free) | (latest_s[asked] <= now_s)]
    if not asked.size:
        return []
    waits_s = now_s - jobs.arrival_s[asked]
    waited_share = waits_s / np.maximum(jobs.max_wait_s[asked], SAME_INSTANT_S)
    stage = np.minimum(waited_share * _STAGES + 1e-9, _STAGES).astype(np.intp)
    usd = _weigh(integral, prices, jobs.weight[asked], np.full(asked.size, now_s), jobs.believed_s[asked], np.zeros(1))
    starting = asked[(usd <= waiting_on[asked, stage]) | (latest_s[asked] <= now_s)]
    return [int(job) for job in starting]


def _plan(
    series: StepSeries,
    integral: Integral,
    jobs: WaitingJobs,
    prices: Prices,
    waits_s: FloatArray,
    on_reserved: BoolArray,
) -> ReservedPlan:
    start_s = jobs.arrival_s + waits_s
    emissions = jobs.weight * integral.over(start_s, jobs.length_s)
    on_demand_usd = np.where(on_reserved, 0.0, _usd_per_cpu_s(prices) * jobs.weight * jobs.length_s)
    waited_h = float(waits_s.sum()) / SECONDS_PER_HOUR
    return ReservedPlan(
        start_s=series.start_s + start_s,
        on_reserved=on_reserved,
        emissions=emissions,
        on_demand_usd=on_demand_usd,
        mean_wait_s=float(waits_s.mean()),
        weighed_usd=float(on_demand_usd.sum())
        + prices.carbon_usd_per_unit * float(emissions.sum())
        + prices.wait_usd_per_h * waited_h,
    )


def _require(
    series: StepSeries,
    arrival_s: ArrayLike,
    length_s: ArrayLike,
    max_wait_s: ArrayLike,
    cpus: ArrayLike,
    believed_length_s: ArrayLike | None,
    reserved_cpus: float,
    prices: Prices,
) -> tuple[WaitingJobs, Integral]:
    for name, value in (("reserved_cpus", reserved_cpus), *prices._asdict().items()):
        if not (np.isfinite(value) and value >= 0.0):
            raise InputError(f"{name} is {value}.", hint="It must be finite and not negative.", column=name)
    jobs = require_jobs(series, arrival_s, length_s, max_wait_s, cpus, believed_length_s, weight_name="cpus")
    return jobs, integral_from_start(series)
