"""What is measured, as a set of processes: the CPU seconds that it used, and who they are."""

from __future__ import annotations

import os
import resource

from lowtide_sampler import cgroups
from lowtide_sampler.machine import TICKS_PER_S, read_text, stat_fields
from lowtide_sampler.standins import NamedTuple, Protocol


class WorkloadReading(NamedTuple):
    """CPU seconds used since the run began, and the processes alive now."""

    cpu_s: float
    pids: frozenset[int]


class Workload(Protocol):
    """What is measured: a command's descendants, a process that ran before us, a control group."""

    def read(self) -> WorkloadReading:
        """CPU seconds and processes of this instant; the seconds never fall."""


class Descendants:
    """Everything that this process starts: children that ended (exact) and the tree that lives.

    As a child subreaper the sampler inherits every orphan of the job, so that the tree below it is the whole job.
    The figure never falls: a process that ends between the two looks is counted by the later one.
    """

    def __init__(self) -> None:
        self._before_s = _ended_children_cpu_s()
        self._seen_s = 0.0

    def read(self) -> WorkloadReading:
        living_s, pids = tree_cpu_s(_own_pid())
        self._seen_s = max(self._seen_s, _ended_children_cpu_s() - self._before_s + living_s)
        return WorkloadReading(self._seen_s, pids)


class OwnGroup:
    """Everything that this process starts, by the control group in which it was the only process.

    The group counts what the tree cannot see: children that nobody waited for. Should a stranger be put into it, the
    tree counts from then on.
    """

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._tree = Descendants()
        self._tree_s = 0.0
        self._group_s = self._used_s()
        self._seen_s = 0.0
        self._unknown: frozenset[int] = frozenset()
        self._has_strangers = False

    def read(self) -> WorkloadReading:
        tree = self._tree.read()
        group_s = self._used_s()
        here = cgroups.own_members(self._folder) - tree.pids - {os.getpid()}
        self._has_strangers |= bool(here & self._unknown)  # seen twice: one look may meet a child just born
        self._unknown = here
        if self._has_strangers or group_s is None or self._group_s is None:
            growth_s = tree.cpu_s - self._tree_s
        else:
            growth_s = group_s - self._group_s
        self._tree_s, self._group_s = tree.cpu_s, group_s
        self._seen_s += max(growth_s, 0.0)
        return WorkloadReading(self._seen_s, tree.pids)

    def _used_s(self) -> float | None:
        """The group's seconds without the sampler's own."""
        used_s = cgroups.used_cpu_s(self._folder)
        own = resource.getrusage(resource.RUSAGE_SELF)
        return None if used_s is None else used_s - own.ru_utime - own.ru_stime


