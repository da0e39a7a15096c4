"""Intel's and AMD's RAPL counters through the kernel's powercap folders.

What is added: every top-level zone named ``package*``, and the ``dram`` zones. The memory-mapped twin of a zone counts
only where the zone itself is not there or gives nothing; dies that show one and the same counter count once; ``psys``
holds the packages and is kept beside; ``core`` and ``uncore`` lie inside a package and are not read. Zones are known by
their names alone: folders are numbered in the order in which the kernel met them. ``enabled`` is not asked: it switches
the zone's power limit, not its counter.
"""

from __future__ import annotations

import os
import time

from lowtide_sampler.accuracy import ERRORS
from lowtide_sampler.machine import read_text
from lowtide_sampler.meters import BESIDE, Discovery, Finding, MeterReading, Source, Unreadable
from lowtide_sampler.remedies import CAUSE, CONTAINER, MODULE, UNREADABLE, told
from lowtide_sampler.standins import TYPE_CHECKING, NamedTuple
from lowtide_sampler.surroundings import marked_container

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lowtide_sampler.machine import Machine

_CLASS = "/sys/class/powercap"
_VIRTUAL = "/var/scaphandre"
_VIRTUAL_PMAX_W_PER_THREAD = 72.0  # 6 W, twelve times: five seconds' energy comes at once, between reads 0.5 s apart
_MIRROR_TOLERANCE_UJ = 1_000_000
_MIRROR_WAIT_S = 0.05
_BEFORE_HASWELL = frozenset({42, 45, 58, 62})


class Zone(NamedTuple):
    """One folder of the powercap class.

    Attributes:
        folder: Its name, ``intel-rapl:0`` or ``intel-rapl-mmio:0:1``.
        name: What the kernel says it is; "" where that cannot be read.
        home: Name of the top-level zone that it lies in; its own where it is one.
        dangling: The folder is listed and leads nowhere.
    """

    folder: str
    path: str
    name: str
    home: str
    dangling: bool = False

    @property
    def is_mmio(self) -> bool:
        return "-mmio" in self.folder

    @property
    def is_top_level(self) -> bool:
        return self.folder.count(":") == 1

    @property
    def component(self) -> str:
        """``cpu``, ``dram``, ``BESIDE``, or "" for what is not read."""
        if self.is_top_level and self.name.startswith("package"):
            return "cpu"
        if self.name == "dram":
            return "dram"
        return BESIDE if self.is_top_level and self.name == "psys" else ""

    @property
    def package(self) -> int | None:
        """N of ``package-N`` and ``package-N-die-M``, also for what lies in it."""
        number = self.home[len("package-") :].partition("-")[0] if self.home.startswith("package-") else ""
        return int(number) if number.isdecimal() else None

    @property
    def identity(self) -> tuple[str, str]:
        """The same for a zone and its memory-mapped twin, and for nothing else."""
        return self.home, self.name


class PowercapMeter:
    """One ``energy_uj`` file, kept open; opened anew after it failed or vanished."""

    sample_period_s = None

    def __init__(self, path: str, source: Source) -> None:
        self.source = source
        self._path = path
        self._fd = -1

    def read(self) -> MeterReading:
        try:
            if self._fd < 0:
                self._fd = os.open(self._path, os.O_RDONLY)
            if os.fstat(self._fd).st_nlink == 0:  # a removed file still answers through its descriptor
                raise FileNotFoundError(2, "vanished", self._path)
            text = os.pread(self._fd, 32, 0).strip()
            if not text.isdigit():  # empty, negative or no number at all
                raise ValueError(f"it says {text.decode(errors='replace')!r}")
            return MeterReading(int(text))
        except (OSError, ValueError) as error:
            self.close()
            said = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            why = f"{self._path} gives no reading ({said})"
            raise Unreadable(self.source.name, why, repair_of(error)) from error

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class Opened(NamedTuple):
    """A zone that was tried: its meter, or why there is none."""

    zone: Zone
    meter: PowercapMeter
    failure: Unreadable | None


def repair_of(error: Exception) -> str:
    """What mends an unreadable counter; never a command that opens it to everybody (CVE-2020-8694)."""
    return told(*UNREADABLE) if isinstance(error, PermissionError) else ""


