"""``lowtide run`` on a node whose counters follow a known power; for longer by ``make bench-sampler``."""

from __future__ import annotations

import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from fakes.known_power import measure, situations
from fakes.powercap_world import World, Zone, square, why_not, why_not_unreadable

LENGTH_S = 1.2
pytestmark = pytest.mark.skipif(bool(why_not()), reason=why_not() or "a world can be made")

LOOK = """
import time
for _ in range(40):
    before = time.monotonic()
    text = open("/sys/class/powercap/intel-rapl:0/energy_uj").read()
    print(before, time.monotonic(), len(text), int(text))
    time.sleep(0.01)
"""


def test_the_counters_are_where_the_power_has_brought_them(tmp_path: Path) -> None:
    zone = Zone("intel-rapl:0", "package-0", square(200, 20, period_s=0.2), range_uj=25_000_000, start_uj=24_000_000)
    world = World(tmp_path, (zone,))
    shown = subprocess.run(world.argv([sys.executable, "-Sc", LOOK]), capture_output=True, text=True, check=True).stdout
    rows = [tuple(map(float, line.split())) for line in shown.splitlines()]
    assert {row[2] for row in rows} == {21}
    for before_s, after_s, _, reading_uj in rows:
        lowest_j = 24 + zone.energy_j(before_s - world.began_s() - 0.05)  # the daemon may have been kept waiting
        highest_j = 24 + zone.energy_j(after_s - world.began_s() + 0.001)
        assert any(lowest_j <= 1e-6 * reading_uj + 25 * wraps <= highest_j for wraps in range(5))
    assert any(later[3] < earlier[3] for earlier, later in pairwise(rows)), "it never wrapped"


@pytest.mark.parametrize("name", [name for name, row in situations(LENGTH_S).items() if row.kind == "exact"])
def test_a_known_energy_is_reported(name: str, tmp_path: Path) -> None:
    """Over the sampler's window, which is around the command's and within the process's."""
    measured = measure(tmp_path, situations(LENGTH_S)[name], LENGTH_S)
    assert measured.status == 0
    assert measured.reported_j == pytest.approx(measured.true_j, rel=0.005, abs=240 * 0.012)
    assert 0.99 * measured.inner_j <= measured.reported_j <= 1.01 * measured.outer_j
    assert measured.low_j <= measured.true_j <= measured.high_j
    assert measured.result["components"]["cpu"]["measured_share"] == 1.0


@pytest.mark.skipif(bool(why_not_unreadable()), reason=why_not_unreadable() or "files can be hidden")
def test_a_counter_that_may_not_be_read_is_told_and_modelled(tmp_path: Path) -> None:
    measured = measure(tmp_path, situations(LENGTH_S)["S7"], LENGTH_S)
    assert measured.status == 0
    assert measured.result["modelled_share"] == 1.0
    assert measured.reported_j > 0
    for word in ("intel-rapl:0/energy_uj", "CVE-2020-8694", "tmpfiles.d"):
        assert word in measured.errors
    assert "a+r" not in measured.errors


def test_a_counter_that_vanishes_is_filled_and_flagged(tmp_path: Path) -> None:
    measured = measure(tmp_path, situations(LENGTH_S)["S8"], LENGTH_S)
    assert measured.status == 0
    assert measured.low_j <= measured.true_j <= measured.high_j
    assert measured.reported_j == pytest.approx(measured.true_j, rel=0.1)
    assert "filled" in measured.result["components"]["cpu"]["flags"]
    assert measured.result["filled_share"] > 0.1
