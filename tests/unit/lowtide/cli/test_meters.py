"""``lowtide doctor`` and ``lowtide calibrate`` where counters are there and may not be read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lowtide.cli.app import run
from lowtide_sampler import calibration, sources
from lowtide_sampler.calibration_file import Calibration
from lowtide_sampler.machine import Machine
from lowtide_sampler.meters import Finding
from lowtide_sampler.remedies import UNREADABLE, told

MACHINE = Machine("GenuineIntel", 6, 85, "Xeon", 8, 8, 4, False, 32.0)
FINDINGS = (
    Finding("powercap:intel-rapl:0", False, "package-0: energy_uj gives no reading", told(*UNREADABLE)),
    Finding("powercap:intel-rapl:1", False, "package-1: energy_uj gives no reading", told(*UNREADABLE)),
    Finding("perf:energy-pkg:cpu0", True, "energy-pkg of package 0"),
)


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LOWTIDE_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("LOWTIDE_CONFIG", str(tmp_path / "config.toml"))
    return tmp_path


@pytest.fixture
def refused(monkeypatch: pytest.MonkeyPatch) -> None:
    models = sources.choose_models(MACHINE, {"cpu"}, 0.0)
    found = sources.Sources(MACHINE, (), models, FINDINGS, ("cpu",))
    for module in (sources, calibration):
        monkeypatch.setattr(module, "find_sources", lambda *_, **__: found)


def test_doctor_names_each_source_and_each_cure_once_with_its_risk(
    refused: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["doctor"]) == 0
    shown = capsys.readouterr().out
    for finding in FINDINGS:
        assert f"meter {finding.name}" in shown
    assert shown.count("tmpfiles.d") == 1
    for remedy in UNREADABLE:
        assert shown.count(remedy.command) == 1
        assert shown.count(remedy.meaning) == 1
    assert shown.count("missing: ") == 2
    assert "rest of node, in place of a meter: modelled" in shown
    assert "chmod" not in shown


def test_doctor_s_json_holds_the_same(refused: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["doctor", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert sum("CAP_PERFMON" in line["found"] for line in found) == 1


@pytest.mark.parametrize(
    ("argv", "status", "said"),
    [
        (["--wall", "85"], 2, "write it with its unit"),
        (["--seconds", "0"], 2, "--seconds"),
        (["--busy", "--wall", "210W"], 5, "has not been measured"),
    ],
)
def test_calibrate_says_what_is_wrong(
    refused: None, argv: list[str], status: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["calibrate", *argv]) == status
    assert said in capsys.readouterr().err


def test_calibrate_shows_what_it_found(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    found = Calibration(1.8e9, ("GenuineIntel", 6, 85, 8), {"powercap:intel-rapl:0": 20.8}, "wall", 85.0, 20.8)
    asked = []
    monkeypatch.setattr(calibration, "calibrate", lambda options, _: asked.append(options) or (found, "/s/h.json"))
    assert run(["calibrate", "--wall", "85W", "--seconds", "5"]) == 0
    shown = capsys.readouterr().out
    assert "20.8 W at rest" in shown
    assert "64.2 W at rest" in shown
    assert "/s/h.json" in shown
    assert asked[0].wall_w == 85.0
    assert run(["calibrate", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["node_idle_w"] == 85.0
