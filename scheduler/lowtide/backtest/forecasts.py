"""The forecasts of a backtest: made by a forecaster, or issued by others and mended by their past where that paid."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from lowtide.backtest.correction import Candidate, candidates, captured_pct, chosen
from lowtide.backtest.files import history_of
from lowtide.backtest.made import PERFECT, made_forecasts, perfect
from lowtide.backtest.progress import counter
from lowtide.forecasting.expected import expected_of
from lowtide.forecasting.names import forecaster as named_forecaster
from lowtide.forecasting.outlook import LEAST_KNOWN_H, WithOutlook
from lowtide_core.errors import InputError
from lowtide_core.quantities import SECONDS_PER_HOUR

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lowtide.backtest.issued import Came, Issued
    from lowtide.backtest.jobs import ReplayJobs
    from lowtide.backtest.progress import Progress
    from lowtide.backtest.question import Question
    from lowtide.forecasting.types import Forecaster
    from lowtide_core.outlooks import Outlook

WARM_UP_H = 28 * 24
"""Hours of forecasts before the first arrival, from which the guard learns how wrong they are."""

OUTLOOK_WARM_UP_H = LEAST_KNOWN_H + 2 * WARM_UP_H
"""With an outlook the first job comes later: it is learned from, and then judged."""

_LEAST_PAST_H = 48

MOST_HORIZON_H = 240
"""Nothing is forecast further ahead from the past alone; the choice of a longer window ends there."""


class Correction(NamedTuple):
    """What was tried to make a zone's forecasts better.

    Attributes:
        captured_pct: Of each way, on the past on which it was judged; percent.
        chosen: The way that was taken.
    """

    zone: str
    captured_pct: dict[str, float | None]
    chosen: str


def made_for(
    cames: Sequence[Came], jobs: Sequence[ReplayJobs], question: Question, progress: Progress | None
) -> Sequence[Issued]:
    """Forecasts by the forecaster that is asked for, from some weeks before the first job on.

    Raises:
        InputError: There is no past, or the forecaster knows the future.
    """
    window_s = max(float((mine.end_by_s - mine.earliest_s).max()) for mine in jobs)
    if question.forecaster == PERFECT:
        return [perfect(came, int(np.ceil(window_s / came.step_s)) + 1) for came in cames]
    forecaster = named_forecaster(question.forecaster)
    return forecasts_by(forecaster, cames, jobs, daily=_is_daily(question), window_s=window_s, progress=progress)


def with_outlooks(
    cames: Sequence[Came],
    outlooks: Sequence[Outlook | None],
    plain: Sequence[Issued],
    jobs: Sequence[ReplayJobs],
    question: Question,
    progress: Progress | None,
) -> tuple[Sequence[Issued], tuple[Correction, ...]]:
    """The forecasts of each zone with its outlook where that paid on the weeks before the first job, else without.

    Args:
        plain: As ``made_for`` made them.
    Raises:
        InputError: An outlook was used before it was out.
    """
    window_s = max(float((mine.end_by_s - mine.earliest_s).max()) for mine in jobs)
    forecaster = WithOutlook(named_forecaster(question.forecaster))
    daily = _is_daily(question)
    moved = forecasts_by(forecaster, cames, jobs, daily=daily, window_s=window_s, progress=progress, outlooks=outlooks)
    taken, told = [], []
    for came, mine, *ways in zip(cames, jobs, plain, moved, strict=True):
        begin_s, past_s, run_s = (
            float(ways[0].issued_s[0]),
            float(mine.earliest_s[0]),
            float(np.median(mine.duration_s)),
        )
        tried = tuple(
            Candidate(name, issued, None, captured_pct(came, issued, begin_s, past_s, run_s))
            for name, issued in zip(("of the past alone", "with the outlook"), ways, strict=True)
        )
        best = chosen(tried)
        taken.append(best.issued)
        told.append(Correction(came.zone, {each.name: each.captured_pct for each in tried}, best.name))
    return taken, tuple(told)


def forecasts_by(
    forecaster: Forecaster,
    cames: Sequence[Came],
    jobs: Sequence[ReplayJobs],
    *,
    daily: bool,
    window_s: float,
    progress: Progress | None = None,
    outlooks: Sequence[Outlook | None] = (),
) -> Sequence[Issued]:
    """What it would have issued each hour, or each day at the hour of the first job.

    Args:
        window_s: The longest window of a job.
        outlooks: Of each zone, for a forecaster that looks at them.
    Raises:
        InputError: There is no past, or the forecaster knows the future.
    """
    history = history_of(cames)
    if outlooks:
        history = replace(history, expected=expected_of(outlooks, history.start_s, history.hours))
    offsets_h = [(came.start_s - history.start_s) / SECONDS_PER_HOUR for came in cames]
    pairs = list(zip(offsets_h, jobs, strict=True))
    first_h = int(min(at + mine.earliest_s[0] / SECONDS_PER_HOUR for at, mine in pairs))
    last_h = int(max(at + mine.latest_s.max() / SECONDS_PER_HOUR for at, mine in pairs))
    every_h = 24 if daily else 1
    warm_h = min(WARM_UP_H, first_h // 2) // every_h * every_h
    if first_h < 24:
        raise InputError(
            f"The first job comes {first_h} h after {cames[0].source} begins: there is no past to forecast from.",
            hint="Let the jobs begin later (--from), or give more history.",
        )
    issue = np.arange(first_h - warm_h, min(last_h, history.hours - 1) + 1, every_h, dtype=np.int64)
    horizon_h = min(MOST_HORIZON_H, int(np.ceil(window_s / SECONDS_PER_HOUR)) + 1)
    told = counter(progress, f"forecasting with {forecaster.name}", issue.size)
    return made_forecasts(forecaster, history, cames, issue, horizon_h, told)


def corrected(
    cames: Sequence[Came], given: Sequence[Issued], jobs: Sequence[ReplayJobs]
) -> tuple[Sequence[Issued], tuple[Correction, ...]]:
    """The forecasts of each zone in the way that paid on its past before the first job, and what was tried.

    Args:
        given: As they were issued.
    Raises:
        InputError: There is no past from which other forecasts could be made.
    """
    forecaster = named_forecaster("auto")
    mended, told = [], []
    for came, issued, mine in zip(cames, given, jobs, strict=True):
        hours = np.unique(issued.issued_s // SECONDS_PER_HOUR).astype(np.int64)
        hours = hours[(hours >= _LEAST_PAST_H) & (hours < came.values.size * came.step_s / SECONDS_PER_HOUR)]
        ahead_h = int(np.ceil(issued.horizon * came.step_s / SECONDS_PER_HOUR)) + 1
        if not hours.size:
            raise InputError(
                f"The forecasts of {came.zone} cannot be mended: what came is known for less than two days.",
                hint="Give more of the past, or leave --correct out.",
            )
        (other,) = made_forecasts(forecaster, history_of([came]), [came], hours, min(MOST_HORIZON_H, ahead_h))
        run_s = float(np.median(mine.duration_s))
        tried = candidates(came, issued, other, past_s=float(mine.earliest_s[0]), run_s=run_s)
        taken = chosen(tried)
        mended.append(taken.issued)
        told.append(Correction(came.zone, {each.name: each.captured_pct for each in tried}, taken.name))
    return mended, tuple(told)


def _is_daily(question: Question) -> bool:
    """Whether one forecast a day is all that anybody looks at."""
    return question.every == "daily" and not question.jobs_file and question.replan_s is None
