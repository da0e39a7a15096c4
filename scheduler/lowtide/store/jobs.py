"""Jobs, their plans, attempts and events. ``move`` is the only writer of a job's state."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from sqlalchemy import and_, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from lowtide.jobs.promises import Promise, peak_power_w
from lowtide.jobs.spec import JobId
from lowtide.jobs.states import BY_NAME, IN_FLIGHT, JobState, require
from lowtide.store.codec import plan_from_text, plan_to_text, spec_from_text, spec_to_text
from lowtide.store.tables import attempts, events, jobs, plans
from lowtide_core.errors import InputError, StaleOwner, nearest
from lowtide_core.launches import AttemptKey, EngineRef
from lowtide_core.spans import from_epoch_s, to_epoch_s

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from sqlalchemy import Connection, Row, Select

    from lowtide.jobs.spec import JobSpec
    from lowtide.planning.types import Plan
    from lowtide.store.database import Database
    from lowtide_core.places import RegionId, ZoneId

_ALPHABET = "23456789abcdefghjkmnpqrstuvwxyz"
"""No 0/o, 1/l/i: an id is read aloud and typed."""
_ID_LENGTH = 6
_DRAWS = 8
_AT_ONCE = 500
"""Values in one IN (...): databases limit their number."""
OVERDUE = timedelta(minutes=15)
"""How much longer a job is taken to run that should have ended: until the next look, more or less."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try at running a job.

    Attributes:
        paused_s: How long it was held in all pauses that are over.
        paused_utc: Since when it is held; None where it is not.
        identity: What its engine calls it, and where it ran.
        engine_energy_j: What the engine itself measured, of whole nodes; None where it does not, or not yet.
    """

    number: int
    key: AttemptKey
    engine: str
    ref: EngineRef | None
    claimed_utc: datetime
    started_utc: datetime | None
    ended_utc: datetime | None
    exit_status: int | None
    why: str
    paused_s: float = 0.0
    paused_utc: datetime | None = None
    identity: Mapping[str, str] = field(default_factory=dict)
    engine_energy_j: float | None = None

    def ran_s(self, now_utc: datetime) -> float:
        """How long it has run up to now, without its pauses; s."""
        if self.started_utc is None:
            return 0.0
        until_utc = self.ended_utc or now_utc
        return max(0.0, (until_utc - self.started_utc).total_seconds() - self.held_s(until_utc))

    def held_s(self, now_utc: datetime) -> float:
        """How long it was held up to now; s."""
        since_s = 0.0 if self.paused_utc is None else (now_utc - self.paused_utc).total_seconds()
        return self.paused_s + max(0.0, since_s)


@dataclass(frozen=True, slots=True)
class Event:
    """One move of a job: who, when, why."""

    at_utc: datetime
    letter: str
    from_state: str
    to_state: str
    who: str
    why: str


@dataclass(frozen=True, slots=True)
class JobRecord:
    """A job as it stands: what was asked, its newest plan, where it is and why.

    Attributes:
        cancel_wanted, pause_wanted: What the user wishes, whoever is there to do it.
    """

    job_id: JobId
    key: str
    state: JobState
    why: str
    owner: str
    cancel_wanted: bool
    pause_wanted: bool
    spec: JobSpec
    submitted_utc: datetime
    changed_utc: datetime
    plan: Plan
    plan_number: int
    plan_made_utc: datetime
    vintages: Mapping[ZoneId, str]
    attempts: tuple[Attempt, ...]

    @property
    def attempt(self) -> Attempt | None:
        """The newest attempt."""
        return self.attempts[-1] if self.attempts else None


@dataclass(frozen=True, slots=True)
class NewPlan:
    """A plan to be put beside the earlier ones, with what it rests on.

    Attributes:
        vintages: The intensities, by zone.
        question: All else that the planner looked at; see ``store.archive``.
    """

    plan: Plan
    vintages: Mapping[ZoneId, str]
    question: str = ""


@dataclass(frozen=True, slots=True)
class AttemptEnd:
    """What became of an attempt."""

    started_utc: datetime | None
    ended_utc: datetime | None
    exit_status: int | None
    identity: Mapping[str, str] = field(default_factory=dict)


_NEWEST_FIRST = (jobs.c.submitted_utc_s.desc(), jobs.c.job_id)


class JobStore:
    """Named questions about jobs, and compare-and-set moves."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, spec: JobSpec, planned: NewPlan, key: str, at_utc: datetime, who: str, why: str) -> JobId:
        """A new waiting job; the same key again is the same job."""
        for _ in range(_DRAWS):
            job_id = JobId("".join(secrets.choice(_ALPHABET) for _ in range(_ID_LENGTH)))
            try:
                with self._database.begin() as connection:
                    known = connection.execute(select(jobs.c.job_id).where(jobs.c.key == key)).scalar()
                    if known is not None:
                        return JobId(known)
                    connection.execute(insert(jobs).values(_new_job(job_id, key, spec, planned, at_utc, why)))
                    _add_plan(connection, job_id, 1, planned, at_utc, why)
                    _add_event(connection, job_id, at_utc, "submit", "", who, why)
                    return job_id
            except IntegrityError:  # this id is taken, or somebody has just used this key: nothing was written
                continue
        raise RuntimeError(f"no free job id in {_DRAWS} draws")

    def get(self, name: str) -> JobRecord:
        """The job of this id, or of the only id that begins so.

        Raises:
            InputError: No job, or several.
        """
        with self._database.begin() as connection:
            # "begins with" without LIKE: what is typed may hold its wildcards; the range lets the index serve
            within = jobs.c.job_id.between(name, name + _ALPHABET[-1] * _ID_LENGTH)
            begins = and_(within, func.substr(jobs.c.job_id, 1, len(name)) == name)
            query = _jobs().where(begins).order_by(jobs.c.job_id).limit(2)
            found = connection.execute(query).all() if name else []
            if len(found) == 1 or (found and found[0].job_id == name):
                return _records(connection, found[:1])[0]
            if found:
                raise InputError(f"Several jobs begin with {name!r}.", hint="Give more of the id.", job=name)
            newest = _records(connection, connection.execute(_jobs().order_by(*_NEWEST_FIRST).limit(200)).all())
        of_name = next((record.job_id for record in newest if name and record.spec.name == name), None)
        near = nearest(name, [record.job_id for record in newest]) or "lowtide jobs lists them."
        hint = f"The newest job of that name is {of_name}." if of_name else near
        raise InputError(f"There is no job {name!r}.", hint=hint, job=name)

    def find(
        self,
        *,
        states: Sequence[JobState] | None = None,
        since_utc: datetime | None = None,
        limit: int | None = None,
    ) -> tuple[JobRecord, ...]:
        """Jobs in these states (None is all), submitted since then, the newest first."""
        query = _jobs().order_by(*_NEWEST_FIRST)
        if states is not None:
            query = query.where(jobs.c.state.in_(states))
        if since_utc is not None:
            query = query.where(jobs.c.submitted_utc_s >= to_epoch_s(since_utc))
        if limit is not None:
            query = query.limit(limit)
        with self._database.begin() as connection:
            return _records(connection, connection.execute(query).all())

    def due(self, now_utc: datetime) -> tuple[JobRecord, ...]:
        """Waiting jobs whose planned start has come, the earliest first."""
        query = _jobs().where(jobs.c.state == "waiting", jobs.c.start_utc_s <= to_epoch_s(now_utc))
        with self._database.begin() as connection:
            return _records(connection, connection.execute(query.order_by(jobs.c.start_utc_s, jobs.c.job_id)).all())

    def unrenewed(self, made_before_utc: datetime, looked_before_utc: datetime) -> tuple[JobRecord, ...]:
        """Jobs that have not begun, planned before the one and last spoken of before the other time.

        The next to start comes first. Also those that an engine has, or may have: it may keep a queue.
        """
        query = _jobs().where(
            jobs.c.state.in_(("waiting", "starting")),
            plans.c.made_utc_s < to_epoch_s(made_before_utc),
            jobs.c.changed_utc_s < to_epoch_s(looked_before_utc),
        )
        with self._database.begin() as connection:
            return _records(connection, connection.execute(query.order_by(jobs.c.start_utc_s, jobs.c.job_id)).all())

    def in_flight(self) -> tuple[JobRecord, ...]:
        """Jobs that an engine has, or may have."""
        query = _jobs().where(jobs.c.state.in_(IN_FLIGHT)).order_by(jobs.c.start_utc_s, jobs.c.job_id)
        with self._database.begin() as connection:
            return _records(connection, connection.execute(query).all())

    def promised(self, region: RegionId, now_utc: datetime, *, without_key: str = "") -> tuple[Promise, ...]:
        """What jobs that wait or are in flight may draw in the region from now on, by their plans; without one of them.

        A job that runs although its plan has ended goes on for ``OVERDUE``, as far as anybody knows.
        """
        query = _jobs().where(jobs.c.state.in_(("waiting", *IN_FLIGHT)), jobs.c.key != without_key)
        with self._database.begin() as connection:
            rows = connection.execute(query.order_by(jobs.c.start_utc_s, jobs.c.job_id)).all()
        found: list[Promise] = []
        for row in rows:
            spec, segments = spec_from_text(row.spec), plan_from_text(row.plan).segments
            overdue = row.state in ("starting", "running") and segments[-1].end_utc <= now_utc
            for segment in segments[-1:] if overdue else segments:
                end_utc = now_utc + OVERDUE if overdue else segment.end_utc
                if segment.region == region and end_utc > now_utc:
                    power_w = peak_power_w(spec.manner, spec.power_w, segment.width)
                    found.append(Promise(row.job_id, max(now_utc, segment.start_utc), end_utc, power_w))
        return tuple(found)

    def next_start_utc(self, after_utc: datetime | None = None) -> datetime | None:
        """When the next waiting job starts, of all or of those that start after that; None where none waits."""
        query = select(func.min(jobs.c.start_utc_s)).where(jobs.c.state == "waiting")
        if after_utc is not None:
            query = query.where(jobs.c.start_utc_s > to_epoch_s(after_utc))
        with self._database.begin() as connection:
            least = connection.execute(query).scalar()
        return None if least is None else from_epoch_s(least)

    def events(self, job_id: JobId) -> tuple[Event, ...]:
        """Everything that happened to the job, in order."""
        query = select(events).where(events.c.job_id == job_id).order_by(events.c.event_id)
        with self._database.begin() as connection:
            return tuple(
                Event(from_epoch_s(row.at_utc_s), row.letter, row.from_state, row.to_state, row.who, row.why)
                for row in connection.execute(query)
            )

    def plan(self, job_id: JobId, number: int) -> NewPlan:
        """One of the job's plans, by its number; 1 is the first quote.

        Raises:
            InputError: It has no such plan.
        """
        query = select(plans).where(plans.c.job_id == job_id, plans.c.number == number)
        with self._database.begin() as connection:
            row = connection.execute(query).first()
        if row is None:
            raise InputError(f"Job {job_id} has no plan {number}.", hint=f"lowtide show {job_id} tells its newest.")
        return NewPlan(plan_from_text(row.plan), json.loads(row.vintages), row.question)

    def move(
        self,
        record: JobRecord,
        transition: str,
        *,
        at_utc: datetime,
        who: str,
        why: str,
        owner: str = "",
        planned: NewPlan | None = None,
        attempt: Attempt | None = None,
        end: AttemptEnd | None = None,
        held_utc: datetime | None = None,
    ) -> JobRecord:
        """One transition, with its event and what belongs to it, in one transaction.

        Args:
            record: The job as the caller believes it to be: its state and owner are compared.
            owner: Who holds it afterwards; empty is nobody.
            planned, attempt, end: A new plan, a new attempt, or what became of the newest one.
            held_utc: Since when the engine holds a job that pauses; None is now.
        Raises:
            IllegalTransition: Not from this state.
            StaleOwner: The job is no longer as the caller believed.
        """
        move = require(transition, record.state)
        changes: dict[str, object] = {
            "state": move.target,
            "why": why,
            "owner": owner,
            "changed_utc_s": to_epoch_s(at_utc),
        }
        if planned is not None:
            changes["start_utc_s"] = to_epoch_s(planned.plan.start_utc)
        try:
            with self._database.begin() as connection:
                _compare_and_set(connection, record, changes)
                if planned is not None:
                    _add_plan(connection, record.job_id, record.plan_number + 1, planned, at_utc, why)
                if attempt is not None:
                    connection.execute(insert(attempts).values(_new_attempt(record.job_id, attempt)))
                if end is not None:
                    _end_attempt(connection, record, end, why)
                if move.target == "paused":
                    _set_attempt(connection, record, {"paused_utc_s": to_epoch_s(held_utc or at_utc)})
                elif record.state == "paused":
                    _end_pause(connection, record, at_utc if end is None else end.ended_utc or at_utc)
                _add_event(connection, record.job_id, at_utc, transition, record.state, who, why)
                return _one(connection, record.job_id)
        except IntegrityError as error:  # that plan or attempt has its number already: it went round and came back
            raise _stale(record) from error

    def note(self, record: JobRecord, *, at_utc: datetime, who: str, why: str) -> JobRecord:
        """Says something about a job that goes on as it is; its state and owner are compared all the same.

        Saying the same again makes no second event, only a later ``changed_utc``.
        """
        with self._database.begin() as connection:
            _compare_and_set(connection, record, {"why": why, "changed_utc_s": to_epoch_s(at_utc)})
            if why != record.why:
                _add_event(connection, record.job_id, at_utc, "", record.state, who, why)
            return _one(connection, record.job_id)

    def set_ref(self, record: JobRecord, ref: EngineRef) -> None:
        """The engine's own name of the newest attempt."""
        with self._database.begin() as connection:
            _set_attempt(connection, record, {"ref": ref})

    def set_engine_energy(self, record: JobRecord, number: int, energy_j: float) -> None:
        """What the engine itself measured for one attempt; J."""
        where = and_(attempts.c.job_id == record.job_id, attempts.c.number == number)
        with self._database.begin() as connection:
            connection.execute(update(attempts).where(where).values(engine_energy_j=energy_j))

    def want_cancel(self, record: JobRecord, *, at_utc: datetime, who: str) -> JobRecord:
        """Keeps the wish to end a job that an engine has: it outlives whoever wished it."""
        with self._database.begin() as connection:
            _compare_and_set(connection, record, {"cancel_wanted": True})
            _add_event(connection, record.job_id, at_utc, "", record.state, who, "cancel wanted")
            return _one(connection, record.job_id)

    def want_pause(self, record: JobRecord, *, wanted: bool, at_utc: datetime, who: str) -> JobRecord:
        """Keeps the wish to have a job held, or no longer: it outlives whoever wished it."""
        with self._database.begin() as connection:
            _compare_and_set(connection, record, {"pause_wanted": wanted})
            said = "pause wanted" if wanted else "pause no longer wanted"
            _add_event(connection, record.job_id, at_utc, "", record.state, who, said)
            return _one(connection, record.job_id)


