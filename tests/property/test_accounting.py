"""The difference and the best possible against brute force that shares no code with them."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lowtide.accounting.difference import CAUSES, shapley
from lowtide.accounting.profiles import Profile, emissions_g, least_emissions_g, measured_profile
from lowtide_core.places import ZoneId
from lowtide_core.series import LIFECYCLE_CONSUMPTION, SignalSeries
from lowtide_core.spans import from_epoch_s, iso_utc

MANY = settings(max_examples=int(os.environ.get("LOWTIDE_EXAMPLES", "200")), deadline=None)
START_S = datetime(2026, 1, 3, tzinfo=UTC).timestamp()
GRAIN_S = 60

grams = st.floats(-1e4, 1e4, allow_nan=False)
causes = st.sets(st.sampled_from(CAUSES)).map(frozenset)


@st.composite
def games(draw: st.DrawFn) -> tuple[dict[frozenset[str], float], frozenset[str]]:
    """Any value for any set of changes, and the changes that took place."""
    changed = draw(causes)
    subsets = [frozenset(c for i, c in enumerate(CAUSES) if bits >> i & 1) for bits in range(16)]
    return {some: draw(grams) for some in subsets}, changed


@MANY
@given(games())
def test_shares_are_the_mean_over_all_orders(game: tuple[dict[frozenset[str], float], frozenset[str]]) -> None:
    value, changed = game
    orders = list(permutations(CAUSES))
    expected = dict.fromkeys(CAUSES, 0.0)
    for order in orders:
        so_far: frozenset[str] = frozenset()
        for cause in order:
            more = so_far | {cause}
            expected[cause] += (value[more & changed] - value[so_far & changed]) / len(orders)
            so_far = more
    assert shapley(value.__getitem__, changed) == pytest.approx(expected, rel=1e-9, abs=1e-8)


@MANY
@given(games())
def test_shares_add_up_and_an_absent_cause_has_exactly_none(
    game: tuple[dict[frozenset[str], float], frozenset[str]],
) -> None:
    value, changed = game
    shares = shapley(value.__getitem__, changed)
    assert sum(shares.values()) == pytest.approx(value[changed] - value[frozenset()], rel=1e-9, abs=1e-8)
    assert all(shares[cause] == 0.0 for cause in CAUSES if cause not in changed)


@MANY
@given(st.lists(grams, min_size=5, max_size=5), st.sampled_from(CAUSES), st.sampled_from(CAUSES))
def test_causes_that_do_the_same_have_the_same_share(by_size: list[float], one: str, other: str) -> None:
    shares = shapley(lambda some: by_size[len(some)], frozenset(CAUSES))
    assert shares[one] == pytest.approx(shares[other], abs=1e-8)


@st.composite
def runs(draw: st.DrawFn) -> tuple[SignalSeries, Profile, float, float]:
    """A series, a profile of whole minutes, and the earliest and latest start that the series has room for."""
    step_s = GRAIN_S * draw(st.sampled_from([5, 15, 30, 60]))
    values = draw(st.lists(st.integers(0, 900), min_size=2, max_size=12))
    total = int(step_s * len(values) // GRAIN_S)
    lengths = draw(st.lists(st.integers(1, max(1, total // 8)), min_size=1, max_size=4))
    pauses = [0, *draw(st.lists(st.integers(0, 2), min_size=len(lengths) - 1, max_size=len(lengths) - 1))]
    energy = draw(st.lists(st.integers(0, 50), min_size=len(lengths), max_size=len(lengths)))
    starts, ends, clock = [], [], 0
    for length, pause in zip(lengths, pauses, strict=True):
        starts.append(clock + pause)
        clock += pause + length
        ends.append(clock)
    room = total - clock
    if room < 0:
        starts, ends, energy, room = [0], [1], energy[:1], total - 1
    earliest = draw(st.integers(0, room))
    latest = draw(st.integers(earliest, room))
    series = SignalSeries(
        ZoneId("DE"), from_epoch_s(START_S), step_s, np.array(values, float), LIFECYCLE_CONSUMPTION, "actual", "x"
    )
    profile = Profile(
        START_S + GRAIN_S * np.array(starts, float),
        START_S + GRAIN_S * np.array(ends, float),
        np.array(energy, float) / 10,
    )
    return series, profile, START_S + GRAIN_S * earliest, START_S + GRAIN_S * latest


def brute_emissions_g(series: SignalSeries, profile: Profile, start_s: float) -> float:
    """Minute by minute: with whole minutes everywhere, no minute holds two intensities or two powers."""
    total_g = 0.0
    for low_s, high_s, energy_kwh in zip(profile.start_s, profile.end_s, profile.energy_kwh, strict=True):
        minutes = round((high_s - low_s) / GRAIN_S)
        for minute in range(minutes):
            instant_s = start_s + (low_s - profile.start_s[0]) + GRAIN_S * minute
            step = int((instant_s - series.start_s) // series.step_s)
            total_g += energy_kwh / minutes * float(series.intensity_g_per_kwh[step])
    return total_g


@MANY
@given(runs(), st.floats(1.0, 2.0))
def test_the_best_possible_is_the_least_of_all_starts(
    run: tuple[SignalSeries, Profile, float, float], pue: float
) -> None:
    series, profile, earliest_s, latest_s = run
    starts_s = np.arange(earliest_s, latest_s + 1, GRAIN_S)  # kinks fall on whole minutes, so these hold the minimum
    expected = pue * min(brute_emissions_g(series, profile, float(start_s)) for start_s in starts_s)
    found = least_emissions_g(profile, series, pue, earliest_s, latest_s)
    assert found == pytest.approx(expected, rel=1e-9, abs=1e-9)


@MANY
@given(runs(), st.floats(0.01, 100.0))
def test_emissions_are_energy_times_the_intensity_of_each_minute_and_scale_with_the_energy(
    run: tuple[SignalSeries, Profile, float, float], factor: float
) -> None:
    series, profile, earliest_s, _ = run
    moved = profile.moved_to(earliest_s)
    scaled = Profile(moved.start_s, moved.end_s, moved.energy_kwh * factor)
    expected = brute_emissions_g(series, profile, earliest_s)
    assert emissions_g(moved, series, 1.0) == pytest.approx(expected, rel=1e-9, abs=1e-9)
    assert emissions_g(scaled, series, 1.0) == pytest.approx(factor * expected, rel=1e-9, abs=1e-9)


@MANY
@given(runs(), st.integers(0, 11))
def test_a_gap_under_the_run_is_never_bridged(run: tuple[SignalSeries, Profile, float, float], at: int) -> None:
    series, profile, earliest_s, _ = run
    gap = at % series.intensity_g_per_kwh.size
    values = series.intensity_g_per_kwh.copy()
    values[gap] = np.nan
    holed = SignalSeries(series.zone, series.start_utc, series.step_s, values, series.frame, "actual", "x")
    moved = profile.moved_to(earliest_s)
    low_s, high_s = series.start_s + gap * series.step_s, series.start_s + (gap + 1) * series.step_s
    touched = bool(((moved.start_s < high_s) & (moved.end_s > low_s)).any())
    assert (emissions_g(moved, holed, 1.0) is None) is touched


@MANY
@given(st.lists(st.floats(0.0, 1e6), min_size=1, max_size=20), st.floats(0.0, 299.0), st.integers(1, 3))
def test_no_energy_is_lost_between_the_sampler_and_the_profile(
    energy_j: list[float], offset_s: float, attempts: int
) -> None:
    results = [
        {
            "start_utc": iso_utc(from_epoch_s(round(START_S + offset_s + 7 * number))),
            "duration_s": 300.0 * len(energy_j) - offset_s,
            "buckets": [
                {"start_utc": iso_utc(from_epoch_s(START_S + 300 * index)), "energy_j": joules}
                for index, joules in enumerate(energy_j)
            ],
        }
        for number in range(attempts)
    ]
    profile = measured_profile(results)
    assert profile.total_kwh == pytest.approx(attempts * sum(energy_j) / 3.6e6, rel=1e-9, abs=1e-12)
