"""Whatever a counter does, what is reported is what is true, or the bounds hold it."""

from __future__ import annotations

import json
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lowtide_sampler.integrate import Ledger
from lowtide_sampler.journal import JournalRecords, encode, replay
from lowtide_sampler.meters import Source

thorough = settings(max_examples=int(os.environ.get("LOWTIDE_EXAMPLES", "200")), deadline=None)
PMAX_W = 400.0

steps_s = st.floats(0.01, 2000.0)
powers_w = st.floats(0.0, PMAX_W)
segments = st.lists(st.tuples(steps_s, powers_w), min_size=1, max_size=30).filter(
    lambda path: sum(dt_s * power_w for dt_s, power_w in path) > 1e-3  # a counter that never moves is not believed
)


def header(source: Source) -> dict:
    return {"journal": "lowtide-journal/1", "run_id": "r", "start_utc_s": 1.8e9, "threads": 4, "allocated_share": 0.7,
            "idle_share": 0.2, "sources": [source._asdict()]}  # fmt: skip


def records(
    source: Source, path: list[tuple[float, float]], missing: set[int] = frozenset(), start_uj: int = 0
) -> list[dict]:
    """Ticks of a counter that follows the path of (seconds, watts); those of ``missing`` fail."""
    t_s, truth_uj = 0.0, float(start_uj)
    ticks = []
    for index, (dt_s, power_w) in enumerate([(0.0, 0.0), *path]):
        t_s += dt_s
        truth_uj += 1e6 * power_w * dt_s
        reading = int(truth_uj) % (source.range_uj or 2**63)
        ticks.append({"t": t_s, "utc": 1.8e9 + t_s, "boot": 0.0, "job": t_s, "busy": 2 * t_s,
                      "uj": [None if index in missing else reading]})  # fmt: skip
    return ticks


def bounds_j(source: Source, ticks: list[dict]) -> tuple[float, float, float]:
    """(low, point, high) of the whole node's energy, gaps filled."""
    ledger = Ledger(header(source))
    for tick in ticks:
        ledger.add(tick)
    ledger.close()
    (track,) = ledger.meters
    cells = track.cells.values()
    fill_w = track.mean_power_w if track.mean_power_w is not None else source.pmax_w / 2
    energy_j = sum(cell.energy_j + fill_w * cell.gap_s for cell in cells)
    return sum(cell.low_j for cell in cells), energy_j, sum(cell.high_j for cell in cells)


def true_j(path: list[tuple[float, float]]) -> float:
    return sum(dt_s * power_w for dt_s, power_w in path)


@thorough
@given(path=segments)
def test_without_resets_the_sum_is_exact_to_one_step_of_the_counter(path: list[tuple[float, float]]) -> None:
    source = Source("c", "c", "cpu", "counter", pmax_w=PMAX_W)
    low_j, energy_j, high_j = bounds_j(source, records(source, path))
    assert energy_j == pytest.approx(true_j(path), rel=1e-6, abs=1e-5)
    assert low_j == pytest.approx(high_j)


@thorough
@given(path=segments, data=st.data())
def test_failed_reads_between_cost_a_counter_nothing(path: list[tuple[float, float]], data: st.DataObject) -> None:
    source = Source("c", "c", "cpu", "counter", pmax_w=PMAX_W)
    missing = data.draw(st.sets(st.integers(1, max(len(path) - 1, 1)))) - {len(path)}
    _, energy_j, _ = bounds_j(source, records(source, path, missing))
    assert energy_j == pytest.approx(true_j(path), rel=1e-6, abs=1e-5)


@thorough
@given(path=segments, range_j=st.floats(50, 1e6), start=st.integers(0, 10**9), data=st.data())
def test_the_bounds_hold_the_truth_whatever_wraps_and_fails(
    path: list[tuple[float, float]], range_j: float, start: int, data: st.DataObject
) -> None:
    source = Source("c", "c", "cpu", "counter", pmax_w=PMAX_W, range_uj=int(1e6 * range_j))
    missing = data.draw(st.sets(st.integers(0, len(path))))
    low_j, energy_j, high_j = bounds_j(source, records(source, path, missing, start))
    slack_j = 1e-5 + 1e-6 * true_j(path)
    assert low_j - slack_j <= true_j(path) <= high_j + slack_j
    assert low_j - slack_j <= energy_j


@thorough
@given(path=segments, reset_at=st.integers(0, 29))
def test_the_bounds_hold_the_truth_across_a_reset(path: list[tuple[float, float]], reset_at: int) -> None:
    source = Source("c", "c", "cpu", "counter", pmax_w=PMAX_W)
    ticks = records(source, path, start_uj=10**12)
    for tick in ticks[reset_at % len(ticks) + 1 :]:
        tick["uj"] = [tick["uj"][0] - 10**12]
    low_j, energy_j, high_j = bounds_j(source, ticks)
    slack_j = 1e-5 + 1e-6 * true_j(path)
    assert low_j - slack_j <= true_j(path) <= high_j + slack_j
    assert low_j - slack_j <= energy_j <= high_j + slack_j


@thorough
@given(path=segments, data=st.data())
def test_reading_less_often_changes_nothing(path: list[tuple[float, float]], data: st.DataObject) -> None:
    source = Source("c", "c", "cpu", "counter", pmax_w=PMAX_W)
    ticks = records(source, path)
    kept = [tick for tick in ticks[1:-1] if data.draw(st.booleans())]
    fewer = [ticks[0], *kept, ticks[-1]]
    # The counter's step is a microjoule: that is as close as two ways of adding it up can be held to each other.
    assert bounds_j(source, fewer)[1] == pytest.approx(bounds_j(source, ticks)[1], rel=1e-9, abs=1e-6)


@thorough
@given(path=segments, missing=st.sets(st.integers(0, 30)), rule=st.sampled_from(["share", "node", "marginal"]))
def test_the_parts_of_a_result_add_up(path: list[tuple[float, float]], missing: set[int], rule: str) -> None:
    source = Source("c", "c", "cpu", "counter", pmax_w=PMAX_W, range_uj=10**11, error_share=0.05)
    head = {**header(source), "attribution": rule}
    result = replay(JournalRecords(head, records(source, path, missing), {"end": "ok"}, 0))
    assert result["energy_low_j"] <= result["energy_j"] <= result["energy_high_j"]
    assert sum(bucket["energy_j"] for bucket in result["buckets"]) == pytest.approx(result["energy_j"], rel=1e-9)
    assert result["components"]["cpu"]["energy_j"] == pytest.approx(result["energy_j"], rel=1e-9)
    rules = result["attribution"]
    assert rules["energy_marginal_j"] <= rules["energy_share_j"] * (1 + 1e-9)
    assert rules["energy_share_j"] <= rules["energy_node_j"] * (1 + 1e-9)
    shares = [result[name] for name in ("measured_share", "modelled_share", "filled_share")]
    assert shares == [None] * 3 or sum(shares) == pytest.approx(1.0)


@thorough
@given(path=segments)
def test_a_record_means_the_same_after_it_was_written_and_read(path: list[tuple[float, float]]) -> None:
    source = Source("c", "c", "cpu", "counter", pmax_w=PMAX_W)
    ticks = records(source, path)
    again = [json.loads(encode(tick)) for tick in ticks]
    head = header(source)
    assert replay(JournalRecords(json.loads(encode(head)), again, None, 0)) == replay(
        JournalRecords(head, ticks, None, 0)
    )
