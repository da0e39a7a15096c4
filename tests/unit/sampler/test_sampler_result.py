"""Attribution, bands, shares and the line for a person."""

from __future__ import annotations

import math

import pytest

from lowtide_sampler.journal import JournalRecords, replay
from lowtide_sampler.meters import Source
from lowtide_sampler.result import iso_utc, summary

PACKAGE = Source("p", "RAPL package", "cpu", "counter", pmax_w=500.0, error_share=0.05)
DEVICE = Source("g", "NVML counter", "gpu", "counter", pmax_w=900.0, error_share=0.05, job_share=1.0)
MODEL = Source("m", "CPU model", "cpu", "model", idle_w=10.0, active_j_per_cpu_s=5.0, low_share=0.5, high_share=2.0)


def result(*sources: Source, powers_w: tuple[float, ...] = (), job: float = 1.0, busy: float = 2.0, length_s: int = 10,
           **header: object) -> dict:  # fmt: skip
    first = {"journal": "lowtide-journal/1", "run_id": "r", "start_utc_s": 1.8e9 - 5, "threads": 4,
             "allocated_share": 0.5, "idle_share": 0.2, "sources": [source._asdict() for source in sources],
             **header}  # fmt: skip
    ticks = [{"t": t, "utc": 1.8e9 - 5 + t, "boot": 0, "job": job * t, "busy": busy * t,
              "uj": [round(1e6 * p * t) for p in powers_w]} for t in range(length_s + 1)]  # fmt: skip
    return replay(JournalRecords(first, ticks, {"end": "ok", "exit_status": 0, "signal": None}, 0))


def test_a_model_shares_idle_power_by_allocation_and_the_rest_by_cpu_seconds() -> None:
    got = result(MODEL)
    assert got["energy_j"] == pytest.approx(10 * (0.5 * 10 + 5 * 1.0))
    assert got["energy_low_j"] == pytest.approx(0.5 * got["energy_j"])
    assert got["energy_high_j"] == pytest.approx(2 * got["energy_j"])
    assert (got["measured_share"], got["modelled_share"], got["filled_share"]) == (0.0, 1.0, 0.0)


def test_the_three_rules_stand_in_order_and_one_of_them_is_the_result() -> None:
    shared = result(PACKAGE, powers_w=(100.0,))
    rules = shared["attribution"]
    assert rules["energy_marginal_j"] < rules["energy_share_j"] < rules["energy_node_j"] == pytest.approx(1000.0)
    assert shared["energy_j"] == rules["energy_share_j"]
    assert result(PACKAGE, powers_w=(100.0,), attribution="node")["energy_j"] == pytest.approx(1000.0)


def test_a_job_that_has_the_node_to_itself_gets_all_of_it() -> None:
    got = result(PACKAGE, powers_w=(100.0,), job=2.0, allocated_share=1.0)
    assert got["energy_j"] == pytest.approx(1000.0)
    assert got["energy_high_j"] - got["energy_j"] == pytest.approx(1.645 * 50, rel=1e-6)


def test_independent_errors_add_in_quadrature_and_those_of_one_kind_linearly() -> None:
    twins = result(PACKAGE, PACKAGE._replace(name="q"), powers_w=(100.0, 100.0), attribution="node")
    assert twins["energy_high_j"] - twins["energy_j"] == pytest.approx(1.645 * 0.05 * 2000)
    apart = result(PACKAGE, DEVICE, powers_w=(100.0, 100.0), attribution="node")
    assert apart["energy_high_j"] - apart["energy_j"] == pytest.approx(1.645 * 0.05 * 1000 * math.sqrt(2))


def test_buckets_and_components_add_up_to_the_energy() -> None:
    got = result(PACKAGE, DEVICE, MODEL._replace(component="rest"), powers_w=(97.3, 401.7))
    assert len(got["buckets"]) == 2
    assert got["buckets"][0]["start_utc"] == iso_utc(1.8e9 - 300)
    assert sum(bucket["energy_j"] for bucket in got["buckets"]) == pytest.approx(got["energy_j"], rel=1e-12)
    parts = [part["energy_j"] for part in got["components"].values() if part["energy_j"] is not None]
    assert sum(parts) == pytest.approx(got["energy_j"], rel=1e-12)
    assert got["measured_share"] + got["modelled_share"] + got["filled_share"] == pytest.approx(1.0)


def test_unknown_is_null_and_never_zero() -> None:
    got = result(MODEL, unreadable=["gpu"])
    assert got["components"]["gpu"]["energy_j"] is None
    assert got["components"]["gpu"]["flags"] == ["unreadable"]
    assert got["components"]["dram"]["flags"] == ["within_cpu"]
    assert "unknown" in summary(result())


def test_a_lost_tail_widens_the_band_upwards_only() -> None:
    first = {"journal": "lowtide-journal/1", "run_id": "r", "start_utc_s": 0, "threads": 1, "allocated_share": 1.0,
             "idle_share": 0.2, "sources": [PACKAGE._asdict()]}  # fmt: skip
    ticks = [{"t": t, "utc": t, "boot": 0, "job": t, "busy": t, "uj": [100_000_000 * t]} for t in range(5)]
    ended, lost = (
        replay(JournalRecords(first, ticks, end, 0)) for end in ({"end": "ok"}, {"end": "lost", "tail_s": 5})
    )
    assert lost["energy_j"] == ended["energy_j"]
    assert lost["energy_low_j"] == ended["energy_low_j"]
    assert lost["energy_high_j"] == pytest.approx(ended["energy_high_j"] + 5 * 500.0)
    assert lost["end"] == "lost"
    assert lost["exit_status"] is None


def test_the_line_names_what_was_measured_and_what_was_modelled() -> None:
    line = summary(result(PACKAGE, DEVICE, MODEL._replace(component="rest", label="rest of node"),
                          powers_w=(100.0, 400.0), attribution="node"))  # fmt: skip
    assert line.startswith("1.44 Wh (")
    assert "96 % measured (RAPL package, NVML counter)" in line
    assert "4 % modelled (rest of node)" in line
    assert "filled" not in line
