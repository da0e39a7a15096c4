"""The same counters through the kernel's ``power`` performance unit, where powercap's files may not be read.

It needs CAP_PERFMON or ``kernel.perf_event_paranoid`` <= 0. The kernel adds the wraps up itself: no count goes back.
Nothing here is imported where the unit is not there.
"""

from __future__ import annotations

import os
import sys

from lowtide_sampler.accuracy import ERRORS
from lowtide_sampler.machine import package_of, read_text
from lowtide_sampler.meters import BESIDE, Discovery, Finding, MeterReading, Source, Unreadable
from lowtide_sampler.powercap import package_error
from lowtide_sampler.remedies import PERFMON, told
from lowtide_sampler.standins import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lowtide_sampler.machine import Machine

UNIT = "/sys/bus/event_source/devices/power"
_EVENTS = (
    ("energy-pkg", "perf package", "cpu"),
    ("energy-ram", "perf dram", "dram"),
    ("energy-psys", "perf psys", BESIDE),
)
_PMAX_W = 1000.0
_SYSCALL_BY_MACHINE = {"x86_64": 298, "i686": 336, "i386": 336}
_ATTR_BYTES = 64  # the structure's first version, which every kernel takes
_EVERY_PROCESS = -1
_NO_GROUP = -1
_FLAG_CLOEXEC = 8


class Kernel(Protocol):
    """The two system calls: the seam for tests."""

    def open_counter(self, event_type: int, config: int, cpu: int) -> int:
        """A descriptor that counts the event on a CPU. Raises OSError."""

    def read_counter(self, fd: int) -> int:
        """Its count since it was opened. Raises OSError."""


class LinuxKernel:
    """``perf_event_open`` by its number: the C library has no name for it."""

    def open_counter(self, event_type: int, config: int, cpu: int) -> int:
        import ctypes
        import struct

        number = _SYSCALL_BY_MACHINE.get(os.uname().machine)
        if number is None:
            raise OSError(38, "no power unit on this kind of machine")
        # type, size, config; the rest zero: count from now on, of everybody, with no sampling
        attr = ctypes.create_string_buffer(struct.pack("=IIQ", event_type, _ATTR_BYTES, config), _ATTR_BYTES)
        libc = ctypes.CDLL(None, use_errno=True)
        arguments = (attr, _EVERY_PROCESS, cpu, _NO_GROUP, ctypes.c_ulong(_FLAG_CLOEXEC))
        fd = int(libc.syscall(ctypes.c_long(number), *arguments))
        if fd < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        return fd

    def read_counter(self, fd: int) -> int:
        count = os.read(fd, 8)
        if len(count) != 8:
            raise OSError(5, f"{len(count)} bytes in the place of 8")
        return int.from_bytes(count, sys.byteorder)


class PerfMeter:
    """One event on one CPU, opened anew after it failed: it then counts from zero, which shows as a reset."""

    sample_period_s = None

    def __init__(self, kernel: Kernel, event_type: int, config: int, cpu: int, scale_j: float, source: Source) -> None:
        self.source = source
        self._kernel = kernel
        self._event = (event_type, config, cpu)
        self._scale_j = scale_j
        self._fd = -1

    def read(self) -> MeterReading:
        try:
            if self._fd < 0:
                self._fd = self._kernel.open_counter(*self._event)
            count = self._kernel.read_counter(self._fd)
        except OSError as error:
            self.close()
            repair = told(PERFMON) if isinstance(error, PermissionError) else ""
            raise Unreadable(self.source.name, f"the kernel refuses to count ({error.strerror})", repair) from error
        return MeterReading(round(1e6 * self._scale_j * count))

    def close(self) -> None:
        if self._fd >= 0:
            try:
                os.close(self._fd)
            except OSError:
                return
            finally:
                self._fd = -1


