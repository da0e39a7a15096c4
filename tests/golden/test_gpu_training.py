"""B11: training runs on GPUs in fifteen cloud regions, 2022: what a later start and what pausing brings.

The lengths are those of Dodge et al., Measuring the Carbon Intensity of AI in Cloud Instances, FAccT 2022: from a small
language model (0.4 h) to one of 6 billion parameters (192 h); start at most 24 h later, paused and resumed within twice
the length, or within 24 h more. The brute force counts in fifths of hours, so that 0.4 h is whole.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lowtide.planning.solvers.batch import slide_cheapest, slide_windows
from lowtide.planning.solvers.ranks import rank_steps
from lowtide.planning.solvers.steps import StepSeries, prepare
from lowtide.testing.measured import hourly

if TYPE_CHECKING:
    from pathlib import Path

HOUR_S = 3600.0
DAY_H = 24.0
FIFTHS = 5
LENGTHS_H = (0.4, 6.0, 36.0, 90.0, 192.0)
REGIONS = {
    "West US": "US-CAL-CISO",
    "West US 2": "US-NW-BPAT",
    "Central US": "US-MIDW-MISO",
    "South Central US": "US-TEX-ERCO",
    "East US": "US-MIDA-PJM",
    "Canada Central": "CA-ON",
    "UK South": "GB",
    "North Europe": "IE",
    "West Europe": "NL",
    "France Central": "FR",
    "Germany West Central": "DE",
    "Norway East": "NO-NO1",
    "Australia East": "AU-NSW",
    "Japan East": "JP-TK",
    "Korea Central": "KR",
}


def least_run_mean(window: list[float], needed: int) -> float:
    total = least = sum(window[:needed])
    for leaves, enters in zip(window, window[needed:], strict=False):
        total += enters - leaves
        least = min(least, total)
    return least / needed


@pytest.mark.data
@pytest.mark.parametrize("zone", REGIONS.values(), ids=REGIONS.keys())
def test_plans_equal_brute_force(test_data: Path, zone: str) -> None:
    year = hourly(test_data, zone, 2022)
    series = prepare(StepSeries(year.start_s, HOUR_S, year.values))
    steps = rank_steps(series)
    fifths = [value for value in year.values.tolist() for _ in range(FIFTHS)]
    for length_h in LENGTHS_H:
        needed = round(length_h * FIFTHS)
        later = slide_windows(series, length_h * HOUR_S, DAY_H * HOUR_S)
        for slack_h in (DAY_H, length_h):
            pausing = slide_cheapest(steps, length_h * HOUR_S, slack_h * HOUR_S)
            for start in range(0, pausing.planned.size, 701):
                window = fifths[start * FIFTHS : start * FIFTHS + needed + round(slack_h * FIFTHS)]
                assert pausing.mean[start] == pytest.approx(sum(sorted(window)[:needed]) / needed, rel=1e-9)
                if slack_h == DAY_H:
                    assert later.mean[start] == pytest.approx(least_run_mean(window, needed), rel=1e-9)


@pytest.mark.data
def test_a_later_start_is_worth_nothing_to_a_long_run_and_pausing_is(test_data: Path) -> None:
    for zone in REGIONS.values():
        year = hourly(test_data, zone, 2022)
        series = prepare(StepSeries(year.start_s, HOUR_S, year.values))
        saved = []
        for length_h in LENGTHS_H:
            plans = slide_windows(series, length_h * HOUR_S, DAY_H * HOUR_S)
            saved.append(1 - plans.mean.sum() / plans.mean_at_once.sum())
        paused = slide_cheapest(rank_steps(series), 192 * HOUR_S, 192 * HOUR_S)
        assert saved == sorted(saved, reverse=True), "the longer the run, the less a later start brings"
        assert saved[-1] < 0.03
        assert 1 - paused.mean.sum() / paused.mean_at_once.sum() > 3 * saved[-1]
