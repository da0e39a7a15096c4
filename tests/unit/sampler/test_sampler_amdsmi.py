"""AMD's devices, played by an object that answers as the module amdsmi does."""

from __future__ import annotations

import itertools
import os
import random
import sys
from pathlib import Path
from typing import Any

import pytest

from lowtide_sampler import amdsmi
from lowtide_sampler.meters import Discovery, Shared, Unreadable

RESOLUTION_UJ = 15.259
OURS, THEIRS, ELSEWHERE = os.getpid(), 1, 2**31 - 1


class FakeAmdSmi:
    """Devices of constant power; ``clock_s`` is the node's time, ``counts`` what the accumulator makes of a joule."""

    def __init__(self, *powers_w: float, counts: float | None = 1.0, hip_ids: list[int] | None = None) -> None:
        self.powers_w = list(powers_w)
        self.counts = counts
        self.hip_ids = hip_ids
        self.clock_s = 0.0
        self.lost: set[int] = set()
        self.processes: list[dict[str, Any]] = []
        self.activity: int | str = 100
        self.power_key = "current_socket_power"

    def amdsmi_get_processor_handles(self) -> list[int]:
        return list(range(len(self.powers_w)))

    def amdsmi_get_energy_count(self, handle: int) -> dict[str, Any]:
        self._check(handle)
        if self.counts is None:
            raise RuntimeError("AMDSMI_STATUS_NOT_SUPPORTED")
        energy_uj = 1e9 + 1e6 * self.counts * self.powers_w[handle] * self.clock_s
        return {"energy_accumulator": int(energy_uj / RESOLUTION_UJ), "counter_resolution": RESOLUTION_UJ}

    def amdsmi_get_power_info(self, handle: int) -> dict[str, Any]:
        self._check(handle)
        return {
            "current_socket_power": "N/A", "average_socket_power": "N/A", "gfx_voltage": 800, "power_limit": 750,
            self.power_key: int(self.powers_w[handle]),
        }  # fmt: skip

    def amdsmi_get_power_cap_info(self, handle: int) -> dict[str, int]:
        return {"power_cap": 750_000_000}

    def amdsmi_get_gpu_activity(self, handle: int) -> dict[str, Any]:
        self._check(handle)
        return {"gfx_activity": self.activity}

    def amdsmi_get_gpu_process_list(self, handle: int) -> list[dict[str, Any]]:
        self._check(handle)
        return self.processes

    def amdsmi_get_gpu_enumeration_info(self, handle: int) -> dict[str, Any]:
        if self.hip_ids is None:
            raise AttributeError("amdsmi_get_gpu_enumeration_info")
        return {"hip_id": self.hip_ids[handle], "hip_uuid": f"GPU-{handle}abc"}

    def _check(self, handle: int) -> None:
        if handle in self.lost:
            raise RuntimeError("AMDSMI_STATUS_DRM_ERROR")


def found(library: FakeAmdSmi, **environ: str) -> Discovery:
    return amdsmi.discover(library, environ, lambda: library.clock_s)


def run_j(library: FakeAmdSmi, meter: Any, length_s: float) -> float:
    """Energy as the loop reads it: sampled while the meter wants to be, and read each second."""
    chance = random.Random(5)
    first_uj = meter.read().energy_uj
    end_s = library.clock_s + length_s
    while library.clock_s < end_s:
        period_s = meter.sample_period_s
        library.clock_s = min(library.clock_s + (period_s * chance.uniform(0.5, 1.5) if period_s else 5.0), end_s)
        meter.sample()
    return 1e-6 * (meter.read().energy_uj - first_uj)


@pytest.mark.parametrize("power_key", ["socket_power", "current_socket_power", "average_socket_power"])
@pytest.mark.parametrize(
    ("counts", "is_trusted"),
    [(1.0, True), (0.9, True), (1.15, True), (0.0, False), (2.0, False), (1e-6, False), (None, False)],
)
def test_the_accumulator_is_trusted_only_where_it_agrees_with_the_power(
    counts: float | None, is_trusted: bool, power_key: str
) -> None:
    library = FakeAmdSmi(500.0, counts=counts)
    library.power_key = power_key
    (meter,) = found(library, SLURM_JOB_GPUS="0").meters
    assert meter.sample_period_s is not None
    assert meter.source.job_share == 1.0
    truth_j = 500.0 * 60.0
    expected = truth_j * (counts or 1.0) if is_trusted else truth_j
    assert run_j(library, meter, 60.0) == pytest.approx(expected, rel=0.006)
    assert (meter.sample_period_s is None) is is_trusted
    assert meter.source.pmax_w == pytest.approx(975.0)


def test_the_change_from_power_to_accumulator_leaves_no_step() -> None:
    library = FakeAmdSmi(500.0)
    (meter,) = found(library).meters
    readings_uj = []
    for _ in range(60):
        library.clock_s += 0.1
        meter.sample()  # type: ignore[attr-defined]
        readings_uj.append(meter.read().energy_uj)
    steps_uj = [after - before for before, after in itertools.pairwise(readings_uj)]
    assert steps_uj == pytest.approx([50_000_000] * 59, rel=0.001)


