"""CPU seconds: of the whole node, of the job and all its descendants; and the share of the node the job was given."""

from __future__ import annotations

import os
import resource
from typing import TYPE_CHECKING

from lowtide_sampler.machine import proc_root, read_text, stat_fields

if TYPE_CHECKING:
    from collections.abc import Mapping

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


class NodeUsage:
    """Busy CPU seconds of the node since it started; user, nice, system and interrupts, not idle, waiting or stolen."""

    def __init__(self, sysroot: str = "") -> None:
        self._path = proc_root(sysroot) + "/stat"

    def read_busy_cpu_s(self) -> float:
        fields = read_text(self._path, 512).partition("\n")[0].split()[1:]
        if len(fields) < 7:
            return 0.0
        user, nice, system, _idle, _iowait, irq, softirq = (int(field) for field in fields[:7])
        return (user + nice + system + irq + softirq) / _TICKS_PER_S


class JobUsage:
    """CPU seconds of everything that this process starts: children that ended (exact) and the tree that lives.

    As a child subreaper the sampler inherits every orphan of the job, so that the tree below it is the whole job.
    The figure never falls: a process that ends between the two looks is counted by the later one.
    """

    def __init__(self) -> None:
        self._before_s = _ended_children_cpu_s()
        self._seen_s = 0.0

    def read_cpu_s(self) -> float:
        now_s = _ended_children_cpu_s() - self._before_s + _living_cpu_s(os.getpid())
        self._seen_s = max(self._seen_s, now_s)
        return self._seen_s


def _ended_children_cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _living_cpu_s(root_pid: int) -> float:
    ticks = 0
    waiting = _children(root_pid)
    while waiting:
        pid = waiting.pop()
        fields = stat_fields(read_text(f"/proc/{pid}/stat", 1024))
        if len(fields) > 14:
            ticks += sum(int(field) for field in fields[11:15])  # own and waited-for children, user and system
            waiting += _children(pid)
    return ticks / _TICKS_PER_S


def _children(pid: int) -> list[int]:
    """Children of a process; each thread lists its own."""
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return []
    return [
        int(child) for thread in threads for child in read_text(f"/proc/{pid}/task/{thread}/children", 1 << 20).split()
    ]


def allocated_share(threads: int, environ: Mapping[str, str], sysroot: str = "") -> float:
    """The part of the node's CPUs that the job may use: affinity, Slurm's allotment, the container's quota; (0, 1]."""
    cpus = float(len(os.sched_getaffinity(0)))
    slurm = environ.get("SLURM_CPUS_ON_NODE", "")
    if slurm.isdigit() and int(slurm) > 0:
        cpus = min(cpus, int(slurm))
    quota, _, period = read_text(f"{sysroot}/sys/fs/cgroup/cpu.max").strip().partition(" ")
    if quota.isdigit() and period.isdigit() and int(period) > 0:
        cpus = min(cpus, int(quota) / int(period))
    return max(min(cpus / threads, 1.0), 1e-6)
