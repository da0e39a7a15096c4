"""Jobs in the queue of their engine: given ahead of their time, moved with their plan, held at their user's wish."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lowtide.dispatch.actor import Actor
from lowtide.dispatch.reconcile import reconcile, request_cancel
from lowtide.dispatch.replan import replan_stale
from lowtide.dispatch.start import hand_over, start_due
from lowtide.store import Store, open_store
from lowtide.testing.engines import FakeEngine, FakeQueue
from lowtide.testing.jobs import add_job, job_spec, plan_at
from lowtide_core.errors import InputError, Unavailable
from lowtide_core.launches import AttemptKey

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lowtide.store.jobs import JobRecord

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
START = NOW + timedelta(hours=5)
DOWN = Unavailable("No answer.", provider="fake", operation="submit")


@dataclass
class Bench:
    store: Store
    engine: FakeEngine

    @property
    def actor(self) -> Actor:
        return Actor(self.store.jobs, lambda _: self.engine, "test", "me", Path("/spool"), lambda _: None)

    def job(self) -> JobRecord:
        planned = plan_at(START, issued_utc=NOW)
        return add_job(self.store, job_spec(NOW, options={"partition": "a"}), planned, at_utc=NOW)

    def now(self, record: JobRecord) -> JobRecord:
        return self.store.jobs.get(record.job_id)

    def report(self, record: JobRecord):
        return self.engine.observe([AttemptKey(f"{record.job_id}.1")])[0]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with open_store(tmp_path / "lowtide.db") as store:
        yield Bench(store, FakeQueue())


def test_it_is_given_to_its_engine_at_once_and_begins_at_its_time(bench: Bench) -> None:
    record = hand_over(bench.actor, bench.job(), NOW)
    assert (record.state, record.attempt.ref) == ("starting", f"fake-{record.job_id}.1")
    assert (bench.report(record).begin_utc, bench.report(record).queued) == (START, True)
    assert start_due(bench.actor, START) == ()
    for hours in range(5):
        reconcile(bench.actor, NOW + timedelta(hours=hours))
    assert bench.now(record).why == "its engine begins it at 2026-03-01T17:00:00Z"
    assert len(bench.store.jobs.events(record.job_id)) == 3, "it is said once"
    bench.engine.begin(AttemptKey(f"{record.job_id}.1"))
    reconcile(bench.actor, START)
    assert bench.now(record).state == "running"
    (key, launch), *more = bench.engine.starts
    assert not more
    assert (launch.options, launch.begin_utc, launch.argv[launch.run_id_at]) == ({"partition": "a"}, START, key)


def test_other_engines_get_it_when_its_time_has_come(bench: Bench) -> None:
    bench.engine = FakeEngine()
    assert hand_over(bench.actor, bench.job(), NOW).state == "waiting"


def test_an_engine_that_is_down_gets_it_later(bench: Bench) -> None:
    bench.engine.break_next("submit", DOWN)
    record = hand_over(bench.actor, bench.job(), NOW)
    assert (record.state, record.attempt.ref) == ("starting", None)
    reconcile(bench.actor, NOW + timedelta(minutes=1))
    reconcile(bench.actor, NOW + timedelta(minutes=2))
    assert bench.report(record).begin_utc == START


def test_a_refusal_ends_it_at_once(bench: Bench) -> None:
    bench.engine.break_next("submit", InputError("No such partition."))
    record = hand_over(bench.actor, bench.job(), NOW)
    assert (record.state, record.why) == ("failed", "No such partition.")


def test_a_new_plan_moves_it_in_the_queue(bench: Bench) -> None:
    record = hand_over(bench.actor, bench.job(), NOW)
    later = NOW + timedelta(hours=2)
    fresh = plan_at(START + timedelta(hours=2), issued_utc=NOW + timedelta(hours=1))
    (moved,) = replan_stale(bench.actor, lambda *_: fresh, later)
    assert (moved.state, moved.plan_number, moved.owner) == ("starting", 2, "me")
    assert bench.report(record).begin_utc == START, "the store comes first: whoever dies here is no loss"
    reconcile(bench.actor, later)
    assert bench.report(record).begin_utc == START + timedelta(hours=2)
    letters = [event.letter for event in bench.store.jobs.events(record.job_id)]
    assert letters == ["A", "C", "N", "-"]


def test_what_an_engine_without_a_queue_starts_is_not_planned_anew(bench: Bench) -> None:
    record = bench.job()
    bench.engine = FakeEngine(starts_at_once=False)
    start_due(bench.actor, START)
    fresh = plan_at(START + timedelta(hours=2), issued_utc=NOW + timedelta(hours=1))
    assert replan_stale(bench.actor, lambda *_: fresh, START + timedelta(seconds=1)) == ()
    assert bench.now(record).plan_number == 1


def test_its_user_holds_it_in_the_queue_and_lets_it_go(bench: Bench) -> None:
    record = hand_over(bench.actor, bench.job(), NOW)
    bench.store.jobs.want_pause(record, wanted=True, at_utc=NOW, who="user")
    reconcile(bench.actor, NOW)
    assert bench.report(record).suspended
    assert "held" in bench.now(record).why
    bench.store.jobs.want_pause(bench.now(record), wanted=False, at_utc=NOW, who="user")
    reconcile(bench.actor, NOW)
    assert (bench.report(record).suspended, bench.report(record).begin_utc) == (False, START)


def test_it_is_cancelled_in_the_queue(bench: Bench) -> None:
    record = hand_over(bench.actor, bench.job(), NOW)
    assert request_cancel(bench.actor, record, NOW).state == "cancelled"
    assert bench.engine.starts == []


def test_its_deadline_takes_it_out_of_the_queue(bench: Bench) -> None:
    record = hand_over(bench.actor, bench.job(), NOW)
    reconcile(bench.actor, NOW + timedelta(hours=10))
    reconcile(bench.actor, NOW + timedelta(hours=10))
    assert bench.now(record).state == "missed"
