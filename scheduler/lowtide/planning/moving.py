"""A job that may go on in another place after a pause: its best routes, as options beside those that stay."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from lowtide.jobs.manner import PLAIN
from lowtide.planning.energy import Run
from lowtide.planning.options import Option, judged, option_of, restart_kwh
from lowtide.planning.solvers.moves import Moves as RouteMoves
from lowtide.planning.solvers.moves import best_route
from lowtide.planning.solvers.places import Place
from lowtide.planning.solvers.windows import known_until_s
from lowtide_core.errors import InputError

if TYPE_CHECKING:
    from lowtide.planning.types import Candidate, PlanProblem

_G_PER_T = 1e6


def moving_options(problem: PlanProblem) -> tuple[Option, ...]:
    """The best route over all candidates that are known and whose price is; none where nothing fits.

    Raises:
        InputError: The job moves, and something that routes cannot be planned with is asked too.
    """
    moves, pausing, manner = problem.moves, problem.manner.pausing, problem.manner
    if moves is None or pausing is None:
        return ()
    if replace(manner, pausing=None) != PLAIN or pausing.max_pauses is not None or pausing.min_run_s:
        raise InputError(
            "A job that moves between regions cannot have a limit on its pauses, a set-up, a profile of its power, "
            "widths or an unknown duration as well.",
            hint="Leave out --checkpoint, or the other.",
        )
    if problem.running or problem.done_s:
        return ()  # what has begun goes on where it is
    usable = [place for place, candidate in enumerate(problem.candidates) if _is_usable(problem, candidate)]
    carbon_price = problem.judgement.carbon_price_usd_per_t
    allowed = np.ix_(usable, usable)
    usd = moves.egress_usd[allowed]
    priced = carbon_price is not None or problem.max_price_usd is not None
    if len(usable) < 2 or (priced and np.isnan(usd).all(where=~np.eye(len(usable), dtype=bool))):
        return ()
    emitted = moves.transfer_g[allowed].copy()
    if priced:
        emitted[np.isnan(usd)] = np.inf  # a move whose price is not known is no move under a limit
    try:
        route = best_route(
            [_place(problem, problem.candidates[place]) for place in usable],
            problem.earliest_utc.timestamp(),
            problem.deadline_utc.timestamp(),
            problem.duration_s,
            moves=RouteMoves(
                g=emitted,
                usd=np.nan_to_num(usd),
                delay_s=moves.transfer_s[allowed],
                resume_kwh=np.array(
                    [[restart_kwh(problem) * problem.candidates[column].pue for column in usable] for _ in usable]
                ),
            ),
            restart_kwh=restart_kwh(problem),
            usd_weight=_G_PER_T / carbon_price if carbon_price else 0.0,
            max_price_usd=problem.max_price_usd,
        )
    except InputError as error:
        if "short_by_s" in error.facts or "cheapest_usd" in error.facts:
            return ()  # nothing fits; each candidate's own misfit says why
        raise
    if not route.moves:
        return ()  # staying is among the options already
    runs = tuple(Run(stay.start_s, stay.end_s, place=usable[stay.place]) for stay in route.stays)
    first = problem.candidates[runs[0].place]
    moved = [(before.place, after.place) for before, after in pairwise(runs) if before.place != after.place]
    transfer_g = first.transfer_g + sum(float(moves.transfer_g[pair]) for pair in moved)
    unknown = any(np.isnan(moves.egress_usd[pair]) for pair in moved) or any(
        problem.candidates[run.place].price_usd_per_h is None for run in runs
    )
    option = option_of(
        problem,
        runs,
        min(_known_until_s(problem, run) for run in runs),
        transfer_g=transfer_g,
        price_usd=None if unknown else route.price_usd,
        exact=route.exact,
    )
    bound_g = option.bound_g if route.exact or priced else min(option.bound_g, route.bound_g)
    return (replace(option, bound_g=bound_g),)


def _known_until_s(problem: PlanProblem, run: Run) -> float:
    candidate = problem.candidates[run.place]
    return known_until_s(judged(problem, candidate), problem.earliest_utc.timestamp())


def _is_usable(problem: PlanProblem, candidate: Candidate) -> bool:
    """Known at the earliest time, and with a price where that counts."""
    earliest_s = problem.earliest_utc.timestamp()
    known = known_until_s(judged(problem, candidate), earliest_s) > earliest_s
    counts = problem.max_price_usd is not None or problem.judgement.carbon_price_usd_per_t is not None
    return known and not (counts and (candidate.price_usd_per_h is None or candidate.egress_usd is None))


def _place(problem: PlanProblem, candidate: Candidate) -> Place:
    return Place(
        judged(problem, candidate),
        power_kw=candidate.power_w * candidate.pue / 1e3,
        price_usd_per_h=candidate.price_usd_per_h or 0.0,
        first_g=candidate.transfer_g,
        first_usd=candidate.egress_usd or 0.0,
        first_delay_s=candidate.transfer_s,
    )
