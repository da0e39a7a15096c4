"""The rebuild scripts: the embedded tables come out again, wrong inputs are refused, the climatology is good enough."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from lowtide_facts import tablefiles
from lowtide_facts.climatology import shape

FOLDER = Path(tablefiles.FOLDER)

REBUILD = Path(__file__).parents[3] / "regions_data" / "rebuild"
SCRIPTS = {
    "accelerators": ("tables/accelerators.csv", "tables/offers.csv"),
    "climatology": ("odbl/climatology.npy",),
    "embodied": ("odbl/server_embodied.csv",),
    "network": ("tables/egress.csv",),
    "regions": ("tables/regions.csv",),
    "zones": ("odbl/zones.csv",),
}


def _rebuild(script: str, source: Path, target: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(REBUILD / f"{script}.py"), str(source), str(target)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture
def modules(monkeypatch: pytest.MonkeyPatch) -> tuple[ModuleType, ModuleType]:
    """``climatology.py`` and ``penalties.py`` of the scripts, which stand outside every package."""
    monkeypatch.syspath_prepend(REBUILD)
    for name in ("inputs", "climatology", "penalties"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    loaded = importlib.import_module("climatology"), importlib.import_module("penalties")
    for name in ("inputs", "climatology", "penalties"):
        monkeypatch.delitem(sys.modules, name)
    return loaded


@pytest.mark.parametrize("script", [name for name in SCRIPTS if name != "climatology"])
@pytest.mark.data
def test_a_rebuilt_table_equals_the_embedded_one(script: str, test_data: Path, tmp_path: Path) -> None:
    done = _rebuild(script, test_data, tmp_path)
    assert done.returncode == 0, done.stderr
    for name in SCRIPTS[script]:
        assert (tmp_path / name).read_bytes() == (FOLDER / name).read_bytes()


@pytest.mark.data
def test_the_rebuilt_climatology_equals_the_embedded_one(test_data: Path, tmp_path: Path) -> None:
    """To the last digits only: linear algebra rounds differently from machine to machine."""
    done = _rebuild("climatology", test_data, tmp_path)
    assert done.returncode == 0, done.stderr
    path = tmp_path / "odbl" / "climatology.npy"
    rebuilt, ours = np.load(path), np.load(FOLDER / "odbl" / "climatology.npy")
    assert rebuilt.dtype == ours.dtype
    for name in ours.dtype.names:
        if name in ("zones", "years"):
            np.testing.assert_array_equal(rebuilt[name], ours[name])
        else:
            np.testing.assert_allclose(rebuilt[name], ours[name], atol=1e-5)


def test_an_input_that_is_not_the_expected_one_is_refused_and_nothing_written(tmp_path: Path) -> None:
    source, target = tmp_path / "in", tmp_path / "out"
    (source / "regions").mkdir(parents=True)
    (source / "regions" / "regions.csv").write_text("provider,region\naws,nowhere-1\n")
    done = _rebuild("regions", source, target)
    assert done.returncode == 1
    assert "has the checksum" in done.stderr
    assert "Traceback" not in done.stderr
    assert not target.exists()


@pytest.mark.data
def test_the_second_input_is_checked_before_the_first_table_is_written(test_data: Path, tmp_path: Path) -> None:
    source, target = tmp_path / "in", tmp_path / "out"
    (source / "power").mkdir(parents=True)
    (source / "power" / "gpu_power.csv").write_bytes((test_data / "power" / "gpu_power.csv").read_bytes())
    done = _rebuild("accelerators", source, target)
    assert done.returncode == 1
    assert "catalog/accelerators.csv.gz" in done.stderr
    assert not target.exists()


def test_captured_is_all_for_a_seer_and_less_for_a_stopped_clock(modules: tuple[ModuleType, ModuleType]) -> None:
    rebuild, penalties = modules
    hours = np.arange(2000)
    actual = rebuild.Hours(hours * 3600, 300 + 100 * np.sin(2 * np.pi * hours / 24))
    assert penalties.captured_pct(actual, actual.g_per_kwh) == pytest.approx(100)
    assert penalties.captured_pct(actual, np.ones(2000)) == pytest.approx(0)  # no preference: run now
    assert penalties.captured_pct(actual, -actual.g_per_kwh) < 0


def test_a_fit_finds_the_day_and_the_weekend_that_are_there(modules: tuple[ModuleType, ModuleType]) -> None:
    rebuild, _ = modules
    start_s = np.arange(1_640_995_200, 1_672_531_200, 3600)  # 2022
    weekend = (start_s // 86400 + 3) % 7 >= 5
    values = 300 + 90 * np.sin(2 * np.pi * start_s / 86400) - 60 * weekend
    coefficients = rebuild.fit([rebuild.Hours(start_s, values)], np.zeros(4))
    np.testing.assert_allclose(shape(coefficients, start_s) * values.mean(), values, atol=1e-6)


def test_one_quiet_year_does_not_make_a_band_narrow(modules: tuple[ModuleType, ModuleType]) -> None:
    rebuild, _ = modules
    start_s = np.arange(1_640_995_200, 1_672_531_200, 3600)
    flat = [rebuild.Hours(start_s, 300 + np.sin(2 * np.pi * start_s / 86400))]
    coefficients = rebuild.fit(flat)
    narrow = rebuild.band(flat, coefficients, [300.0, 301.0], usual_move=0.0)
    wide = rebuild.band(flat, coefficients, [300.0, 301.0], usual_move=0.16)
    assert narrow[1] < 1.02
    assert wide[0] < 0.88
    assert wide[1] > 1.12


@pytest.mark.data
def test_fitted_on_2022_it_captures_what_it_must_on_2023(
    modules: tuple[ModuleType, ModuleType], test_data: Path, record_property: pytest.RecordProperty
) -> None:
    """Coefficients, level and band from 2021 and 2022 alone, and the weights too: 2023 has shaped nothing here."""
    rebuild, penalties = modules
    data = rebuild.read_bytes(test_data, rebuild.HOURLY)
    levels = {zone: of_zone[:2] for zone, of_zone in rebuild.annual_levels(test_data).items()}  # 2021 and 2022
    licensed = {zone: rebuild.by_year(hours) for zone, hours in rebuild.load_hours(data, rebuild.LICENSED).items()}
    usual_move = rebuild.yearly_move(
        levels[zone] for zone, years in licensed.items() if zone in levels and 2022 in years
    )
    captured, covered = [], []
    for zone, hours in rebuild.load_hours(data, ("sc",)).items():
        years = rebuild.by_year(hours)
        if 2023 not in years:
            continue
        actual, known = years[2023], [years[2022]]
        coefficients = rebuild.fit(known)
        usual = shape(coefficients, actual.start_s)
        captured.append(penalties.captured_pct(actual, usual))
        low, high = rebuild.band(known, coefficients, levels[zone], usual_move)
        ratio = actual.g_per_kwh / (levels[zone][1] * usual)
        covered.append(100 * np.mean((low <= ratio) & (ratio <= high)))
    record_property("captured_pct", float(np.mean(captured)))
    record_property("covered_pct", float(np.mean(covered)))
    assert len(captured) == 16
    assert np.mean(captured) >= 79.0
    assert 70 <= np.mean(covered) <= 90
