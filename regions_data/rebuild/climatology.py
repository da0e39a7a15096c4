"""``odbl/climatology.npy``: each zone's usual day and season as harmonics, and the band of the hours around it."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from inputs import read_bytes, read_csv, run

from lowtide_facts.climatology import design_matrix, penalty_classes, shape

if TYPE_CHECKING:
    from collections.abc import Iterable

HOURLY = "intensity/intensity_hourly.parquet"
ANNUAL = "intensity/annual_electricitymaps_2021_2025.csv"
LICENSED = ("sc", "dl", "dp", "dpmix")
"""Sources whose licence is stated; ``jj`` states none and stays out of everything embedded."""

PENALTIES = np.array([0.0, 0.0, 0.1, 0.1])
"""Ridge weight per class of coefficient (free, daily, daily x season, weekend), per hour of data.

Chosen by ``penalties.py`` on 2021 and 2022 alone, so that 2023 judges a model that nothing of 2023 has shaped.
"""

MOST_UNCHANGED = 0.3
"""A zone-year in which more hours than this equal the hour before is a constant, or half of one: no shape."""

NORMAL_P90 = 1.2815515655446004
"""90 % quantile of the standard normal distribution: 80 % lie between it and its negative."""

Array = np.ndarray


@dataclass(frozen=True)
class Hours:
    """Hourly intensities of one zone: seconds since 1970 of each hour's start, and g/kWh."""

    start_s: Array
    g_per_kwh: Array


def load_hours(data: bytes, sources: tuple[str, ...]) -> dict[str, Hours]:
    """Zone -> its hours from these sources, in order."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    table = pq.read_table(io.BytesIO(data), columns=["zone", "utc", "gco2eq_per_kwh", "source"])
    table = table.filter(pc.is_in(pc.cast(table["source"], pa.string()), pa.array(sources)))
    zones = pc.dictionary_encode(pc.cast(table["zone"], pa.string())).combine_chunks()
    codes, names = zones.indices.to_numpy(), zones.dictionary.to_pylist()
    start_s = table["utc"].to_numpy().astype("datetime64[s]").astype(np.int64)
    values = table["gco2eq_per_kwh"].to_numpy().astype(np.float64)
    order = np.lexsort((start_s, codes))
    parts = np.split(order, np.searchsorted(codes[order], np.arange(1, len(names))))
    return {name: Hours(start_s[part], values[part]) for name, part in sorted(zip(names, parts, strict=True))}


def by_year(hours: Hours) -> dict[int, Hours]:
    """The usable years of a zone: known, moving, and at least ten months long."""
    years = hours.start_s.astype("datetime64[s]").astype("datetime64[Y]").astype(int) + 1970
    usable = {}
    for year in np.unique(years):
        mine = (years == year) & np.isfinite(hours.g_per_kwh)
        values = hours.g_per_kwh[mine]
        if values.size > 7300 and np.mean(np.diff(values) == 0) <= MOST_UNCHANGED and values.mean() > 0:
            usable[int(year)] = Hours(hours.start_s[mine], values)
    return usable


def fit(years: list[Hours], penalties: Array = PENALTIES) -> Array:
    """Coefficients of the shape, whose mean is 1; ridge regression on each year over its own mean.

    Args:
        years: At least one year of one zone.
        penalties: Weight per class of coefficient; (4,), >= 0.
    Returns:
        (54,), in the order of ``design_matrix``.
    """
    matrix = np.concatenate([design_matrix(year.start_s) for year in years])
    target = np.concatenate([year.g_per_kwh / year.g_per_kwh.mean() for year in years])
    ridge = np.diag(penalties[penalty_classes()] * len(target))
    return np.linalg.solve(matrix.T @ matrix + ridge, matrix.T @ target)


def band(years: list[Hours], coefficients: Array, levels: list[float], usual_move: float) -> tuple[float, float]:
    """Factors on the model between which 80 % of the hours lie.

    Residuals around the fitted shape, widened by how much the annual level moves from one year to the next, since the
    level of the year to come is not known: the two are independent, so their logarithms add in squares.

    Args:
        years: The years that were fitted. coefficients: Their fit; (54,).
        levels: The zone's annual levels in the order of the years, g/kWh; may be empty.
        usual_move: What zones move by from year to year, of ``yearly_move``. It counts as one more year of this zone's:
            a zone of few years that happened to be quiet has not shown that it is.
    Returns:
        low, high: Factors, low <= 1 <= high in all but odd cases.
    """
    ratio = np.concatenate([y.g_per_kwh / y.g_per_kwh.mean() / shape(coefficients, y.start_s) for y in years])
    low, high = np.log(np.maximum(np.quantile(ratio, [0.1, 0.9]), 0.02))
    squares = _moves(levels) ** 2
    level = NORMAL_P90 * float(np.sqrt((squares.sum() + usual_move**2) / (squares.size + 1)))
    return float(np.exp(-np.hypot(low, level))), float(np.exp(np.hypot(high, level)))


def yearly_move(levels: Iterable[list[float]]) -> float:
    """Root mean square, over zones and years, of the logarithm of an annual level over the one before."""
    return float(np.sqrt(np.mean(np.concatenate([_moves(of_zone) for of_zone in levels]) ** 2)))


def _moves(levels: list[float]) -> Array:
    return np.diff(np.log([level for level in levels if level > 0]))


def annual_levels(source: Path) -> dict[str, list[float]]:
    """Zone -> its annual levels in the order of the years, g/kWh."""
    rows = read_csv(source, ANNUAL)
    levels: dict[str, list[float]] = {}
    for row in sorted(rows, key=lambda row: row["year"]):
        if row["gco2eq_per_kwh"]:
            levels.setdefault(row["zone"], []).append(float(row["gco2eq_per_kwh"]))
    return levels


def build(source: Path, target: Path) -> None:
    """Fits every zone that has a usable licensed year and a published level."""
    levels = annual_levels(source)
    hours = load_hours(read_bytes(source, HOURLY), LICENSED)
    usable = {zone: years for zone, of_zone in hours.items() if zone in levels and (years := by_year(of_zone))}
    usual_move = yearly_move(levels[zone] for zone in usable)
    names, rows, bands, first, last = [], [], [], [], []
    for zone, years in usable.items():
        coefficients = fit(list(years.values()))
        names.append(zone)
        rows.append(coefficients)
        bands.append(band(list(years.values()), coefficients, levels[zone], usual_move))
        first.append(min(years))
        last.append(max(years))
    table = np.zeros(
        len(names),
        dtype=[("zones", f"U{max(map(len, names))}"), ("coefficients", "<f4", (len(rows[0]),)),
               ("bands", "<f4", (2,)), ("years", "<i2", (2,))],
    )  # fmt: skip
    table["zones"], table["coefficients"], table["bands"] = names, np.array(rows), np.array(bands)
    table["years"] = np.array([first, last]).T
    path = target / "odbl" / "climatology.npy"
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, table, allow_pickle=False)


if __name__ == "__main__":
    run(build)