def discover(
    machine: Machine,
    sysroot: str = "",
    sleep: Callable[[float], None] = time.sleep,
    errors: Mapping[str, float] = ERRORS,
) -> Discovery:
    """Opens the counters of the node.

    Args:
        machine: Whose error figures hold.
        sysroot: Prefix of ``/sys`` (tests).
        sleep: Waits between the two looks at dies that may mirror one another.
        errors: One sigma by kind of source.
    """
    zones = read_zones(sysroot)
    if not zones:
        return Discovery((), (_nothing(machine, sysroot),), 1.0)
    if all(zone.dangling for zone in zones):
        why = f"{_CLASS} has zones and they lead nowhere: the container masks /sys/devices/virtual/powercap"
        return Discovery((), (Finding("powercap", False, why, told(CONTAINER)),), 1.0)
    tried = _without_twins([_open(zone, machine, errors) for zone in zones if zone.component])
    read = _without_mirrors([opened for opened in tried if opened.failure is None], sleep)
    failed = [opened for opened in tried if opened.failure is not None]
    findings = [
        *(_finding(opened) for opened in (*read, *failed)),
        *(Finding(f"powercap:{zone.folder}", False, _nameless(zone)) for zone in zones if not zone.name),
    ]
    missed = sum(opened.zone.component == "cpu" for opened in failed)
    packages = sum(opened.zone.component == "cpu" for opened in read)
    missing_share = missed / (missed + packages) if missed + packages else 1.0
    return Discovery(tuple(opened.meter for opened in read), tuple(findings), missing_share)


def read_zones(sysroot: str = "") -> list[Zone]:
    """The zones of the node, whatever they are, each before those inside it; empty where there is no powercap."""
    try:
        folders = os.listdir(sysroot + _CLASS)
    except OSError:
        return []
    names: dict[str, str] = {}
    zones = []
    for folder in sorted(filter(_numbers, folders)):  # a zone comes before those inside it
        path = f"{sysroot}{_CLASS}/{folder}"
        names[folder] = read_text(f"{path}/name", 64).strip()
        home = names.get(":".join(folder.split(":")[:2]), "")
        zones.append(Zone(folder, path, names[folder], home, not os.path.isdir(path)))
    return zones


def _numbers(folder: str) -> tuple[int, ...]:
    """(0, 1) of ``intel-rapl:0:1``; () of a folder that is no zone."""
    control, *numbers = folder.split(":")
    is_zone = control.startswith("intel-rapl") and all(number.isdecimal() for number in numbers)
    return tuple(map(int, numbers)) if is_zone else ()


def thermal_power_w(sysroot: str = "") -> float:
    """Sum of the packages' long-term limits, which is what their makers call thermal design power; W; 0 if unknown.

    It stands where everybody may read it, also where the counter does not.
    """
    limits = {zone.identity: _limit_w(zone.path) for zone in read_zones(sysroot) if zone.component == "cpu"}
    return sum(limits.values()) if all(limits.values()) else 0.0


def discover_virtual(
    machine: Machine, environ: Mapping[str, str], sysroot: str = "", errors: Mapping[str, float] = ERRORS
) -> Discovery:
    """Counters that the host of a virtual machine passes into it: this machine's own share, in powercap's layout.

    Scaphandre's folder holds one ``intel-rapl:N/energy_uj`` per package, without names, rewritten every few seconds;
    ``SCAPHANDRE_POWERCAP_PATH`` says where it is mounted, if not at ``/var/scaphandre``.
    """
    base = sysroot + (environ.get("SCAPHANDRE_POWERCAP_PATH") or _VIRTUAL)
    try:
        folders = sorted(folder for folder in os.listdir(base) if len(_numbers(folder)) == 1)
    except OSError:
        return Discovery((), (), 1.0)
    meters, findings = [], []
    for folder in folders:
        source = Source(
            name=f"virtual:{folder}",
            label="virtual RAPL package",
            component="cpu",
            kind="counter",
            pmax_w=max(_VIRTUAL_PMAX_W_PER_THREAD * machine.threads, 250.0),
            error_share=errors["virtual-powercap"],
            flags=("hypervisor_share",),
        )
        meter = PowercapMeter(f"{base}/{folder}/energy_uj", source)
        try:
            meter.read()
        except Unreadable as error:
            findings.append(Finding(source.name, False, error.why, error.repair))
        else:
            meters.append(meter)
            findings.append(Finding(source.name, True, f"{base}/{folder}, written by the host"))
    return Discovery(tuple(meters), tuple(findings), 1 - len(meters) / len(folders) if folders else 1.0)


def _nothing(machine: Machine, sysroot: str) -> Finding:
    if machine.virtual:
        return Finding("powercap", False, "a virtual machine has no counter")
    if machine.vendor in ("GenuineIntel", "AuthenticAMD"):
        if marked_container(sysroot):
            return Finding("powercap", False, f"no zone in {_CLASS}: a container hides it", told(CONTAINER))
        return Finding("powercap", False, f"no zone in {_CLASS}: the driver is not loaded", told(MODULE))
    return Finding("powercap", False, f"no zone in {_CLASS}")


