"""The forecast as a small chart in plain text, with the chosen window below it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime, tzinfo

    from lowtide.planning.types import Segment
    from lowtide_core.series import FloatArray, SignalSeries
    from lowtide_core.spans import Span

_EIGHTHS = " ▁▂▃▄▅▆▇█"
_ROWS = 4
_MOST_COLUMNS = 72
_LABEL = 9
_WIDTH = 84


@dataclass(frozen=True, slots=True)
class _Step:
    """From one label to the next on the local clock: one of the three counts is not zero."""

    pattern: str
    minutes: int = 0
    days: int = 0
    months: int = 0

    @property
    def least_s(self) -> int:
        return 60 * self.minutes + 86_400 * (self.days + 28 * self.months)


_A_DAY = _Step("%d %b", days=1)
_A_MONTH = _Step("%b %Y", months=1)
_CLOCK = tuple(_Step("%H:%M", minutes=minutes) for minutes in (1, 2, 3, 5, 10, 15, 20, 30, 60))
_HOURS = tuple(_Step("%H", minutes=60 * hours) for hours in (1, 2, 3, 6, 12))
_DAYS = tuple(_Step("%d %b", days=days) for days in (1, 2, 4, 7, 14))
_MONTHS = tuple(_Step("%b %Y", months=months) for months in (1, 2, 3, 6, 12))
_CLOCK_BELOW_S = 3 * 3600
_HOURS_UP_TO_S = 50 * 3600  # the second midnight is up to 49 h away where the clock is put back


def plot(series: SignalSeries, window: Span, segments: tuple[Segment, ...], zone: tzinfo | None) -> list[str]:
    """Lines of at most 84 characters: intensity over the window, times of the person's clock, the run."""
    columns = _columns(window)
    values = _column_means(series, window, columns)
    top = _round_up(float(np.nanmax(values)))
    lines = [_row(values, row, top) for row in range(_ROWS - 1, -1, -1)]
    lines.append(f"{' g/kWh':<{_LABEL}}{_axis(window, columns, zone)}")
    lines.append(" " * _LABEL + _runs(window, columns, segments))
    return [line.rstrip() for line in lines]


def _columns(window: Span) -> int:
    """Two to the hour for a day, one to the hour for three days, then what fits."""
    hours = window.duration_s / 3600
    return int(min(_MOST_COLUMNS, max(24, hours * 2 if hours <= 36 else hours)))


def _column_means(series: SignalSeries, window: Span, columns: int) -> FloatArray:
    """Mean intensity in each column; (columns,), g/kWh, NaN where any part of the column has no value."""
    values = series.intensity_g_per_kwh
    column_edges_s = window.start_utc.timestamp() + window.duration_s * np.arange(columns + 1) / columns
    step_edges_s = series.start_s + series.step_s * np.arange(values.size + 1)
    parts = []
    for per_step in (np.nan_to_num(values), ~np.isnan(values)):
        summed = np.concatenate(([0.0], np.cumsum(per_step * series.step_s)))
        parts.append(np.diff(np.interp(column_edges_s, step_edges_s, summed)))
    sums, known_s = parts
    width_s = window.duration_s / columns
    means: FloatArray = np.where(known_s >= width_s * (1 - 1e-6), np.round(sums / width_s, 3), np.nan)
    return means


def _round_up(value: float) -> float:
    for nice in (10, 20, 40, 60, 80, 100, 200, 300, 400, 600, 800, 1000, 1200, 1600, 2000):
        if value <= nice:
            return float(nice)
    return float(np.ceil(value / 1000) * 1000)


def _row(values: FloatArray, row: int, top: float) -> str:
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


def _axis(window: Span, columns: int, zone: tzinfo | None) -> str:
    """The finest labels that keep apart; room between them is given up before the second label is."""
    steps = [step for step in _steps(window) if window.duration_s <= step.least_s * columns]
    for blanks in (3, 2, 1):
        for step in steps:
            placed = _placed(step, window, columns, zone)
            if len(placed) >= 2 and _apart(placed, blanks):
                return _laid_out(placed)
    pattern = "%H:%M:%S" if window.duration_s < _CLOCK_BELOW_S else "%b %Y"
    ends = ((0, window.start_utc), (columns - len(pattern), window.end_utc))
    return _laid_out([(column, f"{instant.astimezone(zone):{pattern}}") for column, instant in ends])


def _steps(window: Span) -> tuple[_Step, ...]:
    if window.duration_s < _CLOCK_BELOW_S:
        return _CLOCK
    return _HOURS if window.duration_s <= _HOURS_UP_TO_S else _DAYS + _MONTHS


def _placed(step: _Step, window: Span, columns: int, zone: tzinfo | None) -> list[tuple[int, str]]:
    """Column and text of every label that lies within the window and the line, in order."""
    placed = []
    for wall, instant in _instants(step, window, zone):
        column, text = _column_of(instant, window, columns), f"{wall:{step.pattern}}"
        if window.start_utc <= instant <= window.end_utc and column + len(text) <= _WIDTH - _LABEL:
            placed.append((column, text))
    return sorted(placed)


def _instants(step: _Step, window: Span, zone: tzinfo | None) -> Iterator[tuple[datetime, datetime]]:
    """Round times of the local clock and when they are: twice where it is put back, never where it is put forward."""
    first = window.start_utc.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None)
    last = window.end_utc.astimezone(zone).replace(tzinfo=None)
    if step.minutes:
        # The wall clock may be put back by an hour at the end of the window.
        for count in range(int((last - first + timedelta(hours=2)) / timedelta(minutes=step.minutes)) + 1):
            wall = first + timedelta(minutes=step.minutes * count)
            for instant in sorted({_at(wall, zone), _at(wall.replace(fold=1), zone)}):
                if instant.astimezone(zone).replace(tzinfo=None, fold=0) == wall:
                    yield wall, instant
        return
    # A day that begins at 01:00, because midnight is skipped, is a day nonetheless.
    wall = first if step.days else first.replace(day=1)
    if _at(wall, zone) < window.start_utc:
        wall = _later(wall, _A_DAY if step.days else _A_MONTH)
    while wall <= last:
        yield wall, _at(wall, zone)
        wall = _later(wall, step)


def _at(wall: datetime, zone: tzinfo | None) -> datetime:
    """The instant of a naive time of the zone's clock, or of this machine's where the zone is None."""
    return wall.replace(tzinfo=zone).astimezone(UTC)


def _later(wall: datetime, step: _Step) -> datetime:
    months = wall.year * 12 + wall.month - 1 + step.months
    return wall.replace(year=months // 12, month=months % 12 + 1) + timedelta(days=step.days)


def _apart(placed: list[tuple[int, str]], blanks: int) -> bool:
    return all(column + len(text) + blanks <= after for (column, text), (after, _) in pairwise(placed))


def _laid_out(placed: list[tuple[int, str]]) -> str:
    line = ""
    for column, text in placed:
        line = f"{line:<{column}}{text}"
    return line


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