def test_a_device_that_fails_is_unreadable_and_judged_afresh_when_it_is_back() -> None:
    library = FakeAmdSmi(300.0, 300.0)
    one, other = found(library).meters
    library.lost = {1}
    for _ in range(40):
        library.clock_s += 0.1
        one.sample()  # type: ignore[attr-defined]
        with pytest.raises(Unreadable, match="DRM_ERROR"):
            other.sample()  # type: ignore[attr-defined]
    assert one.sample_period_s is None
    library.lost = set()
    for _ in range(40):
        library.clock_s += 0.1
        other.sample()  # type: ignore[attr-defined]
    assert other.sample_period_s is None


@pytest.mark.parametrize(
    ("environ", "seen"),
    [
        ({}, ["amdsmi:0", "amdsmi:1", "amdsmi:2"]),
        ({"HIP_VISIBLE_DEVICES": "2,0"}, ["amdsmi:2", "amdsmi:0"]),
        ({"ROCR_VISIBLE_DEVICES": "1,2", "HIP_VISIBLE_DEVICES": "1"}, ["amdsmi:2"]),
        ({"ROCR_VISIBLE_DEVICES": "GPU-1abc"}, ["amdsmi:1"]),
        ({"CUDA_VISIBLE_DEVICES": "1"}, ["amdsmi:1"]),
        ({"HIP_VISIBLE_DEVICES": "-1"}, []),
        ({"HIP_VISIBLE_DEVICES": ""}, []),
        ({"SLURM_JOB_GPUS": "1"}, ["amdsmi:1"]),
        ({"SLURM_JOB_GPUS": "5,6,7"}, ["amdsmi:0", "amdsmi:1", "amdsmi:2"]),
    ],
)
def test_only_the_jobs_devices_are_read(environ: dict[str, str], seen: list[str]) -> None:
    library = FakeAmdSmi(100, 200, 300, hip_ids=[0, 1, 2])
    assert [meter.source.name for meter in found(library, **environ).meters] == seen


def test_hip_numbers_devices_its_own_way() -> None:
    library = FakeAmdSmi(100, 200, 300, hip_ids=[2, 0, 1])
    assert [meter.source.name for meter in found(library, HIP_VISIBLE_DEVICES="0").meters] == ["amdsmi:1"]


@pytest.mark.parametrize(
    ("pids", "activity", "equal_s", "blind_s"),
    [
        ([OURS], 100, 10.0, 0.0),
        ([OURS, THEIRS, THEIRS], 100, 5.0, 0.0),
        ([ELSEWHERE], 100, 0.0, 10.0),
        ([], 100, 0.0, 10.0),
        ([], 0, 0.0, 0.0),
    ],
)
def test_users_share_by_heads(pids: list[int], activity: int, equal_s: float, blind_s: float) -> None:
    library = FakeAmdSmi(500.0)
    library.processes = [{"pid": pid, "mem": 1 << 30} for pid in pids] + [{"pid": 7, "mem": 0}]
    library.activity = activity
    (meter,) = found(library).meters
    assert isinstance(meter, Shared)
    assert meter.source.job_share is None
    for _ in range(11):
        meter.note_users(frozenset({OURS}))
        library.clock_s += 1.0
        meter.sample()  # type: ignore[attr-defined]
    use = meter.read().use
    assert use is not None
    assert (use.equal_s, use.blind_s) == pytest.approx((equal_s, blind_s))


@pytest.mark.parametrize("failure", ["raise KeyError('libamd_smi.so')", "raise SystemError", "1 +"])
def test_a_copy_that_does_not_load_leaves_the_next(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, failure: str
) -> None:
    monkeypatch.setattr(amdsmi, "_OWN_COPY", str(tmp_path / "rocm"))
    monkeypatch.syspath_prepend(str(tmp_path / "registry"))
    for folder in ("rocm", "registry"):
        (tmp_path / folder / "amdsmi").mkdir(parents=True)
        (tmp_path / folder / "amdsmi/__init__.py").write_text(failure + "\n")
    library, finding = amdsmi.load_library()
    assert library is None
    assert "amdsmi does not load" in finding.why
    assert finding.repair
    (tmp_path / "registry/amdsmi/__init__.py").write_text("def amdsmi_init(): pass\n")
    sys.path_importer_cache.clear()
    library, finding = amdsmi.load_library()
    assert library is not None
    assert finding.found
    (tmp_path / "rocm/amdsmi/__init__.py").write_text("def amdsmi_init(): raise OSError('no driver')\n")
    sys.modules.pop("amdsmi")
    assert "no driver" in amdsmi.load_library()[1].why
    sys.modules.pop("amdsmi", None)


def test_a_library_that_lists_nothing_is_found_so() -> None:
    library = FakeAmdSmi(100.0)
    library.amdsmi_get_processor_handles = lambda: 1 / 0  # type: ignore[assignment, method-assign, return-value]
    answer = found(library)
    assert answer.meters == ()
    assert answer.missing_share == 1.0
