"""A sensor that tells only power -> cumulative energy."""

from __future__ import annotations

SAMPLE_PERIOD_S = 0.1
"""Mean time between two samples of a power; the loop makes it uneven by half.

Bursts of a quarter second each second are then met within 1.5 % (one sigma) over a minute; 3 % at twice the time.
"""
_HELD_AT_MOST_S = 2.0
_FRESH_S = 1.6 * SAMPLE_PERIOD_S


class PowerSum:
    """Power summed as steps: a reading is held until the next one, for between two a trapezoid would invent a slope.

    The mean of a window does have that slope, and is summed with it.

    Args:
        window_s: The sensor tells the mean of this time before the reading, not the power of the instant; s. Its
            readings lag by half of it: between two looks the sensor has shown what flowed half a window earlier, so
            the first half window shows energy from before the run, and the last half window is not yet shown.

    Notes:
        With the sensor's mean m(t) over [t - w, t] the energy of [a, b] is the integral of m over [a + w/2, b + w/2].
        What lies after b is not known yet and what lies before a + w/2 is not the run's; with m taken as constant over
        each half window, E = integral of m over [a, b] + w/2 · (m(b) - m(a)). Exact where the power was steady for a
        window before a and before b; else wrong by at most w/2 times the swing of m within those windows, once a run.
        The sum never falls: where m drops faster than it adds, it stands still until it has caught up.
    """

    def __init__(self, window_s: float = 0.0) -> None:
        self._half_window_s = window_s / 2
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
        if held is None or now_s - held[1] > _HELD_AT_MOST_S:
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
        if self._held is None or now_s - self._held[1] > _FRESH_S:
            return None
        held_w, since_s = self._held
        energy_j = self._summed_j + held_w * (now_s - since_s) + self._half_window_s * (held_w - self._shown_at_start_w)
        self._told_uj = max(self._told_uj, round(1e6 * energy_j))
        return self._told_uj

    def fail(self) -> None:
        """The sensor gave no reading: what it showed before is not held beyond this."""
        self._held = None
