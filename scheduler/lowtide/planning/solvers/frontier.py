"""Every sensible trade between carbon, cost and the time of finishing, over several places: exact."""

from __future__ import annotations

import heapq
import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from lowtide.planning.solvers.loads import Load, cost_course
from lowtide.planning.solvers.places import stay_usd
from lowtide.planning.solvers.single import find_pieces
from lowtide.planning.solvers.steps import SAME_INSTANT_S, Piece, known_until_s, prepare, steps_within
from lowtide_core.errors import InputError
from lowtide_core.quantities import SECONDS_PER_HOUR

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lowtide.planning.solvers.places import PlaceCosts
    from lowtide_core.series import FloatArray

    IndexArray = np.ndarray[tuple[int, ...], np.dtype[np.intp]]

_TIE = 1e-12
"""A point that emits less by no more than this share is no better."""

_TIME_DIGITS = 7
"""Bends of two places are at one time if they agree to these decimals of a second; floats since 1970 tell no more."""


class FrontierPoint(NamedTuple):
    """One plan that no other betters in all three.

    Attributes:
        place: Index in the places that were given.
        pieces: When it runs. finish_s: The end of the last piece.
        emissions_g: g, with what is emitted once. price_usd: USD, likewise.
    """

    place: int
    pieces: tuple[Piece, ...]
    finish_s: float
    emissions_g: float
    price_usd: float


class _Line(NamedTuple):
    """Least emissions at one place by the time of finishing: straight between two bends.

    Attributes:
        finish_s: (b,), s after the earliest start of all, rising. emissions_g: (b,), g.
    """

    finish_s: FloatArray
    emissions_g: FloatArray


def frontier(
    places: Sequence[PlaceCosts], duration_s: float, earliest_s: float, deadline_s: float, *, pausable: bool = False
) -> tuple[FrontierPoint, ...]:
    """The Pareto frontier of emissions, price and finish over all places and times.

    Args:
        places: At least one. A place whose series, delay or deadline leaves no room has no point.
        duration_s: s, > 0. earliest_s: No start before; s. deadline_s: No end after; s, infinite where there is none.
        pausable: The run may stop and resume at no cost, in one place.
    Returns:
        By finish, then by price. None is as good as another in all three.
    Raises:
        InputError: No place, or none has room: ``facts["short_by_s"]`` of the place that is nearest to it, and
            ``facts["earliest_feasible_s"]``, the earliest that the run can end anywhere.
    Notes:
        At one place the price is the same at any time, and the least emissions by finish are straight lines that bend
        where the start or the end meets an edge of a step (with pauses: at edges, and where the newest step has taken
        the whole place of a dearer one). All places are looked at on the bends of all of them, O(places x bends), and
        running minima over the finish and over the prices leave the points that nothing betters. So

        - no plan at any instant, on a bend or between two, is as good as a point in all three and better in one;
        - for every plan there is a point that emits and costs no more, and finishes no later than the next bend (of
          any place) after the plan's finish; between two bends next to each other, emissions are a straight line.
    """
    _require_question(places, duration_s, earliest_s, deadline_s)
    windows = {
        index: window
        for index, place in enumerate(places)
        if (window := _window(place, duration_s, earliest_s, deadline_s)) is not None
    }
    if not windows:
        raise _no_room(places, duration_s, earliest_s, deadline_s)
    lines = {
        index: _line(places[index], window, duration_s, earliest_s, pausable=pausable)
        for index, window in windows.items()
    }
    prices_usd = {index: stay_usd(places[index], duration_s) for index in windows}
    prepared = {index: prepare(places[index].series) for index in windows} if pausable else {}
    points = []
    for index, finish_s, emissions_g in _undominated(lines, prices_usd):
        first_s = windows[index].start_s
        if pausable:
            pieces = find_pieces(prepared[index], first_s, earliest_s + finish_s, duration_s).pieces
        else:
            start_s = max(first_s, earliest_s + (finish_s - duration_s))
            pieces = (Piece(start_s, start_s + duration_s),)
        points.append(FrontierPoint(index, pieces, pieces[-1].end_s, emissions_g, prices_usd[index]))
    return tuple(sorted(points, key=lambda point: (point.finish_s, point.price_usd)))


def _require_question(places: Sequence[PlaceCosts], duration_s: float, earliest_s: float, deadline_s: float) -> None:
    if not places:
        raise InputError("There is no place to plan for.", hint="Name at least one.")
    if not (0.0 < duration_s < math.inf and math.isfinite(earliest_s) and not math.isnan(deadline_s)):
        raise InputError(
            f"A run of {duration_s} s between {earliest_s} and {deadline_s} cannot be.",
            hint="Give a positive length and two times.",
            duration_s=duration_s,
            earliest_s=earliest_s,
            deadline_s=deadline_s,
        )


