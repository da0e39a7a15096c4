"""Which sources a node has: the meters that answer, the models for what none measures, and what would mend the rest."""

from __future__ import annotations

import os

from lowtide_sampler import calibration_file, gpus, model, powercap
from lowtide_sampler.accuracy import read_errors
from lowtide_sampler.machine import read_machine
from lowtide_sampler.meters import BESIDE, Finding
from lowtide_sampler.standins import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lowtide_sampler.calibration_file import Calibration
    from lowtide_sampler.machine import Machine
    from lowtide_sampler.meters import Discovery, Meter, Source
    from lowtide_sampler.usage import Allocation

_INCLUDED = {"includes_memory": "dram"}
"""Flag of a processor's meter -> the component that is in its figure and is not modelled again."""


class Sources(NamedTuple):
    """The sources of a run.

    Attributes:
        meters: What is read.
        models: What stands in for what is not.
        findings: Each source that was looked for.
        unreadable: Components of which a device is there and gives no reading.
        notes: One sentence for each component that could be measured and is not.
    """

    machine: Machine
    meters: tuple[Meter, ...]
    models: tuple[Source, ...]
    findings: tuple[Finding, ...]
    unreadable: tuple[str, ...]
    notes: tuple[str, ...] = ()


class CpuSources(NamedTuple):
    """The processor's meters and its memory's, from the first kind of source that has any.

    Attributes:
        missing_share: Part of the processors that no meter reads.
        is_mendable: A counter could be read that is not, and nothing else stands in for it.
    """

    meters: tuple[Meter, ...]
    findings: tuple[Finding, ...]
    missing_share: float
    is_mendable: bool


def find_sources(
    environ: Mapping[str, str],
    sysroot: str = "",
    *,
    machine: Machine | None = None,
    allocation: Allocation | None = None,
) -> Sources:
    """Opens every meter of the node and models what none of them measures.

    Args:
        environ: Chooses GPUs, and says where settings and state are kept.
        sysroot: Prefix of ``/sys``, ``/proc`` and ``/dev`` (tests).
        machine: The node, where it is read already.
        allocation: What the job was given of it; None: all.
    """
    machine = machine or read_machine(sysroot)
    errors, trouble = read_errors(environ)
    cpu = find_cpu(machine, environ, sysroot, errors)
    platform = _platform(sysroot, errors)
    devices = gpus.discover(environ, errors)
    calibration, calibration_finding = _calibration(environ, machine)
    meters = (*cpu.meters, *devices.meters, *(platform.meters if platform else ()))
    _set_idle(meters, calibration)
    unreadable = [
        name
        for name, is_missing in (
            ("cpu", cpu.is_mendable and cpu.missing_share > 0),
            ("gpu", devices.missing_share > 0),
        )
        if is_missing
    ]
    measured = {meter.source.component for meter in meters}
    measured |= {part for meter in meters for flag, part in _INCLUDED.items() if flag in meter.source.flags}
    own = (calibration_finding, *((Finding("meter errors", False, trouble, "correct that file"),) if trouble else ()))
    return Sources(
        machine=machine,
        meters=meters,
        models=choose_models(
            machine,
            measured,
            cpu.missing_share,
            tdp_w=powercap.thermal_power_w(sysroot) if cpu.missing_share > 0 else 0.0,
            allocation=allocation,
            calibration=calibration,
        ),
        findings=(*cpu.findings, *devices.findings, *(platform.findings if platform else ()), *own),
        unreadable=tuple(unreadable),
        notes=(*_notes(cpu.findings if cpu.is_mendable else ())[:1], *_notes((*devices.findings, *own))),
    )


def find_cpu(machine: Machine, environ: Mapping[str, str], sysroot: str, errors: Mapping[str, float]) -> CpuSources:
    """Powercap, else what a virtual machine's host passes in, else perf, else hwmon: the first that has a processor."""
    tried = [powercap.discover(machine, sysroot, errors=errors)]
    if machine.virtual and not _has_cpu(tried[-1]):
        tried.append(powercap.discover_virtual(machine, environ, sysroot, errors))
    if not _has_cpu(tried[-1]) and os.path.isdir(f"{sysroot}/sys/bus/event_source/devices/power"):
        from lowtide_sampler import perf

        tried.append(perf.discover(machine, sysroot, errors=errors))
    if not _has_cpu(tried[-1]) and os.path.isdir(f"{sysroot}/sys/class/hwmon"):
        from lowtide_sampler import hwmon

        tried.append(hwmon.discover(sysroot, errors=errors))
    chosen = tried[-1] if _has_cpu(tried[-1]) else tried[0]
    meters = [meter for meter in chosen.meters if meter.source.component == "cpu"]
    for component in ("dram", BESIDE):
        having = [found for found in (chosen, *tried) if any(m.source.component == component for m in found.meters)]
        meters += [meter for meter in (having[0].meters if having else ()) if meter.source.component == component]
    findings = tuple(finding for found in tried for finding in found.findings)
    could_be_read = any(not finding.found and finding.repair for found in tried for finding in found.findings)
    is_whole = _has_cpu(chosen) and chosen.missing_share == 0 and chosen is not tried[0]
    return CpuSources(tuple(meters), findings, chosen.missing_share, could_be_read and not is_whole)


