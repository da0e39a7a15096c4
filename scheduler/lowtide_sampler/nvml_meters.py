"""Energy of one NVIDIA device: by its counter, else by its power."""

from __future__ import annotations

from lowtide_sampler.gpu_use import Look, Sample
from lowtide_sampler.machine import read_text
from lowtide_sampler.meters import MeterReading, Source, Unreadable
from lowtide_sampler.nvml_driver import FUNCTION_NOT_FOUND, NO_SAMPLES, NOT_SUPPORTED, Refused
from lowtide_sampler.power_sum import SampledMeter
from lowtide_sampler.standins import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from lowtide_sampler.nvml_driver import Device

_POWER_INSTANT_FIELD = 186
_WINDOW_S = 1.0
_AMPERE = 7
_GA100 = frozenset({"A100", "A800", "A30", "170HX"})
_STILL_S = 1.0
_NO_DRAW_W = 1.0
_MPS_SERVER = "nvidia-cuda-mps"  # the kernel keeps 15 characters of nvidia-cuda-mps-server
_LISTS = tuple(f"nvmlDeviceGetComputeRunningProcesses{version}" for version in ("_v3", "_v2", ""))


class PowerSensor:
    """The power of a device.

    The field of the instantaneous power where the driver has it; else PowerUsage, which is the mean of the last second
    on Ampere and later (except GA100) and the power of the instant before.

    Source:
        NVIDIA, NVML API reference, nvmlDeviceGetPowerUsage; field NVML_FI_DEV_POWER_INSTANT.
    """

    def __init__(self, device: Device) -> None:
        self._device = device
        self._is_instant, self.window_s = _sensor(device)

    def read_power_w(self) -> float:
        """Power as the sensor shows it; W."""
        return _instant_w(self._device) if self._is_instant else _usage_w(self._device)


def power_meter(device: Device, source: Source) -> SampledMeter:
    """A meter of a device that tells only its power."""
    sensor = PowerSensor(device)
    return SampledMeter(source, sensor.read_power_w, window_s=sensor.window_s, monotonic_s=device.driver.monotonic_s)


class EnergyMeter:
    """A device with an energy counter (Volta and later), in steps of up to 0.1 s.

    A counter that has not moved within a second in which the device drew power does not count: from then on the power
    is summed instead, and the time before counted at the power found then. ``late_flags`` says so.

    Source:
        NVIDIA, NVML API reference, nvmlDeviceGetTotalEnergyConsumption: mJ since the driver was loaded.
    """

    def __init__(self, device: Device, source: Source) -> None:
        self.source = source
        self.late_flags: tuple[str, ...] = ()
        self._device = device
        self._first: tuple[int, float] | None = None
        self._has_moved = False
        self._power: SampledMeter | None = None
        self._before_power_uj = 0

    @property
    def sample_period_s(self) -> float | None:
        return None if self._power is None else self._power.sample_period_s

    def read(self) -> MeterReading:
        if self._power is not None:
            return MeterReading(self._before_power_uj + self._power.read().energy_uj)
        energy_uj = 1000 * int(self._device.ask("nvmlDeviceGetTotalEnergyConsumption"))
        if not self._has_moved:
            energy_uj = self._watch(energy_uj)
        return MeterReading(energy_uj)

    def sample(self) -> None:
        """Asks the power's sensor, where the power stands in for the counter."""
        if self._power is not None:
            self._power.sample()

    def _watch(self, energy_uj: int) -> int:
        """The reading, after a look whether the counter counts at all."""
        now_s = self._device.driver.monotonic_s()
        if self._first is None:
            self._first = energy_uj, now_s
        first_uj, first_s = self._first
        self._has_moved = energy_uj != first_uj
        if self._has_moved or now_s - first_s < _STILL_S:
            return energy_uj
        try:
            power = power_meter(self._device, self.source)
            power_w = PowerSensor(self._device).read_power_w()
            power.sample()
        except Unreadable:
            return energy_uj
        if power_w < _NO_DRAW_W:
            return energy_uj
        self._power = power
        self._before_power_uj = energy_uj + round(1e6 * power_w * (now_s - first_s))
        self.late_flags = ("counter_stuck",)
        return self._before_power_uj


