"""Brings what the sampler wrote on the node into the store."""

from __future__ import annotations

import os
import re
from bisect import bisect_left
from itertools import islice, takewhile
from typing import TYPE_CHECKING, Any

from lowtide_core.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from pathlib import Path

    from lowtide.jobs.states import JobState
    from lowtide.store import Store
    from lowtide.store.jobs import Attempt, JobRecord
    from lowtide_core.launches import AttemptKey

MEASURED: tuple[JobState, ...] = ("done", "failed", "cancelled", "lost")
"""States of jobs that have ended and may have used energy."""


def journal_result(spool: Path, run_id: str, lost_utc: datetime | None = None) -> dict[str, Any] | None:
    """What the sampler's journal of a run says; None where there is none, or its first line is gone.

    Args:
        spool: Where journals lie.
        run_id: The run.
        lost_utc: When its sampler was known to be gone; a journal without an end is then a lost one.
    Raises:
        InputError: The journal is there and may not be read.
    """
    from lowtide_sampler.journal import JournalError
    from lowtide_sampler.ranks import replay_run

    try:
        return replay_run(spool, run_id, None if lost_utc is None else lost_utc.timestamp())
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


def collect_readings(
    store: Store, spool: Path, record: JobRecord, now_utc: datetime, journals: Sequence[str] | None = None
) -> tuple[str, ...]:
    """Keeps the result of every run of an ended job's attempts that has a journal and is not in the store yet.

    A journal that its sampler could not end, because it was killed, is closed first: its result then says so, and its
    band holds what came after the last reading. Of several ranks on a node only the one that read its counters has
    energy. An attempt that ran and left no journal is told of, once.

    Args:
        store: Where readings are kept.
        spool: Where journals lie.
        record: The job.
        now_utc: The time.
        journals: ``journals_in`` the spool, where many jobs are asked for; None: it is looked into here.
    """
    kept = []
    listed = journals_in(spool) if journals is None else journals
    known = {str(result["run_id"]) for result in store.readings.of_job(record.job_id)}
    for attempt in record.attempts:
        runs = runs_of(listed, attempt.key)
        for run_id in runs:
            result = None if run_id in known else _ended_result(spool, run_id, attempt, now_utc)
            if result is not None and result["energy_j"] is not None:  # else another rank's result holds its energy
                store.readings.add(run_id, record.job_id, attempt.number, result, now_utc)
                kept.append(f"job {record.job_id}: energy of attempt {attempt.number} is in")
        if not runs and attempt.started_utc is not None and attempt == record.attempt:
            kept += _tell_lost(store, spool, record, now_utc)
    return tuple(dict.fromkeys(kept))


def journals_in(spool: Path) -> list[str]:
    """The runs of all attempts that have a journal, in order.

    Raises:
        InputError: It is there and may not be read.
    """
    try:
        names = os.listdir(spool)  # noqa: PTH208  a spool may hold many
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise InputError(
            f"The journals in {spool} cannot be looked for: {error.strerror}.", hint=f"Make {spool} readable."
        ) from error
    return sorted(name.removesuffix(".jsonl") for name in names if name.endswith(".jsonl"))


def runs_of(journals: Sequence[str], key: AttemptKey) -> list[str]:
    """The runs of an attempt among ``journals_in`` a spool.

    One, ``KEY``; or one for each part that its engine ran it in: a task of an array ``KEY.t3``, a further start
    ``KEY.r1``, a further node ``KEY.n1``. A rank that reads no counters has one too, maybe named ``KEY.r1`` as well.
    """
    part = re.compile(rf"{re.escape(key)}(\.[trn]\d+)*")
    begun = takewhile(lambda run: run.startswith(key), islice(journals, bisect_left(journals, key), None))
    return [run for run in begun if part.fullmatch(run)]


def _ended_result(spool: Path, run_id: str, attempt: Attempt, now_utc: datetime) -> dict[str, Any] | None:
    """What a run that is over says; None where its journal says nothing, or its sampler may still write."""
    from lowtide_sampler.journal import read_journal, recover

    result = journal_result(spool, run_id)
    if result is not None and result["end"] == "open":
        recover(spool)
        result = journal_result(spool, run_id)
    if result is None or result["end"] != "open":
        return result
    header = read_journal(spool / f"{run_id}.jsonl").header
    if header is None or header["host"] == os.uname().nodename or attempt.engine == "local":
        return None  # what a local job has started on other nodes is closed by who brings its journal
    # Another node's journal, which nobody there will close; its engine says that the run is over.
    return journal_result(spool, run_id, lost_utc=now_utc)


def _tell_lost(store: Store, spool: Path, record: JobRecord, now_utc: datetime) -> list[str]:
    said = f"its journal is not in {spool}: what it used is not known"
    if said in record.why:
        return []
    store.jobs.note(record, at_utc=now_utc, who="collect", why=f"{record.why}; {said}")
    return [f"job {record.job_id}: {said}"]
