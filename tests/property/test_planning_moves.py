"""One job in several places against brute forces in plain Python: every assignment of steps, or of minutes."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lowtide.planning.solvers.moves import Moves, best_route, route_cost
from lowtide.planning.solvers.places import PlaceCosts, Route, best_place, best_place_and_start
from lowtide.planning.solvers.windows import StepSeries
from lowtide_core.errors import InputError

EXAMPLES = int(os.environ.get("LOWTIDE_EXAMPLES", "100"))
START_S = 1_700_000_000 // 3600 * 3600


@dataclass(frozen=True)
class Case:
    """All times in units of ``unit_s`` from the series' start; values g/kWh, power 1 kW where not said otherwise."""

    unit_s: int
    units_per_step: tuple[int, ...]  # per place
    values: tuple[tuple[int, ...], ...]
    power_kw: tuple[int, ...]
    price: tuple[int, ...]
    first: tuple[tuple[int, int, int], ...]  # g, usd, delay in units
    move_g: tuple[tuple[int, ...], ...]
    move_usd: tuple[tuple[int, ...], ...]
    move_delay: tuple[tuple[int, ...], ...]
    resume_kwh: float
    restart_kwh: float
    earliest: int
    end: int
    duration: int
    usd_weight: int

    def places(self) -> list[PlaceCosts]:
        return [
            PlaceCosts(
                StepSeries(float(START_S), float(self.unit_s * self.units_per_step[r]), np.array(row, dtype=float)),
                float(self.power_kw[r]),
                float(self.price[r]),
                float(self.first[r][0]),
                float(self.first[r][1]),
                float(self.first[r][2] * self.unit_s),
            )
            for r, row in enumerate(self.values)
        ]

    def moves(self) -> Moves:
        shape = (len(self.values),) * 2
        return Moves(
            np.array(self.move_g, dtype=float),
            np.array(self.move_usd, dtype=float),
            np.array(self.move_delay, dtype=float) * self.unit_s,
            np.full(shape, self.resume_kwh),
        )

    def solve(self, *, movable: bool = True, max_price_usd: float | None = None) -> Route:
        return best_route(
            self.places(),
            START_S + self.earliest * self.unit_s,
            START_S + self.end * self.unit_s,
            self.duration * self.unit_s,
            moves=self.moves() if movable else None,
            restart_kwh=self.restart_kwh,
            usd_weight=self.usd_weight,
            max_price_usd=max_price_usd,
        )


def closed(rows: list[list[int]]) -> tuple[tuple[int, ...], ...]:
    """No detour is shorter than the direct way."""
    for k in range(len(rows)):
        for i in range(len(rows)):
            for j in range(len(rows)):
                rows[i][j] = min(rows[i][j], rows[i][k] + rows[k][j])
    return tuple(tuple(0 if i == j else value for j, value in enumerate(row)) for i, row in enumerate(rows))


