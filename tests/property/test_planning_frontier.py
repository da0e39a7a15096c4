"""The frontier against every plan there is, on a grid of whole seconds: all starts, and all sets of seconds."""

from __future__ import annotations

import os
from itertools import combinations
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lowtide.planning.solvers.frontier import FrontierPoint, frontier
from lowtide.planning.solvers.places import PlaceCosts
from lowtide.planning.solvers.windows import StepSeries
from lowtide_core.errors import InputError

MANY = settings(max_examples=int(os.environ.get("LOWTIDE_EXAMPLES", "100")), deadline=None)
START_S = 1_700_000_000 // 3600 * 3600


class Place(NamedTuple):
    """Whole seconds from the start of the series; g per second and USD in whole numbers."""

    values: list[int]
    step_s: int
    power: int
    fixed_g: int
    price_usd: int
    ready_s: int

    def costs(self, duration_s: int, earliest_s: int, shift_s: float = 0.0, factor: float = 1.0) -> PlaceCosts:
        return PlaceCosts(
            StepSeries(START_S + shift_s, float(self.step_s), factor * np.array(self.values, dtype=float)),
            power_kw=3600.0 * self.power,
            fixed_g=factor * self.fixed_g,
            price_usd_per_h=3600.0 * self.price_usd / duration_s,
            delay_s=float(max(0, self.ready_s - earliest_s)),
        )

    def second_g(self, second: int) -> int:
        return self.power * self.values[second // self.step_s]


class Case(NamedTuple):
    places: list[Place]
    duration_s: int
    earliest_s: int
    deadline_s: int

    def found(self, *, pausable: bool, shift_s: float = 0.0, factor: float = 1.0) -> tuple[FrontierPoint, ...]:
        return frontier(
            [place.costs(self.duration_s, self.earliest_s, shift_s, factor) for place in self.places],
            float(self.duration_s),
            START_S + shift_s + self.earliest_s,
            START_S + shift_s + self.deadline_s,
            pausable=pausable,
        )

    def seconds(self, place: Place) -> range:
        return range(max(self.earliest_s, place.ready_s), min(self.deadline_s, len(place.values) * place.step_s))


@st.composite
def cases(draw: st.DrawFn, most_s: int = 24) -> Case:
    places = []
    for _ in range(draw(st.integers(1, 3))):
        step_s = draw(st.sampled_from([1, 2, 3, 5]))
        values = draw(st.lists(st.integers(0, 9), min_size=1, max_size=max(1, most_s // step_s)))
        power, fixed_g, price = draw(st.integers(1, 3)), draw(st.integers(0, 9)), draw(st.integers(0, 2))
        places.append(Place(values, step_s, power, fixed_g, price, draw(st.integers(0, 4))))
    earliest_s = draw(st.integers(0, 5))
    return Case(places, draw(st.integers(1, 7)), earliest_s, draw(st.integers(earliest_s + 1, most_s)))


Plan = tuple[int, float, float]
"""Finish, g, USD."""


def every_start(case: Case) -> list[list[Plan]]:
    plans: list[list[Plan]] = []
    for place in case.places:
        seconds = case.seconds(place)
        plans.append([])
        for start in seconds[: max(0, len(seconds) - case.duration_s + 1)]:
            run = range(start, start + case.duration_s)
            plans[-1].append((run.stop, place.fixed_g + sum(map(place.second_g, run)), place.price_usd))
    return plans


def every_set_of_seconds(case: Case) -> list[list[Plan]]:
    return [
        [
            (some[-1] + 1, place.fixed_g + sum(map(place.second_g, some)), place.price_usd)
            for some in combinations(case.seconds(place), case.duration_s)
        ]
        for place in case.places
    ]


def bends_of(plans: list[list[Plan]], *, within: bool) -> list[int]:
    """Finishes at which a place's least emissions (of plans that end then; or by then) are not in line with those a
    second before and after."""
    bends = set()
    for of_place in plans:
        least: dict[int, float] = {}
        for finish, emissions_g, _ in sorted(of_place):
            before = least.get(finish - 1, np.inf) if within else np.inf
            least[finish] = min(emissions_g, before, least.get(finish, np.inf))
        for finish in least:
            sides = [least[near] for near in (finish - 1, finish + 1) if near in least]
            if len(sides) < 2 or sum(sides) != 2 * least[finish]:
                bends.add(finish)
    return sorted(bends)


def check(points: tuple[FrontierPoint, ...], plans: list[list[Plan]], case: Case, *, pausable: bool) -> None:
    everything = [plan for of_place in plans for plan in of_place]
    for point in points:
        finish_s = point.finish_s - START_S
        spent = [second for piece in point.pieces for second in (piece.start_s - START_S, piece.end_s - START_S)]
        place = case.places[point.place]
        run = [s for a, b in zip(spent[::2], spent[1::2], strict=True) for s in range(round(a), round(b))]
        assert set(run) <= set(case.seconds(place))
        assert len(run) == case.duration_s
        assert run[-1] + 1 == pytest.approx(finish_s, abs=1e-5)
        assert point.emissions_g == pytest.approx(place.fixed_g + sum(map(place.second_g, run)), abs=1e-4)
        assert point.price_usd == pytest.approx(place.price_usd)
        for finish, emissions_g, price_usd in everything:
            no_worse = (
                finish <= finish_s + 1e-5
                and emissions_g <= point.emissions_g + 1e-6
                and price_usd <= point.price_usd + 1e-9
            )
            better = (
                finish < finish_s - 1e-5 or emissions_g < point.emissions_g - 1e-6 or price_usd < point.price_usd - 1e-9
            )
            assert not (no_worse and better), "a plan betters the point"
    bends = bends_of(plans, within=pausable)
    for finish, emissions_g, price_usd in everything:
        next_bend = min(bend for bend in bends if bend >= finish)
        assert any(
            point.finish_s - START_S <= next_bend + 1e-5
            and point.emissions_g <= emissions_g + 1e-6
            and point.price_usd <= price_usd + 1e-9
            for point in points
        ), "a plan that no point matches"


@MANY
@given(cases())
def test_without_pauses_it_is_the_frontier_of_all_starts(case: Case) -> None:
    plans = every_start(case)
    if not any(plans):
        with pytest.raises(InputError):
            case.found(pausable=False)
        return
    check(case.found(pausable=False), plans, case, pausable=False)


@MANY
@given(cases(most_s=9))
def test_with_pauses_it_is_the_frontier_of_all_sets_of_seconds(case: Case) -> None:
    plans = every_set_of_seconds(case)
    if not any(plans):
        with pytest.raises(InputError):
            case.found(pausable=True)
        return
    check(case.found(pausable=True), plans, case, pausable=True)


@MANY
@given(cases(), st.booleans(), st.sampled_from([0.0, 1e4, 1e5, 3e5, 1e7]))
def test_at_a_price_of_carbon_the_best_point_betters_all_plans(case: Case, pausable: bool, usd_per_t: float) -> None:
    small = case._replace(deadline_s=min(case.deadline_s, 9))
    plans = every_set_of_seconds(small) if pausable else every_start(small)
    if not any(plans):
        return
    found = min(point.price_usd + usd_per_t * point.emissions_g / 1e6 for point in small.found(pausable=pausable))
    least = min(usd + usd_per_t * grams / 1e6 for of_place in plans for _, grams, usd in of_place)
    assert found == pytest.approx(least, abs=1e-6)


def no_worse(one: FrontierPoint, other: FrontierPoint, *, by_finish: bool = True) -> bool:
    in_time = one.finish_s <= other.finish_s + 1e-5 or not by_finish
    cleaner = one.emissions_g <= other.emissions_g * (1 + 1e-9) + 1e-6
    return in_time and cleaner and one.price_usd <= other.price_usd + 1e-9


@MANY
@given(cases(), st.booleans(), st.integers(1, 9), st.integers(2, 9))
def test_metamorphic(case: Case, pausable: bool, more_s: int, factor: int) -> None:
    if not any(every_start(case)):
        return
    points = case.found(pausable=pausable)
    fewer = case._replace(places=case.places[:-1])
    if any(every_start(fewer)):
        for old in fewer.found(pausable=pausable):
            assert any(no_worse(point, old) for point in points), "another place never makes it worse"
    longer = case._replace(deadline_s=case.deadline_s + more_s).found(pausable=pausable)
    for old in points:
        at_the_end = old.finish_s >= START_S + case.deadline_s - 1e-5  # its line may now go on and be cleaner later
        assert any(no_worse(new, old, by_finish=not at_the_end) for new in longer)
    scaled = case.found(pausable=pausable, factor=float(factor))
    shifted = case.found(pausable=pausable, shift_s=86400.0)
    assert [point.finish_s for point in scaled] == pytest.approx([point.finish_s for point in points], abs=1e-5)
    grams = [point.emissions_g for point in points]
    assert [point.emissions_g for point in scaled] == pytest.approx([factor * g for g in grams], rel=1e-9)
    assert [point.emissions_g for point in shifted] == pytest.approx(grams, rel=1e-9, abs=1e-9)
    finishes = [point.finish_s + 86400.0 for point in points]
    assert [point.finish_s for point in shifted] == pytest.approx(finishes, abs=1e-5)
