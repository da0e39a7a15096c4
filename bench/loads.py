"""Runs whose power varies, of unknown length, and the frontier over several places: single plans in a second."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from table import Row, per_second

from lowtide.planning.solvers.durations import Durations, best_uncertain_start
from lowtide.planning.solvers.frontier import frontier
from lowtide.planning.solvers.loads import Load, best_load
from lowtide.planning.solvers.places import PlaceCosts
from lowtide.planning.solvers.steps import StepSeries

if TYPE_CHECKING:
    from collections.abc import Iterator

HOUR_S = 3600.0
START_S = 1_700_000_000 // 3600 * HOUR_S
HOURS = 48
BAR_LOADS_PER_S = 5_000


def rows() -> Iterator[Row]:
    rng = np.random.default_rng(0)
    series = StepSeries(START_S, HOUR_S, rng.integers(10, 900, HOURS).astype(float))
    window = (START_S, START_S + HOURS * HOUR_S)
    ends_s = [600.0, 1800.0, 3600.0, 7000.0, 9000.0, 11000.0, 12345.0, 14400.0]
    power_w = rng.integers(50, 300, 8).astype(float)
    profile = Load(np.array([0.0, *ends_s]), power_w / power_w.mean())
    heavy = Load(profile.edges_s, profile.weight, setup_s=300.0, teardown_s=200.0)
    name = f"of {HOURS} h"
    for figure, load, bar in (
        (f"profile of 8 stretches, best start {name}", profile, BAR_LOADS_PER_S),
        (f"the same with set-up and tear-down {name}", heavy, None),
        (f"constant power {name}", Load.constant(ends_s[-1]), None),
    ):
        rate = per_second(lambda load=load: best_load(series, *window, load), calls=500)
        yield Row("loads", figure, rate, "plans/s", bar)
    for figure, durations in (
        (f"length of 3 to 5 h, 95 % in time, {name}", Durations.uniform(3 * HOUR_S, 5 * HOUR_S)),
        (f"30 like jobs, 95 % in time, {name}", Durations.sample(rng.integers(9_000, 20_000, 30).astype(float))),
    ):
        rate = per_second(
            lambda durations=durations: best_uncertain_start(series, *window, durations, probability=0.95), calls=300
        )
        yield Row("loads", figure, rate, "plans/s")
    places = [
        PlaceCosts(
            StepSeries(START_S, HOUR_S, rng.integers(10, 900, HOURS).astype(float)),
            power_kw=1.0,
            price_usd_per_h=float(rng.integers(1, 9)),
            delay_s=float(rng.integers(0, 4000)),
        )
        for _ in range(10)
    ]
    for pausable in (False, True):
        rate = per_second(lambda pausable=pausable: frontier(places, 4 * HOUR_S, *window, pausable=pausable), calls=20)
        how = "with pauses" if pausable else "uninterrupted"
        yield Row("loads", f"whole frontier of 10 places {name}, {how}", rate, "per s")


def main() -> None:
    for row in rows():
        print(row)


if __name__ == "__main__":
    main()
