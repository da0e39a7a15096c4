"""How likely a plan is to turn out worse than what it is compared with."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from lowtide_core.series import FloatArray

SIGMAS_IN_BAND_80 = 2 * 1.2815515655446004
"""Width of the central 80 % of a normal distribution, in standard deviations."""

ERROR_MEMORY_S = 26 * 3600.0
"""How long an error of the forecast lasts, as the decay time of its correlation. The residuals of the climatology keep
0.63 of their correlation over 12 h (median of 16 zones, 2022), which is exp(-12/26)."""

MEAN_ERRORS_IN_BAND_80 = SIGMAS_IN_BAND_80 * math.sqrt(math.pi / 2)
"""Width of the central 80 % of a normal distribution, in mean absolute deviations."""


def difference_variance(weights: FloatArray, low: FloatArray, high: FloatArray, start_s: FloatArray) -> float:
    """Variance of a weighted sum of intensities that stand in one series.

    Args:
        weights: g per (g/kWh) of each step; (n,). Of a difference: steps of the one positive, of the other negative.
        low, high: 80 % band of the intensity in each step; (n,), g/kWh.
        start_s: When each step begins; (n,), s.
    Returns:
        g^2, >= 0.
    Notes:
        Errors are normal, with a correlation that decays over ``ERROR_MEMORY_S``. So a doubt about the level of the
        day, which two windows share, counts little against moving from one to the other.
    """
    spread = weights * (high - low) / SIGMAS_IN_BAND_80
    correlation = np.exp(-np.abs(start_s[:, None] - start_s[None, :]) / ERROR_MEMORY_S)
    return max(0.0, float(spread @ correlation @ spread))


def chance_of_excess(gain_g: float, variance_g2: float) -> float:
    """Probability that a difference whose expectation is the gain turns out to have the other sign.

    Args:
        gain_g: Expected emissions of the comparison minus those of the plan; g.
        variance_g2: Of that difference; g^2.
    Returns:
        Share, 0-1; 0 where the two are the same run.
    """
    if variance_g2 == 0.0:
        return 0.0 if gain_g >= 0 else 1.0
    return 0.5 * math.erfc(gain_g / math.sqrt(2 * variance_g2))
