"""What a zone's grid usually does at this hour of the day and time of the year: harmonics times the latest level."""

from __future__ import annotations

from datetime import UTC
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from lowtide_core.errors import InputError
from lowtide_core.series import LIFECYCLE_CONSUMPTION, SignalSeries
from lowtide_core.spans import from_epoch_s, to_epoch_s
from lowtide_facts.tablefiles import VERSION, data_path
from lowtide_facts.zones import annual_g_per_kwh

if TYPE_CHECKING:
    from lowtide_core.places import ZoneId
    from lowtide_core.series import FloatArray
    from lowtide_core.spans import Span

STEP_S = 3600.0
DAILY_HARMONICS = 4
SEASONAL_HARMONICS = 2
_DAY_S = 86400.0
_YEAR_S = 365.2425 * _DAY_S
_LEAST_SHAPE = 0.02
"""A fitted shape may dip below nothing in a zone that is nearly free of emissions at noon."""


class Model(NamedTuple):
    """One zone's fit: coefficients of the shape (mean 1), factors of the 80 % band, first and last year behind it."""

    coefficients: FloatArray
    band: tuple[float, float]
    years: tuple[int, int]


def facts_version() -> str:
    """Version of the embedded facts; part of every record that rests on them."""
    return VERSION


def design_matrix(start_s: FloatArray | np.ndarray[tuple[int, ...], np.dtype[np.int64]]) -> FloatArray:
    """Terms of the shape for hours that begin then.

    Args:
        start_s: Seconds since 1970, UTC; (T,).
    Returns:
        (T, 54): constant, season, day, season x day, weekend, weekend x day. Times are UTC, so a zone's local time and
        its summer time sit in its coefficients.
    """
    time_s = np.asarray(start_s, dtype=np.float64)
    day = 2 * np.pi * (time_s % _DAY_S) / _DAY_S
    year = 2 * np.pi * time_s / _YEAR_S
    daily = _harmonics(day, DAILY_HARMONICS)
    seasonal = _harmonics(year, SEASONAL_HARMONICS)
    weekend = ((np.floor(time_s / _DAY_S) + 3) % 7 >= 5).astype(np.float64)[:, None]  # day 0, 1970-01-01: a Thursday
    both = (seasonal[:, :, None] * daily[:, None, :]).reshape(time_s.size, -1)
    return np.concatenate([np.ones((time_s.size, 1)), seasonal, daily, both, weekend, weekend * daily], axis=1)


def penalty_classes() -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    """Class of each column of the matrix for the fit: 0 free, 1 day, 2 season x day, 3 weekend; (54,)."""
    daily, seasonal = 2 * DAILY_HARMONICS, 2 * SEASONAL_HARMONICS
    return np.repeat([0, 1, 2, 3], [1 + seasonal, daily, seasonal * daily, 1 + daily])


def _harmonics(angle: FloatArray, count: int) -> FloatArray:
    orders = np.arange(1, count + 1)
    return np.concatenate([np.cos(angle[:, None] * orders), np.sin(angle[:, None] * orders)], axis=1)


@cache
def _models() -> dict[str, Model]:
    table = np.load(data_path("odbl", "climatology.npy"), allow_pickle=False)
    parts = zip(
        table["zones"].tolist(), table["coefficients"], table["bands"].tolist(), table["years"].tolist(), strict=True
    )
    return {
        zone: Model(row.astype(np.float64), (low, high), (first, last))
        for zone, row, (low, high), (first, last) in parts
    }


def has_shape(zone: ZoneId) -> bool:
    """Whether the zone's hours are known; where not, its annual level tells places apart, but not times."""
    return zone in _models()


def shape(
    coefficients: FloatArray, start_s: FloatArray | np.ndarray[tuple[int, ...], np.dtype[np.int64]]
) -> FloatArray:
    """Intensity over its annual mean for hours that begin then.

    Args:
        coefficients: Of one zone; (54,). start_s: Seconds since 1970, UTC; (T,).
    Returns:
        (T,), 1 on the mean of a year, positive.
    """
    return np.maximum(design_matrix(start_s) @ coefficients, _LEAST_SHAPE)


def series(zone: ZoneId, span: Span) -> SignalSeries:
    """The zone's usual intensity over the span, hourly, with its 80 % band.

    Raises:
        InputError: The zone has no time shape.
    Notes:
        Level: the newest annual mean. It knows the hour, the season and the weekend; not the weather.
    Source:
        Electricity Maps' hourly and annual data, ODbL 1.0 (see NOTICE); fitted by ``regions_data/rebuild``.
    """
    model = _models().get(zone)
    if model is None:
        raise InputError(f"Zone {zone} has no time shape.", hint="Use its annual level (static).", zone=zone)
    level, year = annual_g_per_kwh(zone)
    start_s = to_epoch_s(span.start_utc) // STEP_S * STEP_S
    hours = int(-(-(to_epoch_s(span.end_utc) - start_s) // STEP_S))
    values = level * shape(model.coefficients, start_s + STEP_S * np.arange(hours, dtype=np.float64))
    first, last = model.years
    return SignalSeries(
        zone=zone,
        start_utc=from_epoch_s(start_s),
        step_s=STEP_S,
        intensity_g_per_kwh=values,
        low_g_per_kwh=values * model.band[0],
        high_g_per_kwh=values * model.band[1],
        frame=LIFECYCLE_CONSUMPTION,
        kind="climatology",
        source="climatology",
        note=f"usual shape of {first if first == last else f'{first}-{last}'} at the level of {year}, facts {VERSION}",
    )


def annual_series(zone: ZoneId, span: Span) -> SignalSeries:
    """The zone's newest annual mean, flat over the span: no time shape, place only."""
    level, year = annual_g_per_kwh(zone)
    return SignalSeries(
        zone=zone,
        start_utc=span.start_utc.astimezone(UTC),
        step_s=span.duration_s,
        intensity_g_per_kwh=np.array([level]),
        frame=LIFECYCLE_CONSUMPTION,
        kind="climatology",
        source="static",
        note=f"no time shape: place only, annual mean of {year}, facts {VERSION}",
    )
