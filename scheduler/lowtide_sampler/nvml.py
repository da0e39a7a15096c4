"""NVIDIA's devices: which of them are the job's, and a meter for each."""

from __future__ import annotations

import os
import time

from lowtide_sampler.accuracy import ERRORS
from lowtide_sampler.gpu_choice import chosen_nvidia, is_exclusive, pick
from lowtide_sampler.gpu_use import SharedMeter, UseTally
from lowtide_sampler.meters import Discovery, Finding, Source, Unreadable
from lowtide_sampler.nvml_driver import NO_PERMISSION, Device, Driver, Refused
from lowtide_sampler.nvml_meters import EnergyMeter, UserLooks, find_idle_w, power_meter
from lowtide_sampler.standins import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from lowtide_sampler.gpu_choice import Choice
    from lowtide_sampler.meters import Meter
    from lowtide_sampler.power_sum import SampledMeter

_SLICES_OF_A_DEVICE = 7
_PMAX_OF_LIMIT = 1.3
_COUNTER_STEP_S = 0.1
_SM_CLOCK = 1
_SLICE = "mig_slice"
_PIPES_OF_MPS = "/tmp/nvidia-mps"  # noqa: S108  where the MPS control daemon keeps its pipe unless told otherwise


class Part(NamedTuple):
    """A device or a slice of one that the job may use.

    Attributes:
        name: Its place in the node, or the slice's UUID.
        device: What is read: for a slice, the device that holds it.
        share: The slice's part of the device by compute slices; 1 for a device.
        why: Why it cannot be read; "" where it can.
    """

    name: str
    device: Device | None
    share: float = 1.0
    flags: tuple[str, ...] = ()
    why: str = ""

    @property
    def is_slice(self) -> bool:
        return _SLICE in self.flags


def discover(
    library: Any,
    environ: Mapping[str, str],
    monotonic_s: Callable[[], float] = time.monotonic,
    errors: Mapping[str, float] = ERRORS,
) -> Discovery:
    """Meters of the devices that the job may see.

    Devices that a scheduler gave to the job alone are wholly the job's, slices in the proportion of their size; the
    meters of all others are ``Shared``.

    Args:
        library: A ``Driver``, or a started ``pynvml``.
        environ: Chooses the devices (``chosen_nvidia``); all without a choice.
        monotonic_s: Clock of the readings; s.
        errors: One sigma by kind of source.
    """
    driver = library if isinstance(library, Driver) else Driver(library, monotonic_s)
    try:
        parts = _chosen(driver, environ)
    except Refused as error:
        return Discovery((), (Finding("nvml", False, error.why, error.repair),), 1.0)
    meters: list[Meter] = []
    findings: list[Finding] = []
    is_named = bool(chosen_nvidia(environ).words)
    is_alone = is_exclusive(environ)
    with_server = ("mps",) if _serves(environ) and not is_alone else ()
    for part in parts:
        name = f"nvml:{part.name}"
        try:
            if part.device is None:
                raise Unreadable(name, part.why)
            is_shared = not is_alone and not part.is_slice
            source = _source(name, part, part.device, is_shared=is_shared)
            meter = _open(part.device, source._replace(flags=source.flags + with_server), errors)
        except Unreadable as error:
            findings.append(Finding(name, False, error.why, error.repair))
            continue
        meters.append(_shared(part.device, meter, is_named=is_named) if is_shared else meter)
        findings.append(Finding(name, True, meter.source.label))
    missing_share = 1 - len(meters) / len(parts) if parts else 0.0
    return Discovery(tuple(meters), tuple(findings), missing_share)


def _source(name: str, part: Part, device: Device, *, is_shared: bool) -> Source:
    return Source(
        name=name,
        label="NVML counter",
        component="gpu",
        kind="counter",
        pmax_w=_pmax_w(device),
        idle_w=find_idle_w(device) if is_shared else None,
        job_share=None if is_shared else part.share,
        flags=part.flags,
        step_s=_COUNTER_STEP_S,
    )


def _open(device: Device, source: Source, errors: Mapping[str, float]) -> EnergyMeter | SampledMeter:
    meter = EnergyMeter(device, source._replace(error_share=errors["nvml-counter"]))
    try:
        meter.read()
    except Refused:
        by_power = source._replace(label="NVML power", kind="power", error_share=errors["nvml-power"], step_s=0.0)
        power = power_meter(device, by_power)
        power.read()
        return power
    return meter


def _shared(device: Device, meter: EnergyMeter | SampledMeter, *, is_named: bool) -> SharedMeter:
    return SharedMeter(meter, UserLooks(device), UseTally(device.driver.monotonic_s, is_named=is_named))


def _pmax_w(device: Device) -> float:
    try:
        return _PMAX_OF_LIMIT * 1e-3 * float(device.ask("nvmlDeviceGetEnforcedPowerLimit"))
    except Refused:
        return 1000.0


def _serves(environ: Mapping[str, str]) -> bool:
    """Whether an MPS control daemon runs, whose server starts with its first client."""
    return os.path.exists(environ.get("CUDA_MPS_PIPE_DIRECTORY", _PIPES_OF_MPS) + "/control")


