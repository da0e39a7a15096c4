"""``tables/egress.csv``: price of letting data out of a region to another of the same provider."""

from __future__ import annotations

from pathlib import Path

from inputs import read_csv, run, write_csv


def build(source: Path, target: Path) -> None:
    """Compiles the table."""
    rows: list[list[object]] = [
        [f"{row['provider']}:{row['from_region']}", f"{row['provider']}:{row['to_region']}", float(row["usd_per_gb"])]
        for row in read_csv(source, "network/egress_usd_per_gb.csv")
        if row["from_region"] != row["to_region"]
    ]
    write_csv(target / "tables" / "egress.csv", ["from_region", "to_region", "usd_per_gb"], sorted(rows, key=str))


if __name__ == "__main__":
    run(build)
