"""Places, moves and pauses: small cases that can be worked out by hand, and every refusal."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from lowtide.planning.solvers.moves import Moves, best_route, route_cost
from lowtide.planning.solvers.places import PlaceCosts, Stay, best_place, best_place_and_start
from lowtide.planning.solvers.windows import StepSeries
from lowtide_core.errors import InputError

HOUR_S = 3600.0
HOME = (300, 300, 100, 300, 300, 300)
AWAY = (300, 300, 300, 300, 20, 300)


def series(*values: float, step_s: float = HOUR_S, start_s: float = 0.0) -> StepSeries:
    return StepSeries(start_s, step_s, np.array(values, dtype=float))


def places(**away: float) -> list[PlaceCosts]:
    return [PlaceCosts(series(*HOME), 1.0), PlaceCosts(series(*AWAY), 1.0, **away)]


def test_one_run_goes_where_transfer_and_run_together_emit_least() -> None:
    near = best_place(places(fixed_g=50.0), 0.0, 6 * HOUR_S, HOUR_S)
    assert near.stays == (Stay(1, 4 * HOUR_S, 5 * HOUR_S),)
    assert near.emissions_g == near.bound_g == pytest.approx(70.0)
    far = best_place(places(fixed_g=100.0), 0.0, 6 * HOUR_S, HOUR_S)
    assert far.stays == (Stay(0, 2 * HOUR_S, 3 * HOUR_S),)
    assert far.place_shares == (1.0, 0.0)


def test_data_under_way_delay_the_start_there_alone() -> None:
    late = best_place(places(delay_s=5 * HOUR_S), 0.0, 6 * HOUR_S, HOUR_S)
    assert late.stays[0].place == 0
    early = best_place([PlaceCosts(series(*AWAY), 1.0, delay_s=4 * HOUR_S + 600)], 0.0, 6 * HOUR_S, HOUR_S)
    assert early.stays[0].start_s == 4 * HOUR_S + 600


def test_a_dollar_counts_as_it_is_weighed_and_a_limit_excludes() -> None:
    dear = places(price_usd_per_h=2.0)
    assert best_place(dear, 0.0, 6 * HOUR_S, HOUR_S).price_usd == 2.0
    weighed = best_place(dear, 0.0, 6 * HOUR_S, HOUR_S, usd_weight=50.0)
    assert (weighed.stays[0].place, weighed.bound_g) == (0, pytest.approx(100.0))
    assert best_place(dear, 0.0, 6 * HOUR_S, HOUR_S, max_price_usd=1.0).stays[0].place == 0


def test_a_move_is_made_only_when_it_brings_more_than_it_costs() -> None:
    worth = best_route(places(fixed_g=1e4), 0.0, 6 * HOUR_S, 2 * HOUR_S, moves=Moves.uniform(2, g=200.0))
    assert worth.stays == (Stay(0, 2 * HOUR_S, 3 * HOUR_S), Stay(1, 4 * HOUR_S, 5 * HOUR_S))
    assert (worth.moves, worth.restarts, worth.place_shares) == (1, 0, (0.5, 0.5))
    assert worth.emissions_g == worth.bound_g == pytest.approx(100 + 200 + 20)
    not_worth = best_route(places(fixed_g=1e4), 0.0, 6 * HOUR_S, 2 * HOUR_S, moves=Moves.uniform(2, g=281.0))
    assert (not_worth.moves, not_worth.emissions_g) == (0, pytest.approx(400.0))
    equal = best_route(places(fixed_g=1e4), 0.0, 6 * HOUR_S, 2 * HOUR_S, moves=Moves.uniform(2, g=280.0))
    assert equal.moves == 0, "of equals the one that moves less"


def test_a_move_takes_its_time() -> None:
    """Of the cheap hour at home, a move of 70 min leaves the 50 min that are needed; of 80 min, ten too few."""
    for delay_min, dear_min in ((70, 0), (80, 10)):
        moves = Moves.uniform(2, g=100.0, delay_s=60.0 * delay_min)
        route = best_route(places(fixed_g=1e4), 0.0, 5 * HOUR_S, 110 * 60.0, moves=moves)
        assert route.emissions_g == pytest.approx(((50 - dear_min) * 100 + dear_min * 300) / 60 + 100 + 20)
        assert route.stays[-1].start_s - route.stays[-2].end_s >= 60.0 * delay_min
        assert route.exact


def test_a_restart_costs_its_energy_where_and_when_it_happens() -> None:
    dipping = [PlaceCosts(series(100, 300, 200, 300), 1.0)]
    paused = best_route(dipping, 0.0, 4 * HOUR_S, 2 * HOUR_S, restart_kwh=0.4)
    assert (paused.restarts, paused.emissions_g) == (1, pytest.approx(100 + 200 + 0.4 * 200))
    run_on = best_route(dipping, 0.0, 4 * HOUR_S, 2 * HOUR_S, restart_kwh=0.6)
    assert (run_on.restarts, run_on.emissions_g) == (0, pytest.approx(400))
    moving = Moves(np.full((2, 2), 10.0), np.zeros((2, 2)), np.zeros((2, 2)), np.full((2, 2), 0.5))
    there = best_route(places(fixed_g=1e4), 0.0, 6 * HOUR_S, 2 * HOUR_S, moves=moving)
    assert there.emissions_g == pytest.approx(100 + 10 + 0.5 * 20 + 20)


def test_part_steps_are_filled_around_an_earliest_start_within_a_step() -> None:
    """40 min are left of the first hour, and 30 min before the deadline: both are used, and 20 min of the dear hour."""
    route = best_route([PlaceCosts(series(10, 500, 20), 1.0)], 20 * 60.0, 2.5 * HOUR_S, 90 * 60.0, restart_kwh=1e-6)
    assert route.exact
    assert route.emissions_g == pytest.approx((40 * 10 + 20 * 500 + 30 * 20) / 60, rel=1e-6)


def test_series_of_different_steps_are_compared_on_common_ones() -> None:
    fine = PlaceCosts(series(*([300] * 6 + [10] * 3 + [300] * 15), step_s=900.0), 1.0, fixed_g=1.0)
    route = best_route([fine, PlaceCosts(series(*AWAY), 1.0)], 0.0, 6 * HOUR_S, 1.75 * HOUR_S, moves=Moves.uniform(2))
    assert [(stay.place, stay.start_s / 900, stay.end_s / 900) for stay in route.stays] == [(0, 6, 9), (1, 16, 20)]
    assert route.exact


def test_a_place_is_used_up_to_its_first_gap() -> None:
    gap = PlaceCosts(series(300, 300, math.nan, 1, 1), 1.0)
    for solve in (best_place, best_route):
        assert solve([gap], 0.0, 5 * HOUR_S, 2 * HOUR_S).stays == (Stay(0, 0.0, 2 * HOUR_S),)
    onward = best_route([gap, PlaceCosts(series(*AWAY), 1.0)], 0.0, 6 * HOUR_S, 3 * HOUR_S, moves=Moves.uniform(2))
    assert all(stay.end_s <= 2 * HOUR_S for stay in onward.stays if stay.place == 0)


def test_moves_make_feasible_what_no_single_place_can_hold() -> None:
    first, second = PlaceCosts(series(100, 100, math.nan, math.nan), 1.0), PlaceCosts(series(200, 200, 200, 200), 1.0)
    late = PlaceCosts(second.series, 1.0, delay_s=2 * HOUR_S)
    route = best_route([first, late], 0.0, 4 * HOUR_S, 4 * HOUR_S, moves=Moves.uniform(2))
    assert (route.moves, route.emissions_g) == (1, pytest.approx(600))
    with pytest.raises(InputError) as caught:
        best_route([first, late], 0.0, 4 * HOUR_S, 4 * HOUR_S)
    assert caught.value.facts["short_by_s"] == pytest.approx(2 * HOUR_S)


def test_a_price_limit_is_met_by_moving_back_to_the_cheap_place() -> None:
    cheap = PlaceCosts(series(*[300] * 6), 1.0)
    dear = PlaceCosts(series(*[100] * 6), 1.0, price_usd_per_h=3.0)
    route = best_route([cheap, dear], 0.0, 6 * HOUR_S, 4 * HOUR_S, moves=Moves.uniform(2), max_price_usd=6.0)
    assert route.price_usd <= 6.0
    assert route.bound_g == pytest.approx(2 * 100 + 2 * 300)
    with pytest.raises(InputError) as caught:
        best_route([dear], 0.0, 6 * HOUR_S, 4 * HOUR_S, moves=Moves.uniform(1), max_price_usd=6.0)
    assert caught.value.facts["cheapest_usd"] == pytest.approx(12.0)


def test_the_cost_of_given_stays_is_that_of_the_route() -> None:
    moves = Moves.uniform(2, g=3.0, usd=0.5, delay_s=60.0)
    away = places(fixed_g=40.0, price_usd_per_h=1.0)
    route = best_route(away, 0.0, 6 * HOUR_S, 2 * HOUR_S, moves=moves, restart_kwh=0.1)
    assert route_cost(away, route.stays, moves=moves, restart_kwh=0.1) == (route.emissions_g, route.price_usd)


def test_a_window_that_is_too_short_says_by_how_much() -> None:
    for solve in (best_place, best_route):
        with pytest.raises(InputError) as caught:
            solve(places(delay_s=600.0), 0.0, 1.5 * HOUR_S, 2 * HOUR_S)
        assert caught.value.facts["short_by_s"] == pytest.approx(0.5 * HOUR_S)
        assert caught.value.facts["earliest_feasible_s"] == pytest.approx(2 * HOUR_S)
        with pytest.raises(InputError) as caught:
            solve(places(price_usd_per_h=2.0)[1:], 0.0, 6 * HOUR_S, HOUR_S, max_price_usd=1.0)
        assert caught.value.facts["cheapest_usd"] == pytest.approx(2.0)


@pytest.mark.parametrize(
    "call",
    [
        lambda: PlaceCosts(series(1.0), -1.0),
        lambda: PlaceCosts(series(1.0), math.nan),
        lambda: PlaceCosts(series(1.0), 1.0, fixed_g=math.nan),
        lambda: PlaceCosts(series(1.0), 1.0, price_usd_per_h=-1.0),
        lambda: PlaceCosts(series(-1.0), 1.0),
        lambda: PlaceCosts(series(math.inf), 1.0),
        lambda: PlaceCosts(series(1.0, step_s=0.0), 1.0),
        lambda: PlaceCosts(series(), 1.0),
        lambda: Moves.uniform(2, g=-1.0),
        lambda: Moves.uniform(2, delay_s=math.nan),
        lambda: Moves.uniform(2, usd=math.inf),
        lambda: Moves(np.zeros((2, 2)), np.zeros((2, 2)), np.zeros((2, 3)), np.zeros((2, 2))),
        lambda: best_place([], 0.0, HOUR_S, HOUR_S),
        lambda: best_place(places(), 0.0, HOUR_S, 0.0),
        lambda: best_place(places(), 0.0, HOUR_S, math.nan),
        lambda: best_place(places(), math.nan, HOUR_S, HOUR_S),
        lambda: best_route(places(), 0.0, math.inf, HOUR_S),
        lambda: best_place(places(), 0.0, HOUR_S, HOUR_S, usd_weight=-1.0),
        lambda: best_place(places(), 0.0, HOUR_S, HOUR_S, max_price_usd=math.nan),
        lambda: best_route(places(), 0.0, HOUR_S, HOUR_S, restart_kwh=-1.0),
        lambda: best_route(places(), 0.0, HOUR_S, HOUR_S, moves=Moves.uniform(3)),
        lambda: best_place_and_start(np.zeros(3), np.arange(1), 1, 1),
        lambda: best_place_and_start(np.full((1, 3), -1.0), np.arange(1), 1, 1),
        lambda: best_place_and_start(np.zeros((1, 3)), np.array([3]), 1, 1),
        lambda: best_place_and_start(np.zeros((1, 3)), np.arange(1), 0, 1),
        lambda: best_place_and_start(np.zeros((1, 3)), np.arange(1), 1, 1, fixed_g=np.array([-1.0])),
    ],
)
def test_what_cannot_be_is_refused(call: Callable[[], object]) -> None:
    with pytest.raises(InputError):
        call()


def test_a_place_whose_moves_are_forbidden_is_left_alone() -> None:
    forbidden = Moves.uniform(2, g=math.inf)
    route = best_route(places(fixed_g=1e4), 0.0, 6 * HOUR_S, 2 * HOUR_S, moves=forbidden)
    assert (route.moves, route.emissions_g, route.exact) == (0, pytest.approx(400.0), True)


def test_a_long_job_in_a_long_window_is_exact_and_a_longer_one_bounded() -> None:
    """A month of hours is affordable; a month of minutes is not, and is blurred to cells of several steps."""
    rng = np.random.default_rng(7)
    month = [PlaceCosts(StepSeries(0.0, HOUR_S, rng.uniform(50, 500, 720)), 1.0) for _ in range(2)]
    moves = Moves.uniform(2, g=200.0, delay_s=HOUR_S)
    exact = best_route(month, 0.0, 720 * HOUR_S, 192 * HOUR_S, moves=moves, restart_kwh=0.3)
    assert exact.exact
    minutes = [PlaceCosts(StepSeries(0.0, 60.0, np.repeat(place.series.values, 60)), 1.0) for place in month]
    blurred = best_route(minutes, 0.0, 720 * HOUR_S, 192 * HOUR_S, moves=moves)
    free = best_route(month, 0.0, 720 * HOUR_S, 192 * HOUR_S, moves=moves)
    assert blurred.bound_g <= free.emissions_g * (1 + 1e-9)
    assert free.emissions_g <= blurred.emissions_g * (1 + 1e-9)
    assert blurred.emissions_g <= 1.1 * free.emissions_g