def discover(
    machine: Machine,
    sysroot: str = "",
    kernel: Kernel | None = None,
    errors: Mapping[str, float] = ERRORS,
) -> Discovery:
    """Opens the energy events of each package.

    Args:
        machine: Whose error figures hold.
        sysroot: Prefix of ``/sys`` (tests).
        kernel: Makes the system calls; None: this machine's.
        errors: One sigma by kind of source.
    """
    base = sysroot + UNIT
    event_type = read_text(f"{base}/type", 16).strip()
    if not event_type.isdecimal():
        return Discovery((), (Finding("perf", False, f"no {UNIT}"),), 1.0)
    meters: list[PerfMeter] = []
    findings: list[Finding] = []
    cpus = _one_cpu_per_counter(machine, read_text(f"{base}/cpumask", 4096), sysroot)
    missed = 0
    for event, label, component in _EVENTS:
        config, scale_j = _config(read_text(f"{base}/events/{event}", 64)), _scale_j(base, event)
        if config is None or scale_j is None:
            continue
        for package, cpu in cpus[:1] if component == BESIDE else cpus:
            error = {"cpu": package_error(machine), "dram": "rapl-dram", BESIDE: "rapl-psys"}[component]
            source = Source(
                name=f"perf:{event}:cpu{cpu}",
                label=label,
                component=component,
                kind="counter",
                pmax_w=_PMAX_W,
                error_share=errors[error],
                package=package,
            )
            meter = PerfMeter(kernel or LinuxKernel(), int(event_type), config, cpu, scale_j, source)
            try:
                meter.read()
            except Unreadable as failure:
                missed += component == "cpu"
                findings.append(Finding(source.name, False, failure.why, failure.repair))
            else:
                meters.append(meter)
                findings.append(Finding(source.name, True, f"{event} of {_place(package, cpu)}"))
    packages = sum(meter.source.component == "cpu" for meter in meters)
    missing_share = missed / (missed + packages) if missed + packages else 1.0
    return Discovery(tuple(meters), tuple(findings), missing_share)


def _place(package: int | None, cpu: int) -> str:
    return f"CPU {cpu}" if package is None else f"package {package}"


def _config(text: str) -> int | None:
    """2 of ``event=0x02``; terms that follow would choose something else than the event alone."""
    name, _, value = text.strip().partition("=")
    if name != "event" or not value:
        return None
    try:
        return int(value, 0)
    except ValueError:
        return None


def _scale_j(base: str, event: str) -> float | None:
    """Joules of one count; None where the kernel states none, or another unit."""
    if read_text(f"{base}/events/{event}.unit", 16).strip() != "Joules":
        return None
    try:
        scale_j = float(read_text(f"{base}/events/{event}.scale", 64))
    except ValueError:
        return None
    return scale_j if scale_j > 0 else None


def _one_cpu_per_counter(machine: Machine, mask: str, sysroot: str) -> list[tuple[int | None, int]]:
    """(package, CPU) to open an event on, from the unit's list of CPUs.

    Intel lists one CPU per package, or per die where each has its counter. AMD has one counter per package, and some
    kernels (6.9 to 6.10) list a CPU per die all the same: each would show the whole package.

    Source:
        Linux, commit "perf/x86/rapl: Fix the energy-pkg event for AMD CPUs", 2024.
    """
    found: list[tuple[int | None, int]] = []
    for cpu in _listed(mask):
        package = package_of(cpu, sysroot)
        is_seen = package is not None and any(package == known for known, _ in found)
        if machine.vendor == "GenuineIntel" or not is_seen:
            found.append((package, cpu))
    return found


def _listed(mask: str) -> list[int]:
    """0, 8, 9, 10 of ``0,8-10``; nothing of what is no such list."""
    cpus: list[int] = []
    for part in mask.strip().split(","):
        first, dash, last = part.partition("-")
        if first.isdecimal() and (last.isdecimal() or not dash):
            cpus += range(int(first), int(last or first) + 1)
    return cpus
