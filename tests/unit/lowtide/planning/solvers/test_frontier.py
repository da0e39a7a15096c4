"""The frontier by hand: one place, a dear clean one, data that must come first, pauses, and what is refused."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest

from lowtide.planning.solvers.frontier import FrontierPoint, frontier
from lowtide.planning.solvers.places import PlaceCosts
from lowtide.planning.solvers.windows import Piece, StepSeries
from lowtide_core.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

HOUR_S = 3600.0
START_S = 1_700_000_000 // 3600 * 3600.0
DAY = (START_S, START_S + 6 * HOUR_S)


def place(*values: float, power_kw: float = 1.0, **costs: float) -> PlaceCosts:
    return PlaceCosts(StepSeries(START_S, HOUR_S, np.array(values, dtype=float)), power_kw, **costs)


def test_at_one_place_waiting_buys_carbon() -> None:
    points = frontier([place(50, 60, 30, 40, 10, 20)], HOUR_S, *DAY)
    assert [(point.finish_s - START_S) / HOUR_S for point in points] == [1.0, 3.0, 5.0]
    assert [point.emissions_g for point in points] == pytest.approx([50.0, 30.0, 10.0])
    assert points[1].pieces == (Piece(START_S + 2 * HOUR_S, START_S + 3 * HOUR_S),)


def test_a_dearer_place_is_there_only_where_it_is_cleaner() -> None:
    home = place(50, 60, 30, 40, 10, 20, power_kw=2.0)
    away = place(*[45] * 6, price_usd_per_h=3.0, fixed_g=5.0, fixed_usd=1.0, delay_s=HOUR_S)
    points = frontier([home, away], HOUR_S, *DAY)
    assert [(point.place, (point.finish_s - START_S) / HOUR_S) for point in points] == [(0, 1), (1, 2), (0, 3), (0, 5)]
    assert points[1].emissions_g == pytest.approx(50.0)
    assert points[1].price_usd == 4.0
    assert points[0].price_usd == 0.0


def test_a_place_that_is_better_in_all_leaves_no_other() -> None:
    points = frontier([place(*[50] * 6, price_usd_per_h=1.0), place(*[40] * 6)], 2 * HOUR_S, *DAY)
    assert [(point.place, point.emissions_g) for point in points] == [(1, pytest.approx(80.0))]


def test_of_two_equal_places_the_first_is_named() -> None:
    points = frontier([place(5, 4, 3), place(5, 4, 3)], HOUR_S, START_S, START_S + 3 * HOUR_S)
    assert [point.place for point in points] == [0, 0, 0]


def test_with_pauses_each_cheaper_hour_takes_the_place_of_the_dearest() -> None:
    points = frontier([place(50, 60, 30, 40, 10, 20)], 2 * HOUR_S, *DAY, pausable=True)
    assert [(point.finish_s - START_S) / HOUR_S for point in points] == [2, 3, 4, 5, 6]
    assert [point.emissions_g for point in points] == pytest.approx([110.0, 80.0, 70.0, 40.0, 30.0])
    assert points[1].pieces == (Piece(START_S, START_S + HOUR_S), Piece(START_S + 2 * HOUR_S, START_S + 3 * HOUR_S))


def test_with_pauses_a_step_that_replaces_two_others_bends_inside() -> None:
    points = frontier([place(50, 60, 10, 40)], 1.5 * HOUR_S, START_S, START_S + 4 * HOUR_S, pausable=True)
    assert [(point.finish_s - START_S) / HOUR_S for point in points] == [1.5, 2.5, 3, 3.5]
    assert [point.emissions_g for point in points] == pytest.approx([80.0, 55.0, 35.0, 30.0])


def test_a_price_of_carbon_chooses() -> None:
    def least_weighted(points: Sequence[FrontierPoint], usd_per_t: float) -> FrontierPoint:
        return min(points, key=lambda point: (point.price_usd + usd_per_t * point.emissions_g / 1e6, point.finish_s))

    home, away = place(50, 60, 30, 40, 10, 20), place(*[20] * 6, price_usd_per_h=0.001)
    points = frontier([home, away], HOUR_S, *DAY)
    assert least_weighted(points, 0.0).price_usd == 0.0
    assert least_weighted(points, 0.0).finish_s == START_S + HOUR_S
    assert least_weighted(points, 1.0).emissions_g == pytest.approx(10.0)
    in_time = [point for point in points if point.finish_s <= START_S + 3 * HOUR_S]
    assert least_weighted(in_time, 90.0).place == 0
    assert least_weighted(in_time, 110.0).place == 1


def test_no_room_says_how_much_is_missing() -> None:
    with pytest.raises(InputError) as refused:
        frontier([place(1, 2), place(1, 2, 3, delay_s=2 * HOUR_S)], 3 * HOUR_S, *DAY)
    assert refused.value.facts["short_by_s"] == HOUR_S
    assert refused.value.facts["earliest_feasible_s"] == START_S + 3 * HOUR_S
    # A place without room is left out while another has some.
    points = frontier([place(1, np.nan, 2), place(5, 5, 5)], 2 * HOUR_S, START_S, START_S + 3 * HOUR_S)
    assert {point.place for point in points} == {1}


@pytest.mark.parametrize(
    ("costs", "fact"),
    [
        ({"power_kw": -1.0}, "power_kw"),
        ({"power_kw": math.nan}, "power_kw"),
        ({"fixed_g": -1.0}, "fixed_g"),
        ({"fixed_usd": math.inf}, "fixed_usd"),
        ({"price_usd_per_h": math.nan}, "price_usd_per_h"),
        ({"delay_s": math.nan}, "delay_s"),
    ],
)
def test_a_place_that_cannot_be_is_refused(costs: dict[str, float], fact: str) -> None:
    with pytest.raises(InputError) as refused:
        place(1, 2, **costs)
    assert fact in refused.value.facts


def test_other_inputs_that_cannot_be_are_refused() -> None:
    with pytest.raises(InputError):
        place(1, -2)
    with pytest.raises(InputError):
        frontier([], HOUR_S, *DAY)
    with pytest.raises(InputError) as length:
        frontier([place(1)], 0.0, *DAY)
    assert length.value.facts["duration_s"] == 0.0
