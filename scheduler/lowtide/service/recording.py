"""Keeps every forecast and every actual that can be had, so that a day of history becomes a year."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from typing import IO, TYPE_CHECKING, NamedTuple

from lowtide.histories import RecordName, with_series
from lowtide.service.ticks import TickReport
from lowtide_core.errors import InputError, LowtideError, NoData, Rejected
from lowtide_core.outlooks import joined
from lowtide_core.spans import Span, from_epoch_s
from lowtide_providers.signals.abilities import outlook_teller

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime
    from pathlib import Path

    from lowtide.histories import Histories, Recorded
    from lowtide.store import Store
    from lowtide_core.outlooks import Outlook
    from lowtide_core.places import ZoneId
    from lowtide_core.ports import SignalSource
    from lowtide_core.series import SeriesKind, SignalSeries
    from lowtide_providers.signals.abilities import TellsOutlook

AHEAD = timedelta(hours=96)
"""As far as any source looks."""

REVISED_FOR = timedelta(hours=54)
"""Sources revise their figures for a day or two: so much of the past is asked for anew each time."""

FORECAST_EVERY = timedelta(minutes=55)
ACTUAL_EVERY = timedelta(hours=6)
"""A free key holds the last 24 hours: four questions a day lose nothing, also when three of them fail."""
OUTLOOK_EVERY = timedelta(hours=3)
"""It comes once a day, at an hour that differs from source to source; what is late here is late in every forecast."""

LEARN_EVERY_S = 86400.0

ACTUALS: tuple[SeriesKind, ...] = ("actual", "estimated")


class Noted(NamedTuple):
    """What happened with one source and zone: one line in words, whether it failed, and whether anything was kept."""

    zone: ZoneId
    source: str
    said: str
    failed: bool = False
    kept: bool = False


@dataclass(frozen=True, slots=True)
class Recorder:
    """Asks sources, keeps what they say in the store, and the hours of it in the files that plans read.

    Attributes:
        sources: Those that ask the network; the embedded ones have nothing to record.
        learn: What is learnt from a record when it has grown; it must return a record of the same hours.
    """

    store: Store
    histories: Histories
    sources: Sequence[SignalSource]
    learn: Callable[[Recorded, datetime], Recorded]

    def record(
        self, zones: Sequence[ZoneId], now_utc: datetime, *, since_utc: datetime | None = None
    ) -> tuple[Noted, ...] | None:
        """One round: what is due is asked for, and a source that fails stops no other.

        Args:
            since_utc: Ask for actuals and outlooks from then on, where the source still has them; None takes the last
                ones.
        Returns:
            A line for each zone and source that was asked, or could not be kept. None: another process of this
            machine is recording.
        """
        with _alone(self.histories.folder) as alone:
            if not alone:
                return None
            pairs = [(source, zone) for zone in dict.fromkeys(zones) for source in self.sources if source.covers(zone)]
            # first what would be lost: a limit may be reached before everybody was asked
            actuals = [self._record_actual(*pair, now_utc, since_utc) for pair in pairs]
            forecasts = [self._record_forecast(*pair, now_utc) for pair in pairs]
            outlooks = [self._record_outlook(*pair, now_utc, since_utc) for pair in pairs]
            return tuple(noted for noted in (*actuals, *forecasts, *outlooks) if noted is not None)

    def _record_actual(
        self, source: SignalSource, zone: ZoneId, now_utc: datetime, since_utc: datetime | None
    ) -> Noted | None:
        if since_utc is None and not self._due(source, zone, ACTUALS, ACTUAL_EVERY, now_utc):
            return None
        return self._ask(lambda: self._actual(source, zone, now_utc, since_utc), source, zone, "actual")

    def _record_forecast(self, source: SignalSource, zone: ZoneId, now_utc: datetime) -> Noted | None:
        if not self._due(source, zone, ("forecast",), FORECAST_EVERY, now_utc):
            return None
        return self._ask(lambda: self._forecast(source, zone, now_utc), source, zone, "forecast")

    def _record_outlook(
        self, source: SignalSource, zone: ZoneId, now_utc: datetime, since_utc: datetime | None
    ) -> Noted | None:
        teller = outlook_teller(source)
        if teller is None:
            return None
        before = self.histories.outlook(zone, source.name)
        asked_utc = None if before is None else before.fetched_at
        if since_utc is None and asked_utc is not None and timedelta(0) <= now_utc - asked_utc < OUTLOOK_EVERY:
            return None
        ask = partial(self._outlook, teller, before, zone, now_utc, since_utc)
        return self._ask(ask, source, zone, "outlook")

    def _due(
        self, source: SignalSource, zone: ZoneId, kinds: Sequence[SeriesKind], every: timedelta, now_utc: datetime
    ) -> bool:
        last = self.store.signals.last_fetched(zone, source.name, kinds, by_utc=now_utc)
        return last is None or now_utc - last >= every

    def _ask(self, ask: Callable[[], str], source: SignalSource, zone: ZoneId, what: str) -> Noted:
        """What came of a question; that a source has nothing to say, or a key's plan not this, is no failure."""
        try:
            return Noted(zone, source.name, ask(), kept=True)
        except NoData as error:
            return Noted(zone, source.name, f"no {what}: {error.message}")
        except Rejected as error:
            in_plan = error.facts.get("reason") != "plan"
            return Noted(zone, source.name, f"no {what}: {error.message}", failed=in_plan)
        except LowtideError as error:
            return Noted(zone, source.name, f"no {what}: {error.message}", failed=True)
        except OSError as error:
            return Noted(zone, source.name, f"{what} not kept: {error.strerror} ({error.filename})", failed=True)

    def _forecast(self, source: SignalSource, zone: ZoneId, now_utc: datetime) -> str:
        series = source.fetch(zone, Span(now_utc, now_utc + AHEAD), "forecast")
        self.store.signals.add(series)
        return f"forecast, {(series.end_utc - now_utc) / timedelta(hours=1):.0f} h ahead"

    def _outlook(
        self,
        teller: TellsOutlook,
        before: Outlook | None,
        zone: ZoneId,
        now_utc: datetime,
        since_utc: datetime | None,
    ) -> str:
        known_until = now_utc if before is None else from_epoch_s(before.end_s)
        start_utc = since_utc or min(known_until, now_utc) - REVISED_FOR
        outlook = joined(before, teller.outlook(zone, Span(start_utc, now_utc + AHEAD)))
        self.histories.keep_outlook(outlook)
        ahead_h = (from_epoch_s(outlook.end_s) - now_utc) / timedelta(hours=1)
        return f"outlook, {ahead_h:.0f} h ahead; {outlook.known_days:.0f} days are known"

    def _actual(self, source: SignalSource, zone: ZoneId, now_utc: datetime, since_utc: datetime | None) -> str:
        before = self.histories.get(RecordName(zone, source.name, source.frame)) or rebuilt(self.store, source, zone)
        known_until = now_utc if before is None else from_epoch_s(before.end_s)
        start_utc = since_utc or min(known_until, now_utc) - REVISED_FOR
        series = source.fetch(zone, Span(start_utc, now_utc), "actual")
        self.store.signals.add(series)
        grown = with_series(before, series)
        if _stale(grown, now_utc):
            grown = self.learn(grown, now_utc)
        self.histories.keep(grown)
        return f"{series.kind}, {_hours(series)} h; {grown.known_days:.0f} days are known"


