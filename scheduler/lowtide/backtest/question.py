"""What shall be replayed, and how; refused where that makes no sense."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from lowtide.backtest.capacity import QueueRules
from lowtide.backtest.made import PERFECT
from lowtide.backtest.replay import Rules
from lowtide.forecasting.names import FORECASTERS
from lowtide_core.errors import InputError, nearest
from lowtide_core.quantities import SECONDS_PER_HOUR

if TYPE_CHECKING:
    from lowtide.backtest.jobs import Arrivals

_LEAST_REPLAN_S = 60.0
"""A plan is not made anew more often than that."""


@dataclass(frozen=True, slots=True)
class Question:
    """What shall be replayed; an empty text is "not given".

    Attributes:
        actual, forecast: Files of what came, and of forecasts as issued.
        forecaster: Its name, instead of a file.
        outlook: File of what was expected of the grid, for the forecaster.
        zones: Which zones of the files; none is all that the first names.
        job_s: Length of each job; None where ``jobs_file`` tells it.
        slack_s: How much later than at once each may start.
        every: How often one arrives; None is hourly, or as ``jobs_file`` tells.
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
    outlook: str = ""
    zones: tuple[str, ...] = ()
    job_s: float | None = None
    slack_s: float = 24 * SECONDS_PER_HOUR
    every: Arrivals | None = None
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
        replan_s = np.inf if self.replan_s is None else self.replan_s
        rules = Rules(replan_s=replan_s, pausable=self.pausable, restart_s=self.restart_s)
        return replace(rules, guard=None) if self.guard is False else rules


def require_sense(question: Question) -> None:
    """Refuses what cannot be asked.

    Raises:
        InputError: Options that exclude one another, lack something, or have a value that cannot be.
    """
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
            bool(question.outlook) and question.forecaster in ("", PERFECT),
            "--outlook is for a forecaster of the past.",
            "Give --forecaster auto, or leave it out.",
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
            question.every is not None and bool(question.jobs_file),
            f"The jobs of {question.jobs_file} (--jobs) came when they came: --arrivals does not go with it.",
            "Leave it out.",
        ),
        (
            question.job_s is not None and not 0 < question.job_s < np.inf,
            f"A job cannot run for {(question.job_s or 0.0) / SECONDS_PER_HOUR:g} h.",
            "Give a positive number, as in --job-hours 4.",
        ),
        (
            not 0 <= question.slack_s < np.inf,
            f"A job cannot wait for {question.slack_s / SECONDS_PER_HOUR:g} h.",
            "Give zero or more, as in --slack-hours 24.",
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
            replan_s is not None and not _LEAST_REPLAN_S <= replan_s < np.inf,
            f"A job cannot be planned anew every {(replan_s or 0.0) / SECONDS_PER_HOUR:g} h.",
            "Give a minute or more, as in --replan-hours 1, or leave it out.",
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
