"""Learns from a zone's record: a forecaster, how wrong forecasts were, and what each source was worth there lately."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from lowtide.assembly.history import HORIZON_H, history_of
from lowtide.assembly.learnt import Learnt, OutlookUsed, keep
from lowtide.backtest.correction import Candidate, candidates, captured_pct, chosen
from lowtide.backtest.issued import Came, Issued, hourly_issues, newest_of_each_step
from lowtide.backtest.jobs import alike_jobs, whole_windows
from lowtide.backtest.replay import Rules, plannable, replay
from lowtide.backtest.score import score
from lowtide.forecasting.conformal import LEARNED_FROM_H, RECENT_H, ErrorBands, learn_bands
from lowtide.forecasting.names import auto
from lowtide.forecasting.outlook import learn_outlook
from lowtide.histories import HOUR_S, hourly
from lowtide_core.errors import LowtideError
from lowtide_core.spans import Span, from_epoch_s
from lowtide_providers.signals.chain import Merit
from lowtide_providers.signals.registry import HISTORY

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from lowtide.histories import Recorded
    from lowtide.store import Store
    from lowtide_core.outlooks import Outlook
    from lowtide_core.places import ZoneId
    from lowtide_core.ports import SignalSource
    from lowtide_core.series import FloatArray, SignalSeries

JUDGED_H = 28 * 24
"""So much of the past is judged: long enough to tell sources apart, short enough to follow a source that changes."""

LEAST_JUDGED_H = 7 * 24
BANDS_H = LEARNED_FROM_H + RECENT_H + HORIZON_H
"""So much of the past is looked at for the bands."""

_FARTHEST_S = 14 * 24 * HOUR_S
"""No source forecasts a time that begins later after its issue."""

RUN_S, SLACK_S = 4 * HOUR_S, 24 * HOUR_S
"""The job by which forecasts are judged, one every hour."""


class _Forecasts(NamedTuple):
    """Forecasts of one source, on the grid of what came."""

    source: str
    issued: Issued


@dataclass(frozen=True, slots=True)
class Judge:
    """Learns from records.

    Attributes:
        models: Embedded sources that are judged beside: they need no record of their own.
        outlooks: What was recorded of what is expected of a zone's grid.
    """

    store: Store
    models: Sequence[SignalSource] = ()
    outlooks: Callable[[ZoneId], Sequence[Outlook]] = lambda _: ()

    def learn(self, recorded: Recorded, now_utc: datetime) -> Recorded:
        """The record with a forecaster fitted to all of it, and with what the forecasts of the last weeks were worth.

        Sources are compared by the same jobs: those that each of them could have planned. One with forecasts of less
        than a week is not judged.
        """
        frame = recorded.frame
        came = Came(recorded.zone, recorded.start_s, HOUR_S, recorded.intensity_g_per_kwh, frame, recorded.source)
        (ours, outlook), theirs = self._ours(recorded, came), self._theirs(recorded, came)
        best = _mended(came, theirs, ours)
        if theirs is not None and best is not None:
            theirs = theirs._replace(issued=best.issued)
        judged = [one for one in (theirs, ours, *self._models(recorded, came)) if one is not None]
        model = auto().fit(history_of(recorded), HORIZON_H)
        weights = outlook and learn_outlook(history_of(recorded, outlook), 0, model, HORIZON_H)
        learnt = Learnt(
            at_s=now_utc.timestamp(),
            model=model,
            outlook=OutlookUsed(outlook.source, weights) if outlook and weights else None,
            mending=None if best is None else best.mending,
            bands={one.source: bands for one in (theirs, ours) if one and (bands := _bands(recorded, one)) is not None},
            merits=_merits(came, judged),
        )
        return keep(recorded, learnt)

    def _ours(self, recorded: Recorded, came: Came) -> tuple[_Forecasts | None, Outlook | None]:
        """What the built-in forecaster would have issued, fitted on what lay before the time that is looked at.

        Returns:
            With them the outlook that they were moved by in the time that is judged: the one with which they captured
            most there, if that was clearly more than without any.
        """
        hours = came.values.size
        first = max(24, hours - BANDS_H if hours >= 2 * BANDS_H else hours // 2)
        if hours - first < LEAST_JUDGED_H:
            return None, None
        history = history_of(recorded)
        issue = np.arange(first, hours, dtype=np.int64)
        fitted = auto().fit(history.until(first), HORIZON_H)
        plain = fitted.issued(history, issue, HORIZON_H)[0]
        lately = max(first, hours - JUDGED_H)
        ways: dict[str, tuple[FloatArray, Outlook | None]] = {"": (plain, None)}
        for outlook in self.outlooks(recorded.zone):
            told = history_of(recorded, outlook)
            weights = learn_outlook(told.until(lately), 0, fitted, HORIZON_H)
            if weights is not None:
                late = issue >= lately
                moved = weights.moved(told, 0, issue[late], plain[late])
                ways[outlook.source] = np.concatenate([plain[~late], moved]), outlook
        found = []
        for name, (values, _) in ways.items():
            issued = hourly_issues(came, issue, values)
            worth_pct = captured_pct(came, issued, HOUR_S * lately, HOUR_S * hours, RUN_S) if len(ways) > 1 else None
            found.append(Candidate(name, issued, None, worth_pct))
        best = chosen(tuple(found))
        return _Forecasts(f"{HISTORY}:{recorded.source}", best.issued), ways[best.name][1]

    def _theirs(self, recorded: Recorded, came: Came) -> _Forecasts | None:
        """What the recorded source itself issued."""
        first_s = max(came.start_s, recorded.end_s - HOUR_S * BANDS_H)
        span = Span(from_epoch_s(first_s), from_epoch_s(recorded.end_s))
        kept = self.store.signals.overlapping(
            recorded.zone, recorded.frame, span, ("forecast",), source=recorded.source
        )
        by_issue: dict[float, SignalSeries] = {}
        for series in kept:  # the last received of one issue
            if _can_be_judged(series) and series.issued_at is not None:
                by_issue[series.issued_at.timestamp()] = series
        if not by_issue:
            return None
        rows = [(when_s - came.start_s, *hourly(by_issue[when_s])) for when_s in sorted(by_issue)]
        issued = newest_of_each_step(
            HOUR_S,
            [when_s for when_s, _, _ in rows],
            [round((start_s - came.start_s) / HOUR_S) for _, start_s, _ in rows],
            [values for _, _, values in rows],
        )
        return _Forecasts(recorded.source, issued)

    def _models(self, recorded: Recorded, came: Came) -> tuple[_Forecasts, ...]:
        """What models that do not age say of the time that is judged, in the same frame."""
        first = max(0, came.values.size - JUDGED_H)
        span = Span(from_epoch_s(came.start_s + first * HOUR_S), from_epoch_s(recorded.end_s) + timedelta(hours=28))
        judged = []
        for model in self.models:
            if model.frame != recorded.frame or not model.covers(recorded.zone):
                continue
            try:
                _, values = hourly(model.fetch(recorded.zone, span, "forecast"))
            except LowtideError:  # a model that has nothing to say here is not judged; the chain will say why
                continue
            judged.append(_Forecasts(model.name, hourly_issues(came, np.array([first]), values[None])))
        return tuple(judged)


def _merits(came: Came, judged: Sequence[_Forecasts]) -> dict[str, Merit]:
    """Share of the possible saving that plans on each source captured, of the jobs that all of them could plan."""
    hours = came.values.size
    arrival_s = np.arange(HOUR_S * max(0, hours - JUDGED_H), HOUR_S * hours - RUN_S - SLACK_S, HOUR_S)
    jobs = alike_jobs(arrival_s, duration_s=RUN_S, slack_s=SLACK_S)
    jobs = jobs.some(whole_windows(jobs, came))
    known = {one.source: plannable(one.issued, jobs, came.step_s) for one in judged}
    enough = [one for one in judged if known[one.source].sum() >= LEAST_JUDGED_H // 2]
    if not enough:
        return {}
    jobs = jobs.some(np.logical_and.reduce([known[one.source] for one in enough]))
    found = {}
    for one in enough if jobs.count else ():
        outcomes = replay(came, one.issued, jobs, Rules(guard=None))
        captured_pct = score(jobs, outcomes, np.full(jobs.count, np.nan)).captured_pct
        if captured_pct is not None:
            found[one.source] = Merit(captured_pct, jobs.count, jobs.count / 24)
    return found


def _bands(recorded: Recorded, one: _Forecasts) -> ErrorBands | None:
    """How wrong the forecasts were, by hour and hours ahead; None where they are of too short a time."""
    issue = one.issued.first_step
    last = np.append(issue[1:] != issue[:-1], True)  # of several within an hour the last
    inside = last & (issue >= 0) & (issue <= recorded.intensity_g_per_kwh.size)
    values, issue = one.issued.values[inside, :HORIZON_H], issue[inside]
    if not issue.size or issue[-1] - issue[0] < RECENT_H + values.shape[1]:
        return None
    return learn_bands(history_of(recorded), values[None], issue)


def _mended(came: Came, theirs: _Forecasts | None, ours: _Forecasts | None) -> Candidate | None:
    """The source's forecasts as they served best on the zone's own past: as issued, or mended where that paid."""
    if theirs is None or ours is None:
        return None
    return chosen(candidates(came, theirs.issued, ours.issued, past_s=HOUR_S * came.values.size, run_s=RUN_S))


def _can_be_judged(series: SignalSeries) -> bool:
    """Whether its steps fit hours, and its issue lies where a forecast's can: some sources say year 1."""
    if series.issued_at is None or (HOUR_S % series.step_s and series.step_s % HOUR_S):
        return False
    return -_FARTHEST_S <= series.issued_at.timestamp() - series.start_s <= series.end_s - series.start_s