def _nameless(zone: Zone) -> str:
    return "the zone leads nowhere" if zone.dangling else "the zone has no name: nothing says what it measures"


def _finding(opened: Opened) -> Finding:
    failure = opened.failure
    if failure is None:
        return Finding(opened.meter.source.name, True, opened.zone.name)
    cause = f" ({CAUSE})" if failure.repair else ""
    return Finding(opened.meter.source.name, False, f"{opened.zone.name}: {failure.why}{cause}", failure.repair)


def _open(zone: Zone, machine: Machine, errors: Mapping[str, float]) -> Opened:
    meter = PowercapMeter(f"{zone.path}/energy_uj", _source(zone, machine, errors))
    try:
        meter.read()
    except Unreadable as error:
        return Opened(zone, meter, error)
    return Opened(zone, meter, None)


def _source(zone: Zone, machine: Machine, errors: Mapping[str, float]) -> Source:
    label, error = {
        "cpu": ("RAPL package", package_error(machine)),
        "dram": ("RAPL dram", "rapl-dram"),
        BESIDE: ("RAPL psys", "rapl-psys"),
    }[zone.component]
    range_uj = read_text(f"{zone.path}/max_energy_range_uj", 64).strip()
    return Source(
        name=f"powercap:{zone.folder}",
        label=label,
        component=zone.component,
        kind="counter",
        pmax_w=_pmax_w(zone.path),
        range_uj=int(range_uj) if range_uj.isdecimal() and int(range_uj) > 0 else None,
        error_share=errors[error],
        flags=("mmio",) if zone.is_mmio else (),
        package=zone.package,
    )


def _limit_w(path: str) -> float:
    limit = read_text(f"{path}/constraint_0_max_power_uw", 64).strip()
    return 1e-6 * int(limit) if limit.isdecimal() else 0.0


def _pmax_w(path: str) -> float:
    """Twice the zone's long-term limit, 1 kW where it names none.

    Never below 250 W: small processors draw several times their long-term limit for half a minute.
    """
    limit_w = _limit_w(path)
    return max(2 * limit_w, 250.0) if limit_w > 0 else 1000.0


def package_error(machine: Machine) -> str:
    """Which line of the table of errors holds for the node's package counters."""
    if machine.vendor != "GenuineIntel":
        return "rapl-package-amd"
    return "rapl-package-intel-old" if machine.model in _BEFORE_HASWELL else "rapl-package-intel"


def _without_twins(tried: list[Opened]) -> list[Opened]:
    """Of a zone and its memory-mapped twin the one that gives readings, the zone itself if both do or neither."""
    direct = {opened.zone.identity for opened in tried if not opened.zone.is_mmio}
    heard = {(opened.zone.is_mmio, opened.zone.identity) for opened in tried if opened.failure is None}

    def counts(opened: Opened) -> bool:
        identity = opened.zone.identity
        if opened.zone.is_mmio:
            return identity not in direct or ((False, identity) not in heard and opened.failure is None)
        return (False, identity) in heard or (True, identity) not in heard

    return [opened for opened in tried if counts(opened)]


def _without_mirrors(read: list[Opened], sleep: Callable[[float], None]) -> list[Opened]:
    """One of each group of dies of a package whose counters agree now and after 50 ms; their memory's likewise."""
    groups: dict[tuple[str, int | None], list[Opened]] = {}
    for opened in read:
        if opened.zone.component != BESIDE and opened.zone.package is not None:
            groups.setdefault((opened.zone.component, opened.zone.package), []).append(opened)
    pairs = [
        (kept, other)
        for group in groups.values()
        for at, kept in enumerate(group)
        for other in group[at + 1 :]
        if _agree(kept.meter, other.meter)
    ]
    if not pairs:
        return read
    sleep(_MIRROR_WAIT_S)
    mirrored = {id(other.meter) for kept, other in pairs if _agree(kept.meter, other.meter)}
    return [opened for opened in read if id(opened.meter) not in mirrored]


def _agree(one: PowercapMeter, other: PowercapMeter) -> bool:
    """Whether two counters stand within 1 J of one another, also across the end of their range."""
    try:
        apart_uj = abs(one.read().energy_uj - other.read().energy_uj)
    except Unreadable:
        return False
    if one.source.range_uj is not None:
        apart_uj = min(apart_uj, abs(one.source.range_uj - apart_uj))
    return apart_uj <= _MIRROR_TOLERANCE_UJ
