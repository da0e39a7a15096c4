"""The job store against a plain dictionary: whatever is done, in whatever order, both say the same."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, multiple, rule

from lowtide.jobs.states import BY_NAME, IN_FLIGHT, TRANSITIONS
from lowtide.store import open_store
from lowtide.store.jobs import Attempt, AttemptEnd, JobRecord
from lowtide.testing.jobs import job_spec, plan_at
from lowtide_core.errors import IllegalTransition, StaleOwner
from lowtide_core.launches import AttemptKey

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
MOVES = sorted(transition.name for transition in TRANSITIONS if transition.sources)


@dataclass
class Model:
    """What the store should say of one job."""

    key: str
    start_utc: datetime
    state: str = "waiting"
    owner: str = ""
    cancel_wanted: bool = False
    pause_wanted: bool = False
    plans: int = 1
    exit_statuses: list[int | None] = field(default_factory=list)
    paused: list[tuple[float, datetime | None]] = field(default_factory=list)
    letters: str = "A"


class StoreMachine(RuleBasedStateMachine):
    """Rules act on the store through records that may be out of date, and predict what that does."""

    seen = Bundle("seen")

    @initialize()
    def open(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        (Path(self.folder.name) / "lowtide.db").write_bytes(_empty_store())
        self.store = open_store(Path(self.folder.name) / "lowtide.db")
        self.jobs = self.store.jobs
        self.model: dict[str, Model] = {}

    def teardown(self) -> None:
        self.store.database.close()
        self.folder.cleanup()

    @rule(target=seen, key=st.sampled_from("abc"), hours=st.integers(0, 5))
    def submit(self, key: str, hours: int) -> JobRecord:
        start_utc = NOW + timedelta(hours=hours)
        job_id = self.jobs.add(job_spec(NOW), plan_at(start_utc), key, NOW, "test", "quoted")
        known = [other for other, job in self.model.items() if job.key == key]
        assert not known or known == [job_id]
        self.model.setdefault(job_id, Model(key, start_utc))
        return self.jobs.get(job_id)

    @rule(
        target=seen,
        record=seen,
        look_again=st.booleans(),
        draw=st.data(),
        owner=st.sampled_from(["serve", "tick"]),
        hours=st.integers(0, 5),
        exit_status=st.none() | st.integers(0, 255),
        minutes=st.integers(0, 60),
        held_before_s=st.none() | st.integers(0, 60),
    )
    def move(
        self,
        record: JobRecord,
        look_again: bool,
        draw: st.DataObject,
        owner: str,
        hours: int,
        exit_status: int | None,
        minutes: int,
        held_before_s: int | None,
    ):
        record = self.jobs.get(record.job_id) if look_again else record
        legal = [move for move in MOVES if record.state in BY_NAME[move].sources]
        move = draw.draw(st.sampled_from(legal or MOVES) | st.sampled_from(MOVES))
        job = self.model[record.job_id]
        transition = BY_NAME[move]
        start_utc = NOW + timedelta(hours=hours)
        now_utc = NOW + timedelta(minutes=minutes)
        held_utc = None if held_before_s is None else now_utc - timedelta(seconds=held_before_s)
        keeps = transition.target in IN_FLIGHT
        number = len(record.attempts) + 1

        def act() -> JobRecord:
            return self.jobs.move(
                record,
                move,
                at_utc=now_utc,
                who="test",
                why=move,
                owner=owner if keeps else "",
                planned=plan_at(start_utc) if move == "replan" else None,
                attempt=_attempt(record, number) if move == "claim" else None,
                end=AttemptEnd(None, now_utc, exit_status) if record.state in IN_FLIGHT and not keeps else None,
                held_utc=held_utc,
            )

        if record.state not in transition.sources:
            with pytest.raises(IllegalTransition):
                act()
            return multiple()
        taken = (move == "replan" and job.plans >= record.plan_number + 1) or (
            move == "claim" and len(job.exit_statuses) >= number
        )
        if taken or _believed(record) != (job.state, job.owner, job.cancel_wanted, job.pause_wanted):
            with pytest.raises(StaleOwner):
                act()
            return multiple()
        after = act()
        job.state, job.owner = transition.target, owner if keeps else ""
        job.letters += transition.letter
        if move == "replan":
            job.plans, job.start_utc = job.plans + 1, start_utc
        if move == "pause" and job.paused:
            job.paused[-1] = (job.paused[-1][0], held_utc or now_utc)
        elif record.state == "paused" and job.paused:
            before_s, since_utc = job.paused[-1]
            job.paused[-1] = (before_s + max(0.0, (now_utc - since_utc).total_seconds()), None)
        if move == "claim":
            job.exit_statuses.append(None)
            job.paused.append((0.0, None))
        elif not keeps and record.state in IN_FLIGHT and exit_status is not None:
            job.exit_statuses[len(record.attempts) - 1] = exit_status
        return after

    @rule(record=consumes(seen))
    def want_cancel(self, record: JobRecord) -> None:
        job = self.model[record.job_id]
        if _believed(record) != (job.state, job.owner, job.cancel_wanted, job.pause_wanted):
            with pytest.raises(StaleOwner):
                self.jobs.want_cancel(record, at_utc=NOW, who="test")
            return
        self.jobs.want_cancel(record, at_utc=NOW, who="test")
        job.cancel_wanted = True
        job.letters += "-"

    @rule(record=consumes(seen), wanted=st.booleans())
    def want_pause(self, record: JobRecord, wanted: bool) -> None:
        job = self.model[record.job_id]
        if _believed(record) != (job.state, job.owner, job.cancel_wanted, job.pause_wanted):
            with pytest.raises(StaleOwner):
                self.jobs.want_pause(record, wanted=wanted, at_utc=NOW, who="test")
            return
        self.jobs.want_pause(record, wanted=wanted, at_utc=NOW, who="test")
        job.pause_wanted = wanted
        job.letters += "-"

    @rule(record=seen)
    def forge_an_owner(self, record: JobRecord) -> None:
        for move in (m for m in MOVES if record.state in BY_NAME[m].sources):
            with pytest.raises(StaleOwner):
                self.jobs.move(replace(record, owner="nobody"), move, at_utc=NOW, who="test", why="forged")

    @rule()
    def reopen(self) -> None:
        self.store.database.close()
        self.store = open_store(Path(self.folder.name) / "lowtide.db")
        self.jobs = self.store.jobs

    @invariant()
    def both_say_the_same(self) -> None:
        if not hasattr(self, "model"):
            return
        told = {
            record.job_id: Model(
                record.key,
                record.plan.start_utc,
                record.state,
                record.owner,
                record.cancel_wanted,
                record.pause_wanted,
                record.plan_number,
                [attempt.exit_status for attempt in record.attempts],
                [(attempt.paused_s, attempt.paused_utc) for attempt in record.attempts],
                "".join(event.letter for event in self.jobs.events(record.job_id)),
            )
            for record in self.jobs.find()
        }
        assert told == self.model

    @invariant()
    def questions_are_answered_by_state_and_time(self) -> None:
        if not hasattr(self, "model"):
            return
        waiting = {job_id: job.start_utc for job_id, job in self.model.items() if job.state == "waiting"}
        assert {r.job_id for r in self.jobs.in_flight()} == {i for i, j in self.model.items() if j.state in IN_FLIGHT}
        assert self.jobs.next_start_utc() == min(waiting.values(), default=None)
        for hours in (0, 2, 5):
            now_utc = NOW + timedelta(hours=hours)
            due = [record.plan.start_utc for record in self.jobs.due(now_utc)]
            assert due == sorted(start for start in waiting.values() if start <= now_utc)
            later = [start for start in waiting.values() if start > now_utc]
            assert self.jobs.next_start_utc(now_utc) == min(later, default=None)


@cache
def _empty_store() -> bytes:
    """A store without a job: made once, because the migrations take longer than an example."""
    with tempfile.TemporaryDirectory() as folder:
        open_store(Path(folder) / "lowtide.db").database.close()
        return (Path(folder) / "lowtide.db").read_bytes()


def _believed(record: JobRecord) -> tuple[str, str, bool, bool]:
    return record.state, record.owner, record.cancel_wanted, record.pause_wanted


def _attempt(record: JobRecord, number: int) -> Attempt:
    return Attempt(number, AttemptKey(f"{record.job_id}.{number}"), "local", None, NOW, None, None, None, "")


TestStore = StoreMachine.TestCase
TestStore.settings = settings(
    max_examples=max(1, int(os.environ.get("LOWTIDE_EXAMPLES", "200")) // 15), stateful_step_count=25, deadline=None
)