@st.composite
def cases(draw: st.DrawFn, *, units_per_step: int, steps: int) -> Case:
    count = draw(st.integers(1, 3))
    total = draw(st.integers(1, steps)) * units_per_step
    own = tuple(draw(st.sampled_from([1, units_per_step] if units_per_step > 1 else [1])) for _ in range(count))
    if 1 in own and units_per_step > 1:
        own = (1, *own[1:]) if total <= 8 else (units_per_step,) * count
    matrix = st.lists(st.lists(st.integers(0, 300), min_size=count, max_size=count), min_size=count, max_size=count)
    delays = st.lists(st.lists(st.integers(0, 3), min_size=count, max_size=count), min_size=count, max_size=count)
    earliest = draw(st.integers(0, total - 1))
    end = draw(st.integers(earliest + 1, total))
    aligned = units_per_step == 1
    move_g, move_usd = closed(draw(matrix)), closed([[value % 4 for value in row] for row in draw(matrix)])
    move_delay = closed(draw(delays))
    first = [
        (0, 0, 0) if r == 0 else (draw(st.integers(0, 300)), draw(st.integers(0, 3)), draw(st.integers(0, 2)))
        for r in range(count)
    ]
    first = [  # nor is starting elsewhere and moving at once
        tuple(
            min(first[q][kind] + way[q][r] for q in range(count))
            for kind, way in enumerate((move_g, move_usd, move_delay))
        )
        for r in range(count)
    ]
    return Case(
        unit_s=3600 if aligned else 60,
        units_per_step=own,
        values=tuple(
            tuple(draw(st.lists(st.integers(0, 500), min_size=total // each, max_size=total // each))) for each in own
        ),
        power_kw=tuple(draw(st.integers(1, 3)) for _ in own),
        price=tuple(draw(st.integers(0, 5)) for _ in own),
        first=tuple(first),
        move_g=move_g,
        move_usd=move_usd,
        move_delay=move_delay,
        resume_kwh=draw(st.sampled_from([0.0, 0.25])) if aligned else 0.0,
        restart_kwh=draw(st.sampled_from([0.0, 0.1, 0.5])) if aligned else 0.0,
        earliest=earliest,
        end=end,
        duration=draw(st.integers(1, end - earliest)),
        usd_weight=draw(st.sampled_from([0, 0, 40])),
    )


def brute(case: Case, *, movable: bool, frugal: bool = False) -> dict[float, float]:
    """Least cost per price of all ways to fill the units of time; with ``frugal`` every price, otherwise one key."""
    last_unit, count = case.end, len(case.values)
    hours = case.unit_s / 3600
    longest = max(max(row) for row in case.move_delay)

    def value(r: int, unit: int) -> int:
        return case.values[r][unit // case.units_per_step[r]]

    def merged(into: dict[float, float], more: dict[float, float], g: float, usd: float) -> None:
        for price, cost in more.items():
            key = round(price + usd, 6) if frugal else 0.0
            into[key] = min(into.get(key, np.inf), cost + g + case.usd_weight * usd)

    @cache
    def rest(unit: int, place: int, idle: int, left: int) -> dict[float, float]:
        if left == 0:
            return {0.0: 0.0}
        if last_unit - unit < left:
            return {}
        found: dict[float, float] = {}
        waited = 0 if place < 0 else min(idle + 1, longest + 1)
        merged(found, rest(unit + 1, place, waited, left), 0.0, 0.0)
        for r in range(count):
            g = case.power_kw[r] * value(r, unit) * hours
            usd = case.price[r] * hours
            if place < 0:
                first_g, first_usd, delay = case.first[r]
                if unit - case.earliest < delay:
                    continue
                g, usd = g + first_g, usd + first_usd
            elif r != place:
                if not movable or idle < case.move_delay[place][r]:
                    continue
                g += case.move_g[place][r] + case.resume_kwh * value(r, unit)
                usd += case.move_usd[place][r]
            elif idle > 0:
                g += case.restart_kwh * value(r, unit)
            merged(found, rest(unit + 1, r, 0, left - 1), g, usd)
        return found

    return rest(case.earliest, -1, 0, case.duration)


def assert_sound(case: Case, route: Route, *, movable: bool) -> None:
    unit_s, places = case.unit_s, case.places()
    running_s = sum(stay.end_s - stay.start_s for stay in route.stays)
    assert running_s == pytest.approx(case.duration * unit_s)
    first = route.stays[0]
    assert first.start_s >= START_S + case.earliest * unit_s + places[first.place].delay_s - 1e-6
    assert route.stays[-1].end_s <= START_S + case.end * unit_s + 1e-6
    for before, after in pairwise(route.stays):
        assert movable or before.place == after.place
        gap_s = case.move_delay[before.place][after.place] * unit_s
        assert after.start_s - before.end_s >= gap_s - 1e-6
        assert before.place != after.place or after.start_s > before.end_s
    moved = sum(a.place != b.place for a, b in pairwise(route.stays))
    assert (route.moves, route.restarts) == (moved, len(route.stays) - 1 - moved)
    shares = [0.0] * len(places)
    for stay in route.stays:
        shares[stay.place] += (stay.end_s - stay.start_s) / running_s
    assert route.place_shares == pytest.approx(shares)
    g, usd = 0.0, 0.0
    for stay in route.stays:
        step_s = places[stay.place].series.step_s
        for index, value in enumerate(case.values[stay.place]):
            low, high = START_S + index * step_s, START_S + (index + 1) * step_s
            inside_s = max(0.0, min(high, stay.end_s) - max(low, stay.start_s))
            g += case.power_kw[stay.place] * value * inside_s / 3600
        usd += case.price[stay.place] * (stay.end_s - stay.start_s) / 3600
    g, usd = g + case.first[first.place][0], usd + case.first[first.place][1]
    for before, after in pairwise(route.stays):
        step = int((after.start_s - START_S + 1e-6) // places[after.place].series.step_s)
        same = before.place == after.place
        g += (case.restart_kwh if same else case.resume_kwh) * case.values[after.place][step]
        g += 0 if same else case.move_g[before.place][after.place]
        usd += 0 if same else case.move_usd[before.place][after.place]
    assert (route.emissions_g, route.price_usd) == pytest.approx((g, usd), rel=1e-9, abs=1e-7)


def cost(case: Case, route: Route) -> float:
    return route.emissions_g + case.usd_weight * route.price_usd


def check(case: Case, *, movable: bool) -> None:
    expected = brute(case, movable=movable)
    if not expected:
        with pytest.raises(InputError) as caught:
            case.solve(movable=movable)
        assert caught.value.facts["short_by_s"] > 0
        return
    route = case.solve(movable=movable)
    assert_sound(case, route, movable=movable)
    assert route.exact
    assert cost(case, route) == pytest.approx(expected[0.0], rel=1e-9, abs=1e-7)
    assert route.bound_g == pytest.approx(expected[0.0], rel=1e-9, abs=1e-7)


@settings(max_examples=EXAMPLES, deadline=None)
@given(cases(units_per_step=1, steps=7), st.booleans())
def test_on_whole_steps_equals_every_assignment_of_steps(case: Case, movable: bool) -> None:
    check(case, movable=movable)


@settings(max_examples=EXAMPLES, deadline=None)
@given(cases(units_per_step=4, steps=4), st.booleans())
def test_within_steps_equals_every_assignment_of_minutes(case: Case, movable: bool) -> None:
    check(case, movable=movable)


@settings(max_examples=EXAMPLES, deadline=None)
@given(cases(units_per_step=1, steps=6), st.integers(0, 30))
def test_a_price_limit_is_kept_and_the_bound_lies_below_the_best_within_it(case: Case, limit_usd: int) -> None:
    by_price = brute(case, movable=True, frugal=True)
    within = [value for price, value in by_price.items() if price <= limit_usd + 1e-9]
    if not within:
        with pytest.raises(InputError) as caught:
            case.solve(max_price_usd=limit_usd)
        if by_price:
            assert caught.value.facts["cheapest_usd"] == pytest.approx(min(by_price))
        return
    route = case.solve(max_price_usd=limit_usd)
    assert_sound(case, route, movable=True)
    assert route.price_usd <= limit_usd + 1e-9
    assert cost(case, route) >= min(within) - 1e-7
    assert route.bound_g <= min(within) + 1e-7
    if route.exact:
        assert cost(case, route) == pytest.approx(min(within), rel=1e-8, abs=1e-6)
    staying = [value for price, value in brute(case, movable=False, frugal=True).items() if price <= limit_usd + 1e-9]
    assert cost(case, route) <= min(staying, default=np.inf) * (1 + 1e-9) + 1e-7


@settings(max_examples=EXAMPLES, deadline=None)
@given(cases(units_per_step=4, steps=4), st.integers(0, 30))
def test_one_run_equals_every_place_and_minute(case: Case, limit_usd: int) -> None:
    best = None
    for r, row in enumerate(case.values):
        first_g, first_usd, delay = case.first[r]
        usd = first_usd + case.price[r] * case.duration * case.unit_s / 3600
        for start in range(case.earliest + delay, case.end - case.duration + 1):
            total = sum(row[unit // case.units_per_step[r]] for unit in range(start, start + case.duration))
            g = first_g + case.power_kw[r] * total * case.unit_s / 3600
            if usd <= limit_usd:
                best = min(best, g + case.usd_weight * usd) if best is not None else g + case.usd_weight * usd
    arguments = (
        case.places(),
        START_S + case.earliest * case.unit_s,
        START_S + case.end * case.unit_s,
        case.duration * case.unit_s,
    )
    if best is None:
        with pytest.raises(InputError):
            best_place(*arguments, usd_weight=case.usd_weight, max_price_usd=limit_usd)
        return
    route = best_place(*arguments, usd_weight=case.usd_weight, max_price_usd=limit_usd)
    assert_sound(case, route, movable=False)
    assert cost(case, route) == pytest.approx(best, rel=1e-9, abs=1e-7)


def solved(case: Case, *, movable: bool = True) -> float:
    try:
        return cost(case, case.solve(movable=movable))
    except InputError:
        return np.inf


def without_last_place(case: Case) -> Case:
    return replace(
        case,
        values=case.values[:-1],
        move_g=tuple(row[:-1] for row in case.move_g[:-1]),
        move_usd=tuple(row[:-1] for row in case.move_usd[:-1]),
        move_delay=tuple(row[:-1] for row in case.move_delay[:-1]),
    )


@settings(max_examples=EXAMPLES, deadline=None)
@given(cases(units_per_step=4, steps=4), st.sampled_from(["move", "wait", "dearer", "cheaper", "place"]), st.data())
def test_more_freedom_is_never_worse_and_dearer_moves_never_better(
    case: Case, change: str, data: st.DataObject
) -> None:
    freer, stricter, movable = case, case, True
    if change == "move":
        movable = False
    elif change == "wait":
        freer = replace(case, end=case.units_per_step[0] * len(case.values[0]))
    elif change == "dearer":
        dearer = tuple(tuple(value + 25 * (i != j) for j, value in enumerate(row)) for i, row in enumerate(case.move_g))
        stricter = replace(case, move_g=dearer)
    elif change == "cheaper":
        step = data.draw(st.integers(0, len(case.values[0]) - 1))
        cheaper = tuple(value // 2 if index == step else value for index, value in enumerate(case.values[0]))
        freer = replace(case, values=(cheaper, *case.values[1:]))
    elif len(case.values) > 1:
        stricter = without_last_place(case)
    assert solved(freer) <= solved(stricter, movable=movable) * (1 + 2e-9) + 1e-7


@settings(max_examples=EXAMPLES, deadline=None)
@given(cases(units_per_step=4, steps=3), st.integers(2, 9))
def test_scaling_scales_and_shifting_shifts(case: Case, factor: int) -> None:
    if not brute(case, movable=True):
        return
    plain = case.solve()
    scaled = replace(
        case,
        values=tuple(tuple(factor * value for value in row) for row in case.values),
        first=tuple((factor * g, usd, delay) for g, usd, delay in case.first),
        move_g=tuple(tuple(factor * value for value in row) for row in case.move_g),
        usd_weight=factor * case.usd_weight,
    )
    assert solved(scaled) == pytest.approx(factor * cost(case, plain), rel=1e-9, abs=1e-7)
    shifted = [
        replace(place, series=place.series._replace(start_s=place.series.start_s + 86400.0)) for place in case.places()
    ]
    later = best_route(
        shifted,
        START_S + 86400 + case.earliest * case.unit_s,
        START_S + 86400 + case.end * case.unit_s,
        case.duration * case.unit_s,
        moves=case.moves(),
        usd_weight=case.usd_weight,
    )
    assert [stay.place for stay in later.stays] == [stay.place for stay in plain.stays]
    assert [stay.start_s - 86400 for stay in later.stays] == pytest.approx([stay.start_s for stay in plain.stays])


@settings(max_examples=EXAMPLES, deadline=None)
@given(cases(units_per_step=4, steps=4), st.sampled_from([7, 25]))
def test_too_fine_a_grain_leaves_a_bound_below_every_assignment(case: Case, unit_s: int) -> None:
    """Steps of 28 s are blurred, delays of 25 s in steps of 100 s rounded: the best lies between bound and plan."""
    case = replace(case, unit_s=unit_s)
    expected = brute(case, movable=True)
    if not expected:
        assert np.isinf(solved(case))
        return
    try:
        route = case.solve()
    except InputError:  # only a route with moves fits, and its delays were rounded up
        assert not brute(case, movable=False)
        return
    assert_sound(case, route, movable=True)
    assert route.bound_g <= expected[0.0] * (1 + 1e-9) + 1e-7
    assert cost(case, route) >= expected[0.0] * (1 - 1e-9) - 1e-7
    if route.exact:
        assert cost(case, route) == pytest.approx(expected[0.0], rel=2e-9, abs=1e-7)
    assert route_cost(case.places(), route.stays, moves=case.moves()) == pytest.approx(
        (route.emissions_g, route.price_usd), rel=1e-9, abs=1e-9
    )


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.data())
def test_many_arrivals_equal_every_place_and_start(data: st.DataObject) -> None:
    count, total = data.draw(st.integers(1, 3)), data.draw(st.integers(1, 9))
    value = st.one_of(st.integers(0, 500), st.just(None))
    rows = [data.draw(st.lists(value, min_size=total, max_size=total)) for _ in range(count)]
    length, slack = data.draw(st.integers(1, 4)), data.draw(st.integers(0, 6))
    first_g = [[data.draw(st.integers(0, 900)) for _ in rows] for _ in range(2)]
    waits = [[data.draw(st.integers(0, 3)) for _ in rows] for _ in range(2)]
    kwh = [data.draw(st.integers(1, 3)) for _ in rows]
    values = np.array([[np.nan if v is None else v for v in row] for row in rows], dtype=float)
    found = best_place_and_start(
        values,
        np.arange(total),
        length,
        slack,
        energy_kwh=np.array(kwh, dtype=float),
        fixed_g=np.array(first_g, dtype=float),
        delay_steps=np.array(waits),
    )
    for home in range(2):
        for arrival in range(total):
            options = []
            for r, row in enumerate(rows):
                for start in range(arrival + waits[home][r], min(arrival + slack, total - length) + 1):
                    run = row[start : start + length]
                    known = [v for v in run if v is not None]
                    if len(known) == length:
                        options.append((first_g[home][r] + kwh[r] * sum(known), r, start))
            if options:
                least_g, place, start = min(options)
                assert found.least_g[home, arrival] == pytest.approx(least_g)
                assert (found.place[home, arrival], found.start[home, arrival]) == (place, start)
            else:
                assert np.isnan(found.least_g[home, arrival])
                assert found.place[home, arrival] == found.start[home, arrival] == -1
