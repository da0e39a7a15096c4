"""How likely a plan is to turn out worse than what it is compared with, given the bands of the forecast."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from lowtide_core.series import FloatArray

SIGMAS_IN_BAND_80 = 2 * 1.2815515655446004
"""Width of the central 80 % of a normal distribution, in standard deviations."""


def chance_of_excess(gain_g: float, weights: FloatArray, low: FloatArray, high: FloatArray) -> float:
    """Probability that the realised difference has the other sign than the expected gain.

    Args:
        gain_g: Expected emissions of the comparison minus those of the plan; g.
        weights: g per (g/kWh) that each step adds to the difference plan - comparison; (n,). Steps that both use
            alike cancel to zero; steps of the plan are positive, those of the comparison negative.
        low, high: 80 % band of the intensity in each step; (n,), g/kWh.
    Returns:
        Share, 0-1; 0 where the two are the same run.
    Notes:
        Errors are taken as normal, wholly correlated within the plan and within the comparison, and independent
        between the two: cautious, since a common error of the level would cancel.
    """
    sigma = (high - low) / SIGMAS_IN_BAND_80
    plan_g = float(np.clip(weights, 0, None) @ sigma)
    other_g = float(np.clip(-weights, 0, None) @ sigma)
    spread_g = math.hypot(plan_g, other_g)
    if spread_g == 0.0:
        return 0.0 if gain_g >= 0 else 1.0
    return 0.5 * math.erfc(gain_g / spread_g / math.sqrt(2))
