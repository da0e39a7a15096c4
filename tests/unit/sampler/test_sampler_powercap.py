"""Zones of every odd shape, below a made-up root in the kernel's own layout: a class of links into the devices."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lowtide_sampler.machine import Machine
from lowtide_sampler.meters import Unreadable
from lowtide_sampler.powercap import discover, discover_virtual, thermal_power_w

XEON = Machine("GenuineIntel", 6, 106, "Xeon", 64, 32, 16, False, 256.0)
RANGE_UJ = 262143328850


class Powercap:
    """The powercap class of a node; every zone has a counter of its own unless it is told otherwise."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.base = root / "sys/class/powercap"
        self.base.mkdir(parents=True)

    def zone(self, folder: str, name: str, energy: str = "", **files: str) -> Path:
        control, *numbers = folder.split(":")
        device = self.root / "sys/devices/virtual/powercap" / control
        for depth in range(len(numbers)):
            device /= ":".join([control, *numbers[: depth + 1]])
        device.mkdir(parents=True, exist_ok=True)
        own = f"{1_000_000_000 * (len(list(self.base.iterdir())) + 1)}\n"
        content = {"name": f"{name}\n", "max_energy_range_uj": f"{RANGE_UJ}\n", "energy_uj": energy or own, **files}
        for file, text in content.items():
            (device / file).write_text(text)
        (self.base / folder).symlink_to(device)
        return device


@pytest.fixture
def node(tmp_path: Path) -> Powercap:
    return Powercap(tmp_path)


def found(node: Powercap, machine: Machine = XEON):
    return discover(machine, str(node.root), sleep=lambda _: None)


def names(node: Powercap) -> list[str]:
    return [meter.source.name for meter in found(node).meters]


def test_the_package_is_told_by_the_zone_s_name_and_not_by_its_folder(node: Powercap) -> None:
    node.zone("intel-rapl:0", "package-1")
    node.zone("intel-rapl:0:0", "dram")
    node.zone("intel-rapl:1", "package-0")
    node.zone("intel-rapl:1:0", "core")
    node.zone("intel-rapl:1:1", "dram")
    packages = {(m.source.name, m.source.component): m.source.package for m in found(node).meters}
    assert packages == {
        ("powercap:intel-rapl:0", "cpu"): 1,
        ("powercap:intel-rapl:0:0", "dram"): 1,
        ("powercap:intel-rapl:1", "cpu"): 0,
        ("powercap:intel-rapl:1:1", "dram"): 0,
    }


def test_more_than_ten_zones_keep_their_parents(node: Powercap) -> None:
    for number in range(12):
        node.zone(f"intel-rapl:{number}", f"package-{11 - number}")
        node.zone(f"intel-rapl:{number}:0", "dram")
    memory = [m.source for m in found(node).meters if m.source.component == "dram"]
    assert {(source.name, source.package) for source in memory} == {
        (f"powercap:intel-rapl:{number}:0", 11 - number) for number in range(12)
    }


def test_psys_has_no_package_and_is_beside(node: Powercap) -> None:
    node.zone("intel-rapl:0", "package-0")
    node.zone("intel-rapl:1", "psys")
    psys = found(node).meters[1].source
    assert (psys.component, psys.package) == ("beside", None)


def test_a_package_inside_another_zone_is_no_package(node: Powercap) -> None:
    node.zone("intel-rapl:0", "package-0")
    node.zone("intel-rapl:0:0", "package-0")
    node.zone("intel-rapl:0:1", "psys")
    assert names(node) == ["powercap:intel-rapl:0"]


def test_a_switched_off_limit_is_a_counter_all_the_same(node: Powercap) -> None:
    node.zone("intel-rapl:0", "package-0", enabled="0\n")
    assert names(node) == ["powercap:intel-rapl:0"]


@pytest.mark.parametrize("text", ["-5\n", "\n", "nan\n", "1e9\n", "0x10\n", "12 34\n"])
def test_what_is_no_count_is_no_reading(node: Powercap, text: str) -> None:
    node.zone("intel-rapl:0", "package-0", text)
    answer = found(node)
    assert not answer.meters
    assert answer.missing_share == 1.0
    (finding,) = answer.findings
    assert "energy_uj gives no reading" in finding.why
    assert not finding.repair  # no right would mend it


def test_a_counter_that_talks_nonsense_for_a_while_is_heard_again(node: Powercap) -> None:
    device = node.zone("intel-rapl:0", "package-0", "7\n")
    (meter,) = found(node).meters
    (device / "energy_uj").write_text("-1\n")
    with pytest.raises(Unreadable):
        meter.read()
    (device / "energy_uj").write_text("9\n")
    assert meter.read().energy_uj == 9


