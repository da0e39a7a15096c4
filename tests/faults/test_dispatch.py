"""Crashes, lies and races between the store and an engine: no job is lost, and none runs twice."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from lowtide.dispatch.actor import Actor
from lowtide.dispatch.reconcile import reconcile, request_cancel
from lowtide.dispatch.start import start_due
from lowtide.jobs.states import FINAL
from lowtide.store import Store, open_store
from lowtide.store.jobs import JobRecord, JobStore
from lowtide.testing.engines import FakeEngine
from lowtide.testing.jobs import add_job, job_spec, plan_at
from lowtide_core.errors import IllegalTransition, InputError, StaleOwner, Unavailable
from lowtide_core.launches import AttemptKey

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SOON = NOW + timedelta(seconds=10)
DOWN = Unavailable("No answer.", provider="fake", operation="submit")


class Crash(BaseException):
    """The process dies here."""


@dataclass
class Bench:
    """A store, an engine, and processes that work with them."""

    store: Store
    engine: FakeEngine
    journal: dict[str, int]

    def process(self, name: str = "first") -> Actor:
        return Actor(
            jobs=self.store.jobs,
            engine=lambda _: self.engine,
            who="test",
            owner=name,
            spool=Path("/spool"),
            exit_in_journal=self.journal.get,
        )

    def job(self, key: str = "key", **changes: object) -> JobRecord:
        return add_job(self.store, job_spec(NOW, **changes), plan_at(NOW), at_utc=NOW, key=key)

    def now(self, record: JobRecord) -> JobRecord:
        return self.store.jobs.get(record.job_id)

    def letters(self, record: JobRecord) -> str:
        return "".join(event.letter for event in self.store.jobs.events(record.job_id))

    def running(self, **changes: object) -> JobRecord:
        """A job that has been started and found running."""
        record = self.job(**changes)
        start_due(self.process(), NOW, only=(record.job_id,))
        reconcile(self.process(), NOW, only=(record.job_id,))
        return self.now(record)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    with open_store(tmp_path / "lowtide.db") as store:
        yield Bench(store, FakeEngine(), {})


def key_of(record: JobRecord, number: int = 1) -> AttemptKey:
    return AttemptKey(f"{record.job_id}.{number}")


def test_a_job_goes_its_way_and_every_step_is_an_event(bench: Bench) -> None:
    record = bench.job()
    assert [r.state for r in start_due(bench.process(), NOW)] == ["starting"]
    assert [r.state for r in reconcile(bench.process(), NOW)] == ["running"]
    assert reconcile(bench.process(), NOW) == ()
    bench.engine.end(key_of(record), 0)
    assert [r.state for r in reconcile(bench.process(), SOON)] == ["done"]
    assert bench.letters(record) == "ACDE"
    ended = bench.now(record).attempt
    assert (ended.exit_status, ended.started_utc, ended.ended_utc, ended.ref) == (
        0,
        bench.engine.at_utc,
        bench.engine.at_utc,
        f"fake-{key_of(record)}",
    )


def test_the_command_runs_under_the_sampler_with_the_attempts_key(bench: Bench) -> None:
    record = bench.running(argv=("python", "-c", "print('a b')"), environment={"SEED": "7"})
    ((key, launch),) = bench.engine.starts
    assert key == key_of(record)
    assert launch.argv[-4:] == ("--", "python", "-c", "print('a b')")
    assert launch.argv[launch.argv.index("--run-id") + 1] == key
    assert launch.argv[launch.argv.index("--journal") + 1] == "/spool"
    assert launch.environment["SEED"] == "7"


@pytest.mark.parametrize(
    "point", ["before claim", "after claim", "before submit", "after submit", "before ref", "after"]
)
@pytest.mark.parametrize("begins", [True, False])
def test_a_crash_between_any_two_steps_is_mended(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, point: str, begins: bool
) -> None:
    record = bench.job()
    bench.engine.starts_at_once = begins
    with monkeypatch.context() as patch:
        if point.endswith("submit"):
            bench.engine.break_next("submit", Crash(), after=point.startswith("after"))
        elif point.endswith("claim"):
            patch.setattr(JobStore, "move", _dies(JobStore.move, first=point.startswith("before")))
        elif point == "before ref":
            patch.setattr(JobStore, "set_ref", _dies(JobStore.set_ref, first=True))
        else:
            patch.setattr(JobStore, "set_ref", _dies(JobStore.set_ref, first=False))
        with pytest.raises(Crash):
            start_due(bench.process("dies"), NOW)
    start_due(bench.process("comes after"), SOON)
    reconcile(bench.process("comes after"), SOON)
    if not begins:
        bench.engine.begin(key_of(record))
    reconcile(bench.process("comes after"), SOON)
    assert bench.now(record).state == "running"
    assert [key for key, _ in bench.engine.starts] == [key_of(record)]
    bench.engine.end(key_of(record), 3)
    reconcile(bench.process("comes after"), SOON)
    assert (bench.now(record).state, bench.now(record).attempt.exit_status) == ("failed", 3)


def _dies(method, *, first: bool):
    def dying(*args, **kwargs):
        if not first:
            method(*args, **kwargs)
        raise Crash

    return dying


def test_a_lost_answer_of_submit_starts_nothing_twice(bench: Bench) -> None:
    record = bench.job()
    bench.engine.break_next("submit", DOWN, after=True)
    start_due(bench.process(), NOW)
    assert bench.now(record).why == "to be tried again: No answer."
    reconcile(bench.process(), SOON)
    assert bench.now(record).state == "running"
    assert len(bench.engine.starts) == 1


def test_an_engine_that_is_down_is_asked_again_and_told_of_once(bench: Bench) -> None:
    record = bench.job()
    for seconds in range(0, 40, 10):
        bench.engine.break_next("submit", DOWN)
        at = NOW + timedelta(seconds=seconds)
        start_due(bench.process(), at)
        reconcile(bench.process(), at)
    assert bench.letters(record) == "AC-"
    reconcile(bench.process(), NOW + timedelta(seconds=50))
    reconcile(bench.process(), NOW + timedelta(seconds=50))
    assert bench.now(record).state == "running"


def test_one_process_does_not_ask_twice_for_what_it_has_just_submitted(bench: Bench) -> None:
    bench.engine.starts_at_once = False
    bench.job()
    start_due(bench.process(), NOW)
    bench.engine.break_next("submit", Crash())
    reconcile(bench.process(), NOW + timedelta(seconds=1))
    with pytest.raises(Crash):
        reconcile(bench.process("another"), NOW + timedelta(seconds=1))


def test_a_silent_engine_leaves_its_jobs_and_the_others_go_on(bench: Bench) -> None:
    silent, fine = bench.running(key="a"), bench.running(key="b", engine="other")
    other = FakeEngine()
    other.submit(bench.engine.starts[1][1], key_of(fine))
    other.end(key_of(fine), 0)
    actor = replace(bench.process(), engine=lambda name: other if name == "other" else bench.engine)
    for _ in range(3):
        bench.engine.break_next("observe", DOWN)
        reconcile(actor, SOON)
    assert bench.now(fine).state == "done"
    assert (bench.now(silent).state, bench.letters(silent)) == ("running", "ACD-")
    assert "does not answer" in bench.now(silent).why
    reconcile(actor, SOON)
    assert "answers again" in bench.now(silent).why


def test_an_engine_that_is_no_longer_there_leaves_its_jobs_as_they_are(bench: Bench) -> None:
    def gone(_: str) -> FakeEngine:
        raise InputError("'other' is not an engine.")

    record = bench.running()
    assert reconcile(replace(bench.process(), engine=gone), SOON) == ()
    assert bench.now(record).state == "running"


def test_what_cannot_be_known_is_lost_and_not_run_again(bench: Bench) -> None:
    vanished, forgotten = bench.running(key="a"), bench.running(key="b")
    bench.engine.vanish(key_of(vanished))
    bench.engine.forget(key_of(forgotten))
    reconcile(bench.process(), SOON)
    start_due(bench.process(), SOON)
    reconcile(bench.process(), SOON)
    assert [bench.now(r).state for r in (vanished, forgotten)] == ["lost", "lost"]
    assert len(bench.engine.starts) == 2


def test_an_engine_that_forgets_what_it_acknowledged_is_not_asked_to_start_it_again(bench: Bench) -> None:
    record = bench.job()
    start_due(bench.process(), NOW)
    bench.engine.forget(key_of(record))
    reconcile(bench.process("another"), SOON)
    assert bench.now(record).state == "lost"
    assert len(bench.engine.starts) == 1


def test_the_samplers_journal_knows_how_a_vanished_attempt_ended(bench: Bench) -> None:
    record = bench.running()
    bench.engine.vanish(key_of(record))
    bench.journal[key_of(record)] = 0
    reconcile(bench.process(), SOON)
    assert bench.now(record).state == "done"


@pytest.mark.parametrize(("in_journal", "state"), [(None, "lost"), (137, "failed"), (0, "done"), (3, "failed")])
def test_a_death_by_signal_may_be_the_samplers_alone(bench: Bench, in_journal: int | None, state: str) -> None:
    record = bench.running()
    bench.engine.end(key_of(record), 137)
    if in_journal is not None:
        bench.journal[key_of(record)] = in_journal
    assert [r.state for r in reconcile(bench.process(), SOON)] == [state]


def test_a_lost_attempt_is_run_again_where_the_job_says_so(bench: Bench) -> None:
    record = bench.running(retries=1)
    for number in (1, 2):
        bench.engine.vanish(key_of(record, number))
        reconcile(bench.process(), SOON)
        start_due(bench.process(), SOON)
        reconcile(bench.process(), SOON)
    assert [key for key, _ in bench.engine.starts] == [key_of(record, 1), key_of(record, 2)]
    assert bench.letters(record) == "ACDHCDG"


def test_a_failed_attempt_is_never_run_again(bench: Bench) -> None:
    record = bench.running(retries=3)
    bench.engine.end(key_of(record), 1)
    reconcile(bench.process(), SOON)
    assert bench.now(record).state == "failed"


def test_a_retry_that_cannot_finish_in_time_is_not_made(bench: Bench) -> None:
    record = bench.running(retries=1)
    bench.engine.vanish(key_of(record))
    reconcile(bench.process(), NOW + timedelta(hours=9, seconds=1))
    assert bench.now(record).state == "lost"
    assert "no time is left" in bench.now(record).why


def test_a_late_job_starts_at_once_and_says_so(bench: Bench) -> None:
    record = bench.job()
    start_due(bench.process(), NOW + timedelta(hours=9, minutes=59))
    assert bench.now(record).state == "starting"
    assert "599 min ago" in bench.now(record).why


def test_after_its_deadline_nothing_starts(bench: Bench) -> None:
    late = NOW + timedelta(hours=10)
    waiting = bench.job(key="a")
    claimed = bench.job(key="b")
    bench.engine.break_next("submit", DOWN)
    start_due(bench.process(), NOW, only=(claimed.job_id,))
    start_due(bench.process("another"), late)
    reconcile(bench.process("another"), late)
    assert [bench.now(r).state for r in (waiting, claimed)] == ["missed", "missed"]
    assert bench.engine.starts == []


def test_the_deadline_also_ends_what_the_engine_has_accepted_but_not_what_runs(bench: Bench) -> None:
    late = NOW + timedelta(hours=10)
    running = bench.running(key="a")
    bench.engine.starts_at_once = False
    accepted = bench.job(key="b")
    start_due(bench.process(), NOW)
    reconcile(bench.process(), late)
    assert [bench.now(r).state for r in (running, accepted)] == ["running", "missed"]
    reconcile(bench.process(), late)
    assert len(bench.engine.starts) == 1


def test_a_job_that_the_engine_refuses_has_failed(bench: Bench) -> None:
    record = bench.job()
    bench.engine.break_next("submit", InputError("No such folder.", hint="Make it."))
    start_due(bench.process(), NOW)
    assert (bench.now(record).state, bench.now(record).why) == ("failed", "No such folder. Make it.")


def test_one_bad_job_does_not_stop_the_others(bench: Bench) -> None:
    jobs = [bench.job(key=str(number)) for number in range(3)]
    bench.engine.break_next("submit", InputError("No."))
    start_due(bench.process(), NOW)
    reconcile(bench.process(), NOW)
    assert sorted(bench.now(r).state for r in jobs) == ["failed", "running", "running"]


def test_cancelling_follows_where_the_job_is(bench: Bench) -> None:
    waiting = bench.job(key="a")
    assert request_cancel(bench.process(), waiting, NOW).state == "cancelled"
    running = bench.running(key="b")
    assert request_cancel(bench.process(), running, NOW).state == "cancelled"
    assert bench.letters(running) == "ACD-J"
    with pytest.raises(IllegalTransition):
        request_cancel(bench.process(), bench.now(running), NOW)


def test_the_wish_to_cancel_outlives_an_engine_that_is_down(bench: Bench) -> None:
    record = bench.running()
    bench.engine.break_next("cancel", DOWN)
    assert request_cancel(bench.process("the user's"), record, NOW).state == "running"
    reconcile(bench.process("serve"), SOON)
    assert bench.now(record).state == "cancelled"


def test_a_job_that_was_cancelled_while_it_started_never_starts(bench: Bench) -> None:
    record = bench.job()
    bench.engine.break_next("submit", DOWN)
    start_due(bench.process(), NOW)
    assert request_cancel(bench.process("the user's"), bench.now(record), NOW).state == "cancelled"
    assert bench.engine.starts == []


def test_a_job_that_ended_well_before_it_could_be_cancelled_is_done(bench: Bench) -> None:
    record = bench.running()
    bench.engine.end(key_of(record), 0)
    assert request_cancel(bench.process(), record, NOW).state == "done"


def test_who_does_not_know_of_the_wish_to_cancel_cannot_call_it_a_failure(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = bench.running()
    believed = bench.store.jobs.in_flight()
    bench.store.jobs.want_cancel(record, at_utc=NOW, who="the user's")
    bench.engine.cancel(key_of(record))
    with monkeypatch.context() as patch:
        patch.setattr(JobStore, "in_flight", lambda _: believed)
        assert reconcile(bench.process(), NOW) == ()
    reconcile(bench.process(), NOW)
    assert bench.now(record).state == "cancelled"


def test_cancelling_a_job_that_is_just_being_claimed_cancels_the_attempt(bench: Bench) -> None:
    seen = bench.job()
    start_due(bench.process("serve"), NOW)
    assert request_cancel(bench.process("the user's"), seen, NOW).state == "cancelled"


def test_somebody_who_was_faster_is_left_alone(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    record = bench.job()
    seen = bench.store.jobs.due(NOW)
    start_due(bench.process("faster"), NOW)
    with monkeypatch.context() as patch:
        patch.setattr(JobStore, "due", lambda *_: seen)
        assert start_due(bench.process("slower"), NOW) == ()
    assert bench.now(record).owner == "faster"
    assert len(bench.engine.starts) == 1


def test_a_job_that_has_ended_stays_so_whatever_the_engine_says_later(bench: Bench) -> None:
    record = bench.running()
    bench.engine.end(key_of(record), 0)
    reconcile(bench.process(), SOON)
    bench.engine.vanish(key_of(record))
    reconcile(bench.process(), SOON)
    assert bench.now(record).state == "done"
    assert bench.now(record).state in FINAL
    with pytest.raises(StaleOwner):
        bench.store.jobs.move(record, "fail", at_utc=SOON, who="late", why="?")
