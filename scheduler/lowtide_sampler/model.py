"""What stands in where no counter can be read: power of a processor by its family, of memory by its size, of the rest.

A processor of n threads under the load u draws n·w·(r + (1 - r)·u): w watts per thread at full load, r of it at idle.
As energy that is a power at idle times the time, plus joules per busy CPU second: a model needs no reading of its own.

Source:
    SPEC, SPECpower_ssj2008 published results, list of 2026-03-09: watts at the wall per hardware thread at 100 % load,
    p10, median and p90 of the systems of a family, and the median of idle over full. The machines carry about 1 GB per
    thread, and their fans, disks and supplies are in the figure. Memory: 0.35 W/GB, between Boavizta's 0.055 W/GB + 3 W
    per module and the 0.392 W/GB of Cloud Carbon Footprint.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from lowtide_sampler.meters import Source

if TYPE_CHECKING:
    from lowtide_sampler.machine import Machine


class Family(NamedTuple):
    """Watts at the wall per hardware thread at full load; ``core_w`` per core; ``idle_share`` of full at idle."""

    name: str
    low_w: float
    median_w: float
    high_w: float
    idle_share: float
    core_w: float


_NAPLES = Family("EPYC 7xx1", 2.09, 2.31, 2.83, 0.32, 4.62)
_ROME = Family("EPYC 7xx2", 1.53, 1.66, 1.92, 0.25, 3.32)
_MILAN = Family("EPYC 7xx3", 1.77, 1.88, 2.21, 0.22, 3.75)
_GENOA = Family("EPYC 9xx4", 1.25, 1.53, 1.94, 0.18, 3.06)
_TURIN = Family("EPYC 9xx5", 1.11, 1.17, 1.97, 0.18, 2.36)
_CASCADE_LAKE = Family("Xeon Platinum 82xx", 3.17, 4.02, 4.43, 0.15, 8.05)
_ICE_LAKE = Family("Xeon Platinum 83xx", 3.52, 4.10, 4.78, 0.23, 8.19)
_SAPPHIRE_RAPIDS = Family("Xeon Platinum 84xx", 2.99, 3.73, 4.36, 0.21, 7.46)
_EMERALD_RAPIDS = Family("Xeon 85xx/65xx", 2.46, 3.24, 4.55, 0.25, 6.55)
_XEON_6 = Family("Xeon 6", 1.89, 2.59, 2.88, 0.26, 4.59)
ANY_FAMILY = Family("any of 2023-26", 1.18, 2.75, 4.72, 0.22, 5.5)

# (vendor, family, model) as /proc/cpuinfo has them: clouds hide the name ("AMD EPYC"), never these numbers.
FAMILIES: dict[tuple[str, int, int], Family] = {
    ("AuthenticAMD", 23, 1): _NAPLES,
    ("AuthenticAMD", 23, 49): _ROME,
    ("AuthenticAMD", 25, 1): _MILAN,
    ("AuthenticAMD", 25, 17): _GENOA,
    ("AuthenticAMD", 25, 160): _GENOA,
    ("AuthenticAMD", 26, 2): _TURIN,
    ("AuthenticAMD", 26, 17): _TURIN,
    ("GenuineIntel", 6, 85): _CASCADE_LAKE,
    ("GenuineIntel", 6, 106): _ICE_LAKE,
    ("GenuineIntel", 6, 143): _SAPPHIRE_RAPIDS,
    ("GenuineIntel", 6, 207): _EMERALD_RAPIDS,
    ("GenuineIntel", 6, 173): _XEON_6,
    ("GenuineIntel", 6, 175): _XEON_6,
}

_LINE_LOW_SHARE, _LINE_HIGH_SHARE = 0.8, 1.25
_CLOUD_LOW_SHARE, _CLOUD_HIGH_SHARE = 0.8, 1.6
_MEMORY_W_PER_GB = 0.35
_MEMORY_IN_CPU_GB_PER_THREAD = 1.5
_MEMORY_LOW_SHARE, _MEMORY_HIGH_SHARE = 0.5, 1.5
_REST_W, _REST_LOW_W, _REST_HIGH_W = 70.0, 40.0, 100.0


def family_of(machine: Machine) -> Family:
    """The family of the node's processor; ``ANY_FAMILY`` where it is none of the table."""
    return FAMILIES.get((machine.vendor, machine.family, machine.model), ANY_FAMILY)


def cpu_source(machine: Machine, part: float = 1.0) -> Source:
    """Model of ``part`` (0-1) of the node's processors, at the wall, with up to 1.5 GB of memory per thread.

    A CPU is a thread where the kernel sees two per core, else a whole core. In a virtual machine a core may be a thread
    in disguise: there the band reaches down to the thread's figure, and x [0.8, 1.6] for what the neighbours do.
    """
    family = family_of(machine)
    is_core = 0 < machine.siblings <= machine.cores
    median_w = family.core_w if is_core else family.median_w
    scale = family.core_w / family.median_w if is_core else 1.0
    low_w, high_w = family.low_w * scale * _LINE_LOW_SHARE, family.high_w * scale * _LINE_HIGH_SHARE
    flags = [f"family {family.name}"]
    if machine.virtual:
        low_w, high_w = min(low_w, family.low_w * _LINE_LOW_SHARE) * _CLOUD_LOW_SHARE, high_w * _CLOUD_HIGH_SHARE
        flags.append("virtual machine")
    full_w = machine.threads * median_w * part
    return Source(
        name="model:cpu",
        label="CPU model",
        component="cpu",
        kind="model",
        pmax_w=full_w * high_w / median_w,
        idle_w=full_w * family.idle_share,
        active_j_per_cpu_s=median_w * (1 - family.idle_share) * part,
        low_share=low_w / median_w,
        high_share=high_w / median_w,
        flags=tuple(flags),
    )


def memory_source(machine: Machine, *, within_cpu: bool) -> Source | None:
    """Model of the node's memory; ``within_cpu``: the CPU is modelled too, and its figure has 1.5 GB per thread in it.

    None where nothing is left to count, or the size is not known.
    """
    counted_gb = machine.memory_gb - (_MEMORY_IN_CPU_GB_PER_THREAD * machine.threads if within_cpu else 0.0)
    if machine.memory_gb <= 0 or counted_gb <= 0:
        return None
    power_w = _MEMORY_W_PER_GB * counted_gb
    return _constant("model:dram", "memory model", "dram", power_w, _MEMORY_LOW_SHARE, _MEMORY_HIGH_SHARE)


def rest_source() -> Source:
    """Supply, board, fans and disks of a node whose processor is measured: 40-100 W.

    Source:
        Fischer 2025, arXiv 2509.22092: wall meter less devices on one desktop, 77-98 W, nearly independent of the load.
    """
    return _constant("model:rest", "rest of node", "rest", _REST_W, _REST_LOW_W / _REST_W, _REST_HIGH_W / _REST_W)


def _constant(name: str, label: str, component: str, power_w: float, low_share: float, high_share: float) -> Source:
    return Source(
        name=name,
        label=label,
        component=component,
        kind="model",
        pmax_w=power_w * high_share,
        idle_w=power_w,
        low_share=low_share,
        high_share=high_share,
    )