def _jobs() -> Select[tuple[object, ...]]:
    """Every job with its newest plan; that is looked up job by job, so that one job costs the same among many."""
    others = plans.alias()
    newest = select(func.max(others.c.number)).where(others.c.job_id == jobs.c.job_id).scalar_subquery()
    its_plan = and_(plans.c.job_id == jobs.c.job_id, plans.c.number == newest)
    columns = (jobs, plans.c.number, plans.c.made_utc_s, plans.c.plan, plans.c.vintages)
    return select(*columns).select_from(jobs.join(plans, its_plan))


def _one(connection: Connection, job_id: JobId) -> JobRecord:
    return _records(connection, connection.execute(_jobs().where(jobs.c.job_id == job_id)).all())[0]


def _records(connection: Connection, rows: Sequence[Row[tuple[object, ...]]]) -> tuple[JobRecord, ...]:
    """Rows of ``_jobs`` as records; their attempts in a few more queries."""
    tries: dict[str, list[Attempt]] = {row.job_id: [] for row in rows}
    job_ids = list(tries)
    for first in range(0, len(job_ids), _AT_ONCE):
        some = attempts.c.job_id.in_(job_ids[first : first + _AT_ONCE])
        for row in connection.execute(select(attempts).where(some).order_by(attempts.c.number)):
            tries[row.job_id].append(_attempt(row))
    return tuple(
        JobRecord(
            job_id=JobId(row.job_id),
            key=row.key,
            state=row.state,
            why=row.why,
            owner=row.owner,
            cancel_wanted=row.cancel_wanted,
            pause_wanted=row.pause_wanted,
            spec=spec_from_text(row.spec),
            submitted_utc=from_epoch_s(row.submitted_utc_s),
            changed_utc=from_epoch_s(row.changed_utc_s),
            plan=plan_from_text(row.plan),
            plan_number=row.number,
            plan_made_utc=from_epoch_s(row.made_utc_s),
            vintages=json.loads(row.vintages),
            attempts=tuple(tries[row.job_id]),
        )
        for row in rows
    )


