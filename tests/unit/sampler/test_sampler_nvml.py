"""NVIDIA's devices through nvidia-ml-py and a driver's library that plays them: what is reported against what is true.

The library is compiled here; where there is no C compiler, or no nvidia-ml-py, these tests are skipped.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.fakes import fake_nvml
from tests.fakes.fake_nvml import Device, Process, SetClock, Slice

from lowtide_sampler import nvml, nvml_driver
from lowtide_sampler.meters import DeviceUse, Discovery, Meter, Shared, Unreadable

OURS = os.getpid()
THEIRS = 1
ELSEWHERE = 3_900_000_000 % 2**31
TICKS_S = (0.0, 0.25, 0.5, 1.0, 2.0, 4.0)
SLURM = {"SLURM_JOB_GPUS": "0"}
BURSTS = Device(power_w=600.0, low_w=90.0, period_s=1.0, high_share=0.25)
NO_COUNTER = dataclasses.replace(BURSTS, has_counter=False)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if importlib.util.find_spec("pynvml") is None:
        pytest.skip("nvidia-ml-py is not installed")
    try:
        return fake_nvml.build(tmp_path_factory.mktemp("nvml"))
    except fake_nvml.NoCompiler as error:
        pytest.skip(str(error))


class Node:
    """A node with these devices, whose clock is moved by hand."""

    def __init__(self, path: Path, clock: SetClock, config: fake_nvml.Config) -> None:
        self.path = path
        self.clock = clock
        self.config = config
        self.driver, self.found = nvml_driver.start()
        if self.driver is not None:
            self.driver.monotonic_s = lambda: clock.now_s

    def discover(self, **environ: str) -> Discovery:
        assert self.driver is not None
        return nvml.discover(self.driver, environ)

    def names(self, **environ: str) -> list[str]:
        return [meter.source.name for meter in self.discover(**environ).meters]

    def rewrite(self, *devices: Device, **words: Any) -> None:
        self.config = fake_nvml.write_config(self.path, devices, **words)


@pytest.fixture
def node(library: Path, tmp_path: Path) -> Iterator[Callable[..., Node]]:
    stack: list[Any] = []

    def make(*devices: Device, **words: Any) -> Node:
        path = tmp_path / "gpus"
        config = fake_nvml.write_config(path, devices, **words)
        context = fake_nvml.loaded(library, config)
        stack.append(context)
        return Node(path, context.__enter__(), config)

    yield make
    for context in reversed(stack):
        context.__exit__(None, None, None)


class Measured:
    """Readings of a run of a node's meters, read at the loop's times and the sensors' own."""

    def __init__(
        self, node: Node, meters: tuple[Meter, ...], length_s: float, seed: int = 0, own: frozenset[int] = frozenset()
    ) -> None:
        chance = random.Random(seed)
        self.failures = [0] * len(meters)
        self._first_uj: list[int | None] = [None] * len(meters)
        self._last_uj = [0] * len(meters)
        self.use: list[DeviceUse | None] = [None] * len(meters)
        begin_s = node.clock.now_s
        end_s = begin_s + length_s
        tick_s = {begin_s + t for t in (*TICKS_S, *range(9, int(length_s), 5), length_s)}
        sample_s = begin_s
        while True:
            now_s = node.clock.now_s
            period_s = min(meter.sample_period_s or (0.6 if own else 1e9) for meter in meters)
            if now_s >= sample_s or sample_s > now_s + 1.5 * period_s:  # a counter may turn out to be none
                sample_s = now_s + period_s * chance.uniform(0.5, 1.5)
            for at, meter in enumerate(meters):
                if isinstance(meter, Shared):
                    meter.note_users(own)
                (self._read if now_s in tick_s else self._sample)(at, meter)
            if now_s >= end_s:
                break
            node.clock.set_s(min([t for t in tick_s if t > now_s] + [sample_s]))
        self.joules = [1e-6 * (last - (first or 0)) for first, last in zip(self._first_uj, self._last_uj, strict=True)]

    def _sample(self, at: int, meter: Any) -> None:
        try:
            meter.sample()
        except Unreadable:
            self.failures[at] += 1

    def _read(self, at: int, meter: Meter) -> None:
        try:
            reading = meter.read()
        except Unreadable:
            self.failures[at] += 1
            return
        if self._first_uj[at] is None:
            self._first_uj[at] = reading.energy_uj
        self._last_uj[at] = reading.energy_uj
        self.use[at] = reading.use


