"""Monitoring chips of every odd shape, and what becomes of a power that is only sampled."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lowtide_sampler.hwmon import discover
from lowtide_sampler.meters import Source


class Hwmon:
    """Monitoring folders below a root, numbered as they come; ``clock_s`` is the node's."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.clock_s = 0.0
        self._count = 0

    def chip(self, name: str, **files: str | int) -> Path:
        folder = self.root / f"sys/class/hwmon/hwmon{self._count}"
        self._count += 1
        (folder / "device").mkdir(parents=True)
        for file, text in {"name": name, **files}.items():
            (folder / file.replace("__", "/")).write_text(f"{text}\n")
        return folder

    def found(self):
        return discover(str(self.root), lambda: self.clock_s)

    def sources(self) -> dict[str, Source]:
        return {meter.source.name: meter.source for meter in self.found().meters}


@pytest.fixture
def node(tmp_path: Path) -> Hwmon:
    return Hwmon(tmp_path)


def test_amd_energy_adds_sockets_and_no_cores(node: Hwmon) -> None:
    node.chip("k10temp", temp1_input=40000)
    node.chip("amd_energy", energy1_label="Ecore000", energy1_input=111, energy2_label="Ecore001", energy2_input=222,
              energy3_label="Esocket0", energy3_input=5000, energy4_label="Esocket1", energy4_input=7000)  # fmt: skip
    answer = node.found()
    assert [(m.read().energy_uj, m.source.package) for m in answer.meters] == [(5000, 0), (7000, 1)]
    assert {m.source.kind for m in answer.meters} == {"counter"}
    assert answer.missing_share == 0.0


def test_amd_energy_that_root_alone_may_read(node: Hwmon, monkeypatch: pytest.MonkeyPatch) -> None:
    node.chip("amd_energy", energy1_label="Esocket0", energy1_input=5000)
    genuine = os.open

    def refusing(path, *rest, **named):
        if str(path).endswith("energy1_input"):
            raise PermissionError(13, "Permission denied", str(path))
        return genuine(path, *rest, **named)

    monkeypatch.setattr(os, "open", refusing)
    answer = node.found()
    (finding,) = answer.findings
    assert answer.missing_share == 1.0
    assert "CVE-2020-8694" in finding.why
    assert "lowtide" in finding.repair


@pytest.mark.parametrize("text", ["-1", "", "x"])
def test_amd_energy_that_gives_no_count(node: Hwmon, text: str) -> None:
    node.chip("amd_energy", energy1_label="Esocket0", energy1_input=text)
    assert node.found().meters == ()
    assert node.found().missing_share == 1.0


def grace(node: Hwmon, *rails: str, place: str = "") -> None:
    for number, rail in enumerate(rails):
        files = {"power1_oem_info": rail, "power1_average": (number + 1) * 50_000_000, "power1_average_interval": 50}
        node.chip("power_meter", **{f"{place}{file}": text for file, text in files.items()})


@pytest.mark.parametrize("place", ["", "device__"])
def test_of_a_grace_socket_s_rails_the_cpu_s_alone_is_counted(node: Hwmon, place: str) -> None:
    rails = ("Module Power Socket 0", "Grace Power Socket 0", "CPU Power Socket 0", "SysIO Power Socket 0")
    grace(node, *rails, place=place)
    components = {source.name: (source.component, source.package, source.flags) for source in node.sources().values()}
    assert components == {"hwmon2:power1": ("cpu", 0, ()), "hwmon0:power1": ("beside", 0, ())}


def test_of_two_grace_sockets_each_counts(node: Hwmon) -> None:
    grace(node, "CPU Power Socket 1", "CPU Power Socket 0", "Grace Power Socket 0", "Grace Power Socket 1")
    counted = {source.name: source.package for source in node.sources().values()}
    assert counted == {"hwmon1:power1": 0, "hwmon0:power1": 1}


def test_the_socket_s_rail_has_its_memory_in_it(node: Hwmon) -> None:
    grace(node, "Grace Power Socket 0", "SysIO Power Socket 0")
    (source,) = node.sources().values()
    assert source.flags == ("includes_memory",)


def test_a_module_s_power_alone_is_no_cpu(node: Hwmon) -> None:
    grace(node, "Module Power Socket 0")
    assert node.sources() == {}


def test_an_acpi_meter_of_the_node_is_no_cpu(node: Hwmon) -> None:
    node.chip("power_meter", power1_average=300_000_000)
    assert node.sources() == {}


