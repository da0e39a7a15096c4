"""What is only ever added: readings of the sampler, settlements; and who is there to run jobs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, func, insert, select

from lowtide.jobs.spec import JobId
from lowtide.store.database import insert_once
from lowtide.store.tables import attempts, jobs, readings, services, settlements
from lowtide_core.spans import from_epoch_s, to_epoch_s

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from lowtide.store.database import Database


class ReadingStore:
    """Results of the sampler, one per run."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, run_id: str, job_id: JobId, attempt: int, result: Mapping[str, object], at_utc: datetime) -> None:
        """Keeps a run's result; adding the same run again changes nothing."""
        with self._database.begin() as connection:
            insert_once(
                connection,
                readings,
                {
                    "run_id": run_id,
                    "job_id": job_id,
                    "attempt": attempt,
                    "added_utc_s": to_epoch_s(at_utc),
                    "result": json.dumps(result),
                },
            )

    def of_job(self, job_id: JobId) -> tuple[dict[str, Any], ...]:
        """The results of a job's attempts, in their order."""
        query = select(readings.c.result).where(readings.c.job_id == job_id).order_by(readings.c.attempt)
        with self._database.begin() as connection:
            return tuple(json.loads(row.result) for row in connection.execute(query))


class SettlementStore:
    """Settlements; a correction is a new one beside the old."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, job_id: JobId, state: str, settlement: Mapping[str, object], at_utc: datetime) -> None:
        with self._database.begin() as connection:
            connection.execute(
                insert(settlements).values(
                    job_id=job_id,
                    settled_utc_s=to_epoch_s(at_utc),
                    state=state,
                    settlement=json.dumps(settlement),
                )
            )

    def latest(self, job_id: JobId) -> dict[str, Any] | None:
        """The job's newest settlement; None where it has none yet."""
        query = select(settlements.c.settlement).where(settlements.c.job_id == job_id)
        with self._database.begin() as connection:
            text = connection.execute(query.order_by(settlements.c.settlement_id.desc()).limit(1)).scalar()
        return None if text is None else json.loads(text)

    def open_jobs(self, states: Sequence[str], since_utc: datetime) -> tuple[JobId, ...]:
        """Jobs in these states that have had an attempt, ended since then, and have no final settlement."""
        newest = (
            select(settlements.c.job_id, func.max(settlements.c.settlement_id).label("settlement_id"))
            .group_by(settlements.c.job_id)
            .subquery()
        )
        final = (
            select(settlements.c.job_id)
            .join(newest, newest.c.settlement_id == settlements.c.settlement_id)
            .where(settlements.c.state == "settled")
        )
        tried = select(attempts.c.job_id)
        query = select(jobs.c.job_id).where(
            jobs.c.state.in_(states),
            jobs.c.changed_utc_s >= to_epoch_s(since_utc),
            jobs.c.job_id.in_(tried),
            jobs.c.job_id.not_in(final),
        )
        with self._database.begin() as connection:
            return tuple(JobId(row.job_id) for row in connection.execute(query.order_by(jobs.c.changed_utc_s)))


@dataclass(frozen=True, slots=True)
class Service:
    """Somebody who starts due jobs: a ``serve`` that lives, or a ``tick`` that comes again."""

    kind: str
    host: str
    pid: int
    beat_utc: datetime
    until_utc: datetime


class ServiceStore:
    """Who was there last, so that ``submit`` can say whether anybody will start the job."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def beat(self, kind: str, host: str, pid: int, at_utc: datetime, until_utc: datetime) -> None:
        """ "I am here, and count on me until then"."""
        me = (services.c.kind == kind) & (services.c.host == host) & (services.c.pid == pid)
        with self._database.begin() as connection:
            connection.execute(delete(services).where(me | (services.c.until_utc_s < to_epoch_s(at_utc))))
            connection.execute(
                insert(services).values(
                    kind=kind, host=host, pid=pid, beat_utc_s=to_epoch_s(at_utc), until_utc_s=to_epoch_s(until_utc)
                )
            )

    def leave(self, kind: str, host: str, pid: int) -> None:
        """ "I am gone"."""
        me = (services.c.kind == kind) & (services.c.host == host) & (services.c.pid == pid)
        with self._database.begin() as connection:
            connection.execute(delete(services).where(me))

    def alive(self, now_utc: datetime) -> tuple[Service, ...]:
        """Those who can still be counted on, the last seen first."""
        query = select(services).where(services.c.until_utc_s >= to_epoch_s(now_utc))
        with self._database.begin() as connection:
            return tuple(
                Service(row.kind, row.host, row.pid, from_epoch_s(row.beat_utc_s), from_epoch_s(row.until_utc_s))
                for row in connection.execute(query.order_by(services.c.beat_utc_s.desc()))
            )
