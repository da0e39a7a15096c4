"""Learns from a zone's record: a forecaster, and what each source's forecasts were worth there lately."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from lowtide.assembly.history import HORIZON_H, fitted_arrays, history_of
from lowtide.assembly.history import NAME as HISTORY
from lowtide.backtest.correction import AS_ISSUED, candidates, chosen, learn_bias, learn_blend
from lowtide.backtest.issued import Came, Issued, hourly_issues, newest_of_each_step
from lowtide.backtest.jobs import alike_jobs, whole_windows
from lowtide.backtest.replay import Rules, plannable, replay
from lowtide.backtest.score import score
from lowtide.forecasting.names import auto
from lowtide.histories import HOUR_S, hourly
from lowtide_core.errors import LowtideError
from lowtide_core.spans import Span, from_epoch_s

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from lowtide.histories import Recorded
    from lowtide.store import Store
    from lowtide_core.ports import SignalSource
    from lowtide_core.series import FloatArray, SignalSeries

JUDGED_H = 28 * 24
"""So much of the past is looked at: long enough to tell sources apart, short enough to follow a source that changes."""

LEAST_JUDGED_H = 7 * 24
RUN_S, SLACK_S = 4 * HOUR_S, 24 * HOUR_S
"""The job by which forecasts are judged, one every hour."""


class _Judged(NamedTuple):
    """Forecasts of one source, on the grid of what came."""

    source: str
    issued: Issued


@dataclass(frozen=True, slots=True)
class Judge:
    """Learns from records.

    Attributes:
        models: Embedded sources that are judged beside: they need no record of their own.
    """

    store: Store
    models: Sequence[SignalSource] = ()

    def learn(self, recorded: Recorded, now_utc: datetime) -> Recorded:
        """The record with a forecaster fitted to all of it, and with what forecasts captured in the last four weeks.

        A source is judged where it was recorded on at least seven of the last days.
        """
        history = history_of(recorded)
        learnt = fitted_arrays(auto().fit(history, HORIZON_H))
        said: dict[str, object] = {"learnt_utc_s": now_utc.timestamp(), "captured": {}}
        came = Came(
            recorded.zone, recorded.start_s, HOUR_S, recorded.intensity_g_per_kwh, recorded.frame, recorded.source
        )
        from_s = max(0.0, HOUR_S * (came.values.size - JUDGED_H))
        ours = self._ours(recorded, came, from_s)
        theirs = self._theirs(recorded, came, from_s)
        captured: dict[str, tuple[float, int, float]] = {}
        for judged in (*theirs, *ours, *self._models(recorded, came, from_s)):
            found = _captured(came, judged.issued, from_s)
            if found is not None:
                captured[judged.source] = found
        said["captured"] = captured
        for judged in theirs:
            said["mended"], arrays = _mended(came, judged, ours)
            learnt.update(arrays)
        return replace(recorded, learnt=learnt, said=said)

    def _ours(self, recorded: Recorded, came: Came, from_s: float) -> tuple[_Judged, ...]:
        """What the built-in forecaster would have issued, fitted on what lay before."""
        first = round(from_s / HOUR_S)
        hours = came.values.size
        if first < 24 or hours - first < LEAST_JUDGED_H:
            first = max(24, hours // 2)
        if hours - first < LEAST_JUDGED_H:
            return ()
        history = history_of(recorded)
        issue = np.arange(first, hours, dtype=np.int64)
        fitted = auto().fit(history.until(first), HORIZON_H)
        values = fitted.issued(history, issue, HORIZON_H)[0]
        return (_Judged(f"{HISTORY}:{recorded.source}", hourly_issues(came, issue, values)),)

    def _theirs(self, recorded: Recorded, came: Came, from_s: float) -> tuple[_Judged, ...]:
        """What the recorded source itself issued."""
        span = Span(from_epoch_s(came.start_s + from_s), from_epoch_s(recorded.end_s))
        found = self.store.signals.overlapping(
            recorded.zone, recorded.frame, span, ("forecast",), source=recorded.source
        )
        forecasts = [series for series in found if series.issued_at is not None and _on_hours(series)]
        by_issue = {_issued_s(series): series for series in forecasts}  # the last received of one issue
        if not by_issue:
            return ()
        rows = [(when_s - came.start_s, *hourly(by_issue[when_s])) for when_s in sorted(by_issue)]
        issued = newest_of_each_step(
            HOUR_S,
            [when_s for when_s, _, _ in rows],
            [round((start_s - came.start_s) / HOUR_S) for _, start_s, _ in rows],
            [values for _, _, values in rows],
        )
        return (_Judged(recorded.source, issued),)

    def _models(self, recorded: Recorded, came: Came, from_s: float) -> tuple[_Judged, ...]:
        """What models that do not age say of the same time, in the same frame."""
        first = round(from_s / HOUR_S)
        span = Span(from_epoch_s(came.start_s + first * HOUR_S), from_epoch_s(recorded.end_s) + timedelta(hours=28))
        judged = []
        for model in self.models:
            if model.frame != recorded.frame or not model.covers(recorded.zone):
                continue
            try:
                _, values = hourly(model.fetch(recorded.zone, span, "forecast"))
            except LowtideError:  # a model that has nothing to say here is not judged; the chain will say why
                continue
            judged.append(_Judged(model.name, hourly_issues(came, np.array([first]), values[None])))
        return tuple(judged)


def _captured(came: Came, issued: Issued, from_s: float) -> tuple[float, int, float] | None:
    """Percent of the possible saving that plans on these forecasts captured, of how many jobs, in how many days."""
    last_s = HOUR_S * came.values.size - RUN_S - SLACK_S
    jobs = alike_jobs(np.arange(from_s, last_s, HOUR_S), duration_s=RUN_S, slack_s=SLACK_S)
    jobs = jobs.some(whole_windows(jobs, came) & plannable(issued, jobs, came.step_s))
    if jobs.count < LEAST_JUDGED_H // 2:
        return None
    outcomes = replay(came, issued, jobs, Rules(guard=None))
    captured = score(jobs, outcomes, np.full(jobs.count, np.nan)).captured_pct
    return None if captured is None else (captured, jobs.count, jobs.count / 24)


def _mended(came: Came, judged: _Judged, ours: Sequence[_Judged]) -> tuple[str, dict[str, FloatArray]]:
    """How the source's forecasts are mended, in words, and the arrays that it takes; only where that paid."""
    if not ours:
        return AS_ISSUED, {}
    until_s, begin_s = HOUR_S * came.values.size, float(judged.issued.issued_s[0])
    best = chosen(candidates(came, judged.issued, ours[0].issued, past_s=until_s, run_s=RUN_S))
    if best.name == "less its bias":
        return best.name, {"bias": learn_bias(came, judged.issued, begin_s, until_s).mean}
    if best.name == "blended with the past":
        blend = learn_blend(came, judged.issued, ours[0].issued, begin_s, until_s)
        return best.name, {"blend": blend.issued_share}
    return AS_ISSUED, {}


def _on_hours(series: SignalSeries) -> bool:
    return HOUR_S % series.step_s == 0 or series.step_s % HOUR_S == 0


def _issued_s(series: SignalSeries) -> float:
    if series.issued_at is None:
        raise ValueError("a forecast without its time of issue cannot be judged")
    return series.issued_at.timestamp()
