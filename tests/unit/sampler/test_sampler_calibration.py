"""Calibration: a quiet node, a loaded one, a meter of the whole; and what later runs make of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from lowtide_sampler import calibration
from lowtide_sampler.calibration import (
    CalibrateOptions,
    CalibrationError,
    calibrate,
    calibrate_main,
    parse_calibrate,
    parse_power_w,
)
from lowtide_sampler.calibration_file import Calibration, load, path_of, save
from lowtide_sampler.machine import Machine, read_machine
from lowtide_sampler.sources import choose_models, find_sources, host_name

NOW_S = float(round(time.time()))
THREADS = 8
RANGE_UJ = 262143328850
MACHINE = Machine("GenuineIntel", 6, 85, "Xeon", THREADS, 8, 4, False, 32.0)


class Node:
    """A node below a root: 20 W of package and 5 W of memory at rest, 100 W and 15 W at full load; psys beside."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.t_s = 0.0
        self.load_share = 0.01
        self.ended_loads = 0
        self.psys_of = None
        self._energy_uj = {"intel-rapl:0": 1e9, "intel-rapl:0:0": 5e9, "intel-rapl:1": 9e9}
        self._busy_s = self._all_s = 0.0
        proc = root / "proc"
        proc.mkdir(parents=True)
        (proc / "cpuinfo").write_text("vendor_id\t: GenuineIntel\ncpu family\t: 6\nmodel\t\t: 85\nsiblings\t: 8\n"
                                      "cpu cores\t: 4\nflags\t\t: fpu\n\n")  # fmt: skip
        (proc / "meminfo").write_text("MemTotal: 31250000 kB\n")
        for folder, name in (("intel-rapl:0", "package-0"), ("intel-rapl:0:0", "dram")):
            self.zone(folder, name)
        self.sleep(0.0)

    def zone(self, folder: str, name: str) -> None:
        path = self.root / "sys/class/powercap" / folder
        path.mkdir(parents=True)
        (path / "name").write_text(f"{name}\n")
        (path / "max_energy_range_uj").write_text(f"{RANGE_UJ}\n")

    def with_psys(self) -> Node:
        self.zone("intel-rapl:1", "psys")
        self.sleep(0.0)
        return self

    def powers_w(self) -> dict[str, float]:
        package_w, dram_w = 20 + 80 * self.load_share, 5 + 10 * self.load_share
        return {"intel-rapl:0": package_w, "intel-rapl:0:0": dram_w, "intel-rapl:1": 30 + 1.2 * (package_w + dram_w)}

    def sleep(self, seconds: float) -> None:
        self.t_s += seconds
        for folder, power_w in self.powers_w().items():
            self._energy_uj[folder] = (self._energy_uj[folder] + 1e6 * power_w * seconds) % RANGE_UJ
            path = self.root / "sys/class/powercap" / folder
            if path.is_dir():
                (path / "energy_uj").write_text(f"{round(self._energy_uj[folder])}\n")
        self._busy_s += THREADS * self.load_share * seconds
        self._all_s += THREADS * seconds
        ticks = f"{round(100 * self._busy_s)} 0 0 {round(100 * (self._all_s - self._busy_s))} 0 0 0 0\n"
        lines = "".join(f"cpu{cpu} 0 0 0 0 0 0 0 0\n" for cpu in range(THREADS))
        (self.root / "proc/stat").write_text(f"cpu  {ticks}{lines}")

    def start_load(self, cpus: int, _seconds: float):
        self.load_share = cpus / THREADS

        def end() -> None:
            self.load_share = 0.01
            self.ended_loads += 1

        return end

    def calibrate(self, **asked) -> Calibration:
        options = CalibrateOptions(seconds=10.0, sysroot=str(self.root), **asked)
        found, path = calibrate(
            options,
            os.environ,
            sleep=self.sleep,
            monotonic_s=lambda: self.t_s,
            now_utc_s=lambda: NOW_S,
            start_load=self.start_load,
        )
        assert load(path, read_machine(str(self.root)), NOW_S)[0] == found  # what is stored is what was found
        return found


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("LOWTIDE_CONFIG", "LOWTIDE_METER_ERRORS", "SCAPHANDRE_POWERCAP_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LOWTIDE_STATE", str(tmp_path / "state"))
    return tmp_path / "state"


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path / "root")


