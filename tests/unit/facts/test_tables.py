"""Every embedded table is what its sidecar says, and the tables agree with one another."""

from __future__ import annotations

import csv
import tomllib
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lowtide_core.places import ZoneId
from lowtide_facts import tablefiles
from lowtide_facts.accelerators import all_accelerators
from lowtide_facts.power import cpu_families
from lowtide_facts.regions import all_regions
from lowtide_facts.tablefiles import read_table
from lowtide_facts.zones import all_zones

FOLDER = Path(tablefiles.FOLDER)

SIDECARS = sorted(FOLDER.glob("*/*.toml"))
TABLES = [path for path in SIDECARS if path.with_suffix(".csv").exists()]


def _sidecar(path: Any) -> dict[str, Any]:
    return tomllib.loads(path.read_text(encoding="utf-8"))


def test_every_data_file_has_a_sidecar_and_every_sidecar_a_data_file() -> None:
    data = {path.with_suffix("") for kind in ("csv", "npy") for path in FOLDER.glob(f"*/*.{kind}")}
    assert len(data) == 8
    assert data == {path.with_suffix("") for path in SIDECARS}


@pytest.mark.parametrize("path", SIDECARS, ids=lambda path: path.stem)
def test_a_sidecar_names_source_licence_and_date(path: Any) -> None:
    sidecar = _sidecar(path)
    for key in ("description", "source", "licence", "as_of"):
        assert sidecar[key]
    in_odbl = path.parent.name == "odbl"
    assert (sidecar["licence"] == "ODbL-1.0") == in_odbl
    for column in sidecar.get("column", []) + sidecar.get("array", []):
        assert column["description"]
        assert column["type"] == "text" or (column["unit"] and len(column["range"]) == 2)


@pytest.mark.parametrize("path", TABLES, ids=lambda path: path.stem)
def test_a_table_is_what_its_sidecar_says(path: Any) -> None:
    columns = _sidecar(path)["column"]
    with path.with_suffix(".csv").open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        rows = list(reader)
    assert reader.fieldnames == [column["name"] for column in columns]
    assert rows
    for column in columns:
        cells = [row[column["name"]] for row in rows]
        filled = [cell for cell in cells if cell]
        assert column.get("optional", False) or len(filled) == len(cells)
        if column.get("unique"):
            assert len(set(cells)) == len(cells)
        if "values" in column:
            assert set(cells) <= set(column["values"])
        if column["type"] == "integer":
            assert all(cell.isdigit() for cell in filled)
        if column["type"] != "text":
            low, high = column["range"]
            assert [cell for cell in filled if not low <= float(cell) <= high] == []


def test_the_climatology_is_what_its_sidecar_says() -> None:
    path = FOLDER / "odbl" / "climatology.toml"
    table = np.load(path.with_suffix(".npy"), allow_pickle=False)
    arrays = {name: table[name] for name in table.dtype.names}
    columns = _sidecar(path)["array"]
    assert list(arrays) == [column["name"] for column in columns]
    for column in columns:
        array = arrays[column["name"]]
        assert len(array) == len(arrays["zones"])
        if column["type"] != "text":
            assert array.shape[1:] == (column["columns"],)
            assert np.all((array >= column["range"][0]) & (array <= column["range"][1]))
    assert set(arrays["zones"].tolist()) <= set(all_zones())
    assert np.all(arrays["bands"][:, 0] < 1)
    assert np.all(arrays["bands"][:, 1] > 1)


def test_all_of_it_is_small_and_carries_its_notices() -> None:
    assert sum(path.stat().st_size for path in FOLDER.rglob("*") if path.suffix not in (".py", ".pyc")) <= 1_000_000
    assert "Open Database License" in (FOLDER / "odbl" / "LICENSE.txt").read_text(encoding="utf-8")
    notices = (FOLDER / "NOTICE").read_text(encoding="utf-8"), (FOLDER / "odbl" / "NOTICE").read_text(encoding="utf-8")
    for folder, notice in zip(("tables", "odbl"), notices, strict=True):
        for path in (FOLDER / folder).glob("*.[cn][sp][vy]"):
            assert path.name in notice


def test_there_are_144_regions_and_each_zone_has_a_level() -> None:
    assert len(all_regions()) == 144
    assert {region.zone for region in all_regions()} <= set(all_zones())
    assert all(facts.g_per_kwh_by_year for facts in all_zones().values())


def test_namibia_is_a_zone_and_not_a_missing_value() -> None:
    assert len(all_zones()) == 352
    assert all_zones()[ZoneId("NA")].name == "Namibia"


def test_offers_and_egress_name_only_what_the_other_tables_know() -> None:
    regions = {region.region for region in all_regions()}
    offers, egress = read_table("offers"), read_table("egress")
    assert {row["accelerator"] for row in offers} <= set(all_accelerators())
    assert {row["region"] for row in offers} <= regions
    assert {row[end] for row in egress for end in ("from_region", "to_region")} <= regions


def test_a_cpu_family_is_neither_absurd_nor_far_from_its_neighbours() -> None:
    """The check that would have caught the 8.96 W per thread of one family in another project's table."""
    series: dict[str, list[float]] = {}
    for family in cpu_families().values():
        assert family.w_per_thread_p10 < family.w_per_thread_median < family.w_per_thread_p90 < 6
        series.setdefault(family.family.split()[0], []).append(family.w_per_thread_median)
    assert len(series) == 3
    for medians in series.values():
        for one, next_one in pairwise(medians):
            assert 0.5 < next_one / one < 2
