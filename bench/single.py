"""One job a call, with checks and a result object: how many a second."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from table import Row, per_second

from lowtide.planning.solvers.single import find_pieces, find_window
from lowtide.planning.solvers.steps import StepSeries, prepare
from lowtide.planning.solvers.windows import best_pieces, best_window

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HOUR_S = 3600.0
START_S = 1_767_225_600.0
CALLS = 5000


def rows() -> Iterator[Row]:
    values = np.random.default_rng(0).uniform(50, 500, 28).round(1)
    raw = StepSeries(START_S, HOUR_S, values)
    series = prepare(raw)
    on_steps = (START_S, START_S + 28 * HOUR_S, 4 * HOUR_S)
    from_now = (START_S + 2730.25, START_S + 28 * HOUR_S, 4 * HOUR_S)
    part = (START_S + 2730.25, START_S + 27.6 * HOUR_S, 4.3 * HOUR_S)
    cases: tuple[tuple[str, float | None, Callable[[], object]], ...] = (
        ("one window, 4 h in 28 h", 60_000, lambda: find_window(series, *on_steps)),
        ("cheapest steps, 4 h in 28 h", 60_000, lambda: find_pieces(series, *on_steps)),
        ("one window, from inside a step", None, lambda: find_window(series, *from_now)),
        ("one window, all times inside steps", None, lambda: find_window(series, *part)),
        ("cheapest steps, all times inside steps", None, lambda: find_pieces(series, *part)),
        ("one window, series prepared for each call", None, lambda: best_window(raw, *on_steps)),
        ("cheapest steps, series prepared for each call", None, lambda: best_pieces(raw, *on_steps)),
    )
    for figure, bar, call in cases:
        yield Row("single", figure, per_second(call, calls=CALLS), "plans/s", bar)


def main() -> None:
    for row in rows():
        print(row)


if __name__ == "__main__":
    main()
