"""The measured series and job traces that tests and benchmarks read, as plain arrays; needs pyarrow."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from lowtide_core.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

    from lowtide_core.series import FloatArray

HOUR_S = 3600.0


class HourlyYear(NamedTuple):
    """One zone's year: value ``i`` holds on the hour that begins at ``start_s + 3600 i``; NaN is a gap."""

    start_s: float
    values: FloatArray


class Trace(NamedTuple):
    """Jobs of a published trace, in the order of their submission; seconds from the trace's start."""

    submit_s: FloatArray
    duration_s: FloatArray
    cpus: FloatArray
    gpus: FloatArray


@cache
def zones_of_year(folder: Path, year: int) -> tuple[str, ...]:
    """The zones with any value in that year, in alphabetical order."""
    return tuple(sorted(_year(folder, year)))


def hourly(folder: Path, zone: str, year: int) -> HourlyYear:
    """Life-cycle, average, consumption-based intensity of every hour of the year; (8760,) or (8784,), g/kWh.

    Raises:
        InputError: The zone has no value in that year.
    """
    years = _year(folder, year)
    if zone not in years:
        raise InputError(f"No hourly values of {zone} in {year}.", hint="zones_of_year lists what there is.")
    return years[zone]


@cache
def _year(folder: Path, year: int) -> dict[str, HourlyYear]:
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    first = np.datetime64(f"{year}-01-01T00", "h")
    hours = int((np.datetime64(f"{year + 1}-01-01T00", "h") - first).astype(int))
    table = pq.read_table(folder / "intensity/intensity_hourly.parquet", columns=["zone", "utc", "gco2eq_per_kwh"])
    table = table.filter(pc.equal(pc.year(table["utc"]), year))
    zone = table["zone"].to_numpy(zero_copy_only=False)
    utc = table["utc"].to_numpy(zero_copy_only=False).astype("datetime64[h]")
    values = table["gco2eq_per_kwh"].to_numpy(zero_copy_only=False).astype(float).round(1)  # kept as float32
    names, which = np.unique(zone.astype(str), return_inverse=True)
    grid = np.full((names.size, hours), np.nan)
    grid[which, (utc - first).astype(int)] = values
    start_s = float(first.astype("datetime64[s]").astype(int))
    return {str(name): HourlyYear(start_s, grid[row]) for row, name in enumerate(names)}


@cache
def trace(folder: Path, name: str) -> Trace:
    """The jobs of one trace (``alibaba-pai-1k``, ``alibaba-pai-2020-100k``, ...); NaN where a column is not given.

    Raises:
        InputError: No such trace.
    """
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    table = pq.read_table(folder / "jobs/job_traces.parquet")
    chosen = table.filter(pc.equal(table["trace"], name))
    if not chosen.num_rows:
        raise InputError(f"There is no trace {name!r}.", hint=f"There are {pc.unique(table['trace']).to_pylist()}.")
    names = ("submit_s", "duration_s", "cpus", "gpus")
    columns = [chosen[key].to_numpy(zero_copy_only=False).astype(float) for key in names]
    order = np.argsort(columns[0], kind="stable")
    return Trace(*(column[order] for column in columns))
