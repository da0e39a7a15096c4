"""A driver's library that plays devices of known power, for tests and benches that have no device.

    library = fake_nvml.build(folder)                        # needs a C compiler; NoCompiler without one
    config = fake_nvml.write_config(folder / "gpus", [fake_nvml.Device(power_w=400.0)])
    subprocess.run(command, env={**os.environ, **fake_nvml.environment(library, config)})
    config.energy_j(0, begin_monotonic_s, end_monotonic_s)   # the truth

Within a process: ``with fake_nvml.loaded(library, config) as clock`` gives a started ``pynvml`` on top of it, whose
time stands still until ``clock.set_s`` moves it. The configuration may be written anew at any time.
"""

from __future__ import annotations

import ctypes
import dataclasses
import math
import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

LIBRARY = "libnvidia-ml.so.1"
NOT_SUPPORTED, NO_PERMISSION, DRIVER_NOT_LOADED, GPU_IS_LOST = 3, 4, 9, 15
_SOURCE = Path(__file__).parent / "nvml" / "fake_nvml.c"
_FAR_S = math.inf


class NoCompiler(Exception):
    """There is no C compiler: tests skip, saying so."""


@dataclasses.dataclass(frozen=True, slots=True)
class Process:
    """A user of a device.

    Attributes:
        pid: As the list of running processes names it.
        sm_pct: Its use of the compute units; %.
        util_pid: As the utilisation samples name it; None: the same. (Driver 560 names it in another pid namespace.)
        visible: Whether the list has it.
        mps: A client of MPS: in the list of those only.
        from_s, until_s: Since the configuration's start; s.
    """

    pid: int
    sm_pct: int = 100
    util_pid: int | None = None
    visible: bool = True
    mps: bool = False
    from_s: float = 0.0
    until_s: float = _FAR_S


@dataclasses.dataclass(frozen=True, slots=True)
class Slice:
    """A MIG device."""

    uuid: str
    gpu_instance: int
    compute_instance: int
    gpu_slices: int
    compute_slices: int


@dataclasses.dataclass(frozen=True, slots=True)
class Device:
    """One device; its power is constant, or a square wave that begins high.

    Attributes:
        power_w: Power, or the wave's high one; W.
        low_w, period_s, high_share: The wave; ``high_share`` 1 is constant power.
        window_s: PowerUsage is the mean of this time; 0: of the instant.
        granularity_s: The energy counter moves in steps of this time.
        has_counter, has_instant, has_usage: What is supported: TotalEnergyConsumption, field 186, PowerUsage.
        counter_stuck: The counter answers and never moves.
        counter_error: What TotalEnergyConsumption answers where it is not there; 0: not supported.
        counter_reset_s: When the counter starts again at zero.
        lost_from_s, lost_until_s: When the device is lost (error 15).
        forbidden: Counted, and no handle is given (a device of another control group).
        utilization_pct: Of a device without ``processes``; with them, their sum.
        samples_kept: Utilisation samples the driver keeps per process, one each ``sample_period_s``.
        mig_mode, max_slices, slices: MIG.
    """

    power_w: float = 400.0
    low_w: float = 0.0
    period_s: float = 1.0
    high_share: float = 1.0
    name: str = "NVIDIA H100 80GB HBM3"
    uuid: str | None = None
    minor: int | None = None
    architecture: int = 9
    cores: int = 16896
    clock_megahertz: int = 1980
    limit_w: float = 700.0
    window_s: float = 0.0
    granularity_s: float = 0.1
    counter_offset_j: float = 0.0
    has_counter: bool = True
    has_instant: bool = True
    has_usage: bool = True
    has_processes: bool = True
    has_process_utilization: bool = True
    has_utilization: bool = True
    counter_stuck: bool = False
    counter_error: int = 0
    counter_reset_s: float = _FAR_S
    lost_from_s: float = _FAR_S
    lost_until_s: float = _FAR_S
    forbidden: bool = False
    utilization_pct: int = 100
    samples_kept: int = 1
    sample_period_s: float = 0.2
    mig_mode: bool = False
    max_slices: int = 7
    processes: tuple[Process, ...] = ()
    slices: tuple[Slice, ...] = ()

    def energy_j(self, t_s: float) -> float:
        """Energy from the configuration's start to ``t_s``; J."""
        if self.high_share >= 1.0:
            return self.power_w * t_s
        if t_s < 0:
            return self.low_w * t_s
        periods, rest_s = divmod(t_s, self.period_s)
        high_s = self.high_share * self.period_s
        in_high_s = min(rest_s, high_s)
        per_period_j = self.power_w * high_s + self.low_w * (self.period_s - high_s)
        return periods * per_period_j + self.power_w * in_high_s + self.low_w * (rest_s - in_high_s)


@dataclasses.dataclass(frozen=True, slots=True)
class Config:
    """A written configuration: where it is, when its time 0 was, and what it says."""

    path: Path
    start_s: float
    devices: tuple[Device, ...]

    def energy_j(self, index: int, begin_monotonic_s: float, end_monotonic_s: float) -> float:
        """What one device truly used between two times of ``time.monotonic()``; J."""
        device = self.devices[index]
        return device.energy_j(end_monotonic_s - self.start_s) - device.energy_j(begin_monotonic_s - self.start_s)


