"""Jobs of a fleet that wait for one another: planned as a graph, to the second, where no capacity is shared."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lowtide.assembly.fleet import label_of
from lowtide.assembly.fleet_plan import FleetQuote, PlacedJob
from lowtide.planning.solvers.graph import Task, plan_graph
from lowtide.planning.solvers.windows import Piece, StepSeries, best_window, mean_over
from lowtide_core.errors import InfeasibleError, InputError
from lowtide_core.quantities import JOULES_PER_KWH, SECONDS_PER_HOUR
from lowtide_core.spans import from_epoch_s

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lowtide.assembly.fleet import FleetJob, GatheredFleet
    from lowtide_core.places import Place


def plan_dependent(gathered: GatheredFleet) -> FleetQuote:
    """The plan of jobs that wait for one another; exact, and without steps.

    Raises:
        InputError: A capacity is given, a job has several places, or a name that nobody has is waited for.
        InfeasibleError: The jobs do not fit one after another before their deadlines; names the longest chain.
    """
    if gathered.problem.resources:
        raise InputError(
            "Jobs that wait for one another cannot be planned under a capacity yet.",
            hint="Leave out the column after, or --capacity.",
        )
    jobs = gathered.jobs
    tasks = [_task(gathered, job, _only_place(job)) for job in jobs]
    earliest_s = min(job.earliest_utc.timestamp() for job in jobs)
    deadline_s = max(job.deadline_utc.timestamp() for job in jobs)
    try:
        plan = plan_graph(tasks, earliest_s, deadline_s)
    except InputError as error:
        if "unknown" in error.facts:
            raise InputError(
                f"{error.facts['unknown']} is waited for in the column after, and no line has that name.",
                hint="Check its name; those of recurring jobs end with #1, #2, ...",
                **error.facts,
            ) from None
        if "short_by_s" not in error.facts:
            raise InputError(error.message.replace("Task", "Job").replace("tasks", "jobs"), hint=error.hint) from None
        raise InfeasibleError(error.message, hint=error.hint, **error.facts) from None
    begun = {run.name: run for run in plan.runs}
    soonest_s = _soonest_s(jobs)
    placed = []
    for job, task in zip(jobs, tasks, strict=True):
        run, place = begun[job.name], _only_place(job)
        placed.append(
            PlacedJob(
                name=job.name,
                start_utc=from_epoch_s(run.start_s),
                end_utc=from_epoch_s(run.end_s),
                region=place.region,
                zone=place.zone,
                label=label_of(place),
                energy_kwh=job.power_w * job.duration_s / JOULES_PER_KWH,
                emissions_g=run.emissions_g,
                at_once_g=_grams(task, soonest_s[job.name]),
            )
        )
    gap_g = max(0.0, plan.emissions_g - plan.bound_g)
    return FleetQuote(
        gathered=gathered,
        placed=tuple(placed),
        misfits=(),
        ways=(),
        emissions_g=plan.emissions_g,
        at_once_g=sum(job.at_once_g for job in placed),
        bound_g=plan.bound_g,
        uncapped_g=sum(_alone_g(job, task) for job, task in zip(jobs, tasks, strict=True)),
        gap_pct=100 * gap_g / plan.bound_g if plan.bound_g > 0 else 0.0,
        exact=plan.exact,
    )


def _soonest_s(jobs: Sequence[FleetJob]) -> dict[str, float]:
    """When each job starts if none waits for anything but those before it; s. The names are known, without a circle."""
    by_name = {job.name: job for job in jobs}
    starts_s: dict[str, float] = {}
    open_ = list(by_name)
    while open_:
        for name in [name for name in open_ if all(before in starts_s for before in by_name[name].after)]:
            job = by_name[name]
            ends_s = (starts_s[before] + by_name[before].duration_s for before in job.after)
            starts_s[name] = max((job.earliest_utc.timestamp(), *ends_s))
            open_.remove(name)
    return starts_s


def _only_place(job: FleetJob) -> Place:
    if len(job.places) > 1:
        raise InputError(
            f"{job.name} may run in {len(job.places)} places; jobs that wait for one another have one each.",
            hint="Fill the column zone or region.",
        )
    return job.places[0]


def _task(gathered: GatheredFleet, job: FleetJob, place: Place) -> Task:
    series = gathered.series[place.zone]
    return Task(
        job.name,
        job.duration_s,
        job.power_w / 1e3 * gathered.pue_of(place),
        StepSeries(series.start_s, series.step_s, series.intensity_g_per_kwh),
        after=job.after,
        earliest_s=job.earliest_utc.timestamp(),
        deadline_s=job.deadline_utc.timestamp(),
    )


def _grams(task: Task, start_s: float) -> float:
    mean = mean_over(task.series, (Piece(start_s, start_s + task.duration_s),))
    return task.power_kw * task.duration_s / SECONDS_PER_HOUR * mean


def _alone_g(job: FleetJob, task: Task) -> float:
    """The least that the job could emit if it waited for nobody; g."""
    earliest_s, deadline_s = job.earliest_utc.timestamp(), job.deadline_utc.timestamp()
    return _grams(task, best_window(task.series, earliest_s, deadline_s, task.duration_s).start_s)
