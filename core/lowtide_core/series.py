"""Carbon intensity over time: a piecewise-constant series within one frame."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from lowtide_core.errors import InputError
from lowtide_core.spans import Span, from_epoch_s, iso_utc, to_epoch_s

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from lowtide_core.places import ZoneId

Basis = Literal["average", "marginal"]
Scope = Literal["lifecycle", "direct"]
Accounting = Literal["consumption", "production"]
SeriesKind = Literal["actual", "estimated", "forecast", "climatology"]
FloatArray = np.ndarray[tuple[int, ...], np.dtype[np.float64]]


@dataclass(frozen=True, slots=True)
class Frame:
    """What an intensity means; two intensities are comparable only within one frame."""

    basis: Basis
    scope: Scope
    accounting: Accounting

    def __post_init__(self) -> None:
        for name, allowed in (("basis", Basis), ("scope", Scope), ("accounting", Accounting)):
            value = getattr(self, name)
            if value not in get_args(allowed):
                raise InputError(
                    f"{value!r} is not a {name} of a carbon intensity.",
                    hint=f"Use {' or '.join(get_args(allowed))}.",
                    **{name: value},
                )

    def __str__(self) -> str:
        return f"{self.basis}, {self.scope}, {self.accounting}"


LIFECYCLE_CONSUMPTION = Frame("average", "lifecycle", "consumption")
"""The frame of Electricity Maps' headline figures, and so of the embedded facts."""

LIFECYCLE_PRODUCTION = Frame("average", "lifecycle", "production")
DIRECT_CONSUMPTION = Frame("average", "direct", "consumption")
DIRECT_PRODUCTION = Frame("average", "direct", "production")
MARGINAL_CONSUMPTION = Frame("marginal", "direct", "consumption")
"""What one kWh more or less, used in the zone, changes at the chimneys of the plants that respond to it."""


def require_one_frame(frames: Iterable[tuple[str, Frame]]) -> Frame:
    """The one frame of several named intensities (at least one).

    Raises:
        InputError: They stand in different frames; the message names two that disagree.
    """
    (first_name, first), *rest = named = tuple(frames)
    for name, frame in rest:
        if frame != first:
            raise InputError(
                f"Intensities of different frames cannot be compared: {first_name} is {first}, {name} is {frame}.",
                hint="Choose one source for all of them (--signal climatology covers every zone).",
                frames=named,
            )
    return first


