"""A sensor that tells only power -> cumulative energy, and a meter made of one."""

from __future__ import annotations

import time

from lowtide_sampler.meters import MeterReading, Unreadable
from lowtide_sampler.standins import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from lowtide_sampler.meters import Source

SAMPLE_PERIOD_S = 0.1
"""Mean time between two samples of a power; the loop makes it uneven by half.

Bursts of a quarter second each second are then met within 1.5 % (one sigma) over a minute; 3 % at twice the time.
"""
HELD_AT_MOST_S = 2.0
_FRESH_PERIODS = 1.6


class PowerSum:
    """Power summed as steps: a reading is held until the next one, for between two a trapezoid would invent a slope.

    The mean of a window does have that slope, and is summed with it.

    Args:
        window_s: The sensor tells the mean of this time before the reading, not the power of the instant; s. Its
            readings lag by half of it: between two looks the sensor has shown what flowed half a window earlier, so
            the first half window shows energy from before the run, and the last half window is not yet shown.
        period_s: Mean time between two readings; s.
        held_at_most_s: Over a longer time a reading is not held: the node slept, or so did we; s.

    Notes:
        With the sensor's mean m(t) over [t - w, t] the energy of [a, b] is the integral of m over [a + w/2, b + w/2].
        What lies after b is not known yet and what lies before a + w/2 is not the run's; with m taken as constant over
        each half window, E = integral of m over [a, b] + w/2 · (m(b) - m(a)). Exact where the power was steady for a
        window before a and before b; else wrong by at most w/2 times the swing of m within those windows, once a run.
        The sum never falls: where m drops faster than it adds, it stands still until it has caught up.
    """

    def __init__(
        self, window_s: float = 0.0, *, period_s: float = SAMPLE_PERIOD_S, held_at_most_s: float = HELD_AT_MOST_S
    ) -> None:
        self._half_window_s = window_s / 2
        self._fresh_s = _FRESH_PERIODS * period_s
        self._held_at_most_s = held_at_most_s
        self._summed_j = 0.0
        self._shown_at_start_w = 0.0
        self._held: tuple[float, float] | None = None
        self._told_uj = 0

    def add(self, now_s: float, power_w: float) -> int | None:
        """Takes one reading.

        Args:
            now_s: Its monotonic time; s.
            power_w: What the sensor shows; W.
        Returns:
            Energy since the first reading; µJ. None: the last reading is too old to be held so long (the node slept,
            or so did we); the sum goes on from here.
        """
        held, self._held = self._held, (power_w, now_s)
        if held is None or now_s - held[1] > self._held_at_most_s:
            self._summed_j, self._shown_at_start_w = 1e-6 * self._told_uj, power_w
            return self._told_uj if held is None else None
        shown_w = (held[0] + power_w) / 2 if self._half_window_s else held[0]
        self._summed_j += shown_w * (now_s - held[1])
        energy_j = self._summed_j + self._half_window_s * (power_w - self._shown_at_start_w)
        self._told_uj = max(self._told_uj, round(1e6 * energy_j))
        return self._told_uj

    def at(self, now_s: float) -> int | None:
        """Energy up to an instant between two readings, if the last is no older than they should be apart; µJ.

        A record is written at even times, and a reading taken with it would fall into step with the load.
        """
        if self._held is None or now_s - self._held[1] > self._fresh_s:
            return None
        held_w, since_s = self._held
        energy_j = self._summed_j + held_w * (now_s - since_s) + self._half_window_s * (held_w - self._shown_at_start_w)
        self._told_uj = max(self._told_uj, round(1e6 * energy_j))
        return self._told_uj

    def fail(self) -> None:
        """The sensor gave no reading: what it showed before is not held beyond this."""
        self._held = None


class SampledMeter:
    """A meter made of a power sensor.

    Args:
        source: Of kind ``power``.
        read_power_w: The sensor's power now; W. OSError, ValueError and a negative power are failures.
        sample_period_s: Mean time between reads that it needs; s.
        window_s, held_at_most_s: As in ``PowerSum``.
        monotonic_s: Clock.
    """

    late_flags: tuple[str, ...] = ()

    def __init__(
        self,
        source: Source,
        read_power_w: Callable[[], float],
        *,
        sample_period_s: float = SAMPLE_PERIOD_S,
        window_s: float = 0.0,
        held_at_most_s: float = HELD_AT_MOST_S,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self.source = source
        self.sample_period_s: float | None = sample_period_s
        self._read_power_w = read_power_w
        self._monotonic_s = monotonic_s
        self._sum = PowerSum(window_s, period_s=sample_period_s, held_at_most_s=held_at_most_s)

    def read(self) -> MeterReading:
        energy_uj = self._sum.at(self._monotonic_s())
        return MeterReading(self._take() if energy_uj is None else energy_uj)

    def sample(self) -> None:
        self._take()

    def _take(self) -> int:
        now_s = self._monotonic_s()
        try:
            power_w = self._read_power_w()
            if power_w < 0:
                raise ValueError(f"{power_w} W")
        except (OSError, ValueError) as error:
            self._sum.fail()
            raise Unreadable(self.source.name, f"no reading ({error})") from error
        except Unreadable:
            self._sum.fail()
            raise
        energy_uj = self._sum.add(now_s, power_w)
        if energy_uj is None:
            raise Unreadable(self.source.name, "not read for too long to hold its power")
        return energy_uj