def users(*processes: Process, **fields: Any) -> Device:
    return dataclasses.replace(Device(power_w=500.0), processes=processes, **fields)


# Known energy


def test_n1_the_counter_is_read_in_microjoules(node: Callable[..., Node]) -> None:
    there = node(Device(power_w=400.0))
    (meter,) = there.discover(**SLURM).meters
    assert (meter.source.kind, meter.source.label, meter.sample_period_s) == ("counter", "NVML counter", None)
    assert meter.source.pmax_w == pytest.approx(910.0)
    assert Measured(there, (meter,), 16.0).joules == pytest.approx([6400.0], rel=0.005)


def test_n2_bursts(node: Callable[..., Node]) -> None:
    there = node(BURSTS)
    assert Measured(there, there.discover(**SLURM).meters, 16.0).joules == pytest.approx([16 * 217.5], rel=0.005)


@pytest.mark.parametrize(
    ("device", "allowed"),
    [
        (NO_COUNTER, 0.05),
        (dataclasses.replace(NO_COUNTER, has_instant=False, window_s=1.0), 0.02),
        (dataclasses.replace(NO_COUNTER, has_instant=False, architecture=5, name="Tesla V100"), 0.05),
        (dataclasses.replace(NO_COUNTER, has_instant=False, architecture=7, name="NVIDIA A100-SXM4-40GB"), 0.05),
    ],
    ids=["instant", "window", "volta", "ga100"],
)
def test_n3_bursts_by_power_alone(node: Callable[..., Node], device: Device, allowed: float) -> None:
    there = node(device)
    ratios = []
    for seed in range(10):
        (meter,) = there.discover(**SLURM).meters
        assert meter.source.kind == "power"
        ratios.append(Measured(there, (meter,), 60.0, seed).joules[0] / (60 * 217.5))
    assert all(ratio == pytest.approx(1.0, abs=allowed) for ratio in ratios)
    assert sum(ratios) / len(ratios) == pytest.approx(1.0, abs=0.015)


def test_n4_four_devices(node: Callable[..., Node]) -> None:
    there = node(*(Device(power_w=watts) for watts in (100.0, 200.0, 300.0, 400.0)))
    meters = there.discover(SLURM_JOB_GPUS="0,1,2,3").meters
    assert Measured(there, meters, 16.0).joules == pytest.approx([1600, 3200, 4800, 6400], rel=0.01)


def test_n5_one_of_four(node: Callable[..., Node]) -> None:
    there = node(*(Device(power_w=watts) for watts in (100.0, 200.0, 300.0, 400.0)))
    meters = there.discover(CUDA_VISIBLE_DEVICES="2").meters
    assert [meter.source.name for meter in meters] == ["nvml:2"]
    assert Measured(there, meters, 16.0).joules == pytest.approx([4800], rel=0.01)


def test_n6_a_device_lost_half_way_has_no_readings_and_the_others_go_on(node: Callable[..., Node]) -> None:
    there = node(Device(power_w=400.0), Device(power_w=300.0, lost_from_s=8.0))
    measured = Measured(there, there.discover(SLURM_JOB_GPUS="0,1").meters, 16.0)
    assert measured.joules[0] == pytest.approx(6400, rel=0.005)
    assert 1200 <= measured.joules[1] <= 2400
    assert measured.failures[0] == 0 < measured.failures[1]


def test_a_counter_that_comes_back_covers_its_own_hole(node: Callable[..., Node]) -> None:
    there = node(Device(power_w=300.0, lost_from_s=3.0, lost_until_s=12.0))
    measured = Measured(there, there.discover(**SLURM).meters, 16.0)
    assert measured.failures[0] > 0
    assert measured.joules == pytest.approx([4800.0], rel=0.005)


def test_n7_a_shared_device(node: Callable[..., Node]) -> None:
    there = node(users(Process(OURS, 25), Process(THEIRS, 75)))
    (meter,) = there.discover().meters
    assert isinstance(meter, Shared)
    assert meter.source.job_share is None
    (use,) = Measured(there, (meter,), 60.0, own=frozenset({OURS})).use
    assert use is not None
    assert use.own_s / use.all_s == pytest.approx(0.25, abs=0.03)
    assert use.equal_s == pytest.approx(30.0, abs=0.5)
    assert use.blind_s == 0.0


# Who uses it


