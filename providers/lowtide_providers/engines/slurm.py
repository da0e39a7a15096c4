"""Runs launches as jobs of a Slurm cluster, through Slurm's own commands and a folder on the shared file system."""

from __future__ import annotations

import fcntl
import hashlib
import math
import os
import re
import sys
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lowtide_core.errors import InputError, Rejected, Unavailable
from lowtide_core.launches import AttemptKey, EngineRef, EngineReport
from lowtide_core.spans import from_epoch_s
from lowtide_providers.engines import slurm_child
from lowtide_providers.engines.kept import disk, load_object
from lowtide_providers.engines.local_child import keep_names, write_whole
from lowtide_providers.engines.slurm_commands import NotPossible, SlurmCommands
from lowtide_providers.engines.slurm_options import arguments_of, check_options
from lowtide_providers.engines.slurm_reports import Attempt, report_of
from lowtide_providers.engines.slurm_text import (
    QUEUE_FORMAT,
    RUNNING,
    QueueRow,
    job_name,
    read_array,
    read_energies_j,
    read_job,
    read_queue,
    write_time,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from lowtide_core.launches import Launch

_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
LEAD_S = 5.0
"""A begin time nearer than this is left out: Slurm takes one that lies in the past as none, but says so to nobody."""
_REVOKED_S = 10
"""A requeued job is refused by its node in the second in which its first credential was revoked, and then has failed.
Slurm itself waits two minutes."""
NEVER = EngineRef("never submitted")

_SCRIPT = """\
#!/bin/sh
# Written by lowtide, the same for every job: $1 is the launch's folder, $2 looks after it, $3 is the Python for that.
exec "$3" -I "$2" "$1"
"""


@dataclass(frozen=True, slots=True)
class SlurmEngine:
    """One folder per attempt below ``root``, which the nodes must see too; ``slurm_child`` names the files in it.

    The engine adds: ``job`` (the number that Slurm gave), ``suspend`` (the wish to hold it), ``ended.json`` (the last
    report, kept because Slurm forgets), ``lock``.
    """

    root: Path
    commands: SlurmCommands = field(default_factory=SlurmCommands)

    def check(self, launch: Launch) -> None:
        _check(launch)
        self.commands.require("sbatch")

    def submit(self, launch: Launch, key: AttemptKey) -> EngineRef:
        _check(launch)
        folder = self._folder(key)
        with disk("Slurm", key, "submit", self.root):
            _make(folder)
            write_whole(str(folder / "launch.json"), _content(launch), exclusive=True)
            with _locked(folder):
                return self._submit(folder, key)

    def observe(self, keys: Sequence[AttemptKey]) -> tuple[EngineReport, ...]:
        found: dict[AttemptKey, EngineReport] = {}
        with disk("Slurm", keys[0] if keys else AttemptKey(""), "observe", self.root):
            open_keys = []
            for key in dict.fromkeys(keys):
                ended = _kept_report(self._folder(key), key)
                if ended is None:
                    open_keys.append(key)
                else:
                    found[key] = ended
            if open_keys:
                rows: dict[AttemptKey, list[QueueRow]] = {}
                for row in self._queue():
                    if row.key is not None:
                        rows.setdefault(row.key, []).append(row)
                for key in open_keys:
                    found[key] = self._look(key, rows.get(key, []))
        return tuple(found[key] for key in keys)

    def cancel(self, key: AttemptKey) -> None:
        folder = self._folder(key)
        with disk("Slurm", key, "cancel", self.root):
            _make(folder)  # also for the absent: a submit that comes later finds it cancelled
            if _kept_report(folder, key) is not None:
                return
            rows = self._rows(key)
            if self._look(key, rows).state == "ended":
                return
            (folder / "cancel").touch()
            with suppress(FileNotFoundError):
                (folder / "suspend").unlink()
            for job in sorted({row.job for row in rows if row.state == "SUSPENDED"}):
                self._tell("scontrol", "resume", job)  # what is held takes no signal but KILL
            for job in sorted({row.job for row in rows}):
                self._tell("scancel", job)

    def suspend(self, key: AttemptKey) -> None:
        folder = self._folder(key)
        with disk("Slurm", key, "suspend", self.root):
            if _kept_report(folder, key) is not None or (folder / "cancel").exists():
                return
            rows = self._rows(key)
            running = sorted({row.job for row in rows if row.state in RUNNING and row.state != "SUSPENDED"})
            if not running or self._look(key, rows).state != "running":
                return
            wish = folder / "suspend"
            if not wish.exists():  # its time is that of the first wish
                wish.touch()
            for job in running:
                try:
                    self._tell("scontrol", "suspend", job)
                except Rejected as error:
                    self._requeue_held(folder, key, job, error)

    def resume(self, key: AttemptKey) -> None:
        folder = self._folder(key)
        with disk("Slurm", key, "resume", self.root):
            rows = self._rows(key) if folder.exists() else []
            for job in sorted({row.job for row in rows if row.state == "SUSPENDED"}):
                self._tell("scontrol", "resume", job)
            if _part_files(folder, "claim"):
                for job in sorted({row.job for row in rows if row.held}):  # it was requeued: back into the queue
                    self._tell("scontrol", "update", f"JobId={job}", "Requeue=0", f"StartTime=now+{_REVOKED_S}")
                    self._tell("scontrol", "release", job)
            with suppress(FileNotFoundError):
                (folder / "suspend").unlink()

    def move(self, key: AttemptKey, begin_utc: datetime | None) -> None:
        folder = self._folder(key)
        with disk("Slurm", key, "move", self.root):
            waiting = [row for row in self._rows(key) if row.state == "PENDING"]
            if not waiting or _part_files(folder, "claim"):
                return
            job = waiting[0].job
            if begin_utc is None:
                self._tell("scontrol", "hold", job)
                return
            soon = begin_utc <= datetime.now(UTC) + timedelta(seconds=LEAD_S)
            self._tell("scontrol", "update", f"JobId={job}", f"StartTime={'now' if soon else write_time(begin_utc)}")
            if any(row.held for row in waiting):
                self._tell("scontrol", "release", job)

    def log_path(self, key: AttemptKey) -> str:
        folder = self._folder(key)
        claims = _part_files(folder, "claim")
        output = str(claims[0].get("output", "")) if claims else ""
        return output or str(folder / "output.log")

    def energies_j(self, keys: Sequence[AttemptKey]) -> Mapping[AttemptKey, float]:
        jobs = {key: job for key in keys if (job := _job(self._folder(key)))}
        if not jobs:
            return {}
        try:
            fields = ("-o", "JobID,ConsumedEnergyRaw", "-j", ",".join(jobs.values()))
            told = self.commands.ask("sacct", "-n", "-P", "-D", *fields)
        except (Rejected, NotPossible):  # there is no accounting here, or it is not for us
            return {}
        energies_j = read_energies_j(told)
        return {key: energies_j[job] for key, job in jobs.items() if job in energies_j}

    def _submit(self, folder: Path, key: AttemptKey) -> EngineRef:
        """Gives it to Slurm unless Slurm has it: ``sbatch`` knows no key, so the job's name is looked for first."""
        known = _job(folder)
        if known:
            return EngineRef(known)
        ended = _kept_report(folder, key)
        if ended is not None:
            return ended.ref or NEVER
        claims = _part_files(folder, "claim")
        there = self._rows(key)
        if claims or there:
            return self._note_job(folder, _own_job(claims, there))
        if (folder / "cancel").exists():
            return NEVER
        launch = _load(folder / "launch.json")
        said = self.commands.sbatch(*self._arguments(folder, key, launch)).strip()
        job = said.partition(";")[0]
        if not job.isdigit():
            raise Unavailable(f"Slurm's sbatch said {said!r}, and no job number.", provider="slurm", operation="sbatch")
        ref = self._note_job(folder, job)
        if (folder / "cancel").exists():  # the wish came meanwhile
            self._tell("scancel", job)
        return ref

    def _arguments(self, folder: Path, key: AttemptKey, launch: Mapping[str, Any]) -> list[str]:
        options: dict[str, str] = dict(launch["options"])
        begin_s = launch.get("begin_s")
        ahead_s = 0.0 if begin_s is None else begin_s - time.time()
        if launch.get("gpu_count") and not any(name.startswith(("gpus", "gres")) for name in options):
            options["gres"] = f"gpu:{launch['gpu_count']}"
        if launch.get("cpus") and not {"cpus-per-task", "ntasks", "ntasks-per-node", "exclusive"} & set(options):
            options["cpus-per-task"] = str(math.ceil(launch["cpus"]))
        return [
            "--parsable",
            "--no-requeue",  # after a node's failure it is for lowtide to say whether it runs again
            f"--job-name={job_name(launch['name'], key)}",
            f"--chdir={launch['working_dir']}",
            *([f"--begin=now+{math.ceil(ahead_s)}"] if ahead_s > LEAD_S else []),
            *([] if "output" in options else [f"--output={folder}/output.log"]),
            *([] if "open-mode" in options else ["--open-mode=append"]),
            *arguments_of(options),
            str(self._at_root("job.sh", _SCRIPT)),
            str(folder),
            str(self._at_root("child.py", Path(slurm_child.__file__).read_text(encoding="utf-8"))),
            options.get("python") or sys.executable,
        ]

    def _at_root(self, name: str, text: str) -> Path:
        """A file that all launches share; another version of lowtide has another one."""
        stem, dot, ending = name.partition(".")
        path = self.root.absolute() / f"{stem}-{hashlib.sha256(text.encode()).hexdigest()[:12]}{dot}{ending}"
        if not path.exists():
            temporary = path.with_suffix(f".{os.getpid()}.tmp")
            temporary.write_text(text, encoding="utf-8")
            temporary.replace(path)
        return path

    def _note_job(self, folder: Path, job: str) -> EngineRef:
        temporary = folder / f"job.{os.getpid()}.tmp"
        temporary.write_text(job, encoding="ascii")
        temporary.replace(folder / "job")
        keep_names(str(folder))
        return EngineRef(job)

    def _requeue_held(self, folder: Path, key: AttemptKey, job: str, refused: Rejected) -> None:
        """Stops it where it is not ours to suspend: it goes on from its own checkpoint, if it has one."""
        launch = _load(folder / "launch.json")
        if not launch.get("checkpoints"):
            raise Rejected(
                f"Slurm does not let you suspend job {job}.",
                provider="slurm",
                operation="suspend",
                hint="That needs an operator's rights. A job that goes on from its own checkpoint can be requeued "
                "instead: submit it with --checkpoints.",
                key=key,
            ) from refused
        if _part_names(folder, "again", ""):  # asked before, and on its way
            return
        parts = [name.removeprefix("claim").removesuffix(".json") for name in _part_names(folder, "claim")]
        for part in parts:
            (folder / f"again{part}").touch()
        try:
            self.commands.ask("scontrol", "update", f"JobId={job}", "Requeue=1")
            self.commands.ask("scontrol", "requeuehold", job)
        except NotPossible:  # it has just ended
            for part in parts:
                (folder / f"again{part}").unlink(missing_ok=True)

    def _tell(self, *argv: str) -> None:
        """A command about a job that may have moved on meanwhile: that is no error."""
        with suppress(NotPossible):
            self.commands.ask(*argv)

    def _queue(self) -> list[QueueRow]:
        """Everything that Slurm knows of this user's jobs: one question, however many there are."""
        return read_queue(self.commands.ask("squeue", "-h", "-t", "all", "-o", QUEUE_FORMAT, f"--user={os.getuid()}"))

    def _rows(self, key: AttemptKey) -> list[QueueRow]:
        """What Slurm knows of one attempt."""
        name = job_name(str(_load(self._folder(key) / "launch.json").get("name", "")), key)
        asked = ("squeue", "-h", "-t", "all", "-o", QUEUE_FORMAT, f"--user={os.getuid()}", f"--name={name}")
        return [row for row in read_queue(self.commands.ask(*asked)) if row.key == key]

    def _look(self, key: AttemptKey, rows: Sequence[QueueRow]) -> EngineReport:
        """What the files and Slurm's lines say together; an end is kept, for both may be gone later."""
        folder = self._folder(key)
        claims, exits = _by_part(folder, "claim"), _by_part(folder, "exit")
        job = _own_job(list(claims.values()), rows) if claims or rows else _job(folder)
        attempt = Attempt(
            key=key,
            job=job,
            cancelled=(folder / "cancel").exists(),
            suspended_s=_changed_s(folder / "suspend"),
            again=bool(_part_names(folder, "again", "")),
            claims=claims,
            exits=exits,
            rows=tuple(row for row in rows if row.job == job),
            tasks=_tasks(folder),
        )
        report = report_of(attempt, time.time(), self._accounts)
        if report.state == "ended" or (report.state == "vanished" and not rows):
            _keep_report(folder, report)
        return report

    def _accounts(self, job: str) -> dict[str, str]:
        """State, exit code and times of a job that ended without telling us; empty where nobody knows."""
        with suppress(NotPossible):
            return read_job(self.commands.ask("scontrol", "-o", "show", "job", job).partition("\n")[0])
        names = ("JobState", "ExitCode", "StartTime", "EndTime", "NodeList")
        with suppress(NotPossible, Rejected):
            told = self.commands.ask("sacct", "-n", "-P", "-X", "-o", "State,ExitCode,Start,End,NodeList", "-j", job)
            line = told.strip().splitlines()[-1:]
            return dict(zip(names, line[0].split("|"), strict=False)) if line else {}
        return {}

    def _folder(self, key: AttemptKey) -> Path:
        if not _KEY.fullmatch(key):
            raise InputError(
                f"{key!r} is not the key of an attempt.",
                hint="Keys are letters, digits, dots and dashes, at most 100.",
                key=key,
            )
        return self.root.absolute() / key


def _check(launch: Launch) -> None:
    texts = (*launch.argv, launch.working_dir, *launch.environment, *launch.environment.values())
    if not launch.argv or any("\0" in text for text in texts) or any("=" in name for name in launch.environment):
        raise InputError(
            f"Job {launch.job_id} has no command that can be started: {launch.argv!r}.",
            hint="Give a command; no text of it may hold a NUL, and no name of its environment a '='.",
            job_id=launch.job_id,
        )
    check_options(launch.options)


def _content(launch: Launch) -> dict[str, object]:
    return {
        "job_id": launch.job_id,
        "argv": list(launch.argv),
        "working_dir": launch.working_dir,
        "environment": dict(launch.environment),
        "begin_s": None if launch.begin_utc is None else launch.begin_utc.timestamp(),
        "options": dict(launch.options),
        "name": launch.name,
        "gpu_count": launch.needs.gpu_count,
        "cpus": launch.needs.cpus,
        "checkpoints": launch.checkpoints,
        "run_id_at": launch.run_id_at,
        "term_to_batch": launch.options.get("signal", "").startswith(("B:TERM", "B:SIGTERM", "B:15")),
    }


def _make(folder: Path) -> None:
    """The attempt's folder, for its owner alone: the environment and the output may hold secrets."""
    if not folder.exists():
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        keep_names(str(folder.parent))


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """One submits at a time; where the file system has no locks, the claim on the node still keeps it to one run."""
    with (folder / "lock").open("a") as lock:
        with suppress(OSError):
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _load(path: Path) -> dict[str, Any]:
    """The file's content; empty where there is none, or where it is damaged."""
    return load_object(path) or {}


def _part_names(folder: Path, kind: str, ending: str = ".json") -> list[str]:
    """``claim.json``, or ``claim.t0.json`` and so on."""
    try:
        names = os.listdir(folder)  # noqa: PTH208  a thousand attempts at every tick
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted(name for name in names if re.fullmatch(rf"{kind}(\.t\d+)?{re.escape(ending)}", name))


def _by_part(folder: Path, kind: str) -> dict[str, dict[str, Any]]:
    return {name[len(kind) :].removesuffix(".json"): _load(folder / name) for name in _part_names(folder, kind)}


def _part_files(folder: Path, kind: str) -> list[dict[str, Any]]:
    return list(_by_part(folder, kind).values())


def _job(folder: Path) -> str:
    try:
        return (folder / "job").read_text(encoding="ascii").strip()
    except (FileNotFoundError, NotADirectoryError):
        return ""


def _own_job(claims: Sequence[Mapping[str, Any]], rows: Sequence[QueueRow]) -> str:
    """Which of several jobs of one name counts: the one that runs the launch, else the first."""
    claimed = next((str(claim.get("identity", {}).get("slurm_job", "")) for claim in claims), "")
    return claimed or min((row.job for row in rows), key=int, default="")


def _tasks(folder: Path) -> tuple[int, ...]:
    array = _load(folder / "launch.json").get("options", {}).get("array")
    return read_array(array) if array else ()


def _changed_s(path: Path) -> float | None:
    try:
        return path.stat().st_mtime
    except (FileNotFoundError, NotADirectoryError):
        return None


def _keep_report(folder: Path, report: EngineReport) -> None:
    if not folder.exists():
        return
    content: dict[str, object] = {
        "state": report.state,
        "ref": report.ref,
        "started_s": None if report.started_utc is None else report.started_utc.timestamp(),
        "ended_s": None if report.ended_utc is None else report.ended_utc.timestamp(),
        "exit_status": report.exit_status,
        "why": report.why,
        "identity": dict(report.identity),
    }
    write_whole(str(folder / "ended.json"), content, exclusive=True)


def _kept_report(folder: Path, key: AttemptKey) -> EngineReport | None:
    kept = _load(folder / "ended.json")
    if not kept:
        return None
    started_s, ended_s = kept["started_s"], kept["ended_s"]
    return EngineReport(
        key,
        kept["state"],
        None if kept["ref"] is None else EngineRef(kept["ref"]),
        started_utc=None if started_s is None else from_epoch_s(started_s),
        ended_utc=None if ended_s is None else from_epoch_s(ended_s),
        exit_status=kept["exit_status"],
        why=kept["why"],
        identity=kept["identity"],
    )
