"""What a day-ahead outlook of wind, sun and load brings to the forecaster of the history, in captured saving.

Every hour a 4 h job with 24 h of slack, as in ``forecasting.py``. First on grids that are made up, then on the wind,
the sun and the generation that really came in American grids, with errors that are made up: no outlook as it was issued
is at hand. Outlooks are out at 17 UTC for the day that begins at 22 UTC.

python bench/outlook.py
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from forecasting import scored
from table import Row, data_folder, seconds

from lowtide.forecasting.expected import expected_of
from lowtide.forecasting.names import auto
from lowtide.forecasting.outlook import WithOutlook, learn_outlook
from lowtide.forecasting.rolling import rolling
from lowtide.forecasting.types import History
from lowtide.testing.grids import START_S, MadeGrid, made_grid
from lowtide.testing.measured import hourly
from lowtide_core.series import LIFECYCLE_CONSUMPTION

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lowtide_core.outlooks import Outlook
    from lowtide_core.series import FloatArray

DAYS, TESTED_H, HORIZON_H = 365, 182 * 24, 28
ERRORS = (0.2, 0.4, 1.0)
MEASURED = (("US-TEX-ERCO", 1), ("US-CAL-CISO", 0))
"""Zones, and by how many hours their rows of generation are late."""
FUELS = ("coal", "nat_gas", "nuclear", "oil", "hydro", "other")
WEEKS = (8, 12, 26, 52)


def captured(values: FloatArray, outlook: Outlook | None) -> tuple[float, float]:
    """Percent, once and replanned, of the last half year, forecast with a refit each month."""
    history = History(("XX",), START_S, values[None], LIFECYCLE_CONSUMPTION)
    issue = np.arange(values.size - TESTED_H, values.size, dtype=np.int64)
    if outlook is None:
        issued = rolling(auto(), history, issue, HORIZON_H)
    else:
        told = replace(history, expected=expected_of([outlook], START_S, history.hours))
        issued = rolling(WithOutlook(auto()), told, issue, HORIZON_H)
    score = scored(issued[0].astype(np.float64), values[-TESTED_H:])
    return score.once, score.replanned


def made_rows() -> Iterator[Row]:
    found: dict[str, list[tuple[float, float]]] = {}
    for seed in (1, 2):
        grid = made_grid(np.random.default_rng(seed), DAYS)
        other = made_grid(np.random.default_rng(seed + 100), DAYS).outlook(np.random.default_rng(seed + 2000), 0.1)
        ways: dict[str, Outlook | None] = {"of the past alone": None, "outlook of another grid, not judged": other}
        ways |= {
            f"outlook, error {error:g}": grid.outlook(np.random.default_rng(seed + 1000), error) for error in ERRORS
        }
        for name, outlook in ways.items():
            found.setdefault(name, []).append(captured(grid.intensity_g_per_kwh, outlook))
    bars = {"outlook, error 0.2": 5.0, "outlook of another grid, not judged": -1.0}
    plain = np.mean(found["of the past alone"], axis=0)
    for name, scores in found.items():
        once, replanned = np.mean(scores, axis=0)
        yield Row("made", f"{name}, once", float(once), "%")
        yield Row("made", f"{name}, replanned", float(replanned), "%")
        if name in bars:
            yield Row("made", f"{name}, once, points gained", float(once - plain[0]), "", bars[name])


def generation(zone: str, late_h: int, hours: int) -> FloatArray:
    """Wind, sun and all generation of 2021 and 2022; (3, hours), MW, NaN where a row is missing."""
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    table = pq.read_table(data_folder() / "intensity" / "us_generation_mix_eia.parquet")
    table = table.filter(pc.equal(table["zone"], zone))
    first_h = round(hourly(data_folder(), zone, 2021).start_s / 3600)
    place = table["utc"].to_numpy().astype("datetime64[h]").astype(np.int64) - late_h - first_h
    inside = (place >= 0) & (place < hours)
    wind, solar = (table[name].to_numpy().astype(np.float64) for name in ("wind", "solar"))
    total = wind + solar + sum(table[name].to_numpy().astype(np.float64) for name in FUELS)
    out = np.full((3, hours), np.nan)
    out[:, place[inside]] = np.stack([wind, solar, total])[:, inside]
    return out


def measured_rows() -> Iterator[Row]:
    for zone, late_h in MEASURED:
        values = np.concatenate([hourly(data_folder(), zone, year).values for year in (2021, 2022)])
        megawatt = generation(zone, late_h, values.size)
        known = np.where(np.isnan(megawatt), np.nanmean(megawatt, axis=1, keepdims=True), megawatt)
        once, replanned = captured(values, None)
        yield Row("EIA", f"{zone}, of the past alone, once", once, "%")
        yield Row("EIA", f"{zone}, of the past alone, replanned", replanned, "%")
        for error in (0.2, 0.4):
            outlook = MadeGrid(values, known).outlook(np.random.default_rng(1), error)
            once, replanned = captured(values, outlook)
            yield Row("EIA", f"{zone}, outlook, error {error:g}, once", once, "%")
            yield Row("EIA", f"{zone}, outlook, error {error:g}, replanned", replanned, "%")
        if zone == MEASURED[0][0]:
            yield from length_rows(zone, values, MadeGrid(values, known).outlook(np.random.default_rng(1), 0.2))


def length_rows(zone: str, values: FloatArray, outlook: Outlook) -> Iterator[Row]:
    """One fit before the half year, on outlooks of the last weeks before it alone."""
    history = History((zone,), START_S, values[None], LIFECYCLE_CONSUMPTION)
    first = values.size - TESTED_H
    issue = np.arange(first, values.size, dtype=np.int64)
    plain = auto().fit(history.until(first), HORIZON_H)
    base = plain.issued(history, issue, HORIZON_H)[0]
    told = replace(history, expected=expected_of([outlook], START_S, history.hours))
    for weeks in WEEKS:
        begins = first - weeks * 168 - 24
        megawatt = np.where(np.arange(values.size) < begins, np.nan, outlook.megawatt)
        short = outlook.with_steps(START_S, 3600.0, megawatt, outlook.published_s)
        taught = replace(history, expected=expected_of([short], START_S, history.hours)).until(first)
        weights = learn_outlook(taught, 0, plain, HORIZON_H)
        said = base if weights is None else weights.moved(told, 0, issue, base)
        yield Row("EIA", f"{zone}, {weeks} weeks of outlooks, once", scored(said, values[first:]).once, "%")


def speed_rows() -> Iterator[Row]:
    grid = made_grid(np.random.default_rng(1), 3 * 365)
    history = History(("XX",), START_S, grid.intensity_g_per_kwh[None], LIFECYCLE_CONSUMPTION)
    outlook = grid.outlook(np.random.default_rng(1), 0.2)
    told = replace(history, expected=expected_of([outlook], START_S, history.hours))
    plain = auto().fit(history, 120)
    started = time.process_time()
    weights = learn_outlook(told, 0, plain, 120)
    yield Row("speed", "learning from three years of outlooks", time.process_time() - started, "s", 5.0, "less")
    issue = np.array([history.hours], dtype=np.int64)
    base = plain.issued(history, issue, 120)[0]
    if weights is not None:
        taken_ms = 1000 * seconds(lambda: weights.moved(told, 0, issue, base))
        yield Row("speed", "one forecast moved, on three years", taken_ms, "ms", 20.0, "less")


def main() -> None:
    for rows in (speed_rows(), made_rows(), measured_rows()):
        for row in rows:
            print(row, flush=True)


if __name__ == "__main__":
    main()
