"""Processors' energy and power through the kernel's hardware monitoring folders, where RAPL has no readings.

``amd_energy`` counts: one input per socket is added, those of the cores lie inside it. NVIDIA Grace tells its power by
ACPI meters whose rails lie within one another, of which one per socket is taken. Monitor chips on a board (INA219 to
INA3221 and their like) count only where the board's maker labelled the rail as the processor's.
"""

from __future__ import annotations

import os
import time

from lowtide_sampler.accuracy import ERRORS
from lowtide_sampler.machine import read_text
from lowtide_sampler.meters import BESIDE, Discovery, Finding, MeterReading, Source, Unreadable
from lowtide_sampler.power_sum import SampledMeter
from lowtide_sampler.remedies import CAUSE, HWMON_GROUP, told
from lowtide_sampler.standins import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lowtide_sampler.meters import Meter

CLASS = "/sys/class/hwmon"
_ACPI_METER = "power_meter"
_GRACE_RAILS = ("CPU Power Socket ", "Grace Power Socket ", "Module Power Socket ")
_GRACE_PMAX_W = 1000.0
_CHIP_PMAX_W = 500.0
_CHIPS = ("ina", "ltc", "max", "adm1", "pac1")

INCLUDES_MEMORY, INCLUDES_GPU = "includes_memory", "includes_gpu"
"""Flags of a processor's figure that holds what is otherwise a component of its own."""


class Sensor(NamedTuple):
    """One power sensor of a folder.

    Attributes:
        name: Unique on the node, ``hwmon2:power1``.
        label: What the maker calls it; "" where nobody says.
        files: ``power*`` alone (µW), or voltage and current (mV and mA).
        is_on: No ``*_enable`` beside it says 0.
        window_s: Time over which the sensor averages.
    """

    name: str
    label: str
    files: tuple[str, ...]
    is_on: bool = True
    window_s: float = 0.0

    def read_power_w(self) -> float:
        """Raises OSError or ValueError."""
        values = [_read_number(path) for path in self.files]
        return 1e-6 * values[0] * (values[1] if len(values) > 1 else 1)


class CounterMeter:
    """An ``energy*_input`` file: microjoules since the driver was loaded."""

    sample_period_s = None

    def __init__(self, path: str, source: Source) -> None:
        self.source = source
        self._path = path

    def read(self) -> MeterReading:
        try:
            energy_uj = _read_number(self._path)
            if energy_uj < 0:
                raise ValueError(f"it says {energy_uj}")
        except (OSError, ValueError) as error:
            repair = told(HWMON_GROUP) if isinstance(error, PermissionError) else ""
            cause = f"; {CAUSE}" if repair else ""
            said = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            raise Unreadable(self.source.name, f"{self._path} gives no reading ({said}{cause})", repair) from error
        return MeterReading(energy_uj)


def discover(
    sysroot: str = "",
    monotonic_s: Callable[[], float] = time.monotonic,
    errors: Mapping[str, float] = ERRORS,
) -> Discovery:
    """Opens the processor's sensors: counters if there are any, else power sensors.

    Args:
        sysroot: Prefix of ``/sys`` (tests).
        monotonic_s: Clock of the power sensors.
        errors: One sigma by kind of source.
    """
    folders = chip_folders(sysroot)
    candidates = (
        _amd_energy(folders, errors) or _grace(folders, errors, monotonic_s) or _chips(folders, errors, monotonic_s)
    )
    meters: list[Meter] = []
    findings: list[Finding] = []
    missed = 0
    for meter, why in candidates:
        try:
            meter.read()
        except Unreadable as error:
            missed += meter.source.component == "cpu"
            findings.append(Finding(meter.source.name, False, error.why, error.repair))
        else:
            meters.append(meter)
            findings.append(Finding(meter.source.name, True, why))
    findings += _left_out(folders)
    packages = sum(meter.source.component == "cpu" for meter in meters)
    missing_share = missed / (missed + packages) if missed + packages else 1.0
    return Discovery(tuple(meters), tuple(findings), missing_share)


