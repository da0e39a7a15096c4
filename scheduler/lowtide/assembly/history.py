"""A source of forecasts that nobody sells: the built-in forecaster over what was recorded of another source."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np

from lowtide.histories import RecordName
from lowtide_core.errors import NoData
from lowtide_core.series import SignalSeries
from lowtide_core.spans import from_epoch_s, iso_utc
from lowtide_providers.signals.registry import HISTORY

if TYPE_CHECKING:
    from collections.abc import Callable

    from lowtide.forecasting.types import History
    from lowtide.histories import Histories, Recorded
    from lowtide_core.outlooks import Outlook
    from lowtide_core.places import ZoneId
    from lowtide_core.ports import Wanted
    from lowtide_core.series import FloatArray, Frame
    from lowtide_core.spans import Span

HOUR = timedelta(hours=1)

HORIZON_H = 120
"""How far ahead is learnt: four days, and one for a record that is behind."""

MOST_BEHIND = timedelta(days=7)
"""Yesterday's record costs a forecast 0.5 to 5 points of what it captures; one that ended a week ago says little."""


def _now_utc() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class HistorySource:
    """Forecasts made of one other source's recorded actuals, in that source's frame.

    Attributes:
        of: The source whose record it is.
        predict: Forecast of so many hours from the end of a record on; (horizon,), NaN where nothing can be said.
        as_of_utc: The time of planning; what came later is not looked at. None is now.
    """

    of: str
    frame: Frame
    histories: Histories
    predict: Callable[[Recorded, int], FloatArray]
    as_of_utc: datetime | None = None

    @property
    def name(self) -> str:
        return f"{HISTORY}:{self.of}"

    def covers(self, zone: ZoneId) -> bool:
        return self._record(zone) in self.histories.names()

    def _record(self, zone: ZoneId) -> RecordName:
        return RecordName(zone, self.of, self.frame)

    def fetch(self, zone: ZoneId, span: Span, wanted: Wanted) -> SignalSeries:
        if wanted == "actual":
            raise self._nothing(zone, f"{self.name} forecasts; the actual intensity is asked of {self.of}.", wanted)
        recorded = self.histories.get(self._record(zone))
        if recorded is None:
            raise self._nothing(zone, f"Nothing is recorded of {zone} from {self.of}.", wanted)
        recorded = known_at(recorded, self.as_of_utc or _now_utc())
        known_until = from_epoch_s(recorded.end_s)
        if span.start_utc - known_until > MOST_BEHIND:
            raise self._nothing(
                zone, f"The record of {zone} from {self.of} ends {iso_utc(known_until)}, too long ago.", wanted
            )
        horizon = int(-(-(span.end_utc - known_until) // HOUR))
        if horizon < 1:
            raise self._nothing(zone, f"{span} lies before the end of the record of {zone} from {self.of}.", wanted)
        values, moved_by = self._moved(recorded, self.predict(recorded, horizon))
        first = max(0, int((span.start_utc - known_until) // HOUR))
        if np.isnan(values[first:]).all():
            raise self._nothing(zone, f"Too little is recorded of {zone} from {self.of} to forecast {span}.", wanted)
        days = recorded.known_days
        series = SignalSeries(
            zone=zone,
            start_utc=known_until + first * HOUR,
            step_s=HOUR.total_seconds(),
            intensity_g_per_kwh=values[first:],
            frame=self.frame,
            kind="forecast",
            source=self.name,
            issued_at=known_until,
            note=f"lowtide's own forecast, from {days:.0f} days of {self.of}{_confidence(days)}{moved_by}",
        )
        return self._with_band(series, recorded)

    def _moved(self, recorded: Recorded, plain: FloatArray) -> tuple[FloatArray, str]:
        """The forecast with what an outlook of the grid adds, where one was learnt to be worth it, and what to note."""
        from lowtide.assembly.learnt import learnt_of

        learnt = learnt_of(recorded)
        used = None if learnt is None else learnt.outlook
        outlook = None if used is None else self.histories.outlook(recorded.zone, used.source)
        if used is None or outlook is None:
            return plain, ""
        now_s = (self.as_of_utc or _now_utc()).timestamp()
        history = history_of(recorded, outlook, by_s=now_s)
        issue = np.array([history.hours], dtype=np.int64)
        values = used.weights.moved(history, 0, issue, plain[None])[0]
        moved = np.flatnonzero(values != plain)
        if not moved.size:
            return plain, f"; without the outlook of {used.source}, which is not out"
        until = from_epoch_s(recorded.end_s) + (int(moved[-1]) + 1) * HOUR
        expected = " and ".join(used.weights.quantities)
        return values, f"; {expected} of the day ahead from {used.source}, until {iso_utc(until)}"

    def _with_band(self, series: SignalSeries, recorded: Recorded) -> SignalSeries:
        from lowtide.assembly.learnt import learnt_of
        from lowtide.forecasting.conformal import with_band

        learnt = learnt_of(recorded)
        bands = None if learnt is None else learnt.bands.get(self.name)
        return series if bands is None else with_band(series, bands)

    def _nothing(self, zone: ZoneId, message: str, wanted: Wanted) -> NoData:
        return NoData(
            message,
            provider=self.name,
            operation=wanted,
            hint="lowtide signals record (hourly, from cron or lowtide serve) keeps what a source says.",
            zone=zone,
        )


def known_at(recorded: Recorded, now_utc: datetime) -> Recorded:
    """The record without what had not come or been learnt by then; its first hour stays, that it is never empty."""
    from lowtide.assembly.learnt import learnt_of

    hours = int((now_utc.timestamp() - recorded.start_s) // 3600)
    values = recorded.intensity_g_per_kwh[: max(1, hours)]
    known = np.flatnonzero(~np.isnan(values))
    values = values[: known[-1] + 1] if known.size else values[:1]
    if learnt_of(recorded, now_utc) is None:
        return replace(recorded, intensity_g_per_kwh=values, learnt={}, said={})
    return replace(recorded, intensity_g_per_kwh=values)


def _confidence(days: float) -> str:
    return "" if days >= 14 else ": low confidence"


def history_of(recorded: Recorded, outlook: Outlook | None = None, *, by_s: float | None = None) -> History:
    """The record as forecasters read it, and what was expected of the grid beside it; ``by_s``: see ``expected_of``."""
    from lowtide.forecasting.types import History

    values = recorded.intensity_g_per_kwh[None]
    history = History((recorded.zone,), recorded.start_s, values, recorded.frame)
    if outlook is None:
        return history
    from lowtide.forecasting.expected import expected_of

    return replace(history, expected=expected_of([outlook], recorded.start_s, history.hours, by_s=by_s))


def predict(recorded: Recorded, horizon: int) -> FloatArray:
    """Forecast of so many hours from the end of a record on; (at most horizon,).

    Made by the forecaster that was fitted to the record last, or one fitted now where none was.
    """
    from lowtide.assembly.learnt import learnt_of
    from lowtide.forecasting.names import auto

    history, learnt = history_of(recorded), learnt_of(recorded)
    fitted = learnt.model if learnt is not None and learnt.model is not None else auto().fit(history, HORIZON_H)
    issue = np.array([history.hours], dtype=np.int64)
    return np.asarray(fitted.issued(history, issue, min(horizon, HORIZON_H))[0, 0], dtype=np.float64)
