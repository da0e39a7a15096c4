"""Counters that follow a known power, read through a made-up /sys: what is reported against what is true."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lowtide_sampler.integrate import Ledger
from lowtide_sampler.journal import VERSION, JournalRecords, replay
from lowtide_sampler.machine import Machine
from lowtide_sampler.meters import Unreadable
from lowtide_sampler.powercap import discover
from lowtide_sampler.recorder import choose_pace
from lowtide_sampler.sources import choose_models

XEON = Machine("GenuineIntel", 6, 106, "Xeon", 64, 32, 16, False, 256.0)
RANGE_UJ = 262143328850
LENGTH_S = 40.0


class Tree:
    """A powercap class below ``root``; ``set_time`` moves every counter to where its power has brought it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.base = root / "sys/class/powercap"
        self.base.mkdir(parents=True)
        self._power: dict[str, tuple[float, int, int]] = {}

    def zone(
        self, folder: str, name: str, power_w: float, *, start_uj: int = 5_000_000, range_uj: int = RANGE_UJ
    ) -> None:
        path = self.base / folder
        path.mkdir()
        (path / "name").write_text(name + "\n")
        (path / "max_energy_range_uj").write_text(f"{range_uj}\n")
        (path / "constraint_0_max_power_uw").write_text("250000000\n")
        self._power[folder] = (power_w, start_uj, range_uj)
        self.set_time(0.0)

    def set_time(self, t_s: float) -> None:
        for folder, (power_w, start_uj, range_uj) in self._power.items():
            path = self.base / folder
            if path.is_dir():
                (path / "energy_uj").write_text(f"{(start_uj + round(1e6 * power_w * t_s)) % range_uj}\n")

    def vanish(self, folder: str) -> None:
        for file in (self.base / folder).iterdir():
            file.unlink()
        (self.base / folder).rmdir()


def measure(tree: Tree, *, vanish: tuple[str, float] | None = None, rule: str = "node", busy: float = 1.0) -> dict:
    """The result of a run of 40 s that has the node to itself, read at the loop's own times."""
    found = discover(XEON, str(tree.root), sleep=lambda _: None)
    sources = [meter.source for meter in found.meters]
    header = {
        "journal": VERSION, "run_id": "r", "start_utc_s": 1.8e9 - 13, "threads": 64, "allocated_share": 1.0,
        "idle_share": 0.22, "attribution": rule, "unreadable": [],
        "sources": [s._asdict() for s in (*sources, *choose_models(XEON, {s.component for s in sources},
                                                                   found.missing_share))],
    }  # fmt: skip
    pace = choose_pace(5.0, sources)
    ticks, t_s = [], 0.0
    while True:
        tree.set_time(t_s)
        if vanish is not None and t_s >= vanish[1] and (tree.base / vanish[0]).is_dir():
            tree.vanish(vanish[0])
        ticks.append({"t": t_s, "utc": 1.8e9 - 13 + t_s, "boot": 0.0, "job": busy * t_s, "busy": busy * t_s,
                      "uj": [read(meter) for meter in found.meters]})  # fmt: skip
        if t_s >= LENGTH_S:
            return replay(JournalRecords(header, ticks, {"end": "ok", "exit_status": 0}, 0))
        t_s = min(pace.next_reading_s(t_s), LENGTH_S)


def read(meter) -> int | None:
    try:
        return meter.read().energy_uj
    except Unreadable:
        return None


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path)


def test_one_package(tree: Tree) -> None:
    tree.zone("intel-rapl:0", "package-0", 100.0)
    cpu = measure(tree)["components"]["cpu"]
    assert cpu["energy_j"] == pytest.approx(100 * LENGTH_S, rel=1e-6)
    assert cpu["measured_share"] == 1.0
    assert cpu["sources"] == ["RAPL package"]


def test_two_packages_and_their_memory_are_added(tree: Tree) -> None:
    for package, dram_w in (("0", 12.0), ("1", 8.0)):
        tree.zone(f"intel-rapl:{package}", f"package-{package}", 60.0)
        tree.zone(f"intel-rapl:{package}:0", "core", 40.0)
        tree.zone(f"intel-rapl:{package}:1", "dram", dram_w)
    components = measure(tree)["components"]
    assert components["cpu"]["energy_j"] == pytest.approx(120 * LENGTH_S, rel=1e-6)
    assert components["dram"]["energy_j"] == pytest.approx(20 * LENGTH_S, rel=1e-6)


def test_one_wrap_is_no_loss(tree: Tree) -> None:
    tree.zone("intel-rapl:0", "package-0", 100.0, start_uj=RANGE_UJ - 700_000_000)
    assert measure(tree)["components"]["cpu"]["energy_j"] == pytest.approx(100 * LENGTH_S, rel=1e-6)


def test_the_platform_is_kept_beside(tree: Tree) -> None:
    tree.zone("intel-rapl:0", "package-0", 30.0)
    tree.zone("intel-rapl:1", "psys", 55.0)
    result = measure(tree)
    assert result["components"]["cpu"]["energy_j"] == pytest.approx(30 * LENGTH_S, rel=1e-6)
    assert result["beside"] == {"RAPL psys": pytest.approx(55 * LENGTH_S, rel=1e-6)}