def _chosen(driver: Driver, environ: Mapping[str, str]) -> list[Part]:
    choice = chosen_nvidia(environ)
    places = _reachable(driver)
    if choice.words is None:
        return [_whole_or_slice(part) for part in places]
    if choice.variable.startswith("SLURM_"):
        return [_whole_or_slice(part) for part in _by_minor_number(places, choice)]
    flags: tuple[str, ...] = ()
    if choice.variable == "CUDA_VISIBLE_DEVICES":
        places, flags = _in_cuda_order(places, environ)
    elif len(places) == len(choice.words):  # a container's list has the node's numbers; what it names is all there is
        return [_whole_or_slice(part) for part in places]
    parts: list[Part] = []
    for word in choice.words:
        if word.startswith("MIG-"):
            part = _slice_named(places, word)
            if part is None or part.name in {other.name for other in parts}:
                break
            parts.append(part)
            continue
        found = pick((word,), len(places), lambda: [part.device.uuid if part.device else "" for part in places])
        if not found or places[found[0]].name in {part.name for part in parts}:
            break
        part = _whole_or_slice(places[found[0]])
        parts.append(part._replace(flags=part.flags + (flags if word.isdecimal() else ())))
    return parts


def _reachable(driver: Driver) -> list[Part]:
    """The devices in the driver's order, without those of other control groups."""
    parts: list[Part] = []
    for index in range(int(driver.call("nvmlDeviceGetCount"))):
        try:
            handle = driver.call("nvmlDeviceGetHandleByIndex", index)
            uuid = _text(driver.call("nvmlDeviceGetUUID", handle))
        except Refused as error:
            if error.code != NO_PERMISSION:
                parts.append(Part(str(index), None, why=error.why))
        else:
            parts.append(Part(str(index), Device(driver, handle, uuid, f"nvml:{index}")))
    return parts


def _by_minor_number(places: list[Part], choice: Choice) -> list[Part]:
    """Slurm numbers a node's devices as /dev/nvidiaN does, also where the job sees only its own."""
    words = [word for word in choice.words or () if word.isdecimal()]
    if len(words) == len(places):
        return places
    numbered = {_minor_number(part): part for part in places}
    return [numbered[word] for word in words if word in numbered]


def _minor_number(part: Part) -> str:
    try:
        return str(part.device.ask("nvmlDeviceGetMinorNumber")) if part.device else part.name
    except Refused:
        return part.name


def _in_cuda_order(places: list[Part], environ: Mapping[str, str]) -> tuple[list[Part], tuple[str, ...]]:
    """(devices as CUDA numbers them, flags): by bus, or the fastest first where they differ and nobody asked for bus.

    How CUDA compares speeds is not told: cores times clock [judgement] decides here, and a flag says that it did.
    """
    if environ.get("CUDA_DEVICE_ORDER") == "PCI_BUS_ID" or len(places) < 2:
        return places, ()
    speeds = [_speed(part) for part in places]
    if len(set(speeds)) == 1:
        return places, ()
    order = sorted(range(len(places)), key=lambda at: -speeds[at])
    return [places[at] for at in order], ("device_order_guessed",)


def _speed(part: Part) -> int:
    if part.device is None:
        return 0
    try:
        cores = int(part.device.ask("nvmlDeviceGetNumGpuCores"))
        return cores * int(part.device.ask("nvmlDeviceGetMaxClockInfo", _SM_CLOCK))
    except Refused:
        return 0


def _whole_or_slice(part: Part) -> Part:
    """The device; of one that is cut into slices, the first that we see: CUDA uses no more than one."""
    slices = _slices(part)
    return slices[0] if slices else part


def _slice_named(places: list[Part], word: str) -> Part | None:
    """The slice of a UUID or of a beginning that only one has, or of the older MIG-GPU-UUID/INSTANCE/INSTANCE."""
    found = [part for place in places for part in _slices(place) if part.name.startswith(word)]
    if word.startswith("MIG-GPU-"):
        uuid, _, instances = word[len("MIG-") :].partition("/")
        holders = [place for place in places if place.device and place.device.uuid.startswith(uuid)]
        found += [part for place in holders for part in _slices(place, instances) if part not in found]
    return found[0]._replace(name=word) if len(found) == 1 else None


def _slices(part: Part, instances: str = "") -> list[Part]:
    """The slices of a device that we see; with ``instances``, only that of these GPU and compute instances."""
    device = part.device
    if device is None:
        return []
    try:
        if int(device.ask("nvmlDeviceGetMigMode")[0]) == 0:
            return []
        most = int(device.ask("nvmlDeviceGetMaxMigDeviceCount"))
    except Refused:
        return []
    slices: list[Part] = []
    for index in range(most):
        try:
            handle = device.ask("nvmlDeviceGetMigDeviceHandleByIndex", index)
            uuid = _text(device.driver.call("nvmlDeviceGetUUID", handle))
            size = device.driver.call("nvmlDeviceGetAttributes", handle)
            ids = [device.driver.call(f"nvmlDeviceGet{kind}InstanceId", handle) for kind in ("Gpu", "Compute")]
        except Refused:
            continue
        share = int(size.computeInstanceSliceCount or size.gpuInstanceSliceCount) / (most or _SLICES_OF_A_DEVICE)
        if not instances or instances == f"{ids[0]}/{ids[1]}":
            slices.append(Part(uuid, device, min(share, 1.0), (_SLICE,)))
    return slices


def _text(name: str | bytes) -> str:
    return name.decode() if isinstance(name, bytes) else name