def _window(place: PlaceCosts, duration_s: float, earliest_s: float, deadline_s: float) -> Piece | None:
    """Between which instants the run may lie at the place; None where there is no room."""
    start_s = earliest_s + place.delay_s
    end_s = min(deadline_s, known_until_s(place.series, start_s))
    return Piece(start_s, end_s) if end_s - start_s >= duration_s - SAME_INSTANT_S else None


def _no_room(places: Sequence[PlaceCosts], duration_s: float, earliest_s: float, deadline_s: float) -> InputError:
    ready_s = [earliest_s + place.delay_s for place in places]
    ends_s = [min(deadline_s, known_until_s(place.series, at_s)) for place, at_s in zip(places, ready_s, strict=True)]
    short_by_s = min(at_s + duration_s - end_s for at_s, end_s in zip(ready_s, ends_s, strict=True))
    return InputError(
        f"A run of {duration_s:g} s has room nowhere.",
        hint=f"Allow {short_by_s:g} s more, or give a series that reaches further.",
        short_by_s=short_by_s,
        earliest_feasible_s=min(ready_s) + duration_s,
    )


def _line(place: PlaceCosts, window: Piece, duration_s: float, earliest_s: float, *, pausable: bool) -> _Line:
    if pausable:
        finish_s, costs = _with_pauses(*steps_within(place.series, *window), window.end_s - window.start_s, duration_s)
    else:
        course = cost_course(place.series, *window, Load.constant(duration_s))
        finish_s, costs = course.stops_s + duration_s, course.costs
    emissions_g = place.fixed_g + place.power_kw / SECONDS_PER_HOUR * costs
    return _Line(np.round(finish_s + (window.start_s - earliest_s), _TIME_DIGITS), emissions_g)


def _with_pauses(
    edges_s: FloatArray, values: FloatArray, room_s: float, duration_s: float
) -> tuple[FloatArray, FloatArray]:
    """Cost of the cheapest seconds up to each bend; (b,) each.

    Notes:
        At first all seconds are taken, for want of others. Each later second takes the place of the dearest taken one
        that is dearer than itself; a heap keeps the taken ones, and each step enters and leaves it once: O(n log n).
        ``parts.cheapest_parts`` would answer for one finish at a time.
    """
    steps = [
        (max(0.0, begin_s), min(end_s, room_s), value)
        for begin_s, end_s, value in zip(edges_s[:-1].tolist(), edges_s[1:].tolist(), values.tolist(), strict=True)
    ]
    taken = [(-value, min(end_s, duration_s) - begin_s) for begin_s, end_s, value in steps if begin_s < duration_s]
    heapq.heapify(taken)
    cost = sum(-minus * length_s for minus, length_s in taken)
    bends = [(min(duration_s, room_s), cost)]
    for begin_s, end_s, value in steps:
        now_s = max(begin_s, duration_s)
        entered_s = now_s
        while now_s < end_s and -taken[0][0] > value:
            minus, length_s = taken[0]
            swapped_s = min(length_s, end_s - now_s)
            if swapped_s < length_s:
                heapq.heapreplace(taken, (minus, length_s - swapped_s))
            else:
                heapq.heappop(taken)
            cost += swapped_s * (value + minus)
            now_s += swapped_s
            bends.append((now_s, cost))
            if not taken:
                break
        if now_s > entered_s:
            heapq.heappush(taken, (-value, now_s - entered_s))
        if now_s < end_s:
            bends.append((end_s, cost))
    finish_s, costs = zip(*bends, strict=True)
    return np.array(finish_s), np.array(costs)


def _undominated(lines: dict[int, _Line], prices_usd: dict[int, float]) -> list[tuple[int, float, float]]:
    """Place, finish and emissions of the bends that no bend of a place betters."""
    finish_s = np.unique(np.concatenate([line.finish_s for line in lines.values()]))
    cheaper_g = np.full(finish_s.size, np.inf)
    found = []
    for price_usd in sorted(set(prices_usd.values())):
        alike = [index for index in lines if prices_usd[index] == price_usd]
        by_place_g = np.array([_sampled_g(lines[index], finish_s) for index in alike])
        least_g, owner = by_place_g.min(axis=0), by_place_g.argmin(axis=0)
        so_far_g = np.minimum.accumulate(least_g)
        rivals_g = np.minimum(cheaper_g, np.concatenate(((np.inf,), so_far_g[:-1])))
        kept = np.flatnonzero(least_g < rivals_g * (1 - _TIE))
        found += [(alike[owner[at]], float(finish_s[at]), float(least_g[at])) for at in kept]
        cheaper_g = np.minimum(cheaper_g, so_far_g)
    return found


def _sampled_g(line: _Line, finish_s: FloatArray) -> FloatArray:
    return np.asarray(np.interp(finish_s, line.finish_s, line.emissions_g, left=np.inf, right=np.inf), dtype=np.float64)