def test_the_memory_mapped_twin_is_not_added(tree: Tree) -> None:
    tree.zone("intel-rapl:0", "package-0", 45.0)
    tree.zone("intel-rapl-mmio:0", "package-0", 45.0)
    assert measure(tree)["components"]["cpu"]["energy_j"] == pytest.approx(45 * LENGTH_S, rel=1e-6)


def test_the_memory_mapped_counter_counts_where_it_is_alone(tree: Tree) -> None:
    tree.zone("intel-rapl-mmio:0", "package-0", 45.0)
    cpu = measure(tree)["components"]["cpu"]
    assert cpu["energy_j"] == pytest.approx(45 * LENGTH_S, rel=1e-6)
    assert "mmio" in cpu["flags"]


def test_dies_that_show_one_counter_count_once(tree: Tree) -> None:
    tree.zone("intel-rapl:0", "package-0-die-0", 80.0)
    tree.zone("intel-rapl:1", "package-0-die-1", 80.0)
    assert measure(tree)["components"]["cpu"]["energy_j"] == pytest.approx(80 * LENGTH_S, rel=1e-6)


def test_dies_with_counters_of_their_own_are_added(tree: Tree) -> None:
    tree.zone("intel-rapl:0", "package-0-die-0", 80.0, start_uj=0)
    tree.zone("intel-rapl:1", "package-0-die-1", 70.0, start_uj=9_000_000)
    assert measure(tree)["components"]["cpu"]["energy_j"] == pytest.approx(150 * LENGTH_S, rel=1e-6)


def test_a_package_that_vanishes_is_filled_and_the_band_holds_the_truth(tree: Tree) -> None:
    tree.zone("intel-rapl:0", "package-0", 50.0)
    tree.zone("intel-rapl:1", "package-1", 50.0)
    result = measure(tree, vanish=("intel-rapl:1", 19.0))
    cpu = result["components"]["cpu"]
    assert cpu["energy_j"] == pytest.approx(100 * LENGTH_S, rel=0.1)
    assert cpu["energy_low_j"] < 100 * LENGTH_S < cpu["energy_high_j"]
    assert "filled" in cpu["flags"]
    assert result["filled_share"] > 0.1
    assert cpu["measured_share"] < 0.9


def test_a_counter_that_wraps_every_few_seconds_is_read_oftener(tree: Tree) -> None:
    tree.zone("intel-rapl:0", "package-0", 100.0, range_uj=660_000_000)
    assert measure(tree)["components"]["cpu"]["energy_j"] == pytest.approx(100 * LENGTH_S, rel=0.005)


def test_a_file_that_was_replaced_is_opened_anew(tree: Tree) -> None:
    tree.zone("intel-rapl:0", "package-0", 10.0)
    (meter,) = discover(XEON, str(tree.root)).meters
    path = tree.base / "intel-rapl:0/energy_uj"
    path.unlink()
    assert read(meter) is None
    path.write_text("77\n")
    assert read(meter) == 77


def test_unreadable_counters_are_named_with_cause_and_remedy(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    tree.zone("intel-rapl:0", "package-0", 10.0)
    genuine = os.open

    def refuse(path, *rest, **named):
        if str(path).endswith("energy_uj"):
            raise PermissionError(13, "Permission denied", str(path))
        return genuine(path, *rest, **named)

    monkeypatch.setattr(os, "open", refuse)
    found = discover(XEON, str(tree.root))
    (finding,) = found.findings
    assert "intel-rapl:0/energy_uj" in finding.why
    assert "CVE-2020-8694" in finding.why
    assert "tmpfiles.d" in finding.repair
    assert "a+r" not in finding.repair
    assert found.missing_share == 1.0
    (cpu, _memory) = choose_models(XEON, set(), found.missing_share)
    assert cpu.kind == "model"


def test_a_masked_container_is_told_what_to_mount(tree: Tree) -> None:
    (tree.base / "intel-rapl:0").symlink_to("/nowhere/intel-rapl:0")
    (finding,) = discover(XEON, str(tree.root)).findings
    assert not finding.found
    assert "-v /sys/devices/virtual/powercap" in finding.repair


def test_of_two_packages_the_missing_one_is_modelled(tree: Tree) -> None:
    tree.zone("intel-rapl:0", "package-0", 100.0)
    tree.zone("intel-rapl:1", "package-1", 100.0)
    (tree.base / "intel-rapl:1/energy_uj").write_text("broken\n")
    found = discover(XEON, str(tree.root))
    assert found.missing_share == 0.5
    whole, half = (choose_models(XEON, {"cpu"}, share)[0] for share in (1.0, found.missing_share))
    assert half.idle_w == pytest.approx(0.5 * whole.idle_w)


def test_an_idle_job_pays_for_its_share_of_idle_power_and_a_busy_one_for_its_cpu_seconds(tree: Tree) -> None:
    tree.zone("intel-rapl:0", "package-0", 100.0)
    idle = measure(tree, rule="share", busy=0.01)
    assert idle["components"]["cpu"]["energy_j"] == pytest.approx(100 * LENGTH_S, rel=1e-6)
    assert idle["attribution"]["energy_marginal_j"] < idle["attribution"]["energy_share_j"]


def test_the_ledger_needs_no_ticks() -> None:
    header = {"journal": VERSION, "run_id": "r", "start_utc_s": 0, "threads": 2, "allocated_share": 1.0,
              "idle_share": 0.2, "sources": []}  # fmt: skip
    ledger = Ledger(header)
    ledger.close()
    assert replay(JournalRecords(header, [], None, 0))["energy_j"] is None
