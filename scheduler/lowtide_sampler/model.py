"""What stands in where no counter can be read: power of a processor by its family, of memory by its size, of the rest.

A processor of n threads under the load u draws n·w·(r + (1 - r)·u): w watts per thread at full load, r of it at idle.
As energy that is a power at idle times the time, plus joules per busy CPU second: a model needs no reading of its own.

Source:
    SPEC, SPECpower_ssj2008 published results, list of 2026-03-09: watts at the wall per hardware thread at 100 % load,
    p10, median and p90 of the systems of a family, and the median of idle over full. The machines carry about 1 GB per
    thread, and their fans, disks and supplies are in the figure. Memory: 0.35 W/GB, between Boavizta's 0.055 W/GB + 3 W
    per module and the 0.392 W/GB of Cloud Carbon Footprint. Only a TDP known: Teads' curve, see ``teads_power_w``.
"""

from __future__ import annotations

from lowtide_sampler.meters import Source
from lowtide_sampler.standins import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from lowtide_sampler.calibration_file import Calibration
    from lowtide_sampler.machine import Machine
    from lowtide_sampler.usage import Allocation


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

# arm64 is not in the list: its few results are of one make, and Graviton's are nobody's. It is modelled as any family,
# with the flag that says so.
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
_CALIBRATED_LOW_SHARE, _CALIBRATED_HIGH_SHARE = 0.8, 1.2
_OWN_IDLE_LOW_SHARE, _OWN_IDLE_HIGH_SHARE = 0.85, 1.15

TEADS_CURVE = ((0.0, 0.12), (0.1, 0.32), (0.5, 0.75), (1.0, 1.02))
"""(load, share of the thermal design power); straight in between."""
_TDP_IDLE_SHARE, _TDP_ACTIVE_SHARE = 0.156, 0.90
_TDP_LINE_SHARE = 1.3
_TDP_LOW_SHARE, _TDP_HIGH_SHARE = 0.5, 1.5
UNKNOWN_FAMILY = "unknown_family"


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
    if family is ANY_FAMILY:
        flags.append(UNKNOWN_FAMILY)
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


def teads_power_w(tdp_w: float, load: float) -> float:
    """Power of a processor of which only the thermal design power is known, at a load of 0-1; W.

    Source:
        B. Davy, Teads Engineering, "Building an AWS EC2 Carbon Emissions Dataset", 2021: mean of measured servers.
    """
    (low, low_share), *points = TEADS_CURVE
    for high, high_share in points:
        if load <= high:
            return tdp_w * (low_share + (high_share - low_share) * (max(load, 0.0) - low) / (high - low))
        low, low_share = high, high_share
    return tdp_w * low_share


def tdp_source(machine: Machine, tdp_w: float, part: float = 1.0) -> Source:
    """Model of processors of unknown family whose thermal design power is known: the chips alone, without memory.

    A line lies within a factor 1.3 of Teads' curve at every load; that factor and the curve's own x [0.5, 1.5] make the
    band.
    """
    return Source(
        name="model:cpu",
        label="CPU model",
        component="cpu",
        kind="model",
        pmax_w=_TDP_HIGH_SHARE * tdp_w * part,
        idle_w=_TDP_IDLE_SHARE * tdp_w * part,
        active_j_per_cpu_s=_TDP_ACTIVE_SHARE * tdp_w * part / machine.threads,
        low_share=_TDP_LOW_SHARE / _TDP_LINE_SHARE,
        high_share=_TDP_HIGH_SHARE * _TDP_LINE_SHARE,
        flags=(f"thermal design power {tdp_w:.0f} W", UNKNOWN_FAMILY),
    )


def calibrated_cpu_source(machine: Machine, calibration: Calibration) -> Source | None:
    """Model of all of the node that no meter reads, at the wall, from its own idle power; None where that is not known.

    Without a reading under load, full power is idle over the family's idle share.

    Source:
        A line from the machine's own idle is 7 to 9 % off SPECpower's curves (``docs/sampler-sources.md``).
    """
    idle_w = calibration.rest_idle_w
    if idle_w is None:
        return None
    active_w, spread = calibration.rest_active_j_per_cpu_s, 1.0
    if active_w is None:
        idle_share, spread = family_of(machine).idle_share, 2.0
        active_w = idle_w * (1 / idle_share - 1) / machine.threads
    return Source(
        name="model:cpu",
        label="CPU model",
        component="cpu",
        kind="model",
        pmax_w=2 * (idle_w + active_w * machine.threads),
        idle_w=idle_w,
        active_j_per_cpu_s=active_w,
        low_share=1 - spread * (1 - _OWN_IDLE_LOW_SHARE),
        high_share=1 + spread * (_OWN_IDLE_HIGH_SHARE - 1),
        flags=("calibrated", f"by {calibration.node_meter}"),
    )


def memory_source(machine: Machine, *, within_cpu: bool, allocation: Allocation | None = None) -> Source | None:
    """Model of the memory; ``within_cpu``: the CPU is modelled too, and its figure has 1.5 GB per thread in it.

    The figure is the node's, of which a job pays for its share of the memory: so that this share comes to 0.35 W for
    each GB that the job was given beyond 1.5 GB per CPU of its own. Without an allocation the job has the whole node.

    Returns:
        None where nothing is left to count, or the size is not known.
    """
    cpus = allocation.cpus if allocation is not None else float(machine.threads)
    memory_share = allocation.memory_share if allocation is not None else 1.0
    counted_gb = machine.memory_gb - (_MEMORY_IN_CPU_GB_PER_THREAD * cpus / memory_share if within_cpu else 0.0)
    if machine.memory_gb <= 0 or counted_gb <= 0:
        return None
    power_w = _MEMORY_W_PER_GB * counted_gb
    return _constant("model:dram", "memory model", "dram", power_w, _MEMORY_LOW_SHARE, _MEMORY_HIGH_SHARE)


def rest_source(calibration: Calibration | None = None, modelled_w: float = 0.0) -> Source:
    """Supply, board, fans and disks of a node whose processor is measured: as calibrated, else 40-100 W.

    A calibrated rest holds all that no meter reads; ``modelled_w`` is what of it (memory) has a model of its own.

    Source:
        Fischer 2025, arXiv 2509.22092: wall meter less devices on one desktop, 77-98 W, nearly independent of the load.
        A calibrated one: Khan et al. 2016, at most 5.6 % of the wall's power on the machine it was fitted on; that is
        about 20 % of this rest [judgement].
    """
    if calibration is None or calibration.rest_idle_w is None:
        return _constant("model:rest", "rest of node", "rest", _REST_W, _REST_LOW_W / _REST_W, _REST_HIGH_W / _REST_W)
    rest_w = max(calibration.rest_idle_w - modelled_w, 0.0)
    low_share, high_share = _CALIBRATED_LOW_SHARE, _CALIBRATED_HIGH_SHARE
    source = _constant("model:rest", "rest of node", "rest", rest_w, low_share, high_share)
    return source._replace(
        active_j_per_cpu_s=calibration.rest_active_j_per_cpu_s or 0.0,
        flags=("calibrated", f"by {calibration.node_meter}"),
    )


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
