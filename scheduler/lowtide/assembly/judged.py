"""A source whose past forecasts were held against what came: its band, and its bias where that is worth mending."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from lowtide.histories import RecordName
from lowtide_core.errors import ProviderError

if TYPE_CHECKING:
    from datetime import datetime

    from lowtide.assembly.history import HistorySource
    from lowtide.assembly.learnt import Learnt
    from lowtide.histories import Histories
    from lowtide_core.places import ZoneId
    from lowtide_core.ports import SignalSource, Wanted
    from lowtide_core.series import Frame, SignalSeries
    from lowtide_core.spans import Span


@dataclass(frozen=True, slots=True)
class JudgedSource:
    """Another source, its forecasts mended and banded as the record of the zone says.

    Attributes:
        ours: lowtide's own forecasts over the record: what a forecast is blended with, where that paid.
        as_of_utc: What was learnt later is not used; None is now.
    """

    inner: SignalSource
    histories: Histories
    ours: HistorySource
    as_of_utc: datetime | None = None

    @property
    def name(self) -> str:
        return self.inner.name

    @property
    def frame(self) -> Frame:
        return self.inner.frame

    def covers(self, zone: ZoneId) -> bool:
        return self.inner.covers(zone)

    def fetch(self, zone: ZoneId, span: Span, wanted: Wanted) -> SignalSeries:
        series = self.inner.fetch(zone, span, wanted)
        if wanted != "forecast" or series.kind != "forecast" or series.issued_at is None:
            return series
        recorded = self.histories.get(RecordName(zone, self.name, self.frame))
        if recorded is None:
            return series
        from lowtide.assembly.learnt import learnt_of

        learnt = learnt_of(recorded, self.as_of_utc)
        return series if learnt is None else self._mended(series, learnt)

    def _mended(self, series: SignalSeries, learnt: Learnt) -> SignalSeries:
        """The forecast as the record of what it got wrong would have it; its note says so."""
        from lowtide.forecasting.conformal import with_band
        from lowtide.forecasting.mending import Bias, Blend, blended, less_bias

        if isinstance(learnt.mending, Bias):
            series = _noted(less_bias(series, learnt.mending), "less its bias here of the last weeks")
        elif isinstance(learnt.mending, Blend):
            try:
                other = self.ours.fetch(series.zone, series.span, "forecast")
            except ProviderError:
                return _noted(series, "as issued: there is no forecast of our own to blend it with")
            series = _noted(blended(series, other, learnt.mending), "blended with lowtide's own forecast")
        bands = learnt.bands.get(self.name)
        if bands is None or series.low_g_per_kwh is not None:
            return series
        return with_band(series, bands)


def _noted(series: SignalSeries, what: str) -> SignalSeries:
    return replace(series, note="; ".join(filter(None, (series.note, what))))
