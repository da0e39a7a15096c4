"""Intervals between two readings, and where their energy falls in time."""

from __future__ import annotations

import pytest

from lowtide_sampler.integrate import AMBIGUOUS, GAP, MEASURED, WRAPPED, Ledger, classify, split
from lowtide_sampler.meters import Source

COUNTER = Source("c", "RAPL package", "cpu", "counter", pmax_w=500.0, range_uj=1_000_000_000)
ENDLESS = COUNTER._replace(range_uj=None)


def header(*sources: Source) -> dict:
    return {"start_utc_s": 1.8e9, "threads": 4, "sources": [source._asdict() for source in sources]}


def tick(
    t: float, *uj: int | None, utc: float | None = None, boot: float = 0.0, job: float = 0, busy: float = 0
) -> dict:
    return {"t": t, "utc": 1.8e9 + t if utc is None else utc, "boot": boot, "job": job, "busy": busy, "uj": list(uj)}


def test_a_rise_is_measured() -> None:
    assert classify(0, 100_000_000, 1.0, COUNTER, None) == (MEASURED, 100.0, 100.0, 100.0)


def test_a_fall_within_the_range_is_one_wrap() -> None:
    assert classify(950_000_000, 50_000_000, 1.0, COUNTER, None) == (WRAPPED, 100.0, 100.0, 100.0)


def test_several_possible_wraps_are_ambiguous_and_the_mean_power_chooses() -> None:
    found = classify(0, 100_000_000, 10.0, COUNTER, 205.0)
    assert found.kind == AMBIGUOUS
    assert found.energy_j == pytest.approx(2100.0)
    assert (found.low_j, found.high_j) == (pytest.approx(100.0), pytest.approx(5100.0))


@pytest.mark.parametrize(
    ("before", "after", "source"),
    [
        (0, 900_000_000, COUNTER),  # more than the source can draw in a second
        (900_000_000, 700_000_000, COUNTER),  # started anew: a wrap would need more than it can draw
        (900, 0, ENDLESS),
        (0, 2_000_000_000, ENDLESS),
    ],
)
def test_what_cannot_be_is_a_gap_bounded_by_the_highest_power(before: int, after: int, source: Source) -> None:
    assert classify(before, after, 1.0, source, 100.0) == (GAP, 0.0, 0.0, 500.0)


def test_an_interval_is_split_over_its_buckets_by_time() -> None:
    assert dict(split(1500.0, 600.0, 300)) == {900: 0.5, 1200: 0.5}
    assert list(split(1200.5, 0.0, 300)) == [(1200, 1.0)]
    parts = dict(split(1210.0, 400.0, 300))
    assert parts == {600: pytest.approx(90 / 400), 900: 0.75, 1200: pytest.approx(10 / 400)}


def test_a_counter_that_comes_back_covers_its_own_hole() -> None:
    ledger = Ledger(header(ENDLESS))
    for record in (tick(0, 0), tick(1, 100_000_000), tick(2, None), tick(3, None), tick(4, 400_000_000)):
        ledger.add(record)
    ledger.close()
    (track,) = ledger.meters
    assert track.measured_j == pytest.approx(400.0)
    assert track.counts[GAP] == 0


def test_a_power_sensor_that_comes_back_leaves_a_gap() -> None:
    ledger = Ledger(header(ENDLESS._replace(kind="power")))
    for record in (tick(0, 0), tick(1, 100_000_000), tick(2, None), tick(3, 150_000_000), tick(4, 250_000_000)):
        ledger.add(record)
    ledger.close()
    (track,) = ledger.meters
    assert track.measured_j == pytest.approx(200.0)
    assert sum(cell.gap_s for cell in track.cells.values()) == pytest.approx(2.0)


def test_a_jump_of_the_wall_clock_changes_no_energy() -> None:
    plain, jumped = Ledger(header(ENDLESS)), Ledger(header(ENDLESS))
    for t in range(5):
        plain.add(tick(t, 100_000_000 * t))
        jumped.add(tick(t, 100_000_000 * t, utc=1.8e9 + t + (3600 if t > 2 else 0)))
    assert jumped.meters[0].measured_j == plain.meters[0].measured_j
    assert (plain.clock_jumps, jumped.clock_jumps) == (0, 1)


def test_a_suspend_is_seen_and_is_no_jump_of_the_clock() -> None:
    ledger = Ledger(header(ENDLESS))
    ledger.add(tick(0, 0))
    ledger.add(tick(1, 100_000_000))
    ledger.add(tick(2, 5_000_000_000, utc=1.8e9 + 602, boot=600.0))
    assert (ledger.suspends, ledger.clock_jumps) == (1, 0)
    assert ledger.meters[0].counts[GAP] == 1


def test_a_range_of_next_to_nothing_takes_no_memory() -> None:
    tiny = COUNTER._replace(range_uj=1, pmax_w=1e20)
    found = classify(0, 0, 1.0, tiny, 100.0)
    assert found.kind == AMBIGUOUS
    assert found.energy_j == pytest.approx(100.0, abs=1e-5)
