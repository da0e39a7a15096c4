"""Joins the jobs of a file, the capacities and the signals into one ``FleetProblem`` on a common grid of steps."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np

from lowtide.assembly.problem import pue_at
from lowtide.planning.fleet.types import FleetJobs, FleetProblem, Pool
from lowtide.planning.solvers.steps import SAME_INSTANT_S
from lowtide.planning.solvers.windows import StepSeries, known_until_s
from lowtide_core.errors import InfeasibleError, InputError
from lowtide_core.places import LOCAL
from lowtide_core.series import require_one_frame
from lowtide_core.spans import Span, from_epoch_s, iso_utc

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from lowtide_core.places import Place, ZoneId
    from lowtide_core.series import FloatArray, Frame, SignalSeries
    from lowtide_providers.signals.chain import Chain

MOST_STEPS = 100_000


@dataclass(frozen=True, slots=True)
class FleetJob:
    """One line of the file, understood.

    Attributes:
        demand: What it takes of each resource while it runs, by the resource's name.
        power_w: IT power while it runs.
        places: Where it may run; the first is its home.
        share: The group (user, account) to which it is counted.
        after: Names of the jobs that must have finished before.
    """

    name: str
    duration_s: float
    earliest_utc: datetime
    deadline_utc: datetime
    power_w: float
    places: tuple[Place, ...]
    demand: Mapping[str, float]
    priority: float = 0.0
    share: str = ""
    after: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Capacity:
    """So much of a resource, in one place (its label) or (empty) in each, for a time or (None) for all of it."""

    resource: str
    amount: float
    place: str = ""
    from_utc: datetime | None = None
    until_utc: datetime | None = None


@dataclass(frozen=True, slots=True, eq=False)
class GatheredFleet:
    """One snapshot: the problem, and what its indices mean.

    Attributes:
        start_utc: Where step 0 begins. places: in the order of the problem's pools.
        series: The series used, by zone.
    """

    problem: FleetProblem
    jobs: tuple[FleetJob, ...]
    places: tuple[Place, ...]
    start_utc: datetime
    series: Mapping[ZoneId, SignalSeries]

    def pue_of(self, place: Place) -> float:
        """Facility over IT energy at one of the places."""
        return self.problem.pools[self.places.index(place)].pue

    @property
    def frame(self) -> Frame:
        """The one frame of every intensity."""
        return next(iter(self.series.values())).frame

    @property
    def sources(self) -> str:
        """Who gave the intensities."""
        return " and ".join(dict.fromkeys(one.source for one in self.series.values()))

    def instant_utc(self, step: int) -> datetime:
        """Where a step begins."""
        return self.start_utc + timedelta(seconds=step * self.problem.step_s)


def build_fleet(
    jobs: Sequence[FleetJob],
    capacities: Sequence[Capacity],
    chain: Chain,
    *,
    now_utc: datetime,
    step_s: float | None,
    local_pue: float,
) -> GatheredFleet:
    """Gathers once; the plan is made from the result alone.

    Args:
        step_s: Length of a step; None is the shortest step of the series.
    Raises:
        InputError: A capacity of a resource or region that no job needs, or a step that no series can be cut into.
        InfeasibleError: The series end before the last deadline.
        ProviderError: No source covers a zone.
    Notes:
        Starts lie on steps. A job that does not fill its last step keeps its capacity to the end of it; its energy is
        that of its duration, spread over the steps.
    """
    _require_names(jobs, capacities)
    places = tuple(dict.fromkeys(place for job in jobs for place in job.places))
    last_utc = max(job.deadline_utc for job in jobs)
    span = Span(now_utc, last_utc)
    resolution = chain.resolve(
        tuple(dict.fromkeys(place.zone for place in places)), span=span, needed=span, wanted="forecast"
    )
    series = resolution.series
    require_one_frame((f"{zone} ({one.source})", one.frame) for zone, one in series.items())
    step_s = step_s if step_s is not None else min(3600.0, *(one.step_s for one in series.values()))
    start_s = _first_edge_s(series, now_utc.timestamp(), step_s)
    count = int((last_utc.timestamp() - start_s) // step_s)
    if not 1 <= count <= MOST_STEPS:
        raise InputError(
            f"{count} steps of {step_s:g} s lie between now and the last deadline.",
            hint="Give a longer or shorter --step.",
        )
    resources = tuple(dict.fromkeys(capacity.resource for capacity in capacities))  # the others have no limit
    pools = tuple(
        Pool(
            label=label_of(place),
            intensity_g_per_kwh=_means(series[place.zone], start_s, step_s, count),
            pue=pue_at(place, local_pue),
            capacity=_capacity(capacities, resources, label_of(place), start_s, step_s, count),
        )
        for place in places
    )
    columns = _columns(jobs, places, resources, start_s=start_s, step_s=step_s, count=count)
    problem = FleetProblem(pools, columns, resources, step_s)
    return GatheredFleet(problem, tuple(jobs), places, from_epoch_s(start_s), series)


def _require_names(jobs: Sequence[FleetJob], capacities: Sequence[Capacity]) -> None:
    names = [job.name for job in jobs]
    twice = next((name for name in names if names.count(name) > 1), None) if len(set(names)) < len(names) else None
    if twice is not None:
        raise InputError(f"Two jobs are named {twice!r}.", hint="Give each job a name of its own.", name=twice)
    labels = {label_of(place) for job in jobs for place in job.places}
    resources = {name for job in jobs for name in job.demand}
    for capacity in capacities:
        if capacity.resource not in resources:
            raise InputError(
                f"A capacity of {capacity.resource!r} is given, but no job needs any.",
                hint=f"The jobs need {', '.join(sorted(resources)) or 'nothing'}.",
            )
        if capacity.place and capacity.place not in labels:
            raise InputError(
                f"A capacity in {capacity.place!r} is given, but no job may run there.",
                hint=f"They may run in {', '.join(sorted(labels))}.",
            )


def label_of(place: Place) -> str:
    """What a person calls a place: its region, or for this machine its zone."""
    return place.zone if place.region == LOCAL else place.region


def _first_edge_s(series: Mapping[ZoneId, SignalSeries], now_s: float, step_s: float) -> float:
    """The first instant at or after now that lies on the grid of the finest series."""
    finest = min(series.values(), key=lambda one: one.step_s)
    return finest.start_s + float(np.ceil((now_s - finest.start_s) / step_s - 1e-9)) * step_s


def _means(series: SignalSeries, start_s: float, step_s: float, count: int) -> FloatArray:
    """Mean intensity of each step; (T,), g/kWh."""
    known_s = known_until_s(StepSeries(series.start_s, series.step_s, series.intensity_g_per_kwh), start_s)
    if known_s < start_s + count * step_s - SAME_INSTANT_S:
        raise InfeasibleError(
            f"{series.source} knows {series.zone} only until {iso_utc(from_epoch_s(known_s))}.",
            hint="Choose a source that looks further ahead (--signal climatology), or earlier deadlines.",
            zone=series.zone,
        )
    edges_s = series.start_s + series.step_s * np.arange(series.intensity_g_per_kwh.size + 1) - start_s
    integral = np.concatenate(([0.0], np.cumsum(np.nan_to_num(series.intensity_g_per_kwh)))) * series.step_s
    grid_s = step_s * np.arange(count + 1)
    return np.asarray(np.diff(np.interp(grid_s, edges_s, integral)) / step_s, dtype=np.float64)


def _capacity(
    capacities: Sequence[Capacity], resources: Sequence[str], label: str, start_s: float, step_s: float, count: int
) -> FloatArray:
    """What there is of each resource in each step; (K, T). Of several that apply, the later line holds.

    A capacity holds in every step that it touches only in part, if it is the smaller one.
    """
    limit = np.full((len(resources), count), np.inf)
    for capacity in capacities:
        if capacity.place not in ("", label):
            continue
        row = limit[resources.index(capacity.resource)]
        first = 0.0 if capacity.from_utc is None else (capacity.from_utc.timestamp() - start_s) / step_s
        last = float(count) if capacity.until_utc is None else (capacity.until_utc.timestamp() - start_s) / step_s
        inner = slice(max(0, int(np.ceil(first - 1e-9))), max(0, int(np.floor(last + 1e-9))))
        outer = slice(max(0, int(np.floor(first + 1e-9))), max(0, int(np.ceil(last - 1e-9))))
        row[inner] = capacity.amount
        row[outer] = np.minimum(row[outer], capacity.amount)
    return limit


def _columns(
    jobs: Sequence[FleetJob],
    places: Sequence[Place],
    resources: Sequence[str],
    *,
    start_s: float,
    step_s: float,
    count: int,
) -> FleetJobs:
    """The jobs as columns: released in the first whole step, due in the last."""
    release = np.array([np.ceil((job.earliest_utc.timestamp() - start_s) / step_s - 1e-9) for job in jobs])
    due = np.array([np.floor((job.deadline_utc.timestamp() - start_s) / step_s + 1e-9) for job in jobs])
    duration_s = np.array([job.duration_s for job in jobs])
    run = np.maximum(1, np.ceil(duration_s / step_s - 1e-9))
    groups = {name: index for index, name in enumerate(dict.fromkeys(job.share for job in jobs))}
    return FleetJobs(
        release_step=np.maximum(0, release).astype(np.int64),
        due_step=np.clip(due, 0, count).astype(np.int64),
        run_steps=run.astype(np.int64),
        demand=np.array([[job.demand.get(name, 0.0) for name in resources] for job in jobs]).reshape(
            len(jobs), len(resources)
        ),
        power_kw=np.array([job.power_w for job in jobs]) / 1e3,
        allowed=np.array([[place in job.places for place in places] for job in jobs]),
        fixed_g=np.zeros((len(jobs), len(places))),
        priority=np.array([job.priority for job in jobs]),
        share=np.array([groups[job.share] for job in jobs], dtype=np.int64),
        unused=np.maximum(0.0, run - duration_s / step_s),
        home=np.array([places.index(job.places[0]) for job in jobs], dtype=np.int64),
    )
