"""What the planner is given and what it answers; frozen, and complete enough to be solved again years later."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

from lowtide.jobs.manner import EXPECTED, PLAIN, Judgement, Manner

if TYPE_CHECKING:
    from datetime import datetime

    from lowtide_core.places import RegionId, ZoneId
    from lowtide_core.series import FloatArray, Frame, SeriesKind, SignalSeries


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
        transfer_s: How long bringing the data takes: no start there before; s, >= 0.
        blocked: Spans in which the job cannot run there, s since 1970, in order and disjoint: others are promised what
            there is. blocked_by: who, or what.
    """

    region: RegionId
    zone: ZoneId
    series: SignalSeries
    power_w: float
    pue: float
    transfer_g: float = 0.0
    price_usd_per_h: float | None = None
    egress_usd: float | None = 0.0
    transfer_s: float = 0.0
    blocked: tuple[tuple[float, float], ...] = ()
    blocked_by: str = ""


class Moves(NamedTuple):
    """Continuing elsewhere after a pause. Row: from this candidate; column: to that one; the diagonal is 0.

    Attributes:
        transfer_g: Emissions of moving what the job needs; (R, R), g.
        egress_usd: Price of it; (R, R), NaN where it is not known.
        transfer_s: How long it takes; (R, R), s.
    """

    transfer_g: FloatArray
    egress_usd: FloatArray
    transfer_s: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class PlanProblem:
    """One job, its freedom, and what is known of every place: all that the planner may look at.

    Attributes:
        duration_s: Of the whole job; s, the mean where it is not known.
        baseline: The job at once at home; None with the reason in ``no_baseline_why``.
        max_price_usd: Limit for the whole run; None is no limit.
        moves: None: a run stays where it began.
        done_s: How much of the duration is done already; only what remains is planned. s, < the longest duration.
        at_once: It may not wait: each place from the earliest time on, for as long as it takes at the base width.
        running: It runs at the earliest time, so that going on at once starts nothing.
        pauses_used: Pauses that it has had already.
    """

    earliest_utc: datetime
    deadline_utc: datetime
    duration_s: float
    candidates: tuple[Candidate, ...]
    baseline: Candidate | None = None
    no_baseline_why: str = ""
    manner: Manner = PLAIN
    judgement: Judgement = EXPECTED
    max_price_usd: float | None = None
    moves: Moves | None = None
    at_once: bool = False
    done_s: float = 0.0
    running: bool = False
    pauses_used: int = 0


@dataclass(frozen=True, slots=True)
class Segment:
    """One uninterrupted stretch of the run; ``energy_kwh`` None: as much as its share of the time."""

    start_utc: datetime
    end_utc: datetime
    region: RegionId
    zone: ZoneId
    width: int = 1
    energy_kwh: float | None = None


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
    limit: Literal["deadline", "forecast", "price", "residency", "latency", "offer", "capacity"]
    short_by_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Plan:
    """When and where, what it is expected to emit, and against what.

    Attributes:
        energy_kwh: IT energy of the run.
        emissions_g: Expected; energy x PUE x intensity, plus the transfer. ``low`` and ``high`` are the 80 % band.
        at_once_g: The same run at the same place, started at the earliest time as if it were alone there; None where
            its intensity is unknown.
        baseline_g: The run at once at home, as if alone there; None with the reason in ``no_baseline_why``.
        bound_g: No plan within the limits can emit less, on this forecast.
        exact: Nothing that is better by what the user wants was left out for the sake of speed.
        chance_worse: Probability that the plan emits more than the baseline (than at once, where there is none).
        forecast_edge: The best window is the last that the forecast knows: a better one may lie beyond, within the
            deadline or with a later one.
        pue, transfer_g: Of the chosen place; the emissions hold them. baseline_...: of home; None without a baseline.
            With moves the PUE is the mean over the energy, and the transfer that of all of them.
        held_back_g: Gain of a shift that was not taken because it does not beat the forecast's error; 0: none was.
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
    held_back_g: float = 0.0

    @property
    def start_utc(self) -> datetime:
        return self.segments[0].start_utc

    @property
    def end_utc(self) -> datetime:
        return self.segments[-1].end_utc

    def energy_of(self, segment: Segment) -> float:
        """IT energy of one of its segments; kWh: its own, or its share by the time."""
        if segment.energy_kwh is not None:
            return segment.energy_kwh
        lengths_s = [(other.end_utc - other.start_utc).total_seconds() for other in self.segments]
        return self.energy_kwh * (segment.end_utc - segment.start_utc).total_seconds() / sum(lengths_s)

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
