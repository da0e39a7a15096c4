"""G1-G4 and G16: single windows as two peers plan them, with the rule that each of them integrates by.

CATS (``GreenScheduler/cats`` 1.2.1, G1-G4) joins the points of a forecast by straight lines, a trapezoid rule, and
tries starts one step of the data apart from the given one. The scheduler of Electricity Maps for Airflow (G16) rounds
its window up to whole hours. lowtide holds each value for its step, tries every instant, and rounds nothing. So the
published numbers are computed here by the peer's rule, and what lowtide must answer by its own, both from the data.
"""

from __future__ import annotations

import csv
from datetime import UTC, datetime, timedelta, timezone
from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pytest

from lowtide.planning.solve import solve
from lowtide.planning.solvers.single import find_window
from lowtide.planning.solvers.steps import StepSeries, prepare
from lowtide.planning.types import Candidate, Plan, PlanProblem
from lowtide_core.places import LOCAL, ZoneId
from lowtide_core.quantities import parse_instant_utc
from lowtide_core.series import LIFECYCLE_CONSUMPTION, SignalSeries
from lowtide_core.spans import parse_iso_utc

if TYPE_CHECKING:
    from pathlib import Path

    from lowtide.planning.solvers.single import Found

HALF_HOUR_MIN = 30


def trapezoid_mean(points: list[int], start_min: int, duration_min: int) -> Fraction:
    """Mean of the straight lines through points half an hour apart, over minutes from the first point."""

    def value(at_min: Fraction) -> Fraction:
        step, inside = divmod(at_min, HALF_HOUR_MIN)
        after = points[min(int(step) + 1, len(points) - 1)]
        return points[int(step)] + (after - points[int(step)]) * Fraction(inside) / HALF_HOUR_MIN

    end_min = start_min + duration_min
    corners = [m for m in range(0, HALF_HOUR_MIN * len(points), HALF_HOUR_MIN) if start_min < m < end_min]
    total = sum(
        (value(Fraction(a)) + value(Fraction(b))) / 2 * (b - a) for a, b in pairwise([start_min, *corners, end_min])
    )
    return Fraction(total) / duration_min


