"""CPU seconds of the whole node, and the shares of the node that the job was given."""

from __future__ import annotations

import os

from lowtide_sampler.machine import TICKS_PER_S, package_of, proc_root, read_text
from lowtide_sampler.standins import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lowtide_sampler.machine import Machine

_BUSY = (0, 1, 2, 5, 6)  # user, nice, system, interrupts; neither idle, nor waiting, nor stolen
_ALL = 8


class NodeReading(NamedTuple):
    """CPU seconds since the node started: busy ones, and all that its CPUs had."""

    busy_cpu_s: float
    capacity_cpu_s: float


class NodeUsage:
    """Busy and available CPU seconds of the node, or of one of its processors.

    Args:
        sysroot: Prefix of ``/proc`` and ``/sys`` (tests).
        cpus: Count these CPUs alone (those of one processor); None: all.
    """

    def __init__(self, sysroot: str = "", cpus: frozenset[int] | None = None) -> None:
        self._path = proc_root(sysroot) + "/stat"
        self._names = None if cpus is None else {f"cpu{cpu}" for cpu in cpus}

    def read(self) -> NodeReading | None:
        """The seconds so far; None where the kernel does not tell."""
        size = 512 if self._names is None else 1 << 20
        busy = capacity = seen = 0
        for line in read_text(self._path, size).splitlines():
            name, *fields = line.split()
            if not name.startswith("cpu"):
                break
            if (name == "cpu") if self._names is None else (name in self._names):
                ticks = [int(field) for field in fields[:_ALL] if field.isdecimal()]
                if len(ticks) < min(len(fields), _ALL) or len(ticks) < _ALL - 1:
                    break
                seen += 1
                busy += sum(ticks[index] for index in _BUSY)
                capacity += sum(ticks)
        return NodeReading(busy / TICKS_PER_S, capacity / TICKS_PER_S) if seen else None


class Allocation(NamedTuple):
    """What of the node the job was given.

    Attributes:
        cpus: CPUs that it may use: affinity, Slurm's allotment, the container's quota; > 0.
        memory_share: Part of the node's memory; (0, 1]; that of the CPUs where nobody limits it.
        package: The one processor that its CPUs lie on, where the node has several; None: they lie on more.
        package_cpus: The CPUs of that processor; empty where ``package`` is None.
    """

    cpus: float
    memory_share: float
    package: int | None = None
    package_cpus: frozenset[int] = frozenset()


def read_allocation(machine: Machine, environ: Mapping[str, str], sysroot: str = "", pid: int = 0) -> Allocation:
    """What a process may use of its node.

    Args:
        machine: The node.
        environ: Its SLURM_CPUS_ON_NODE, where there is one.
        sysroot: Prefix of ``/sys`` (tests).
        pid: The process; 0: this one, and so what it starts.
    """
    threads = machine.threads
    allowed = _affinity(pid)
    cpus = float(len(allowed))
    slurm = environ.get("SLURM_CPUS_ON_NODE", "")
    if slurm.isdecimal() and int(slurm) > 0:
        cpus = min(cpus, int(slurm))
    quota, _, period = read_text(f"{sysroot}/sys/fs/cgroup/cpu.max").strip().partition(" ")
    if quota.isdecimal() and period.isdecimal() and int(period) > 0:
        cpus = min(cpus, int(quota) / int(period))
    cpus = max(min(cpus, float(threads)), 1e-6)
    packages = _cpus_by_package(threads, sysroot)
    homes = [number for number, members in packages.items() if allowed & members]
    package = homes[0] if len(packages) > 1 and len(homes) == 1 else None
    return Allocation(
        cpus=cpus,
        memory_share=_memory_share(machine.memory_gb, sysroot) or cpus / threads,
        package=package,
        package_cpus=packages[package] if package is not None else frozenset(),
    )


def _affinity(pid: int) -> set[int]:
    try:
        return os.sched_getaffinity(pid)
    except OSError:  # it has just ended
        return os.sched_getaffinity(0)


def _cpus_by_package(threads: int, sysroot: str) -> dict[int, frozenset[int]]:
    packages: dict[int, set[int]] = {}
    for cpu in range(threads):
        number = package_of(cpu, sysroot)
        if number is not None:
            packages.setdefault(number, set()).add(cpu)
    return {number: frozenset(members) for number, members in packages.items()}


def _memory_share(memory_gb: float, sysroot: str) -> float | None:
    limit = read_text(f"{sysroot}/sys/fs/cgroup/memory.max", 64).strip()
    if not limit.isdecimal() or memory_gb <= 0:
        return None
    share = 1e-9 * int(limit) / memory_gb
    return share if 0 < share < 1 else None


class Nodes(NamedTuple):
    """The CPU seconds that share the energy out: of the whole node, and of the job's own processor if it has one."""

    all: NodeUsage
    home: NodeUsage | None

    @classmethod
    def of(cls, allocation: Allocation, sysroot: str = "") -> Nodes:
        home = NodeUsage(sysroot, allocation.package_cpus) if allocation.package is not None else None
        return cls(NodeUsage(sysroot), home)