def round_of(recorder: Recorder, zones: Sequence[ZoneId], now_utc: datetime) -> TickReport:
    """One round of recording, as ``serve`` and ``tick`` tell of it."""
    try:
        notes = recorder.record(zones, now_utc) or ()
    except LowtideError as error:
        return TickReport(did=(), failed=(f"record: {error}",))
    said = [(note.failed, f"{note.zone} from {note.source}: {note.said}") for note in notes]
    return TickReport(
        did=tuple(line for failed, line in said if not failed), failed=tuple(line for failed, line in said if failed)
    )


def _hours(series: SignalSeries) -> int:
    return round((series.end_s - series.start_s) / 3600.0)


def _stale(recorded: Recorded, now_utc: datetime) -> bool:
    learnt_s = recorded.said.get("learnt_utc_s")
    return not isinstance(learnt_s, int | float) or not 0 <= now_utc.timestamp() - learnt_s < LEARN_EVERY_S


def rebuilt(store: Store, source: SignalSource, zone: ZoneId) -> Recorded | None:
    """The record made anew from all vintages in the store; None where there are none."""
    everything = Span(from_epoch_s(0.0), from_epoch_s(4e9))
    found: Recorded | None = None
    for series in store.signals.overlapping(zone, source.frame, everything, ACTUALS, source=source.name):
        found = with_series(found, replace(series, note=""))
    return found


@contextmanager
def _alone(folder: Path) -> Iterator[bool]:
    """Whether no other process of this machine records into the folder now, and none begins before this ends.

    Where the system or the file system has no locks it is the user's own promise.

    Raises:
        InputError: The folder cannot be made or written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / ".lock").open("w")
    except OSError as error:
        raise InputError(
            f"Nothing can be recorded in {folder}: {error.strerror}.", hint="Make it a folder that can be written."
        ) from error
    with file:
        yield _held(file)


def _held(file: IO[str]) -> bool:
    try:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except (ImportError, OSError):
        return True
    return True