def step_mean(points: list[int], start_min: int, duration_min: int) -> Fraction:
    """Mean of the values, each held for half an hour, minute by minute."""
    minutes = range(start_min, start_min + duration_min)
    return Fraction(sum(points[minute // HALF_HOUR_MIN] for minute in minutes), duration_min)


def half_hourly(points: list[int], start: datetime) -> StepSeries:
    return StepSeries(start.timestamp(), HALF_HOUR_MIN * 60.0, np.array(points, dtype=float))


@pytest.fixture
def cats(test_data: Path) -> tuple[datetime, list[int]]:
    with (test_data / "golden/cats_48h.csv").open() as file:
        lines = list(csv.DictReader(file))
    return parse_iso_utc(lines[0]["start_utc"]), [int(line["intensity_g_per_kwh"]) for line in lines]


CATS_ROWS = (
    # duration, latest start after the first point, start, mean there and mean at once by the trapezoid rule
    (30, None, "2023-05-05T13:30Z", 6.0, 13.0),
    (180, None, "2023-05-05T12:00Z", 7.3333, 16.25),
    (330, None, "2023-05-05T09:30Z", 7.5455, 14.0909),
    (720, None, "2023-05-05T02:30Z", 9.5833, 15.2917),
    (720, 720, "2023-05-05T00:30Z", 10.6042, 15.2917),
    (1440, None, "2023-05-04T15:30Z", 11.875, 12.9479),
    (2850, None, "2023-05-04T12:30Z", 21.1421, 21.1421),
)


@pytest.mark.data
@pytest.mark.parametrize(("duration_min", "latest_min", "start", "mean", "mean_at_once"), CATS_ROWS)
def test_g1_the_published_rows_are_the_trapezoid_rule(
    cats: tuple[datetime, list[int]],
    duration_min: int,
    latest_min: int | None,
    start: str,
    mean: float,
    mean_at_once: float,
) -> None:
    first, points = cats
    last_min = (len(points) - 1) * HALF_HOUR_MIN - duration_min  # the lines end at the last point
    starts = range(0, min(last_min, latest_min if latest_min is not None else last_min) + 1, HALF_HOUR_MIN)
    best = min(starts, key=lambda at: (trapezoid_mean(points, at, duration_min), at))
    assert first + timedelta(minutes=best) == parse_iso_utc(start)
    assert float(trapezoid_mean(points, best, duration_min)) == pytest.approx(mean, abs=5e-5)
    assert float(trapezoid_mean(points, 0, duration_min)) == pytest.approx(mean_at_once, abs=5e-5)


@pytest.mark.data
@pytest.mark.parametrize(("duration_min", "latest_min"), [row[:2] for row in CATS_ROWS])
def test_g1_by_the_step_rule(cats: tuple[datetime, list[int]], duration_min: int, latest_min: int | None) -> None:
    first, points = cats
    last_min = len(points) * HALF_HOUR_MIN - duration_min  # the last value holds for its half hour too
    end_min = (latest_min if latest_min is not None else last_min) + duration_min
    starts = range(0, end_min - duration_min + 1, HALF_HOUR_MIN)
    best = min(starts, key=lambda at: (step_mean(points, at, duration_min), at))
    series = half_hourly(points, first)
    answer = find_window(prepare(series), series.start_s, series.start_s + end_min * 60, duration_min * 60)
    assert answer.start_s == series.start_s + best * 60
    assert answer.mean == pytest.approx(float(step_mean(points, best, duration_min)), rel=1e-12)
    assert answer.mean_at_once == pytest.approx(float(step_mean(points, 0, duration_min)), rel=1e-12)


REGRESSION_127 = [14, 20, 20, 22, 13, 40, 49, 76, 91, 86, 61, 28, 24, 26, 25, 27, 27, 26, 23]


def test_g2a_a_start_inside_a_step() -> None:
    """Issue 127: 30 min from 16:24 on 2025-03-10. By lines the first start tried is best, by steps 17:00 is."""
    first = datetime(2025, 3, 10, 15, 0, tzinfo=UTC)
    earliest_min = 84
    tried = range(earliest_min, (len(REGRESSION_127) - 1) * HALF_HOUR_MIN - 30 + 1, HALF_HOUR_MIN)
    by_lines = min(tried, key=lambda at: trapezoid_mean(REGRESSION_127, at, 30))
    assert by_lines == earliest_min
    assert float(trapezoid_mean(REGRESSION_127, earliest_min, 30)) == pytest.approx(19.08)

    every_minute = range(earliest_min, len(REGRESSION_127) * HALF_HOUR_MIN - 30 + 1)
    best = min(every_minute, key=lambda at: (step_mean(REGRESSION_127, at, 30), at))
    series = half_hourly(REGRESSION_127, first)
    end_by_s = series.start_s + len(REGRESSION_127) * 1800.0
    answer = find_window(prepare(series), series.start_s + earliest_min * 60, end_by_s, 1800.0)
    assert (answer.start_s - series.start_s) / 60 == best == 120
    assert answer.mean == float(step_mean(REGRESSION_127, best, 30)) == 13.0
    assert answer.mean_at_once == pytest.approx(float(step_mean(REGRESSION_127, earliest_min, 30)), rel=1e-12)


def planned(
    values: list[float],
    start: datetime,
    *,
    step_s: float = 3600.0,
    end_by: datetime,
    hours: float = 1,
    power_w: float = 1000.0,
) -> Plan:
    series = SignalSeries(ZoneId("GB"), start, step_s, np.array(values), LIFECYCLE_CONSUMPTION, "forecast", "peer")
    place = Candidate(LOCAL, ZoneId("GB"), series, power_w, pue=1.0)
    answer = solve(PlanProblem(start, end_by, hours * 3600.0, (place,), place))
    assert isinstance(answer, Plan)
    return answer


def test_g2b_the_last_feasible_slot_is_flagged() -> None:
    """Issue 32: values fall to the end. By lines the last run is 09:30 to the last point; by steps that holds too."""
    first = datetime(2025, 8, 13, 10, 0, tzinfo=UTC)
    points = list(range(116, 19, -1))
    starts = range(0, (len(points) - 1) * HALF_HOUR_MIN - 30 + 1, HALF_HOUR_MIN)
    by_lines = min(starts, key=lambda at: trapezoid_mean(points, at, 30))
    assert first + timedelta(minutes=by_lines) == datetime(2025, 8, 15, 9, 30, tzinfo=UTC)
    assert trapezoid_mean(points, by_lines, 30) == Fraction(41, 2)

    known_until = first + timedelta(minutes=HALF_HOUR_MIN * len(points))
    plan = planned([float(v) for v in points], first, step_s=1800.0, end_by=known_until, hours=0.5)
    assert plan.segments[0].start_utc == datetime(2025, 8, 15, 10, 0, tzinfo=UTC)
    assert plan.emissions_g == pytest.approx(points[-1] * 0.5)
    assert plan.forecast_edge, "a better one may lie beyond"
    turning = planned([*map(float, points), 50.0], first, step_s=1800.0, end_by=known_until, hours=0.5)
    assert turning.segments == plan.segments
    assert not turning.forecast_edge


def test_g3_footprint() -> None:
    """Units times watts (1, 2), (2, 3), (8, 1) for an hour: 16 Wh; 3.2 g at 200 g/kWh, 2.4 g at 150, 0.8 g saved."""
    power_w = sum(units * watts for units, watts in ((1, 2), (2, 3), (8, 1)))
    start = datetime(2026, 3, 1, tzinfo=UTC)
    plan = planned([200.0, 150.0], start, end_by=start + timedelta(hours=2), power_w=power_w)
    assert plan.energy_kwh == pytest.approx(0.016)
    assert plan.baseline_g == pytest.approx(3.2)
    assert plan.emissions_g == pytest.approx(2.4)
    assert plan.baseline_g - plan.emissions_g == pytest.approx(0.8)


@pytest.mark.parametrize(
    ("text", "local", "instant"),
    [
        ("11:00", timezone(timedelta(hours=-1)), "2026-03-01T12:00Z"),  # today, by the local clock
        ("2026-03-01T12:00Z", timezone(timedelta(hours=9)), "2026-03-01T12:00Z"),
        ("2026-03-01T11:00-01:00", UTC, "2026-03-01T12:00Z"),
    ],
)
def test_g4_times_are_read_in_their_zone(text: str, local: timezone, instant: str) -> None:
    now = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)
    assert parse_instant_utc(text, now_utc=now, local_zone=local) == parse_iso_utc(instant)


def test_g4_a_plan_is_the_same_whatever_zone_its_times_are_given_in() -> None:
    """12:00Z given as 11:00-01:00. The end is when the run must have finished, to the minute."""
    start, west = datetime(2026, 3, 1, 12, 0, tzinfo=UTC), timezone(timedelta(hours=-1))
    values = [300.0, 200.0, 100.0, 50.0]
    end_by = start + timedelta(hours=3, minutes=20)
    plan = planned(values, start, end_by=end_by)
    same = planned(values, start.astimezone(west), end_by=end_by.astimezone(west))
    assert same.segments == plan.segments
    assert plan.segments[0].end_utc == end_by
    assert plan.emissions_g == pytest.approx((40 * 100 + 20 * 50) / 60)


NOW_S = datetime(2026, 3, 1, 10, 45, 30, tzinfo=UTC).timestamp()
PATIENCE_S = 4 * 3600.0


def found(values: list[float], duration_s: float) -> Found:
    """Among hours from 08:00Z on, from now within the patience."""
    series = StepSeries(datetime(2026, 3, 1, 8, tzinfo=UTC).timestamp(), 3600.0, np.array(values, dtype=float))
    return find_window(prepare(series), NOW_S, NOW_S + PATIENCE_S, duration_s)


def test_g16_patience_is_not_rounded_up() -> None:
    """The peer lets its window of 4 h from 10:45:30Z end at 15:00Z. Here the run has finished at 14:45:30Z."""
    values = [500.0, 500, 400, 400, 400, 400, 10, 10]
    half_hour = found(values, 1800.0)
    assert datetime.fromtimestamp(half_hour.start_s, UTC) == datetime(2026, 3, 1, 14, 0, tzinfo=UTC)
    hour = found(values, 3600.0)
    assert hour.end_s == NOW_S + PATIENCE_S, "a whole hour from 14:00 would end at 15:00, too late"
    dear_s = 14.5 * 60  # before 14:00
    assert hour.mean == pytest.approx((dear_s * 400 + (3600 - dear_s) * 10) / 3600, rel=1e-12)


def test_g16_an_optimum_in_the_past_runs_now_and_one_to_come_exactly_then() -> None:
    past = found([500, 10, 20, 400, 400, 400, 400, 400], 600.0)
    assert past.start_s == NOW_S
    to_come = found([500, 10, 400, 400, 20, 400, 400, 400], 600.0)
    assert datetime.fromtimestamp(to_come.start_s, UTC) == datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
