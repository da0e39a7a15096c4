"""Several processes of one job on one node: one of them reads the node's counters, the others their CPU seconds alone.

Who is who comes from the launcher's environment; that there is one reader is held by a lock in the spool, for as long
as the reader lives, so that a wrong or missing environment cannot make two. A local rank other than 0 never reads
counters, also where rank 0 does not measure, has ended, or was killed: then nobody counts, and nothing counts twice.

The reader's result holds the CPU seconds of all ranks: they are added from the others' journals when it is made.
"""

from __future__ import annotations

import fcntl
import json
import os
from bisect import bisect_left

from lowtide_sampler import slurm
from lowtide_sampler.files import remove, write_json
from lowtide_sampler.journal import SUFFIX, lost_end, read_journal, replay
from lowtide_sampler.machine import process_start, read_text, stat_fields
from lowtide_sampler.standins import TYPE_CHECKING, NamedTuple
from lowtide_sampler.workload import WorkloadReading, tree_cpu_s

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from lowtide_sampler.journal import JournalRecords
    from lowtide_sampler.workload import Workload

READER = "rank_0"
_FOLDER = "ranks"
_MEMBER = ".member"
_FIRST_LINE_BYTES = 1 << 16


class Rank(NamedTuple):
    """This process's place in its job.

    Attributes:
        local: Its number on this node; 0 reads the counters.
        world: Its number in the job; "" unknown.
        node: The node's number in the job; "" unknown.
        job: What all ranks of the job share, and no other job: the launcher and its name of the job.
    """

    local: int
    world: str
    node: str
    job: str


# (launcher, local rank, rank, node, names of which the first that is there names the job); the innermost goes first,
# since each hands its own variables down to the launchers that run inside it.
_LAUNCHERS: tuple[tuple[str, str, str, str, tuple[str, ...]], ...] = (
    ("torchrun", "LOCAL_RANK", "RANK", "GROUP_RANK", ("TORCHELASTIC_RUN_ID",)),
    (
        "openmpi",
        "OMPI_COMM_WORLD_LOCAL_RANK",
        "OMPI_COMM_WORLD_RANK",
        "OMPI_COMM_WORLD_NODE_RANK",
        ("PMIX_NAMESPACE", "OMPI_MCA_ess_base_jobid", "OMPI_MCA_orte_hnp_uri"),
    ),
    ("mvapich", "MV2_COMM_WORLD_LOCAL_RANK", "MV2_COMM_WORLD_RANK", "", ("PMI_JOBID", "PMI_PORT")),
    ("hydra", "MPI_LOCALRANKID", "PMI_RANK", "", ("PMI_JOBID", "PMI_ID", "HYDRA_PROXY_PORT", "PMI_FD")),
    ("pals", "PALS_LOCAL_RANKID", "PALS_RANKID", "PALS_NODEID", ("PALS_APID",)),
)


def find_rank(environ: Mapping[str, str]) -> Rank | None:
    """This process's rank; None where no launcher made it."""
    outer = slurm.step_of(environ)
    for launcher, local, world, node, names in _LAUNCHERS:
        number = environ.get(local, "")
        job = next((environ[name] for name in names if environ.get(name)), "")
        is_of_launcher = bool(job) or launcher != "torchrun"  # LOCAL_RANK alone may be anybody's
        if number.isdecimal() and is_of_launcher:
            port = environ.get("MASTER_PORT", "") if launcher == "torchrun" else ""
            name = "-".join(filter(None, (launcher, outer, job, port)))
            return Rank(int(number), environ.get(world, ""), _node(environ, node, launcher), name)
    number = environ.get("SLURM_LOCALID", "")
    if number.isdecimal() and outer and environ.get("SLURM_STEP_ID"):
        return Rank(int(number), environ.get("SLURM_PROCID", ""), environ.get("SLURM_NODEID", ""), f"slurm-{outer}")
    return None


def _node(environ: Mapping[str, str], name: str, launcher: str) -> str:
    if launcher == "openmpi":  # its node rank numbers processes, not nodes
        return environ.get("SLURM_NODEID", "")
    return environ.get(name, "") or environ.get("SLURM_NODEID", "")