def build(folder: Path) -> Path:
    """Compiles the library into a folder (once); returns its path.

    Raises:
        NoCompiler: Neither cc nor gcc is there.
    """
    library = Path(folder) / LIBRARY
    if library.exists():
        return library
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise NoCompiler("no C compiler (cc or gcc): the fake driver's library cannot be built")
    folder.mkdir(parents=True, exist_ok=True)
    beside = library.with_suffix(f".{os.getpid()}")
    options = ["-O2", "-shared", "-fPIC", f"-Wl,-soname,{LIBRARY}"]
    subprocess.run([compiler, *options, "-o", str(beside), str(_SOURCE), "-lm"], check=True)
    beside.replace(library)
    return library


def write_config(
    path: Path,
    devices: Sequence[Device],
    *,
    start_s: float | None = None,
    init_error: int = 0,
    all_error: int = 0,
    uninitialized_from_s: float = _FAR_S,
) -> Config:
    """Writes the devices atomically.

    Args:
        start_s: Time 0 on the scale of ``time.monotonic()``; default: now.
        init_error, all_error: What nvmlInit, or every call after it, answers; 0: success.
        uninitialized_from_s: From when on the driver is a newly loaded one: calls fail until nvmlInit is called again.
    """
    start_s = time.monotonic() if start_s is None else start_s
    lines = [
        f"start_s {start_s!r}",
        f"init_error {init_error}",
        f"all_error {all_error}",
        f"uninitialized_from_s {uninitialized_from_s!r}",
    ]
    for index, device in enumerate(devices):
        lines += [f"device {index}", *_device_lines(device)]
    beside = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    beside.write_text("\n".join(lines) + "\n")
    beside.replace(path)
    return Config(path, start_s, tuple(devices))


_WORDS = (
    "name", "uuid", "minor", "architecture", "cores", "clock_megahertz", "limit_w", "window_s", "granularity_s",
    "counter_offset_j", "has_counter", "has_instant", "has_usage", "has_processes", "has_process_utilization",
    "has_utilization", "counter_stuck", "counter_error", "counter_reset_s", "lost_from_s", "lost_until_s", "forbidden",
    "utilization_pct", "samples_kept", "sample_period_s", "mig_mode", "max_slices",
)  # fmt: skip


def _device_lines(device: Device) -> list[str]:
    lines = [f" power_w {device.power_w!r} {device.low_w!r} {device.period_s!r} {device.high_share!r}"]
    for word in _WORDS:
        value = getattr(device, word)
        if value is not None:
            lines.append(f" {word} {int(value) if isinstance(value, bool) else value}")
    for process in device.processes:
        util_pid = process.pid if process.util_pid is None else process.util_pid
        words = (process.pid, util_pid, process.sm_pct, int(process.visible), int(process.mps))
        lines.append(f" process {' '.join(map(str, words))} {process.from_s!r} {process.until_s!r}")
    lines += [
        f" slice {s.uuid} {s.gpu_instance} {s.compute_instance} {s.gpu_slices} {s.compute_slices}"
        for s in device.slices
    ]
    return lines


def environment(library: Path, config: Config) -> dict[str, str]:
    """Variables under which a new process finds the library."""
    folders = [str(library.parent), os.environ.get("LD_LIBRARY_PATH", "")]
    return {"LD_LIBRARY_PATH": ":".join(filter(None, folders)), "FAKE_NVML_CONFIG": str(config.path)}


class SetClock:
    """The library's time, moved by hand: s since the configuration's start."""

    def __init__(self, library: Any) -> None:
        self._library = library
        self._library.fakeNvmlSetTime.argtypes = [ctypes.c_double]
        self.now_s = 0.0
        self.set_s(0.0)

    def set_s(self, now_s: float) -> None:
        """Moves the time; negative: back to the machine's own clock."""
        self.now_s = now_s
        self._library.fakeNvmlSetTime(now_s)

    def advance_s(self, by_s: float) -> None:
        self.set_s(self.now_s + by_s)


@contextmanager
def loaded(library: Path, config: Config) -> Iterator[SetClock]:
    """Makes the library the one that ``pynvml`` loads in this process, on a clock moved by hand."""
    import pynvml

    before = os.environ.get("FAKE_NVML_CONFIG")
    os.environ["FAKE_NVML_CONFIG"] = str(config.path)
    handle = ctypes.CDLL(str(library))  # its soname is the name that pynvml asks for: dlopen gives it this one
    clock = SetClock(handle)
    pynvml.nvmlLib = None
    pynvml._nvmlGetFunctionPointer_cache.clear()
    try:
        yield clock
    finally:
        clock.set_s(-1.0)
        handle.nvmlShutdown()
        pynvml.nvmlLib = None
        pynvml._nvmlGetFunctionPointer_cache.clear()
        if before is None:
            del os.environ["FAKE_NVML_CONFIG"]
        else:
            os.environ["FAKE_NVML_CONFIG"] = before
