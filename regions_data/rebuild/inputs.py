"""Reads the input files of the rebuild scripts, and refuses any that is not the one the tables were made from."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

CHECKSUMS = Path(__file__).with_name("checksums.txt")
PACKAGE = Path(__file__).parents[1] / "lowtide_facts"


class WrongInputError(Exception):
    """An input file is missing or is not the expected one."""


def read_bytes(folder: Path, name: str) -> bytes:
    """The file's content, checked against ``checksums.txt``."""
    known = dict(reversed(line.split()) for line in CHECKSUMS.read_text().splitlines())
    if name not in known:
        raise WrongInputError(f"{name} has no checksum in {CHECKSUMS.name}.")
    try:
        data = (folder / name).read_bytes()
    except OSError as error:
        raise WrongInputError(f"{folder / name}: {error.strerror}.") from error
    found = hashlib.sha256(data).hexdigest()
    if found != known[name]:
        raise WrongInputError(f"{folder / name} has the checksum {found[:12]}..., expected {known[name][:12]}....")
    return data


def read_csv(folder: Path, name: str) -> list[dict[str, str]]:
    """Rows of a CSV, plain or gzipped; every cell stays text, so that zone ``NA`` is Namibia."""
    data = read_bytes(folder, name)
    text = (gzip.decompress(data) if name.endswith(".gz") else data).decode("utf-8-sig")
    return list(csv.DictReader(io.StringIO(text)))


def write_csv(path: Path, columns: list[str], rows: list[list[object]]) -> None:
    """Rows as CSV with ``\\n`` and no superfluous digits."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows([["" if cell is None else _short(cell) for cell in row] for row in rows])


def _short(cell: object) -> object:
    return f"{cell:.6g}" if isinstance(cell, float) else cell


def number(text: str) -> float | None:
    """A cell as a number; None where it is empty."""
    return float(text) if text.strip() else None


def run(build: Callable[[Path, Path], None]) -> None:
    """Calls a rebuild script with ``INPUT_DIR [OUTPUT_DIR]``; the output is the package unless said otherwise.

    Every script reads, and so checks, all of its inputs before it writes.
    """
    if len(sys.argv) not in (2, 3):
        sys.exit(f"usage: python {sys.argv[0]} INPUT_DIR [OUTPUT_DIR]")
    try:
        build(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) == 3 else PACKAGE)
    except WrongInputError as error:
        sys.exit(f"{error} Nothing was written.")
