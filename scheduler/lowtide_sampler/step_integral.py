"""Sensors that tell only their power: read often, at uneven times, and summed as steps.

A reading is held until the next one: between two readings a trapezoid would invent a slope, and even times would fall
into step with the load. What a sensor averages over a window belongs to the middle of that window.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from lowtide_sampler.meters import MeterReading, Unreadable

if TYPE_CHECKING:
    from collections.abc import Callable

    from lowtide_sampler.meters import Source

SAMPLE_PERIOD_S = 0.2
HELD_AT_MOST_S = 2.0


class StepIntegral:
    """Power readings -> energy since the first of them; µJ, never falling.

    Args:
        held_at_most_s: Over a longer time a value is not held: the node slept, or so did we.
        window_s: Time over which the sensor averages; its readings are placed half of it back.
    """

    def __init__(self, held_at_most_s: float = HELD_AT_MOST_S, window_s: float = 0.0) -> None:
        self._held_at_most_s = held_at_most_s
        self._half_window_s = window_s / 2
        self._summed_uj = 0.0
        self._told_uj = 0.0
        self._held: tuple[float, float] | None = None

    def put(self, power_w: float, now_s: float) -> float:
        """Takes a reading; returns the length of the hole that it ends, 0 where there is none; s.

        The energy of a hole is not summed: nobody saw it.
        """
        hole_s = 0.0
        if self._held is not None:
            held_w, since_s = self._held
            if now_s - since_s > self._held_at_most_s:
                hole_s = now_s - since_s
            else:
                self._summed_uj += 1e6 * held_w * (now_s - since_s)
        self._held = (power_w, now_s)
        self._told_uj = max(self._told_uj, self._summed_uj + 1e6 * power_w * self._half_window_s)
        return hole_s

    def lose(self) -> None:
        """Notes that a reading failed: what was held is held no longer."""
        self._held = None

    @property
    def energy_uj(self) -> int:
        return round(self._told_uj)


class StepMeter:
    """A meter made of a power sensor.

    Args:
        source: Of kind ``power``.
        read_power_w: The sensor's power now; W. OSError and ValueError are failures, and so is a negative power.
        sample_period_s: Mean time between reads that it needs.
        held_at_most_s, window_s: As in ``StepIntegral``.
        monotonic_s: Clock.
    """

    def __init__(
        self,
        source: Source,
        read_power_w: Callable[[], float],
        *,
        sample_period_s: float = SAMPLE_PERIOD_S,
        held_at_most_s: float = HELD_AT_MOST_S,
        window_s: float = 0.0,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self.source = source
        self.sample_period_s: float | None = sample_period_s
        self._read_power_w = read_power_w
        self._monotonic_s = monotonic_s
        self._integral = StepIntegral(held_at_most_s, window_s)

    def read(self) -> MeterReading:
        now_s = self._monotonic_s()
        try:
            power_w = self._read_power_w()
            if power_w < 0:
                raise ValueError(f"{power_w} W")
        except (OSError, ValueError, Unreadable) as error:
            self._integral.lose()
            if isinstance(error, Unreadable):
                raise
            raise Unreadable(self.source.name, f"no reading ({error})") from error
        hole_s = self._integral.put(power_w, now_s)
        if hole_s > 0:
            raise Unreadable(self.source.name, f"not read for {hole_s:.1f} s")
        return MeterReading(self._integral.energy_uj)
