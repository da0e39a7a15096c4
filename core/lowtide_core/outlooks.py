"""What is expected of a zone's grid before it comes: wind, sun and load, as published the day before."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from lowtide_core.errors import InputError
from lowtide_core.spans import from_epoch_s, to_epoch_s

if TYPE_CHECKING:
    from datetime import datetime

    from lowtide_core.places import ZoneId
    from lowtide_core.series import FloatArray

QUANTITIES = ("wind", "solar", "load")
_HOUR_S, _DAY_H = 3600.0, 24


class Publication(NamedTuple):
    """When the figures of a day are out, all together.

    Attributes:
        day_begins_h: UTC hour at which the day begins that they are of.
        out_after_h: Hours from then on until they are out; negative for the day before.
    """

    day_begins_h: int
    out_after_h: int

    def out_s(self, start_s: FloatArray) -> FloatArray:
        """When the figures of steps that begin then are out; s since 1970, as the argument."""
        begins_s, day_s = self.day_begins_h * _HOUR_S, _DAY_H * _HOUR_S
        day = np.floor((start_s - begins_s) / day_s)
        return np.asarray(day * day_s + begins_s + self.out_after_h * _HOUR_S)


@dataclass(frozen=True, slots=True, eq=False)
class Outlook:
    """Mean power expected of one zone, step by step: ``i`` holds on ``[start + i·step, start + (i+1)·step)``.

    Attributes:
        step_s: An hour, or a part of it; s.
        wind_megawatt, solar_megawatt, load_megawatt: (n,), MW; NaN is not known.
        published_s: From when the figures of each step may be used; (n,), s since 1970.
        source: Who said it.
        fetched_at: When lowtide asked last; None for a file.
    """

    zone: ZoneId
    start_utc: datetime
    step_s: float
    wind_megawatt: FloatArray
    solar_megawatt: FloatArray
    load_megawatt: FloatArray
    published_s: FloatArray
    source: str
    fetched_at: datetime | None = None

    def __post_init__(self) -> None:
        if to_epoch_s(self.start_utc) % self.step_s or not self.step_s > 0 or _HOUR_S % self.step_s:
            raise InputError(
                f"{self.source}: an outlook of {self.zone} in steps of {self.step_s:g} s from {self.start_utc} on.",
                hint="Give steps of an hour, or of parts of it that fill hours.",
            )
        for name in ("wind_megawatt", "solar_megawatt", "load_megawatt", "published_s"):
            own = np.array(getattr(self, name), dtype=np.float64)
            if own.ndim != 1 or own.size == 0 or own.size != np.size(self.published_s) or np.isinf(own).any():
                raise InputError(
                    f"{self.source}: {name} of an outlook of {self.zone} has the shape {own.shape}, or is infinite.",
                    hint="Give one finite number for each step.",
                )
            own.flags.writeable = False
            object.__setattr__(self, name, own)
        if np.isnan(self.published_s).any():
            raise InputError(f"{self.source}: a step of an outlook does not say since when it is known.")

    @property
    def start_s(self) -> float:
        return self.start_utc.timestamp()

    @property
    def end_s(self) -> float:
        return self.start_s + self.step_s * self.published_s.size

    @property
    def megawatt(self) -> FloatArray:
        """Wind, sun and load, in the order of ``QUANTITIES``; (3, n), MW."""
        return np.stack([self.wind_megawatt, self.solar_megawatt, self.load_megawatt])

    @property
    def known_days(self) -> float:
        """How many days of steps have any figure."""
        return float((~np.isnan(self.megawatt)).any(axis=0).sum() * self.step_s / (_DAY_H * _HOUR_S))

    def with_steps(self, start_s: float, step_s: float, megawatt: FloatArray, published_s: FloatArray) -> Outlook:
        """The same on other steps."""
        wind, solar, load = megawatt
        return replace(
            self,
            start_utc=from_epoch_s(start_s),
            step_s=step_s,
            wind_megawatt=wind,
            solar_megawatt=solar,
            load_megawatt=load,
            published_s=published_s,
        )

    def hourly(self) -> Outlook:
        """Means of whole hours; an hour of which a part is not known is not known, and is out with its last part."""
        parts = round(_HOUR_S / self.step_s)
        first_s = np.floor(self.start_s / _HOUR_S) * _HOUR_S
        before = round((self.start_s - first_s) / self.step_s)
        after = -(before + self.published_s.size) % parts
        figures = np.pad(self.megawatt, ((0, 0), (before, after)), constant_values=np.nan)
        out_s = np.pad(self.published_s, (before, after), mode="edge")
        return self.with_steps(
            float(first_s),
            _HOUR_S,
            figures.reshape(len(QUANTITIES), -1, parts).mean(axis=2),
            out_s.reshape(-1, parts).max(axis=1),
        )


def joined(before: Outlook | None, new: Outlook) -> Outlook:
    """Two outlooks of one zone and source as one, hour by hour; what was said first stands.

    That is what a forecast of its time could know; a figure that comes later to an hour is known since then.
    """
    new = new.hourly()
    if before is None:
        return new
    first_s, last_s = min(before.start_s, new.start_s), max(before.end_s, new.end_s)
    hours = round((last_s - first_s) / _HOUR_S)
    figures, out_s = np.full((len(QUANTITIES), hours), np.nan), np.full(hours, -np.inf)
    for part in (before.hourly(), new):
        at = round((part.start_s - first_s) / _HOUR_S)
        place = slice(at, at + part.published_s.size)
        adds = np.isnan(figures[:, place]) & ~np.isnan(part.megawatt)
        figures[:, place] = np.where(adds, part.megawatt, figures[:, place])
        out_s[place] = np.where(adds.any(axis=0), np.maximum(out_s[place], part.published_s), out_s[place])
    unsaid = np.isinf(out_s)
    out_s[unsaid] = (first_s + _HOUR_S * np.arange(hours))[unsaid]
    return new.with_steps(first_s, _HOUR_S, figures, out_s)
