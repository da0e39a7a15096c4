"""The question behind a plan as JSON, exactly, so that it can be planned again years later.

The intensities are not in it: they are vintages of the store, named beside the plan, one for each zone.
"""

from __future__ import annotations

import json
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from lowtide.planning.types import Candidate, Misfit, Moves, PlanProblem, Segment
from lowtide.store.codec import judgement_from_json, manner_from_json
from lowtide_core.places import RegionId, ZoneId
from lowtide_core.spans import iso_utc, parse_iso_utc

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lowtide_core.series import SignalSeries

_PLAIN = ("duration_s", "no_baseline_why", "max_price_usd", "at_once", "done_s", "running", "pauses_used")
_OF_PLACE = (
    *("region", "zone", "power_w", "pue", "transfer_g", "price_usd_per_h"),
    *("egress_usd", "transfer_s", "blocked", "blocked_by"),
)

_OWN_FORM = ("earliest_utc", "deadline_utc", "manner", "judgement", "candidates", "baseline", "moves")
if {*_PLAIN, *_OWN_FORM} != {item.name for item in fields(PlanProblem)}:
    raise RuntimeError("every part of a planning problem must be archived")
if {*_OF_PLACE, "series"} != {item.name for item in fields(Candidate)}:
    raise RuntimeError("every part of a place must be archived")


class Question(NamedTuple):
    """What a plan answered.

    Attributes:
        kept: Segments of the plan that it was held against; empty: of none.
        excluded: Places that the user's limits ruled out before anything was planned.
    """

    problem: PlanProblem
    kept: tuple[Segment, ...] = ()
    excluded: tuple[Misfit, ...] = ()


def question_to_text(question: Question) -> str:
    """The question without the intensities."""
    problem, kept = question.problem, question.kept
    moves = problem.moves
    return json.dumps(
        {
            **{name: getattr(problem, name) for name in _PLAIN},
            "earliest_utc": iso_utc(problem.earliest_utc),
            "deadline_utc": iso_utc(problem.deadline_utc),
            "manner": asdict(problem.manner),
            "judgement": asdict(problem.judgement),
            "candidates": [_place_to_json(candidate) for candidate in problem.candidates],
            "baseline": None if problem.baseline is None else _place_to_json(problem.baseline),
            "moves": None if moves is None else [array.tolist() for array in moves],
            "excluded": [[m.region, m.zone, m.why, m.limit, m.short_by_s] for m in question.excluded],
            "kept": [[iso_utc(s.start_utc), iso_utc(s.end_utc), s.region, s.zone, s.width, s.energy_kwh] for s in kept],
        }
    )


def question_from_text(text: str, series: Mapping[ZoneId, SignalSeries]) -> Question:
    """The question as it was, with the intensities that the store kept for it."""
    item: dict[str, Any] = json.loads(text)
    baseline, moves = item["baseline"], item["moves"]
    problem = PlanProblem(
        **{name: item[name] for name in _PLAIN},
        earliest_utc=parse_iso_utc(item["earliest_utc"]),
        deadline_utc=parse_iso_utc(item["deadline_utc"]),
        manner=manner_from_json(item["manner"]),
        judgement=judgement_from_json(item["judgement"]),
        candidates=tuple(_place_from_json(place, series) for place in item["candidates"]),
        baseline=None if baseline is None else _place_from_json(baseline, series),
        moves=None if moves is None else Moves(*(np.array(table, dtype=np.float64) for table in moves)),
    )
    kept = tuple(
        Segment(parse_iso_utc(start), parse_iso_utc(end), RegionId(region), ZoneId(zone), width, energy_kwh)
        for start, end, region, zone, width, energy_kwh in item["kept"]
    )
    excluded = tuple(Misfit(*misfit) for misfit in item["excluded"])
    return Question(problem, kept, excluded)


def _place_to_json(candidate: Candidate) -> dict[str, object]:
    return {name: getattr(candidate, name) for name in _OF_PLACE}


def _place_from_json(item: dict[str, Any], series: Mapping[ZoneId, SignalSeries]) -> Candidate:
    blocked = tuple((float(start_s), float(end_s)) for start_s, end_s in item["blocked"])
    return Candidate(**{**item, "blocked": blocked, "series": series[ZoneId(item["zone"])]})