class Seat:
    """A rank's seat at the node's table: the reader's, for whoever holds the lock, or one beside it.

    Args:
        directory: The spool, which all ranks of the node share.
        rank: Who asks.
        wanted_run_id: The name that its run is to have, if no other rank has it.
        pid: The process that is measured, whose tree is the rank's.

    Attributes:
        is_reader: Whether this rank reads the node's counters.
        run_id: Its run: the first node's reader has the wanted name, other nodes' readers have ``.n1`` behind it, and
            those who do not read ``.r3``.
    """

    def __init__(self, directory: str, rank: Rank, wanted_run_id: str, pid: int) -> None:
        self.rank = rank
        self.is_reader = False
        self.trouble = ""
        self._lock_fd = -1
        self._job, self._folder = _table_of(directory, rank.job, pid)
        try:
            os.makedirs(self._folder, mode=0o700, exist_ok=True)
            self.is_reader = rank.local == 0 and self._take_lock()
        except OSError as error:  # no lock: better nobody counts than two
            self.trouble = f"the ranks of this node cannot agree who reads its counters: {error}"
        self.run_id = self._run_id(wanted_run_id)
        self._member = os.path.join(self._folder, f"{self.run_id}{_MEMBER}")
        self._write_member(pid)

    def described(self) -> dict[str, Any]:
        """What the journal's first line says of it."""
        rank = {
            "job": self._job,
            "local": self.rank.local,
            "world": self.rank.world,
            "reads_counters": self.is_reader,
            "cpus": sorted(os.sched_getaffinity(0)),
        }
        return {"rank": rank} if self.is_reader else {"rank": rank, "counted_by": READER}

    def with_peers(self, workload: Workload) -> Workload:
        """The reader's own CPU seconds, with the processes of all ranks: the node's devices may be any rank's."""
        return _Table(workload, self._folder, self._member) if self.is_reader else workload

    def leave(self) -> None:
        """Gives the seat back."""
        remove(self._member)
        if self._lock_fd >= 0:
            os.close(self._lock_fd)
            self._lock_fd = -1

    def _run_id(self, wanted: str) -> str:
        if self.is_reader:
            return wanted if self.rank.node in ("", "0") else f"{wanted}.n{self.rank.node}"
        return f"{wanted}.r{self.rank.world or f'{os.uname().nodename}-{os.getpid()}'}"

    def _take_lock(self) -> bool:
        fd = os.open(os.path.join(self._folder, "reader.lock"), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            return False
        except OSError:
            os.close(fd)
            raise
        self._lock_fd = fd
        return True

    def _write_member(self, pid: int) -> None:
        try:
            write_json(self._member, {"pid": pid, "start_ticks": process_start(pid)[0]})
        except OSError:
            return  # the reader then takes this rank's processes for strangers on the devices


class _Table:
    """The reader's workload: its own CPU seconds, everybody's processes."""

    def __init__(self, workload: Workload, folder: str, own_member: str) -> None:
        self._workload = workload
        self._folder = folder
        self._own_member = os.path.basename(own_member)

    def read(self) -> WorkloadReading:
        reading = self._workload.read()
        pids = set(reading.pids)
        try:
            names = os.listdir(self._folder)
        except OSError:
            names = []
        for name in names:
            if name.endswith(_MEMBER) and name != self._own_member:
                root = _living_member(os.path.join(self._folder, name))
                pids |= (tree_cpu_s(root)[1] | {root}) if root else frozenset()
        return WorkloadReading(reading.cpu_s, frozenset(pids))


def _table_of(directory: str, job: str, pid: int) -> tuple[str, str]:
    """(job, folder of its ranks): a measurement inside of one that a rank of the job has is a table of its own."""
    forebears = frozenset(_line_of(pid))
    depth = 0
    while True:
        name = f"{job}/{depth}" if depth else job
        folder = os.path.join(directory, _FOLDER, _file_name(f"{os.uname().nodename}.{name}"))
        if not any(_living_member(path) in forebears for path in _members(folder)):
            return name, folder
        depth += 1


def _members(folder: str) -> list[str]:
    try:
        return [os.path.join(folder, name) for name in os.listdir(folder) if name.endswith(_MEMBER)]
    except OSError:
        return []


def _living_member(path: str) -> int:
    """The process at the root of a member's tree; 0 where it is gone."""
    try:
        member = json.loads(read_text(path, 1024))
        pid, start_ticks = int(member["pid"]), int(member["start_ticks"])
    except (ValueError, KeyError, TypeError):
        return 0
    return pid if process_start(pid)[0] == start_ticks else 0


def _line_of(pid: int) -> list[int]:
    """A process and all that it comes from."""
    line = []
    while pid > 0:
        line.append(pid)
        fields = stat_fields(read_text(f"/proc/{pid}/stat", 1024))
        pid = int(fields[1]) if len(fields) > 1 else 0
    return line


def replay_run(directory: str | os.PathLike[str], run_id: str, lost_utc_s: float | None = None) -> dict[str, Any]:
    """The result of a run in a spool; that of a reader holds the CPU seconds of all ranks of its node.

    Args:
        directory: The spool.
        run_id: The run.
        lost_utc_s: When its sampler was known to be gone; a journal without an end is then a lost one.
    Raises:
        OSError: Its journal cannot be read.
        JournalError: Its first line is missing, or of another version.
    """
    return replay_with_ranks(directory, read_journal(os.path.join(directory, run_id + SUFFIX)), lost_utc_s)


def replay_with_ranks(
    directory: str | os.PathLike[str], records: JournalRecords, lost_utc_s: float | None = None
) -> dict[str, Any]:
    """The same of a journal in the spool that has been read. Raises JournalError, as ``replay_run`` does."""
    if records.end is None and lost_utc_s is not None and records.header is not None:
        records = records._replace(end=lost_end(records, lost_utc_s))
    if records.header is None or "rank" not in records.header:
        return replay(records)
    rank = records.header["rank"]
    table = _others_of(directory, records)
    if rank["reads_counters"]:
        peers = [other for other in table if not _reads(other)]
        result = replay(merge_peers(records, peers))
        still_open = any(peer.end is None for peer in peers)
        names = [peer.header["run_id"] for peer in peers if peer.header]
        flags = [*result["flags"], *(["ranks_still_run"] if still_open else [])]
        return {**result, "flags": flags, "ranks": {"local": rank["local"], "peers": sorted(names)}}
    reader = next((other.header["run_id"] for other in table if other.header and _reads(other)), None)
    return {**replay(records), "ranks": {"local": rank["local"], "counted_by": reader}}


def merge_peers(records: JournalRecords, peers: Sequence[JournalRecords]) -> JournalRecords:
    """The reader's records with the CPU seconds that the peers used since it began, and the CPUs that all were given.

    A peer's seconds are taken to grow evenly between two of its ticks, and to stand still before and after its run.
    """
    if records.header is None or not records.ticks or not peers:
        return records
    curves = [curve for curve in map(_curve, peers) if curve]
    begun_s = _offset_s(records.header)
    first_s = begun_s + records.ticks[0]["t"]
    before = sum(_at(curve, first_s) for curve in curves)
    ticks = [
        {**tick, "job": tick["job"] + sum(_at(curve, begun_s + tick["t"]) for curve in curves) - before}
        for tick in records.ticks
    ]
    cpus = {cpu for part in (records, *peers) if part.header for cpu in part.header["rank"].get("cpus", ())}
    return records._replace(header=_with_cpus(records.header, len(cpus)), ticks=ticks)


def _with_cpus(header: dict[str, Any], cpus: int) -> dict[str, Any]:
    """The header with the CPUs of all ranks in the place of the reader's."""
    threads = int(header["threads"])
    changed = dict(header)
    if "allocated_share" in header:
        changed["allocated_share"] = max(float(header["allocated_share"]), min(cpus / threads, 1.0))
    if "allocated_cpus" in header:
        changed["allocated_cpus"] = max(float(header["allocated_cpus"]), float(min(cpus, threads)))
    return changed


def _others_of(directory: str | os.PathLike[str], records: JournalRecords) -> list[JournalRecords]:
    """The other ranks' runs of the same job and node whose time touches this one's."""
    header = records.header or {}
    found = []
    for name in sorted(os.listdir(directory)):
        path = os.path.join(directory, name)
        if not name.endswith(SUFFIX) or name == f"{header['run_id']}{SUFFIX}" or not _is_of(path, header):
            continue
        try:
            other = read_journal(path)
        except OSError:
            continue
        if other.header and _span_s(other)[0] <= _span_s(records)[1] and _span_s(records)[0] <= _span_s(other)[1]:
            found.append(other)
    return found


def _is_of(path: str, header: dict[str, Any]) -> bool:
    first = read_text(path, _FIRST_LINE_BYTES).partition("\n")[0]
    if '"rank"' not in first:
        return False
    try:
        other = json.loads(first)
        same = [other[key] == header[key] for key in ("host", "boot_id")]
        return all(same) and other["rank"]["job"] == header["rank"]["job"]
    except (ValueError, KeyError, TypeError):
        return False


def _reads(records: JournalRecords) -> bool:
    return bool(records.header and records.header["rank"]["reads_counters"])


def _offset_s(header: dict[str, Any]) -> float:
    """Where ``t`` = 0 lies on the clock that all processes of a boot share."""
    return float(header["start_monotonic_s"])


def _span_s(records: JournalRecords) -> tuple[float, float]:
    begun_s = _offset_s(records.header or {})
    return begun_s, begun_s + (records.ticks[-1]["t"] if records.ticks else 0.0)


def _curve(records: JournalRecords) -> list[tuple[float, float]]:
    begun_s = _offset_s(records.header or {})
    return [(begun_s + tick["t"], tick["job"]) for tick in records.ticks]


def _at(curve: list[tuple[float, float]], at_s: float) -> float:
    if at_s >= curve[-1][0]:
        return curve[-1][1]
    after = bisect_left(curve, (at_s, 0.0))
    if after == 0:
        return 0.0
    (low_s, low), (high_s, high) = curve[after - 1], curve[after]
    return low + (high - low) * (at_s - low_s) / (high_s - low_s) if high_s > low_s else high


def _file_name(text: str) -> str:
    """A name that any file system takes, another one for another text."""
    from _blake2 import blake2b

    kept = "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in text)[:80]
    return f"{kept}.{blake2b(text.encode(errors='surrogateescape'), digest_size=6).hexdigest()}"
