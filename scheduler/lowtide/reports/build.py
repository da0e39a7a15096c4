"""Settlements -> one report: rows that every writer prints alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lowtide.jobs.states import IN_FLIGHT
from lowtide.reports.figures import clock

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from lowtide.store import Store
    from lowtide.store.jobs import JobRecord
    from lowtide_core.series import SignalSeries


@dataclass(frozen=True, slots=True)
class ReportRow:
    """One job with its newest settlement; ``settlement`` is None, with the reason in ``why``, where there is none yet.

    ``forecast`` and ``actual`` are what a chart shows: the series of the plan, and what came, where they are known.
    """

    job_id: str
    name: str
    command: tuple[str, ...]
    state: str
    why: str
    exit_status: int | None
    submitted_utc: datetime
    earliest_utc: datetime
    deadline_utc: datetime
    engine: str
    settlement: Mapping[str, Any] | None
    forecast: SignalSeries | None = None
    actual: SignalSeries | None = None

    def to_json(self) -> dict[str, Any]:
        """The contract of ``lowtide report --format json``, per job."""
        nothing = {"planned": None, "realised": None, "possible_g": None, "baseline_g": None, "saved_g": None}
        known = dict(self.settlement) if self.settlement else {**nothing, "captured_pct": None, "difference": None}
        return {
            **known,
            "job_id": self.job_id,
            "name": self.name,
            "command": list(self.command),
            "job_state": self.state,
            "exit_status": self.exit_status,
            "engine": self.engine,
            "no_settlement_why": None if self.settlement else self.why,
        }


@dataclass(frozen=True, slots=True)
class Report:
    """Rows, the newest job first."""

    rows: tuple[ReportRow, ...]
    made_utc: datetime


def build(store: Store, records: Sequence[JobRecord], made_utc: datetime) -> Report:
    """The report on these jobs: no re-fetch, no re-pricing, only what the store holds."""
    return Report(tuple(_row(store, record) for record in records), made_utc)


def _row(store: Store, record: JobRecord) -> ReportRow:
    settlement = store.settlements.latest(record.job_id)
    zone = record.plan.segments[0].zone
    vintage = record.vintages.get(zone)
    series = None if vintage is None else store.signals.get(vintage)
    actual = None
    if series is not None and settlement is not None and settlement["realised"]["state"] != "modelled":
        came = store.signals.overlapping(zone, series.frame, series.span, ("actual", "estimated"))
        actual = came[-1] if came else None
    return ReportRow(
        job_id=record.job_id,
        name=record.spec.name,
        command=record.spec.argv,
        state=record.state,
        why=_why(record),
        exit_status=record.attempt.exit_status if record.attempt else None,
        submitted_utc=record.submitted_utc,
        earliest_utc=record.spec.earliest_utc,
        deadline_utc=record.spec.deadline_utc,
        engine=record.spec.engine,
        settlement=settlement,
        forecast=series,
        actual=actual,
    )


def _why(record: JobRecord) -> str:
    if record.state == "waiting" and not record.attempts:
        return f"it has not run yet: planned for {clock(record.plan.start_utc)}"
    if not record.attempts:
        return f"it has not run: {record.why}"
    return "it runs" if record.state in IN_FLIGHT else "no energy reading of it has come in"
