"""Energy over time, and what it emits on a series of intensities."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from lowtide.planning.solvers.loads import Load, best_load
from lowtide.planning.solvers.steps import SAME_INSTANT_S, StepSeries, known_until_s
from lowtide_core.errors import InputError
from lowtide_core.quantities import JOULES_PER_KWH
from lowtide_core.spans import parse_iso_utc

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lowtide.planning.types import Plan
    from lowtide_core.series import FloatArray, SignalSeries

BUCKET_S = 300.0
"""The sampler's buckets: whole five minutes of UTC."""


@dataclass(frozen=True, slots=True, eq=False)
class Profile:
    """Energy in stretches of time, each at constant power, in order, never overlapping.

    Attributes:
        start_s, end_s: Seconds since 1970; (n,), ``start < end``.
        energy_kwh: IT energy in each; (n,), >= 0.
    """

    start_s: FloatArray
    end_s: FloatArray
    energy_kwh: FloatArray

    def __post_init__(self) -> None:
        sizes = {self.start_s.size, self.end_s.size, self.energy_kwh.size}
        in_order = (self.start_s < self.end_s).all() and (self.start_s[1:] >= self.end_s[:-1]).all()
        if len(sizes) != 1 or not self.start_s.size or not in_order or not (self.energy_kwh >= 0).all():
            raise InputError(
                "A profile of energy is empty, out of order, overlapping or negative.", hint="Mend the run."
            )

    @property
    def total_kwh(self) -> float:
        return float(self.energy_kwh.sum())

    @property
    def length_s(self) -> float:
        return float(self.end_s[-1] - self.start_s[0])

    def same_course_as(self, other: Profile) -> bool:
        """Whether the two spend the same shares of their energy at the same times, however they are cut up.

        A billionth of the energy and of the time may differ: a plan has one stretch where the sampler has buckets.
        """
        away_s = abs(self.start_s[0] - other.start_s[0]) + abs(self.end_s[-1] - other.end_s[-1])
        if away_s > 1e-9 * self.length_s:
            return False
        times_s = np.concatenate((self.start_s, self.end_s, other.start_s, other.end_s))
        return bool(np.allclose(self._spent_by(times_s), other._spent_by(times_s), rtol=0.0, atol=1e-9))

    def _spent_by(self, times_s: FloatArray) -> FloatArray:
        """Share of the energy that is used by each time; (m,), 0-1."""
        origin_s = self.start_s[0]
        edges_s = np.column_stack((self.start_s, self.end_s)).ravel() - origin_s
        spent = np.concatenate(([0.0], np.cumsum(self.energy_kwh))) / self.total_kwh
        shares = np.column_stack((spent[:-1], spent[1:])).ravel()
        return np.asarray(np.interp(times_s - origin_s, edges_s, shares), dtype=np.float64)

    def without(self, gaps_s: Sequence[tuple[float, float]]) -> Profile:
        """The profile with these stretches of time cut out, what comes later moved up; their energy is left out.

        The profile itself where nothing would be left.
        """
        cuts_s = [instant for gap in gaps_s for instant in gap]
        edges_s = np.unique(np.concatenate((self.start_s, self.end_s, cuts_s)))
        middles_s = (edges_s[1:] + edges_s[:-1]) / 2
        owner = np.searchsorted(self.start_s, middles_s, side="right") - 1
        inside = (owner >= 0) & (middles_s < self.end_s[owner])
        cut = np.zeros(middles_s.size, dtype=bool)
        for low_s, high_s in gaps_s:
            cut |= (middles_s > low_s) & (middles_s < high_s)
        lengths_s = np.diff(edges_s)
        before_s = np.concatenate(([0.0], np.cumsum(lengths_s * cut)))[:-1]
        kept = inside & ~cut
        if not kept.any():
            return self
        owner, start_s = owner[kept], (edges_s[:-1] - before_s)[kept]
        share = lengths_s[kept] / (self.end_s - self.start_s)[owner]
        return Profile(start_s, start_s + lengths_s[kept], self.energy_kwh[owner] * share)

    def moved_to(self, start_s: float) -> Profile:
        """The same profile from another start."""
        away_s = start_s - self.start_s[0]
        return Profile(self.start_s + away_s, self.end_s + away_s, self.energy_kwh)


def planned_profile(plan: Plan) -> Profile:
    """The plan's energy, spread evenly over each of its segments."""
    start_s = np.array([segment.start_utc.timestamp() for segment in plan.segments])
    end_s = np.array([segment.end_utc.timestamp() for segment in plan.segments])
    return Profile(start_s, end_s, np.array([plan.energy_of(segment) for segment in plan.segments]))


def pauses_of(plan: Plan) -> tuple[tuple[float, float], ...]:
    """When the plan lets the job pause; seconds since 1970."""
    return tuple(
        (before.end_utc.timestamp(), after.start_utc.timestamp())
        for before, after in pairwise(plan.segments)
        if after.start_utc > before.end_utc
    )


