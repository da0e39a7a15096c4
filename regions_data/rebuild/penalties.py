"""Prints how well each ridge weight of the climatology does on a year that it was not fitted on; writes nothing.

``python regions_data/rebuild/penalties.py INPUT_DIR`` fits every zone that has both on 2021 and judges on 2022, and the
other way round. 2023 takes no part: it is the year that the tests judge the chosen weights on.
"""

from __future__ import annotations

import sys
from itertools import product
from pathlib import Path

import numpy as np
from climatology import HOURLY, LICENSED, Array, Hours, by_year, fit, load_hours
from inputs import read_bytes

from lowtide_facts.climatology import shape

JOB_H = 4
SLACK_H = 24
WEIGHTS = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2)


def captured_pct(actual: Hours, expected: Array) -> float:
    """Share of the oracle's saving that a plan on the expected series keeps, over jobs that arrive every hour.

    Args:
        actual: What came. expected: What was planned on, of any scale; (T,), as long.
    Returns:
        (run now - plan) / (run now - oracle), sums over all arrivals whose whole freedom lies in the series; percent.
    """
    came, planned = (np.convolve(series, np.ones(JOB_H), "valid") for series in (actual.g_per_kwh, expected))
    arrivals = np.arange(came.size - SLACK_H)
    starts = arrivals[:, None] + np.arange(SLACK_H + 1)
    length_h = SLACK_H + JOB_H - 1
    whole = actual.start_s[arrivals + length_h] - actual.start_s[arrivals] == length_h * 3600  # no gap inside
    now, chosen, best = came[arrivals], came[arrivals + planned[starts].argmin(axis=1)], came[starts].min(axis=1)
    return float(100 * (now - chosen)[whole].sum() / (now - best)[whole].sum())


def main(source: Path) -> None:
    """Prints the mean over zones and both directions for each pair of weights, best first."""
    hours = load_hours(read_bytes(source, HOURLY), LICENSED)
    zones = [years for years in map(by_year, hours.values()) if {2021, 2022} <= years.keys()]
    scores = {}
    for interaction, weekend in product(WEIGHTS, WEIGHTS):
        penalties = np.array([0.0, 0.0, interaction, weekend])
        scores[interaction, weekend] = np.mean(
            [
                captured_pct(years[judged], shape(fit([years[fitted]], penalties), years[judged].start_s))
                for years in zones
                for fitted, judged in ((2021, 2022), (2022, 2021))
            ]
        )
    print(f"{len(zones)} zones; day x season, weekend: captured %")
    for (interaction, weekend), score in sorted(scores.items(), key=lambda item: -item[1]):
        print(f"{interaction:5.2f} {weekend:5.2f}: {score:.2f}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
