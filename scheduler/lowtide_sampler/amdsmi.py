"""AMD's devices through AMD SMI: which of them are the job's, and a meter for each."""

from __future__ import annotations

import os
import sys
import time

from lowtide_sampler.accuracy import ERRORS
from lowtide_sampler.gpu_choice import chosen_amd, is_exclusive, pick
from lowtide_sampler.gpu_use import Look, SharedMeter, UseTally
from lowtide_sampler.meters import Discovery, Finding, MeterReading, Source, Unreadable
from lowtide_sampler.power_sum import SampledMeter
from lowtide_sampler.standins import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from lowtide_sampler.gpu_choice import Choice
    from lowtide_sampler.meters import Meter

_OWN_COPY = "/opt/rocm/share/amd_smi"
_REPAIR = "install the package amd-smi-lib of your ROCm"
_PMAX_OF_LIMIT = 1.3
_AGREE_S = 2.0
_AGREE_SHARE = 0.20
_POWERS = ("socket_power", "current_socket_power", "average_socket_power")
_ENERGIES = ("energy_accumulator", "power")  # ROCm before 6.1 calls the accumulator "power"


class AmdDevice:
    """One device: what AMD SMI answers, in our units; whatever it raises is ``Unreadable``."""

    def __init__(self, library: Any, handle: Any, name: str) -> None:
        self.name = name
        self._library = library
        self._handle = handle

    def ask(self, function: str) -> Any:
        """What a function of ``amdsmi`` returns for this device.

        Raises:
            Unreadable: It failed, or is not there.
        """
        try:
            return getattr(self._library, function)(self._handle)
        except Exception as error:
            raise Unreadable(self.name, f"{function}: {type(error).__name__}: {error}") from error

    def read_energy_uj(self) -> float:
        """The accumulator; µJ since an instant of its own.

        Source:
            AMD, AMD SMI reference, amdsmi_get_energy_count: energy_accumulator x counter_resolution, in µJ.
        """
        counts = self.ask("amdsmi_get_energy_count")
        return _first_number(counts, _ENERGIES, self.name) * _first_number(counts, ("counter_resolution",), self.name)

    def read_power_w(self) -> float:
        """Power of the socket; W."""
        return _first_number(self.ask("amdsmi_get_power_info"), _POWERS, self.name)

    def look(self, own_pids: frozenset[int]) -> Look:  # noqa: ARG002  all users are asked for, whose ever they are
        """Who uses the device; AMD SMI does not tell how much of it."""
        try:
            users: tuple[int, ...] | None = tuple(
                int(process["pid"])
                for process in self.ask("amdsmi_get_gpu_process_list")
                if _is_number(process.get("mem")) and process["mem"] > 0  # others are listed at every device
            )
        except (Unreadable, KeyError, TypeError, AttributeError):
            users = None
        try:
            busy_share = 0.01 * _first_number(self.ask("amdsmi_get_gpu_activity"), ("gfx_activity",), self.name)
        except Unreadable:
            return Look(users, None, None)
        return Look(users, None, busy_share)


class AmdMeter:
    """Power summed as steps; the accumulator instead once it has agreed with it within 20 % over two seconds.

    The accumulator of some boards counts in another unit than it says or stands still; judging it takes two seconds,
    for which the job cannot be made to wait. It is a ``power`` source to the ledger, the more careful of the two.
    """

    late_flags: tuple[str, ...] = ()

    def __init__(self, device: AmdDevice, source: Source, monotonic_s: Callable[[], float]) -> None:
        self.source = source
        self._device = device
        self._monotonic_s = monotonic_s
        self._power = SampledMeter(source, device.read_power_w, monotonic_s=monotonic_s)
        self._first: tuple[float, int, float] | None = None
        self._is_judged = self._is_trusted = False
        self._offset_uj = 0.0

    @property
    def sample_period_s(self) -> float | None:
        return None if self._is_trusted else self._power.sample_period_s

    def read(self) -> MeterReading:
        if self._is_trusted:
            return MeterReading(round(self._offset_uj + self._device.read_energy_uj()))
        return self._power.read()

    def sample(self) -> None:
        if self._is_trusted:
            return
        try:
            self._power.sample()
        except Unreadable:
            self._first = None
            raise
        if not self._is_judged:
            self._judge(self._monotonic_s(), self._power.read().energy_uj)

    def _judge(self, now_s: float, energy_uj: int) -> None:
        """Compares both over two seconds without a failure in them."""
        try:
            counted_uj = self._device.read_energy_uj()
        except Unreadable:
            self._is_judged = True
            return
        if self._first is None:
            self._first = now_s, energy_uj, counted_uj
            return
        first_s, first_uj, first_counted_uj = self._first
        if now_s - first_s < _AGREE_S:
            return
        self._is_judged = True
        summed_uj = energy_uj - first_uj
        self._is_trusted = summed_uj > 0 and abs(counted_uj - first_counted_uj - summed_uj) <= _AGREE_SHARE * summed_uj
        self._offset_uj = energy_uj - counted_uj


