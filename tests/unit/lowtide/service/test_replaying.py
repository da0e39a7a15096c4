"""An archived question gives the archived plan again, bit for bit, from the store alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from lowtide.jobs.durations import DurationGuess
from lowtide.jobs.manner import Judgement, Manner, Pausing
from lowtide.jobs.widths import WidthTable
from lowtide.planning.replan import replan
from lowtide.planning.solve import require_plan, solve
from lowtide.planning.types import Candidate, Misfit, Moves, PlanProblem, Segment
from lowtide.service.replaying import replay
from lowtide.store import Store, open_store
from lowtide.store.archive import Question, question_from_text, question_to_text
from lowtide.store.jobs import NewPlan
from lowtide.testing.jobs import job_spec
from lowtide_core.errors import InputError
from lowtide_core.places import LOCAL, RegionId, ZoneId
from lowtide_core.series import LIFECYCLE_CONSUMPTION, SignalSeries

T0 = datetime(2026, 3, 1, 12, 20, 7, 123457, tzinfo=UTC)
DE, SE = ZoneId("DE"), ZoneId("SE-SE3")
NORTH = RegionId("aws:eu-north-1")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(tmp_path / "lowtide.db") as opened:
        yield opened


def series(zone: ZoneId, seed: int, *, band: bool = True) -> SignalSeries:
    values = np.random.default_rng(seed).uniform(20, 700, 90)
    return SignalSeries(
        zone, T0.replace(minute=0, second=0, microsecond=0), 3600.0, values, LIFECYCLE_CONSUMPTION, "forecast",
        "invented", issued_at=T0, fetched_at=T0,
        low_g_per_kwh=values * 0.8 if band else None, high_g_per_kwh=values / 0.7 if band else None,
    )  # fmt: skip


def problem(**changes: object) -> PlanProblem:
    home = Candidate(LOCAL, DE, series(DE, 1), power_w=1e3 / 3, pue=1.1)
    north = Candidate(
        NORTH, SE, series(SE, 2), power_w=400.0, pue=1.2, transfer_g=17 / 7, price_usd_per_h=0.31, egress_usd=None,
        transfer_s=600.0, blocked=((T0.timestamp() + 1e4, T0.timestamp() + 2e4),), blocked_by="others",
    )  # fmt: skip
    plain = PlanProblem(T0, T0 + timedelta(hours=60), 4.3 * 3600, (home, north), baseline=home)
    return replace(plain, **changes)  # type: ignore[arg-type]


PAUSING = Manner(pausing=Pausing(0.01, 3, 1800.0), setup_kwh=0.02, course=((0.25, 2.0), (0.75, 2 / 3)))
MOVES = Moves(np.array([[0.0, 3.3], [4.4, 0.0]]), np.array([[0.0, np.nan], [0.1, 0.0]]), np.zeros((2, 2)))
PROBLEMS = {
    "one run": problem(),
    "paused": problem(manner=PAUSING),
    "of unknown duration": problem(manner=Manner(guess=DurationGuess(3600.0, 20000.0, (3600.0, 20000.0, 9000.0)))),
    "of several widths": problem(manner=Manner(widths=WidthTable((1, 2), (1.0, 1.7), (300.0, 570.0), 1))),
    "robust, with a carbon price": replace(
        problem(judgement=Judgement(90.0, robust=True, least_errors=0.2)),
        candidates=tuple(replace(place, egress_usd=0.02, price_usd_per_h=1 / 7) for place in problem().candidates),
    ),
    "that moves": replace(
        problem(manner=Manner(pausing=Pausing()), moves=MOVES),
        candidates=tuple(replace(place, blocked=(), egress_usd=0.02) for place in problem().candidates),
    ),
    "half done": problem(manner=PAUSING, done_s=3600.0, running=True, pauses_used=1),
    "without home": problem(baseline=None, no_baseline_why="home is not set"),
}


@pytest.mark.parametrize("name", PROBLEMS)
def test_every_kind_of_question_gives_its_plan_again(name: str, store: Store) -> None:
    asked = PROBLEMS[name]
    plan = require_plan(solve(asked), asked)
    vintages = store.signals.add_all({candidate.zone: candidate.series for candidate in asked.candidates})
    planned = NewPlan(plan, vintages, question_to_text(Question(asked)))
    job_id = store.jobs.add(job_spec(T0), planned, "key", T0, "test", "quoted")
    found = replay(store, job_id, 1)
    assert found.unlike == ()
    assert found.anew == plan


def test_a_plan_that_was_held_against_an_older_one_is_held_against_it_again(store: Store) -> None:
    asked = PROBLEMS["one run"]
    first = require_plan(solve(asked), asked)
    later = replace(asked, earliest_utc=T0 + timedelta(hours=2))
    kept = (Segment(T0 + timedelta(hours=9), T0 + timedelta(hours=9, seconds=4.3 * 3600), LOCAL, DE),)
    second = require_plan(replan(later, kept), later)
    vintages = store.signals.add_all({candidate.zone: candidate.series for candidate in asked.candidates})
    job_id = store.jobs.add(
        job_spec(T0), NewPlan(first, vintages, question_to_text(Question(asked))), "key", T0, "test", "quoted"
    )
    record = store.jobs.get(job_id)
    moved = NewPlan(second, vintages, question_to_text(Question(later, kept)))
    store.jobs.move(record, "replan", at_utc=T0 + timedelta(hours=2), who="test", why="again", planned=moved)
    assert replay(store, job_id, 1).unlike == ()
    assert replay(store, job_id, 2).unlike == ()


def test_places_that_were_ruled_out_beforehand_are_told_again_and_no_others(store: Store) -> None:
    asked = PROBLEMS["one run"]
    excluded = (Misfit(RegionId("aws:us-east-1"), ZoneId("US-MIDA-PJM"), "it does not lie in EU", "residency"),)
    plan = require_plan(solve(asked), asked)
    plan = replace(plan, misfits=(*plan.misfits, *excluded))
    vintages = store.signals.add_all({candidate.zone: candidate.series for candidate in asked.candidates})
    for key, archived, unlike in (("a", excluded, ()), ("b", (), ("misfits",))):
        planned = NewPlan(plan, vintages, question_to_text(Question(asked, excluded=archived)))
        job_id = store.jobs.add(job_spec(T0), planned, key, T0, "test", "quoted")
        assert replay(store, job_id, 1).unlike == unlike


def test_what_differs_is_named(store: Store) -> None:
    asked = PROBLEMS["one run"]
    plan = require_plan(solve(asked), asked)
    vintages = store.signals.add_all({candidate.zone: candidate.series for candidate in asked.candidates})
    forged = NewPlan(
        replace(plan, emissions_g=plan.emissions_g * (1 + 1e-15)), vintages, question_to_text(Question(asked))
    )
    job_id = store.jobs.add(job_spec(T0), forged, "key", T0, "test", "quoted")
    assert replay(store, job_id, 1).unlike == ("emissions_g",)


def test_a_plan_without_its_question_is_refused(store: Store) -> None:
    asked = PROBLEMS["one run"]
    plan = require_plan(solve(asked), asked)
    job_id = store.jobs.add(job_spec(T0), NewPlan(plan, {}), "key", T0, "test", "quoted")
    with pytest.raises(InputError, match="without its question"):
        replay(store, job_id, 1)
    with pytest.raises(InputError, match="no plan 7"):
        replay(store, job_id, 7)


@pytest.mark.parametrize("name", PROBLEMS)
def test_the_archive_holds_the_question_to_the_last_digit(name: str) -> None:
    asked = PROBLEMS[name]
    text = question_to_text(Question(asked))
    by_zone = {candidate.zone: candidate.series for candidate in asked.candidates}
    again = question_from_text(text, by_zone)
    assert again.kept == ()
    assert question_to_text(again) == text
    assert again.problem.manner == asked.manner
    assert again.problem.judgement == asked.judgement
