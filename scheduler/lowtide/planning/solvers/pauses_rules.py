"""What pausing costs a job and how often it may, and what running counts for by progress."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from lowtide.planning.solvers.steps import SAME_INSTANT_S
from lowtide_core.errors import InputError

if TYPE_CHECKING:
    from lowtide_core.series import FloatArray


def require_amount(name: str, amount: float, *, finite: bool = True) -> None:
    """Refuse an amount that is NaN or negative, or infinite where it must not be; the fact has its name."""
    if not amount >= 0 or (finite and math.isinf(amount)):
        raise InputError(f"{name} is {amount}.", hint="It is a number and not negative.", **{name: amount})


@dataclass(frozen=True, slots=True)
class PauseRules:
    """What starting and stopping cost, and how often a job may pause.

    Attributes:
        first_start_s, restart_s, stop_s: Energy of the first start, of each resume and of the final stop, as seconds of
            running at a weight of 1; s, >= 0. Each is charged at the value of its instant and takes no time.
        max_pauses: None where there is no limit.
        min_run_s: No run is shorter, the last one included; a job that is shorter as a whole is one run; s, >= 0.
    """

    first_start_s: float = 0.0
    restart_s: float = 0.0
    stop_s: float = 0.0
    max_pauses: int | None = None
    min_run_s: float = 0.0

    def __post_init__(self) -> None:
        for name in ("first_start_s", "restart_s", "stop_s", "min_run_s"):
            require_amount(name, getattr(self, name))
        if self.max_pauses is not None and self.max_pauses < 0:
            raise InputError(
                f"max_pauses is {self.max_pauses}.",
                hint="It is 0 or more, or None for no limit.",
                max_pauses=self.max_pauses,
            )

    def after_pauses(self, pauses: int) -> PauseRules:
        """The rules for the rest of a job that has begun, and has paused that often (the present pause included).

        Raises:
            InputError: It has paused more often than it may.
        """
        left = None if self.max_pauses is None else self.max_pauses - pauses
        return replace(self, first_start_s=self.restart_s, max_pauses=left)

    @property
    def cost_nothing(self) -> bool:
        """Whether pauses are free and a run may be as short as one likes; how many there are may be limited."""
        return not (self.first_start_s or self.restart_s or self.stop_s or self.min_run_s)


@dataclass(frozen=True, slots=True)
class ProgressWeight:
    """A factor on what running costs, by how long the job has run: its power, or the chance that it runs so long.

    Attributes:
        until_s: Progress at which each factor ends, rising; s. The last factor holds from there on as well.
        factors: One for each; >= 0.
        is_survival: The factors are the probability that the job, of unknown duration, is still running. Then starts
            count with that probability too, and the final stop comes where the job may end. They never rise.
    """

    until_s: tuple[float, ...]
    factors: tuple[float, ...]
    is_survival: bool = False

    def __post_init__(self) -> None:
        until_s, factors = np.array(self.until_s), np.array(self.factors)
        rising = until_s.size == factors.size > 0 and bool(np.all(np.diff(until_s, prepend=0.0) > 0))
        if not rising or not np.isfinite(until_s).all():
            raise InputError(
                f"A weight has {factors.size} factors that end at {self.until_s} s of progress.",
                hint="Give at least one factor, and as many ends, positive and rising.",
                until_s=self.until_s,
            )
        for factor in self.factors:
            require_amount("factor", factor)
        if self.is_survival and bool(np.any(np.diff(factors) > 0)):
            raise InputError(
                f"The chance to be still running rises: {self.factors}.",
                hint="Give probabilities that never rise.",
                factors=self.factors,
            )

    def after(self, done_s: float, *, still: float | None = None) -> ProgressWeight:
        """The weight of what is left when so much is done; s. A survival is then of the jobs that still run.

        Args:
            still: Of a survival, the probability to be still running at that progress; 0-1. A factor stands for a
                stretch, of which a part may be done: only with this number are means and lower bounds alike divided by
                the same. None, or 0 (no known length is so long): the factor that holds there.
        """
        if still is not None:
            require_amount("still", still)
        kept = [i for i, end_s in enumerate(self.until_s) if end_s > done_s] or [len(self.until_s) - 1]
        factors = [self.factors[i] for i in kept]
        share = still or factors[0]
        if self.is_survival and share > 0:
            factors = [min(1.0, factor / share) for factor in factors]
        ends_s = [max(self.until_s[i] - done_s, SAME_INSTANT_S) for i in kept]
        return replace(self, until_s=tuple(ends_s), factors=tuple(factors))

    def at(self, progress_s: FloatArray) -> FloatArray:
        """The factor that holds from that progress on; same shape."""
        factors: FloatArray = np.array(self.factors)
        which = np.searchsorted(self.until_s, progress_s + SAME_INSTANT_S, "right")
        return factors[np.minimum(which, factors.size - 1)]

    def integral_s(self, progress_s: FloatArray) -> FloatArray:
        """What has been weighted up to that progress; same shape, s."""
        ends_s = np.array((0.0, *self.until_s))
        until_there_s = np.concatenate(([0.0], np.cumsum(np.diff(ends_s) * self.factors)))
        beyond_s = np.maximum(progress_s - ends_s[-1], 0.0) * self.factors[-1]
        sums_s: FloatArray = np.interp(progress_s, ends_s, until_there_s) + beyond_s
        return sums_s


EVEN = ProgressWeight((1.0,), (1.0,))
"""The same at any progress."""
