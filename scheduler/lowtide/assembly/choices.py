"""Every sensible trade between emissions, price and finish of a job that has been quoted."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from lowtide.jobs.manner import PLAIN
from lowtide.planning.options import steps_of
from lowtide.planning.solvers.frontier import frontier
from lowtide.planning.solvers.places import PlaceCosts
from lowtide.planning.solvers.steps import SAME_INSTANT_S
from lowtide.planning.solvers.windows import known_until_s
from lowtide_core.errors import InputError
from lowtide_core.spans import from_epoch_s, iso_utc

if TYPE_CHECKING:
    from datetime import datetime

    from lowtide.assembly.quote import Quote
    from lowtide.planning.types import Candidate, PlanProblem
    from lowtide_core.places import RegionId, ZoneId


@dataclass(frozen=True, slots=True)
class Choice:
    """One plan that no other betters in all three.

    Attributes:
        runs: Start and end of each of its runs.
        price_usd: None where no place has a price.
    """

    region: RegionId
    zone: ZoneId
    runs: tuple[tuple[datetime, datetime], ...]
    emissions_g: float
    price_usd: float | None

    @property
    def start_utc(self) -> datetime:
        return self.runs[0][0]

    @property
    def end_utc(self) -> datetime:
        return self.runs[-1][1]

    def to_json(self) -> dict[str, object]:
        """An item of ``frontier`` in ``lowtide plan --frontier --json``."""
        return {
            "region": self.region,
            "zone": self.zone,
            "segments": [{"start_utc": iso_utc(start), "end_utc": iso_utc(end)} for start, end in self.runs],
            "finish_utc": iso_utc(self.end_utc),
            "emissions_g": self.emissions_g,
            "price_usd": self.price_usd,
        }


def choices_of(found: Quote) -> tuple[Choice, ...]:
    """The frontier of a job that has been quoted, the earliest finish first.

    Places whose price is not known are left out; where that is so of all of them, emissions and finish alone count.

    Raises:
        InputError: The job runs in a manner that the frontier does not know.
    """
    problem = found.gathered.problem
    pausing = problem.manner.pausing
    if replace(problem.manner, pausing=None) != PLAIN or (pausing is not None and not pausing.is_free):
        raise InputError(
            "A frontier is drawn for a job of known duration and constant power, whose pauses cost nothing.",
            hint="Leave out --frontier, or the options that say otherwise.",
        )
    if found.planned_around_until_utc is not None:
        raise InputError(
            "A frontier cannot be drawn around what is promised at home.",
            hint="Leave out --frontier, or unset home_jobs and home_power.",
        )
    if problem.moves is not None:
        raise InputError(
            "A frontier is drawn for a job that stays where it begins.", hint="Leave out --frontier, or --checkpoint."
        )
    limit_usd = problem.max_price_usd
    fitting = [candidate for candidate in problem.candidates if _has_room(problem, candidate)]
    priced = [candidate for candidate in fitting if _has_price(candidate)]
    candidates = priced or fitting
    points = frontier(
        [_costs(candidate) for candidate in candidates],
        problem.duration_s,
        problem.earliest_utc.timestamp(),
        problem.deadline_utc.timestamp(),
        pausable=pausing is not None,
    )
    return tuple(
        Choice(
            candidates[point.place].region,
            candidates[point.place].zone,
            tuple((from_epoch_s(piece.start_s), from_epoch_s(piece.end_s)) for piece in point.pieces),
            point.emissions_g,
            point.price_usd if priced else None,
        )
        for point in points
        if limit_usd is None or point.price_usd <= limit_usd
    )


def _has_price(candidate: Candidate) -> bool:
    return candidate.price_usd_per_h is not None and candidate.egress_usd is not None


def _has_room(problem: PlanProblem, candidate: Candidate) -> bool:
    ready_s = problem.earliest_utc.timestamp() + candidate.transfer_s
    end_by_s = min(problem.deadline_utc.timestamp(), known_until_s(steps_of(candidate), ready_s))
    return end_by_s - ready_s >= problem.duration_s - SAME_INSTANT_S


def _costs(candidate: Candidate) -> PlaceCosts:
    return PlaceCosts(
        steps_of(candidate),
        power_kw=candidate.power_w * candidate.pue / 1e3,
        fixed_g=candidate.transfer_g,
        fixed_usd=candidate.egress_usd or 0.0,
        price_usd_per_h=candidate.price_usd_per_h or 0.0,
        delay_s=candidate.transfer_s,
    )