@dataclass(frozen=True, slots=True, eq=False)
class SignalSeries:
    """Piecewise-constant intensity of one zone: step ``i`` holds on ``[start + i·step, start + (i+1)·step)``.

    Attributes:
        intensity_g_per_kwh: (n,), g CO2eq/kWh; NaN is a gap and stays one.
        low_g_per_kwh, high_g_per_kwh: 80 % band, (n,), or None where the source gives no band.
        issued_at: When the forecast was made; None for actuals and climatology.
        fetched_at: When lowtide received it; None for embedded data.
        source: The link of the chain that gave it (``gb-neso``, ``climatology``, a file's name).
        note: What a reader must know about it ("annual mean, no time shape").
    """

    zone: ZoneId
    start_utc: datetime
    step_s: float
    intensity_g_per_kwh: FloatArray
    frame: Frame
    kind: SeriesKind
    source: str
    issued_at: datetime | None = None
    fetched_at: datetime | None = None
    low_g_per_kwh: FloatArray | None = None
    high_g_per_kwh: FloatArray | None = None
    note: str = ""

    def __post_init__(self) -> None:
        to_epoch_s(self.start_utc)  # refuses a naive start
        if not self.step_s > 0:
            raise InputError(f"{self.source}: the step of a series is {self.step_s} s.", hint="It must be positive.")
        for name in ("intensity_g_per_kwh", "low_g_per_kwh", "high_g_per_kwh"):
            values = getattr(self, name)
            if values is None:
                continue
            own = np.array(values, dtype=np.float64)
            if own.ndim != 1 or own.size == 0 or own.size != np.size(self.intensity_g_per_kwh):
                raise InputError(
                    f"{self.source}: {name} of zone {self.zone} has the shape {own.shape}.",
                    hint="A series is one row of at least one value, and its bands are as long as it is.",
                )
            if np.isinf(own).any() or (own < 0).any():
                first = int(np.flatnonzero(np.isinf(own) | (own < 0))[0])
                raise InputError(
                    f"{self.source}: intensity of zone {self.zone} at {iso_utc(self.step_start_utc(first))} "
                    f"is {own[first]} g/kWh.",
                    hint="An intensity is finite and not negative.",
                )
            own.flags.writeable = False
            object.__setattr__(self, name, own)

    @property
    def start_s(self) -> float:
        return self.start_utc.timestamp()

    @property
    def end_s(self) -> float:
        return self.start_s + self.step_s * self.intensity_g_per_kwh.size

    @property
    def end_utc(self) -> datetime:
        return from_epoch_s(self.end_s)

    @property
    def span(self) -> Span:
        return Span(self.start_utc, self.end_utc)

    def step_start_utc(self, index: int) -> datetime:
        return from_epoch_s(self.start_s + index * self.step_s)

    def covers(self, span: Span) -> bool:
        """Whether every instant of the span has a value."""
        return not self.missing(span)

    def missing(self, span: Span) -> tuple[Span, ...]:
        """The parts of the span that have no value, in order."""
        start_s, end_s = to_epoch_s(span.start_utc), to_epoch_s(span.end_utc)
        holes: list[tuple[float, float]] = []
        if start_s < self.start_s:
            holes.append((start_s, min(end_s, self.start_s)))
        for index in np.flatnonzero(np.isnan(self.intensity_g_per_kwh)):
            low = max(start_s, self.start_s + float(index) * self.step_s)
            high = min(end_s, self.start_s + (float(index) + 1) * self.step_s)
            if low < high:
                holes.append((low, high))
        if end_s > self.end_s:
            holes.append((max(start_s, self.end_s), end_s))
        joined: list[tuple[float, float]] = []
        for low, high in holes:
            if joined and joined[-1][1] == low:
                joined[-1] = (joined[-1][0], high)
            else:
                joined.append((low, high))
        return tuple(Span(from_epoch_s(low), from_epoch_s(high)) for low, high in joined)

    def clip(self, span: Span) -> SignalSeries:
        """The whole steps that touch the span; the series itself where all of them do.

        Raises:
            InputError: The series and the span have nothing in common.
        """
        first = max(0, int((to_epoch_s(span.start_utc) - self.start_s) // self.step_s))
        last = min(self.intensity_g_per_kwh.size, int(-((self.start_s - to_epoch_s(span.end_utc)) // self.step_s)))
        if last <= first:
            raise InputError(
                f"{self.source} has no intensity of zone {self.zone} in {span}: it covers {self.span}.",
                hint="Give one that reaches further, or ask for a time that it covers (--now, --deadline).",
                zone=self.zone,
            )
        if first == 0 and last == self.intensity_g_per_kwh.size:
            return self
        return replace(
            self,
            start_utc=self.step_start_utc(first),
            intensity_g_per_kwh=self.intensity_g_per_kwh[first:last],
            low_g_per_kwh=None if self.low_g_per_kwh is None else self.low_g_per_kwh[first:last],
            high_g_per_kwh=None if self.high_g_per_kwh is None else self.high_g_per_kwh[first:last],
        )

    def mean_g_per_kwh(self, span: Span) -> float:
        """Mean intensity over the span, step-wise (not trapezoid); NaN where any instant has no value."""
        if not self.covers(span):
            return float("nan")
        edges_s = self.start_s + self.step_s * np.arange(self.intensity_g_per_kwh.size + 1)
        inside_s = np.diff(np.clip(edges_s, to_epoch_s(span.start_utc), to_epoch_s(span.end_utc)))
        used = inside_s > 0
        return float(inside_s[used] @ self.intensity_g_per_kwh[used] / inside_s[used].sum())
