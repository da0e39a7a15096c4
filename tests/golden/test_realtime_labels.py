"""What Electricity Maps said in real time in 2021-22, under labels that ran an hour late, against its settled hours.

Our hours begin at their start. A reader of old recordings has to move such a label back; one of today's has not.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from lowtide.histories import HOUR_S, with_series
from lowtide.testing.measured import hourly
from lowtide_core.places import ZoneId
from lowtide_core.series import LIFECYCLE_CONSUMPTION, SignalSeries
from lowtide_core.spans import from_epoch_s

if TYPE_CHECKING:
    from pathlib import Path

    from lowtide_core.series import FloatArray

ZONES = ("DE", "FR", "AU-NSW", "US-MIDA-PJM", "US-NY-NYIS", "JP-KN")
"""Zones in which the settled hours of 2022 tell one label from the next. In others (CISO, CA-ON, GB, IE) both fit
within 0.01 of correlation, so nothing is claimed of them."""


@cache
def _polled(folder: Path) -> Any:
    import pyarrow.parquet as pq

    return pq.read_table(folder / "intensity/intensity_realtime_vintage_2021_2022.parquet")


def _recorded(folder: Path, zone: str, *, moved: bool) -> tuple[float, FloatArray]:
    """Start, s, and hours of one zone as they were polled last; with the labels as they stood, or moved as is known."""
    table = _polled(folder)
    mine = table["zone"].to_numpy(zero_copy_only=False) == zone
    label_s = table["api_datetime_utc"].to_numpy().astype("datetime64[s]").astype(np.int64)[mine].astype(float)
    shift_h = table["shift_h"].to_numpy()[mine].astype(float)
    assert (shift_h == shift_h[0]).all()
    at_s = label_s + HOUR_S * shift_h if moved else label_s
    values = table["value_last"].to_numpy()[mine].astype(float)
    record = None
    runs = np.split(np.arange(at_s.size), np.flatnonzero(np.diff(at_s) != HOUR_S) + 1)
    for run in runs:
        series = SignalSeries(
            ZoneId(zone), from_epoch_s(at_s[run[0]]), HOUR_S, values[run], LIFECYCLE_CONSUMPTION, "actual", "polled"
        )
        record = with_series(record, series)
    assert record is not None
    return record.start_s, record.intensity_g_per_kwh


def _best_lag_h(start_s: float, values: FloatArray, folder: Path, zone: str) -> int:
    """By how many hours the record lies behind the settled series where they go together best."""
    settled = hourly(folder, zone, 2022)
    first = round((settled.start_s - start_s) / HOUR_S)
    together = {}
    for lag_h in range(-3, 4):
        begin = first + lag_h
        mine = values[max(0, begin) : begin + settled.values.size]
        theirs = settled.values[max(0, -begin) :][: mine.size]
        both = np.array([mine, theirs])
        together[lag_h] = float(np.corrcoef(both[:, ~np.isnan(both).any(axis=0)])[0, 1])
    return max(together, key=lambda lag_h: together[lag_h])


@pytest.mark.data
@pytest.mark.parametrize("zone", ZONES)
def test_real_time_labels_of_those_years_ran_an_hour_late(test_data: Path, zone: str) -> None:
    assert _best_lag_h(*_recorded(test_data, zone, moved=False), test_data, zone) == 1
    assert _best_lag_h(*_recorded(test_data, zone, moved=True), test_data, zone) == 0
