"""One job that may pause, and go on elsewhere: the least-cost sequence of places and times."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from lowtide.planning.solvers.moves_grid import (
    Cells,
    Costs,
    common_grain_s,
    cut,
    fill,
    is_multiple,
    layouts,
    only,
    trace,
    useful,
)
from lowtide.planning.solvers.places import (
    PlaceCosts,
    Route,
    Stay,
    best_single,
    nothing_fits,
    require_job,
    run_g,
    stay_usd,
    usable_until_s,
)
from lowtide.planning.solvers.steps import SAME_INSTANT_S
from lowtide.planning.solvers.windows import Piece, best_pieces
from lowtide_core.errors import InputError
from lowtide_core.quantities import SECONDS_PER_HOUR

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lowtide.planning.solvers.moves_grid import Layout
    from lowtide_core.series import FloatArray

_TIE = 1e-12
"""Two plans whose costs differ by less, relatively, are equal to us: the one that moves less is taken."""

_PROVEN = 1e-9
"""A plan that lies no further above its bound, relatively, attains it: the rest is rounding."""

_SHORTEST_GRAIN_S = 60.0
_MOST_WORK = 40_000_000
"""States x places of the dynamic programme (as if there were ten at least): a second, and 64 MB, or so."""


@dataclass(frozen=True, slots=True, eq=False)
class Moves:
    """What going on elsewhere takes, from each place (row) to each (column); the diagonals are not used.

    Attributes:
        g: Emissions; (R, R), g, >= 0; inf where the move is not possible.
        usd: Price; (R, R), USD, >= 0.
        delay_s: From the end of one stay to the beginning of the next, at least; (R, R), s, >= 0.
        resume_kwh: Facility energy of starting up after the move, at the intensity of the step in which the job
            resumes; (R, R), kWh, >= 0.
    """

    g: FloatArray
    usd: FloatArray
    delay_s: FloatArray
    resume_kwh: FloatArray

    def __post_init__(self) -> None:
        shape = self.g.shape
        for name in ("g", "usd", "delay_s", "resume_kwh"):
            values = getattr(self, name)
            if values.shape != shape or len(shape) != 2 or shape[0] != shape[1] or not (values >= 0).all():
                raise InputError(
                    f"The moves' {name} has the shape {values.shape}, and a least value of {values.min(initial=0)}.",
                    hint="Give one row and one column per place, and nothing below 0.",
                    name=name,
                )
            if name != "g" and np.isinf(values).any():
                raise InputError(f"The moves' {name} is infinite.", hint="Forbid a move by its g.", name=name)

    @staticmethod
    def uniform(places: int, *, g: float = 0.0, usd: float = 0.0, delay_s: float = 0.0) -> Moves:
        """The same for every move; starting up costs nothing."""
        shape = (places, places)
        return Moves(np.full(shape, g), np.full(shape, usd), np.full(shape, delay_s), np.zeros(shape))


class _Task(NamedTuple):
    """What one call asks, checked."""

    places: tuple[PlaceCosts, ...]
    earliest_s: float
    end_by_s: float
    duration_s: float
    moves: Moves | None
    restart_kwh: FloatArray


class _Weights(NamedTuple):
    """What a gram and a dollar count for in the cost that is minimised."""

    g: float
    usd: float


def best_route(
    places: Sequence[PlaceCosts],
    earliest_s: float,
    end_by_s: float,
    duration_s: float,
    *,
    moves: Moves | None = None,
    restart_kwh: float | FloatArray = 0.0,
    usd_weight: float = 0.0,
    max_price_usd: float | None = None,
) -> Route:
    """The stays of a pausable job with the least emissions + weight x price.

    Args:
        places: R >= 1 of them; their steps may differ.
        earliest_s: When the job, and its data at home, is ready; s.
        end_by_s: No end after; s.
        duration_s: Running time in all; s, > 0, need not be a multiple of a step.
        moves: What going on in another place takes; None where the job stays where it started.
        restart_kwh: Facility energy of going on in the same place after a pause; (R,) or one for all, kWh, >= 0.
        usd_weight: What a dollar counts for; g/USD, >= 0.
        max_price_usd: Limit for runs, arrival and moves together; USD.
    Returns:
        The route; of equals, the one with fewer moves. Never worse than ``best_place``.
    Raises:
        InputError: As ``best_place``; or the moves are not of R places.
    Notes:
        In a vertex of the linear programme of the ends of all stays, all of them but one lie on edges of steps, on the
        earliest start or on the deadline; the remaining one makes the duration up. So a dynamic programme over (cell,
        whole cells done, part cell done, place) is exact where delays are whole cells, and where no detour is
        cheaper or quicker than arriving or moving directly (a detour's stay lasts a cell here). Other delays are
        rounded up for the plan and down for the bound, first on the edges of the steps, and on a finer grain where
        that leaves a gap; ``exact`` says whether the two meet. The energy of starting up counts at the intensity of
        the cell in which the job resumes: plans that resume a moment before a dearer cell only to start up more
        cheaply are not looked for.
        A price limit is met by weighing the price (the lower convex hull of price and emissions); a gap remains, and
        is stated, where the least emissions within the limit lie above that hull.
    """
    require_job(places, earliest_s, end_by_s, duration_s, usd_weight, max_price_usd)
    restarts_kwh = _by_place(restart_kwh, len(places))
    if not ((restarts_kwh >= 0) & np.isfinite(restarts_kwh)).all():
        raise InputError(f"A restart takes {restart_kwh} kWh.", hint="Give a number >= 0.", restart_kwh=restart_kwh)
    if moves is not None and moves.g.shape != (len(places), len(places)):
        raise InputError(
            f"The moves are of the shape {moves.g.shape}, and there are {len(places)} places.",
            hint="Give one row and one column per place.",
        )
    task = _Task(tuple(places), earliest_s, end_by_s, duration_s, moves, restarts_kwh)
    if max_price_usd is None:
        route = _least(task, _Weights(1.0, usd_weight))
    else:
        route = _least_within(task, usd_weight, max_price_usd)
    if route is None:
        raise nothing_fits(places, earliest_s, end_by_s, duration_s, max_price_usd)
    return route


def _by_place(restart_kwh: float | FloatArray, places: int) -> FloatArray:
    return np.broadcast_to(np.asarray(restart_kwh, dtype=np.float64), (places,))


def route_cost(
    places: Sequence[PlaceCosts],
    stays: Sequence[Stay],
    *,
    moves: Moves | None = None,
    restart_kwh: float | FloatArray = 0.0,
) -> tuple[float, float]:
    """Emissions and price of given stays, in the order of time; g and USD.

    The series cover the stays; the arrival at the first place counts, and what ``best_route`` counts between stays.
    """
    first, restarts_kwh = places[stays[0].place], _by_place(restart_kwh, len(places))
    g, usd = first.fixed_g, first.fixed_usd
    for stay in stays:
        place = places[stay.place]
        g += run_g(place, Piece(stay.start_s, stay.end_s))
        usd += place.price_usd_per_h * (stay.end_s - stay.start_s) / SECONDS_PER_HOUR
    for before, after in pairwise(stays):
        kwh = float(restarts_kwh[after.place])
        if before.place != after.place and moves is not None:
            kwh = float(moves.resume_kwh[before.place, after.place])
            g += float(moves.g[before.place, after.place])
            usd += float(moves.usd[before.place, after.place])
        series = places[after.place].series
        g += kwh * float(series.values[int((after.start_s - series.start_s + SAME_INSTANT_S) // series.step_s)])
    return float(g), float(usd)


def _least(task: _Task, weights: _Weights) -> Route | None:
    """The least weighted cost without a price limit; ``bound_g`` is in the unit of the weights."""
    if task.moves is None and not task.restart_kwh.any():
        return _least_pausing(task, weights)
    best = _least_staying(task, weights)
    grain_s = common_grain_s([place.series for place in task.places])
    bound = -math.inf
    for grain in dict.fromkeys((max(grain_s, _SHORTEST_GRAIN_S), _finer_grain_s(task, grain_s))):
        found, bound = _on_grain(task, weights, grain, math.inf if best is None else _cost(best, weights))
        if found is not None and (best is None or _cost(found, weights) < _cost(best, weights) * (1 - _TIE)):
            best = found
        if best is None or _cost(best, weights) - bound <= _PROVEN * _cost(best, weights):
            break
    if best is None:
        return None
    return _with_bound(best, _cost(best, weights), bound)


def _finer_grain_s(task: _Task, grain_s: float) -> float:
    """A grain of which edges and delays are multiples, or else the finest that is still affordable."""
    delays_s = [place.delay_s for place in task.places]
    if task.moves is not None:
        delays_s += task.moves.delay_s[np.isfinite(task.moves.g)].tolist()
    common_s = math.gcd(round(grain_s * 1e6), *(round(delay * 1e6) for delay in delays_s)) / 1e6
    if common_s >= _SHORTEST_GRAIN_S:
        return common_s
    return grain_s / max(1, math.floor(grain_s / _SHORTEST_GRAIN_S))


def _least_pausing(task: _Task, weights: _Weights) -> Route | None:
    """Pauses that cost nothing, and no moves: the cheapest steps of each place."""
    routes = []
    for index, place in enumerate(task.places):
        until_s = usable_until_s(place, task.earliest_s, task.end_by_s)
        ready_s = task.earliest_s + place.delay_s
        if ready_s + task.duration_s <= until_s + SAME_INSTANT_S:
            pieces = best_pieces(place.series, ready_s, until_s, task.duration_s)
            routes.append(_route(task, tuple(Stay(index, *piece) for piece in pieces)))
    if not routes:
        return None
    best = min(routes, key=lambda route: (_cost(route, weights), route.stays[0].start_s))
    return replace(best, bound_g=_cost(best, weights))


def _least_staying(task: _Task, weights: _Weights) -> Route | None:
    """The best uninterrupted run, which any freedom must beat."""
    if weights.g:
        return best_single(task.places, task.earliest_s, task.end_by_s, task.duration_s, weights.usd / weights.g, None)
    runs = [best_single((place,), task.earliest_s, task.end_by_s, task.duration_s, 0.0, None) for place in task.places]
    fitting = [(run.price_usd, index) for index, run in enumerate(runs) if run is not None]
    if not fitting:
        return None
    index = min(fitting)[1]
    run = runs[index]
    return None if run is None else _route(task, (run.stays[0]._replace(place=index),))


def _cost(route: Route, weights: _Weights) -> float:
    return weights.g * route.emissions_g + weights.usd * route.price_usd


def _route(task: _Task, stays: tuple[Stay, ...]) -> Route:
    g, usd = route_cost(task.places, stays, moves=task.moves, restart_kwh=task.restart_kwh)
    moved = sum(before.place != after.place for before, after in pairwise(stays))
    shares = np.bincount(
        [stay.place for stay in stays],
        [(stay.end_s - stay.start_s) / task.duration_s for stay in stays],
        len(task.places),
    )
    return Route(stays, g, usd, -math.inf, True, moved, len(stays) - 1 - moved, tuple(shares.tolist()))


def _on_grain(task: _Task, weights: _Weights, grain_s: float, enough: float) -> tuple[Route | None, float]:
    """The best route whose stays lie on the cells of a grain, and a bound below every route; inf where none fits.

    Routes that do not cost less than ``enough`` may be left out, and the bound may be as low as that.
    """
    until_s = [usable_until_s(place, task.earliest_s, task.end_by_s) for place in task.places]
    end_by_s = max(until_s)
    if end_by_s - task.earliest_s < task.duration_s - SAME_INSTANT_S:
        return None, enough
    cells, ways = _affordable(task, until_s, end_by_s, grain_s)
    if not ways:
        return None, enough
    bound = math.inf
    if cells.mean is not cells.least or not _fits_cells(task, cells):
        outer = _costs(task, weights, cells, outward=True)
        bound = float(fill(cells, only(outer, useful(outer)), ways).least.min())
        if bound >= enough:
            return None, enough
    inner = _costs(task, weights, cells, outward=False)
    kept = useful(inner)
    inner = only(inner, kept)
    table = fill(cells, inner, ways)
    best = float(table.least.min())
    bound = min(bound, best, enough)
    if best >= enough:
        return None, bound
    stays = tuple(
        Stay(int(kept[stay.place]), task.earliest_s + stay.start_s, task.earliest_s + stay.end_s)
        for stay in trace(cells, inner, ways, table)
    )
    return _route(task, stays), bound


def _affordable(
    task: _Task, until_s: Sequence[float], end_by_s: float, grain_s: float
) -> tuple[Cells, tuple[Layout, ...]]:
    """The cells of the grain, or of the least multiple of it whose table is affordable, and their layouts."""
    places = len(task.places)
    pairs = places * max(10, places)
    room_s = (end_by_s - task.earliest_s) * task.duration_s
    factor = max(1, math.ceil(math.sqrt(room_s / grain_s**2 * pairs / _MOST_WORK)))
    while True:
        cells = cut([place.series for place in task.places], until_s, task.earliest_s, end_by_s, grain_s * factor)
        ways = tuple(layouts(cells, task.duration_s))
        states = cells.edges_s.size * sum((way.whole + 1) * (1 + bool(way.part_s)) for way in ways)
        if states * pairs <= _MOST_WORK or cells.edges_s.size == 2:
            return cells, ways
        factor += 1


def _fits_cells(task: _Task, cells: Cells) -> bool:
    """Whether every delay is a whole number of cells, so that nothing is rounded."""
    arrivals_s = np.array([place.delay_s for place in task.places])
    gaps = np.abs(cells.edges_s[:, None] - arrivals_s[None, :]).min(axis=0)
    reachable = arrivals_s < cells.edges_s[-1]
    if (gaps[reachable] > SAME_INSTANT_S).any():
        return False
    if task.moves is None:
        return True
    delays_s = np.unique(task.moves.delay_s[np.isfinite(task.moves.g)]).tolist()
    return all(is_multiple(delay_s, cells.grain_s) for delay_s in delays_s)


def _costs(task: _Task, weights: _Weights, cells: Cells, *, outward: bool) -> Costs:
    """What the cells cost; ``outward`` rounds all in favour of the job, for a bound, otherwise against it."""
    count = len(task.places)
    values = cells.least if outward else cells.mean
    known = np.isfinite(values)
    finite = np.where(known, values, 0.0)
    power_kw = np.array([place.power_kw for place in task.places])
    usd_per_h = np.array([place.price_usd_per_h for place in task.places])
    rate = (weights.g * power_kw[:, None] * finite + weights.usd * usd_per_h[:, None]) / SECONDS_PER_HOUR
    rate[~known] = np.inf
    start = np.array([weights.g * place.fixed_g + weights.usd * place.fixed_usd for place in task.places])
    arrivals_s = np.array([place.delay_s for place in task.places])
    if outward:
        ready = np.searchsorted(cells.edges_s, arrivals_s + SAME_INSTANT_S, side="right") - 1
    else:
        ready = np.searchsorted(cells.edges_s, arrivals_s - SAME_INSTANT_S)
    same = np.eye(count, dtype=bool)
    if task.moves is None:
        gap = np.zeros((count, count), dtype=np.int64)
        fixed = np.where(same, 0.0, np.inf)
        kwh = np.where(same, task.restart_kwh[None, :], 0.0)
    else:
        cells_needed = task.moves.delay_s / cells.grain_s
        tolerance = SAME_INSTANT_S / cells.grain_s
        gap = np.floor(cells_needed + tolerance) if outward else np.ceil(cells_needed - tolerance)
        possible = np.isfinite(task.moves.g) & (gap < values.shape[1])
        gap = np.where(same | ~possible, 0, gap).astype(np.int64)
        grams = np.where(possible, task.moves.g, 0.0)
        fixed = np.where(possible, weights.g * grams + weights.usd * task.moves.usd, np.inf)
        fixed[same] = 0.0
        kwh = np.where(same, task.restart_kwh[None, :], task.moves.resume_kwh)
    resume = fixed + weights.g * kwh * finite.T[:, None, :]
    return Costs(rate, resume, start, ready.astype(np.int64), gap)


def _least_within(task: _Task, usd_weight: float, max_price_usd: float) -> Route | None:
    """The least cost within a price limit, or an error that names the least price; None where nothing fits at all.

    Notes:
        Walks the lower convex hull of (price, cost) from its two ends: the weight at which two known plans are equal
        yields a third below them, or proves that there is none. Every weight tried gives a bound.
    """
    plain = _Weights(1.0, usd_weight)
    staying = _least_affordable(task._replace(moves=None), usd_weight, max_price_usd)
    if task.moves is None:
        return staying
    above = _least(task, plain)
    if above is None or above.price_usd <= max_price_usd:
        return above
    below = _least(task, _Weights(0.0, 1.0))
    if below is None or below.price_usd > max_price_usd * (1 + _TIE):
        raise _too_dear(below, max_price_usd)
    fitting, bound = [below, *([staying] if staying else [])], above.bound_g
    while above.price_usd > below.price_usd:
        extra = (_cost(below, plain) - _cost(above, plain)) / (above.price_usd - below.price_usd)
        if extra <= 0:
            break
        weights = _Weights(1.0, usd_weight + extra)
        middle = _least(task, weights)
        if middle is None:
            break
        bound = max(bound, middle.bound_g - extra * max_price_usd)
        if middle.price_usd <= max_price_usd:
            fitting.append(middle)
        if _cost(middle, weights) >= min(_cost(above, weights), _cost(below, weights)) * (1 - _PROVEN):
            break
        if middle.price_usd <= max_price_usd:
            below = middle
        else:
            above = middle
    best = min(fitting, key=lambda route: _cost(route, plain))
    return _with_bound(best, _cost(best, plain), bound)


def _with_bound(route: Route, cost: float, bound: float) -> Route:
    """The route with its bound, which is its cost where only rounding lies between the two."""
    exact = cost - bound <= _PROVEN * cost
    return replace(route, bound_g=cost if exact else bound, exact=exact)


def _too_dear(cheapest: Route | None, max_price_usd: float) -> InputError:
    least_usd = math.inf if cheapest is None else cheapest.price_usd
    return InputError(
        f"The run costs at least {least_usd:.2f} USD, and the limit is {max_price_usd} USD.",
        hint="Raise the limit.",
        cheapest_usd=least_usd,
    )


def _least_affordable(task: _Task, usd_weight: float, max_price_usd: float) -> Route | None:
    """Without moves the price depends on the place alone, and the places above the limit are left out."""
    kept = [index for index, place in enumerate(task.places) if stay_usd(place, task.duration_s) <= max_price_usd]
    if not kept:
        return None
    places = tuple(task.places[index] for index in kept)
    route = _least(task._replace(places=places, restart_kwh=task.restart_kwh[kept]), _Weights(1.0, usd_weight))
    if route is None:
        return None
    stays = tuple(stay._replace(place=kept[stay.place]) for stay in route.stays)
    return replace(_route(task, stays), bound_g=route.bound_g, exact=route.exact)
