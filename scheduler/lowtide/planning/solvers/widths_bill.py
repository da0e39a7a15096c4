"""What runs at different widths come to: the steps of a window, stretches of one width in them, and their bill."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from lowtide.planning.solvers.steps import SAME_INSTANT_S, integral_of
from lowtide.planning.solvers.windows import StepSeries, known_until_s
from lowtide_core.errors import InputError
from lowtide_core.quantities import SECONDS_PER_HOUR

if TYPE_CHECKING:
    from lowtide.planning.solvers.widths_profile import Widths
    from lowtide.planning.solvers.widths_whole import IntArray
    from lowtide_core.series import FloatArray

KW_PER_W = 1e-3
_SLACK = 1e-9


class WidthRun(NamedTuple):
    """The job runs at one width over ``[start_s, end_s)``; what lies between runs is a pause."""

    start_s: float
    end_s: float
    width: int


class WidthBill(NamedTuple):
    """What given runs come to; the units of ``WidthPlan``."""

    cost: float
    energy_kwh: float
    work_done: float
    switches: int


class Slots(NamedTuple):
    """The steps of a series inside a window, those at its ends cut to it."""

    origin_s: float
    edges_s: FloatArray
    """(T + 1,), counted from the origin."""
    hours: FloatArray
    values: FloatArray


class Stretches(NamedTuple):
    """Runs as arrays; (n,): start and end, counted from the origin of the slots, and which of the widths."""

    start_s: FloatArray
    end_s: FloatArray
    which: IntArray


def slots_of(series: StepSeries, earliest_s: float, end_by_s: float) -> Slots:
    """The steps of the window.

    Raises:
        InputError: The window is empty, or the series has a gap (``facts["short_by_s"]``) or a negative value in it.
    """
    if not end_by_s - earliest_s >= SAME_INSTANT_S or math.isinf(end_by_s - earliest_s):
        raise InputError(
            f"The window from {earliest_s} s to {end_by_s} s is empty.",
            hint="Move the deadline behind the earliest start.",
            earliest_s=earliest_s,
            end_by_s=end_by_s,
        )
    first = max(0, math.floor((earliest_s - series.start_s) / series.step_s))
    last = min(series.values.size, math.ceil((end_by_s - series.start_s) / series.step_s - _SLACK))
    values = series.values[first:last]
    from_s = series.start_s - earliest_s  # small numbers keep the digits
    edges_s = from_s + series.step_s * np.arange(first, last + 1, dtype=np.float64)
    room_s = end_by_s - earliest_s
    if not values.size or edges_s[0] > 0 or edges_s[-1] < room_s - SAME_INSTANT_S or np.isnan(values).any():
        covered_s = known_until_s(series, earliest_s)
        raise InputError(
            f"The series has no value {covered_s - earliest_s:g} s after the earliest start.",
            hint="Give a series without gaps over the whole window.",
            short_by_s=end_by_s - covered_s,
        )
    edges_s[0], edges_s[-1] = 0.0, room_s
    if edges_s.size > 2 and edges_s[1] < SAME_INSTANT_S:
        edges_s, values = edges_s[1:], values[1:]
    if not 0 <= values.min() <= values.max() < math.inf:
        raise InputError(
            f"The values inside the window reach from {values.min()} to {values.max()}.",
            hint="Widths are planned on finite values that are not negative.",
            least=float(values.min()),
            most=float(values.max()),
        )
    return Slots(earliest_s, edges_s, (edges_s[1:] - edges_s[:-1]) / SECONDS_PER_HOUR, values)


def stretches_of(edges_s: FloatArray, which: IntArray) -> Stretches:
    """Joins what touches at one width, and leaves out pauses and what has no length.

    Args:
        edges_s: Between which the width is the same; (n + 1,), s after the origin of the slots, not falling.
        which: Index of the width between two edges, -1 where there is a pause; (n,).
    """
    long = (edges_s[1:] > edges_s[:-1]).nonzero()[0]
    which = which[long]
    first = np.concatenate(([0], 1 + (which[1:] != which[:-1]).nonzero()[0]))
    last = np.concatenate((first[1:], [which.size])) - 1
    runs = which[first] >= 0
    first, last = first[runs], last[runs]
    return Stretches(edges_s[long[first]], edges_s[long[last] + 1], which[first])


def idle_cost(slots: Slots, widths: Widths) -> float:
    """What idling over all slots costs; value x kWh."""
    return float(slots.values @ slots.hours) * widths.idle_power_w * KW_PER_W


def bill_of(slots: Slots, stretches: Stretches, widths: Widths, switch_kwh: float) -> WidthBill:
    """What the stretches, the idling around them and the changes of width come to.

    Args:
        stretches: In order, within the slots, not overlapping.
        switch_kwh: Energy of a change of width, at the value of the step that begins, or before a pause of the step
            that ends; kWh, >= 0. The first start is one, the end is none.
    """
    lengths_s = stretches.end_s - stretches.start_s
    hours = lengths_s / SECONDS_PER_HOUR
    spans = integral_of(slots.edges_s, slots.values).over(stretches.start_s, lengths_s) / SECONDS_PER_HOUR
    power_kw = (widths.power_w[stretches.which] - widths.idle_power_w) * KW_PER_W
    begins_s, ends_s = _changes(stretches)
    idle_kw = widths.idle_power_w * KW_PER_W
    switches = begins_s.size + ends_s.size
    switch_cost = switch_kwh * _change_values(slots, begins_s, ends_s).sum() if switch_kwh else 0.0
    return WidthBill(
        float(power_kw @ spans + switch_cost) + idle_cost(slots, widths),
        float(power_kw @ hours + idle_kw * slots.hours.sum() + switch_kwh * switches),
        float(widths.throughput_per_h[stretches.which] @ hours),
        switches,
    )


def _changes(stretches: Stretches) -> tuple[FloatArray, FloatArray]:
    """When a running width begins that was not the width before, and when a run ends before a pause; s, (n,) each."""
    joined = stretches.start_s[1:] - stretches.end_s[:-1] <= SAME_INSTANT_S
    changed = np.ones(stretches.which.size, dtype=np.bool_)
    changed[1:] = ~joined | (stretches.which[1:] != stretches.which[:-1])
    return stretches.start_s[changed], stretches.end_s[:-1][~joined]


def _change_values(slots: Slots, begins_s: FloatArray, ends_s: FloatArray) -> FloatArray:
    """Value at each change of width: of the step that begins, or before a pause of the step that has ended."""
    begun = slots.edges_s[1:].searchsorted(begins_s + SAME_INSTANT_S, side="right")
    ended = slots.edges_s[1:].searchsorted(ends_s - SAME_INSTANT_S)
    values: FloatArray = slots.values[np.minimum(np.concatenate((begun, ended)), slots.values.size - 1)]
    return values