def choose_models(
    machine: Machine,
    measured: set[str],
    missing_cpu_share: float,
    *,
    tdp_w: float = 0.0,
    allocation: Allocation | None = None,
    calibration: Calibration | None = None,
) -> tuple[Source, ...]:
    """Models for the components that are not measured.

    The CPU's model is of watts at the wall: memory and the rest of the node are in it, and are modelled apart only
    where the CPU is measured (the rest) or exceed what the model's machines carry (memory). A model by thermal design
    power is of the chip alone.

    Args:
        machine: The node.
        measured: Components that meters read.
        missing_cpu_share: Part of the processors that no meter reads; 0-1.
        tdp_w: Their makers' thermal design power, for a family that the table does not have; W; 0 unknown.
        allocation: What the job was given; None: all.
        calibration: Of this node; None: there is none.
    """
    is_measured = "cpu" in measured
    own = model.calibrated_cpu_source(machine, calibration) if calibration and not is_measured else None
    by_tdp = own is None and tdp_w > 0 and model.family_of(machine) is model.ANY_FAMILY
    models: list[Source] = []
    if missing_cpu_share > 0:
        if by_tdp:
            models.append(model.tdp_source(machine, tdp_w, missing_cpu_share))
        else:
            models.append(own or model.cpu_source(machine, missing_cpu_share))
    memory = None
    if "dram" not in measured and own is None:
        memory = model.memory_source(machine, within_cpu=not is_measured and not by_tdp, allocation=allocation)
        models += [memory] if memory else []
    if (is_measured or by_tdp) and not machine.virtual:  # of a virtual machine's host nobody knows how many share it
        models.append(model.rest_source(calibration, memory.idle_w or 0.0 if memory else 0.0))
    return tuple(models)


def _has_cpu(found: Discovery) -> bool:
    return any(meter.source.component == "cpu" for meter in found.meters)


def _platform(sysroot: str, errors: Mapping[str, float]) -> Discovery | None:
    if not os.path.isdir(f"{sysroot}/sys/class/hwmon") and not os.path.exists(f"{sysroot}/dev/ipmi0"):
        return None
    from lowtide_sampler import platform_power

    return platform_power.discover(sysroot, errors=errors)


def _calibration(environ: Mapping[str, str], machine: Machine) -> tuple[Calibration | None, Finding]:
    import time

    path = calibration_file.path_of(environ, host_name())
    calibration, why = calibration_file.load(path, machine)
    if calibration is not None:
        day = time.strftime("%Y-%m-%d", time.gmtime(calibration.measured_utc_s))
        by = f", the node by {calibration.node_meter}" if calibration.node_meter else ""
        return calibration, Finding("calibration", True, f"of {day}{by}")
    if why:
        return None, Finding("calibration", False, f"{why}; it is left aside", calibration_file.REPEAT)
    return None, Finding("calibration", False, f"none of this node yet: {calibration_file.REPEAT} measures idle power")


def host_name() -> str:
    """The node's name, as journals carry it."""
    if hasattr(os, "uname"):
        return os.uname().nodename
    import platform

    return platform.node()


def _set_idle(meters: tuple[Meter, ...], calibration: Calibration | None) -> None:
    known_w = calibration.idle_w if calibration is not None else {}
    for meter in meters:
        if meter.source.name in known_w:
            meter.source = meter.source._replace(idle_w=known_w[meter.source.name])  # type: ignore[misc]


def _notes(findings: tuple[Finding, ...]) -> tuple[str, ...]:
    by_repair: dict[str, Finding] = {}
    for finding in findings:
        if finding.repair and not finding.found:
            by_repair.setdefault(finding.repair, finding)
    return tuple(f"{finding.why}; to mend it: {finding.repair}" for finding in by_repair.values())
