"""The job as a set of processes: the CPU seconds that it used, and who they are."""

from __future__ import annotations

import os
import resource
from typing import NamedTuple, Protocol

from lowtide_sampler.machine import read_text, stat_fields

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


class WorkloadReading(NamedTuple):
    """CPU seconds used since the run began, and the processes alive now."""

    cpu_s: float
    pids: frozenset[int]


class Workload(Protocol):
    """What is measured: a command's descendants, a process that ran before us, a control group."""

    def read(self) -> WorkloadReading:
        """CPU seconds and processes of this instant; the seconds never fall."""
        ...


class Descendants:
    """Everything that this process starts: children that ended (exact) and the tree that lives.

    As a child subreaper the sampler inherits every orphan of the job, so that the tree below it is the whole job.
    The figure never falls: a process that ends between the two looks is counted by the later one.
    """

    def __init__(self) -> None:
        self._before_s = _ended_children_cpu_s()
        self._seen_s = 0.0

    def read(self) -> WorkloadReading:
        living_s, pids = tree_cpu_s(os.getpid())
        self._seen_s = max(self._seen_s, _ended_children_cpu_s() - self._before_s + living_s)
        return WorkloadReading(self._seen_s, pids)


def _ended_children_cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def tree_cpu_s(root_pid: int) -> tuple[float, frozenset[int]]:
    """(CPU seconds, processes) of the living descendants of a process, with what the children they waited for used."""
    ticks = 0
    pids: set[int] = set()
    waiting = _children(root_pid)
    while waiting:
        pid = waiting.pop()
        fields = stat_fields(read_text(f"/proc/{pid}/stat", 1024))
        if len(fields) > 14:
            pids.add(pid)
            ticks += sum(int(field) for field in fields[11:15])  # own and waited-for children, user and system
            waiting += _children(pid)
    return ticks / _TICKS_PER_S, frozenset(pids)


def _children(pid: int) -> list[int]:
    """Children of a process; each thread lists its own."""
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return []
    return [
        int(child) for thread in threads for child in read_text(f"/proc/{pid}/task/{thread}/children", 1 << 20).split()
    ]
