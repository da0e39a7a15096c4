"""What a forecast would have been worth: every arrival of a past series planned on it, and scored on what came."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lowtide_core.errors import InputError

if TYPE_CHECKING:
    from lowtide_core.series import FloatArray


@dataclass(frozen=True, slots=True)
class Score:
    """Sums over all arrivals, and what follows from them.

    Attributes:
        jobs: Arrivals whose whole window is known in both series.
        now, planned, oracle: Sum over the jobs of the mean intensity of the run at once, as planned on the forecast,
            and as planned on the truth; g/kWh.
        worse_than_now_pct: Share of the jobs whose plan turned out worse than running at once.
    """

    jobs: int
    now: float
    planned: float
    oracle: float
    worse_than_now_pct: float

    @property
    def oracle_saved_pct(self) -> float:
        return 100 * (self.now - self.oracle) / self.now

    @property
    def saved_pct(self) -> float:
        return 100 * (self.now - self.planned) / self.now

    @property
    def captured_pct(self) -> float | None:
        """Share of the oracle's saving; None where nothing could be saved."""
        possible = self.now - self.oracle
        return None if possible <= 1e-9 * self.now else 100 * (self.now - self.planned) / possible

    @property
    def regret_pct(self) -> float:
        return 100 * (self.planned - self.oracle) / self.oracle


def replay_once(actual: FloatArray, forecast: FloatArray, *, job_steps: int, slack_steps: int) -> Score:
    """One job arrives at every step, is planned once on the forecast, and runs in one piece.

    Args:
        actual: What came; (T,), g/kWh, NaN where nothing is known.
        forecast: What was expected for the same steps; (T,), g/kWh. It must not have known ``actual``.
        job_steps: Length of the job; steps, >= 1.
        slack_steps: How much later than at once it may start; steps, >= 0.
    Returns:
        The score over all arrivals without a gap in their window.
    Raises:
        InputError: Shapes disagree, or no arrival has a whole window.
    """
    if actual.shape != forecast.shape or actual.ndim != 1:
        raise InputError(
            f"The actual series has the shape {actual.shape}, the forecast {forecast.shape}.",
            hint="Give both for the same steps.",
        )
    if job_steps < 1 or slack_steps < 0 or actual.size < job_steps + slack_steps:
        raise InputError(
            f"A job of {job_steps} steps with {slack_steps} steps of slack does not fit into {actual.size} steps.",
            hint="Give a longer series, or a shorter job.",
        )
    real = _starts(_window_means(actual, job_steps), slack_steps)
    seen = _starts(_window_means(forecast, job_steps), slack_steps)
    whole = ~(np.isnan(real).any(axis=1) | np.isnan(seen).any(axis=1))
    if not whole.any():
        raise InputError("No arrival has a window without a gap.", hint="Fill the gaps, or shorten the window.")
    real, seen = real[whole], seen[whole]
    planned = real[np.arange(len(real)), np.argmin(seen, axis=1)]
    return Score(
        jobs=len(real),
        now=float(real[:, 0].sum()),
        planned=float(planned.sum()),
        oracle=float(real.min(axis=1).sum()),
        worse_than_now_pct=float(100 * np.mean(planned > real[:, 0] * (1 + 1e-9))),
    )


def _window_means(values: FloatArray, steps: int) -> FloatArray:
    """Mean of every run of ``steps`` neighbours; (T - steps + 1,). NaN spreads over every window that it touches."""
    means: FloatArray = np.lib.stride_tricks.sliding_window_view(values, steps).mean(axis=1)
    return means


def _starts(means: FloatArray, slack_steps: int) -> FloatArray:
    """Row per arrival, column per allowed start; (T', slack + 1), a view."""
    return np.lib.stride_tricks.sliding_window_view(means, slack_steps + 1)
