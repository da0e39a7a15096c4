"""The forecast as a small chart in plain text, with the chosen window below it."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from datetime import datetime, tzinfo

    from lowtide.planning.types import Segment
    from lowtide_core.series import SignalSeries
    from lowtide_core.spans import Span

_EIGHTHS = " ▁▂▃▄▅▆▇█"
_ROWS = 4
_MOST_COLUMNS = 72
_LABEL = 9


def plot(series: SignalSeries, window: Span, segments: tuple[Segment, ...], zone: tzinfo | None) -> list[str]:
    """Lines of at most 84 characters: intensity over the window, hours of the person's clock, the run."""
    columns = _columns(window)
    values = _column_means(series, window, columns)
    top = _round_up(float(np.nanmax(values)))
    lines = [_row(values, row, top) for row in range(_ROWS - 1, -1, -1)]
    lines[-1] += "   g/kWh"
    lines.append(" " * _LABEL + _hours(window, columns, zone))
    lines.append(" " * _LABEL + _runs(window, columns, segments))
    return [line.rstrip() for line in lines]


def _columns(window: Span) -> int:
    """Two to the hour for a day, one to the hour for three days, then what fits."""
    hours = window.duration_s / 3600
    return int(min(_MOST_COLUMNS, max(24, hours * 2 if hours <= 36 else hours)))


def _column_means(
    series: SignalSeries, window: Span, columns: int
) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    middles_s = window.start_utc.timestamp() + window.duration_s * (np.arange(columns) + 0.5) / columns
    index = np.floor((middles_s - series.start_s) / series.step_s).astype(int)
    inside = (index >= 0) & (index < series.intensity_g_per_kwh.size)
    values = np.full(columns, np.nan)
    values[inside] = series.intensity_g_per_kwh[index[inside]]
    return values


def _round_up(value: float) -> float:
    for nice in (10, 20, 40, 60, 80, 100, 200, 300, 400, 600, 800, 1000, 1200, 1600, 2000):
        if value <= nice:
            return float(nice)
    return float(np.ceil(value / 1000) * 1000)


def _row(values: np.ndarray[tuple[int, ...], np.dtype[np.float64]], row: int, top: float) -> str:
    label = f"{top * (row + 1) / _ROWS:6.0f} ┤ "
    cells = []
    for value in values:
        if np.isnan(value):
            cells.append(" ")
            continue
        eighths = round((value / top * _ROWS - row) * 8)
        cells.append(_EIGHTHS[max(0, min(8, eighths))])
    return label + "".join(cells)


def _column_of(instant: datetime, window: Span, columns: int) -> int:
    return round((instant.timestamp() - window.start_utc.timestamp()) / window.duration_s * columns)


def _hours(window: Span, columns: int, zone: tzinfo | None) -> str:
    every_h = next(step for step in (1, 2, 3, 6, 12, 24, 48, 96, 192) if window.duration_s / 3600 / step <= columns / 5)
    line = [" "] * (columns + 6)
    local = window.start_utc.astimezone(zone).replace(minute=0, second=0, microsecond=0)
    while local <= window.end_utc:
        at = _column_of(local, window, columns)
        if local >= window.start_utc and local.hour % min(every_h, 24) == 0:
            text = f"{local:%H}" if every_h < 24 else f"{local:%d.%m}"
            line[at : at + len(text)] = text
        local = (local + timedelta(hours=1)).astimezone(zone)
    return "".join(line)


def _runs(window: Span, columns: int, segments: tuple[Segment, ...]) -> str:
    line = [" "] * (columns + 1)
    for segment in segments:
        first, last = (_column_of(instant, window, columns) for instant in (segment.start_utc, segment.end_utc))
        if last - first < 2:
            line[first] = "┃"
            continue
        bar = "├" + "─" * (last - first - 1) + "┤"
        if len(bar) >= 7:
            middle = (len(bar) - 5) // 2
            bar = bar[:middle] + " run " + bar[middle + 5 :]
        line[first : last + 1] = bar
    return "".join(line)
