"""Columns of jobs that may wait, checked against a series and counted from its start."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from lowtide.planning.solvers.steps import SAME_INSTANT_S, integral_of
from lowtide_core.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from lowtide.planning.solvers.steps import Integral, StepSeries
    from lowtide_core.series import FloatArray


class WaitingJobs(NamedTuple):
    """Checked columns, one value a job; times count from the start of the series."""

    arrival_s: FloatArray
    length_s: FloatArray
    believed_s: FloatArray
    max_wait_s: FloatArray
    weight: FloatArray


def integral_from_start(series: StepSeries) -> Integral:
    """The series' integral, on the axis of ``WaitingJobs``; over a gap, which no job reaches, it does not grow."""
    known = np.isfinite(series.values)
    level = float(series.values[known].mean()) if known.any() else 0.0
    edges_s = series.step_s * np.arange(series.values.size + 1, dtype=np.float64)
    return integral_of(edges_s, np.where(known, series.values, level), level=level)


def require_jobs(
    series: StepSeries,
    arrival_s: ArrayLike,
    length_s: ArrayLike,
    max_wait_s: ArrayLike,
    weight: ArrayLike,
    believed_length_s: ArrayLike | None,
    *,
    weight_name: str = "weight",
) -> WaitingJobs:
    """The columns as arrays of one length, every value in its range, every job covered by the series.

    Raises:
        InputError: As ``plan_waits`` says.
    """
    arrivals = np.asarray(arrival_s, dtype=np.float64)
    if arrivals.ndim != 1 or not arrivals.size:
        raise InputError(f"Arrivals of the shape {arrivals.shape} are no jobs.", hint="Give one row of at least one.")
    _column("arrival_s", arrivals, arrivals.size, least=-np.inf)
    lengths = _column("length_s", length_s, arrivals.size, open_end=True)
    believed = lengths
    if believed_length_s is not None:
        believed = _column("believed_length_s", believed_length_s, arrivals.size, open_end=True)
    waits = _column("max_wait_s", max_wait_s, arrivals.size)
    weights = _column(weight_name, weight, arrivals.size)
    jobs = WaitingJobs(arrivals - series.start_s, lengths, believed, waits, weights)
    _require_cover(series, jobs)
    return jobs


def _column(name: str, values: ArrayLike, jobs: int, *, least: float = 0.0, open_end: bool = False) -> FloatArray:
    column = np.asarray(values, dtype=np.float64)
    if column.shape not in ((), (jobs,)):
        raise InputError(
            f"{name} has the shape {column.shape} for {jobs} jobs.", hint="Give one value, or one a job.", column=name
        )
    column = np.broadcast_to(column, (jobs,))
    sound = np.isfinite(column) & ((column > least) | (column == least) & (not open_end))
    if not sound.all():
        job = int(np.argmin(sound))
        raise InputError(
            f"{name} of job {job} is {column[job]}.",
            hint=f"It must be finite and {'above' if open_end else 'at least'} {least:g}.",
            job=job,
            column=name,
        )
    return column


def _require_cover(series: StepSeries, jobs: WaitingJobs) -> None:
    """Every job must find values from its arrival to its last possible end."""
    if not (series.step_s > 0 and series.values.size):
        raise InputError("The series has no steps.", hint="Give at least one value and a positive step.")
    end_s = jobs.arrival_s + jobs.max_wait_s + np.maximum(jobs.length_s, jobs.believed_s)
    gaps = np.flatnonzero(~np.isfinite(series.values)) * series.step_s
    first_gap_s = np.append(gaps, series.values.size * series.step_s)
    from_s = np.floor(jobs.arrival_s / series.step_s) * series.step_s
    known_s = first_gap_s[np.minimum(np.searchsorted(first_gap_s, from_s), first_gap_s.size - 1)]
    covered = (jobs.arrival_s >= 0.0) & (end_s <= known_s + SAME_INSTANT_S)
    if covered.all():
        return
    job = int(np.argmin(covered))
    early = not jobs.arrival_s[job] >= 0.0
    raise InputError(
        f"Job {job} arrives {jobs.arrival_s[job]:g} s after the series' start and may end at {end_s[job]:g} s; "
        f"the series is known until {known_s[job]:g} s.",
        hint="Give a series that covers every job from its arrival to its last possible end.",
        job=job,
        short_by_s=float(-jobs.arrival_s[job] if early else end_s[job] - known_s[job]),
    )