def test_idle_power_per_source(node: Node) -> None:
    found = node.calibrate()
    assert found.idle_w == {
        "powercap:intel-rapl:0": pytest.approx(20.8, abs=0.01),
        "powercap:intel-rapl:0:0": pytest.approx(5.1, abs=0.01),
    }
    assert found.rest_idle_w is None  # nothing measured the whole


def test_a_wrap_in_between_changes_nothing(node: Node) -> None:
    node._energy_uj["intel-rapl:0"] = RANGE_UJ - 60e6
    node.sleep(0.0)
    assert node.calibrate().idle_w["powercap:intel-rapl:0"] == pytest.approx(20.8, abs=0.01)
    assert node._energy_uj["intel-rapl:0"] < 200e6


def test_a_busy_node_is_refused_with_its_load(node: Node, state: Path) -> None:
    node.load_share = 0.12
    with pytest.raises(CalibrationError, match=r"12 % busy, and must be below 5 %"):
        node.calibrate()
    assert not list(state.rglob("*.json"))


def test_psys_gives_the_rest_its_offset_and_slope(node: Node) -> None:
    node.with_psys().calibrate()
    found = node.calibrate(busy=True)
    assert found.node_meter == "RAPL psys"
    assert found.rest_idle_w == pytest.approx(30 + 0.2 * 25.9, abs=0.1)
    assert found.rest_slope == pytest.approx(0.2, abs=0.01)
    assert found.rest_active_j_per_cpu_s == pytest.approx(0.2 * 90 * 0.99 / 8, rel=0.02)
    assert node.ended_loads == 1


def test_a_wall_meter_s_reading_is_taken_at_its_word(node: Node) -> None:
    node.with_psys().calibrate(wall_w=85.0)
    found = node.calibrate(busy=True, wall_w=210.0)
    assert found.node_meter == "wall"
    assert found.rest_idle_w == pytest.approx(85 - 25.9, abs=0.1)
    assert found.rest_slope == pytest.approx(125 / 89.1 - 1, abs=0.01)


@pytest.mark.parametrize(
    ("first", "then", "said"),
    [
        (None, {"busy": True, "wall_w": 210.0}, "has not been measured"),
        ({}, {"busy": True, "wall_w": 210.0}, "has not been measured"),
        ({"wall_w": 85.0}, {"busy": True}, "give --wall"),
        ({"wall_w": 85.0}, {"busy": True, "wall_w": 80.0}, "one is wrong"),
        ({"wall_w": 85.0}, {"wall_w": 10.0}, "one of them is wrong"),
    ],
)
def test_figures_that_do_not_fit_are_refused_and_the_old_ones_stay(
    node: Node, state: Path, first: dict | None, then: dict, said: str
) -> None:
    if first is not None:
        node.calibrate(**first)
    before = {path: path.read_text() for path in state.rglob("*.json")}
    with pytest.raises(CalibrationError, match=said):
        node.calibrate(**then)
    assert {path: path.read_text() for path in state.rglob("*.json")} == before


