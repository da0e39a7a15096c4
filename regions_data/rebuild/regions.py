"""``tables/regions.csv``: cloud regions, where they stand, which zone feeds them, their PUE."""

from __future__ import annotations

from pathlib import Path

from inputs import number, read_csv, run, write_csv

COLUMNS = [
    "region",
    "provider",
    "display_name",
    "city",
    "country",
    "lat_deg",
    "lon_deg",
    "zone",
    "status",
    "pue",
    "pue_year",
]


def build(source: Path, target: Path) -> None:
    """Compiles the table from the gathered list of regions."""
    rows: list[list[object]] = []
    for row in read_csv(source, "regions/regions.csv"):
        rows.append(
            [
                f"{row['provider']}:{row['region']}", row["provider"], row["display_name"], row["city"], row["country"],
                number(row["lat"]), number(row["lon"]), row["em_zone"], row["status"], number(row["pue"]),
                int(float(row["pue_year"])) if row["pue_year"] else None,
            ]
        )  # fmt: skip
    write_csv(target / "tables" / "regions.csv", COLUMNS, sorted(rows, key=lambda row: str(row[0])))


if __name__ == "__main__":
    run(build)
