"""Reads the tables that lie in this package; every cell stays text until its column's reader asks for more."""

from __future__ import annotations

import os.path

FOLDER = os.path.dirname(__file__)  # noqa: PTH120  pathlib costs 5 ms, on every plan

VERSION = "2026-11-23"
"""Day on which the inputs of these tables were gathered; part of every record that rests on them."""


def data_path(folder: str, name: str) -> str:
    """Where a data file of this package lies."""
    return os.path.join(FOLDER, folder, name)  # noqa: PTH118


def read_table(name: str) -> list[dict[str, str]]:
    """Rows of ``tables/<name>.csv`` or ``odbl/<name>.csv``."""
    import csv  # late: not every command needs a table

    path = data_path("tables", f"{name}.csv")
    if not os.path.exists(path):  # noqa: PTH110
        path = data_path("odbl", f"{name}.csv")
    with open(path, newline="", encoding="utf-8") as file:  # noqa: PTH123
        heads, *rows = csv.reader(file)
    return [dict(zip(heads, row, strict=True)) for row in rows]


def number(text: str) -> float | None:
    """A cell as a number; None where it is empty."""
    return float(text) if text else None
