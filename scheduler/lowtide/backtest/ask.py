"""The question of a backtest, and its answer: files read, forecasts found or made, every zone replayed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from lowtide.backtest.capacity import QueueRules
from lowtide.backtest.correction import candidates, chosen
from lowtide.backtest.files import history_of, read_came, read_issued
from lowtide.backtest.jobs_file import read_past_jobs
from lowtide.backtest.made import PERFECT, made_forecasts, perfect
from lowtide.backtest.replay import Rules, beats_error
from lowtide.backtest.run import Asked, arrivals, run_zone, total
from lowtide.forecasting.names import FORECASTERS
from lowtide.forecasting.names import forecaster as named_forecaster
from lowtide_core.errors import InputError, nearest
from lowtide_core.quantities import SECONDS_PER_HOUR
from lowtide_core.series import require_one_frame

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lowtide.backtest.issued import Came, Issued
    from lowtide.backtest.jobs import ReplayJobs
    from lowtide.backtest.jobs_file import PastJobs
    from lowtide.backtest.run import Arrivals, ZoneResult
    from lowtide.forecasting.types import Forecaster
    from lowtide_core.series import Frame

    Progress = Callable[[str, int, int], None]
    """What is being done, how far it is, and of how much."""

WARM_UP_H = 28 * 24
"""Hours of forecasts before the first arrival, from which the guard learns how wrong they are."""

_LEAST_PAST_H = 48

MOST_HORIZON_H = 240
"""Nothing is forecast further ahead from the past alone; the choice of a longer window ends there."""


@dataclass(frozen=True, slots=True)
class Question:
    """What shall be replayed; an empty text is "not given".

    Attributes:
        actual, forecast: Files of what came, and of forecasts as issued.
        forecaster: Its name, instead of a file.
        zones: Which zones of the files; none is all that the first names.
        job_s: Length of each job; None where ``jobs_file`` tells it.
        slack_s: How much later than at once each may start.
        cpus: Capacity for the jobs of a file; None is none.
        replan_s: A waiting job is planned anew so often; None is once.
        pausable, restart_s: Whether it may pause, and what each resuming costs, as running for so long.
        guard: Whether it is shifted only where the gain beats the error; None is not said: so it is, but in a queue.
        from_s, to_s: First arrival, and the end of arrivals; s since 1970.
        compare: Whether other policies are wanted beside.
        correct: Whether forecasts of a file are mended by their own past, where that paid.
    """

    actual: str
    forecast: str = ""
    forecaster: str = ""
    zones: tuple[str, ...] = ()
    job_s: float | None = None
    slack_s: float = 24 * SECONDS_PER_HOUR
    every: Arrivals = "hourly"
    jobs_file: str = ""
    cpus: float | None = None
    replan_s: float | None = None
    pausable: bool = False
    restart_s: float = 0.0
    guard: bool | None = None
    from_s: float | None = None
    to_s: float | None = None
    compare: bool = False
    correct: bool = False

    @property
    def rules(self) -> Rules | QueueRules:
        """By which the jobs are planned."""
        if self.cpus is not None:
            return QueueRules(self.cpus)
        return Rules(
            replan_s=np.inf if self.replan_s is None else self.replan_s,
            pausable=self.pausable,
            restart_s=self.restart_s,
            guard=None if self.guard is False else beats_error,
        )


class Correction(NamedTuple):
    """What was tried to mend a zone's forecasts.

    Attributes:
        captured_pct: Of each way, on the past on which it was judged; percent.
        chosen: The way that was taken.
    """

    zone: str
    captured_pct: dict[str, float | None]
    chosen: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of it.

    Attributes:
        zones: Each zone's result; ``whole`` their sum.
        actual, forecast: Where the figures are from.
        past: The file of jobs; None where all are alike.
        forecast_s: What making the forecasts took; s.
        corrections: Of each zone, where they were asked for.
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


def answer(question: Question, *, monotonic_s: Callable[[], float], progress: Progress | None = None) -> Answer:
    """Replay it.

    Raises:
        InputError: Options that exclude one another or lack something, a file that is not understood, a frame that is
            not the other's, a forecaster that knows the future, or no job that can be counted.
    """
    _require_sense(question)
    cames = read_came(question.actual, question.zones)
    frame = require_one_frame((came.source, came.frame) for came in cames)
    past = read_past_jobs(question.jobs_file) if question.jobs_file else None
    given = [read_issued(question.forecast, came) for came in cames] if question.forecast else []
    began = [_first_arrival_s(came, given[at] if given else None, question) for at, came in enumerate(cames)]
    jobs = [_jobs(came, first_s, question, past) for came, first_s in zip(cames, began, strict=True)]
    started_s = monotonic_s()
    issued = given or _made(cames, jobs, question, progress)
    corrections: tuple[Correction, ...] = ()
    if question.correct:
        issued, corrections = _corrected(cames, given, jobs)
    forecast_s = monotonic_s() - started_s
    asked = Asked(question.rules, question.compare)
    results = []
    for came, forecasts, mine in zip(cames, issued, jobs, strict=True):
        told = _counter(progress, f"replaying {came.zone}".strip(), mine.count)
        results.append(run_zone(came, forecasts, mine, asked, monotonic_s=monotonic_s, progress=told))
    return Answer(
        question,
        tuple(results),
        total(results),
        frame,
        cames[0].source,
        Path(question.forecast).name if question.forecast else question.forecaster,
        past,
        forecast_s,
        corrections,
    )


def _require_sense(question: Question) -> None:
    names = (*FORECASTERS, PERFECT)
    replan_s = question.replan_s
    for wrong, message, hint in (
        (
            not (question.forecast or question.forecaster),
            "The backtest needs forecasts as they were issued (--forecast FILE) or a forecaster (--forecaster NAME).",
            "Give one of the two; --forecaster auto makes them of the past alone.",
        ),
        (
            bool(question.forecast and question.forecaster),
            f"The forecasts of {question.forecast} (--forecast) and those of {question.forecaster} (--forecaster) "
            "exclude each other.",
            "Give one of the two.",
        ),
        (
            bool(question.forecaster) and question.forecaster not in names,
            f"There is no forecaster {question.forecaster!r}.",
            nearest(question.forecaster, names) or f"There are {', '.join(names)}.",
        ),
        (
            question.job_s is None and not question.jobs_file,
            "The backtest needs the length of its jobs (--job-hours) or a file of jobs (--jobs).",
            "Give one of the two.",
        ),
        (
            question.job_s is not None and bool(question.jobs_file),
            f"The jobs of {question.jobs_file} (--jobs) have lengths of their own: --job-hours does not go with it.",
            "Give one of the two.",
        ),
        (
            question.cpus is not None and not question.jobs_file,
            "--capacity is for the queue of a file of jobs.",
            "Give --jobs, or leave it out.",
        ),
        (
            question.cpus is not None and not 0 < question.cpus < np.inf,
            f"A capacity of {question.cpus} CPUs cannot be.",
            "Give a positive number, as in --capacity 16, or leave it out.",
        ),
        (
            question.cpus is not None and question.pausable,
            "--capacity does not go with --pausable.",
            "A queue is planned of jobs that run in one piece; leave one of them out.",
        ),
        (
            question.cpus is not None and question.replan_s is not None,
            "--capacity does not go with --replan-hours.",
            "A queue is planned anew at each arrival; leave one of them out.",
        ),
        (
            question.cpus is not None and question.guard is not None,
            "--capacity does not go with --guard or --no-guard.",
            "A queue is planned for any gain; leave one of them out.",
        ),
        (
            question.correct and not question.forecast,
            "--correct is for forecasts as they were issued.",
            "Give --forecast, or leave it out.",
        ),
        (
            replan_s is not None and not 0 < replan_s < np.inf,
            f"A job cannot be planned anew every {(replan_s or 0.0) / SECONDS_PER_HOUR:g} h.",
            "Give a positive number, as in --replan-hours 1, or leave it out.",
        ),
        (
            not 0 <= question.restart_s < np.inf,
            f"A resuming cannot cost as much as running for {question.restart_s:g} s.",
            "Give a positive time, as in --restart 15m, or leave it out.",
        ),
        (
            bool(question.restart_s) and not question.pausable,
            "--restart is for jobs that may pause.",
            "Add --pausable, or leave it out.",
        ),
    ):
        if wrong:
            raise InputError(message, hint=hint)


def _first_arrival_s(came: Came, issued: Issued | None, question: Question) -> float:
    """From the start of what came: as asked, else with the first forecast, else when there is a past to learn from."""
    if question.from_s is not None:
        return question.from_s - came.start_s
    if issued is not None:
        return float(issued.issued_s[0]) + question.correct * WARM_UP_H * SECONDS_PER_HOUR
    if question.forecaster == PERFECT:
        return 0.0
    hours = came.values.size * came.step_s / SECONDS_PER_HOUR
    return min(WARM_UP_H, hours // 4) * SECONDS_PER_HOUR


def _jobs(came: Came, first_s: float, question: Question, past: PastJobs | None) -> ReplayJobs:
    to_s = np.inf if question.to_s is None else question.to_s - came.start_s
    if past is None:
        job_s = 0.0 if question.job_s is None else question.job_s
        return arrivals(came, first_s, to_s, every=question.every, duration_s=job_s, slack_s=question.slack_s)
    jobs = past.on(came, question.slack_s)
    within = (jobs.earliest_s >= first_s) & (jobs.earliest_s < to_s)
    if not within.any():
        raise InputError(
            f"None of {jobs.count} jobs of {past.source} came in the time that is asked for.",
            hint="Give other --from and --to; a forecaster needs some weeks before the first job.",
        )
    return jobs.some(within)


def _corrected(
    cames: Sequence[Came], given: Sequence[Issued], jobs: Sequence[ReplayJobs]
) -> tuple[Sequence[Issued], tuple[Correction, ...]]:
    """The forecasts of each zone in the way that paid on its past before the first job, and what was tried."""
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


def _made(
    cames: Sequence[Came], jobs: Sequence[ReplayJobs], question: Question, progress: Progress | None
) -> Sequence[Issued]:
    """Forecasts by the forecaster, from some weeks before the first job on."""
    window_s = max(float((mine.end_by_s - mine.earliest_s).max()) for mine in jobs)
    if question.forecaster == PERFECT:
        return [perfect(came, int(np.ceil(window_s / came.step_s)) + 1) for came in cames]
    forecaster = named_forecaster(question.forecaster)
    return forecasts_by(forecaster, cames, jobs, daily=_is_daily(question), window_s=window_s, progress=progress)


def forecasts_by(
    forecaster: Forecaster,
    cames: Sequence[Came],
    jobs: Sequence[ReplayJobs],
    *,
    daily: bool,
    window_s: float,
    progress: Progress | None = None,
) -> Sequence[Issued]:
    """What it would have issued each hour, or each day at the hour of the first job.

    Args:
        window_s: The longest window of a job.
    Raises:
        InputError: There is no past, or the forecaster knows the future.
    """
    history = history_of(cames)
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
    told = _counter(progress, f"forecasting with {forecaster.name}", issue.size)
    return made_forecasts(forecaster, history, cames, issue, horizon_h, told)


def _is_daily(question: Question) -> bool:
    """Whether one forecast a day is all that anybody looks at."""
    return question.every == "daily" and not question.jobs_file and question.replan_s is None


def _counter(progress: Progress | None, what: str, of: int) -> Callable[[int], None] | None:
    """Adds up what is done."""
    if progress is None:
        return None
    done = 0

    def count(more: int) -> None:
        nonlocal done
        done += more
        progress(what, min(done, of), of)

    return count
