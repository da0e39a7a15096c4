"""When to start a run whose length is not known: least expected cost, the deadline kept at a stated probability."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from lowtide.planning.solvers.loads import Load, best_load
from lowtide.planning.solvers.steps import SAME_INSTANT_S, known_until_s
from lowtide_core.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lowtide.planning.solvers.steps import StepSeries
    from lowtide_core.series import FloatArray

_SHARE_TIE = 1e-12
"""Sums of shares are rounded: a quantile is not missed for less."""


@dataclass(frozen=True, slots=True, eq=False)
class Durations:
    """How long a run may take, as the probability that it still runs after some progress.

    That probability falls in straight lines, and jumps where a length is likely by itself; so it holds both a range in
    which every length is as likely, and a sample of like jobs. Make one with ``uniform`` or ``sample``.

    Attributes:
        edges_s: Progress at which the lines meet; (n + 1,), s, rising, the first 0, the last the longest run.
        begins, ends: Probability at the beginning and just before the end of each line; (n,), falling from 1.
    """

    edges_s: FloatArray
    begins: FloatArray
    ends: FloatArray

    def __post_init__(self) -> None:
        for name in ("edges_s", "begins", "ends"):
            own = np.array(getattr(self, name), dtype=np.float64)
            own.flags.writeable = False
            object.__setattr__(self, name, own)
        edges_s, begins, ends = self.edges_s, self.begins, self.ends
        sized = edges_s.ndim == 1 and edges_s.size >= 2 and begins.shape == ends.shape == (edges_s.size - 1,)
        if not sized or edges_s[0] != 0.0 or not (np.diff(edges_s) > 0).all() or not np.isfinite(edges_s[-1]):
            raise InputError(
                f"A run that ends after {edges_s[1:].tolist()} s cannot be.",
                hint="Lengths are positive and finite.",
                edges_s=edges_s,
            )
        course = np.column_stack((begins, ends)).ravel()
        if not (abs(course[0] - 1.0) <= _SHARE_TIE and course[-1] >= 0.0 and (np.diff(course) <= _SHARE_TIE).all()):
            raise InputError(
                f"The probability that the run goes on is {course.tolist()}.",
                hint="It falls from 1 and never rises.",
                shares=course,
            )

    @classmethod
    def uniform(cls, low_s: float, high_s: float) -> Durations:
        """Every length from ``low_s`` to ``high_s`` is as likely; s, 0 <= low <= high, high > 0.

        Raises:
            InputError: They are not such.
        """
        if not 0.0 <= low_s <= high_s:
            raise InputError(
                f"A run of {low_s} to {high_s} s cannot be.", hint="Give the shorter first.", low_s=low_s, high_s=high_s
            )
        if low_s == high_s:
            return cls.sample([low_s])
        if low_s == 0.0:
            return cls(np.array([0.0, high_s]), np.ones(1), np.zeros(1))
        return cls(np.array([0.0, low_s, high_s]), np.ones(2), np.array([1.0, 0.0]))

    @classmethod
    def sample(
        cls, lengths_s: Sequence[float] | FloatArray, weights: Sequence[float] | FloatArray | None = None
    ) -> Durations:
        """The lengths of like jobs, each as likely as its weight.

        Args:
            lengths_s: (m,), s, > 0, in any order. weights: (m,), >= 0, not all 0; None: all alike.
        Notes:
            The sample is taken for the distribution. Of ``n`` jobs that are exchangeable with the next one, the longest
            is outlasted with probability ``1 / (n + 1)``: a promise above ``n / (n + 1)`` needs more history.
        """
        lengths = np.asarray(lengths_s, dtype=np.float64)
        shares = np.ones(lengths.shape) if weights is None else np.asarray(weights, dtype=np.float64)
        total = float(shares.sum())
        if shares.shape != lengths.shape or not 0.0 < total < np.inf or not (shares >= 0).all():
            raise InputError(
                f"{lengths.size} lengths of like jobs have weights that sum to {total}.",
                hint="Give at least one length, and one weight each, not negative.",
                weights=shares,
            )
        longest_first = np.argsort(-lengths[shares > 0], kind="stable")
        falling_s, heavy = lengths[shares > 0][longest_first], shares[shares > 0][longest_first]
        still = (np.cumsum(heavy) / total)[::-1]  # probability to last at least as long as each, shortest first
        rising_s, first = np.unique(falling_s[::-1], return_index=True)
        begins = still[first]
        begins[0] = 1.0
        return cls(np.concatenate(((0.0,), rising_s)), begins, begins)

    @property
    def longest_s(self) -> float:
        """No run takes longer; s."""
        return float(self.edges_s[-1])

    @property
    def mean_s(self) -> float:
        """Of the length; s."""
        return float(self.lasting_s(self.edges_s[-1:])[0])

    def lasting_s(self, caps_s: FloatArray) -> FloatArray:
        """Mean of the length, or of the cap where the run is longer: the integral of the survival; (m,), s."""
        lengths_s = np.diff(self.edges_s)
        sums_s = np.concatenate(((0.0,), np.cumsum((self.begins + self.ends) / 2 * lengths_s)))
        line, since_s = self._lines(np.minimum(caps_s, self.longest_s))
        slope = (self.ends[line] - self.begins[line]) / lengths_s[line]
        return np.asarray(sums_s[line] + since_s * (self.begins[line] + since_s * slope / 2), dtype=np.float64)

    def survival(self, progress_s: float) -> float:
        """Probability that the run takes longer than this; right-continuous, 1 before 0."""
        if progress_s >= self.longest_s:
            return 0.0
        line, since_s = self._lines(np.array([max(0.0, progress_s)]))
        part = since_s / (self.edges_s[line + 1] - self.edges_s[line])
        return float((self.begins[line] + (self.ends[line] - self.begins[line]) * part)[0])

    def _lines(self, progress_s: FloatArray) -> tuple[np.ndarray[tuple[int, ...], np.dtype[np.intp]], FloatArray]:
        """The line on which each progress lies, and how far into it; (m,), s."""
        line = np.minimum(np.searchsorted(self.edges_s, progress_s, side="right"), self.begins.size) - 1
        return line, progress_s - self.edges_s[line]

    def quantile_s(self, probability: float) -> float:
        """The shortest length within which the run ends with this probability; s, for 0 < probability <= 1.

        Raises:
            InputError: The probability lies outside.
        """
        if not 0.0 < probability <= 1.0:
            raise InputError(
                f"A probability of {probability} cannot be promised.",
                hint="Give one above 0 and at most 1.",
                probability=probability,
            )
        left = 1.0 - probability
        reached = np.flatnonzero(self.ends <= left + _SHARE_TIE)
        jumped = np.flatnonzero(self.begins <= left + _SHARE_TIE)
        line = int(reached[0]) if reached.size else self.ends.size
        if jumped.size and jumped[0] <= line:
            return float(self.edges_s[jumped[0]])
        if line == self.ends.size:
            return self.longest_s
        part = (self.begins[line] - left) / (self.begins[line] - self.ends[line])
        return float(self.edges_s[line] + min(1.0, part) * (self.edges_s[line + 1] - self.edges_s[line]))

    def after(self, done_s: float) -> Durations:
        """How long the rest takes, given that the run has lasted ``done_s`` and goes on.

        Raises:
            InputError: No run lasts so long.
        """
        still = self.survival(done_s)
        if still <= _SHARE_TIE:
            raise InputError(
                f"The run has lasted {done_s:g} s; the longest known is {self.longest_s:g} s.",
                hint="Give a longer duration.",
                longest_s=self.longest_s,
            )
        first = int(np.searchsorted(self.edges_s, done_s, side="right")) - 1
        edges_s = self.edges_s[first:] - done_s
        edges_s[0] = 0.0
        begins = self.begins[first:].copy()
        begins[0] = still
        return Durations(edges_s, begins / still, self.ends[first:] / still)

    def load(self, until_s: float | None = None, *, setup_s: float = 0.0) -> Load:
        """The run as a load: its expected cost from any start is what this load costs.

        Args:
            until_s: Nothing is counted beyond this progress; s, > 0, at most the longest run, which is the default.
            setup_s: Energy of the start, as seconds of running.
        """
        cut_s = self.longest_s if until_s is None else until_s
        last = int(np.searchsorted(self.edges_s, cut_s, side="left"))
        edges_s = np.concatenate((self.edges_s[:last], (cut_s,)))
        lengths_s = np.diff(self.edges_s[: last + 1])
        kept = np.diff(edges_s) / lengths_s
        begins = self.begins[:last]
        ends = begins + (self.ends[:last] - begins) * kept
        return Load(edges_s, begins, setup_s, end_weight=ends if (ends != begins).any() else None)


class UncertainWindow(NamedTuple):
    """When to start a run of unknown length.

    Attributes:
        start_s: The start.
        expected_cost: Mean over the lengths of the integral of the values over the run, and of the set-up; value x s.
        keeps_deadline_probability: That the run from this start ends by the deadline.
        latest_start_s: No later start keeps the promise.
        beyond_known_probability: That the run takes longer than what could be counted (see ``best_uncertain_start``).
    """

    start_s: float
    expected_cost: float
    keeps_deadline_probability: float
    latest_start_s: float
    beyond_known_probability: float


class SurvivalWeights(NamedTuple):
    """What a second of progress counts: the probability that the run gets there.

    Attributes:
        edges_s: (n + 1,), s of progress, from 0. weight: Between two edges; (n,), falling from at most 1.
        off_by: Largest difference between a weight and the probability that it stands for; 0 where it is exact.
        beyond_probability: That the run takes longer than the last edge.
    """

    edges_s: FloatArray
    weight: FloatArray
    off_by: float
    beyond_probability: float


def best_uncertain_start(
    series: StepSeries,
    earliest_s: float,
    deadline_s: float,
    durations: Durations,
    *,
    probability: float,
    setup_s: float = 0.0,
) -> UncertainWindow:
    """The start with the least expected cost from which the run ends by the deadline with the given probability.

    Args:
        series: Values over time; no NaN from ``earliest_s`` to where the window needs it, see the notes.
        earliest_s: No start before; s. deadline_s: s; infinite where there is none.
        probability: Above 0, at most 1: that the run has ended by the deadline. A run that has not goes on beyond it.
        setup_s: Energy of the start, as seconds of running, at the value of its instant.
    Returns:
        The start, exactly; of equals, the earliest.
    Raises:
        InputError: No start keeps the promise, within the deadline and within what is known: ``facts["short_by_s"]``,
            and ``facts["earliest_feasible_s"]``, the earliest deadline (and end of the series) that would do.
    Notes:
        The mean over the lengths of the integral of ``v`` from ``s`` to ``s + D`` is the integral of
        ``P(D > x) v(s + x)``: a load whose weight is the survival, which ``best_load`` solves exactly.

        The length that is promised must lie within the deadline and within the known series. A longer run may leave
        the known series: nothing is guessed about the values there. All starts are then compared on the same capped
        run, which ends with the known series if it begins at the latest start; what is beyond the cap counts nothing
        in any of them. ``beyond_known_probability`` says how likely that is; 0 where the series reaches far enough.
    """
    promised_s = durations.quantile_s(probability)
    if not np.isfinite(earliest_s) or np.isnan(deadline_s):
        raise InputError(
            f"A run from {earliest_s} to {deadline_s} cannot be.", hint="Give two times.", earliest_s=earliest_s
        )
    known_s = known_until_s(series, earliest_s)
    latest_s = min(deadline_s, known_s) - promised_s
    if earliest_s - latest_s > SAME_INSTANT_S:
        limit = "the deadline" if deadline_s <= known_s else "the end of the known series"
        raise InputError(
            f"A run that ends within {promised_s:g} s with probability {probability:g} does not fit before {limit}.",
            hint=f"Allow {earliest_s - latest_s:g} s more, or a lower probability.",
            short_by_s=earliest_s - latest_s,
            earliest_feasible_s=earliest_s + promised_s,
        )
    latest_s = max(earliest_s, latest_s)
    counted_s = min(durations.longest_s, known_s - latest_s)
    load = durations.load(counted_s, setup_s=setup_s)
    found = best_load(series, earliest_s, latest_s + counted_s, load)
    return UncertainWindow(
        start_s=found.start_s,
        expected_cost=found.cost,
        keeps_deadline_probability=1.0 - durations.survival(deadline_s - found.start_s + SAME_INSTANT_S),
        latest_start_s=latest_s,
        beyond_known_probability=durations.survival(counted_s + SAME_INSTANT_S),
    )


def survival_weights(
    durations: Durations, horizon_s: float, probability: float, *, grain_s: float | None = None
) -> SurvivalWeights:
    """Weights by progress for a job of unknown length that may pause: the cost of a plan is then its expected cost.

    Args:
        horizon_s: No progress beyond is planned; s, > 0.
        probability: The plan holds the work that is enough with this probability; above 0, at most 1.
        grain_s: Length of a stretch of progress; s. None: the lengths of the sample are the edges.
    Returns:
        Weights up to the shorter of the horizon and the quantile of the probability.
    Raises:
        InputError: A horizon or grain that is not positive, or no grain where the probability falls in a slope.
    Notes:
        Without a grain, exact. With one, each weight is the mean survival over its stretch. A stretch that lies within
        one step of the series costs exactly what it should; one that does not, at most ``off_by`` x its length x the
        difference of the values wrong. For a uniform length, ``off_by`` is at most ``grain / (2 (high - low))``.
    """
    covered_s = min(horizon_s, durations.quantile_s(probability))
    if not covered_s > 0.0 or (grain_s is not None and not grain_s > 0.0):
        raise InputError(
            f"A horizon of {horizon_s} s in stretches of {grain_s} s cannot be.",
            hint="Both are positive.",
            horizon_s=horizon_s,
            grain_s=grain_s,
        )
    load = durations.load(covered_s)
    beyond = durations.survival(covered_s)
    if grain_s is None:
        if load.end_weight is not None:
            raise InputError(
                "The probability that the run goes on falls in a slope.", hint="Give a grain.", grain_s=grain_s
            )
        return SurvivalWeights(load.edges_s, load.weight, 0.0, beyond)
    count = max(1, int(np.ceil(covered_s / grain_s - 1e-9)))
    edges_s = np.minimum(grain_s * np.arange(count + 1, dtype=np.float64), covered_s)
    means = np.diff(durations.lasting_s(edges_s)) / np.diff(edges_s)
    weight = np.minimum.accumulate(np.minimum(means, 1.0))  # a mean that is rounded up does not rise
    at_begin, at_end = load.weight_at(edges_s[:-1]), load.weight_at(np.nextafter(edges_s[1:], 0.0))
    off_by = float(np.maximum(at_begin - weight, weight - at_end).max())
    return SurvivalWeights(edges_s, weight, off_by, beyond)
