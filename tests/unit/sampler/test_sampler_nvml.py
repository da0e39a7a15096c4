"""NVIDIA's devices, played by an object that answers as pynvml does."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from lowtide_sampler.meters import Unreadable
from lowtide_sampler.nvml import discover

CLOCK_STEP_S = 0.2


class FakeNvml:
    """Devices of constant power; ``clock_s`` is the time of the node."""

    NVML_SUCCESS = 0

    class NVMLError(Exception):
        pass

    def __init__(self, *powers_w: float, counters: bool = True, instant: bool = False) -> None:
        self.powers_w = list(powers_w)
        self.counters = counters
        self.instant = instant
        self.lost: set[int] = set()
        self.clock_s = 0.0

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802
        return len(self.powers_w)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:  # noqa: N802
        return index

    def nvmlDeviceGetUUID(self, handle: int) -> bytes:  # noqa: N802
        return f"GPU-{handle}abc".encode()

    def nvmlDeviceGetEnforcedPowerLimit(self, handle: int) -> int:  # noqa: N802
        return 700_000

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: int) -> int:  # noqa: N802
        self._check(handle)
        if not self.counters:
            raise self.NVMLError("Not Supported")
        return 10**9 + round(1000 * self.powers_w[handle] * self.clock_s)

    def nvmlDeviceGetPowerUsage(self, handle: int) -> int:  # noqa: N802
        self._check(handle)
        return round(1000 * self.powers_w[handle])

    def nvmlDeviceGetFieldValues(self, handle: int, fields: list[int]) -> list[SimpleNamespace]:  # noqa: N802
        self._check(handle)
        value = SimpleNamespace(uiVal=round(2000 * self.powers_w[handle]))
        return [SimpleNamespace(nvmlReturn=0 if self.instant else 3, value=value) for _ in fields]

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> str:  # noqa: N802
        return uuid

    def nvmlDeviceGetDeviceHandleFromMigDeviceHandle(self, handle: str) -> int:  # noqa: N802
        return 0

    def nvmlDeviceGetAttributes(self, handle: str) -> SimpleNamespace:  # noqa: N802
        return SimpleNamespace(gpuInstanceSliceCount=2)

    def _check(self, handle: int) -> None:
        if handle in self.lost:
            raise self.NVMLError("GPU is lost")


def names(nvml: FakeNvml, **environ: str) -> list[str]:
    return [meter.source.name for meter in discover(nvml, environ).meters]


@pytest.mark.parametrize(
    ("environ", "seen"),
    [
        ({}, ["nvml:0", "nvml:1", "nvml:2"]),
        ({"CUDA_VISIBLE_DEVICES": "2"}, ["nvml:2"]),
        ({"CUDA_VISIBLE_DEVICES": "1,0"}, ["nvml:1", "nvml:0"]),
        ({"CUDA_VISIBLE_DEVICES": "GPU-1a"}, ["nvml:1"]),
        ({"CUDA_VISIBLE_DEVICES": ""}, []),
        ({"CUDA_VISIBLE_DEVICES": "-1"}, []),
        ({"CUDA_VISIBLE_DEVICES": "0,7,1"}, ["nvml:0"]),
        ({"SLURM_JOB_GPUS": "1"}, ["nvml:1"]),
        ({"SLURM_JOB_GPUS": "1", "CUDA_VISIBLE_DEVICES": "0"}, ["nvml:0"]),
    ],
)
def test_only_the_jobs_devices_are_read(environ: dict[str, str], seen: list[str]) -> None:
    assert names(FakeNvml(100, 200, 300), **environ) == seen


def test_the_counter_is_read_in_microjoules() -> None:
    nvml = FakeNvml(400.0)
    (meter,) = discover(nvml, {}).meters
    before = meter.read().energy_uj
    nvml.clock_s = 10.0
    assert meter.read().energy_uj - before == 4_000_000_000
    assert meter.source.kind == "counter"
    assert meter.source.pmax_w == pytest.approx(910.0)
    assert "assumed_exclusive" in meter.source.flags


def test_without_a_counter_power_is_summed_as_steps() -> None:
    nvml = FakeNvml(0.0, counters=False)
    (meter,) = discover(nvml, {}, lambda: nvml.clock_s).meters
    assert meter.source.kind == "power"
    truth_j = 0.0
    for step in range(100):
        nvml.powers_w[0] = 600.0 if step % 4 == 0 else 90.0
        truth_j += nvml.powers_w[0] * CLOCK_STEP_S
        meter.read()
        nvml.clock_s += CLOCK_STEP_S
    assert meter.read().energy_uj == pytest.approx(1e6 * truth_j)


def test_the_instantaneous_field_goes_before_the_averaged_power() -> None:
    nvml = FakeNvml(100.0, counters=False, instant=True)
    (meter,) = discover(nvml, {}, lambda: nvml.clock_s).meters
    nvml.clock_s = 1.0
    assert meter.read().energy_uj == pytest.approx(200e6)


def test_a_power_is_not_held_over_a_long_sleep() -> None:
    nvml = FakeNvml(100.0, counters=False)
    (meter,) = discover(nvml, {}, lambda: nvml.clock_s).meters
    nvml.clock_s = 600.0
    with pytest.raises(Unreadable):
        meter.read()
    nvml.clock_s = 601.0
    assert meter.read().energy_uj == pytest.approx(100e6)


def test_a_lost_device_is_unreadable_and_a_missing_one_is_found_so() -> None:
    nvml = FakeNvml(100.0, 100.0)
    nvml.lost = {1}
    found = discover(nvml, {})
    assert [finding.found for finding in found.findings] == [True, False]
    assert found.missing_share == 0.5
    nvml.lost = {0, 1}
    with pytest.raises(Unreadable, match="lost"):
        found.meters[0].read()


def test_a_slice_takes_its_part_of_the_device() -> None:
    (meter,) = discover(FakeNvml(700.0), {"CUDA_VISIBLE_DEVICES": "MIG-4c1e"}).meters
    assert meter.source.job_share == pytest.approx(2 / 7)
    assert meter.source.flags == ("mig_slice",)
