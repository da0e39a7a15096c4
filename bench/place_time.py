"""B8, place and time with data transfer, and the speed of one place, of moves and of graphs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from table import Row, data_folder, per_second

from lowtide.planning.solvers.graph import Task, plan_graph
from lowtide.planning.solvers.moves import Moves, best_route
from lowtide.planning.solvers.places import PlaceCosts, best_place, best_place_and_start
from lowtide.planning.solvers.windows import StepSeries
from lowtide.testing.measured import hourly

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lowtide.planning.solvers.places import Chosen
    from lowtide_core.series import FloatArray

SETS = {
    "NA5": ("US-CAL-CISO", "US-TEX-ERCO", "US-MIDA-PJM", "US-NY-NYIS", "CA-ON"),
    "US4": ("US-CAL-CISO", "US-TEX-ERCO", "US-MIDA-PJM", "US-NY-NYIS"),
    "EU+US5": ("DE", "ES", "GB", "US-CAL-CISO", "US-TEX-ERCO"),
    "APAC6": ("AU-NSW", "AU-VIC", "IN-WE", "JP-TK", "KR", "SG"),
}
YEARS = (2022, 2023)
SIZES_GB = (0, 50, 500, 5000)
KWH_PER_GB = 0.01
HOURS, SLACK, EVERY = 4, 24, 3


def transfer_g(values: FloatArray, size_gb: float) -> FloatArray:
    """From each home to each place, at the mean of both ends' mean intensities; (R, R), g."""
    mean = np.nanmean(values, axis=1)
    grams = size_gb * KWH_PER_GB * (mean[:, None] + mean[None, :]) / 2
    np.fill_diagonal(grams, 0.0)
    return grams


def chosen(values: FloatArray, size_gb: float) -> tuple[Chosen, FloatArray]:
    """The best runs of each home and arrival, and what running at once at home emits; NaN where a gap is in the way."""
    arrivals = np.arange(0, values.shape[1] - HOURS - SLACK + 1, EVERY)
    first_g = transfer_g(values, size_gb)
    at_once = [values[home][arrivals[:, None] + np.arange(HOURS)].sum(axis=1) for home in range(len(values))]
    return best_place_and_start(values, arrivals, HOURS, SLACK, fixed_g=first_g), np.array(at_once)


def saved_pct(values: FloatArray, size_gb: float) -> float:
    """Mean over homes of what the best place and time save against running at once at home."""
    best, at_once = chosen(values, size_gb)
    known = ~(np.isnan(best.least_g) | np.isnan(at_once))
    return float(
        np.mean([100 * (1 - b[k].sum() / a[k].sum()) for a, b, k in zip(at_once, best.least_g, known, strict=True)])
    )


def mismatches(values: FloatArray, size_gb: float) -> int:
    """Answers that differ from the least over all places and starts, found by trying all of them."""
    best, _ = chosen(values, size_gb)
    first_g = transfer_g(values, size_gb)
    differ = 0
    for column, arrival in enumerate(range(0, values.shape[1] - HOURS - SLACK + 1, EVERY)):
        runs = np.array([values[:, arrival + wait : arrival + wait + HOURS].sum(axis=1) for wait in range(SLACK + 1)])
        least = np.nanmin(np.where(np.isnan(runs), np.inf, runs), axis=0)
        for home in range(len(values)):
            expected = float((least + first_g[home]).min())
            found = float(best.least_g[home, column])
            differ += not (abs(found - expected) <= 1e-6 or (np.isnan(found) and np.isinf(expected)))
    return differ


def rows() -> Iterator[Row]:
    folder = data_folder()
    series = {(name, year): np.array([hourly(folder, zone, year).values for zone in zones])
              for name, zones in SETS.items() for year in YEARS}  # fmt: skip
    for name in SETS:
        for size_gb in SIZES_GB:
            mean = np.mean([saved_pct(series[name, year], size_gb) for year in YEARS])
            yield Row("B8", f"oracle, {name}, {size_gb} GB, mean of 2022 and 2023", float(mean), "% saved")
    differ = sum(mismatches(values, size_gb) for values in series.values() for size_gb in SIZES_GB)
    yield Row("B8", "answers unlike brute force over places and starts", differ, "", 0.0, "less")
    moved = sum(
        int((chosen(values, SIZES_GB[-1])[0].place != np.arange(len(values))[:, None]).sum())
        for values in series.values()
    )
    yield Row("B8", "runs away from home at 5,000 GB", moved, "", 0.0, "less")
    values = series["NA5", 2023]
    items = values.shape[0] * len(range(0, values.shape[1] - HOURS - SLACK + 1, EVERY))
    rate = per_second(lambda: chosen(values, 50.0), items=items)
    yield Row("B8", "batch of a year, 5 homes and places", rate, "plans/s", 1_000_000.0)
    yield from single_calls(values[:, 4000:4030])


def single_calls(values: FloatArray) -> Iterator[Row]:
    """Five places, 4 h in 28 h, one call each."""
    first_g = transfer_g(values, 50.0)
    places = [
        PlaceCosts(StepSeries(0.0, 3600.0, row), 1.0, fixed_g=grams)
        for row, grams in zip(values, first_g[0], strict=True)
    ]
    end_s, run_s = 28 * 3600.0, HOURS * 3600.0
    shape = first_g.shape
    moves = Moves(first_g, np.zeros(shape), np.full(shape, 3600.0), np.zeros(shape))
    slow = Moves(first_g, np.zeros(shape), np.full(shape, 437.0), np.zeros(shape))
    yield Row(
        "B8",
        "5 places, one run",
        per_second(lambda: best_place(places, 0.0, end_s, run_s), calls=500),
        "plans/s",
    )
    cases = {
        "5 places, pauses and moves": (0.0, end_s, moves),
        "5 places, pauses and moves, from any second": (1234.5, end_s + 1234.5, moves),
        "5 places, pauses and moves, delays of 437 s": (1234.5, end_s + 1234.5, slow),
    }
    for name, (start_s, until_s, ways) in cases.items():
        rate = per_second(
            lambda a=start_s, b=until_s, m=ways: best_route(places, a, b, run_s, moves=m, restart_kwh=0.05), calls=50
        )
        yield Row("B8", name, rate, "plans/s")
    chain = [
        Task(f"t{i}", 3000.0 + 700 * i, 1.0, places[i].series, after=(f"t{i - 1}",) if i else ()) for i in range(5)
    ]
    loop = [Task(f"t{i}", 3600.0 * (1 + i % 2), 1.0, places[i].series, after=after)
            for i, after in enumerate(((), ("t0",), ("t0",), ("t1", "t2"), ("t3",)))]  # fmt: skip
    names = [f"t{i}" for i in range(12)]
    before = [tuple(names[max(0, i - 4) : max(0, i - 1)]) for i in range(12)]
    mesh = [
        Task(name, 900.0 * (1 + 5 * i % 7), 1.0, places[i % 5].series, after=before[i]) for i, name in enumerate(names)
    ]
    graphs = {
        "chain of 5, odd lengths": chain,
        "diamond and tail, whole hours": loop,
        "mesh of 12, quarter hours": mesh,
    }
    for name, graph in graphs.items():
        yield Row("H6", f"graph: {name}", per_second(lambda g=graph: plan_graph(g, 0.0, end_s), calls=20), "plans/s")


def main() -> None:
    for row in rows():
        print(row, flush=True)


if __name__ == "__main__":
    main()
