"""Deciding on a forecast with an error band: on its middle or its upper end, and only where a gain beats the error."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from lowtide.planning.chances import difference_variance
from lowtide.planning.steps import Piece, StepSeries, mean_over, seconds_in_steps
from lowtide.planning.windows import best_window
from lowtide_core.errors import InputError

if TYPE_CHECKING:
    from lowtide_core.series import FloatArray

Mode = Literal["expected", "robust"]

LEAST_SIGMAS = 0.2
"""How many standard deviations of the difference a gain has to exceed for a job to be shifted.

Chosen as the largest that costs about a point of the oracle's saving: ``bench/guard.py``, 12 zones, 2022-23, a 4 h job
with 24 h of slack, on the embedded climatology:

    sigmas                       0     .1    .15     .2    .25     .5    .75      1
    captured, %               80.1   79.8   79.5   79.0   78.5   71.0   61.1   51.5
    worse than at once, %     14.5   11.1    9.8    8.7    7.5    3.5    1.8    1.0
"""


class BandedSeries(NamedTuple):
    """Steps with an 80 % band; ``low <= middle <= high`` in each.

    Attributes:
        middle: Expected values. low, high: (n,), in the unit of the values.
    """

    middle: StepSeries
    low: FloatArray
    high: FloatArray


class BandedWindow(NamedTuple):
    """An uninterrupted run, and what it is worth against the same run at once.

    Attributes:
        piece: When it runs.
        mean, mean_low, mean_high: Of the values over the run, on the middle and on the two ends of the band.
        gain: Expected mean at once minus expected mean of the run; negative where the robust start gives some of it up.
        variance: Of that difference.
        shifted: False where the gain does not beat the error, and the run is at once.
    """

    piece: Piece
    mean: float
    mean_low: float
    mean_high: float
    gain: float
    variance: float
    shifted: bool


def judged_on(banded: BandedSeries, mode: Mode) -> StepSeries:
    """The series on which a solver, any solver, has to plan.

    Args:
        mode: ``expected``: the middle, so the least expected value. ``robust``: the upper end of the band, so the least
            upper end of the run, where errors are fully in step: each step of the run is taken to be as high as its
            own band allows. Errors that are less in step leave the upper end of a run below this.
    Raises:
        InputError: Shapes disagree, the band lies on the wrong side of the middle, or the mode is unknown.
    """
    middle, low, high = banded.middle.values, banded.low, banded.high
    if low.shape != middle.shape or high.shape != middle.shape:
        raise InputError(
            f"A series of {middle.size} values has a band of {low.shape} and {high.shape}.",
            hint="Give one low and one high per value.",
            low=low.shape,
            high=high.shape,
        )
    outside = np.flatnonzero((low > middle) | (high < middle))
    if outside.size:
        at = int(outside[0])
        raise InputError(
            f"Step {at} has the value {middle[at]} in the band {low[at]} to {high[at]}.",
            hint="Low is at most the value, high at least.",
            step=at,
        )
    if mode == "expected":
        return banded.middle
    if mode == "robust":
        return banded.middle._replace(values=high)
    raise InputError(f"{mode!r} is no way to decide.", hint="Use expected or robust.", mode=mode)


def gain_beats_error(gain_g: float, variance_g2: float, least_sigmas: float = LEAST_SIGMAS) -> bool:
    """Whether an expected gain is worth acting on.

    Args:
        gain_g: Expected emissions of the run at once minus those of the plan; g.
        variance_g2: Of that difference, see ``chances.difference_variance``; g^2, >= 0.
        least_sigmas: Standard deviations that the gain must exceed; >= 0. 0: any gain is.
    Returns:
        False where there is no gain at all.
    """
    if not (variance_g2 >= 0.0 and least_sigmas >= 0.0) or math.isnan(gain_g):
        raise InputError(
            f"A gain of {gain_g} g with a variance of {variance_g2} g^2 cannot be weighed at {least_sigmas} sigmas.",
            hint="Variance and threshold are not negative.",
            gain_g=gain_g,
            variance_g2=variance_g2,
            least_sigmas=least_sigmas,
        )
    return gain_g > least_sigmas * math.sqrt(variance_g2)


def guarded_window(
    banded: BandedSeries,
    earliest_s: float,
    end_by_s: float,
    duration_s: float,
    *,
    mode: Mode = "expected",
    least_sigmas: float = LEAST_SIGMAS,
) -> BandedWindow:
    """The best uninterrupted window, or the run at once where the window's gain does not beat the error.

    Args:
        banded: No NaN between ``earliest_s`` and ``end_by_s``, which also hold the run at once.
        mode: What makes a window the best, see ``judged_on``.
        least_sigmas: Of the guard; ignored in the robust mode, whose purpose is another than the gain.
    Raises:
        InputError: As ``best_window`` and ``judged_on``.
    """
    best = best_window(judged_on(banded, mode), earliest_s, end_by_s, duration_s)
    at_once = Piece(earliest_s, earliest_s + duration_s)
    gain = mean_over(banded.middle, (at_once,)) - mean_over(banded.middle, (best,))
    variance = _variance(banded, best, at_once, duration_s)
    shifted = mode == "robust" or gain_beats_error(gain, variance, least_sigmas)
    piece = best if shifted else at_once
    mean, mean_low, mean_high = (
        mean_over(banded.middle._replace(values=values), (piece,))
        for values in (banded.middle.values, banded.low, banded.high)
    )
    return BandedWindow(piece, mean, mean_low, mean_high, gain, variance, shifted and piece != at_once)


def _variance(banded: BandedSeries, run: Piece, other: Piece, duration_s: float) -> float:
    """Variance of the difference of two runs' means."""
    seconds_s = seconds_in_steps(banded.middle, (run,)) - seconds_in_steps(banded.middle, (other,))
    used = seconds_s != 0  # a step outside both runs may have no band
    start_s = banded.middle.edges_s()[:-1][used]
    return difference_variance(seconds_s[used] / duration_s, banded.low[used], banded.high[used], start_s)