def test_a_zone_without_a_name_is_told_and_not_counted(node: Powercap) -> None:
    node.zone("intel-rapl:0", "")
    node.zone("intel-rapl:1", "package-0")
    answer = found(node)
    assert [meter.source.name for meter in answer.meters] == ["powercap:intel-rapl:1"]
    assert "no name" in next(f.why for f in answer.findings if f.name == "powercap:intel-rapl:0")
    assert answer.missing_share == 0.0


def test_nameless_zones_alone_are_not_taken_for_a_container_s_mask(node: Powercap) -> None:
    node.zone("intel-rapl:0", "")
    assert "no name" in found(node).findings[0].why


def test_a_zone_that_vanishes_is_unreadable_and_comes_back(node: Powercap) -> None:
    device = node.zone("intel-rapl:0", "package-0", "7\n")
    (meter,) = found(node).meters
    for file in device.iterdir():
        file.unlink()
    with pytest.raises(Unreadable, match="vanished"):
        meter.read()
    (device / "energy_uj").write_text("8\n")
    assert meter.read().energy_uj == 8


def test_a_mapped_twin_stands_in_for_a_zone_that_gives_nothing(node: Powercap) -> None:
    node.zone("intel-rapl:0", "package-0", "broken\n")
    node.zone("intel-rapl-mmio:0", "package-0", "500\n")
    answer = found(node)
    assert [meter.source.name for meter in answer.meters] == ["powercap:intel-rapl-mmio:0"]
    assert answer.missing_share == 0.0


def test_a_mapped_zone_that_fails_alone_is_told(node: Powercap) -> None:
    node.zone("intel-rapl-mmio:0", "package-0", "broken\n")
    answer = found(node)
    assert answer.missing_share == 1.0
    assert [finding.name for finding in answer.findings] == ["powercap:intel-rapl-mmio:0"]


def test_a_mapped_memory_zone_is_no_twin_of_another_package_s(node: Powercap) -> None:
    node.zone("intel-rapl:0", "package-0")
    node.zone("intel-rapl:0:0", "dram")
    node.zone("intel-rapl-mmio:0", "package-1")
    node.zone("intel-rapl-mmio:0:0", "dram")
    assert len(names(node)) == 4


def test_mirrored_dies_count_once_with_their_memory(node: Powercap) -> None:
    for die in (0, 1):
        node.zone(f"intel-rapl:{die}", f"package-0-die-{die}", f"{5_000_000 + 400_000 * die}\n")
        node.zone(f"intel-rapl:{die}:0", "dram", f"{800_000_000 + 10 * die}\n")
    assert names(node) == ["powercap:intel-rapl:0", "powercap:intel-rapl:0:0"]


def test_dies_mirror_across_the_end_of_their_range(node: Powercap) -> None:
    node.zone("intel-rapl:0", "package-0-die-0", f"{RANGE_UJ - 200_000}\n")
    node.zone("intel-rapl:1", "package-0-die-1", "300000\n")
    assert names(node) == ["powercap:intel-rapl:0"]


def test_dies_that_part_within_50_ms_are_two(node: Powercap) -> None:
    node.zone("intel-rapl:0", "package-0-die-0", "5000000\n")
    other = node.zone("intel-rapl:1", "package-0-die-1", "5500000\n")
    slept = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        (other / "energy_uj").write_text("9000000\n")

    assert len(discover(XEON, str(node.root), sleep=sleep).meters) == 2
    assert slept == [0.05]


def test_packages_that_agree_by_chance_are_two(node: Powercap) -> None:
    node.zone("intel-rapl:0", "package-0", "5000000\n")
    node.zone("intel-rapl:1", "package-1", "5000000\n")
    assert len(names(node)) == 2


def refuse(monkeypatch: pytest.MonkeyPatch) -> None:
    genuine = os.open

    def refusing(path, *rest, **named):
        if str(path).endswith("energy_uj"):
            raise PermissionError(13, "Permission denied", str(path))
        return genuine(path, *rest, **named)

    monkeypatch.setattr(os, "open", refusing)


def test_the_message_has_file_cause_and_three_remedies_with_what_they_open(
    node: Powercap, monkeypatch: pytest.MonkeyPatch
) -> None:
    node.zone("intel-rapl:0", "package-0")
    node.zone("intel-rapl:0:0", "dram")
    refuse(monkeypatch)
    answer = found(node)
    first, second = answer.findings
    assert "/sys/class/powercap/intel-rapl:0/energy_uj" in first.why
    assert "5.10" in first.why
    assert "CVE-2020-8694" in first.why
    assert first.repair == second.repair  # one message for the node
    for word in ("tmpfiles.d", "lowtide", "CAP_PERFMON", "-v /sys/devices/virtual/powercap:"):
        assert word in first.repair
    assert first.repair.count("(") >= 3
    assert "can watch what others compute" in first.repair
    assert "chmod" not in first.repair
    assert "a+r" not in first.repair


