"""How wide a job runs and when, where its width may change: in part slots, in whole slots, or one width throughout.

A width is a number of servers or GPUs; width 0 is a pause, and an elastic job may always pause. Costs are energy (kWh)
times the value of the series: grams where the values are g/kWh.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from lowtide.planning.solvers.widths_bill import (
    KW_PER_W,
    Slots,
    Stretches,
    WidthBill,
    WidthRun,
    bill_of,
    idle_cost,
    slots_of,
    stretches_of,
)
from lowtide.planning.solvers.widths_profile import Widths, fit_memory, work_of
from lowtide.planning.solvers.widths_sequence import cheapest_sequence
from lowtide.planning.solvers.widths_whole import cheapest_slots, menu_of
from lowtide.planning.solvers.windows import Piece, StepSeries, best_pieces, best_window
from lowtide_core.errors import InputError
from lowtide_core.quantities import SECONDS_PER_HOUR

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lowtide.planning.solvers.widths_whole import IntArray

__all__ = [
    "WidthPlan",
    "WidthRun",
    "Widths",
    "best_fixed_width",
    "fit_memory",
    "plan_widths",
    "work_of",
]

_SLACK = 1e-9
"""Work that is missing by less, relatively, is done."""
_ROUNDING = 1e-12


@dataclass(frozen=True, slots=True)
class WidthPlan:
    """When to run how wide, and what it costs.

    Attributes:
        runs: In order of time; runs that touch have different widths.
        cost: Energy x value over the window, pauses and switches included; kWh x value (g where values are g/kWh).
        energy_kwh: Of runs, pauses and switches.
        work_done: Units; whole slots may do more than was asked.
        bound: No plan under the same rules costs less; equal to ``cost`` where ``exact``.
        relaxed_cost: The least cost in part slots without switching: what the rules themselves cost is the difference.
        exact: Whether no cheaper plan exists (to 1e-9, relatively).
        switches: Changes of width: the first start, and those from and to a pause, included; the end is none.
    """

    runs: tuple[WidthRun, ...]
    cost: float
    energy_kwh: float
    work_done: float
    bound: float
    relaxed_cost: float
    exact: bool
    switches: int

    @property
    def gap_share(self) -> float:
        """How much cheaper, as a share of the bound, an undiscovered plan could be at most; 0 where exact."""
        return 0.0 if self.exact else self.cost / self.bound - 1.0 if self.bound > 0 else math.inf


def plan_widths(
    series: StepSeries,
    earliest_s: float,
    end_by_s: float,
    work: float,
    widths: Widths,
    *,
    whole_slots: bool = False,
    stop_when_done: bool = False,
    switch_kwh: float = 0.0,
) -> WidthPlan:
    """The widths over time that finish the work by the deadline at the least cost.

    Args:
        series: Values over time; >= 0, no NaN between ``earliest_s`` and ``end_by_s``.
        earliest_s: No start before; s.
        end_by_s: The work is done by then; s.
        work: To be done; units of ``widths.throughput_per_h`` x h, > 0.
        widths: What can be taken, beside a pause.
        whole_slots: One width for each step (the steps at the ends of the window are cut to it). Otherwise a width
            may change at any time.
        stop_when_done: With whole slots: the last one ends, and draws nothing more, when the work is done. Otherwise
            it runs, and costs, to its end, and may do more work than was asked.
        switch_kwh: Energy of every change of width, with whole slots only. A change to a running width, the first
            start included, counts at the value of the step that begins; a change to a pause at that of the step that
            has ended. The end of the job is no change: there is nothing to be kept.
    Returns:
        The plan. Of part slots it is always exact. Whole slots are exact too unless the search meets more states than
        it may hold; then ``exact`` is False and ``bound`` is still proven.
    Raises:
        InputError: The work does not fit (``facts`` have ``earliest_feasible_s`` and ``short_by_s``), the series has
            a gap or a negative value in the window, or switching costs are given for part slots.
    Notes:
        Part slots are a linear programme: each step may use any mixture of widths, so only the lower convex hull of
        (throughput, power) counts, and its segments are taken in order of value x slope until the work is done. One
        step at most is shared by two widths. For whole slots see ``widths_whole`` and
        ``widths_sequence``.
    Source:
        The problem: Hanafy, Liang, Bashir, Irwin, Shenoy, "CarbonScaler", 2023, doi:10.1145/3626788. Its greedy rule
        is optimal for concave throughput only; the hull makes it so for any.
    """
    _require_rules(switch_kwh, whole_slots=whole_slots, stop_when_done=stop_when_done)
    _require_work(work, earliest_s, end_by_s, widths)
    slots = slots_of(series, earliest_s, end_by_s)
    relaxed = _relaxed(slots, work, widths)
    idle = idle_cost(slots, widths)
    relaxed_cost = idle + relaxed.cost
    if not whole_slots:
        stretches = _mixed_stretches(slots, relaxed, widths)
        bill = bill_of(slots, stretches, widths, 0.0)
        return _plan(slots, stretches, widths, bill, bill.cost, relaxed_cost, exact=True)
    efficient = list(widths.efficient)
    menu = menu_of(
        slots.hours,
        slots.values,
        widths.throughput_per_h[efficient],
        (widths.power_w[efficient] - widths.idle_power_w) * KW_PER_W,
        [widths.efficient.index(i) for i in widths.corners],
        work,
    )
    if stop_when_done or switch_kwh:
        found = cheapest_sequence(menu, slots.values * switch_kwh, stop_when_done=stop_when_done)
    else:
        found = cheapest_slots(menu)
    stretches = stretches_of(slots.edges_s, np.array([-1, *efficient])[found.choice])
    if stop_when_done:
        stretches = _cut(stretches, work, widths)
    bill = bill_of(slots, stretches, widths, switch_kwh)
    bound = bill.cost if found.exact else min(bill.cost, idle + found.bound)
    return _plan(slots, stretches, widths, bill, bound, relaxed_cost, exact=found.exact)


def best_fixed_width(
    series: StepSeries, earliest_s: float, end_by_s: float, work: float, widths: Widths, *, pausable: bool = False
) -> WidthPlan:
    """The one width, and when, that finish the work at the least cost: for engines that cannot change a width.

    Arguments, units and errors as in ``plan_widths``; exact. With ``pausable`` the run may be split. Of equal costs the
    width with the higher throughput is taken. ``bound`` is that of one width, ``relaxed_cost`` that of any mixture.
    """
    _require_work(work, earliest_s, end_by_s, widths)
    slots = slots_of(series, earliest_s, end_by_s)
    answers = []
    for index in reversed(widths.efficient):
        duration_s = work / float(widths.throughput_per_h[index]) * SECONDS_PER_HOUR
        if duration_s > (end_by_s - earliest_s) * (1 + _SLACK):
            break
        duration_s = min(duration_s, end_by_s - earliest_s)
        if pausable:
            pieces: Sequence[Piece] = best_pieces(series, earliest_s, end_by_s, duration_s)
        else:
            pieces = (best_window(series, earliest_s, end_by_s, duration_s),)
        times_s = np.array([(piece.start_s, piece.end_s) for piece in pieces]) - slots.origin_s
        stretches = Stretches(times_s[:, 0], times_s[:, 1], np.full(len(pieces), index))
        answers.append((bill_of(slots, stretches, widths, 0.0), stretches))
    bill, stretches = min(answers, key=lambda answer: answer[0].cost)
    relaxed_cost = idle_cost(slots, widths) + _relaxed(slots, work, widths).cost
    return _plan(slots, stretches, widths, bill, bill.cost, relaxed_cost, exact=True)


def _require_rules(switch_kwh: float, *, whole_slots: bool, stop_when_done: bool) -> None:
    if not (math.isfinite(switch_kwh) and switch_kwh >= 0):
        raise InputError(
            f"A change of width takes {switch_kwh} kWh.", hint="It is finite and not negative.", switch_kwh=switch_kwh
        )
    if not whole_slots and (switch_kwh or stop_when_done):
        raise InputError(
            "A cost of switching, and stopping when done, are for whole slots only.",
            hint="Set whole_slots, or leave them out: part slots stop when the work is done.",
            switch_kwh=switch_kwh,
            stop_when_done=stop_when_done,
        )


def _require_work(work: float, earliest_s: float, end_by_s: float, widths: Widths) -> None:
    if not (math.isfinite(work) and work > 0):
        raise InputError(f"The work is {work} units.", hint="Give a positive number.", work=work)
    widest = widths.efficient[-1]
    shortest_s = work / float(widths.throughput_per_h[widest]) * SECONDS_PER_HOUR
    short_by_s = shortest_s - (end_by_s - earliest_s)
    if short_by_s > shortest_s * _SLACK:
        raise InputError(
            f"The work takes {shortest_s:g} s at width {widths.width[widest]}, the fastest, "
            f"and does not fit into {end_by_s - earliest_s:g} s.",
            hint=f"Allow {short_by_s:g} s more.",
            earliest_feasible_s=earliest_s + shortest_s,
            short_by_s=short_by_s,
        )


class _Relaxed(NamedTuple):
    """The least cost beyond that of pauses, and how many corners of the hull each slot has climbed."""

    cost: float
    level: IntArray
    """(T,), 0 is the pause."""
    broken: int
    """The slot that climbs one more for a part of its time."""
    share: float


def _relaxed(slots: Slots, work: float, widths: Widths) -> _Relaxed:
    corners = list(widths.corners)
    rate, power_kw = widths.throughput_per_h[corners], widths.power_w[corners] * KW_PER_W
    rate[1:] -= rate[:-1].copy()
    power_kw[1:] -= power_kw[:-1].copy()
    power_kw[0] -= widths.idle_power_w * KW_PER_W
    order = np.multiply.outer(slots.values, power_kw / rate).argsort(axis=None, kind="stable")
    slot, segment = np.divmod(order, rate.size)
    added = slots.hours[slot] * rate[segment]
    done = added.cumsum()
    broken = min(int(done.searchsorted(work * (1 - _ROUNDING))), order.size - 1)
    share = 1.0 - (float(done[broken]) - work) / float(added[broken])
    share = share if share < 1 - _ROUNDING else 1.0
    cost = (slots.hours * slots.values)[slot[: broken + 1]] * power_kw[segment[: broken + 1]]
    return _Relaxed(
        float(cost[:-1].sum() + share * cost[-1]),
        np.bincount(slot[:broken], minlength=slots.hours.size),
        int(slot[broken]),
        share,
    )


def _mixed_stretches(slots: Slots, relaxed: _Relaxed, widths: Widths) -> Stretches:
    """The shared slot runs its two widths one after the other, in the order that makes fewer changes."""
    at, low = relaxed.broken, int(relaxed.level[relaxed.broken])
    before = int(relaxed.level[at - 1]) if at else 0
    after = int(relaxed.level[at + 1]) if at + 1 < relaxed.level.size else 0
    wide_first = (before != low + 1) + (after != low) <= (before != low) + (after != low + 1)
    start_s, end_s = slots.edges_s[at], slots.edges_s[at + 1]
    share = relaxed.share if wide_first else 1.0 - relaxed.share
    two = (low + 1, low) if wide_first else (low, low + 1)
    level = np.concatenate((relaxed.level[:at], two, relaxed.level[at + 1 :]))
    edges_s = np.concatenate((slots.edges_s[: at + 1], [start_s + share * (end_s - start_s)], slots.edges_s[at + 1 :]))
    return stretches_of(edges_s, np.array([-1, *widths.corners])[level])


def _cut(stretches: Stretches, work: float, widths: Widths) -> Stretches:
    """Ends where the work is done."""
    rate = widths.throughput_per_h[stretches.which]
    done = np.cumsum((stretches.end_s - stretches.start_s) * rate / SECONDS_PER_HOUR)
    last = min(int(done.searchsorted(work * (1 - _SLACK))), done.size - 1)
    over_s = max(0.0, float(done[last]) - work) / float(rate[last]) * SECONDS_PER_HOUR
    ends_s = stretches.end_s[: last + 1].copy()
    ends_s[last] -= over_s
    return Stretches(stretches.start_s[: last + 1], ends_s, stretches.which[: last + 1])


def _plan(
    slots: Slots,
    stretches: Stretches,
    widths: Widths,
    bill: WidthBill,
    bound: float,
    relaxed_cost: float,
    *,
    exact: bool,
) -> WidthPlan:
    starts_s = (slots.origin_s + stretches.start_s).tolist()
    ends_s = (slots.origin_s + stretches.end_s).tolist()
    taken = (widths.width[index] for index in stretches.which.tolist())
    return WidthPlan(
        runs=tuple(map(WidthRun, starts_s, ends_s, taken)),
        cost=bill.cost,
        energy_kwh=bill.energy_kwh,
        work_done=bill.work_done,
        bound=bound,
        relaxed_cost=relaxed_cost,
        exact=exact,
        switches=bill.switches,
    )
