"""The chart: every part of it says what the series says."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np

from lowtide.cli.plot import plot
from lowtide.cli.text import table
from lowtide.planning.types import Segment
from lowtide_core.places import LOCAL, ZoneId
from lowtide_core.series import LIFECYCLE_CONSUMPTION, SignalSeries
from lowtide_core.spans import Span

T0 = datetime(2026, 1, 3, 10, tzinfo=UTC)


def chart(values: list[float], run_h: tuple[float, float]) -> list[str]:
    series = SignalSeries(ZoneId("DE"), T0, 3600.0, np.array(values), LIFECYCLE_CONSUMPTION, "forecast", "invented")
    run = Segment(T0 + timedelta(hours=run_h[0]), T0 + timedelta(hours=run_h[1]), LOCAL, ZoneId("DE"))
    return plot(series, Span(T0, T0 + timedelta(hours=len(values))), (run,), UTC)


def test_higher_values_stand_higher_and_the_run_lies_below_the_low() -> None:
    lines = chart([400.0] * 12 + [100.0] * 12, (12, 24))
    top, bottom, runs = lines[0], lines[3], lines[-1]
    assert top.count("█") == 24
    assert bottom.count("█") == 48
    assert top.startswith("   400")
    first = runs.index("├")
    assert first == top.rindex("█") + 1, "the run starts where the bars fall"
    assert "run" in runs


def test_hours_stand_under_their_columns() -> None:
    lines = chart([100.0] * 24, (3, 4))
    hours, bars = lines[-2], lines[0]
    assert hours.index("12") - bars.index("█") == 4, "two columns to the hour, from 10:00"


def test_a_gap_is_blank_and_no_line_is_too_long() -> None:
    lines = chart([100.0, float("nan")] * 36, (0, 72))
    assert all(len(line) <= 100 for line in lines)
    assert "█ █" in lines[0]


def test_a_short_run_is_still_seen() -> None:
    assert "┃" in chart([100.0] * 72, (10, 10.2))[-1]


def test_tables_align() -> None:
    lines = table(("name", "g"), [("a", "1"), ("long", "100")], left={0})
    assert lines == ["name    g", "a       1", "long  100"]
