"""``tables/accelerators.csv`` and ``tables/offers.csv``: accelerators, and the machines that bring them, by region."""

from __future__ import annotations

from pathlib import Path

from inputs import number, read_csv, run, write_csv

ACCELERATOR_COLUMNS = [
    "accelerator",
    "vendor",
    "tdp_w",
    "idle_w",
    "memory_gib",
    "form",
    "embodied_kg",
    "embodied_source",
]
OFFER_COLUMNS = ["region", "machine", "accelerator", "count", "vcpus", "memory_gib", "price_usd_per_h", "price_basis"]


def build(source: Path, target: Path) -> None:
    """Compiles both tables; offers of accelerators whose power is not known (TPU, Trainium, ...) are left out."""
    models = read_csv(source, "power/gpu_power.csv")
    sold = read_csv(source, "catalog/accelerators.csv.gz")
    accelerators: list[list[object]] = []
    for row in models:
        embodied, origin = number(row["embodied_kgco2e_ecologits"]), "EcoLogits"
        if embodied is None:
            embodied, origin = number(row["embodied_kgco2e_teads_flat"]), "Teads, flat for all models"
        accelerators.append(
            [
                row["accelerator"], row["vendor"], number(row["tdp_w"]), number(row["est_idle_w_0.116tdp"]),
                number(row["mem_gib"]), row["form"], embodied, "" if embodied is None else origin,
            ]
        )  # fmt: skip
    write_csv(target / "tables" / "accelerators.csv", ACCELERATOR_COLUMNS, accelerators)
    offers: list[list[object]] = [
        [
            f"{row['provider']}:{row['region']}", row["instance_type"], row["accelerator"], number(row["count"]),
            number(row["vcpus"]), number(row["ram_gib"]), number(row["price_usd_h"]) or None, row["price_basis"],
        ]
        for row in sold
        if row["accelerator"] in {model["accelerator"] for model in models}
    ]  # fmt: skip
    write_csv(
        target / "tables" / "offers.csv",
        OFFER_COLUMNS,
        sorted(offers, key=lambda row: [str(row[i]) for i in (0, 2, 1)]),
    )


if __name__ == "__main__":
    run(build)