def chip_folders(sysroot: str = "") -> dict[str, str]:
    """Path of each monitoring folder -> its chip's name, in the order of their numbers."""
    base = sysroot + CLASS
    try:
        folders = sorted(os.listdir(base), key=lambda name: (len(name), name))
    except OSError:
        return {}
    return {f"{base}/{folder}": read_text(f"{base}/{folder}/name", 64).strip() for folder in folders}


def acpi_sensor(folder: str) -> Sensor | None:
    """The sensor of an ACPI power meter, whose files older kernels keep in ``device``; None where it gives no power."""
    for base in (folder, f"{folder}/device"):
        if os.path.exists(f"{base}/power1_average"):
            interval_ms = read_text(f"{base}/power1_average_interval", 16).strip()
            label = read_text(f"{base}/power1_oem_info", 128).strip() or read_text(f"{base}/power1_label", 128).strip()
            window_s = min(1e-3 * int(interval_ms), 2.0) if interval_ms.isdecimal() else 0.0
            return Sensor(f"{os.path.basename(folder)}:power1", label, (f"{base}/power1_average",), True, window_s)
    return None


def is_grace(sensor: Sensor) -> bool:
    """Whether an ACPI meter is one of a Grace socket's rails."""
    return sensor.label.startswith((*_GRACE_RAILS, "SysIO Power Socket "))


def _amd_energy(folders: Mapping[str, str], errors: Mapping[str, float]) -> list[tuple[Meter, str]]:
    found: list[tuple[Meter, str]] = []
    for folder, chip in folders.items():
        if chip != "amd_energy":
            continue
        for index in _indices(folder, "energy", "_input"):
            label = read_text(f"{folder}/energy{index}_label", 64).strip()
            socket = label[len("Esocket") :]
            if not label.startswith("Esocket") or not socket.isdecimal():
                continue  # Ecore000 and its like lie within the socket
            source = Source(
                name=f"{os.path.basename(folder)}:energy{index}",
                label="amd_energy socket",
                component="cpu",
                kind="counter",
                error_share=errors["amd-energy"],
                package=int(socket),
            )
            found.append((CounterMeter(f"{folder}/energy{index}_input", source), label))
    return found


def _grace(
    folders: Mapping[str, str], errors: Mapping[str, float], monotonic_s: Callable[[], float]
) -> list[tuple[Meter, str]]:
    """One rail per socket: the CPU's, else the socket's with its memory; the module's, which has the GPU in it, beside.

    Source:
        NVIDIA, Grace Performance Tuning Guide, "Power Telemetry": module > Grace > CPU and SysIO.
    """
    by_socket: dict[int, dict[str, Sensor]] = {}
    for folder, chip in folders.items():
        sensor = acpi_sensor(folder) if chip == _ACPI_METER else None
        if sensor is None:
            continue
        for rail in _GRACE_RAILS:
            socket = sensor.label[len(rail) :]
            if sensor.label.startswith(rail) and socket.isdecimal():
                by_socket.setdefault(int(socket), {}).setdefault(rail, sensor)
    found: list[tuple[Meter, str]] = []
    cpu_rail, socket_rail, module_rail = _GRACE_RAILS
    for number, rails in sorted(by_socket.items()):
        chosen = rails.get(cpu_rail) or rails.get(socket_rail)
        if chosen is not None:
            flags = () if cpu_rail in rails else (INCLUDES_MEMORY,)
            source = _power_source(chosen, "Grace power", "cpu", errors["grace-cpu"], _GRACE_PMAX_W, flags, number)
            found.append((_sampled_meter(source, chosen, monotonic_s), chosen.label))
        if module_rail in rails:
            module = rails[module_rail]
            source = _power_source(module, "Grace module", BESIDE, errors["grace-cpu"], 2 * _GRACE_PMAX_W, (), number)
            found.append((_sampled_meter(source, module, monotonic_s), module.label))
    return found if any(meter.source.component == "cpu" for meter, _ in found) else []


