"""Which sources a node has: the meters that answer, the models for what none measures, and what would mend the rest."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from lowtide_sampler import model, nvml, powercap
from lowtide_sampler.machine import read_machine

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lowtide_sampler.machine import Machine
    from lowtide_sampler.meters import Finding, Meter, Source


class Sources(NamedTuple):
    """The sources of a run.

    Attributes:
        meters: What is read.
        models: What stands in for what is not.
        findings: Each source that was looked for.
        unreadable: Components of which a device is there and gives no reading.
    """

    machine: Machine
    meters: tuple[Meter, ...]
    models: tuple[Source, ...]
    findings: tuple[Finding, ...]
    unreadable: tuple[str, ...]

    @property
    def notes(self) -> tuple[str, ...]:
        """One sentence for each source that could be mended."""
        return tuple(
            f"{finding.why}; to mend it: {finding.repair}"
            for finding in _one_per_repair(self.findings)
            if not finding.found
        )


def find_sources(environ: Mapping[str, str], sysroot: str = "") -> Sources:
    """Opens every meter of the node and models what none of them measures."""
    machine = read_machine(sysroot)
    counters = powercap.discover(machine, sysroot)
    library, found = nvml.load_library()
    devices = nvml.discover(library, environ) if library is not None else None
    meters = counters.meters + (devices.meters if devices else ())
    unreadable = [
        name
        for name, is_missing in (
            ("cpu", any(not finding.found and finding.repair for finding in counters.findings)),
            ("gpu", bool(devices and devices.missing_share) or (library is None and os.path.exists("/dev/nvidia0"))),
        )
        if is_missing
    ]
    return Sources(
        machine=machine,
        meters=meters,
        models=choose_models(machine, {meter.source.component for meter in meters}, counters.missing_share),
        findings=(*counters.findings, found, *(devices.findings if devices else ())),
        unreadable=tuple(unreadable),
    )


def choose_models(machine: Machine, measured: set[str], missing_cpu_share: float) -> tuple[Source, ...]:
    """Models for the components that are not measured.

    The CPU's model is of watts at the wall: memory and the rest of the node are in it, and are modelled apart only
    where the CPU is measured (the rest) or exceed what the model's machines carry (memory).
    """
    models = [model.cpu_source(machine, missing_cpu_share)] if missing_cpu_share > 0 else []
    if "dram" not in measured:
        memory = model.memory_source(machine, within_cpu="cpu" not in measured)
        models += [memory] if memory else []
    if "cpu" in measured:
        models.append(model.rest_source())
    return tuple(models)


def _one_per_repair(findings: tuple[Finding, ...]) -> list[Finding]:
    by_repair: dict[str, Finding] = {}
    for finding in findings:
        if finding.repair and not finding.found:
            by_repair.setdefault(finding.repair, finding)
    return list(by_repair.values())