def load_library() -> tuple[Any | None, Finding]:
    """The started ``amdsmi`` module, or None, and what was found."""
    library, why = _import()
    if library is None:
        return None, Finding("amdsmi", False, f"/dev/kfd is there and amdsmi does not load ({why})", _REPAIR)
    try:
        library.amdsmi_init()
    except Exception as error:  # noqa: BLE001  a driver's library may raise anything
        return None, Finding("amdsmi", False, f"AMD SMI does not start: {error}")
    return library, Finding("amdsmi", True, "AMD SMI")


def _import() -> tuple[Any | None, str]:
    """ROCm's own copy, which fits its library; else the one of the registry, which raises KeyError without ROCm."""
    import importlib

    why = ""
    for folder in (_OWN_COPY, ""):
        if folder and not os.path.isdir(folder):
            continue
        sys.path[:0] = [folder] if folder else []
        try:
            library = importlib.import_module("amdsmi")
        except Exception as error:  # noqa: BLE001
            sys.modules.pop("amdsmi", None)
            why = f"{type(error).__name__}: {error}"
        else:
            return library, ""
        finally:
            if folder:
                sys.path.remove(folder)
    return None, why


def discover(
    library: Any,
    environ: Mapping[str, str],
    monotonic_s: Callable[[], float] = time.monotonic,
    errors: Mapping[str, float] = ERRORS,
) -> Discovery:
    """Meters of the devices that the job may see.

    Args:
        library: A started ``amdsmi``.
        environ: Chooses the devices (``chosen_amd``); all without a choice.
        monotonic_s: Clock of the readings; s.
        errors: One sigma by kind of source.
    """
    try:
        handles = library.amdsmi_get_processor_handles()
    except Exception as error:  # noqa: BLE001
        return Discovery((), (Finding("amdsmi", False, f"AMD SMI lists no devices: {error}"),), 1.0)
    devices = [AmdDevice(library, handle, f"amdsmi:{index}") for index, handle in enumerate(handles)]
    below, above = chosen_amd(environ)
    chosen = _chosen(_chosen(_in_hip_order(devices), below), above)
    is_named, is_alone = below.words is not None or above.words is not None, is_exclusive(environ)
    meters: list[Meter] = []
    findings: list[Finding] = []
    for device in chosen:
        meter = AmdMeter(device, _source(device, errors["amdsmi-power"], is_shared=not is_alone), monotonic_s)
        try:
            meter.read()
        except Unreadable as error:
            findings.append(Finding(device.name, False, error.why))
            continue
        tally = UseTally(monotonic_s, is_named=is_named)
        meters.append(meter if is_alone else SharedMeter(meter, device.look, tally))
        findings.append(Finding(device.name, True, meter.source.label))
    missing_share = 1 - len(meters) / len(chosen) if chosen else 0.0
    return Discovery(tuple(meters), tuple(findings), missing_share)


def _source(device: AmdDevice, error_share: float, *, is_shared: bool) -> Source:
    return Source(
        name=device.name,
        label="AMD SMI",
        component="gpu",
        kind="power",
        pmax_w=_pmax_w(device),
        error_share=error_share,
        job_share=None if is_shared else 1.0,
    )


def _pmax_w(device: AmdDevice) -> float:
    try:
        cap_microwatt = _first_number(device.ask("amdsmi_get_power_cap_info"), ("power_cap",), device.name)
    except Unreadable:
        return 1000.0
    return _PMAX_OF_LIMIT * 1e-6 * cap_microwatt if cap_microwatt > 0 else 1000.0


def _in_hip_order(devices: list[AmdDevice]) -> list[AmdDevice]:
    """As HIP numbers them, where the library tells (ROCm 6.4 and later); else in the library's order."""
    try:
        numbers = {device.name: device.ask("amdsmi_get_gpu_enumeration_info")["hip_id"] for device in devices}
    except (Unreadable, KeyError, TypeError):
        return devices
    if not all(_is_number(number) for number in numbers.values()):
        return devices
    return sorted(devices, key=lambda device: int(numbers[device.name]))


def _chosen(devices: list[AmdDevice], choice: Choice) -> list[AmdDevice]:
    if choice.words is None or (choice.variable.startswith("SLURM_") and len(choice.words) == len(devices)):
        return devices
    return [devices[at] for at in pick(choice.words, len(devices), lambda: [_uuid(device) for device in devices])]


def _uuid(device: AmdDevice) -> str:
    try:
        return str(device.ask("amdsmi_get_gpu_enumeration_info")["hip_uuid"])
    except (Unreadable, KeyError, TypeError):
        return ""


def _first_number(answer: Any, keys: tuple[str, ...], name: str) -> float:
    """The first of these keys that holds a number; AMD SMI writes "N/A" into the others."""
    for key in keys:
        value: Any = answer.get(key) if isinstance(answer, dict) else None
        if _is_number(value):
            return float(value)
    raise Unreadable(name, f"{' and '.join(keys)} not available")


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
