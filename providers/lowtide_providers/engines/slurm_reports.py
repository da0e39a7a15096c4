"""What became of an attempt, decided from its files and from Slurm's lines together: pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lowtide_core.launches import EngineRef, EngineReport
from lowtide_core.spans import from_epoch_s
from lowtide_providers.engines.slurm_text import GONE, HELD, PENDING, RUNNING, QueueRow, read_exit, read_time

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from lowtide_core.launches import AttemptKey

SETTLES_S = 60.0
"""So long after a death by signal Slurm is awaited, which knows whose signal that was."""
GRACE_S = 2.5
"""Slurm asks for a stop first (SIGTSTP), and enforces it two seconds later."""

_WAITS = {"": "", "None": "", "Priority": "", "Resources": "", "BeginTime": "", "Dependency": "for another job"}
"""Reasons that need no word, or have a shorter one."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """All that is known of one attempt.

    Attributes:
        job: Slurm's number; empty where it has none.
        cancelled: It is to end.
        suspended_s: Since when it is to be held.
        again: It has leave to be interrupted and started anew.
        claims, exits: What ``slurm_child`` wrote, by part: ``""``, or ``.t0`` and so on for the tasks of an array.
        rows: What ``squeue`` says.
        tasks: Of an array.
    """

    key: AttemptKey
    job: str
    cancelled: bool = False
    suspended_s: float | None = None
    again: bool = False
    claims: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    exits: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    rows: tuple[QueueRow, ...] = ()
    tasks: tuple[int, ...] = ()

    @property
    def parts(self) -> int:
        return len(self.tasks) or 1

    @property
    def identity(self) -> dict[str, str]:
        told: dict[str, str] = {"slurm_job": self.job} if self.job else {}
        for row in self.rows:
            told |= row.identity
        for claim in self.claims.values():
            told |= claim.get("identity", {})
        return told


def report_of(attempt: Attempt, now_s: float, accounts: Callable[[str], Mapping[str, str]]) -> EngineReport:
    """Where the attempt is.

    Args:
        accounts: What Slurm's books say of a job, asked only of one that ended without a word from the node.
    """
    if len(attempt.exits) >= attempt.parts:
        return _by_exits(attempt, now_s)
    active = [row for row in attempt.rows if row.state in RUNNING or row.state in (*PENDING, "CONFIGURING")]
    if active:
        return _in_queue(attempt, active, now_s)
    if not attempt.job:
        if attempt.cancelled:
            return EngineReport(attempt.key, "ended", EngineRef("never submitted"), why="cancelled before it started")
        return EngineReport(attempt.key, "absent")
    return _by_books(attempt, accounts(attempt.job))


def _by_exits(attempt: Attempt, now_s: float) -> EngineReport:
    """The node said how it ended, or how each task did."""
    parts = sorted(attempt.exits, key=lambda part: int(part[2:] or 0))
    ends = [attempt.exits[part] for part in parts]
    ended_s = max(float(end["ended_s"]) for end in ends)
    statuses = [end["exit_status"] for end in ends]
    by_signal = any(status is not None and status > 128 for status in statuses)
    leaving = [row for row in attempt.rows if row.state == "COMPLETING"]
    if by_signal and leaving and not attempt.cancelled and now_s < ended_s + SETTLES_S:
        return _in_queue(attempt, leaving, now_s)
    started = [float(end["started_s"]) for end in ends if end["started_s"] is not None]
    if not started:
        return _report(attempt, "ended", why=ends[0]["why"])
    started_utc = from_epoch_s(min(started))
    if any(status is None and end["started_s"] is not None for status, end in zip(statuses, ends, strict=True)):
        why = next(end["why"] for end in ends if end["exit_status"] is None)
        return _report(attempt, "vanished", started_utc=started_utc, why=why)
    failed = [part for part, status in zip(parts, statuses, strict=True) if status]
    status = next((status for status in statuses if status), 0)
    why = "; ".join(dict.fromkeys(end["why"] for end in ends if end["why"]))
    if failed and attempt.tasks:
        named = ", ".join(part[2:] for part in failed[:10]) + (", ..." if len(failed) > 10 else "")
        why = f"{len(failed)} of {attempt.parts} tasks failed ({named})" + (f"; {why}" if why else "")
    slurm = next((row.state for row in attempt.rows if row.state not in ("COMPLETED", "FAILED", *RUNNING)), "")
    if by_signal and slurm and not attempt.cancelled:
        why = f"{why}; Slurm says {slurm}".lstrip("; ")
    return _report(
        attempt, "ended", started_utc=started_utc, ended_utc=from_epoch_s(ended_s), exit_status=status, why=why
    )


def _in_queue(attempt: Attempt, active: list[QueueRow], now_s: float) -> EngineReport:
    """Slurm has it, or is not done with it."""
    running = [row for row in active if row.state in RUNNING]
    if running:
        starts = [row.start_utc for row in running if row.start_utc is not None]
        held_s = attempt.suspended_s if all(row.state == "SUSPENDED" for row in running) else None
        if held_s is not None and now_s < held_s + GRACE_S:
            held_s = None
        return _report(
            attempt,
            "running",
            started_utc=_first_start(attempt) if len(starts) < 1 else min(starts),
            suspended=held_s is not None,
            suspended_utc=None if held_s is None else from_epoch_s(held_s),
        )
    if attempt.claims:  # it ran, was requeued, and waits to go on: or tasks of it wait
        held_s = attempt.suspended_s
        paused = attempt.again and len(attempt.claims) > len(attempt.exits)
        return _report(
            attempt,
            "running",
            started_utc=_first_start(attempt),
            suspended=paused,
            suspended_utc=from_epoch_s(held_s) if paused and held_s is not None else None,
        )
    row = active[0]
    return _report(
        attempt, "accepted", why=_why_it_waits(row), suspended=row.held, queued=True, begin_utc=row.begin_utc
    )


def _by_books(attempt: Attempt, books: Mapping[str, str]) -> EngineReport:
    """Slurm is done with it, and the node has not said how it ended (or not every task did)."""
    state = next((row.state for row in attempt.rows), "") or books.get("JobState", "").split(" ")[0]
    began = bool(attempt.claims) or bool(books.get("NodeList")) or any(row.nodes for row in attempt.rows)
    if not began and state:
        why = "cancelled before it started" if state == "CANCELLED" else f"it never started: Slurm says {state}"
        return _report(attempt, "ended", why=why)
    started_utc = _first_start(attempt) or read_time(books.get("StartTime", ""))
    if attempt.tasks and attempt.exits and not attempt.cancelled:
        said = f"{attempt.parts - len(attempt.exits)} of {attempt.parts} tasks did not say how they ended"
        return _report(attempt, "vanished", started_utc=started_utc, why=f"{said}; Slurm says {state or 'nothing'}")
    status = read_exit(books.get("ExitCode", ""))
    if not state or state in GONE or status is None:
        why = f"Slurm says {state}" if state else f"Slurm no longer knows job {attempt.job}"
        return _report(attempt, "vanished", started_utc=started_utc, why=why)
    if status == 0 and state != "COMPLETED":
        status = 143  # TIMEOUT and CANCELLED leave no status of their own
    why = "" if state in ("COMPLETED", "FAILED") else f"Slurm says {state}"
    if state == "CANCELLED":
        why = "told to stop; ended by SIGTERM"
    return _report(
        attempt,
        "ended",
        started_utc=started_utc,
        ended_utc=read_time(books.get("EndTime", "")) or started_utc,
        exit_status=status,
        why=why,
    )


def _why_it_waits(row: QueueRow) -> str:
    if row.reason in HELD:
        return "held in Slurm's queue"
    said = _WAITS.get(row.reason, row.reason)
    return f"waits in Slurm's queue: {said}" if said else ""


def _first_start(attempt: Attempt) -> datetime | None:
    starts = [float(claim["claimed_s"]) for claim in attempt.claims.values() if claim.get("claimed_s")]
    return from_epoch_s(min(starts)) if starts else None


def _report(attempt: Attempt, state: Any, **known: Any) -> EngineReport:
    return EngineReport(
        attempt.key, state, EngineRef(attempt.job) if attempt.job else None, identity=attempt.identity, **known
    )
