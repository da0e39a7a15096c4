"""Who acts, on what, and with which engines: what every function of this room is given."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lowtide_core.launches import AttemptKey, Launch, Needs

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lowtide.store.jobs import JobRecord, JobStore
    from lowtide_core.ports import Engine


@dataclass(frozen=True, slots=True)
class Actor:
    """One process that dispatches.

    Attributes:
        jobs: Where the truth about jobs is kept.
        engine: Engine of that name.
        who: In events: ``serve``, ``tick``, ``submit``.
        owner: Token of this process; a job that it has claimed carries it.
        spool: Folder of the sampler's journals.
        exit_in_journal: Exit status that the sampler wrote down for an attempt; None where it wrote none.
        node_sampler: Where the single-file sampler lies, for engines that share no files with us; None: what they run
            is not measured.
    """

    jobs: JobStore
    engine: Callable[[str], Engine]
    who: str
    owner: str
    spool: Path
    exit_in_journal: Callable[[AttemptKey], int | None]
    node_sampler: Callable[[], str] | None = None


def attempt_key(record: JobRecord) -> AttemptKey:
    """Key of the job's next attempt; also the id of its run in the sampler's journal."""
    return AttemptKey(f"{record.job_id}.{len(record.attempts) + 1}")


def launch_for(record: JobRecord, key: AttemptKey, spool: Path) -> Launch:
    """The user's command under the sampler, whose exit status is the command's own."""
    spec = record.spec
    sampler = sampler_argv(key, record, spool)
    return Launch(
        job_id=record.job_id,
        argv=(*sampler, *spec.argv),
        working_dir=spec.working_dir,
        environment={**spec.environment, **told(record)},
        wrapped=True,
        needs=Needs(gpu=spec.gpu, gpu_count=spec.gpu_count),
        checkpoints=spec.checkpoints,
        options=spec.options,
        name=spec.name,
        begin_utc=record.plan.start_utc,
        run_id_at=sampler.index(key),
    )


def sampler_argv(key: AttemptKey, record: JobRecord, spool: Path) -> tuple[str, ...]:
    """The words before the user's command that measure it.

    ``-P`` keeps files of the folder in which the job runs from being taken for modules.
    """
    sampler = (sys.executable, "-P", "-m", "lowtide_sampler", "run", "--quiet", "--run-id", key)
    return (*sampler, "--journal", str(spool), "--plan", record.job_id, "--")


def told(record: JobRecord) -> dict[str, str]:
    """What the job is told about itself: its id, and how wide it is to run where that was planned."""
    width = {"LOWTIDE_WIDTH": str(record.plan.segments[0].width)} if record.spec.manner.widths else {}
    return {"LOWTIDE_JOB_ID": record.job_id, **width}
