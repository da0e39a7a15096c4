"""How many exact plans one core makes in a second, by single calls."""

from __future__ import annotations

import statistics
import time
from datetime import UTC, datetime, timedelta

import numpy as np

from lowtide.planning.solve import solve
from lowtide.planning.types import Candidate, PlanProblem
from lowtide.planning.windows import StepSeries, best_pieces, best_window
from lowtide_core.places import LOCAL, ZoneId
from lowtide_core.series import LIFECYCLE_CONSUMPTION, SignalSeries

NOW = datetime(2026, 3, 1, tzinfo=UTC)
VALUES = np.random.default_rng(0).uniform(50, 500, 28)


def per_second(call: object, calls: int) -> float:
    rates = []
    for _ in range(5):
        started = time.perf_counter()
        for _ in range(calls):
            call()  # type: ignore[operator]
        rates.append(calls / (time.perf_counter() - started))
    return statistics.median(rates)


def main() -> None:
    steps = StepSeries(NOW.timestamp(), 3600.0, VALUES)
    series = SignalSeries(ZoneId("DE"), NOW, 3600.0, VALUES, LIFECYCLE_CONSUMPTION, "forecast", "invented")
    place = Candidate(LOCAL, ZoneId("DE"), series, power_w=300.0, pue=1.0)
    problem = PlanProblem(NOW, NOW + timedelta(hours=28), 4 * 3600.0, (place,), place)
    first, last = steps.start_s, steps.start_s + 28 * 3600
    print(f"{'4 h in 28 h, one call':<40}{'plans/s':>10}")
    for name, call in (
        ("best window", lambda: best_window(steps, first, last, 4 * 3600.0)),
        ("cheapest steps (pausable)", lambda: best_pieces(steps, first, last, 4 * 3600.0)),
        ("solve: checks, baseline, result object", lambda: solve(problem)),
    ):
        print(f"{name:<40}{per_second(call, 2000):>10,.0f}")


if __name__ == "__main__":
    main()