def _chips(
    folders: Mapping[str, str], errors: Mapping[str, float], monotonic_s: Callable[[], float]
) -> list[tuple[Meter, str]]:
    found: list[tuple[Meter, str]] = []
    for sensor in chip_sensors(folders):
        component = _rail(sensor.label)
        if not component or not sensor.is_on:
            continue
        flags = (INCLUDES_GPU,) if component == "cpu" and "GPU" in sensor.label.upper() else ()
        label = "board sensor" if component == "cpu" else "board input"
        source = _power_source(sensor, label, component, errors["ina-cpu"], _CHIP_PMAX_W, flags, None)
        found.append((_sampled_meter(source, sensor, monotonic_s), sensor.label))
    return found if any(meter.source.component == "cpu" for meter, _ in found) else []


def _left_out(folders: Mapping[str, str]) -> list[Finding]:
    """Sensors that are there and are not counted, with the reason."""
    findings = []
    for sensor in chip_sensors(folders):
        if not sensor.label:
            findings.append(
                Finding(sensor.name, False, "a power sensor without a label: nothing says what it measures")
            )
        elif _rail(sensor.label) == "cpu" and not sensor.is_on:
            findings.append(Finding(sensor.name, False, f"{sensor.label} is switched off ({sensor.files[0]})"))
    return findings


def chip_sensors(folders: Mapping[str, str]) -> list[Sensor]:
    """Power sensors of the monitor chips: ``power*`` where there is one, else the pairs of voltage and current."""
    sensors: list[Sensor] = []
    for folder, chip in folders.items():
        if not chip.startswith(_CHIPS):
            continue
        board_label = read_text(f"{folder}/label", 128).strip()
        number = os.path.basename(folder)
        powers = _indices(folder, "power", "_input")
        for index in powers or [i for i in _indices(folder, "curr", "_input") if _voltage_of(folder, i)]:
            kinds = ("power",) if powers else ("in", "curr")
            labels = [read_text(f"{folder}/{kind}{index}_label", 128).strip() for kind in kinds]
            files = tuple(f"{folder}/{kind}{index}_input" for kind in kinds)
            is_on = all(read_text(f"{folder}/{kind}{index}_enable", 8).strip() != "0" for kind in kinds)
            sensors.append(Sensor(f"{number}:{kinds[0]}{index}", next(filter(None, labels), board_label), files, is_on))
    return sensors


def _voltage_of(folder: str, index: int) -> bool:
    return os.path.exists(f"{folder}/in{index}_input")


def _rail(label: str) -> str:
    """``cpu`` for the processor's rail, ``BESIDE`` for the whole board's, "" for any other.

    Makers write ``VDD_CPU``, ``VDD_CPU_CV``, ``VDD_CPU_GPU_CV``, ``CPU``; ``VDD_IN`` feeds the whole board.
    """
    words = label.upper().replace("-", "_").replace(" ", "_").split("_")
    if "CPU" in words or any(word.startswith("CPU") and word[3:].isdecimal() for word in words):
        return "cpu"
    return BESIDE if words == ["VDD", "IN"] else ""


def _power_source(
    sensor: Sensor,
    label: str,
    component: str,
    error_share: float,
    pmax_w: float,
    flags: tuple[str, ...],
    package: int | None,
) -> Source:
    return Source(
        name=sensor.name,
        label=label,
        component=component,
        kind="power",
        pmax_w=pmax_w,
        error_share=error_share,
        flags=flags,
        package=package,
    )


def _sampled_meter(source: Source, sensor: Sensor, monotonic_s: Callable[[], float]) -> SampledMeter:
    return SampledMeter(source, sensor.read_power_w, window_s=sensor.window_s, monotonic_s=monotonic_s)


def _indices(folder: str, kind: str, suffix: str) -> list[int]:
    """1, 2 of ``power1_input``, ``power2_input``."""
    try:
        names = os.listdir(folder)
    except OSError:
        return []
    numbers = [name[len(kind) : -len(suffix)] for name in names if name.startswith(kind) and name.endswith(suffix)]
    return sorted(int(number) for number in numbers if number.isdecimal())


def _read_number(path: str) -> int:
    """Raises OSError or ValueError."""
    fd = os.open(path, os.O_RDONLY)
    try:
        return int(os.read(fd, 32))
    finally:
        os.close(fd)
