"""``tables/egress.csv``: price of letting data out of a region to another of the same provider."""

from __future__ import annotations

from pathlib import Path

from inputs import read_csv, run, write_csv


def build(source: Path, target: Path) -> None:
    """Compiles the table; ends that are no region of ours (local zones, places that never opened) are left out.

    The input names Azure's regions as its price pages do (``East US``), we by key.
    """
    known = {_key(row["provider"], row["region"]) for row in read_csv(source, "regions/regions.csv")}
    rows: list[list[object]] = []
    for row in read_csv(source, "network/egress_usd_per_gb.csv"):
        start, end = _key(row["provider"], row["from_region"]), _key(row["provider"], row["to_region"])
        if start != end and {start, end} <= known:
            rows.append([start, end, float(row["usd_per_gb"])])
    write_csv(target / "tables" / "egress.csv", ["from_region", "to_region", "usd_per_gb"], sorted(rows, key=str))


def _key(provider: str, region: str) -> str:
    return f"{provider}:{region.lower().replace(' ', '')}"


if __name__ == "__main__":
    run(build)
