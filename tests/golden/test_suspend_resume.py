"""B3: pausing with start-up energy, eight zones of 2022, against a dynamic programme that is written out plainly."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest

from lowtide.planning.solvers.pauses import PauseRules, plan_pauses
from lowtide.planning.solvers.pauses_batch import plan_pauses_batch
from lowtide.planning.solvers.windows import StepSeries
from lowtide.testing.measured import hourly

if TYPE_CHECKING:
    from pathlib import Path

HOUR_S = 3600.0
EVERY_H = 7
SAMPLED = 61
"""Of the arrivals, one in so many; the benchmark compares all."""

ZONES = ("US-CAL-CISO", "DE", "GB", "US-TEX-ERCO", "AU-SA", "CA-ON", "ES", "JP-TK")
SHAPES = ((6, 24, (0.0, 0.25, 1.0)), (24, 24, (0.0, 0.1, 0.5, 1.0)), (24, 72, (0.0, 0.1, 0.5, 1.0)))


def plain_dp(hours: list[float], run_h: int, overhead_h: float) -> tuple[float, int]:
    """The least cost, from the deadline back to the arrival; of equals, the fewest starts."""
    never = (math.inf, 0)
    on = off = [(0.0, 0)] + [never] * run_h
    for value in reversed(hours):
        ran = [never] + [(cost + value, starts) for cost, starts in on[:-1]]
        begun = [(cost + overhead_h * value, starts + 1) for cost, starts in ran]
        on, off = (
            [min(*pair) for pair in zip(ran, off, strict=True)],
            [min(*pair) for pair in zip(begun, off, strict=True)],
        )
    return off[run_h]


def one_window(hours: list[float], run_h: int, overhead_h: float) -> float:
    starts = range(len(hours) - run_h + 1)
    return min(sum(hours[start : start + run_h]) + overhead_h * hours[start] for start in starts)


def cheapest_hours(hours: list[float], run_h: int, overhead_h: float) -> float:
    chosen = set(sorted(range(len(hours)), key=lambda hour: (hours[hour], hour))[:run_h])
    return sum(hours[hour] * (1 + overhead_h * (hour - 1 not in chosen)) for hour in chosen)


@pytest.mark.data
@pytest.mark.parametrize("zone", ZONES)
def test_plans_equal_the_dp_and_are_never_below_either_simple_rule(test_data: Path, zone: str) -> None:
    year = hourly(test_data, zone, 2022)
    series = StepSeries(year.start_s, HOUR_S, year.values)
    for run_h, slack_h, overheads_h in SHAPES:
        window_h = run_h + slack_h
        arrivals = np.arange(0, year.values.size - window_h + 1, EVERY_H * SAMPLED)
        arrivals = arrivals[[not np.isnan(year.values[hour : hour + window_h]).any() for hour in arrivals]]
        assert arrivals.size >= 15
        for overhead_h in overheads_h:
            batch = plan_pauses_batch(year.values, arrivals, window_h, run_h, overhead_h, overhead_h)
            rules = PauseRules(overhead_h * HOUR_S, overhead_h * HOUR_S)
            for index, arrival in enumerate(arrivals.tolist()):
                hours = year.values[arrival : arrival + window_h].tolist()
                start_s = year.start_s + arrival * HOUR_S
                plan = plan_pauses(series, start_s, start_s + window_h * HOUR_S, run_h * HOUR_S, rules)
                least, starts = plain_dp(hours, run_h, overhead_h)
                assert plan.cost / HOUR_S == pytest.approx(least, rel=1e-9)
                assert batch.cost[index] == pytest.approx(least, rel=1e-9)
                assert plan.restarts == len(plan.pieces) - 1
                if overhead_h:
                    assert plan.restarts == starts - 1
                    assert batch.restarts[index] == starts - 1
                for simple in (one_window, cheapest_hours):
                    assert plan.cost / HOUR_S <= simple(hours, run_h, overhead_h) * (1 + 1e-12)
