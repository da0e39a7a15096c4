"""A made-up grid whose intensity follows from wind, sun and load, and what was expected of it the day before."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lowtide_core.outlooks import Outlook, Publication
from lowtide_core.places import ZoneId
from lowtide_core.spans import from_epoch_s

if TYPE_CHECKING:
    from lowtide_core.series import FloatArray

HOUR_S = 3600.0
START_S = 1_735_689_600.0  # 2025-01-01
OUT = Publication(day_begins_h=22, out_after_h=-5)


@dataclass(frozen=True, slots=True, eq=False)
class MadeGrid:
    """Hour by hour from ``START_S`` on.

    Attributes:
        intensity_g_per_kwh: (T,). megawatt: Wind, sun and load as they came; (3, T), MW.
    """

    intensity_g_per_kwh: FloatArray
    megawatt: FloatArray

    def outlook(self, rng: np.random.Generator, error_share: float) -> Outlook:
        """As issued: what came, off by errors that last for hours.

        Args:
            error_share: Standard deviation of wind's error, of wind's own; the sun is off by half, the load by a tenth.
        """
        size = self.megawatt.std(axis=1) * error_share * np.array([1.0, 0.5, 0.1])
        errors = np.stack([_lasting(rng, self.megawatt.shape[1], hours=12.0) for _ in size])
        sun = self.megawatt[1] > 0
        said = np.maximum(
            self.megawatt + size[:, None] * errors * np.stack([np.ones(sun.size), sun, np.ones(sun.size)]), 0
        )
        return as_outlook(said)


def as_outlook(megawatt: FloatArray, *, zone: str = "DE") -> Outlook:
    """Figures of hours from ``START_S`` on, out on the evening before; (3, n), MW."""
    wind, solar, load = megawatt
    out_s = OUT.out_s(START_S + HOUR_S * np.arange(wind.size, dtype=np.float64))
    return Outlook(ZoneId(zone), from_epoch_s(START_S), HOUR_S, wind, solar, load, out_s, "made")


def made_grid(rng: np.random.Generator, days: int) -> MadeGrid:
    """Wind that lasts for a day or two, a sun with clouds and seasons, a load of work days; the rest is burnt."""
    hour = np.arange(24 * days)
    wind = 12_000.0 * np.exp(0.8 * _lasting(rng, hour.size, hours=30.0))
    height = np.maximum(np.sin((hour % 24 - 5) / 13 * np.pi), 0.0) * ((hour % 24 >= 5) & (hour % 24 <= 18))
    season = 1.0 - 0.6 * np.cos(hour / 8766 * 2 * np.pi)
    solar = 15_000.0 * height * season * np.exp(0.4 * _lasting(rng, hour.size, hours=24.0))
    work = np.where(hour // 24 % 7 < 5, 1.0, 0.85)
    load = (
        55_000.0
        * work
        * (1 + 0.12 * np.sin((hour % 24 - 8) / 12 * np.pi) + 0.04 * _lasting(rng, hour.size, hours=48.0))
    )
    wind, solar = np.minimum(wind, 0.6 * load), np.minimum(solar, 0.35 * load)
    left = (load - wind - solar) / load
    intensity = 650.0 * left + 120.0 * left**2 + 15.0 * _lasting(rng, hour.size, hours=20.0) + 10.0
    return MadeGrid(np.maximum(intensity, 5.0), np.stack([wind, solar, load]))


def _lasting(rng: np.random.Generator, count: int, *, hours: float) -> FloatArray:
    """Noise of standard deviation 1 that is forgotten in so many hours; (n,)."""
    kept = np.exp(-1 / hours)
    fresh = np.sqrt(1 - kept**2) * rng.standard_normal(count)
    values = np.empty(count)
    last = rng.standard_normal()
    for index, more in enumerate(fresh.tolist()):
        last = kept * last + more
        values[index] = last
    return values
