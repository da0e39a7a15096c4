"""Forecasts as they were issued, beside what came: one grid of time for both, and nothing that was not known yet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from lowtide.planning.solvers.steps import SAME_INSTANT_S, StepSeries, prepare
from lowtide_core.errors import InputError
from lowtide_core.quantities import SECONDS_PER_HOUR

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from lowtide.planning.solvers.steps import PreparedSeries
    from lowtide_core.series import FloatArray, Frame

    IntArray = npt.NDArray[np.int64]
    BoolArray = npt.NDArray[np.bool_]

HOURS_OF_DAY = 24


def step_at(when_s: FloatArray, step_s: float) -> IntArray:
    """The step in which each time lies, one at the end of a step in the next; s from the start of step 0."""
    return np.asarray(np.floor((when_s + SAME_INSTANT_S) / step_s), dtype=np.int64)


def steps_until(end_s: FloatArray, step_s: float) -> IntArray:
    """How many steps begin before each time; s from the start of step 0."""
    return np.asarray(np.ceil((end_s - SAME_INSTANT_S) / step_s), dtype=np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class Came:
    """What came in a zone: value ``i`` holds on the step that begins ``i * step_s`` after the start.

    Attributes:
        start_s: Start of step 0, s since 1970; a whole hour.
        step_s: A part of an hour, or an hour; s.
        values: (T,), g/kWh; NaN is a gap.
    """

    zone: str
    start_s: float
    step_s: float
    values: FloatArray
    frame: Frame
    source: str

    def prepared(self) -> PreparedSeries:
        """With its running sums, on the axis that begins with it."""
        return prepare(StepSeries(0.0, self.step_s, self.values))


@dataclass(frozen=True, slots=True, eq=False)
class Issued:
    """Forecasts of one zone on the grid of what came; times in seconds from its start.

    Attributes:
        issued_s: When each may be used first; (n,), s, ascending.
        first_step: The step of column 0; (n,).
        values: (n, h), g/kWh: ``[i, j]`` is for step ``first_step[i] + j``. NaN where nothing is said.
    """

    issued_s: FloatArray
    first_step: IntArray
    values: FloatArray

    def __post_init__(self) -> None:
        count = self.issued_s.size
        if self.values.ndim != 2 or len(self.values) != count or self.first_step.shape != (count,):
            raise InputError(
                f"{count} forecasts have the shape {self.values.shape}.", hint="Give one row for each forecast."
            )
        if count > 1 and (np.diff(self.issued_s) <= 0).any():
            raise InputError("The forecasts are not in the order of their issue.", hint="Sort them; keep one of each.")

    @property
    def horizon(self) -> int:
        return int(self.values.shape[1])

    def newest(self, when_s: FloatArray) -> IntArray:
        """Which is the newest at each time; -1 where none has been issued by then."""
        found: IntArray = np.searchsorted(self.issued_s, when_s + SAME_INSTANT_S, side="right") - 1
        return found

    def between(self, first: int, last: int) -> Issued:
        """The forecasts ``first`` to ``last``, both included."""
        rows = slice(first, last + 1)
        return Issued(self.issued_s[rows], self.first_step[rows], self.values[rows])


def hourly_issues(came: Came, issue_h: IntArray, values: FloatArray) -> Issued:
    """Forecasts made at whole hours for whole hours, on the grid.

    Args:
        issue_h: (n,) hours from the start, ascending.
        values: (n, hours ahead), g/kWh.
    """
    per_hour = round(SECONDS_PER_HOUR / came.step_s)
    return Issued(
        issue_h.astype(np.float64) * SECONDS_PER_HOUR, issue_h * per_hour, np.repeat(values, per_hour, axis=1)
    )


def newest_of_each_step(
    step_s: float, issued_s: Sequence[float], first_step: Sequence[int], values: Sequence[FloatArray]
) -> Issued:
    """Forecasts in which each step has the newest value that was known when the last was issued.

    A forecast that begins later than its issue, or has a gap, leaves the values of the one before.

    Args:
        step_s: Of the grid; s.
        issued_s: (n,), s from the start of the grid, ascending.
        first_step: (n,) step of the first value of each.
        values: Of each, g/kWh, step by step.
    Returns:
        The forecasts; column 0 of each is the step in which it was issued.
    """
    begins = step_at(np.asarray(issued_s, dtype=np.float64), step_s).tolist()
    ends = [first + row.size for first, row in zip(first_step, values, strict=True)]
    origin = min(*begins, *first_step)
    horizon = max(1, *(end - begin for begin, end in zip(begins, ends, strict=True)))
    newest = np.full(max(ends + begins) + horizon - origin, np.nan)
    rows = np.empty((len(begins), horizon))
    for number, (begin, first, row) in enumerate(zip(begins, first_step, values, strict=True)):
        part = newest[first - origin : first - origin + row.size]
        np.copyto(part, row, where=~np.isnan(row))
        rows[number] = newest[begin - origin : begin - origin + horizon]
    return Issued(np.asarray(issued_s, dtype=np.float64), np.asarray(begins, dtype=np.int64), rows)


def past_errors(issued: Issued, came: Came, *, least: int = 7) -> FloatArray:
    """How wrong the forecasts had been, by the hour of the issue and the horizon, as known at each issue.

    Args:
        least: From fewer errors nothing is concluded.
    Returns:
        Mean absolute error of the earlier forecasts of the same hour of day, step by step; (n, h), g/kWh. NaN where
        fewer than ``least`` had come true by the issue.
    """
    columns = np.arange(issued.horizon)
    steps = issued.first_step[:, None] + columns
    inside = (steps >= 0) & (steps < came.values.size)
    error = np.abs(issued.values - np.where(inside, came.values[np.clip(steps, 0, came.values.size - 1)], np.nan))
    hour = (came.start_s + issued.first_step * came.step_s) // SECONDS_PER_HOUR % HOURS_OF_DAY
    means = np.full(error.shape, np.nan)
    for of_day in np.unique(hour):
        rows = np.flatnonzero(hour == of_day)
        known = ~np.isnan(error[rows])
        sums, counts = (
            np.concatenate((np.zeros((1, issued.horizon)), np.cumsum(part, axis=0)))
            for part in (np.where(known, error[rows], 0.0), known)
        )
        begin, now = issued.first_step[rows], step_at(issued.issued_s[rows], came.step_s)
        for column in columns:
            over = np.searchsorted(begin + column + 1, now, side="right")  # rows whose step had ended
            enough = counts[over, column] >= least
            means[rows[enough], column] = (sums[over, column] / np.maximum(counts[over, column], 1))[enough]
    return means


class OnRows(NamedTuple):
    """Where times lie on forecasts laid end to end; (m,) each, s on the axis of the rows.

    Attributes:
        at_s: The time itself; NaN where no forecast is known.
        until_s: As far as the forecast goes without a gap; NaN likewise.
    """

    at_s: FloatArray
    until_s: FloatArray


class LaidOut:
    """Forecasts laid end to end on one axis, so that jobs with different forecasts are planned in one call.

    Attributes:
        series: The forecasts, one after another.
        errors: Past error of each of its steps; (n * h,), g/kWh, 0 where none is known.
    """

    __slots__ = ("_ends", "_issued", "_step_s", "_summed", "errors", "series")

    def __init__(self, issued: Issued, errors: FloatArray, step_s: float) -> None:
        self._issued, self._step_s = issued, step_s
        values = issued.values
        self.series = prepare(StepSeries(0.0, step_s, values.reshape(-1)))
        self.errors = np.nan_to_num(errors).reshape(-1)
        self._summed = np.concatenate(([0.0], np.cumsum(self.errors))) * step_s
        horizon = issued.horizon
        ends = np.where(np.isnan(values), np.arange(horizon), horizon)
        ends = np.minimum.accumulate(ends[:, ::-1], axis=1)[:, ::-1] + horizon * np.arange(len(values))[:, None]
        self._ends = ends.reshape(-1)

    def place(self, when_s: FloatArray) -> OnRows:
        """The newest forecast of each time."""
        issued = self._issued
        row = issued.newest(when_s)
        first = np.maximum(row, 0)
        offset_s = when_s - issued.first_step[first] * self._step_s
        known = (row >= 0) & (offset_s < issued.horizon * self._step_s)
        at_s = first * (issued.horizon * self._step_s) + offset_s
        cell = np.where(known, at_s / self._step_s, 0).astype(np.int64)
        return OnRows(np.where(known, at_s, np.nan), np.where(known, self._ends[cell] * self._step_s, np.nan))

    def mean_error(self, start_s: FloatArray, duration_s: FloatArray) -> FloatArray:
        """Mean of the past errors over runs on the axis of the rows; (m,), g/kWh, what is not known counts as none."""
        edges_s = self._step_s * np.arange(self._summed.size)
        from_s, until_s = (np.interp(times_s, edges_s, self._summed) for times_s in (start_s, start_s + duration_s))
        return np.asarray((until_s - from_s) / duration_s)