def _attempt(row: Row[tuple[object, ...]]) -> Attempt:
    return Attempt(
        number=row.number,
        key=AttemptKey(row.key),
        engine=row.engine,
        ref=None if row.ref is None else EngineRef(row.ref),
        claimed_utc=from_epoch_s(row.claimed_utc_s),
        started_utc=_instant(row.started_utc_s),
        ended_utc=_instant(row.ended_utc_s),
        exit_status=row.exit_status,
        why=row.why,
        paused_s=row.paused_s,
        paused_utc=_instant(row.paused_utc_s),
        identity=json.loads(row.identity),
        engine_energy_j=row.engine_energy_j,
    )


def _compare_and_set(connection: Connection, record: JobRecord, changes: Mapping[str, object]) -> None:
    believed = and_(
        jobs.c.job_id == record.job_id,
        jobs.c.state == record.state,
        jobs.c.owner == record.owner,
        jobs.c.cancel_wanted == record.cancel_wanted,  # whoever does not know of the wish would call its end a failure
        jobs.c.pause_wanted == record.pause_wanted,
    )
    if connection.execute(update(jobs).where(believed).values(**changes)).rowcount != 1:
        raise _stale(record)


def _stale(record: JobRecord) -> StaleOwner:
    return StaleOwner(
        f"Job {record.job_id} is no longer {record.state}, or somebody else has taken it.",
        hint=f"Look again: lowtide show {record.job_id}",
        job=record.job_id,
        state=record.state,
    )


