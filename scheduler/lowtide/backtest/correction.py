"""Issued forecasts mended by what they got wrong before, and blended with one made of the past: only where it pays.

A correction is learned on one part of a zone's past, judged by the saving that it captures on the next, and used after
that only if it did better there than the forecast as issued. Planning on a forecast as issued is exact, so nothing is
lost where a correction has nothing to offer.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from lowtide.backtest.issued import Issued
from lowtide.backtest.jobs import alike_jobs, whole_windows
from lowtide.backtest.replay import Rules, plannable, replay
from lowtide.backtest.score import score
from lowtide.forecasting.mending import HOURS_OF_DAY, Bias, Blend, hour_and_day
from lowtide_core.quantities import SECONDS_PER_HOUR

if TYPE_CHECKING:
    from lowtide.backtest.issued import BoolArray, Came, IntArray
    from lowtide_core.series import FloatArray

AS_ISSUED = "as issued"
PRIOR_ERRORS = 7.0
"""A mean error is believed in half when it is of so many: a week of daily forecasts."""

LEAST_GAIN_PCT = 1.0
"""Points of the possible saving that a correction must have captured more; less is chance."""


class Candidate(NamedTuple):
    """A forecast to plan on, how it is mended, and what it captured where it was judged; percent."""

    name: str
    issued: Issued
    mending: Bias | Blend | None
    captured_pct: float | None


def learn_bias(came: Came, issued: Issued, from_s: float, until_s: float) -> Bias:
    """What the forecasts issued in that time got wrong on average, shrunk towards nothing.

    Args:
        from_s: First issue; s from the start of what came.
        until_s: Only what had come by then teaches anything.
    """
    error = _came_for(came, issued) - issued.values
    teaches = _known_by(came, issued, from_s, until_s) & ~np.isnan(error)
    hour, day = _hour_and_day(came, issued)
    shape = (HOURS_OF_DAY, int(day.max()) + 1)
    cell = np.broadcast_to(hour * shape[1] + day, error.shape)[teaches]
    sums = np.bincount(cell, weights=error[teaches], minlength=shape[0] * shape[1])
    counts = np.bincount(cell, minlength=shape[0] * shape[1])
    return Bias((sums / (counts + PRIOR_ERRORS)).reshape(shape))


def without_bias(came: Came, issued: Issued, bias: Bias) -> Issued:
    """The forecasts less their mean error; not below zero."""
    hour, day = _hour_and_day(came, issued)
    return replace(issued, values=bias.off(issued.values, hour, day))


def learn_blend(came: Came, issued: Issued, other: Issued, from_s: float, until_s: float) -> Blend:
    """The shares with the least squared error on what had come by then.

    Args:
        other: Forecasts of the same issues.
    """
    real = _came_for(came, issued)
    said = _aligned(issued, other)
    teaches = _known_by(came, issued, from_s, until_s) & ~np.isnan(real - issued.values) & ~np.isnan(said)
    _, day = _hour_and_day(came, issued)
    shares = np.ones(int(day.max()) + 1)
    for ahead in range(shares.size):
        mine = teaches & (day == ahead)
        apart = issued.values[mine] - said[mine]
        if apart @ apart > 0:
            shares[ahead] = np.clip((real[mine] - said[mine]) @ apart / (apart @ apart), 0.0, 1.0)
    return Blend(shares)


def blended(came: Came, issued: Issued, other: Issued, blend: Blend) -> Issued:
    """A share of each; the issued forecast alone where the other says nothing."""
    _, day = _hour_and_day(came, issued)
    return replace(issued, values=blend.of(issued.values, _aligned(issued, other), day))


def candidates(came: Came, issued: Issued, other: Issued, *, past_s: float, run_s: float) -> tuple[Candidate, ...]:
    """The forecast as issued, less its bias, and blended with another, each judged on the zone's own past.

    Args:
        issued, other: Forecasts of the same issues; ``other`` of the past alone.
        past_s: Until when the past goes; s from the start of what came. Its first half is learned from and its second
            judged on; then all of it is learned from.
        run_s: Length of the jobs on which they are judged, one every hour, with a day of slack.
    """
    begin_s = float(issued.issued_s[0])
    half_s = (begin_s + past_s) / 2

    def mended(until_s: float) -> dict[str, tuple[Issued, Bias | Blend | None]]:
        bias = learn_bias(came, issued, begin_s, until_s)
        blend = learn_blend(came, issued, other, begin_s, until_s)
        return {
            AS_ISSUED: (issued, None),
            "less its bias": (without_bias(came, issued, bias), bias),
            "blended with the past": (blended(came, issued, other, blend), blend),
        }

    judged = {name: captured_pct(came, made, half_s, past_s, run_s) for name, (made, _) in mended(half_s).items()}
    return tuple(Candidate(name, made, how, judged[name]) for name, (made, how) in mended(past_s).items())


def chosen(found: tuple[Candidate, ...]) -> Candidate:
    """The one that captured most on the past, if that is clearly more than the first, which is as nobody mended it."""
    plain = found[0]
    best = max(found, key=lambda candidate: -np.inf if candidate.captured_pct is None else candidate.captured_pct)
    if plain.captured_pct is None or best.captured_pct is None:
        return plain
    return best if best.captured_pct >= plain.captured_pct + LEAST_GAIN_PCT else plain


def captured_pct(came: Came, issued: Issued, from_s: float, until_s: float, run_s: float) -> float | None:
    """What plans on forecasts would have captured of that time, of jobs of ``run_s`` that come each hour; percent.

    Args:
        from_s, until_s: s from the start of what came.
    Returns:
        None where nothing could be saved, or no job could be planned.
    """
    slack_s = HOURS_OF_DAY * SECONDS_PER_HOUR
    first_s = np.ceil(from_s / SECONDS_PER_HOUR) * SECONDS_PER_HOUR
    arrival_s = np.arange(first_s, until_s - run_s - slack_s, SECONDS_PER_HOUR)
    jobs = alike_jobs(arrival_s, duration_s=run_s, slack_s=slack_s)
    jobs = jobs.some(whole_windows(jobs, came) & plannable(issued, jobs, came.step_s))
    if not jobs.count:
        return None
    return score(jobs, replay(came, issued, jobs, Rules(guard=None)), np.full(jobs.count, np.nan)).captured_pct


def _steps(issued: Issued) -> IntArray:
    return issued.first_step[:, None] + np.arange(issued.horizon)


def _came_for(came: Came, issued: Issued) -> FloatArray:
    """What came in the step of each value; (n, h), NaN outside."""
    steps = _steps(issued)
    inside = (steps >= 0) & (steps < came.values.size)
    return np.where(inside, came.values[np.clip(steps, 0, came.values.size - 1)], np.nan)


def _known_by(came: Came, issued: Issued, from_s: float, until_s: float) -> BoolArray:
    """Values issued from that time on whose step had ended by the other; (n, h)."""
    known: BoolArray = (issued.issued_s[:, None] >= from_s) & ((_steps(issued) + 1) * came.step_s <= until_s)
    return known


def _hour_and_day(came: Came, issued: Issued) -> tuple[IntArray, IntArray]:
    """Hour of the day (UTC) of each value, and how many days it lies ahead of its issue; (n, h) each."""
    begin_s = came.start_s + _steps(issued) * came.step_s
    return hour_and_day(begin_s, came.start_s + issued.issued_s[:, None])


def _aligned(issued: Issued, other: Issued) -> FloatArray:
    """What the newest of the others said, at each issue, of each step; (n, h), NaN where nothing."""
    row = other.newest(issued.issued_s)
    column = _steps(issued) - other.first_step[np.maximum(row, 0)][:, None]
    inside = (row[:, None] >= 0) & (column >= 0) & (column < other.horizon)
    said = other.values[np.maximum(row, 0)[:, None], np.clip(column, 0, other.horizon - 1)]
    return np.where(inside, said, np.nan)
