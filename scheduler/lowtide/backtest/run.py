"""One backtest from end to end: files read, forecasts found or made, every zone replayed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lowtide.backtest.files import read_came, read_expected, read_issued
from lowtide.backtest.forecasts import OUTLOOK_WARM_UP_H, WARM_UP_H, corrected, made_for, with_outlooks
from lowtide.backtest.jobs import arrivals
from lowtide.backtest.jobs_file import read_past_jobs
from lowtide.backtest.progress import counter
from lowtide.backtest.question import require_sense
from lowtide.backtest.zones import ReplayTerms, replay_zone, total
from lowtide_core.errors import InputError
from lowtide_core.quantities import SECONDS_PER_HOUR
from lowtide_core.series import require_one_frame

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lowtide.backtest.forecasts import Correction
    from lowtide.backtest.issued import Came, Issued
    from lowtide.backtest.jobs import ReplayJobs
    from lowtide.backtest.jobs_file import PastJobs
    from lowtide.backtest.progress import Progress
    from lowtide.backtest.question import Question
    from lowtide.backtest.zones import ZoneResult
    from lowtide_core.series import Frame


@dataclass(frozen=True, slots=True)
class BacktestResult:
    """What came of a question.

    Attributes:
        zones: Each zone's result; ``whole`` their sum.
        actual, forecast: Where the figures are from.
        past: The file of jobs; None where all are alike.
        forecast_s: What making the forecasts took; s.
        corrections: Of each zone, where they were asked for, or an outlook is given.
    """

    question: Question
    zones: tuple[ZoneResult, ...]
    whole: ZoneResult
    frame: Frame
    actual: str
    forecast: str
    past: PastJobs | None
    forecast_s: float
    corrections: tuple[Correction, ...] = ()


def run_backtest(
    question: Question, *, monotonic_s: Callable[[], float], progress: Progress | None = None
) -> BacktestResult:
    """Replay it.

    Raises:
        InputError: Options that exclude one another or lack something, a file that is not understood, a frame that is
            not the other's, a forecaster that knows the future, or no job that can be counted.
    """
    require_sense(question)
    cames = read_came(question.actual, question.zones)
    frame = require_one_frame((came.source, came.frame) for came in cames)
    past = read_past_jobs(question.jobs_file) if question.jobs_file else None
    outlooks = read_expected(question.outlook, cames) if question.outlook else ()
    given = [read_issued(question.forecast, came) for came in cames] if question.forecast else []
    began = [_first_arrival_s(came, given[at] if given else None, question) for at, came in enumerate(cames)]
    jobs = [_jobs(came, first_s, question, past) for came, first_s in zip(cames, began, strict=True)]
    started_s = monotonic_s()
    issued = given or made_for(cames, jobs, question, progress)
    corrections: tuple[Correction, ...] = ()
    if question.correct:
        issued, corrections = corrected(cames, given, jobs)
    without: Sequence[Issued | None] = [None] * len(cames)
    if outlooks:
        without = issued
        issued, corrections = with_outlooks(cames, outlooks, issued, jobs, question, progress)
    forecast_s = monotonic_s() - started_s
    terms = ReplayTerms(question.rules, question.compare)
    results = []
    for came, forecasts, plain, mine in zip(cames, issued, without, jobs, strict=True):
        told = counter(progress, f"replaying {came.zone}".strip(), mine.count)
        results.append(replay_zone(came, forecasts, mine, terms, without=plain, monotonic_s=monotonic_s, progress=told))
    return BacktestResult(
        question,
        tuple(results),
        total(results),
        frame,
        cames[0].source,
        _forecast_name(question),
        past,
        forecast_s,
        corrections,
    )


def _forecast_name(question: Question) -> str:
    if question.forecast:
        return Path(question.forecast).name
    return f"{question.forecaster} with {Path(question.outlook).name}" if question.outlook else question.forecaster


def _first_arrival_s(came: Came, issued: Issued | None, question: Question) -> float:
    """From the start of what came: as asked, else with the first forecast, else when there is a past to learn from."""
    if question.from_s is not None:
        return question.from_s - came.start_s
    if issued is not None:
        return float(issued.issued_s[0]) + question.correct * WARM_UP_H * SECONDS_PER_HOUR
    hours = came.values.size * came.step_s / SECONDS_PER_HOUR
    if question.outlook:
        return min(OUTLOOK_WARM_UP_H, 3 * hours // 4) * SECONDS_PER_HOUR
    return min(WARM_UP_H, hours // 4) * SECONDS_PER_HOUR


def _jobs(came: Came, first_s: float, question: Question, past: PastJobs | None) -> ReplayJobs:
    to_s = np.inf if question.to_s is None else question.to_s - came.start_s
    if past is None:
        job_s = 0.0 if question.job_s is None else question.job_s
        return arrivals(
            came, first_s, to_s, every=question.every or "hourly", duration_s=job_s, slack_s=question.slack_s
        )
    jobs = past.on(came, question.slack_s)
    within = (jobs.earliest_s >= first_s) & (jobs.earliest_s < to_s)
    if not within.any():
        raise InputError(
            f"None of {jobs.count} jobs of {past.source} came in the time that is asked for.",
            hint="Give other --from and --to; a forecaster needs some weeks before the first job.",
        )
    return jobs.some(within)
