"""Intel's and AMD's RAPL counters through the kernel's powercap folders.

What is added: every top-level zone named ``package*``, and the ``dram`` zones. The memory-mapped twin of a zone counts
only where the zone itself is not there; dies that show one and the same counter count once; ``psys`` holds the packages
and is kept beside; ``core`` and ``uncore`` lie inside a package and are not read.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, NamedTuple

from lowtide_sampler.machine import read_text
from lowtide_sampler.meters import BESIDE, Discovery, Finding, MeterReading, Source, Unreadable

if TYPE_CHECKING:
    from collections.abc import Callable

    from lowtide_sampler.machine import Machine
    from lowtide_sampler.meters import Meter

_CLASS = "/sys/class/powercap"
_MIRROR_TOLERANCE_UJ = 1_000_000
_MIRROR_WAIT_S = 0.05
_BEFORE_HASWELL = frozenset({42, 45, 58, 62})

REPAIR_RIGHTS = (
    "sudo groupadd --system lowtide; sudo usermod -aG lowtide $USER; "
    "printf 'z /sys/devices/virtual/powercap/*/*/energy_uj 0440 root lowtide\\n"
    "z /sys/devices/virtual/powercap/*/*/*/energy_uj 0440 root lowtide\\n' | "
    "sudo tee /etc/tmpfiles.d/lowtide.conf; sudo systemd-tmpfiles --create lowtide.conf; then log in anew"
)
REPAIR_CONTAINER = (
    "start the container with -v /sys/class/powercap:/sys/class/powercap:ro "
    "-v /sys/devices/virtual/powercap:/sys/devices/virtual/powercap:ro"
)


class Zone(NamedTuple):
    """One folder of the powercap class; ``twin`` is the folder it would be without ``-mmio``."""

    folder: str
    path: str
    name: str
    mmio: bool

    @property
    def twin(self) -> str:
        return self.folder.replace("-mmio", "")

    @property
    def is_top_level(self) -> bool:
        return self.folder.count(":") == 1


class PowercapMeter:
    """One ``energy_uj`` file, kept open; opened anew after it failed or vanished."""

    sample_period_s = None

    def __init__(self, path: str, source: Source, zone_name: str) -> None:
        self.source = source
        self.zone_name = zone_name
        self._path = path
        self._fd = -1

    def read(self) -> MeterReading:
        try:
            if self._fd < 0:
                self._fd = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
            if os.fstat(self._fd).st_nlink == 0:  # a removed file still answers through its descriptor
                raise FileNotFoundError(2, "vanished", self._path)
            return MeterReading(int(os.pread(self._fd, 32, 0)))
        except (OSError, ValueError) as error:
            self.close()
            why = f"{self._path} gives no reading ({error})"
            raise Unreadable(self.source.name, why, repair_of(error)) from error

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def repair_of(error: Exception) -> str:
    """The command that mends an unreadable counter; never one that opens it to everybody (CVE-2020-8694)."""
    return REPAIR_RIGHTS if isinstance(error, PermissionError) else ""


def discover(machine: Machine, sysroot: str = "", sleep: Callable[[float], None] = time.sleep) -> Discovery:
    """Opens the counters of the node.

    Args:
        machine: Whose error figures hold.
        sysroot: Prefix of ``/sys`` (tests).
        sleep: Waits between the two looks at dies that may mirror one another.
    """
    try:
        folders = sorted(os.listdir(sysroot + _CLASS))
    except OSError:
        folders = []
    zones = [_zone(sysroot, folder) for folder in folders if folder.startswith("intel-rapl") and ":" in folder]
    if not zones:
        why = "a virtual machine has no counter" if machine.virtual else f"no zone in {_CLASS}"
        return Discovery((), (Finding("powercap", False, why),), 1.0)
    masked = [zone for zone in zones if not zone.name]
    if len(masked) == len(zones):
        why = f"{_CLASS} has zones and they lead nowhere: the container masks /sys/devices/virtual/powercap"
        return Discovery((), (Finding("powercap", False, why, REPAIR_CONTAINER),), 1.0)
    meters, findings = _open_zones(_without_twins(zones), machine)
    meters = _without_mirrors(meters, sleep)
    read = {meter.source.name for meter in meters}
    found = [finding for finding in findings if not finding.found or finding.name in read]
    packages = sum(meter.source.component == "cpu" for meter in meters)
    missed = sum(not finding.found and finding.why.startswith("package") for finding in findings)
    missing_share = missed / (missed + packages) if missed + packages else 1.0
    return Discovery(tuple(meters), tuple(found), missing_share)


def _zone(sysroot: str, folder: str) -> Zone:
    path = f"{sysroot}{_CLASS}/{folder}"
    return Zone(folder, path, read_text(f"{path}/name").strip(), "-mmio" in folder)


def _without_twins(zones: list[Zone]) -> list[Zone]:
    direct = {(zone.name, zone.is_top_level) for zone in zones if not zone.mmio}
    return [zone for zone in zones if not zone.mmio or (zone.name, zone.is_top_level) not in direct]


def _open_zones(zones: list[Zone], machine: Machine) -> tuple[list[PowercapMeter], list[Finding]]:
    meters: list[PowercapMeter] = []
    findings: list[Finding] = []
    for zone in zones:
        source = _source(zone, machine)
        if source is None:
            continue
        meter = PowercapMeter(f"{zone.path}/energy_uj", source, zone.name)
        try:
            meter.read()
        except Unreadable as error:
            cause = " (since kernel 5.10 root alone may read it: CVE-2020-8694)" if error.repair else ""
            findings.append(Finding(source.name, False, f"{zone.name}: {error.why}{cause}", error.repair))
        else:
            findings.append(Finding(source.name, True, zone.name))
            meters.append(meter)
    return meters, findings


def _source(zone: Zone, machine: Machine) -> Source | None:
    if zone.is_top_level and zone.name.startswith("package"):
        component, label, error_share = "cpu", "RAPL package", _package_error_share(machine)
    elif zone.name == "dram":
        component, label, error_share = "dram", "RAPL dram", 0.15
    elif zone.is_top_level and zone.name == "psys":
        component, label, error_share = BESIDE, "RAPL psys", 0.05
    else:
        return None
    range_uj = read_text(f"{zone.path}/max_energy_range_uj").strip()
    return Source(
        name=f"powercap:{zone.folder}",
        label=label,
        component=component,
        kind="counter",
        pmax_w=_pmax_w(zone.path),
        range_uj=int(range_uj) if range_uj.isdigit() and int(range_uj) > 0 else None,
        error_share=error_share,
        flags=("mmio",) if zone.mmio else (),
    )


def _pmax_w(path: str) -> float:
    """Twice the zone's long-term limit, 1 kW where it names none.

    Never below 250 W: small processors draw several times their long-term limit for half a minute.
    """
    limit = read_text(f"{path}/constraint_0_max_power_uw").strip()
    return max(2e-6 * int(limit), 250.0) if limit.isdigit() and int(limit) > 0 else 1000.0


def _package_error_share(machine: Machine) -> float:
    """One sigma of a package counter [judgement]: 5 % for Intel from Haswell on, 10 % for older ones and for AMD."""
    return 0.05 if machine.vendor == "GenuineIntel" and machine.model not in _BEFORE_HASWELL else 0.10


def _without_mirrors(meters: list[PowercapMeter], sleep: Callable[[float], None]) -> list[PowercapMeter]:
    """One of each group of dies of a package whose counters agree now and after 50 ms."""
    dies: dict[str, list[PowercapMeter]] = {}
    for meter in meters:
        package, die, _ = meter.zone_name.partition("-die-")
        if die:
            dies.setdefault(package, []).append(meter)
    pairs = [
        (kept, other)
        for group in dies.values()
        for at, kept in enumerate(group)
        for other in group[at + 1 :]
        if _agree(kept, other)
    ]
    if not pairs:
        return meters
    sleep(_MIRROR_WAIT_S)
    mirrored = {id(other) for kept, other in pairs if _agree(kept, other)}
    return [meter for meter in meters if id(meter) not in mirrored]


def _agree(one: Meter, other: Meter) -> bool:
    try:
        return abs(one.read().energy_uj - other.read().energy_uj) <= _MIRROR_TOLERANCE_UJ
    except Unreadable:
        return False
