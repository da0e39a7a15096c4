"""Launches on engines that share no files with us: what is sent along, and what comes back."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING

from lowtide.dispatch.actor import told
from lowtide_core.errors import InputError, NoData, ProviderError
from lowtide_core.launches import SPOOL_WORD, AttemptKey, Launch, Needs, NodeProgram
from lowtide_core.ports import Remote

if TYPE_CHECKING:
    from datetime import datetime

    from lowtide.dispatch.actor import Actor
    from lowtide.store.jobs import Attempt, JobRecord
    from lowtide_core.launches import EngineReport

_PATIENCE = timedelta(minutes=10)
"""So long after its end a job stays open while its engine does not give its journal out."""


def remote_launch(record: JobRecord, key: AttemptKey, sampler: str | None) -> Launch:
    """The user's bare command, and the single-file sampler to run it under; None: it is not measured."""
    spec = record.spec
    return Launch(
        job_id=record.job_id,
        argv=spec.argv,
        working_dir=spec.working_dir,
        environment={**spec.environment, **told(record)},
        needs=Needs(cpus=spec.cpus, gpu=spec.gpu, gpu_count=spec.gpu_count),
        region=record.plan.segments[0].region,
        checkpoints=spec.checkpoints,
        options=spec.options,
        name=spec.name,
        begin_utc=record.plan.start_utc,
        sampler=None if sampler is None else node_program(sampler, key, record.job_id),
    )


def node_program(sampler: str, key: AttemptKey, job_id: str) -> NodeProgram:
    """The single-file sampler at that path, with its words for one attempt."""
    return NodeProgram(sampler, ("run", "--quiet", "--run-id", key, "--journal", SPOOL_WORD, "--plan", job_id, "--"))


class NotYet(Exception):
    """The engine does not give the journal out now, and may do so soon."""


def bring_journals(actor: Actor, attempt: Attempt, report: EngineReport, now_utc: datetime) -> str:
    """Brings the journals of an attempt that is over into the spool; what is lost of them, in words.

    Raises:
        NotYet: They may come at the next round.
    """
    engine = actor.engine(attempt.engine)
    began = report.started_utc is not None or attempt.started_utc is not None
    if not isinstance(engine, Remote) or not began or (actor.spool / f"{attempt.key}.jsonl").exists():
        return ""
    try:
        journals = engine.fetch_journals(attempt.key)
    except NoData as error:
        return error.message.rstrip(".")
    except ProviderError as error:
        if report.ended_utc is not None and now_utc - report.ended_utc < _PATIENCE:
            raise NotYet(error.message) from error
        return f"its journal is lost: {error.message.rstrip('.')}"
    for number, content in reversed(list(enumerate(journals, start=1))):  # the first last: it says that all are there
        _keep(actor, run_id(attempt.key, number), content)
    return ""


def run_id(key: AttemptKey, number: int) -> str:
    """The id of an attempt's run, one for each time that its engine has started it."""
    return key if number == 1 else f"{key}.r{number}"


def _keep(actor: Actor, run: str, content: bytes) -> None:
    """Writes the journal whole, under its own id, which each run of an attempt takes for the attempt's."""
    first, newline, rest = content.partition(b"\n")
    try:
        header = json.loads(first)
        if isinstance(header, dict) and "run_id" in header:
            first = json.dumps({**header, "run_id": run}, separators=(",", ":")).encode()
    except ValueError:
        pass  # whoever reads it says that its first line is damaged
    path = actor.spool / f"{run}.jsonl"
    temporary = path.with_suffix(".coming")
    try:
        actor.spool.mkdir(mode=0o700, parents=True, exist_ok=True)
        temporary.write_bytes(first + newline + rest)
        temporary.replace(path)
    except OSError as error:
        raise NotYet(f"{path} cannot be written: {error.strerror}") from error


def require_goes_on(name: str, checkpoints: bool) -> None:
    """Refuses pauses of what would begin anew after each.

    Raises:
        InputError: The job does not go on from what it has saved.
    """
    if not checkpoints:
        raise InputError(
            f"The engine {name!r} pauses a job by ending it, and it does not go on from what it has saved.",
            hint="Add --checkpoints if it does, or leave --pausable out.",
            engine=name,
        )
