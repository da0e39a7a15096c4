"""Jobs that pause: whoever dies, lies, is late or changes his mind, the job is where it should be at the next round."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from lowtide.dispatch.actor import Actor
from lowtide.dispatch.pausing import hold_at, must_run_from_utc, next_turn_utc, require_suspendable
from lowtide.dispatch.reconcile import reconcile, request_cancel
from lowtide.dispatch.start import start_due
from lowtide.dispatch.wishes import request_pause, request_resume
from lowtide.planning.types import Segment
from lowtide.service.ticks import TickContext, run_tick
from lowtide.store import Store, open_store
from lowtide.store.jobs import JobRecord, JobStore, NewPlan
from lowtide.testing.engines import FakeEngine
from lowtide.testing.jobs import ZONE, add_job, job_spec, plan_at
from lowtide_core.errors import IllegalTransition, InputError, Unavailable
from lowtide_core.launches import AttemptKey, EngineRef, EngineReport, Launch
from lowtide_core.places import LOCAL

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
RUNS_H = ((0, 1), (3, 4), (6, 8))
DURATION_H = 4
DOWN = Unavailable("No answer.", provider="fake", operation="suspend")


def at(hours: float) -> datetime:
    return NOW + timedelta(hours=hours)


def plan_of(runs_h: tuple[tuple[float, float], ...]) -> NewPlan:
    segments = tuple(Segment(at(start), at(end), LOCAL, ZONE) for start, end in runs_h)
    return plan_at(at(runs_h[0][0]), segments=segments)


class Crash(BaseException):
    """The process dies here."""


@dataclass
class Bench:
    """A store, an engine, and processes that work with them, at any time."""

    store: Store
    engine: FakeEngine = field(default_factory=FakeEngine)

    def process(self, name: str = "first") -> Actor:
        return Actor(self.store.jobs, lambda _: self.engine, "test", name, Path("/spool"), lambda _: None)

    def job(self, key: str = "key", runs_h: tuple[tuple[float, float], ...] = RUNS_H, **changes: object) -> JobRecord:
        spec = job_spec(NOW, duration_s=3600.0 * DURATION_H, deadline_utc=at(24), **changes)
        return add_job(self.store, spec, plan_of(runs_h), at_utc=NOW, key=key)

    def round(self, hours: float, name: str = "first") -> None:
        """What a tick does, at that time."""
        self.engine.at_utc = at(hours)
        start_due(self.process(name), at(hours))
        reconcile(self.process(name), at(hours))

    def running(self, **changes: object) -> JobRecord:
        record = self.job(**changes)
        self.round(0)
        assert self.now(record).state == "running"
        return self.now(record)

    def now(self, record: JobRecord) -> JobRecord:
        return self.store.jobs.get(record.job_id)

    def held(self, record: JobRecord) -> bool:
        return self.engine.observe([key_of(record)])[0].suspended

    def where(self, record: JobRecord) -> tuple[str, bool]:
        return self.now(record).state, self.held(record)

    def letters(self, record: JobRecord) -> str:
        return "".join(event.letter for event in self.store.jobs.events(record.job_id))


RUNS, PAUSED = ("running", False), ("paused", True)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    with open_store(tmp_path / "lowtide.db") as store:
        yield Bench(store)


def key_of(record: JobRecord, number: int = 1) -> AttemptKey:
    return AttemptKey(f"{record.job_id}.{number}")


def test_a_job_follows_its_plan_and_runs_on_after_the_last_run(bench: Bench) -> None:
    record = bench.running()
    for hours, where in (
        (0.5, RUNS),
        (1, PAUSED),
        (2.9, PAUSED),
        (3, RUNS),
        (4, PAUSED),
        (6, RUNS),
        (8, RUNS),
        (30, RUNS),
    ):
        bench.round(hours)
        assert bench.where(record) == where, hours
    bench.engine.end(key_of(record), 0)
    bench.round(31)
    after = bench.now(record)
    assert bench.letters(record) == "ACDLMLME"
    assert after.attempt.paused_s == 4 * 3600
    assert after.attempt.ran_s(at(99)) == (30 - 4) * 3600
    assert [e.why for e in bench.store.jobs.events(record.job_id)][3:5] == [
        "by its plan, until 2026-03-01T15:00:00Z",
        "its next run has come",
    ]


@pytest.mark.parametrize(
    ("hours", "where"), [(0.5, RUNS), (2, PAUSED), (3.5, RUNS), (5, PAUSED), (7, RUNS), (9, RUNS), (30, RUNS)]
)
@pytest.mark.parametrize("last_seen", [0.2, 1.5])
def test_whoever_comes_back_late_acts_on_the_present(
    bench: Bench, hours: float, where: tuple[str, bool], last_seen: float
) -> None:
    record = bench.running()
    bench.round(last_seen)
    bench.round(max(hours, last_seen), "comes back")
    assert bench.where(record) == (where if hours > last_seen else PAUSED)


def test_runs_that_touch_are_one(bench: Bench) -> None:
    record = bench.running(runs_h=((0, 1), (1, 4)))
    bench.round(1)
    assert bench.where(record) == RUNS
    assert bench.letters(record) == "ACD"


POINTS = ("before the engine", "after the engine", "before the record", "after the record")


def crash_at(bench: Bench, patch: pytest.MonkeyPatch, point: str, operation: str) -> None:
    if point.endswith("engine"):
        bench.engine.break_next(operation, Crash(), after=point.startswith("after"))
        return
    move = JobStore.move

    def dying(*args: object, **kwargs: object) -> None:
        if point.startswith("after"):
            move(*args, **kwargs)
        raise Crash

    patch.setattr(JobStore, "move", dying)


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize(("back_at", "where"), [(1.5, PAUSED), (3.5, RUNS), (5, PAUSED), (9, RUNS)])
def test_a_death_while_it_is_paused_is_mended(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, point: str, back_at: float, where: tuple[str, bool]
) -> None:
    record = bench.running()
    with monkeypatch.context() as patch:
        crash_at(bench, patch, point, "suspend")
        with pytest.raises(Crash):
            bench.round(1, "dies")
    bench.round(back_at, "comes after")
    assert bench.where(record) == where
    if back_at == 1.5:
        held_since_h = 1.5 if point == "before the engine" else 1
        assert bench.now(record).attempt.ran_s(at(99)) == 3600 * held_since_h, "it ran until the engine held it"


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize(("back_at", "where"), [(3.5, RUNS), (5, PAUSED), (9, RUNS)])
def test_a_death_while_it_is_resumed_is_mended(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, point: str, back_at: float, where: tuple[str, bool]
) -> None:
    record = bench.running()
    bench.round(1)
    with monkeypatch.context() as patch:
        crash_at(bench, patch, point, "resume")
        with pytest.raises(Crash):
            bench.round(3, "dies")
    bench.round(back_at, "comes after")
    assert bench.where(record) == where


def test_an_engine_that_does_not_answer_is_asked_again_and_told_of_once(bench: Bench) -> None:
    record, other = bench.running(key="a"), bench.running(key="b", runs_h=((0, 4),))
    for minutes in range(3):
        bench.engine.break_next("suspend", DOWN)
        bench.round(1 + minutes / 60)
    assert bench.where(record) == RUNS
    assert "does not answer" in bench.now(record).why
    bench.round(1.5)
    assert bench.where(record) == PAUSED
    for minutes in range(3):
        bench.engine.break_next("resume", DOWN)
        bench.round(3 + minutes / 60)
    assert bench.where(record) == PAUSED
    assert "does not answer" in bench.now(record).why
    bench.round(3.5)
    assert bench.where(record) == RUNS
    assert bench.letters(record) == "ACD-L-M"
    assert bench.letters(other) == "ACD"


def test_an_engine_that_is_silent_in_the_pause_says_again_why_it_pauses(bench: Bench) -> None:
    record = bench.running()
    bench.round(1)
    bench.engine.break_next("observe", DOWN)
    bench.round(2)
    assert "does not answer" in bench.now(record).why
    bench.round(2.5)
    assert bench.now(record).why == "by its plan, until 2026-03-01T15:00:00Z"


class Lazy(FakeEngine):
    """Says yes, and does it later."""

    def suspend(self, key: AttemptKey) -> None:
        pass


def test_only_what_the_engine_confirms_is_written_down(bench: Bench) -> None:
    bench.engine = Lazy()
    record = bench.running()
    bench.round(1)
    assert bench.now(record).state == "running"
    FakeEngine.suspend(bench.engine, key_of(record))
    bench.round(1.5)
    assert bench.where(record) == PAUSED


class EndsFirst(FakeEngine):
    """What it is to hold has just ended."""

    def suspend(self, key: AttemptKey) -> None:
        self.end(key, 0)

    def resume(self, key: AttemptKey) -> None:
        self.end(key, 3)


def test_what_has_just_ended_is_not_paused(bench: Bench) -> None:
    bench.engine = EndsFirst()
    record = bench.running()
    bench.round(1)
    bench.round(1.01)
    assert bench.now(record).state == "done"
    assert bench.letters(record) == "ACDE"


def test_what_has_just_ended_is_not_resumed(bench: Bench) -> None:
    record = bench.running()
    bench.round(1)
    bench.engine = EndsFirst(_reports=bench.engine._reports)
    bench.round(3)
    bench.round(3.01)
    assert bench.letters(record) == "ACDLF"


@pytest.mark.parametrize(("exit_status", "state"), [(0, "done"), (3, "failed")])
def test_what_ends_while_it_is_paused_has_ended(bench: Bench, exit_status: int, state: str) -> None:
    record = bench.running()
    bench.round(1)
    bench.engine.end(key_of(record), exit_status)
    bench.round(2)
    after = bench.now(record)
    assert (after.state, after.attempt.ran_s(at(99)), after.attempt.paused_utc) == (state, 3600, None)


@pytest.mark.parametrize(("retries", "state"), [(0, "lost"), (1, "waiting")])
def test_what_vanishes_while_it_is_paused_is_lost_or_run_again(bench: Bench, retries: int, state: str) -> None:
    record = bench.running(retries=retries)
    bench.round(1)
    bench.engine.vanish(key_of(record))
    bench.round(2)
    assert bench.now(record).state == state
    bench.round(3)
    bench.round(3.1)
    assert bench.now(record).state == ("running" if retries else "lost")
    assert len(bench.engine.starts) == 1 + retries


def test_a_paused_job_is_cancelled(bench: Bench) -> None:
    record = bench.running()
    bench.round(1)
    bench.engine.break_next("cancel", DOWN)
    assert request_cancel(bench.process("the user's"), bench.now(record), at(1.5)).state == "paused"
    bench.round(1.6)
    assert bench.now(record).state == "cancelled"
    assert bench.letters(record).endswith("J")


class Dying(FakeEngine):
    """Ends what is cancelled after a while, and is awake until then."""

    def cancel(self, key: AttemptKey) -> None:
        self.resume(key)


def test_a_job_that_is_being_cancelled_is_neither_held_nor_let_go(bench: Bench) -> None:
    bench.engine = Dying()
    record = bench.running()
    bench.round(1)
    request_cancel(bench.process("the user's"), bench.now(record), at(1.5))
    bench.round(1.51)
    assert bench.where(record) == ("paused", False)
    bench.engine.end(key_of(record), 143)
    bench.round(1.52)
    assert bench.letters(record) == "ACDL-J"


def test_what_is_lost_while_its_user_has_paused_it_waits_for_him(bench: Bench) -> None:
    record = bench.running(retries=1)
    user = bench.process("the user's")
    request_pause(user, record, at(0.5))
    bench.engine.vanish(key_of(record))
    bench.round(1)
    bench.round(3.5)
    assert (bench.now(record).state, len(bench.engine.starts)) == ("waiting", 1)
    other = bench.running(key="other", retries=1)
    request_pause(user, other, at(3.5))
    bench.engine.vanish(key_of(other))
    bench.round(3.6)
    request_resume(user, bench.now(record), at(6))
    bench.round(6.1)
    assert bench.now(record).state == "running"
    bench.round(24)
    assert bench.now(other).state == "missed"


@pytest.mark.parametrize(
    ("deadline_h", "started_h", "checks"),
    [
        (9, 0, {1: PAUSED, 2.99: PAUSED, 3: RUNS, 4: PAUSED}),
        (8, 0, {1: PAUSED, 2.99: PAUSED, 3: RUNS, 4: PAUSED}),
        # 4 h of work, half an hour late: after the first run 3.5 h are left, which must begin by 8 - 3.5 = 4.5
        (8, 0.5, {1: PAUSED, 2.99: PAUSED, 3: RUNS, 4: PAUSED, 5: PAUSED, 5.4: PAUSED, 5.42: RUNS, 5.9: RUNS}),
        (6, 0.5, {1: PAUSED, 2.4: PAUSED, 2.42: RUNS, 2.9: RUNS, 3.5: RUNS, 4.5: RUNS}),
        (4.5, 0.5, {1: RUNS, 1.2: RUNS, 5: RUNS}),
    ],
)
def test_a_pause_never_costs_the_deadline(
    bench: Bench, deadline_h: float, started_h: float, checks: dict[float, tuple[str, bool]]
) -> None:
    spec = job_spec(NOW, duration_s=3600.0 * DURATION_H, deadline_utc=at(deadline_h))
    record = add_job(bench.store, spec, plan_of(RUNS_H), at_utc=NOW)
    bench.round(started_h)
    for hours, where in checks.items():
        bench.round(hours)
        assert bench.where(record) == where, hours
        left_h = DURATION_H - bench.now(record).attempt.ran_s(at(hours)) / 3600
        assert where == RUNS or hours + left_h <= deadline_h


def test_what_nobody_started_in_time_waits_for_its_next_run(bench: Bench) -> None:
    record = bench.job()
    bench.round(2)
    assert bench.now(record).state == "waiting"
    bench.round(3)
    assert bench.now(record).state == "running"
    bench.round(4)
    assert bench.where(record) == PAUSED
    assert bench.letters(record) == "ACDL"


def test_what_nobody_started_in_time_starts_at_once_where_its_deadline_is_near(bench: Bench) -> None:
    spec = job_spec(NOW, duration_s=3600.0 * DURATION_H, deadline_utc=at(6.5))
    record = add_job(bench.store, spec, plan_of(RUNS_H), at_utc=NOW)
    bench.round(2)
    assert bench.now(record).state == "waiting", "its latest start is at 2.5"
    bench.round(2.45)
    assert bench.now(record).state == "running"
    late = bench.job(key="late")
    bench.round(24)
    assert bench.now(late).state == "missed"


def test_the_user_pauses_and_resumes(bench: Bench) -> None:
    record = bench.running(runs_h=((0, 4),))
    user = bench.process("the user's")
    assert request_pause(user, record, at(0.5)).state == "paused"
    assert request_pause(user, bench.now(record), at(0.6)).why == "by the user, until resumed"
    bench.round(2)
    assert bench.where(record) == PAUSED
    resumed = request_resume(user, bench.now(record), at(3))
    assert (resumed.state, resumed.why) == ("running", "the user lets it run on")
    assert bench.letters(record) == "ACD-L-M"
    with pytest.raises(IllegalTransition):
        request_resume(user, resumed, at(3))


def test_the_plan_resumes_nothing_that_the_user_paused(bench: Bench) -> None:
    record = bench.running()
    user = bench.process("the user's")
    request_pause(user, record, at(0.5))
    for hours in (1, 2, 3, 3.5, 5):
        bench.round(hours)
        assert bench.where(record) == PAUSED
    after = request_resume(user, bench.now(record), at(5))
    assert (after.state, after.why) == ("paused", "by its plan, until 2026-03-01T18:00:00Z")
    bench.round(6)
    assert bench.where(record) == RUNS


def test_the_user_pauses_what_the_plan_has_paused(bench: Bench) -> None:
    record = bench.running()
    user = bench.process("the user's")
    bench.round(1)
    with pytest.raises(IllegalTransition) as caught:
        request_resume(user, bench.now(record), at(1.5))
    assert "2026-03-01T15:00:00Z" in caught.value.hint
    assert request_pause(user, bench.now(record), at(2)).why == "by the user, until resumed"
    bench.round(3)
    assert bench.where(record) == PAUSED
    request_resume(user, bench.now(record), at(3.5))
    assert bench.where(record) == RUNS


def test_the_users_wish_outlives_an_engine_that_is_down_and_comes_before_the_deadline(bench: Bench) -> None:
    record = bench.running()
    bench.engine.break_next("suspend", DOWN)
    assert request_pause(bench.process("the user's"), record, at(0.5)).state == "running"
    bench.round(0.6)
    assert bench.where(record) == PAUSED
    bench.round(23.9)
    assert bench.where(record) == PAUSED


def test_a_pause_that_is_wished_while_the_job_starts_comes_with_its_start(bench: Bench) -> None:
    record = bench.job()
    bench.engine.starts_at_once = False
    start_due(bench.process(), NOW)
    assert request_pause(bench.process("the user's"), bench.now(record), NOW).state == "starting"
    bench.engine.begin(key_of(record))
    bench.round(0.1)
    assert bench.where(record) == PAUSED


def test_only_what_is_in_flight_can_be_paused(bench: Bench) -> None:
    user = bench.process("the user's")
    waiting = bench.job(key="a", runs_h=((5, 9),))
    ended = bench.running(key="b")
    bench.engine.end(key_of(ended), 0)
    bench.round(0.1)
    for record in (waiting, bench.now(ended)):
        for request in (request_pause, request_resume):
            with pytest.raises(IllegalTransition):
                request(user, record, at(0.2))
        assert not bench.now(record).pause_wanted


def test_a_wish_that_meets_the_end_is_illegal(bench: Bench) -> None:
    seen = bench.running()
    bench.engine.end(key_of(seen), 0)
    bench.round(0.1)
    with pytest.raises(IllegalTransition):
        request_pause(bench.process("the user's"), seen, at(0.2))


@dataclass
class Plain:
    """An engine that cannot hold anything."""

    real: FakeEngine

    def submit(self, launch: Launch, key: AttemptKey) -> EngineRef:
        return self.real.submit(launch, key)

    def observe(self, keys: list[AttemptKey]) -> tuple[EngineReport, ...]:
        return self.real.observe(keys)

    def cancel(self, key: AttemptKey) -> None:
        self.real.cancel(key)


def test_an_engine_that_cannot_hold_lets_its_jobs_run_on(bench: Bench) -> None:
    record = bench.running()
    plain = Plain(bench.engine)
    actor = replace(bench.process(), engine=lambda _: plain)
    for hours in (1, 2, 3):
        assert reconcile(actor, at(hours)) == ()
    assert bench.letters(record) == "ACD"
    with pytest.raises(InputError) as caught:
        request_pause(actor, bench.now(record), at(3))
    assert caught.value.facts["engine"] == "local"
    assert not bench.now(record).pause_wanted
    assert require_suspendable("fake", bench.engine) is bench.engine


def test_the_next_turn_is_known(bench: Bench) -> None:
    record = bench.running()
    other = bench.running(key="other", runs_h=((0, 2), (3, 4)))

    def turn(hours: float, *records: JobRecord) -> datetime | None:
        return next_turn_utc([bench.now(r) for r in records], at(hours))

    assert turn(0.5, record, other) == at(1)
    assert turn(1.5, record, other) == at(2)
    assert turn(2.5, record) == at(3)
    assert turn(7, record) is None
    assert turn(3.5, other) is None
    request_pause(bench.process(), bench.now(record), at(0.5))
    assert turn(0.5, record) is None


def test_a_round_asks_once_for_the_jobs_in_flight_and_says_when_the_next_turn_is(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nothing(*_: object) -> tuple[str, ...]:
        return ()

    for number in range(5):
        bench.running(key=str(number))
    asked = []
    in_flight = JobStore.in_flight
    monkeypatch.setattr(JobStore, "in_flight", lambda store: asked.append(1) or in_flight(store))
    context = TickContext(bench.process(), lambda *_: plan_at(NOW), nothing, nothing, nothing)
    report = run_tick(context, at(1))
    assert len(asked) == 1
    assert len(report.did) == 5
    assert report.failed == ()
    assert report.turn_utc == at(3)


FAULTS: dict[str, Callable[[Bench], None]] = {
    "none": lambda bench: None,
    "suspend down": lambda bench: bench.engine.break_next("suspend", DOWN),
    "resume down": lambda bench: bench.engine.break_next("resume", DOWN),
    "observe down": lambda bench: bench.engine.break_next("observe", DOWN),
    "dies before suspend": lambda bench: bench.engine.break_next("suspend", Crash()),
    "dies after suspend": lambda bench: bench.engine.break_next("suspend", Crash(), after=True),
    "dies before resume": lambda bench: bench.engine.break_next("resume", Crash()),
    "dies after resume": lambda bench: bench.engine.break_next("resume", Crash(), after=True),
}


@settings(
    max_examples=max(10, int(os.environ.get("LOWTIDE_EXAMPLES", "200")) // 10),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    steps=st.lists(
        st.tuples(
            st.floats(0.01, 1.5), st.sampled_from(sorted(FAULTS)), st.sampled_from(["", "", "", "pause", "resume"])
        ),
        max_size=14,
    ),
    deadline_h=st.floats(DURATION_H + 0.1, 12),
)
@example(
    steps=[
        (1.0, "dies before suspend", ""),
        (1.0, "dies after suspend", ""),
        (1.0, "dies before resume", ""),
        (1.0, "observe down", ""),
    ],
    deadline_h=5.0,
)
def test_after_any_history_the_next_round_finds_the_right_place(
    bench: Bench, steps: list[tuple[float, str, str]], deadline_h: float
) -> None:
    bench.engine = FakeEngine(at_utc=NOW)
    spec = job_spec(NOW, duration_s=3600.0 * DURATION_H, deadline_utc=at(deadline_h))
    record = add_job(bench.store, spec, plan_of(RUNS_H), at_utc=NOW, key=os.urandom(8).hex())
    bench.round(0)
    hours = 0.0
    for step_h, fault, wish in steps:
        hours += step_h
        bench.engine.at_utc = at(hours)
        FAULTS[fault](bench)
        try:
            if wish == "pause":
                request_pause(bench.process("the user's"), bench.now(record), at(hours))
            elif wish == "resume" and bench.now(record).pause_wanted:
                request_resume(bench.process("the user's"), bench.now(record), at(hours))
            else:
                bench.round(hours)
        except Crash:
            pass
    bench.engine.forget_faults()
    bench.round(hours, "comes after")
    after = bench.now(record)
    hold = hold_at(after, at(hours))
    assert bench.where(record) == (RUNS if hold is None else PAUSED)
    if after.pause_wanted:
        assert hold is not None
        assert hold.until_utc is None
    elif hold is not None:
        assert any(end <= hours < start for (_, end), (start, _) in pairwise(RUNS_H))
        assert at(hours) <= must_run_from_utc(after, at(hours))
    bench.engine.end(key_of(record), 0)
    bench.round(hours, "comes after")