@pytest.mark.parametrize(
    ("device", "own_share", "equal_s", "blind_s"),
    [
        (users(Process(OURS, 80)), 1.0, 20.0, 0.0),
        (users(Process(OURS, 80, util_pid=ELSEWHERE)), 1.0, 20.0, 0.0),
        (users(Process(OURS, 20, util_pid=ELSEWHERE), Process(THEIRS, 80, util_pid=ELSEWHERE + 1)), 0.5, 10.0, 0.0),
        (users(Process(ELSEWHERE, 20, util_pid=OURS), Process(ELSEWHERE + 1, 60, util_pid=THEIRS)), 0.25, 10.0, 0.0),
        (users(Process(ELSEWHERE, 40), Process(ELSEWHERE + 1, 40)), None, 0.0, 20.0),
        (users(Process(ELSEWHERE, 40, visible=False)), None, 0.0, 20.0),
        (users(utilization_pct=70), None, 0.0, 20.0),
        (users(Process(OURS, 20), Process(THEIRS, 80), has_process_utilization=False), 0.5, 10.0, 0.0),
        (users(Process(OURS, 20), Process(THEIRS, 60), has_processes=False), 0.25, 10.0, 0.0),
        (users(Process(THEIRS, 60)), 0.0, 0.0, 0.0),
    ],
    ids=[
        "ours alone", "ours, samples elsewhere", "shared, samples elsewhere", "list elsewhere", "all elsewhere",
        "invisible", "empty and busy", "no samples", "no list", "theirs alone",
    ],
)  # fmt: skip
def test_users_of_a_device(
    node: Callable[..., Node], device: Device, own_share: float | None, equal_s: float, blind_s: float
) -> None:
    there = node(device)
    (use,) = Measured(there, there.discover().meters, 20.0, own=frozenset({OURS})).use
    assert use is not None
    if own_share is None:
        assert use.own_s == use.all_s == 0.0
    else:
        assert use.own_s / use.all_s == pytest.approx(own_share, abs=0.02)
    assert (use.equal_s, use.blind_s) == pytest.approx((equal_s, blind_s), abs=0.7)


def test_a_stranger_that_comes_and_goes_pays_for_his_time(node: Callable[..., Node]) -> None:
    there = node(users(Process(OURS, 50), Process(THEIRS, 50, from_s=20.0, until_s=40.0)))
    (use,) = Measured(there, there.discover().meters, 60.0, own=frozenset({OURS})).use
    assert use is not None
    assert use.equal_s == pytest.approx(50.0, abs=1.0)
    assert use.all_s - use.own_s == pytest.approx(10.0, abs=1.0)


def test_what_a_scheduler_gave_is_wholly_the_jobs(node: Callable[..., Node]) -> None:
    there = node(users(Process(THEIRS, 100)))
    (meter,) = there.discover(**SLURM).meters
    assert not isinstance(meter, Shared)
    assert meter.source.job_share == 1.0
    assert meter.read().use is None


