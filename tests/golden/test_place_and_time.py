"""B8: place and time with data transfer on measured years, against every place and start tried by hand.

4 h at 1 kW, up to 24 h later, an arrival every 3 h at each home; moving data takes 0.01 kWh/GB at the mean of both
ends' mean intensities. Every arrival is planned; a sample of them, drawn without a pattern, is tried by hand.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from lowtide.planning.solvers.moves import Moves, best_route
from lowtide.planning.solvers.places import PlaceCosts, best_place, best_place_and_start
from lowtide.planning.solvers.windows import StepSeries
from lowtide.testing.measured import hourly
from lowtide_core.series import FloatArray

SETS = {
    "NA5": ("US-CAL-CISO", "US-TEX-ERCO", "US-MIDA-PJM", "US-NY-NYIS", "CA-ON"),
    "US4": ("US-CAL-CISO", "US-TEX-ERCO", "US-MIDA-PJM", "US-NY-NYIS"),
    "EU+US5": ("DE", "ES", "GB", "US-CAL-CISO", "US-TEX-ERCO"),
    "APAC6": ("AU-NSW", "AU-VIC", "IN-WE", "JP-TK", "KR", "SG"),
}
HOURS, SLACK, KWH_PER_GB = 4, 24, 0.01
WHERE = [(name, year) for name in SETS for year in (2022, 2023)]


def load(folder: Path, name: str, year: int) -> FloatArray:
    return np.array([hourly(folder, zone, year).values for zone in SETS[name]])


def first_g(values: FloatArray, size_gb: float) -> FloatArray:
    mean = [sum(known) / len(known) for row in values if (known := [v for v in row.tolist() if not math.isnan(v)])]
    return np.array(
        [[0.0 if a is b else size_gb * KWH_PER_GB * (a + b) / 2 for b in mean] for a in mean], dtype=np.float64
    )


def by_hand(rows: list[list[float]], grams: list[float], arrival: int) -> float:
    """The least of all places and starts; inf where none is known."""
    least = math.inf
    for row, extra in zip(rows, grams, strict=True):
        for start in range(arrival, arrival + SLACK + 1):
            total = sum(row[start : start + HOURS])
            if total + extra < least:
                least = total + extra
    return least


@pytest.mark.parametrize(("name", "year"), WHERE)
def test_batch_equals_every_place_and_start(test_data: Path, name: str, year: int) -> None:
    values = load(test_data, name, year)
    rows = values.tolist()
    arrivals = np.arange(0, values.shape[1] - HOURS - SLACK + 1, 3)
    sample = np.random.default_rng(year).choice(arrivals.size, 60, replace=False)
    for size_gb in (0, 50, 500, 5000):
        grams = first_g(values, size_gb)
        found = best_place_and_start(values, arrivals, HOURS, SLACK, fixed_g=grams)
        for home in range(len(rows)):
            for column in sample.tolist():
                least = by_hand(rows, grams[home].tolist(), int(arrivals[column]))
                if math.isinf(least):
                    assert np.isnan(found.least_g[home, column])
                else:
                    assert found.least_g[home, column] == pytest.approx(least, abs=1e-6)


@pytest.mark.parametrize(("name", "year"), WHERE)
def test_nothing_moves_with_5000_gb(test_data: Path, name: str, year: int) -> None:
    values = load(test_data, name, year)
    arrivals = np.arange(0, values.shape[1] - HOURS - SLACK + 1, 3)
    found = best_place_and_start(values, arrivals, HOURS, SLACK, fixed_g=first_g(values, 5000))
    homes = np.broadcast_to(np.arange(len(values))[:, None], found.place.shape)
    known = found.place >= 0
    assert known.any()
    assert (found.place[known] == homes[known]).all()


@pytest.mark.parametrize(("name", "year"), WHERE)
def test_single_calls_agree_and_moves_between_pauses_are_never_worse(test_data: Path, name: str, year: int) -> None:
    """The same jobs one by one; then free to pause and move, where 5,000 GB keep every job at home and data of no size
    let it follow the least intensity hour by hour."""
    values = load(test_data, name, year)
    rows = values.tolist()
    sample = np.random.default_rng(year + 1).integers(0, values.shape[1] - HOURS - SLACK, 12).tolist()
    for arrival in sample:
        ahead = values[:, arrival : arrival + HOURS + SLACK]
        if np.isnan(ahead).any():
            continue
        for size_gb in (0, 50, 5000):
            grams = first_g(values, size_gb)
            places = [
                PlaceCosts(StepSeries(0.0, 3600.0, row), 1.0, fixed_g=g) for row, g in zip(ahead, grams[0], strict=True)
            ]
            end_s, run_s = 3600.0 * (HOURS + SLACK), 3600.0 * HOURS
            single = best_place(places, 0.0, end_s, run_s)
            assert single.emissions_g == pytest.approx(by_hand(rows, grams[0].tolist(), arrival), rel=1e-9)
            none = np.zeros_like(grams)
            route = best_route(places, 0.0, end_s, run_s, moves=Moves(grams, none, none, none))
            assert route.exact
            assert route.emissions_g <= single.emissions_g * (1 + 1e-12)
            if size_gb == 5000:
                assert (route.moves, route.place_shares[0]) == (0, 1.0)
            if size_gb == 0:
                assert route.emissions_g == pytest.approx(sum(sorted(ahead.min(axis=0).tolist())[:HOURS]), rel=1e-9)
