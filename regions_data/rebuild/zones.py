"""``odbl/zones.csv``: annual life-cycle intensity of each zone of the grid, consumption-based."""

from __future__ import annotations

from pathlib import Path

from inputs import read_csv, run, write_csv


def build(source: Path, target: Path) -> None:
    """Compiles one row per zone from one row per zone and year."""
    levels: dict[str, dict[int, float]] = {}
    names: dict[str, str] = {}
    for row in read_csv(source, "intensity/annual_electricitymaps_2021_2025.csv"):
        if row["gco2eq_per_kwh"]:
            levels.setdefault(row["zone"], {})[int(row["year"])] = float(row["gco2eq_per_kwh"])
        names[row["zone"]] = row["zone_name"]
    years = sorted({year for of_zone in levels.values() for year in of_zone})
    rows: list[list[object]] = [
        [zone, names[zone], *(of_zone.get(year) for year in years)] for zone, of_zone in sorted(levels.items())
    ]
    write_csv(target / "odbl" / "zones.csv", ["zone", "name", *(f"g_per_kwh_{year}" for year in years)], rows)


if __name__ == "__main__":
    run(build)
