"""When a job has no room at home: what is promised there, against what may run there at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from lowtide_core.spans import to_epoch_s

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lowtide.jobs.promises import HomeLimits, Promise

ALWAYS = ((float("-inf"), float("inf")),)
_ROUNDING = 1e-9
"""Powers that add up to so little more than the limit, relatively, are within it."""


class Blocked(NamedTuple):
    """When a job cannot run, and why.

    Attributes:
        spans: Start and end of each; s since 1970, in order, not touching.
        why: For a person; empty where there are none.
    """

    spans: tuple[tuple[float, float], ...]
    why: str


FREE = Blocked((), "")


def blocked_at_home(promised: Sequence[Promise], limits: HomeLimits, power_w: float) -> Blocked:
    """The spans in which one more job of this power is one job, or some watts, too many.

    Args:
        promised: Stretches of one job do not overlap.
        power_w: The most that the job draws; W. Where that alone is above the limit, it can never run.
    """
    most_w = float("inf") if limits.power_w is None else limits.power_w * (1 + _ROUNDING)
    most_jobs = float("inf") if limits.jobs is None else limits.jobs
    if power_w > most_w:
        return Blocked(ALWAYS, f"it draws {power_w:g} W, and home_power is {limits.power_w:g} W")
    changes = sorted(
        (to_epoch_s(instant), sign, sign * promise.power_w)
        for promise in promised
        for instant, sign in ((promise.start_utc, 1), (promise.end_utc, -1))
    )
    spans: list[tuple[float, float]] = []
    jobs, drawn_w, full_since_s = 0, 0.0, None
    for at_s, sign, change_w in changes:  # at one instant, what ends comes before what begins
        jobs, drawn_w = jobs + sign, drawn_w + change_w
        full = jobs >= most_jobs or drawn_w + power_w > most_w
        if full and full_since_s is None:
            full_since_s = at_s
            if spans and spans[-1][1] == at_s:
                full_since_s = spans.pop()[0]
        elif not full and full_since_s is not None:
            if at_s > full_since_s:
                spans.append((full_since_s, at_s))
            full_since_s = None
    count = len({promise.job for promise in promised})
    told = "1 job is promised" if count == 1 else f"{count} jobs are promised"
    return Blocked(tuple(spans), told if spans else "")