def test_clients_of_a_server_share_by_heads_and_are_flagged(
    node: Callable[..., Node], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lowtide_sampler import nvml_meters

    server = os.getppid()
    monkeypatch.setattr(nvml_meters, "_process_name", lambda pid: "nvidia-cuda-mps" if pid == server else "other")
    there = node(users(Process(server, 90), Process(OURS, 0, mps=True), Process(THEIRS, 0, mps=True)))
    (tmp_path / "control").touch()
    (meter,) = there.discover(CUDA_MPS_PIPE_DIRECTORY=str(tmp_path)).meters
    assert "mps" in meter.source.flags
    (use,) = Measured(there, (meter,), 20.0, own=frozenset({OURS})).use
    assert use is not None
    assert (use.own_s / use.all_s, use.equal_s) == pytest.approx((0.5, 10.0), abs=0.02)
    assert "mps" in meter.late_flags  # type: ignore[attr-defined]


def test_idle_power_is_known_only_of_a_device_that_idles(node: Callable[..., Node]) -> None:
    there = node(Device(power_w=61.0, utilization_pct=0), users(Process(THEIRS, 5)), Device(utilization_pct=3))
    assert [meter.source.idle_w for meter in there.discover().meters] == [61.0, None, None]


# Which devices


def test_the_jobs_devices_by_position_by_uuid_and_without_the_forbidden(node: Callable[..., Node]) -> None:
    there = node(Device(forbidden=True), Device(uuid="GPU-1abc"), Device(uuid="GPU-2abc"), Device(uuid="GPU-2abd"))
    assert there.names() == ["nvml:1", "nvml:2", "nvml:3"]
    assert there.names(CUDA_VISIBLE_DEVICES="0") == ["nvml:1"]
    assert there.names(CUDA_VISIBLE_DEVICES="GPU-2abd,0") == ["nvml:3", "nvml:1"]
    assert there.names(CUDA_VISIBLE_DEVICES="GPU-2") == []
    assert there.names(CUDA_VISIBLE_DEVICES="1,9,0") == ["nvml:2"]
    assert there.names(CUDA_VISIBLE_DEVICES="-1") == there.names(CUDA_VISIBLE_DEVICES="NoDevFiles") == []
    assert there.names(CUDA_VISIBLE_DEVICES="") == there.names(NVIDIA_VISIBLE_DEVICES="none") == []
    assert there.names(NVIDIA_VISIBLE_DEVICES="4,5,6") == ["nvml:1", "nvml:2", "nvml:3"]
    assert there.names(NVIDIA_VISIBLE_DEVICES="GPU-2abc") == ["nvml:2"]


def test_slurm_numbers_devices_as_their_files(node: Callable[..., Node]) -> None:
    there = node(*(Device(minor=minor) for minor in (3, 2, 1, 0)))
    assert there.names(SLURM_JOB_GPUS="0,3") == ["nvml:3", "nvml:0"]
    assert there.names(SLURM_STEP_GPUS="2", SLURM_JOB_GPUS="2,3") == ["nvml:1"]
    seen_alone = node(Device(minor=0), Device(minor=1))
    assert seen_alone.names(SLURM_JOB_GPUS="6,7") == ["nvml:0", "nvml:1"]


def test_cuda_counts_the_fastest_first_unless_asked_for_the_bus(node: Callable[..., Node]) -> None:
    there = node(Device(name="T4", cores=2560, clock_megahertz=1590), Device(), Device())
    assert there.names(CUDA_VISIBLE_DEVICES="0,2") == ["nvml:1", "nvml:0"]
    (meter,) = there.discover(CUDA_VISIBLE_DEVICES="0").meters
    assert "device_order_guessed" in meter.source.flags
    assert there.names(CUDA_VISIBLE_DEVICES="0,2", CUDA_DEVICE_ORDER="PCI_BUS_ID") == ["nvml:0", "nvml:2"]
    (meter,) = there.discover(CUDA_VISIBLE_DEVICES="0", CUDA_DEVICE_ORDER="PCI_BUS_ID").meters
    assert meter.source.flags == ()


MIG = Device(
    power_w=700.0,
    uuid="GPU-5eed",
    mig_mode=True,
    slices=(Slice("MIG-4c1e", 1, 0, 3, 3), Slice("MIG-4c2f", 2, 0, 2, 1), Slice("MIG-77aa", 2, 1, 2, 1)),
)


@pytest.mark.parametrize(
    ("listed", "share"),
    [
        ("MIG-4c1e", 3 / 7),
        ("MIG-4c2f", 1 / 7),
        ("MIG-7", 1 / 7),
        ("MIG-GPU-5eed/1/0", 3 / 7),
        ("MIG-GPU-5eed/2/1", 1 / 7),
        ("1", 3 / 7),
        ("GPU-5eed", 3 / 7),
        (None, 3 / 7),
    ],
)
def test_a_slice_takes_its_part_of_the_device(node: Callable[..., Node], listed: str | None, share: float) -> None:
    there = node(MIG) if listed != "1" else node(Device(power_w=100.0), MIG)
    (meter,) = there.discover(**({} if listed is None else {"CUDA_VISIBLE_DEVICES": listed})).meters
    assert meter.source.job_share == pytest.approx(share)
    assert meter.source.flags == ("mig_slice",)
    assert not isinstance(meter, Shared)
    assert Measured(there, (meter,), 16.0).joules == pytest.approx([16 * 700.0], rel=0.005)


@pytest.mark.parametrize("listed", ["MIG-4", "MIG-0000", "MIG-GPU-5eed/9/0", "MIG-GPU-other/1/0"])
def test_a_slice_that_is_not_there_ends_the_list(node: Callable[..., Node], listed: str) -> None:
    assert node(MIG).names(CUDA_VISIBLE_DEVICES=f"{listed},MIG-4c1e") == []


def test_a_smaller_device_has_fewer_slices(node: Callable[..., Node]) -> None:
    small = dataclasses.replace(MIG, name="NVIDIA A30", max_slices=4, slices=(Slice("MIG-1", 1, 0, 2, 2),))
    (meter,) = node(small).discover(CUDA_VISIBLE_DEVICES="MIG-1").meters
    assert meter.source.job_share == 0.5


def test_a_slice_that_is_the_whole_device_is_still_a_slice(node: Callable[..., Node]) -> None:
    (meter,) = node(dataclasses.replace(MIG, slices=(Slice("MIG-1", 0, 0, 7, 7),))).discover().meters
    assert meter.source.job_share == 1.0
    assert not isinstance(meter, Shared)


# What fails


def test_a_counter_that_never_moves_is_replaced_by_power(node: Callable[..., Node]) -> None:
    there = node(Device(power_w=400.0, counter_stuck=True))
    (meter,) = there.discover(**SLURM).meters
    measured = Measured(there, (meter,), 60.0)
    assert measured.joules == pytest.approx([60 * 400.0], rel=0.01)
    assert meter.sample_period_s is not None
    assert meter.late_flags == ("counter_stuck",)  # type: ignore[attr-defined]


def test_a_counter_of_an_idle_device_may_stand_still(node: Callable[..., Node]) -> None:
    there = node(Device(power_w=0.0))
    (meter,) = there.discover(**SLURM).meters
    assert Measured(there, (meter,), 10.0).joules == [0.0]
    assert meter.sample_period_s is None


def test_a_counter_that_starts_anew_is_shown_as_it_is(node: Callable[..., Node]) -> None:
    there = node(Device(power_w=400.0, counter_reset_s=10.0, counter_offset_j=5e6))
    (meter,) = there.discover(**SLURM).meters
    there.clock.set_s(9.0)
    before_uj = meter.read().energy_uj
    there.clock.set_s(11.0)
    assert meter.read().energy_uj == pytest.approx(400e6, rel=0.01)
    assert before_uj > 5e12


def test_a_driver_loaded_anew_is_started_anew(node: Callable[..., Node]) -> None:
    there = node(Device(power_w=400.0), uninitialized_from_s=4.5)
    (meter,) = there.discover(**SLURM).meters
    measured = Measured(there, (meter,), 16.0)
    assert measured.failures == [1]
    assert measured.joules == pytest.approx([6400.0], rel=0.005)


def test_a_driver_that_stays_away_is_not_asked_to_start_each_time(
    node: Callable[..., Node], monkeypatch: pytest.MonkeyPatch
) -> None:
    there = node(Device())
    (meter,) = there.discover(**SLURM).meters
    import pynvml

    starts: list[float] = []
    init = pynvml.nvmlInit
    monkeypatch.setattr(pynvml, "nvmlInit", lambda: (starts.append(there.clock.now_s), init()))
    there.rewrite(Device(), all_error=fake_nvml.DRIVER_NOT_LOADED, init_error=fake_nvml.DRIVER_NOT_LOADED)
    for _ in range(600):
        there.clock.advance_s(0.5)
        with pytest.raises(Unreadable, match="driver"):
            meter.read()
    assert 4 <= len(starts) <= 9
    there.rewrite(Device())
    there.clock.advance_s(61.0)
    with pytest.raises(Unreadable, match="anew"):
        meter.read()
    assert meter.read().energy_uj > 0


def test_a_device_lost_before_the_start_is_found_so(node: Callable[..., Node]) -> None:
    found = node(Device(), Device(lost_from_s=0.0)).discover()
    assert [finding.found for finding in found.findings] == [True, False]
    assert "lost" in found.findings[1].why
    assert found.missing_share == 0.5


def test_a_device_that_tells_nothing_is_found_so(node: Callable[..., Node]) -> None:
    found = node(Device(has_counter=False, has_instant=False, has_usage=False)).discover()
    assert found.meters == ()
    assert found.missing_share == 1.0
    assert "does not support" in found.findings[0].why


def test_a_counter_that_is_not_permitted_leaves_the_power(node: Callable[..., Node]) -> None:
    (meter,) = node(Device(has_counter=False, counter_error=fake_nvml.NO_PERMISSION)).discover().meters
    assert meter.source.kind == "power"


@pytest.mark.parametrize("code", [*range(1, 30), 999])
def test_no_error_of_theirs_is_ever_raised(node: Callable[..., Node], code: int) -> None:
    there = node(users(Process(OURS, 50)))
    (meter,) = there.discover().meters
    there.rewrite(users(Process(OURS, 50)), all_error=code)
    there.clock.advance_s(1.0)
    with pytest.raises(Unreadable) as caught:
        meter.read()
    assert caught.value.source == "nvml:0"
    assert isinstance(meter, Shared)
    meter.note_users(frozenset({OURS}))
    assert there.discover().meters == ()


def test_a_driver_that_does_not_start_says_why(node: Callable[..., Node]) -> None:
    there = node(Device(), init_error=18)
    assert there.driver is None
    assert "another version" in there.found.why
    assert there.found.repair == "sudo reboot"


@pytest.mark.parametrize(("vendor", "repair"), [("0x10de", "sudo modprobe nvidia"), ("0x8086", "")])
def test_a_library_alone_is_nothing_to_mend(
    node: Callable[..., Node], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, vendor: str, repair: str
) -> None:
    if any(Path(f"/dev/{name}").exists() for name in ("nvidia0", "nvidiactl", "dxg")):
        pytest.skip("this node has an NVIDIA device")
    (tmp_path / "0000:01:00.0").mkdir()
    (tmp_path / "0000:01:00.0/vendor").write_text(vendor + "\n")
    monkeypatch.setattr(nvml_driver, "_PCI", str(tmp_path))
    assert node(Device(), init_error=fake_nvml.DRIVER_NOT_LOADED).found.repair == repair


@pytest.mark.parametrize(
    ("content", "why"), [(None, "not installed"), ("raise FutureWarning('another pynvml')", "another pynvml")]
)
def test_without_its_module_the_driver_is_not_read(
    node: Callable[..., Node], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str | None, why: str
) -> None:
    node(Device())
    if content is None:
        monkeypatch.setitem(sys.modules, "pynvml", None)
    else:
        (tmp_path / "pynvml.py").write_text(content + "\n")
        monkeypatch.delitem(sys.modules, "pynvml")
        monkeypatch.syspath_prepend(str(tmp_path))
    driver, finding = nvml_driver.start()
    assert driver is None
    assert why in finding.why


def test_a_power_that_is_lost_for_a_while_is_not_held_over_it(node: Callable[..., Node]) -> None:
    there = node(dataclasses.replace(NO_COUNTER, lost_from_s=5.0, lost_until_s=9.0))
    (meter,) = there.discover(**SLURM).meters
    measured = Measured(there, (meter,), 16.0)
    assert measured.failures[0] > 10
    assert measured.joules == pytest.approx([12 * 217.5], rel=0.1)


def find_with(folder: Path) -> str:
    """What a new process says of the driver whose library is in a folder."""
    find = "from lowtide_sampler.nvml_driver import start; print(start())"
    environ = {**os.environ, "LD_LIBRARY_PATH": str(folder), "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.run([sys.executable, "-c", find], env=environ, capture_output=True, text=True, check=True).stdout


def test_a_library_that_is_none_is_found_so(tmp_path: Path) -> None:
    (tmp_path / fake_nvml.LIBRARY).write_bytes(b"\x7fELF is not enough" * 100)
    answer = find_with(tmp_path)
    assert answer.startswith("(None,")
    assert "cannot be loaded" in answer


def test_a_library_without_the_drivers_functions_is_found_so(library: Path, tmp_path: Path) -> None:
    source = tmp_path / "empty.c"
    source.write_text("int nothing;\n")
    options = ["-shared", "-fPIC", f"-Wl,-soname,{fake_nvml.LIBRARY}", "-o", str(tmp_path / fake_nvml.LIBRARY)]
    subprocess.run(["cc", *options, str(source)], check=True)
    answer = find_with(tmp_path)
    assert "too old for it, or is not the driver's" in answer


def test_eight_devices_cost_little_and_nothing_is_looked_up_again(node: Callable[..., Node]) -> None:
    there = node(*(users(Process(OURS, 40), Process(THEIRS, 40)) for _ in range(8)))
    meters = there.discover().meters
    own = frozenset({OURS})
    durations_s = []
    for _ in range(50):
        there.clock.advance_s(0.5)
        begin_s = time.perf_counter()
        for meter in meters:
            meter.note_users(own)  # type: ignore[attr-defined]
            meter.read()
        durations_s.append(time.perf_counter() - begin_s)
    assert sorted(durations_s)[len(durations_s) // 4] < 0.010  # on a busy machine; see the bench for the figure
