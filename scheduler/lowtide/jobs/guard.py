"""Whether a gain is worth a shift: one rule for the planner, the backtest and the benchmarks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lowtide_core.errors import InputError

if TYPE_CHECKING:
    from lowtide_core.series import FloatArray, SeriesKind

LEAST_ERRORS = 0.35
"""How many mean absolute errors of its own hours a plan has to gain for a job to be shifted.

One for all zones: the largest multiple of 0.05 that costs less than a point of the oracle's saving on 2022, in twelve
zones, with a 4 h job, 24 h of slack, and errors as lately seen (``bench/forecasting.py``); on forecasts from history:

    errors                                      0    .2    .3   .35    .4    .5
    2022: points of the captured given up       0    .2    .5    .7   1.0   1.7
    2022: worse than at once, %               9.9   7.9   6.9   6.5   6.1   5.3
    2023: points of the captured given up       0    .2    .6    .9   1.2   1.9
    2023: worse than at once, %              10.6   8.2   7.1   6.7   6.2   5.3
"""

OF_A_MODEL = 4 / 7
"""The share of it that a plan on climatology has to gain. A model of the usual day expects the same gain every day, and
its error holds all of the weather: 0.2 errors cost 1.2 points there (captured 80.1, 78.9 %; worse than at once 14.5,
8.1 %; 2022-23, ``bench/guard.py``), 0.35 errors 3.8."""


def least_errors_of(kind: SeriesKind, least_errors: float) -> float:
    """How many errors a gain has to exceed on a series of that kind."""
    return least_errors * (OF_A_MODEL if kind == "climatology" else 1.0)


def worth_shifting(
    gain: float | FloatArray, error: float | FloatArray, least_errors: float = LEAST_ERRORS
) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    """Where an expected gain is worth acting on.

    Args:
        gain: What is expected of the run at once, less that of the plan: g, or the mean of its hours, g/kWh.
        error: Mean absolute error to expect of the planned hours, in the same unit, >= 0; NaN is not known, and any
            gain counts.
        least_errors: How many errors the gain must exceed; >= 0. 0: any gain is enough.
    Returns:
        (...), False where there is no gain at all, or none is known (NaN).
    Raises:
        InputError: A threshold or an error below zero.
    """
    if not least_errors >= 0 or (np.asarray(error) < 0).any():
        raise InputError(
            f"A gain of {gain} with an error of {error} cannot be weighed at {least_errors} errors.",
            hint="Errors and threshold are not negative.",
            least_errors=least_errors,
        )
    return np.asarray(gain > least_errors * np.nan_to_num(error), dtype=np.bool_)
