"""B1: single jobs on a year of measured hours, against adding up and sorting the hours one by one.

The grid of Sukprasert et al., On the Limitations of Carbon-Aware Temporal and Spatial Workload Shifting in the Cloud,
EuroSys 2024: lengths of 1 to 168 h, a slack of 24 h and of 168 h, every start hour of 2022. Here a sample of starts in
four zones, and in a fifth of 2023 that has gaps; the benchmark compares all cells of all zones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from lowtide.planning.solvers.batch import slide_cheapest, slide_windows
from lowtide.planning.solvers.ranks import rank_steps
from lowtide.planning.solvers.single import find_pieces, find_window
from lowtide.planning.solvers.steps import StepSeries, prepare
from lowtide.testing.measured import hourly

if TYPE_CHECKING:
    from pathlib import Path

HOUR_S = 3600.0
TOLERANCE_G_H = 0.02
YEARS = (("DE", 2022), ("US-CAL-CISO", 2022), ("CA-ON", 2022), ("ZA", 2022), ("US-CAR-YAD", 2023))


@pytest.mark.data
@pytest.mark.parametrize(("zone", "year_ad"), YEARS)
@pytest.mark.parametrize(("length_h", "slack_h"), [(1, 24), (6, 24), (24, 24), (168, 24), (12, 168), (96, 168)])
def test_cells_equal_brute_force(test_data: Path, zone: str, year_ad: int, length_h: int, slack_h: int) -> None:
    year = hourly(test_data, zone, year_ad)
    series = prepare(StepSeries(year.start_s, HOUR_S, year.values))
    length_s, slack_s = length_h * HOUR_S, slack_h * HOUR_S
    windows, cheapest = slide_windows(series, length_s, slack_s), slide_cheapest(rank_steps(series), length_s, slack_s)
    assert windows.planned.size == cheapest.planned.size == year.values.size - length_h - slack_h + 1
    hours = year.values.tolist()
    for start in range(0, windows.planned.size, 211):
        window = hours[start : start + length_h + slack_h]
        assert windows.planned[start] == cheapest.planned[start] == (not np.isnan(window).any())
        if not windows.planned[start]:
            continue
        sums = [sum(window[later : later + length_h]) for later in range(slack_h + 1)]
        first = next(later for later, total in enumerate(sums) if total < min(sums) + 1e-6)
        assert abs(windows.mean[start] * length_h - min(sums)) <= TOLERANCE_G_H
        assert windows.start_s[start] == year.start_s + (start + first) * HOUR_S
        assert abs(cheapest.mean[start] * length_h - sum(sorted(window)[:length_h])) <= TOLERANCE_G_H
        earliest_s = year.start_s + start * HOUR_S
        alone = find_window(series, earliest_s, earliest_s + slack_s + length_s, length_s)
        assert alone.start_s == windows.start_s[start]
        assert alone.mean == windows.mean[start]
        paused = find_pieces(series, earliest_s, earliest_s + slack_s + length_s, length_s)
        assert paused.mean == pytest.approx(cheapest.mean[start], rel=1e-14)


@pytest.mark.data
def test_pausing_brings_more_the_longer_the_job_and_shifting_less(test_data: Path) -> None:
    """The shape of the published row: 15.59 % at 1 h to 0.78 % at 168 h, and pausing adds most at 24 h."""
    shifted, added = [], []
    year = hourly(test_data, "DE", 2022)
    series = prepare(StepSeries(year.start_s, HOUR_S, year.values))
    steps = rank_steps(series)
    for length_h in (1, 6, 12, 24, 48, 96, 168):
        window = slide_windows(series, length_h * HOUR_S, 24 * HOUR_S)
        pausing = slide_cheapest(steps, length_h * HOUR_S, 24 * HOUR_S)
        at_once = window.mean_at_once.sum()
        shifted.append(1 - window.mean.sum() / at_once)
        added.append((window.mean.sum() - pausing.mean.sum()) / at_once)
    assert shifted == sorted(shifted, reverse=True)
    assert added[0] == 0
    assert max(added) in added[2:5]