def test_a_load_that_does_not_come_is_refused_and_ended(node: Node) -> None:
    node.calibrate(wall_w=85.0)
    genuine = node.start_load
    node.start_load = lambda cpus, seconds: genuine(cpus // 2, seconds)
    with pytest.raises(CalibrationError, match="50 % of the CPUs"):
        node.calibrate(busy=True, wall_w=150.0)
    assert node.ended_loads == 1


def test_nothing_to_measure_with_is_told(tmp_path: Path, node: Node) -> None:
    for zone in (node.root / "sys/class/powercap").iterdir():
        (zone / "name").write_text("core\n")
    with pytest.raises(CalibrationError, match="--wall"):
        node.calibrate()
    assert node.calibrate(wall_w=60.0).node_idle_w == 60.0


def test_a_wall_says_nothing_about_a_virtual_machine(node: Node) -> None:
    path = node.root / "proc/cpuinfo"
    path.write_text(path.read_text().replace("fpu", "fpu hypervisor"))
    with pytest.raises(CalibrationError, match="virtual machine"):
        node.calibrate(wall_w=60.0)


def test_the_file_is_its_owner_s_alone_and_whole(node: Node, state: Path) -> None:
    node.calibrate()
    (path,) = (file for file in state.rglob("*") if file.is_file())
    assert path == state / "calibration" / f"{host_name()}.json"
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_runs_take_idle_power_and_rest_from_it(node: Node) -> None:
    node.with_psys().calibrate()
    node.calibrate(busy=True)
    found = find_sources(os.environ, str(node.root))
    idle_w = {meter.source.label: meter.source.idle_w for meter in found.meters}
    assert idle_w["RAPL package"] == pytest.approx(20.8, abs=0.01)
    (rest,) = (source for source in found.models if source.component == "rest")
    assert rest.idle_w == pytest.approx(35.2, abs=0.1)
    assert rest.active_j_per_cpu_s == pytest.approx(2.2, rel=0.05)
    assert "calibrated" in rest.flags
    assert next(f for f in found.findings if f.name == "calibration").found


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"cpu": ["GenuineIntel", 6, 143, THREADS]}, "another processor"),
        ({"cpu": ["GenuineIntel", 6, 85, 2 * THREADS]}, "another processor"),
        ({"measured_utc_s": NOW_S - 366 * 86400}, "366 days old"),
        ({"measured_utc_s": NOW_S + 3 * 86400}, "future"),
        ({"schema": "lowtide-calibration/9"}, "version"),
        ({"idle_w": {"a": -1}}, "damaged"),
        ({"idle_w": {"a": float("nan")}}, "damaged"),
        ({"idle_w": ["a"]}, "damaged"),
        ({"idle_w": 3}, "damaged"),
        ({"cpu": []}, "damaged"),
    ],
)
def test_what_does_not_hold_any_more_is_left_aside_with_a_word(tmp_path: Path, change: dict, said: str) -> None:
    path = tmp_path / "c/h.json"
    save(str(path), Calibration(NOW_S, ("GenuineIntel", 6, 85, THREADS), {"a": 1.0}), "h")
    assert load(str(path), MACHINE, NOW_S)[0] is not None
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    calibration, why = load(str(path), MACHINE, NOW_S)
    assert calibration is None
    assert said in why


@pytest.mark.parametrize("size", [0, 1, 30, 100])
def test_a_file_that_was_cut_off(tmp_path: Path, size: int) -> None:
    path = tmp_path / "c/h.json"
    save(str(path), Calibration(NOW_S, ("GenuineIntel", 6, 85, THREADS), {"a": 1.0}), "h")
    path.write_bytes(path.read_bytes()[:size])
    calibration, why = load(str(path), MACHINE, NOW_S)
    assert calibration is None
    assert ("damaged" in why) == (size > 0)


def test_a_host_s_name_cannot_leave_the_folder() -> None:
    assert path_of({"LOWTIDE_STATE": "/s"}, "../../etc/x") == "/s/calibration/_.._etc_x.json"
    assert path_of({"XDG_STATE_HOME": "/s"}, "") == "/s/lowtide/calibration/host.json"


def test_a_full_disk_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "c/h.json"
    save(str(path), Calibration(NOW_S, ("a", 1, 1, 1), {"a": 1.0}), "h")
    before = path.read_text()

    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(OSError, match="space"):
        save(str(path), Calibration(NOW_S, ("a", 1, 1, 1), {"a": 2.0}), "h")
    assert path.read_text() == before
    assert [file.name for file in path.parent.iterdir()] == ["h.json"]


