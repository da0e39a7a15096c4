"""Old forecasts are renewed; where none fresher is to be had the plan holds; the deadline wins."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from lowtide.dispatch.actor import Actor
from lowtide.dispatch.replan import LOOK_AGAIN, MOST_AGE, replan_stale
from lowtide.store import Store, open_store
from lowtide.store.jobs import JobRecord, NewPlan
from lowtide.testing.engines import FakeEngine
from lowtide.testing.jobs import add_job, job_spec, plan_at
from lowtide_core.errors import InfeasibleError, Unavailable
from lowtide_core.series import Frame

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
LATER = NOW + MOST_AGE + timedelta(seconds=1)
START = NOW + timedelta(hours=5)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    with open_store(tmp_path / "lowtide.db") as opened:
        yield opened


def actor(store: Store) -> Actor:
    return Actor(store.jobs, lambda _: FakeEngine(), "test", "me", Path("/spool"), lambda _: None)


def quoted(store: Store, issued_utc: datetime | None = NOW, start_utc: datetime = START) -> JobRecord:
    return add_job(store, job_spec(NOW), plan_at(start_utc, issued_utc=issued_utc), at_utc=NOW)


def renewed(start_utc: datetime, issued_utc: datetime | None = LATER, **changes: object) -> NewPlan:
    return plan_at(start_utc, issued_utc=issued_utc, **changes)


def never(*_: object) -> NewPlan:
    raise AssertionError("nobody should have asked for a plan")


def test_an_old_forecast_is_renewed_and_every_plan_kept(store: Store) -> None:
    record = quoted(store)
    sooner = NOW + timedelta(hours=2)
    (after,) = replan_stale(actor(store), lambda *_: renewed(sooner), LATER)
    assert (after.plan.start_utc, after.plan_number, after.why) == (sooner, 2, "a fresher forecast moves it")
    assert store.jobs.plan(record.job_id, 1).plan == record.plan
    assert replan_stale(actor(store), never, LATER) == ()


def test_the_same_time_on_a_fresher_forecast_is_said_so(store: Store) -> None:
    quoted(store)
    (after,) = replan_stale(actor(store), lambda *_: renewed(START), LATER)
    assert after.why == "a fresher forecast keeps its time"


@pytest.mark.parametrize("at", [NOW, NOW + MOST_AGE])
def test_a_young_forecast_is_left_alone(store: Store, at: datetime) -> None:
    quoted(store)
    assert replan_stale(actor(store), never, at) == ()


def test_a_model_does_not_age(store: Store) -> None:
    quoted(store, issued_utc=None)
    assert replan_stale(actor(store), never, LATER) == ()


def test_a_job_whose_time_has_come_is_left_alone(store: Store) -> None:
    quoted(store, start_utc=LATER)
    assert replan_stale(actor(store), never, LATER) == ()


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (Unavailable("No answer.", provider="p", operation="fetch"), "No answer."),
        (InfeasibleError("Nothing fits."), "Nothing fits."),
        (renewed(START, issued_utc=NOW), "no fresher forecast can be had"),
        (renewed(START, issued_utc=None), "no fresher forecast can be had"),
    ],
)
def test_without_a_fresher_forecast_the_old_plan_holds_and_says_so_once(
    store: Store, answer: NewPlan | Exception, said: str
) -> None:
    record = quoted(store)
    asked = []

    def make_plan(_: JobRecord, now_utc: datetime) -> NewPlan:
        asked.append(now_utc)
        if isinstance(answer, Exception):
            raise answer
        return answer

    for minutes in range(0, 40, 10):
        replan_stale(actor(store), make_plan, LATER + timedelta(minutes=minutes))
    held = store.jobs.get(record.job_id)
    assert (held.why, held.plan_number) == (f"the old plan holds: {said}", 1)
    assert [e.letter for e in store.jobs.events(record.job_id)] == ["A", "-"]
    assert asked == [LATER, LATER + 2 * timedelta(minutes=10)]  # not at every tick
    assert timedelta(minutes=10) < LOOK_AGAIN < timedelta(minutes=20)


def test_a_plan_in_another_frame_is_not_comparable(store: Store) -> None:
    quoted(store)
    fresh = renewed(START)
    marginal = replace(fresh.plan.forecast, frame=Frame("marginal", "direct", "production"))
    other = replace(fresh, plan=replace(fresh.plan, forecast=marginal))
    (after,) = replan_stale(actor(store), lambda *_: other, LATER)
    assert "another frame" in after.why
    assert after.plan_number == 1


def test_only_the_named_jobs_are_looked_at(store: Store) -> None:
    record = quoted(store)
    assert replan_stale(actor(store), never, LATER, only=("other",)) == ()
    assert replan_stale(actor(store), lambda *_: renewed(START), LATER, only=(record.job_id,))


def test_a_job_that_was_cancelled_meanwhile_stays_cancelled(store: Store) -> None:
    record = quoted(store)

    def slow(_: JobRecord, now_utc: datetime) -> NewPlan:
        store.jobs.move(record, "cancel", at_utc=now_utc, who="user", why="no longer wanted")
        return renewed(START)

    assert replan_stale(actor(store), slow, LATER) == ()
    assert store.jobs.get(record.job_id).state == "cancelled"