class Cgroup:
    """A control group that was there before us, with all below it, from now on."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._before_s = cgroups.used_cpu_s(folder) or 0.0
        self._seen_s = 0.0

    def read(self) -> WorkloadReading:
        used_s = cgroups.used_cpu_s(self._folder)
        if used_s is not None:  # a group that is gone has used what was last seen
            self._seen_s = max(self._seen_s, used_s - self._before_s)
        return WorkloadReading(self._seen_s, cgroups.members(self._folder))


class _Process(NamedTuple):
    """One process at one look: its own CPU seconds, and those of the children that it waited for."""

    start_ticks: int
    parent: int
    own_s: float
    waited_s: float


class ProcessTree:
    """A process that ran before us and all that comes of it, from now on.

    We are not its parent: nobody tells us what a process used that ended between two looks. What its parent waited for
    shows in the parent's figure; the rest is kept as it was last seen. Orphans are followed by their numbers. A number
    that another process has meanwhile is told by its start.

    Args:
        pid: The process.
        begun_cpu_s: Its CPU seconds, children waited for included, when the run began; None: it begins now.
    """

    def __init__(self, pid: int, begun_cpu_s: float | None = None) -> None:
        self._pid = pid
        self._known = self._look({})
        self._owed_s: dict[int, float] = {}
        self._lost_s = 0.0
        self._seen_s = 0.0
        self._before_s = sum(process.own_s + process.waited_s for process in self._known.values())
        if begun_cpu_s is not None and pid in self._known:
            root = self._known[pid]
            self._before_s -= max(root.own_s + root.waited_s - begun_cpu_s, 0.0)

    def read(self) -> WorkloadReading:
        now = self._look(self._known)
        self._settle(self._known, now)
        self._known = now
        living_s = sum(process.own_s + process.waited_s for process in now.values())
        total_s = living_s + self._lost_s + sum(self._owed_s.values())
        self._seen_s = max(self._seen_s, total_s - self._before_s)
        return WorkloadReading(self._seen_s, frozenset(now))

    def has_used(self, cpu_s: float) -> None:
        """Takes the process's own word for the CPU seconds that it has used since the run began: it may be gone."""
        self._seen_s = max(self._seen_s, cpu_s)

    def _look(self, known: dict[int, _Process]) -> dict[int, _Process]:
        """The tree, parents before children: a child that ends meanwhile is missing, never counted twice."""
        now: dict[int, _Process] = {}
        waiting = [self._pid, *known]
        own_pid = os.getpid()
        for pid in waiting:
            if pid in now or pid == own_pid:
                continue
            process = _read_process(pid)
            if process is None or (pid in known and known[pid].start_ticks != process.start_ticks):
                continue
            now[pid] = process
            waiting += _children(pid)
        return now

    def _settle(self, before: dict[int, _Process], now: dict[int, _Process]) -> None:
        """Keeps what processes used that are gone, where it does not show in the figure of one that lives.

        A parent's figure may follow one look later: what it owes is held for that long, then taken for lost.
        """
        owed_s: dict[int, float] = {}
        for pid, process in before.items():
            if pid in now:
                continue
            heir = process.parent
            while heir in before and heir not in now:
                heir = before[heir].parent
            used_s = process.own_s + process.waited_s + self._owed_s.pop(pid, 0.0)
            owed_s[heir] = owed_s.get(heir, 0.0) + used_s
        still_owed_s: dict[int, float] = {}
        for pid, process in now.items():
            grown_s = process.waited_s - before[pid].waited_s if pid in before else 0.0
            old_s, new_s = self._owed_s.pop(pid, 0.0), owed_s.pop(pid, 0.0)
            self._lost_s += max(old_s - grown_s, 0.0)
            left_s = new_s - max(grown_s - old_s, 0.0)
            if left_s > 0:
                still_owed_s[pid] = left_s
        self._lost_s += sum(owed_s.values())
        self._owed_s = still_owed_s


def own_workload(sysroot: str = "") -> Workload:
    """All that this process will start: by its control group where it is alone in one, else by the tree."""
    folder = cgroups.group_of_its_own(os.getpid(), sysroot)
    return OwnGroup(folder) if folder else Descendants()


def _own_pid() -> int:
    """This process's number as /proc has it, which may be that of another namespace than this process's own."""
    try:
        return int(os.readlink("/proc/self"))
    except (OSError, ValueError):
        return os.getpid()


def _ended_children_cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def tree_cpu_s(root_pid: int) -> tuple[float, frozenset[int]]:
    """(CPU seconds, processes) of the living descendants of a process, with what the children they waited for used."""
    total_s = 0.0
    pids: set[int] = set()
    waiting = _children(root_pid)
    while waiting:
        pid = waiting.pop()
        process = _read_process(pid)
        if process is not None:
            pids.add(pid)
            total_s += process.own_s + process.waited_s
            waiting += _children(pid)
    return total_s, frozenset(pids)


def _read_process(pid: int) -> _Process | None:
    fields = stat_fields(read_text(f"/proc/{pid}/stat", 1024))
    if len(fields) <= 19:
        return None
    user, system, waited_user, waited_system = (int(field) for field in fields[11:15])
    own_s, waited_s = (user + system) / TICKS_PER_S, (waited_user + waited_system) / TICKS_PER_S
    return _Process(int(fields[19]), int(fields[1]), own_s, waited_s)


def _children(pid: int) -> list[int]:
    """Children of a process; each thread lists its own."""
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return []
    return [
        int(child) for thread in threads for child in read_text(f"/proc/{pid}/task/{thread}/children", 1 << 20).split()
    ]
