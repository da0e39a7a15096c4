"""The jobs of a machine-learning project that is worked on from nine to five, as arrays: for tests and benchmarks.

Source:
    P. Wiesner, I. Behnke, D. Scheinert, K. Gontarska, L. Thamsen, Let's Wait Awhile: How Temporal Workload Shifting Can
    Reduce Carbon Emissions in the Cloud, Middleware 2021, scenario II: 3,387 jobs of 4 to 90 h at 2,036.6 W, issued on
    workdays between 9:00 and 17:00. The authors' jobs are not at hand; these are drawn anew with the same figures.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Container
    from datetime import tzinfo

    from lowtide_core.series import FloatArray

Deadline = Literal["next-workday", "semi-weekly"]

DEADLINES: tuple[Deadline, ...] = ("next-workday", "semi-weekly")
JOBS = 3387
POWER_W = 2036.6
SLOT_S = 1800.0

_OPENS, _CLOSES = 9, 17
_MONDAY, _THURSDAY, _SATURDAY = 0, 3, 5


class WorkdayJobs(NamedTuple):
    """In the order of their arrival; (m,), s since 1970, all on half hours."""

    earliest_s: FloatArray
    end_by_s: FloatArray
    duration_s: FloatArray


def workday_jobs(year: int, zone: tzinfo, deadline: Deadline, *, seed: int, jobs: int = JOBS) -> WorkdayJobs:
    """Jobs that arrive from January to mid-December, with the paper's deadlines, by the clocks of the zone.

    Args:
        deadline: ``next-workday``: a job that would end in working hours if run at once may not be shifted, any other
            must have ended when the next workday begins. ``semi-weekly``: results are looked at when Monday and when
            Thursday begin, so a job must have ended at the first of these after it would have ended if run at once.
        seed: Of the arrivals and of the lengths, which are spread evenly on a scale of logarithms.
    """
    dice = np.random.default_rng(seed)
    first = datetime(year, 1, 3, tzinfo=zone)
    workdays = [day for day in (first + timedelta(days=d) for d in range(340)) if day.weekday() < _SATURDAY]
    slots = np.sort(dice.integers(0, len(workdays) * 2 * (_CLOSES - _OPENS), jobs))
    halves_of_hours = np.rint(2 * 4 * (90 / 4) ** dice.random(jobs)).astype(int)
    end_by = _next_workday if deadline == "next-workday" else _next_look
    rows = []
    for slot, half_hours in zip(slots.tolist(), halves_of_hours.tolist(), strict=True):
        day, half_hour = divmod(slot, 2 * (_CLOSES - _OPENS))
        arrival_s = workdays[day].replace(hour=_OPENS + half_hour // 2, minute=30 * (half_hour % 2)).timestamp()
        duration_s = half_hours * SLOT_S
        ended = datetime.fromtimestamp(arrival_s + duration_s, UTC).astimezone(zone)
        rows.append((arrival_s, end_by(ended).timestamp(), duration_s))
    return WorkdayJobs(*np.array(rows).T)


def _next_workday(ended: datetime) -> datetime:
    if ended.weekday() < _SATURDAY and _OPENS <= ended.hour < _CLOSES:
        return ended
    return _next_opening(ended, range(_SATURDAY))


def _next_look(ended: datetime) -> datetime:
    return _next_opening(ended, (_MONDAY, _THURSDAY))


def _next_opening(ended: datetime, weekdays: Container[int]) -> datetime:
    opening = ended.replace(hour=_OPENS, minute=0)
    while opening < ended or opening.weekday() not in weekdays:
        opening += timedelta(days=1)
    return opening