def test_a_board_chip_labelled_as_the_cpu_s(node: Hwmon) -> None:
    node.chip("ina226", power1_input=12_000_000, power1_label="VDD_CPU")
    node.chip("ina226", power1_input=3_000_000, power1_label="VDD_SOC")
    (meter,) = node.found().meters
    meter.read()
    node.clock_s = 1.0
    assert meter.read().energy_uj == 12_000_000
    assert meter.source.kind == "power"
    assert meter.sample_period_s == 0.1


def test_voltage_times_current_where_there_is_no_power(node: Hwmon) -> None:
    """INA3221 as a Jetson has it: three channels, labels at the voltages alone."""
    node.chip("ina3221", in1_label="VDD_IN", in1_input=19000, curr1_input=800, in2_label="VDD_CPU_GPU_CV",
              in2_input=5000, curr2_input=1500, in3_label="VDD_SOC", in3_input=5000, curr3_input=400)  # fmt: skip
    answer = node.found()
    assert {m.source.name: (m.source.component, m.source.flags) for m in answer.meters} == {
        "hwmon0:in1": ("beside", ()),
        "hwmon0:in2": ("cpu", ("includes_gpu",)),
    }
    node.clock_s = 2.0
    cpu = next(m for m in answer.meters if m.source.component == "cpu")
    assert cpu.read().energy_uj == 15_000_000  # 5 V x 1.5 A x 2 s


def test_a_chip_with_power_and_pairs_counts_once(node: Hwmon) -> None:
    node.chip("ina219", power1_input=9_000_000, power1_label="CPU", in1_input=5000, curr1_input=1800, in1_label="CPU",
              in0_input=10)  # fmt: skip
    assert list(node.sources()) == ["hwmon0:power1"]


def test_a_current_without_its_voltage_is_no_power(node: Hwmon) -> None:
    node.chip("ina3221", in1_label="VDD_CPU", in1_input=5000, curr2_input=800, curr2_label="VDD_CPU")
    assert node.sources() == {}


@pytest.mark.parametrize("switch", ["power1_enable", "in1_enable", "curr1_enable"])
def test_a_channel_that_is_switched_off(node: Hwmon, switch: str) -> None:
    if switch.startswith("power"):
        node.chip("ina226", power1_input=0, power1_label="VDD_CPU", **{switch: 0})
    else:
        node.chip("ina3221", in1_input=0, curr1_input=0, in1_label="VDD_CPU", **{switch: 0})
    answer = node.found()
    assert answer.meters == ()
    assert "switched off" in answer.findings[0].why


def test_a_switch_that_says_on_counts(node: Hwmon) -> None:
    node.chip("ina226", power1_input=5_000_000, power1_label="VDD_CPU", power1_enable=1)
    assert list(node.sources()) == ["hwmon0:power1"]


def test_a_sensor_without_a_label_is_told_and_not_counted(node: Hwmon) -> None:
    node.chip("ina226", power1_input=12_000_000)
    answer = node.found()
    assert answer.meters == ()
    assert "without a label" in answer.findings[0].why


def test_the_device_tree_s_label_serves_where_the_channel_has_none(node: Hwmon) -> None:
    node.chip("ina226", power1_input=12_000_000, label="cpu-rail")
    assert list(node.sources()) == ["hwmon0:power1"]


def test_two_chips_with_one_label_are_two_rails(node: Hwmon) -> None:
    for power_uw in (1_000_000, 2_000_000):
        node.chip("ina226", power1_input=power_uw, power1_label="CPU")
    assert list(node.sources()) == ["hwmon0:power1", "hwmon1:power1"]


def test_a_disk_s_or_a_gpu_s_power_is_no_cpu(node: Hwmon) -> None:
    node.chip("amdgpu", power1_input=50_000_000, power1_label="CPU")
    node.chip("ina226", power1_input=50_000_000, power1_label="VDD_GPU")
    node.chip("ina226", power1_input=50_000_000, power1_label="OCCUPANCY")
    assert node.sources() == {}


def test_a_sensor_that_fails_at_first_is_missing(node: Hwmon) -> None:
    node.chip("ina226", power1_input="", power1_label="VDD_CPU")
    answer = node.found()
    assert answer.meters == ()
    assert answer.missing_share == 1.0


def test_no_folder_no_sensor(tmp_path: Path) -> None:
    assert discover(str(tmp_path)) == ((), (), 1.0)
