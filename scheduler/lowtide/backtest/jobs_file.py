"""Jobs that really ran, from a CSV table or from what Slurm's ``sacct --parsable2`` prints."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from lowtide.backtest.jobs import ReplayJobs
from lowtide.sheets import number_in, read_sheet
from lowtide_core.errors import InputError
from lowtide_core.quantities import parse_duration_s, parse_power_w
from lowtide_core.spans import from_epoch_s, parse_iso_utc

if TYPE_CHECKING:
    from lowtide.backtest.issued import Came
    from lowtide.sheets import Row

NEEDED = ("submit_utc", "duration")
KNOWN = ("name", "deadline_utc", "slack", "power", "cpus", "gpus")
SACCT_NEEDED = ("Submit", "Elapsed")
GPU_W = 300.0
"""Of an accelerator whose model is not told; what a job draws only weighs it against the others."""

_ELAPSED = re.compile(r"(?:(\d+)-)?(\d+):(\d\d):(\d\d)(?:\.\d+)?")
_TRES = re.compile(r"(?:^|,)(cpu|gres/gpu)(?::[^=,]*)?=(\d+)")


class PastJob(NamedTuple):
    """One job that ran: s since 1970 and s, W, counts; ``end_by_s`` NaN where the file has no deadline."""

    submit_s: float
    duration_s: float
    end_by_s: float
    power_w: float
    cpus: float


@dataclass(frozen=True, slots=True)
class PastJobs:
    """The jobs of a file.

    Attributes:
        jobs: In the order of their submission.
        skipped: Lines of jobs that never ran.
        source: The file's name.
    """

    jobs: tuple[PastJob, ...]
    skipped: int
    source: str

    @property
    def own_deadlines(self) -> int:
        """How many name a deadline, or their slack."""
        return sum(not np.isnan(job.end_by_s) for job in self.jobs)

    def on(self, came: Came, slack_s: float) -> ReplayJobs:
        """Those that were submitted while something is known to have come, as columns.

        Args:
            slack_s: How much later than at once a job may start whose line names no deadline.
        Raises:
            InputError: There is none.
        """
        end_s = came.start_s + came.step_s * came.values.size
        columns = np.array(self.jobs).T
        inside = columns[:, (columns[0] >= came.start_s) & (columns[0] < end_s)]
        if not inside.size:
            first, last = (from_epoch_s(float(columns[0, at])) for at in (0, -1))
            raise InputError(
                f"The {len(self.jobs)} jobs of {self.source} were submitted from {first:%Y-%m-%d} to {last:%Y-%m-%d}; "
                f"{came.source} is of {from_epoch_s(came.start_s):%Y-%m-%d} to {from_epoch_s(end_s):%Y-%m-%d}.",
                hint="Give the intensities of the time of the jobs.",
            )
        submit_s, duration_s, end_by_s, power_w, cpus = inside
        earliest_s = submit_s - came.start_s
        due_s = np.where(np.isnan(end_by_s), earliest_s + duration_s + slack_s, end_by_s - came.start_s)
        return ReplayJobs(
            earliest_s, np.maximum(due_s, earliest_s + duration_s), duration_s, np.asarray(power_w) / 1e3, cpus
        )


def read_past_jobs(path: str) -> PastJobs:
    """The jobs of a CSV table (``submit_utc, duration``) or of ``sacct --parsable2``, which is told by its bars.

    Raises:
        InputError: Not readable, a column is missing, or a cell is not understood; names the line.
    """
    if "|" in _first_line(path):
        rows, read = _sacct_rows(path), _slurm_job
    else:
        rows, read = read_sheet(path, needed=NEEDED, known=KNOWN), _own_job
    found: list[PastJob | None] = []
    for line, row in rows:
        try:
            found.append(read(row))
        except InputError as error:
            raise InputError(f"{path}, line {line}: {error.message}", hint=error.hint, path=path, line=line) from error
    jobs = sorted(job for job in found if job is not None)
    if not jobs:
        raise InputError(
            f"{path} has no job that ran.", hint="Ask for jobs that have ended: sacct -X -s CD.", path=path
        )
    return PastJobs(tuple(jobs), len(found) - len(jobs), Path(path).name)


def _first_line(path: str) -> str:
    try:
        with Path(path).open(encoding="utf-8-sig") as file:
            return file.readline()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text in UTF-8"
        raise InputError(f"The jobs {path} cannot be read: {reason}.", hint="Check its name.", path=path) from error


def _own_job(row: Row) -> PastJob:
    submit = parse_iso_utc(row["submit_utc"])
    duration_s = parse_duration_s(row["duration"])
    end_by_s = np.nan
    if row.get("deadline_utc"):
        end_by_s = parse_iso_utc(row["deadline_utc"]).timestamp()
        if end_by_s < submit.timestamp() + duration_s:
            raise InputError(
                f"the deadline {row['deadline_utc']} leaves less time than the job takes.",
                hint="It is when the job must have finished.",
            )
    elif row.get("slack"):
        end_by_s = submit.timestamp() + duration_s + parse_duration_s(row["slack"])
    cpus = number_in(row, "cpus", where="this job", default=1.0)
    gpus = number_in(row, "gpus", where="this job", default=0.0)
    power_w = parse_power_w(row["power"]) if row.get("power") else _power_w(cpus, gpus)
    return PastJob(submit.timestamp(), duration_s, end_by_s, power_w, cpus)


def _sacct_rows(path: str) -> list[tuple[int, Row]]:
    """The lines of jobs, without those of their steps.

    Raises:
        InputError: A column is missing, or a line has not as many cells as the first.
    """
    head, *lines = Path(path).read_text(encoding="utf-8-sig").splitlines()
    names = head.strip().split("|")
    for name in SACCT_NEEDED:
        if name not in names:
            raise InputError(
                f"{path} has no column {name}; it has {', '.join(filter(None, names))}.",
                hint="Print it with sacct -X --parsable2 --format=JobID,Submit,Start,Elapsed,AllocCPUS,ReqTRES.",
                path=path,
                column=name,
            )
    rows = []
    for number, line in enumerate(lines, start=2):
        cells = line.strip().split("|")
        if cells == [""]:
            continue
        if len(cells) != len(names):
            raise InputError(
                f"{path}, line {number}: it has {len(cells)} cells, the head {len(names)}.",
                hint="Let sacct print it with --parsable2, and leave job names with a bar out.",
                path=path,
                line=number,
            )
        row = dict(zip(names, cells, strict=True))
        if "." not in row.get("JobID", ""):
            rows.append((number, row))
    return rows


def _slurm_job(row: Row) -> PastJob | None:
    """None for a job that never ran. Slurm writes times on the cluster's clock, without a zone: this machine's."""
    length = _ELAPSED.fullmatch(row["Elapsed"])
    if length is None:
        raise InputError(f"Elapsed is {row['Elapsed']!r}.", hint="Slurm writes it as [DD-]HH:MM:SS.")
    days, hours, minutes, seconds = (int(part or 0) for part in length.groups())
    duration_s = ((days * 24 + hours) * 60 + minutes) * 60.0 + seconds
    if row.get("Start", "").lower() in ("unknown", "none") or not duration_s:
        return None
    wanted = {name: float(count) for name, count in _TRES.findall(row.get("ReqTRES", ""))}
    cpus = number_in(row, "AllocCPUS", where="this job", default=wanted.get("cpu", 1.0)) or wanted.get("cpu", 1.0)
    power_w = _power_w(cpus, wanted.get("gres/gpu", 0.0))
    return PastJob(_slurm_instant_s(row["Submit"]), duration_s, np.nan, power_w, cpus)


def _slurm_instant_s(text: str) -> float:
    if text.isdecimal():
        return float(text)  # SLURM_TIME_FORMAT=%s
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        raise InputError(f"Submit is {text!r}.", hint="Slurm writes it as 2026-01-03T10:00:00.") from None


def _power_w(cpus: float, gpus: float) -> float:
    from lowtide_facts.power import cpu_job_power_w

    if not (cpus > 0 and gpus >= 0):
        raise InputError(f"it takes {cpus:g} CPUs and {gpus:g} GPUs.", hint="Give it at least a part of a CPU.")
    return cpu_job_power_w(cpus).power_w + gpus * GPU_W
