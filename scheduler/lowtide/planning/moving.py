"""A job that may go on in another place after a pause: its best routes, as options beside those that stay."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from lowtide.jobs.manner import EXPECTED, PLAIN
from lowtide.planning.energy import Run
from lowtide.planning.options import G_PER_T, Option, judged, option_of, restart_kwh, within_price
from lowtide.planning.solvers.moves import Moves as RouteMoves
from lowtide.planning.solvers.moves import best_route
from lowtide.planning.solvers.places import PlaceCosts
from lowtide.planning.solvers.windows import known_until_s
from lowtide_core.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lowtide.planning.solvers.places import Route
    from lowtide.planning.types import Candidate, PlanProblem


_SAME = 1e-9


class Move(NamedTuple):
    """The best plan of a job that may move.

    Attributes:
        option: None where it stays, or where nothing fits: then the options without moves are all there is.
        bound_g: No plan, moving or not, emits less. exact: none is better by what the user calls better.
    """

    option: Option | None
    bound_g: float
    exact: bool


def best_move(problem: PlanProblem) -> Move | None:
    """The best route over all candidates that are known, and whose price is where that counts; None where none is.

    Raises:
        InputError: Something is asked that routes cannot be planned with.
    """
    _require_plain(problem)
    usable = [place for place, candidate in enumerate(problem.candidates) if _is_usable(problem, candidate)]
    if len(usable) < 2 or problem.running or problem.done_s:
        return None  # what has begun goes on where it is
    route = _route(problem, usable)
    if route is None:
        return None
    expected = problem
    if problem.judgement != EXPECTED:  # the bound is on what is expected to be emitted, whatever counts as better
        expected = replace(problem, judgement=EXPECTED)
    least = route if expected is problem else _route(expected, usable)
    bound_g = route.bound_g if least is None else least.bound_g
    option = _option(problem, route, usable) if route.moves else None
    if _has_shortcuts(problem, usable):
        return Move(option, 0.0, False)  # a place may be reached more cheaply through another, which nobody looked for
    return Move(option, bound_g, route.exact)


def _has_shortcuts(problem: PlanProblem, usable: Sequence[int]) -> bool:
    """Whether arriving or moving through a third place emits less, costs less or is quicker than doing so directly."""
    moves, places = problem.moves, [problem.candidates[place] for place in usable]
    if moves is None:
        return False
    allowed = np.ix_(usable, usable)
    firsts = ([p.transfer_g for p in places], [p.egress_usd or 0.0 for p in places], [p.transfer_s for p in places])
    tables = (moves.transfer_g[allowed], np.nan_to_num(moves.egress_usd[allowed]), moves.transfer_s[allowed])
    for first, table in zip(firsts, tables, strict=True):
        direct = np.vstack((np.array(first), table))  # the first row: from where the data lies
        through = (direct[:, :, None] + table[None, :, :]).min(axis=1)
        if (through < direct - _SAME * (1 + direct)).any():
            return True
    return False


def _require_plain(problem: PlanProblem) -> None:
    pausing, manner = problem.manner.pausing, problem.manner
    limited = pausing is not None and (pausing.max_pauses is not None or pausing.min_run_s > 0)
    if replace(manner, pausing=None) != PLAIN or limited:
        raise InputError(
            "A job that moves between regions cannot have a limit on its pauses, a set-up, a profile of its power, "
            "widths or an unknown duration as well.",
            hint="Let it stay where it begins, or leave out the other.",
        )


def _route(problem: PlanProblem, usable: Sequence[int]) -> Route | None:
    """The route of least cost as the problem judges it; None where nothing fits, of which the misfits tell why."""
    moves, judgement = problem.moves, problem.judgement
    if moves is None or problem.manner.pausing is None:
        return None
    allowed = np.ix_(usable, usable)
    emitted, usd = moves.transfer_g[allowed].copy(), moves.egress_usd[allowed]
    if _price_counts(problem):
        emitted[np.isnan(usd)] = np.inf  # a move whose price is not known is none
    restarts_kwh = restart_kwh(problem) * np.array([problem.candidates[place].pue for place in usable])
    resume_kwh = np.broadcast_to(restarts_kwh, emitted.shape)
    carbon_price = judgement.carbon_price_usd_per_t
    try:
        return best_route(
            [_place(problem, problem.candidates[place]) for place in usable],
            problem.earliest_utc.timestamp(),
            problem.deadline_utc.timestamp(),
            problem.duration_s,
            moves=RouteMoves(emitted, np.nan_to_num(usd), moves.transfer_s[allowed], resume_kwh),
            restart_kwh=restarts_kwh,
            usd_weight=0.0 if carbon_price is None else G_PER_T / carbon_price,
            max_price_usd=problem.max_price_usd,
        )
    except InputError as error:
        if "short_by_s" in error.facts or "cheapest_usd" in error.facts:
            return None
        raise


def _option(problem: PlanProblem, route: Route, usable: Sequence[int]) -> Option | None:
    """The route with its figures; None where it costs too much after all."""
    runs = tuple(Run(stay.start_s, stay.end_s, place=usable[stay.place]) for stay in route.stays)
    first, moves = problem.candidates[runs[0].place], problem.moves
    pairs = [(before.place, after.place) for before, after in pairwise(runs) if before.place != after.place]
    moved_g = 0.0 if moves is None else sum(float(moves.transfer_g[pair]) for pair in pairs)
    unknown = moves is not None and any(np.isnan(moves.egress_usd[pair]) for pair in pairs)
    unknown = unknown or any(problem.candidates[run.place].price_usd_per_h is None for run in runs)
    option = option_of(
        problem,
        runs,
        min(_known_until_s(problem, run) for run in runs),
        transfer_g=first.transfer_g + moved_g,
        exact=route.exact,
    )
    fits = within_price(problem, replace(option, price_usd=None if unknown else route.price_usd))
    return fits if isinstance(fits, Option) else None


def _known_until_s(problem: PlanProblem, run: Run) -> float:
    candidate = problem.candidates[run.place]
    return known_until_s(judged(problem, candidate), problem.earliest_utc.timestamp())


def _is_usable(problem: PlanProblem, candidate: Candidate) -> bool:
    """Known at the earliest time, and with a price where that counts."""
    earliest_s = problem.earliest_utc.timestamp()
    known = known_until_s(judged(problem, candidate), earliest_s) > earliest_s
    return known and not (
        _price_counts(problem) and (candidate.price_usd_per_h is None or candidate.egress_usd is None)
    )


def _price_counts(problem: PlanProblem) -> bool:
    return problem.max_price_usd is not None or problem.judgement.carbon_price_usd_per_t is not None


def _place(problem: PlanProblem, candidate: Candidate) -> PlaceCosts:
    return PlaceCosts(
        judged(problem, candidate),
        power_kw=candidate.power_w * candidate.pue / 1e3,
        price_usd_per_h=candidate.price_usd_per_h or 0.0,
        fixed_g=candidate.transfer_g,
        fixed_usd=candidate.egress_usd or 0.0,
        delay_s=candidate.transfer_s,
    )