class UserLooks:
    """Looks who uses one device: its list of compute processes, and what they used since the look before."""

    def __init__(self, device: Device, server_name: Callable[[int], str] | None = None) -> None:
        self.late_flags: tuple[str, ...] = ()
        self._device = device
        self._list_function: str | None = _LISTS[0]
        self._tells_samples = self._tells_busy = True
        self._seen_us = 0
        self._names: dict[int, str] = {}
        self._read_name = server_name or _process_name

    def __call__(self, own_pids: frozenset[int]) -> Look:
        users = self._users()
        strangers = [pid for pid in users or () if pid not in own_pids]
        servers = {pid for pid in strangers if self._name(pid) == _MPS_SERVER}
        self._names = {pid: self._names[pid] for pid in strangers}
        if servers:
            self.late_flags = ("mps",)
            users = tuple(pid for pid in users or () if pid not in servers) + self._clients()
        return Look(users, self._samples(), self._busy_share(), by_server=bool(servers))

    def _users(self) -> tuple[int, ...] | None:
        while self._list_function is not None:
            try:
                return tuple(int(process.pid) for process in self._device.ask(self._list_function))
            except Refused as refused:
                if refused.code not in (FUNCTION_NOT_FOUND, NOT_SUPPORTED):
                    return None
                following = _LISTS.index(self._list_function) + 1
                has_another = refused.code == FUNCTION_NOT_FOUND and following < len(_LISTS)
                self._list_function = _LISTS[following] if has_another else None
        return None

    def _clients(self) -> tuple[int, ...]:
        try:
            return tuple(int(client.pid) for client in self._device.ask("nvmlDeviceGetMPSComputeRunningProcesses"))
        except Refused:
            return ()

    def _samples(self) -> tuple[Sample, ...] | None:
        if not self._tells_samples:
            return None
        try:
            raw = self._device.ask("nvmlDeviceGetProcessUtilization", self._seen_us)
        except Refused as refused:
            self._tells_samples = refused.code not in (FUNCTION_NOT_FOUND, NOT_SUPPORTED)
            return () if refused.code in NO_SAMPLES else None
        since_us, self._seen_us = self._seen_us, max([self._seen_us, *(int(sample.timeStamp) for sample in raw)])
        return tuple(
            Sample(int(sample.pid), 0.01 * sample.smUtil)
            for sample in raw
            if sample.timeStamp > since_us and sample.smUtil <= 100  # some drivers fill empty places with noise
        )

    def _busy_share(self) -> float | None:
        if not self._tells_busy:
            return None
        try:
            return 0.01 * int(self._device.ask("nvmlDeviceGetUtilizationRates").gpu)
        except Refused as refused:
            self._tells_busy = refused.code not in (FUNCTION_NOT_FOUND, NOT_SUPPORTED)
            return None

    def _name(self, pid: int) -> str:
        if pid not in self._names:
            self._names[pid] = self._read_name(pid)
        return self._names[pid]


def find_idle_w(device: Device) -> float | None:
    """Power of a device on which nobody is and nothing runs, if it is so now; W."""
    try:
        is_idle = not device.ask(_LISTS[0]) and int(device.ask("nvmlDeviceGetUtilizationRates").gpu) == 0
        if not is_idle:
            return None
        return PowerSensor(device).read_power_w()
    except Refused:
        return None


def _sensor(device: Device) -> tuple[bool, float]:
    """(whether the instantaneous field is there, time that a reading is the mean of; s)."""
    try:
        _instant_w(device)
    except Refused:
        return False, _WINDOW_S if _is_averaged(device) else 0.0
    return True, 0.0


def _is_averaged(device: Device) -> bool:
    try:
        if int(device.ask("nvmlDeviceGetArchitecture")) < _AMPERE:
            return False
        name: Any = device.ask("nvmlDeviceGetName")
    except Refused:
        return False
    words = (name.decode() if isinstance(name, bytes) else str(name)).replace("-", " ").split()
    return _GA100.isdisjoint(words)


def _instant_w(device: Device) -> float:
    field = device.ask("nvmlDeviceGetFieldValues", [_POWER_INSTANT_FIELD])[0]
    if field.nvmlReturn != 0:
        raise Refused("nvml", "no instantaneous power", "", int(field.nvmlReturn))
    return 1e-3 * float(field.value.uiVal)


def _usage_w(device: Device) -> float:
    return 1e-3 * float(device.ask("nvmlDeviceGetPowerUsage"))


def _process_name(pid: int) -> str:
    return read_text(f"/proc/{pid}/comm", 64).strip() if pid > 0 else ""
