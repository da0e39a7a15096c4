"""Brings what the sampler wrote on the node into the store."""

from __future__ import annotations

from glob import escape as glob_escape
from typing import TYPE_CHECKING, Any

from lowtide_core.errors import InputError

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from lowtide.jobs.states import JobState
    from lowtide.store import Store
    from lowtide.store.jobs import JobRecord
    from lowtide_core.launches import AttemptKey

MEASURED: tuple[JobState, ...] = ("done", "failed", "cancelled", "lost")
"""States of jobs that have ended and may have used energy."""


def journal_result(spool: Path, run_id: str) -> dict[str, Any] | None:
    """What the sampler's journal of a run says; None where there is none, or its first line is gone.

    Raises:
        InputError: The journal is there and may not be read.
    """
    from lowtide_sampler.journal import JournalError
    from lowtide_sampler.ranks import replay_run

    try:
        return replay_run(spool, run_id)
    except (FileNotFoundError, NotADirectoryError, JournalError):
        return None
    except OSError as error:
        raise InputError(
            f"The journal of run {run_id} cannot be read: {error.strerror} ({error.filename}).",
            hint=f"Make {spool} readable.",
            run_id=run_id,
        ) from error


def exit_in_journal(spool: Path, key: AttemptKey) -> int | None:
    """The exit status that the sampler wrote down; None where it could not."""
    try:
        result = journal_result(spool, key)
    except InputError:
        return None
    status = None if result is None else result.get("exit_status")
    return None if status is None else int(status)


def collect_readings(store: Store, spool: Path, record: JobRecord, now_utc: datetime) -> tuple[str, ...]:
    """Keeps the result of every attempt of an ended job that has a journal and is not in the store yet.

    A journal that its sampler could not end, because it was killed, is closed first: its result then says so, and its
    band holds what came after the last reading. Of several ranks on a node only the one that read its counters has
    energy; each further node of the attempt has such a run too.
    """
    kept = []
    known = {str(result["run_id"]) for result in store.readings.of_job(record.job_id)}
    for attempt in record.attempts:
        for run_id in (attempt.key, *_of_other_nodes(spool, attempt.key)):
            result = None if run_id in known else _ended_result(spool, run_id)
            if result is not None and result["energy_j"] is not None:  # else another rank's result holds its energy
                store.readings.add(run_id, record.job_id, attempt.number, result, now_utc)
                kept.append(f"job {record.job_id}: energy of attempt {attempt.number} is in")
    return tuple(kept)


def _ended_result(spool: Path, run_id: str) -> dict[str, Any] | None:
    from lowtide_sampler.journal import recover

    result = journal_result(spool, run_id)
    if result is not None and result["end"] == "open":
        recover(spool)
        result = journal_result(spool, run_id)
    return result if result is not None and result["end"] != "open" else None


def _of_other_nodes(spool: Path, key: AttemptKey) -> list[str]:
    """Runs of one attempt on further nodes, each by the rank that reads its node's counters: ``KEY.n1``, ..."""
    return sorted(path.stem for path in spool.glob(f"{glob_escape(key)}.n*.jsonl"))
