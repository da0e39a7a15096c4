"""A run without pauses whose power varies: what it costs from each start, and its best start; exact for any steps."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from lowtide.planning.solvers.steps import SAME_INSTANT_S, integral_of, require_fit, steps_within
from lowtide_core.errors import InputError

if TYPE_CHECKING:
    from lowtide.planning.solvers.steps import StepSeries
    from lowtide_core.series import FloatArray

    IndexArray = np.ndarray[tuple[int, ...], np.dtype[np.intp]]

_TIE = 1e-12
"""Two starts whose costs differ by less, relative to the dearest start, are the same to us: the earlier is taken."""

_ZERO = np.zeros(1)


class Changes(NamedTuple):
    """Where the power of a load changes, s; by how much it jumps there; by how much its slope changes, 1/s; (k,)."""

    bounds_s: FloatArray
    jumps: FloatArray
    bends: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class Load:
    """Power by progress, relative to a power of the caller's choice (weight 1).

    Attributes:
        edges_s: Where the stretches of the run begin and end; (n + 1,), s, rising, the first 0, the last the duration.
        weight: Relative power at the beginning of each stretch; (n,), >= 0; 0 where the machine draws nothing.
        setup_s, teardown_s: Energy that is spent at the start and at the end, as seconds at weight 1; >= 0.
        end_weight: Relative power at the end of each stretch, linear in between; (n,), >= 0. None: the power is
            constant within a stretch.
    """

    edges_s: FloatArray
    weight: FloatArray
    setup_s: float = 0.0
    teardown_s: float = 0.0
    end_weight: FloatArray | None = None
    changes: Changes = field(init=False, repr=False)

    def __post_init__(self) -> None:
        for name in ("edges_s", "weight", "end_weight"):
            values = getattr(self, name)
            if values is not None:
                own = np.array(values, dtype=np.float64)
                own.flags.writeable = False
                object.__setattr__(self, name, own)
        _require_stretches(self.edges_s, self.weight)
        for weight in (self.weight, self.end_weight):
            if weight is not None:
                _require_not_negative(weight, self.weight.shape)
        object.__setattr__(self, "changes", _changes(self.edges_s, self.weight, self.end_weight))
        if not (0.0 <= self.setup_s < np.inf and 0.0 <= self.teardown_s < np.inf):
            raise InputError(
                f"Set-up and tear-down of {self.setup_s} s and {self.teardown_s} s cannot be.",
                hint="Give seconds at the mean power, not negative.",
                setup_s=self.setup_s,
                teardown_s=self.teardown_s,
            )

    @classmethod
    def constant(cls, duration_s: float, *, setup_s: float = 0.0, teardown_s: float = 0.0) -> Load:
        """The same power all the time."""
        return cls(np.array([0.0, duration_s]), np.ones(1), setup_s, teardown_s)

    @property
    def duration_s(self) -> float:
        """Of the run; s."""
        return float(self.edges_s[-1])

    def weight_at(self, progress_s: FloatArray) -> FloatArray:
        """Relative power after that much of the run, of the later stretch where two meet; (m,), for 0 <= progress."""
        stretch = np.minimum(self.edges_s.searchsorted(progress_s, side="right"), self.weight.size) - 1
        weight = self.weight[stretch]
        if self.end_weight is not None:
            lengths_s = self.edges_s[stretch + 1] - self.edges_s[stretch]
            weight = weight + (self.end_weight[stretch] - weight) * (progress_s - self.edges_s[stretch]) / lengths_s
        return np.asarray(weight, dtype=np.float64)


class LoadWindow(NamedTuple):
    """``[start_s, end_s)`` and what the load costs there, value x seconds at weight 1."""

    start_s: float
    end_s: float
    cost: float


class Course(NamedTuple):
    """Cost by start, without the set-up and the tear-down: a parabola, mostly a straight line, between two stops.

    Attributes:
        stops_s: (k + 1,), s after the earliest start, not falling.
        costs: (k + 1,), value x s.
        slopes: Just after each stop but the last; (k,), value. curvatures: between two stops; (k,), value/s.
    """

    stops_s: FloatArray
    costs: FloatArray
    slopes: FloatArray
    curvatures: FloatArray

    def at(self, starts_s: FloatArray) -> FloatArray:
        """Costs from any starts between the first stop and the last; (m,)."""
        part = np.clip(np.searchsorted(self.stops_s, starts_s, side="right") - 1, 0, self.slopes.size - 1)
        since_s = starts_s - self.stops_s[part]
        risen = since_s * (self.slopes[part] + since_s * self.curvatures[part] / 2)
        return np.asarray(self.costs[part] + risen, dtype=np.float64)

    def valleys_s(self) -> FloatArray:
        """Starts between two stops at which a parabola is least; (m,)."""
        with np.errstate(divide="ignore", invalid="ignore"):
            since_s = -self.slopes / self.curvatures
        inside = (self.curvatures > 0) & (since_s > 0) & (since_s < np.diff(self.stops_s))
        return np.asarray(self.stops_s[:-1][inside] + since_s[inside], dtype=np.float64)


def best_load(series: StepSeries, earliest_s: float, end_by_s: float, load: Load) -> LoadWindow:
    """The start from which the load costs least; of equals, the earliest.

    Args:
        series: Values over time; no NaN between ``earliest_s`` and ``end_by_s``.
        earliest_s: No start before; s.
        end_by_s: No end after; s, at least ``earliest_s`` + the duration.
    Returns:
        The window and its cost.
    Raises:
        InputError: The load does not fit, or the series does not cover it; ``facts["short_by_s"]``.
    Notes:
        With weight ``w`` the cost from ``s`` is ``C(s) = int w(x) v(s + x) dx``. Where ``w`` jumps by ``q_i`` and bends
        by ``r_i`` at ``b_i``, its slope is ``-sum(q_i v(s + b_i)) + sum(r_i V(s + b_i))``, ``V`` the integral of ``v``,
        and its curvature ``sum(r_i v(s + b_i))``; both jump only where an edge of the series meets a ``b_i``. All these
        stops are put in order and summed up once: O(k log k). The least lies at a stop or at the foot of a parabola.

        The set-up costs the value of the step that holds at the start, the tear-down that of the step that ends at
        the end; on an edge, of the step that begins, and of the step that ends. With them the stops alone are looked
        at, where the start, the end or a change of the power meets an edge. Starts a moment before a rise, only to
        have the set-up charged at the old value, are left out on purpose, as in ``plan_pauses``: the best of them does
        not exist, and no machine starts in no time.
    """
    require_fit(series, earliest_s, end_by_s, load.duration_s)
    room_s = max(0.0, end_by_s - load.duration_s - earliest_s)
    edges_s, values = steps_within(series, earliest_s, end_by_s)
    course = _course(edges_s, values, load, room_s)
    others_s = [course.valleys_s()] if load.end_weight is not None else []
    if load.setup_s or load.teardown_s:
        on_edges_s = np.concatenate((edges_s, edges_s - load.duration_s))
        others_s.append(on_edges_s[(on_edges_s >= 0.0) & (on_edges_s <= room_s)])
    starts_s, costs = course.stops_s, course.costs
    if others_s:
        starts_s = np.concatenate((starts_s, *others_s))
        costs = np.concatenate((costs, *(course.at(others) for others in others_s)))
    if load.setup_s or load.teardown_s:
        costs = costs + _impulses(edges_s, values, starts_s, load)
    least = costs.min()
    as_good = (costs <= least + _TIE * max(abs(least), abs(costs.max()))).nonzero()[0]
    chosen = as_good[starts_s[as_good].argmin()]
    start_s = earliest_s + float(starts_s[chosen])
    return LoadWindow(start_s, start_s + load.duration_s, float(costs[chosen]))


def cost_course(series: StepSeries, earliest_s: float, end_by_s: float, load: Load) -> Course:
    """Cost of the load from every start, without set-up and tear-down. Arguments, errors and notes: ``best_load``."""
    require_fit(series, earliest_s, end_by_s, load.duration_s)
    edges_s, values = steps_within(series, earliest_s, end_by_s)
    return _course(edges_s, values, load, max(0.0, end_by_s - load.duration_s - earliest_s))


def _course(edges_s: FloatArray, values: FloatArray, load: Load, room_s: float) -> Course:
    bounds_s, jumps, bends = load.changes
    kinks_s = (edges_s[1:-1] - bounds_s[:, None]).ravel()  # ascending runs, which a stable sort merges quickly
    inside = ((kinks_s > 0.0) & (kinks_s < room_s)).nonzero()[0]
    inside = inside[kinks_s[inside].argsort(kind="stable")]
    stops_s = np.concatenate((_ZERO, kinks_s[inside], (room_s,)))
    gaps_s = stops_s[1:] - stops_s[:-1]
    rises = values[1:] - values[:-1]
    first = values[_step_at(edges_s, bounds_s)]
    integral = integral_of(edges_s, values).until(bounds_s)
    slopes = _summed(-float(jumps @ first), (-jumps[:, None] * rises).ravel()[inside])
    if load.end_weight is None:
        costs = _summed(-float(jumps @ integral), gaps_s * slopes)
        return Course(stops_s, costs, slopes, np.zeros(slopes.size))
    curvatures = _summed(float(bends @ first), (bends[:, None] * rises).ravel()[inside])
    slopes += _summed(float(bends @ integral), (curvatures * gaps_s)[:-1])
    costs = _summed(_running_cost(edges_s, values, load), gaps_s * (slopes + gaps_s * curvatures / 2))
    return Course(stops_s, costs, slopes, curvatures)


def _summed(first: float, changes: FloatArray) -> FloatArray:
    """What begins with ``first`` and changes so; (n + 1,)."""
    sums = np.empty(changes.size + 1)
    sums[0] = first
    sums[1:] = changes
    return sums.cumsum()


def _running_cost(edges_s: FloatArray, values: FloatArray, load: Load) -> float:
    """Integral of weight x value for a start at 0."""
    cuts_s = np.concatenate((load.edges_s, edges_s[(edges_s > 0.0) & (edges_s < load.duration_s)]))
    cuts_s.sort()
    middles_s = (cuts_s[:-1] + cuts_s[1:]) / 2  # exact: between two cuts the value is constant, the weight linear
    spent_s = load.weight_at(middles_s) * (cuts_s[1:] - cuts_s[:-1])
    return float(spent_s @ values[_step_at(edges_s, middles_s)])


def _impulses(edges_s: FloatArray, values: FloatArray, starts_s: FloatArray, load: Load) -> FloatArray:
    """Cost of set-up and tear-down for each start; (m,), value x s."""
    begins = _step_at(edges_s, starts_s + SAME_INSTANT_S)
    ends = _step_at(edges_s, starts_s + load.duration_s - SAME_INSTANT_S)
    return np.asarray(load.setup_s * values[begins] + load.teardown_s * values[ends], dtype=np.float64)


def _step_at(edges_s: FloatArray, times_s: FloatArray) -> IndexArray:
    """The step that holds at each time, of two that touch the later; beyond the last edge, the last step."""
    step: IndexArray = np.minimum(edges_s.searchsorted(times_s, side="right"), edges_s.size - 1) - 1
    return np.maximum(step, 0)


def _changes(edges_s: FloatArray, weight: FloatArray, end_weight: FloatArray | None) -> Changes:
    ends = weight if end_weight is None else end_weight
    ramps = (ends - weight) / np.diff(edges_s)
    jumps = np.concatenate((weight, _ZERO)) - np.concatenate((_ZERO, ends))
    bends = np.concatenate((ramps, _ZERO)) - np.concatenate((_ZERO, ramps))
    real = (jumps != 0) | (bends != 0)
    return Changes(edges_s[real], jumps[real], bends[real])


def _require_stretches(edges_s: FloatArray, weight: FloatArray) -> None:
    shaped = edges_s.ndim == weight.ndim == 1 and edges_s.size == weight.size + 1 >= 2
    if not shaped or edges_s[0] != 0.0 or not (np.diff(edges_s) > 0).all() or not np.isfinite(edges_s[-1]):
        raise InputError(
            f"The stretches of a load end at {edges_s[1:].tolist()} s and have {weight.size} powers.",
            hint="Give one power per stretch, and ends that rise from 0.",
            edges_s=edges_s,
        )


def _require_not_negative(weight: FloatArray, shape: tuple[int, ...]) -> None:
    if weight.shape != shape:
        raise InputError(
            f"A load of {shape} stretches has {weight.shape} powers at their ends.",
            hint="Give one per stretch.",
            shape=weight.shape,
        )
    bad = np.flatnonzero(~((weight >= 0) & (weight < np.inf)))
    if bad.size:
        first = int(bad[0])
        raise InputError(
            f"The power of stretch {first} of a load is {weight[first]}.",
            hint="Give a finite one, not negative.",
            stretch=first,
            power=float(weight[first]),
        )
