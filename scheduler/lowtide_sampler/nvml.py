"""NVIDIA's devices through nvidia-ml-py, which is imported only where the driver's library can be loaded."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from lowtide_sampler.meters import Discovery, Finding, MeterReading, Source, Unreadable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

_POWER_INSTANT_FIELD = 186
_LIBRARY = "libnvidia-ml.so.1"
_SLICES_OF_A_DEVICE = 7
_SAMPLE_PERIOD_S = 0.2
_HELD_AT_MOST_S = 2.0


class EnergyMeter:
    """A device with an energy counter (Volta and later)."""

    sample_period_s = None

    def __init__(self, nvml: Any, handle: Any, source: Source) -> None:
        self.source = source
        self._nvml = nvml
        self._handle = handle

    def read(self) -> MeterReading:
        try:
            energy_millijoule = int(self._nvml.nvmlDeviceGetTotalEnergyConsumption(self._handle))
        except self._nvml.NVMLError as error:
            raise Unreadable(self.source.name, str(error)) from error
        return MeterReading(1000 * energy_millijoule)


class PowerMeter:
    """A device that tells only its power: read often, at uneven times, and summed as steps.

    A reading is held until the next one: between two readings a trapezoid would invent a slope, and even times would
    fall into step with the load.
    """

    sample_period_s = _SAMPLE_PERIOD_S

    def __init__(self, nvml: Any, handle: Any, source: Source, monotonic_s: Callable[[], float]) -> None:
        self.source = source
        self._nvml = nvml
        self._handle = handle
        self._monotonic_s = monotonic_s
        self._energy_uj = 0.0
        self._held: tuple[float, float] | None = None

    def read(self) -> MeterReading:
        now_s = self._monotonic_s()
        try:
            power_w = read_power_w(self._nvml, self._handle)
        except self._nvml.NVMLError as error:
            self._held = None
            raise Unreadable(self.source.name, str(error)) from error
        if self._held is not None:
            held_w, since_s = self._held
            if now_s - since_s > _HELD_AT_MOST_S:  # the node slept, or so did we: not a time to hold a value for
                self._held = (power_w, now_s)
                raise Unreadable(self.source.name, f"not read for {now_s - since_s:.1f} s")
            self._energy_uj += 1e6 * held_w * (now_s - since_s)
        self._held = (power_w, now_s)
        return MeterReading(round(self._energy_uj))


def read_power_w(nvml: Any, handle: Any) -> float:
    """Power of a device now: the instantaneous field where the driver has it, else the (often averaged) usage."""
    field = nvml.nvmlDeviceGetFieldValues(handle, [_POWER_INSTANT_FIELD])[0]
    if field.nvmlReturn == nvml.NVML_SUCCESS:
        return 1e-3 * float(field.value.uiVal)
    return 1e-3 * float(nvml.nvmlDeviceGetPowerUsage(handle))


def load_library() -> tuple[Any | None, Finding]:
    """The started ``pynvml`` module, or None, and what was found."""
    import ctypes

    try:
        ctypes.CDLL(_LIBRARY)
    except OSError:
        if os.path.exists("/dev/nvidia0"):
            return None, Finding("nvml", False, f"/dev/nvidia0 is there and {_LIBRARY} cannot be loaded")
        return None, Finding("nvml", False, "no NVIDIA driver on this node")
    try:
        import pynvml
    except ImportError:
        return None, Finding("nvml", False, "the module pynvml is not installed", "pip install nvidia-ml-py")
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        return None, Finding("nvml", False, f"the driver does not start: {error}", "nvidia-smi")
    return pynvml, Finding("nvml", True, "nvidia-ml-py")


def discover(nvml: Any, environ: Mapping[str, str], monotonic_s: Callable[[], float] = time.monotonic) -> Discovery:
    """Meters of the devices that the job may see.

    Args:
        nvml: A started ``pynvml``, or what answers like it.
        environ: Its CUDA_VISIBLE_DEVICES, SLURM_STEP_GPUS or SLURM_JOB_GPUS chooses the devices; all without them.
        monotonic_s: Clock of the devices that tell only their power.
    """
    meters: list[EnergyMeter | PowerMeter] = []
    findings: list[Finding] = []
    chosen = _visible(nvml, environ)
    for index, handle, job_share, flags in chosen:
        name = f"nvml:{index}"
        try:
            meter = _open(nvml, handle, name, job_share, flags, monotonic_s)
        except (nvml.NVMLError, Unreadable) as error:
            findings.append(Finding(name, False, str(error)))
        else:
            meters.append(meter)
            findings.append(Finding(name, True, meter.source.label))
    missing_share = 1 - len(meters) / len(chosen) if chosen else 0.0
    return Discovery(tuple(meters), tuple(findings), missing_share)


def _open(
    nvml: Any, handle: Any, name: str, job_share: float, flags: tuple[str, ...], monotonic_s: Callable[[], float]
) -> EnergyMeter | PowerMeter:
    source = Source(
        name=name,
        label="NVML counter",
        component="gpu",
        kind="counter",
        pmax_w=_pmax_w(nvml, handle),
        error_share=0.05,
        job_share=job_share,
        flags=flags,
    )
    meter: EnergyMeter | PowerMeter = EnergyMeter(nvml, handle, source)
    try:
        meter.read()
    except Unreadable:
        # 10 % [judgement]: the sensor's 5 %, and as much again for what happens between two samples.
        power = source._replace(label="NVML power", kind="power", error_share=0.10)
        meter = PowerMeter(nvml, handle, power, monotonic_s)
        meter.read()
    return meter


def _pmax_w(nvml: Any, handle: Any) -> float:
    try:
        return 1.3e-3 * float(nvml.nvmlDeviceGetEnforcedPowerLimit(handle))
    except nvml.NVMLError:
        return 1000.0


def _visible(nvml: Any, environ: Mapping[str, str]) -> list[tuple[str, Any, float, tuple[str, ...]]]:
    """(index or UUID, handle, share, flags) of each device; a list ends at its first unknown name, as CUDA's does."""
    listed = next(
        (environ[name] for name in ("CUDA_VISIBLE_DEVICES", "SLURM_STEP_GPUS", "SLURM_JOB_GPUS") if name in environ),
        None,
    )
    flags = ("assumed_exclusive",)
    count = nvml.nvmlDeviceGetCount()
    if listed is None:
        return [(str(index), nvml.nvmlDeviceGetHandleByIndex(index), 1.0, flags) for index in range(count)]
    by_uuid = {_text(nvml.nvmlDeviceGetUUID(handle)): (str(index), handle) for index, handle in _handles(nvml, count)}
    chosen: list[tuple[str, Any, float, tuple[str, ...]]] = []
    for word in filter(None, (word.strip() for word in listed.split(","))):
        if word.startswith("MIG-"):
            part = _mig_part(nvml, word)
            if part is None:
                break
            chosen.append((word, *part))
            continue
        if word.isdigit() and int(word) < count:
            chosen.append((word, nvml.nvmlDeviceGetHandleByIndex(int(word)), 1.0, flags))
            continue
        matches = [entry for uuid, entry in by_uuid.items() if uuid.startswith(word)]
        if len(matches) != 1:
            break
        chosen.append((*matches[0], 1.0, flags))
    return chosen


def _handles(nvml: Any, count: int) -> list[tuple[int, Any]]:
    return [(index, nvml.nvmlDeviceGetHandleByIndex(index)) for index in range(count)]


def _mig_part(nvml: Any, uuid: str) -> tuple[Any, float, tuple[str, ...]] | None:
    """The device that holds a slice, and the slice's part of its energy by compute slices."""
    try:
        mig = nvml.nvmlDeviceGetHandleByUUID(uuid)
        parent = nvml.nvmlDeviceGetDeviceHandleFromMigDeviceHandle(mig)
        slices = int(nvml.nvmlDeviceGetAttributes(mig).gpuInstanceSliceCount)
    except nvml.NVMLError:
        return None
    return parent, slices / _SLICES_OF_A_DEVICE, ("mig_slice",)


def _text(name: str | bytes) -> str:
    return name.decode() if isinstance(name, bytes) else name
