"""Keeps what a source answered, in files that are only ever added; several processes may share the folder."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from glob import escape
from pathlib import Path
from typing import TYPE_CHECKING

from lowtide_core.errors import InputError, NoData, Unavailable
from lowtide_core.places import ZoneId
from lowtide_core.series import Frame, SignalSeries
from lowtide_core.spans import Span, iso_utc, parse_iso_utc
from lowtide_providers.arrays_file import DAMAGED, read, write_whole
from lowtide_providers.locks import locked
from lowtide_providers.signals.clock import now_utc

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lowtide_core.ports import SignalSource, Wanted

_FORECAST_MARGIN = timedelta(hours=6)
_STAMP = "%Y%m%dT%H%M%S.%fZ"


@dataclass(frozen=True, slots=True)
class CachedSource:
    """Another source, asked again only when what it said is no longer fresh.

    Attributes:
        max_age_s: How long a forecast, and how long an actual, is served without asking.
        stale_max_age_s: How old an answer may be that is served when the source is unavailable; its note says so.
            0 serves none.
        patience_s: How long to wait for another process that asks the same; its answer is then served.
    """

    inner: SignalSource
    store_dir: Path
    max_age_s: float = 1800.0
    actual_max_age_s: float = 300.0
    stale_max_age_s: float = 86400.0
    patience_s: float = 30.0
    now_utc: Callable[[], datetime] = field(default=now_utc, repr=False, compare=False)

    @property
    def name(self) -> str:
        return self.inner.name

    @property
    def frame(self) -> Frame:
        return self.inner.frame

    def covers(self, zone: ZoneId) -> bool:
        return self.inner.covers(zone)

    def fetch(self, zone: ZoneId, span: Span, wanted: Wanted) -> SignalSeries:
        folder = self.store_dir / f"{self.name}_{zone}_{wanted}".replace("/", "_")
        notes: list[str] = []
        found = self._fresh(folder, span, wanted, notes)
        if found is not None:
            return found
        with locked(folder / "lock", patience_s=self.patience_s):
            found = self._fresh(folder, span, wanted, notes)  # what another asked for meanwhile
            return found if found is not None else self._asked(folder, zone, span, wanted, notes)

    def last_success_utc(self) -> datetime | None:
        """When the source last answered anybody on this machine, of whatever zone, as far as it is kept."""
        kept = self.store_dir.glob(f"{escape(self.name.replace('/', '_'))}_*/[!.]*.npz")
        newest = max((path.name.partition("_")[0] for path in kept), default=None)
        return None if newest is None else datetime.strptime(newest, _STAMP).replace(tzinfo=UTC)

    def _fresh(self, folder: Path, span: Span, wanted: Wanted, notes: list[str]) -> SignalSeries | None:
        """What need not be asked for again; ``notes`` are told of what was passed over."""
        fresh_s = self.max_age_s if wanted == "forecast" else self.actual_max_age_s
        for series, asked in _kept(folder, self.now_utc(), fresh_s, notes):
            if asked.start_utc <= span.start_utc and span.end_utc <= asked.end_utc:
                return _part(series, span, wanted, notes)
        return None

    def _asked(self, folder: Path, zone: ZoneId, span: Span, wanted: Wanted, notes: list[str]) -> SignalSeries:
        """The inner source's answer, kept; or a stale one, where there is none."""
        now_utc = self.now_utc()
        asked = _widened(span, wanted)
        try:
            series = self.inner.fetch(zone, asked, wanted)
        except Unavailable as error:
            for series, _ in _kept(folder, now_utc, self.stale_max_age_s, notes):
                if series.end_utc > span.start_utc and series.start_utc < span.end_utc:
                    fetched = iso_utc(series.fetched_at or now_utc)
                    return _part(series, span, wanted, [*notes, f"stale, of {fetched}: {error.message}"])
            raise
        try:
            _keep(folder, series, asked, now_utc)
        except OSError as error:
            notes.append(f"not kept in the cache: {error.strerror}")
        return _part(series, span, wanted, notes)


def _widened(span: Span, wanted: Wanted) -> Span:
    """Whole hours and, for a forecast, some more: so that the next question, minutes later, finds its answer here."""
    start = span.start_utc.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    end = span.end_utc.astimezone(UTC)
    return Span(start, end + _FORECAST_MARGIN if wanted == "forecast" else end)


def _part(series: SignalSeries, span: Span, wanted: Wanted, notes: list[str]) -> SignalSeries:
    try:
        part = series.clip(span)
    except InputError as error:
        raise NoData(
            error.message,
            provider=series.source,
            operation=f"{wanted} {series.zone}",
            hint=error.hint,
            zone=series.zone,
        ) from error
    return replace(part, note="; ".join(filter(None, [part.note, *dict.fromkeys(notes)]))) if notes else part


def _kept(folder: Path, now_utc: datetime, max_age_s: float, notes: list[str]) -> Iterator[tuple[SignalSeries, Span]]:
    """What was kept within that age, newest first, with the span that had been asked for."""
    oldest = (now_utc - timedelta(seconds=max_age_s)).strftime(_STAMP)
    try:
        names = sorted((path for path in folder.glob("*.npz") if not path.name.startswith(".")), reverse=True)
    except OSError:
        return
    for path in names:
        stamp = path.name.partition("_")[0]
        if stamp > now_utc.strftime(_STAMP):
            continue  # of a clock that was set back
        if stamp < oldest:
            return
        try:
            yield _loaded(path)
        except DAMAGED:
            notes.append(f"damaged cache file {path.name} was passed over")


def _keep(folder: Path, series: SignalSeries, asked: Span, now_utc: datetime) -> None:
    """Adds a file, whole or not at all."""
    said = {
        "zone": series.zone,
        "start_utc": iso_utc(series.start_utc),
        "step_s": series.step_s,
        "frame": [series.frame.basis, series.frame.scope, series.frame.accounting],
        "kind": series.kind,
        "source": series.source,
        "issued_at": series.issued_at and iso_utc(series.issued_at),
        "fetched_at": series.fetched_at and iso_utc(series.fetched_at),
        "note": series.note,
        "asked": [iso_utc(asked.start_utc), iso_utc(asked.end_utc)],
    }
    arrays = {name: getattr(series, name) for name in _ARRAYS if getattr(series, name) is not None}
    write_whole(folder / f"{now_utc.strftime(_STAMP)}_{os.urandom(4).hex()}.npz", said, arrays)


_ARRAYS = ("intensity_g_per_kwh", "low_g_per_kwh", "high_g_per_kwh")


def _loaded(path: Path) -> tuple[SignalSeries, Span]:
    said, arrays = read(path)
    asked = Span(*(parse_iso_utc(text) for text in said.pop("asked")))
    issued, fetched = said.pop("issued_at"), said.pop("fetched_at")
    series = SignalSeries(
        zone=ZoneId(said.pop("zone")),
        start_utc=parse_iso_utc(said.pop("start_utc")),
        frame=Frame(*said.pop("frame")),
        issued_at=issued and parse_iso_utc(issued),
        fetched_at=fetched and parse_iso_utc(fetched),
        **said,
        **arrays,
    )
    return series, asked
