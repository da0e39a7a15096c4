"""What Slurm's commands print, read: pure functions of text."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from lowtide_core.errors import InputError, Malformed
from lowtide_core.launches import AttemptKey

if TYPE_CHECKING:
    from collections.abc import Iterable

MARK = "lowtide-"
_KEY_IN_NAME = re.compile(rf"(?:^|\.){MARK}([A-Za-z0-9][A-Za-z0-9._-]*)$")
QUEUE_FORMAT = "%F|%K|%T|%S|%P|%a|%N|%r|%j"
"""``squeue -o``: array's or job's number, task, state, start, partition, account, nodes, reason, name. The name comes
last: it alone may hold the separator."""

PENDING = ("PENDING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "SPECIAL_EXIT", "RESV_DEL_HOLD")
RUNNING = ("RUNNING", "COMPLETING", "SUSPENDED", "STOPPED", "SIGNALING", "STAGE_OUT", "RESIZING")
"""``CONFIGURING`` is neither: its nodes are being made ready."""
GONE = ("NODE_FAIL", "BOOT_FAIL", "REVOKED", "PREEMPTED")
"""It was ended from outside; nobody can say how far it came."""

HELD = ("JobHeldUser", "JobHeldAdmin", "job requeued in held state", "job_requeued_in_held_state")


@dataclass(frozen=True, slots=True)
class QueueRow:
    """One line of ``squeue``."""

    job: str
    task: str
    state: str
    start_utc: datetime | None
    partition: str
    account: str
    nodes: str
    reason: str
    name: str

    @property
    def key(self) -> AttemptKey | None:
        """The attempt's key, which its name carries; None where the job is not ours."""
        found = _KEY_IN_NAME.search(self.name)
        return AttemptKey(found[1]) if found else None

    @property
    def held(self) -> bool:
        return self.state in PENDING and self.reason in HELD

    @property
    def begin_utc(self) -> datetime | None:
        """Not before then, as far as a line tells: for other reasons the start is only Slurm's guess."""
        return self.start_utc if self.state in PENDING and self.reason in ("BeginTime", "None") else None

    @property
    def identity(self) -> dict[str, str]:
        told = {"slurm_job": self.job, "partition": self.partition, "account": self.account, "node": self.nodes}
        return {name: value for name, value in told.items() if value}


def job_name(name: str, key: AttemptKey) -> str:
    """The name of a Slurm job, from which ``QueueRow.key`` finds the attempt."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.")[:80].replace(MARK, "lowtide_")  # the mark is the key's
    return f"{plain}.{MARK}{key}" if plain else f"{MARK}{key}"


def read_queue(text: str) -> list[QueueRow]:
    """The lines of ``squeue -h -o QUEUE_FORMAT``.

    Raises:
        Malformed: A line is not of that format.
    """
    rows = []
    for line in text.splitlines():
        fields = line.split("|", 8)
        if len(fields) != 9:
            raise _malformed("squeue", line)
        job, task, state, start, partition, account, nodes, reason, name = map(_known, fields)
        rows.append(QueueRow(job, task, state, read_time(start), partition, account, nodes, reason, name))
    return rows


def read_time(text: str) -> datetime | None:
    """A time as the commands print it with ``TZ=UTC``; None where they have none.

    Raises:
        Malformed: It is no time.
    """
    if text in ("", "Unknown", "None"):
        return None
    try:
        return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S").replace(tzinfo=UTC)
    except ValueError as error:
        raise _malformed("a command", text) from error


def write_time(instant: datetime) -> str:
    """An instant as the commands read it with ``TZ=UTC``; to the second, never earlier."""
    whole = instant.astimezone(UTC)
    seconds = whole.timestamp()
    return datetime.fromtimestamp(-(-seconds // 1), UTC).strftime("%Y-%m-%dT%H:%M:%S")


def read_job(line: str) -> dict[str, str]:
    """A line of ``scontrol -o show job``; what may hold blanks (Command, names) is cut at the first."""
    return {name: _known(value) for name, value in re.findall(r"(?:^| )([A-Za-z][A-Za-z/:]*)=(\S*)", line)}


def read_exit(text: str) -> int | None:
    """``3:0`` (status) or ``0:9`` (signal) as a shell gives it; None where it is neither."""
    found = re.fullmatch(r"(\d+):(\d+)", text)
    if found is None:
        return None
    status, number = int(found[1]), int(found[2])
    return status if not number else 128 + (number if number < 125 else 9)  # 125: out of memory, killed by 9


def read_energies_j(text: str) -> dict[str, float]:
    """Energy by job, of ``sacct -n -P -o JobID,ConsumedEnergyRaw``; J.

    Slurm puts it on the rows of steps, and counts whole nodes: steps at the same time on the same node count the same
    energy, so the largest is taken and nothing is added up.
    """
    found: dict[str, float] = {}
    for line in text.splitlines():
        name, _, energy = line.partition("|")
        job = re.split(r"[._]", name)[0]
        if energy.strip().isdigit() and int(energy) < 2**63:  # 2^64 - 2 stands for "not known"
            found[job] = max(found.get(job, 0.0), float(energy))
    return {job: energy_j for job, energy_j in found.items() if energy_j > 0}


def read_array(text: str) -> tuple[int, ...]:
    """The tasks of ``--array=0-9:3,12%4``.

    Raises:
        InputError: It is not of that form.
    """
    tasks: set[int] = set()
    for part in text.partition("%")[0].split(","):
        found = re.fullmatch(r"(\d+)(?:-(\d+)(?::(\d+))?)?", part.strip())
        first = int(found[1]) if found else -1
        last = int(found[2]) if found and found[2] else first
        step = int(found[3]) if found and found[3] else 1
        if found is None or last < first or not step or last - first > MOST_TASKS * step:
            raise InputError(f"{text!r} are not the tasks of an array.", hint="Write 0-9, 1,3,5 or 0-99:10%4.")
        tasks.update(range(first, last + 1, step))
    return tuple(sorted(tasks))


MOST_TASKS = 100_000


def of_key(rows: Iterable[QueueRow], key: AttemptKey) -> list[QueueRow]:
    """The lines of one attempt."""
    return [row for row in rows if row.key == key]


def _known(text: str) -> str:
    """Empty for what Slurm writes where it knows nothing."""
    return "" if text in ("(null)", "N/A", "n/a") else text


def _malformed(command: str, line: str) -> Malformed:
    return Malformed(
        f"Slurm's answer cannot be read: {command} says {line!r}.",
        provider="slurm",
        operation=command,
        hint="Which version is it (sinfo --version)? Please report it with that line.",
    )