def measured_profile(results: Sequence[Mapping[str, Any]]) -> Profile:
    """The energy of the sampler's runs, in their buckets; the first and last bucket of a run end where the run does.

    Args:
        results: One per attempt, the contract of ``lowtide run --json``.
    Raises:
        InputError: No run has a bucket.
    """
    pieces: list[tuple[float, float, float]] = []
    for result in results:
        buckets = result["buckets"]
        if not buckets:
            continue
        first_s = parse_iso_utc(str(result["start_utc"])).timestamp()
        last_s = first_s + max(float(result["duration_s"]), 1e-3)
        for bucket in buckets:
            at_s = parse_iso_utc(str(bucket["start_utc"])).timestamp()
            low_s, high_s = max(at_s, first_s), min(at_s + BUCKET_S, last_s)
            if high_s <= low_s:  # the wall clock jumped during the run: the bucket's own time is all that is known
                low_s, high_s = at_s, at_s + BUCKET_S
            pieces.append((low_s, high_s, float(bucket["energy_j"]) / JOULES_PER_KWH))
    if not pieces:
        raise InputError("No run has any energy to settle.", hint="Is the sampler's journal there?")
    return Profile(*(np.array(column) for column in zip(*_without_overlap(pieces), strict=True)))


def _without_overlap(pieces: list[tuple[float, float, float]]) -> list[tuple[float, float, float]]:
    """Pieces in order; two runs in one bucket, or a clock set back, share the time in which they overlap."""
    ordered = sorted(pieces)
    apart = [ordered[0]]
    for low_s, high_s, energy_kwh in ordered[1:]:
        before_low_s, before_high_s, before_kwh = apart[-1]
        if low_s >= before_high_s:
            apart.append((low_s, high_s, energy_kwh))
        elif high_s <= before_high_s:
            apart[-1] = (before_low_s, before_high_s, before_kwh + energy_kwh)
        else:
            apart.append((before_high_s, high_s, energy_kwh))
    return apart


def emissions_g(profile: Profile, series: SignalSeries, pue: float) -> float | None:
    """IT energy x PUE x the intensity that holds at its time, step-wise.

    Args:
        profile: (n,) stretches. series: g CO2eq/kWh. pue: >= 1.
    Returns:
        g CO2eq; None where the series has no value for a part of the profile.
    """
    means = mean_intensities(profile, series)
    return None if means is None else float(profile.energy_kwh @ means) * pue


def mean_intensities(profile: Profile, series: SignalSeries) -> FloatArray | None:
    """Mean intensity in each stretch of the profile; (n,), g/kWh, or None where any is unknown."""
    edges_s, integral = _integral(series, origin_s=float(profile.start_s[0]))
    start_s, end_s = (times - profile.start_s[0] for times in (profile.start_s, profile.end_s))
    if start_s[0] < edges_s[0] - SAME_INSTANT_S or end_s[-1] > edges_s[-1] + SAME_INSTANT_S:
        return None
    means = (np.interp(end_s, edges_s, integral) - np.interp(start_s, edges_s, integral)) / (end_s - start_s)
    if np.isnan(series.intensity_g_per_kwh).any() and _touches_gap(start_s, end_s, series, edges_s):
        return None
    return np.asarray(means, dtype=np.float64)


def _integral(series: SignalSeries, *, origin_s: float) -> tuple[FloatArray, FloatArray]:
    """Edges of the steps, seconds from the origin, and the intensity integrated up to each; a gap counts nothing."""
    edges_s = (
        series.start_s - origin_s + series.step_s * np.arange(series.intensity_g_per_kwh.size + 1, dtype=np.float64)
    )
    steps = np.nan_to_num(series.intensity_g_per_kwh) * series.step_s
    return edges_s, np.concatenate(([0.0], np.cumsum(steps)))


def _touches_gap(start_s: FloatArray, end_s: FloatArray, series: SignalSeries, edges_s: FloatArray) -> bool:
    gap = np.isnan(series.intensity_g_per_kwh)
    return any(
        bool(((edges_s[:-1] < high) & (edges_s[1:] > low) & gap).any())
        for low, high in zip(start_s, end_s, strict=True)
    )


def least_emissions_g(
    profile: Profile, series: SignalSeries, pue: float, earliest_s: float, latest_s: float
) -> float | None:
    """The least that the same profile emits from any start between the two; None where the series does not cover it.

    Notes:
        The profile moves as it is, its pauses with it, as a load of power 0 there; ``planning.loads`` is exact.
    """
    load = _load_of(profile)
    steps = StepSeries(series.start_s, series.step_s, series.intensity_g_per_kwh)
    end_by_s = max(earliest_s, latest_s) + load.duration_s
    if known_until_s(steps, earliest_s) < end_by_s - SAME_INSTANT_S:
        return None
    return best_load(steps, earliest_s, end_by_s, load).cost * pue


def _load_of(profile: Profile) -> Load:
    """The profile as a load whose weights are its power, kWh/s."""
    times_s = np.unique(np.concatenate((profile.start_s, profile.end_s)))
    power = np.zeros(times_s.size - 1)
    power[np.searchsorted(times_s, profile.start_s)] = profile.energy_kwh / (profile.end_s - profile.start_s)
    return Load(times_s - times_s[0], power)
