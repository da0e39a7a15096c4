"""A source whose past forecasts were held against what came: its band, and its bias where that is worth mending."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from lowtide.histories import RecordName
from lowtide_core.errors import ProviderError
from lowtide_providers.signals.chain import Merit

if TYPE_CHECKING:
    from lowtide.histories import Histories, Recorded
    from lowtide_core.places import ZoneId
    from lowtide_core.ports import SignalSource, Wanted
    from lowtide_core.series import Frame, SignalSeries
    from lowtide_core.spans import Span


@dataclass(frozen=True, slots=True)
class JudgedSource:
    """Another source, its forecasts mended and banded as the record of the zone says.

    Attributes:
        other: What its forecasts are blended with, where that paid: lowtide's own.
    """

    inner: SignalSource
    histories: Histories
    other: SignalSource | None = None

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
        return series if recorded is None else self._mended(series, recorded)

    def _mended(self, series: SignalSeries, recorded: Recorded) -> SignalSeries:
        """The forecast as the record of what it got wrong would have it; its note says so."""
        from lowtide.forecasting.mending import blended, less_bias

        bias, share = recorded.learnt.get("bias"), recorded.learnt.get("blend")
        if bias is not None:
            return _noted(less_bias(series, bias), "less its bias here of the last weeks")
        if share is None or self.other is None:
            return series
        try:
            ours = self.other.fetch(series.zone, series.span, "forecast")
        except ProviderError:
            return series  # as issued: nothing to blend it with
        return _noted(blended(series, ours, share), "blended with lowtide's own forecast, which paid here lately")


def _noted(series: SignalSeries, what: str) -> SignalSeries:
    return replace(series, note="; ".join(filter(None, (series.note, what))))


def merits_of(recorded: Recorded) -> dict[str, Merit]:
    """What forecasts of the zone were worth when it was looked last, by the name of their source."""
    captured = recorded.said.get("captured", {})
    if not isinstance(captured, dict):
        return {}
    return {name: Merit(pct, jobs, days) for name, (pct, jobs, days) in captured.items()}
