"""The files of a backtest: what came, and forecasts as they were issued, put on one grid of time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lowtide.backtest.issued import Came, Issued, newest_of_each_step
from lowtide.forecasting.types import History
from lowtide_core.errors import InputError, nearest
from lowtide_core.places import ZoneId
from lowtide_core.quantities import SECONDS_PER_HOUR
from lowtide_core.series import require_one_frame
from lowtide_core.spans import from_epoch_s, iso_utc
from lowtide_providers.signals.file import FileSource
from lowtide_providers.signals.outlook_file import read_outlooks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lowtide_core.outlooks import Outlook
    from lowtide_core.series import FloatArray, SignalSeries

_ON_GRID = 1e-6
_LEAST_KNOWN = 0.05
"""Of the steps between the first and the last; a file with less has a time that nobody meant."""
_FARTHEST_S = 60 * 86400.0
"""From the issue of a forecast to its first step; seasonal ones reach some weeks ahead."""


def read_came(path: str, wanted: Sequence[str] = ()) -> tuple[Came, ...]:
    """What came in each zone of a file of actuals.

    Args:
        wanted: Only these zones, in this order; none takes all that the file names.
    Raises:
        InputError: The file is not understood, holds forecasts, has no such zone, or a step that hours do not fit.
    """
    source = FileSource(path)
    if source.has_issues:
        raise InputError(
            f"{path} holds forecasts: it has a column issued_utc.",
            hint="Name what came with --actual, and forecasts with --forecast.",
            path=path,
        )
    named = source.zones
    for zone in wanted:
        if named and zone.upper() not in named:
            raise InputError(
                f"{path} has no rows of zone {zone}.",
                hint=nearest(zone, named) or f"It has {', '.join(named)}.",
                path=path,
                zone=zone,
            )
    zones = list(dict.fromkeys(zone.upper() for zone in wanted)) or list(named) or [""]
    return tuple(_came(source.history(ZoneId(zone))) for zone in zones)


def _came(series: SignalSeries) -> Came:
    """In parts of an hour, or hours, from a whole hour on."""
    values, step_s = series.intensity_g_per_kwh, series.step_s
    if step_s > SECONDS_PER_HOUR and step_s % SECONDS_PER_HOUR == 0:
        values, step_s = np.repeat(values, round(step_s / SECONDS_PER_HOUR)), SECONDS_PER_HOUR
    if SECONDS_PER_HOUR % step_s:
        raise InputError(
            f"{series.source} has a step of {step_s:g} s, which is no part of an hour.",
            hint="Give steps of 5, 15, 30 or 60 minutes, or of whole hours.",
            step_s=step_s,
        )
    known = np.flatnonzero(~np.isnan(values))
    if known.size < _LEAST_KNOWN * values.size:
        raise InputError(
            f"Of {series.source} less than one value in {1 / _LEAST_KNOWN:.0f} is known between "
            f"{iso_utc(series.start_utc)} and {iso_utc(series.end_utc)}.",
            hint="Is a year mistyped?",
        )
    late_s = -series.start_s % SECONDS_PER_HOUR
    skipped = round(late_s / step_s)
    if abs(skipped * step_s - late_s) > _ON_GRID or skipped >= values.size:
        raise InputError(
            f"{series.source} starts at {iso_utc(series.start_utc)}, and none of its steps at a whole hour.",
            hint="Let one of its steps begin at the full hour.",
        )
    return Came(series.zone, series.start_s + late_s, step_s, values[skipped:], series.frame, series.source)


def read_issued(path: str, came: Came) -> Issued:
    """The forecasts of a file for one zone, on the grid of what came.

    Raises:
        InputError: The file is not understood, has no such zone, stands in another frame, has steps that do not fit
            those of what came, or no forecast for any of its time.
    """
    series = FileSource(path).issues(ZoneId(came.zone))
    require_one_frame([(came.source, came.frame), (series[0].source, series[0].frame)])
    issued_s, first, values = [], [], []
    for forecast in series:
        step, row = _on_grid(forecast, came)
        if step < came.values.size and step + row.size > 0:
            issued_s.append(_issued_at_s(forecast) - came.start_s)
            first.append(step)
            values.append(row)
    if not values:
        raise InputError(
            f"No forecast of {path} is for the time of {came.source}, which begins at "
            f"{iso_utc(from_epoch_s(came.start_s))}.",
            hint="Give two files of the same months.",
            path=path,
        )
    return newest_of_each_step(came.step_s, issued_s, first, values)


def read_expected(path: str, cames: Sequence[Came]) -> tuple[Outlook | None, ...]:
    """What a file says was expected of the grid of each zone; None where it says nothing.

    Raises:
        InputError: The file is not understood, has none of the zones, or names no zone where there are several.
    """
    found = read_outlooks(path)
    if "" in found and len(cames) > 1:
        raise InputError(f"{path} does not say of which zone it is.", hint="Add the column zone.", path=path)
    outlooks = tuple(found.get(came.zone, found.get("")) for came in cames)
    if not any(outlooks):
        raise InputError(
            f"{path} has no rows of {', '.join(came.zone for came in cames)}.",
            hint=f"It has {', '.join(found)}.",
            path=path,
        )
    return outlooks


def _issued_at_s(forecast: SignalSeries) -> float:
    if forecast.issued_at is None:
        raise InputError(f"{forecast.source} does not say when it was issued.", hint="Add the column issued_utc.")
    if (forecast.start_utc - forecast.issued_at).total_seconds() > _FARTHEST_S:
        raise InputError(
            f"A forecast of {forecast.source} was issued {iso_utc(forecast.issued_at)} and begins "
            f"{iso_utc(forecast.start_utc)}.",
            hint="Is a year of issued_utc mistyped?",
        )
    return forecast.issued_at.timestamp()


def _on_grid(forecast: SignalSeries, came: Came) -> tuple[int, FloatArray]:
    """First step, and a value for each step from it on; parts of steps at the ends are left out."""
    values = forecast.intensity_g_per_kwh
    start = (forecast.start_s - came.start_s) / came.step_s
    if forecast.step_s % came.step_s == 0:
        values = np.repeat(values, round(forecast.step_s / came.step_s))
    elif came.step_s % forecast.step_s == 0:
        parts = round(came.step_s / forecast.step_s)
        skipped = round(-forecast.start_s % came.step_s / forecast.step_s) % parts
        values = _means(values[skipped:], parts)
        start += skipped / parts
    else:
        start = np.nan
    if not abs(start - np.round(start)) < _ON_GRID:
        raise InputError(
            f"{forecast.source}, issued {_issued(forecast)}: steps of {forecast.step_s:g} s do not fit those of "
            f"{came.source}, {came.step_s:g} s from {iso_utc(from_epoch_s(came.start_s))} on.",
            hint="Give both files steps that begin together.",
        )
    return int(np.round(start)), values


def _issued(forecast: SignalSeries) -> str:
    return iso_utc(from_epoch_s(_issued_at_s(forecast)))


def history_of(cames: Sequence[Came]) -> History:
    """All zones on one axis of hours, from the first to the last that any of them has.

    Raises:
        InputError: They stand in different frames.
    """
    frame = require_one_frame((came.source, came.frame) for came in cames)
    hourly = [_means(came.values, round(SECONDS_PER_HOUR / came.step_s)) for came in cames]
    start_s = min(came.start_s for came in cames)
    offsets = [round((came.start_s - start_s) / SECONDS_PER_HOUR) for came in cames]
    table = np.full((len(cames), max(at + row.size for at, row in zip(offsets, hourly, strict=True))), np.nan)
    for line, at, row in zip(table, offsets, hourly, strict=True):
        line[at : at + row.size] = row
    return History(tuple(came.zone for came in cames), start_s, table, frame)


def _means(values: FloatArray, parts: int) -> FloatArray:
    """Mean of each whole group of so many values, exact where there is one; NaN where one of them is not known."""
    whole = values.size // parts
    means: FloatArray = values[: whole * parts].reshape(whole, parts).mean(axis=1)
    return means
