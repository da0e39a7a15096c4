"""``lowtide run`` on a node whose devices draw a known power; for longer by ``make bench-sampler``."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("fakes.fake_nvml", reason="no driver's library that plays devices", exc_type=ImportError)
from fakes import known_gpus, powercap_world

LENGTH_S = 1.5
NO_COMPILER = "no C compiler"
pytestmark = pytest.mark.skipif(powercap_world.why_not() == NO_COMPILER, reason=NO_COMPILER)


ROWS = [
    pytest.param(row, id=row.name) for row in known_gpus.situations(LENGTH_S) if row.name in ("N2", "N5", "N6", "N7")
]


@pytest.mark.parametrize("row", ROWS)
def test_the_energy_of_devices_is_reported(row: known_gpus.Situation, tmp_path: Path) -> None:
    measured = known_gpus.measure(tmp_path / row.name, row, LENGTH_S)
    assert known_gpus.verdict(row, measured) == ""
    # A counter moves every 0.1 s: of a run so short, a step at each end is much.
    step_j = 0.1 * sum(row.devices[index].power_w for index, _ in row.counted)
    slack = 2 * step_j / measured.true_j
    assert row.low - slack <= measured.ratio <= row.high + slack


def test_bursts_are_seen_by_their_power_alone(tmp_path: Path) -> None:
    row = known_gpus.power_only()
    measured = known_gpus.measure(tmp_path / row.name, row, 3.0)
    assert measured.part["energy_low_j"] > 0
    assert measured.ratio == pytest.approx(1.0, abs=0.35)
