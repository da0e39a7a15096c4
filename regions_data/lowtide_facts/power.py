"""What a job's share of a node draws, where nobody has measured it: stated rules over published figures."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from lowtide_facts.tablefiles import read_table

GPU_TRAINING_SHARE = 0.76
"""Mean draw of a training run over the limit. Newkirk et al., "Empirically-Calibrated H100 Node Power Models", 2025,
arXiv 2506.14551: training draws 76 % of an H100 node's TDP. One rule for every model: the medians that others have
measured are of a third of the models, and of batch sizes and inference loads that no job here need resemble."""

GPU_HOST_CPU_LOAD = 0.3
"""Load of the host's threads while its accelerators train: an assumption."""

MEMORY_W_PER_GIB = 0.35
"""Of memory beyond what the CPU figure already holds. Cloud Carbon Footprint 0.39, Green Algorithms 0.37 W/GB."""

MEMORY_GIB_PER_THREAD = 1.5
"""Memory that the servers behind the CPU figures carry, about 1 GB per thread, and some more."""

DEFAULT_FAMILY = "any 2023-26"


@dataclass(frozen=True, slots=True)
class PowerEstimate:
    """Mean IT power of a job's share of its node; ``low_w`` and ``high_w`` bound it, ``basis`` says how it was made."""

    power_w: float
    low_w: float
    high_w: float
    basis: str
    source: str


@dataclass(frozen=True, slots=True)
class CpuFamily:
    """Wall power per hardware thread at full load over published SPECpower results: 10 %, median, 90 %; W."""

    family: str
    results: int
    w_per_thread_p10: float
    w_per_thread_median: float
    w_per_thread_p90: float
    idle_share: float


@cache
def cpu_families() -> dict[str, CpuFamily]:
    """Family -> its figures."""
    return {
        row["family"]: CpuFamily(
            family=row["family"],
            results=int(row["results"]),
            w_per_thread_p10=float(row["w_per_thread_p10"]),
            w_per_thread_median=float(row["w_per_thread_median"]),
            w_per_thread_p90=float(row["w_per_thread_p90"]),
            idle_share=float(row["idle_share"]),
        )
        for row in read_table("cpu_families")
    }


def cpu_job_power_w(vcpus: float, memory_gib: float = 0.0, load: float = 1.0) -> PowerEstimate:
    """Power of threads at a load, with their memory.

    Args:
        vcpus: Hardware threads; > 0. memory_gib: >= 0. load: 0-1.
    Notes:
        A straight line from idle to full load; published curves lie within 20-23 % of it.
    Source:
        SPECpower_ssj2008 results as of 2026-03-09, servers of 2023-26.
    """
    family = cpu_families()[DEFAULT_FAMILY]
    drawn = vcpus * (family.idle_share + (1 - family.idle_share) * load)
    memory_w = _memory_w(vcpus, memory_gib)
    return PowerEstimate(
        power_w=drawn * family.w_per_thread_median + memory_w,
        low_w=drawn * family.w_per_thread_p10 * 0.8 + memory_w * 0.8,
        high_w=drawn * family.w_per_thread_p90 * 1.25 + memory_w * 1.25,
        basis=f"modelled: {vcpus:g} threads at {100 * load:.0f} % load",
        source="SPECpower_ssj2008, servers of 2023-26",
    )


def gpu_job_power_w(
    accelerator: str, count: float, vcpus: float, memory_gib: float, *, idle_count: float = 0.0
) -> PowerEstimate:
    """Power of a training job: its accelerators, those that it holds idle, and the host.

    Args:
        accelerator: As people write it. count: accelerators that it uses. vcpus, memory_gib: of the host that it holds.
        idle_count: Accelerators that it holds and does not use: a machine is rented whole.
    Raises:
        InputError: The accelerator is unknown.
    Source:
        ``GPU_TRAINING_SHARE``; the host as ``cpu_job_power_w`` at ``GPU_HOST_CPU_LOAD``.
    """
    from lowtide_facts.accelerators import find_accelerator

    facts = find_accelerator(accelerator)
    host = cpu_job_power_w(vcpus, memory_gib, GPU_HOST_CPU_LOAD)
    idle_w = idle_count * facts.idle_w
    idle = f", {idle_count:g} idle" if idle_count else ""
    return PowerEstimate(
        power_w=count * GPU_TRAINING_SHARE * facts.tdp_w + idle_w + host.power_w,
        low_w=(count + idle_count) * facts.idle_w + host.low_w,
        high_w=count * facts.tdp_w + 2 * idle_w + host.high_w,
        basis=(
            f"modelled: {count:g} x {facts.name} at {GPU_TRAINING_SHARE:.0%} of {facts.tdp_w:g} W{idle}, "
            f"and {vcpus:g} threads at {GPU_HOST_CPU_LOAD:.0%} load"
        ),
        source="arXiv 2506.14551; SPECpower_ssj2008",
    )


def machine_power_w(
    accelerator: str, count: float, machine_count: float, vcpus: float | None, memory_gib: float | None
) -> PowerEstimate:
    """Power of a machine that a job holds whole and of whose accelerators it uses ``count``.

    A machine with a part of an accelerator is that part. Where the host's size is not listed, it is what machines with
    this accelerator usually have for each.
    """
    from lowtide_facts.accelerators import usual_host

    usual_vcpus, usual_memory_gib = usual_host(accelerator)
    return gpu_job_power_w(
        accelerator,
        count,
        usual_vcpus * machine_count if vcpus is None else vcpus,
        usual_memory_gib * machine_count if memory_gib is None else memory_gib,
        idle_count=max(0.0, machine_count - count),
    )


def _memory_w(vcpus: float, memory_gib: float) -> float:
    return MEMORY_W_PER_GIB * max(0.0, memory_gib - MEMORY_GIB_PER_THREAD * vcpus)
