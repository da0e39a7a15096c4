"""Reads the tables that lie in this package; every cell stays text until its column's reader asks for more."""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).parent

VERSION = "2026-11-23"
"""Day on which the inputs of these tables were gathered; part of every record that rests on them."""


def read_table(name: str) -> list[dict[str, str]]:
    """Rows of ``tables/<name>.csv`` or ``odbl/<name>.csv``."""
    import csv  # late: not every command needs a table

    path = FOLDER / "tables" / f"{name}.csv"
    if not path.exists():
        path = FOLDER / "odbl" / f"{name}.csv"
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def number(text: str) -> float | None:
    """A cell as a number; None where it is empty."""
    return float(text) if text else None