CALIBRATED = Calibration(NOW_S, ("GenuineIntel", 6, 85, THREADS), {}, "wall", 60.0, 0.0, 180.0, 0.0, 8.0)


def test_without_counters_the_node_s_own_line_is_the_model() -> None:
    (cpu,) = choose_models(MACHINE, set(), 1.0, calibration=CALIBRATED)
    assert cpu.idle_w == 60.0
    assert cpu.idle_w + THREADS * cpu.active_j_per_cpu_s == pytest.approx(180.0)
    assert 0.8 < cpu.low_share < cpu.high_share < 1.2


def test_a_gpu_s_own_meter_is_not_in_the_node_s_line() -> None:
    with_gpu = CALIBRATED._replace(devices_idle_w=25.0, devices_busy_w=27.0)
    (cpu,) = choose_models(MACHINE, {"gpu"}, 1.0, calibration=with_gpu)
    assert cpu.idle_w == 35.0
    assert cpu.idle_w + THREADS * cpu.active_j_per_cpu_s == pytest.approx(180 - 27)


def test_with_idle_power_alone_the_slope_is_the_family_s() -> None:
    (cpu,) = choose_models(MACHINE, set(), 1.0, calibration=CALIBRATED._replace(node_busy_w=None))
    assert cpu.idle_w + THREADS * cpu.active_j_per_cpu_s == pytest.approx(60 / 0.15)
    assert cpu.high_share > 1.2


def test_a_calibrated_rest_does_not_hold_the_memory_twice() -> None:
    measured = CALIBRATED._replace(devices_idle_w=20.0, devices_busy_w=100.0)
    memory, rest = choose_models(MACHINE, {"cpu"}, 0.0, calibration=measured)
    assert memory.idle_w + rest.idle_w == pytest.approx(40.0)
    (rest,) = choose_models(MACHINE, {"cpu", "dram"}, 0.0, calibration=measured)
    assert rest.idle_w == pytest.approx(40.0)


@pytest.mark.parametrize("text", ["85", "W", "-5W", "0W", "85 V", "1e9W", "nanW", ""])
def test_what_is_no_power(text: str) -> None:
    with pytest.raises(ValueError, match="85W"):
        parse_power_w(text)


@pytest.mark.parametrize(("text", "power_w"), [("85W", 85.0), ("0.085kW", 85.0), ("85.5 W", 85.5)])
def test_what_is_a_power(text: str, power_w: float) -> None:
    assert parse_power_w(text) == pytest.approx(power_w)


@pytest.mark.parametrize("argv", [["--seconds", "1"], ["--seconds"], ["--wall"], ["--idle"], ["--busy=1"], ["x"]])
def test_wrong_options(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert calibrate_main(argv) == 125
    assert "lowtide: " in capsys.readouterr().err


def test_options() -> None:
    asked = parse_calibrate(["--seconds=5s", "--wall", "85W", "--busy", "--json", "--sysroot", "/x"])
    assert asked == CalibrateOptions(5.0, 85.0, busy=True, as_json=True, sysroot="/x")


def test_without_proc_psutil_tells_the_load(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibration, "proc_root", lambda _: "/nowhere")
    monkeypatch.setitem(sys.modules, "psutil", None)
    with pytest.raises(CalibrationError, match="pip install psutil"):
        calibration._node_reader("")
    times = SimpleNamespace(_asdict=lambda: {"user": 5.0, "system": 3.0, "idle": 92.0})
    monkeypatch.setitem(sys.modules, "psutil", SimpleNamespace(cpu_times=lambda: times))
    assert calibration._node_reader("")() == (8.0, 100.0)


def test_the_verb_is_there() -> None:
    said = subprocess.run(
        [sys.executable, "-m", "lowtide_sampler", "calibrate", "--help"], capture_output=True, text=True
    )
    assert said.returncode == 0
    assert "--wall POWER" in said.stdout


def test_the_load_ends_by_itself_and_at_once() -> None:
    from lowtide_sampler.calibration import _start_load

    end = _start_load(1, 30.0)
    end()
    end()