def _new_job(job_id: JobId, key: str, spec: JobSpec, planned: NewPlan, at_utc: datetime, why: str) -> dict[str, object]:
    return {
        "job_id": job_id,
        "key": key,
        "state": BY_NAME["submit"].target,
        "why": why,
        "owner": "",
        "cancel_wanted": False,
        "pause_wanted": False,
        "spec": spec_to_text(spec),
        "submitted_utc_s": to_epoch_s(at_utc),
        "start_utc_s": to_epoch_s(planned.plan.start_utc),
        "changed_utc_s": to_epoch_s(at_utc),
    }


def _new_attempt(job_id: JobId, attempt: Attempt) -> dict[str, object]:
    return {
        "job_id": job_id,
        "number": attempt.number,
        "key": attempt.key,
        "engine": attempt.engine,
        "ref": attempt.ref,
        "claimed_utc_s": to_epoch_s(attempt.claimed_utc),
        "why": attempt.why,
    }


def _set_attempt(connection: Connection, record: JobRecord, values: Mapping[str, object]) -> None:
    """Writes down what is known of the newest attempt."""
    if record.attempt is not None:
        where = and_(attempts.c.job_id == record.job_id, attempts.c.number == record.attempt.number)
        connection.execute(update(attempts).where(where).values(**values))