def test_the_tmpfiles_lines_match_the_kernel_s_folders(node: Powercap, monkeypatch: pytest.MonkeyPatch) -> None:
    node.zone("intel-rapl:0", "package-0")
    node.zone("intel-rapl:0:0", "dram")
    refuse(monkeypatch)
    repair = found(node).findings[0].repair
    patterns = [line.split()[1] for line in repair.split("printf '")[1].split("'")[0].split("\\n") if line]
    matched = {path for pattern in patterns for path in node.root.glob(pattern.lstrip("/"))}
    assert matched == set((node.root / "sys/devices").rglob("energy_uj"))


def test_without_a_driver_the_driver_is_named(tmp_path: Path) -> None:
    (finding,) = discover(XEON, str(tmp_path)).findings
    assert "modprobe intel_rapl_msr" in finding.repair
    (tmp_path / ".dockerenv").touch()
    (finding,) = discover(XEON, str(tmp_path)).findings
    assert "-v /sys/class/powercap" in finding.repair
    (finding,) = discover(XEON._replace(virtual=True), str(tmp_path)).findings
    assert not finding.repair
    (finding,) = discover(XEON._replace(vendor="arm:0x41"), str(tmp_path)).findings
    assert not finding.repair


@pytest.mark.parametrize(
    ("vendor", "model", "share"),
    [("GenuineIntel", 106, 0.05), ("GenuineIntel", 45, 0.10), ("AuthenticAMD", 1, 0.10), ("HygonGenuine", 1, 0.10)],
)
def test_the_error_is_the_processor_s(node: Powercap, vendor: str, model: int, share: float) -> None:
    node.zone("intel-rapl:0", "package-0")
    (meter,) = found(node, XEON._replace(vendor=vendor, model=model)).meters
    assert meter.source.error_share == share


def test_the_thermal_power_is_readable_where_the_counter_is_not(
    node: Powercap, monkeypatch: pytest.MonkeyPatch
) -> None:
    node.zone("intel-rapl:0", "package-0", constraint_0_max_power_uw="125000000\n")
    node.zone("intel-rapl:1", "package-1", constraint_0_max_power_uw="125000000\n")
    node.zone("intel-rapl-mmio:0", "package-0", constraint_0_max_power_uw="125000000\n")
    node.zone("intel-rapl:2", "psys", constraint_0_max_power_uw="900000000\n")
    refuse(monkeypatch)
    assert thermal_power_w(str(node.root)) == pytest.approx(250.0)


def test_a_package_that_states_no_limit_leaves_the_sum_unknown(node: Powercap) -> None:
    node.zone("intel-rapl:0", "package-0", constraint_0_max_power_uw="125000000\n")
    node.zone("intel-rapl:1", "package-1")
    assert thermal_power_w(str(node.root)) == 0.0


GUEST = XEON._replace(virtual=True, threads=4)


def scaphandre(root: Path, where: str = "var/scaphandre") -> Path:
    base = root / where
    for folder in ("intel-rapl:0", "intel-rapl:1", "intel-rapl:0:0"):
        (base / folder).mkdir(parents=True)
    (base / "intel-rapl:0/energy_uj").write_text("123456")  # no name, no line's end: as its exporter writes it
    (base / "intel-rapl:1/energy_uj").write_text("654321")
    return base


def test_the_host_s_counters_are_read_in_a_virtual_machine(tmp_path: Path) -> None:
    scaphandre(tmp_path)
    answer = discover_virtual(GUEST, {}, str(tmp_path))
    assert [meter.read().energy_uj for meter in answer.meters] == [123456, 654321]
    assert {meter.source.component for meter in answer.meters} == {"cpu"}
    assert answer.meters[0].source.flags == ("hypervisor_share",)
    assert answer.missing_share == 0.0


def test_they_may_be_mounted_elsewhere_or_half_written(tmp_path: Path) -> None:
    base = scaphandre(tmp_path, "mnt/energy")
    (base / "intel-rapl:1/energy_uj").write_text("")
    answer = discover_virtual(GUEST, {"SCAPHANDRE_POWERCAP_PATH": "/mnt/energy"}, str(tmp_path))
    assert [meter.source.name for meter in answer.meters] == ["virtual:intel-rapl:0"]
    assert answer.missing_share == 0.5


def test_five_seconds_of_energy_at_once_are_believed(tmp_path: Path) -> None:
    from lowtide_sampler.integrate import MEASURED, classify

    scaphandre(tmp_path)
    source = discover_virtual(GUEST, {}, str(tmp_path)).meters[0].source
    assert classify(0, 5 * 4 * 6 * 1_000_000, 0.25, source, None).kind == MEASURED


def test_no_host_tells_nothing(tmp_path: Path) -> None:
    assert discover_virtual(GUEST, {}, str(tmp_path)) == ((), (), 1.0)
