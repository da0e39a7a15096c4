"""A8: how often the 90 % band holds the truth over a simulated fleet, and how wide it is where all is measured."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING

from sampler_table import Line

from fakes import node_fleet

if TYPE_CHECKING:
    from collections.abc import Iterator

COUNT = 500


def fleet() -> Iterator[Line]:
    cases = node_fleet.fleet(COUNT)
    yield Line(
        "A8", f"{COUNT} jobs: truth in the 90 % band, share", _share(case.is_inside for case in cases), 0.88, 0.94
    )
    for name in ("cpu", "dram", "gpu", "rest"):
        known = [case for case in cases if case.result["components"][name]["energy_j"] is not None]
        inside = _share(_holds(case, name) for case in known)
        yield Line("A8", f"  of {name} alone, {len(known)} jobs", inside)
    bands = sorted(_width(case) for case in cases if case.is_measured and case.is_exclusive and not case.has_gap)
    yield Line("A8", f"band of {len(bands)} measured, exclusive jobs: median", statistics.median(bands), None, 0.07)
    yield Line("A8", "  narrowest", bands[0])
    yield Line("A8", "  widest", bands[-1])


def _holds(case: node_fleet.Case, name: str) -> bool:
    part = case.result["components"][name]
    return bool(part["energy_low_j"] <= case.component_j[name] <= part["energy_high_j"])


def _width(case: node_fleet.Case) -> float:
    """Half the band of what counters measure, as a share of it."""
    low_j, point_j, high_j, _ = case.measured_band()
    return (high_j - low_j) / 2 / point_j


def _share(found: Iterator[bool]) -> float:
    return statistics.mean(map(float, found))
