"""What the planner is given and what it answers; frozen, and complete enough to be solved again years later."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from datetime import datetime

    from lowtide_core.places import RegionId, ZoneId
    from lowtide_core.series import Frame, SeriesKind, SignalSeries


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """One place where the job could run. The labels are carried through, never interpreted.

    Attributes:
        series: Intensity expected there; the planner uses only what it covers.
        power_w: IT power of the job's share of the node, mean over the run; W, > 0.
        pue: Facility energy over IT energy; >= 1.
        transfer_g: Emissions of bringing the data there and back; g, >= 0.
        price_usd_per_h: None where running there has no price or none is known.
        egress_usd: What the provider takes for letting the data out, once; None where that is not known.
    """

    region: RegionId
    zone: ZoneId
    series: SignalSeries
    power_w: float
    pue: float
    transfer_g: float = 0.0
    price_usd_per_h: float | None = None
    egress_usd: float | None = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class PlanProblem:
    """One job, its freedom, and what is known of every place: all that the planner may look at.

    Attributes:
        baseline: The job at once at home; None with the reason in ``no_baseline_why``.
        max_price_usd: Limit for the whole run; None is no limit.
    """

    earliest_utc: datetime
    deadline_utc: datetime
    duration_s: float
    candidates: tuple[Candidate, ...]
    baseline: Candidate | None = None
    no_baseline_why: str = ""
    pausable: bool = False
    max_price_usd: float | None = None


@dataclass(frozen=True, slots=True)
class Segment:
    """One uninterrupted stretch of the run."""

    start_utc: datetime
    end_utc: datetime
    region: RegionId
    zone: ZoneId
    width: int = 1


@dataclass(frozen=True, slots=True)
class ForecastUsed:
    """Which knowledge a plan rests on."""

    source: str
    kind: SeriesKind
    issued_at: datetime | None
    frame: Frame
    known_until_utc: datetime


@dataclass(frozen=True, slots=True)
class Misfit:
    """A candidate that does not fit, and why."""

    region: RegionId
    zone: ZoneId
    why: str
    limit: Literal["deadline", "forecast", "price"]
    short_by_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Plan:
    """When and where, what it is expected to emit, and against what.

    Attributes:
        energy_kwh: IT energy of the run.
        emissions_g: Expected; energy x PUE x intensity, plus the transfer. ``low`` and ``high`` are the 80 % band.
        at_once_g: The same run at the same place, started at the earliest time; None where its intensity is unknown.
        baseline_g: The run at once at home; None with the reason in ``no_baseline_why``.
        bound_g: No plan within the limits can emit less, on this forecast.
        chance_worse: Probability that the plan emits more than the baseline (than at once, where there is none).
        forecast_edge: The best window is the last that the forecast knows: a better one may lie beyond, within the
            deadline or with a later one.
        pue, transfer_g: Of the chosen place; the emissions hold them. baseline_...: of home; None without a baseline.
    """

    segments: tuple[Segment, ...]
    energy_kwh: float
    emissions_g: float
    emissions_low_g: float | None
    emissions_high_g: float | None
    at_once_g: float | None
    baseline_g: float | None
    no_baseline_why: str
    bound_g: float
    exact: bool
    chance_worse: float | None
    price_usd: float | None
    forecast: ForecastUsed
    forecast_edge: bool
    pue: float
    transfer_g: float
    baseline_pue: float | None
    baseline_transfer_g: float | None
    misfits: tuple[Misfit, ...] = ()

    @property
    def start_utc(self) -> datetime:
        return self.segments[0].start_utc

    @property
    def end_utc(self) -> datetime:
        return self.segments[-1].end_utc

    @property
    def saved_pct(self) -> float | None:
        """Against the baseline, in percent; None where there is none, or where it emits nothing."""
        if not self.baseline_g:
            return None
        return 100.0 * (self.baseline_g - self.emissions_g) / self.baseline_g


@dataclass(frozen=True, slots=True, eq=False)
class NoPlan:
    """Nothing fits; one reason per candidate."""

    misfits: tuple[Misfit, ...]
