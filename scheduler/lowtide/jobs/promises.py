"""What this machine has promised to jobs, and how much it may promise at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from datetime import datetime

    from lowtide.jobs.manner import Manner


class Promise(NamedTuple):
    """One stretch of time that is promised to a job, with the IT power that it draws then; W."""

    job: str
    start_utc: datetime
    end_utc: datetime
    power_w: float


class HomeLimits(NamedTuple):
    """What this machine may run at once; None is no limit.

    Attributes:
        jobs: So many jobs. power_w: so much IT power of jobs; W.
    """

    jobs: int | None = None
    power_w: float | None = None

    def __bool__(self) -> bool:
        return self.jobs is not None or self.power_w is not None


UNLIMITED = HomeLimits()


def peak_power_w(manner: Manner, mean_w: float, width: int | None = None) -> float:
    """The most that a job draws at once, W: at one of its widths, or (None) at any."""
    if manner.widths is not None:
        return max(manner.widths.power_w) if width is None else manner.widths.at(width)[1]
    return mean_w * max((relative for _, relative in manner.course), default=1.0)