def _end_attempt(connection: Connection, record: JobRecord, end: AttemptEnd, why: str) -> None:
    values: dict[str, object] = {"why": why}
    if end.started_utc is not None:
        values["started_utc_s"] = to_epoch_s(end.started_utc)
    if end.ended_utc is not None:
        values["ended_utc_s"] = to_epoch_s(end.ended_utc)
    if end.exit_status is not None:
        values["exit_status"] = end.exit_status
    if end.identity:
        values["identity"] = json.dumps(dict(end.identity))
    _set_attempt(connection, record, values)


def _end_pause(connection: Connection, record: JobRecord, over_utc: datetime) -> None:
    if record.attempt is not None:
        _set_attempt(connection, record, {"paused_s": record.attempt.held_s(over_utc), "paused_utc_s": None})


def _add_plan(connection: Connection, job_id: JobId, number: int, planned: NewPlan, at_utc: datetime, why: str) -> None:
    connection.execute(
        insert(plans).values(
            job_id=job_id,
            number=number,
            made_utc_s=to_epoch_s(at_utc),
            plan=plan_to_text(planned.plan),
            vintages=json.dumps(dict(planned.vintages)),
            question=planned.question,
            why=why,
        )
    )


def _add_event(
    connection: Connection, job_id: JobId, at_utc: datetime, move: str, from_state: str, who: str, why: str
) -> None:
    """Writes down a move, or (where it names none) that something was said while the state stayed."""
    connection.execute(
        insert(events).values(
            job_id=job_id,
            at_utc_s=to_epoch_s(at_utc),
            letter=BY_NAME[move].letter if move else "-",
            from_state=from_state,
            to_state=BY_NAME[move].target if move else from_state,
            who=who,
            why=why,
        )
    )


def _instant(epoch_s: float | None) -> datetime | None:
    return None if epoch_s is None else from_epoch_s(epoch_s)
