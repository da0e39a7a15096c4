"""The job's part of each source, from records alone: what is right is worked out here by hand."""

from __future__ import annotations

import random

import pytest

from lowtide_sampler.journal import JournalRecords, replay
from lowtide_sampler.meters import Source

PACKAGE = Source("p0", "RAPL package", "cpu", "counter", pmax_w=500.0, idle_w=40.0, package=0)
OTHER = PACKAGE._replace(name="p1", package=1)
MEMORY = Source("d", "RAPL dram", "dram", "counter", pmax_w=100.0, idle_w=6.0)
DEVICE = Source("g", "NVML counter", "gpu", "counter", pmax_w=910.0)
REST = Source("m", "rest of node", "rest", "model", idle_w=70.0, low_share=0.5, high_share=1.5)
START_S = 1.8e9
LENGTH_S = 10


def run(
    *sources: Source, powers_w: tuple[float, ...], job: float, busy: float | None, home: float | None = None,
    uses: dict[int, tuple[float, float, float, float]] | None = None, **header: object,
) -> dict:  # fmt: skip
    """The result of ten seconds of constant power, loads and uses (all per second)."""
    first = {"journal": "lowtide-journal/2", "run_id": "r", "start_utc_s": START_S, "threads": 8, "allocated_cpus": 2.0,
             "memory_share": 0.5, "package": None, "package_cpus": 0, "idle_share": 0.25,
             "sources": [source._asdict() for source in sources], **header}  # fmt: skip
    ticks = []
    for t in range(LENGTH_S + 1):
        tick = {"t": t, "utc": START_S + t, "boot": 0, "job": job * t, "busy": None if busy is None else busy * t,
                "uj": [round(1e6 * power_w * t) for power_w in powers_w]}  # fmt: skip
        if home is not None:
            tick["home"] = home * t
        if uses is not None:
            tick["use"] = [
                [part * t for part in uses[index]] if index in uses else None for index in range(len(powers_w))
            ]
        ticks.append(tick)
    return replay(JournalRecords(first, ticks, {"end": "ok", "exit_status": 0, "signal": None}, 0))


def component(got: dict, name: str) -> float:
    return got["components"][name]["energy_j"]


def test_idle_power_by_allotment_and_the_rest_by_busy_seconds() -> None:
    got = run(PACKAGE, powers_w=(100.0,), job=1.0, busy=4.0)
    assert component(got, "cpu") == pytest.approx(LENGTH_S * (40 * 2 / 8 + 60 * 1 / 4))
    assert got["attribution"]["energy_marginal_j"] == pytest.approx(LENGTH_S * 60 * 1 / 4)
    assert got["attribution"]["energy_node_j"] == pytest.approx(LENGTH_S * 100)


def test_memory_goes_by_its_own_allotment_at_idle_and_by_the_cpu_above() -> None:
    got = run(MEMORY, powers_w=(10.0,), job=1.0, busy=4.0)
    assert component(got, "dram") == pytest.approx(LENGTH_S * (6 * 0.5 + 4 * 1 / 4))


def test_a_job_on_one_processor_pays_for_that_one_alone() -> None:
    got = run(PACKAGE, OTHER, powers_w=(90.0, 200.0), job=2.0, busy=6.0, home=2.5, package=0, package_cpus=4)
    assert component(got, "cpu") == pytest.approx(LENGTH_S * (40 * 2 / 4 + 50 * 2.0 / 2.5))
    assert got["attribution"]["energy_node_j"] == pytest.approx(LENGTH_S * 290)


def test_what_the_memory_of_another_processor_draws_above_idle_is_others() -> None:
    here, there = MEMORY._replace(package=0), MEMORY._replace(name="e", package=1)
    got = run(here, there, powers_w=(10.0, 30.0), job=2.0, busy=6.0, home=2.5, package=0, package_cpus=4)
    assert component(got, "dram") == pytest.approx(LENGTH_S * (2 * 6 * 0.5 + 4 * 2.0 / 2.5))


def test_a_job_on_two_processors_pays_for_its_part_of_both() -> None:
    got = run(PACKAGE, OTHER, powers_w=(90.0, 200.0), job=2.0, busy=6.0)
    assert component(got, "cpu") == pytest.approx(LENGTH_S * (2 * 40 * 2 / 8 + (50 + 160) * 2.0 / 6.0))


def test_a_shared_device_goes_by_compute_units_used_and_its_idle_power_by_heads() -> None:
    """A quarter of the units, one of two users: with an idle power of 80 W that is half of it, and a quarter above."""
    uses = {0: (0.2, 0.8, 0.5, 0.0)}
    unknown = run(DEVICE, powers_w=(400.0,), job=1.0, busy=1.0, uses=uses)["components"]["gpu"]
    assert unknown["energy_j"] == pytest.approx(LENGTH_S * 400 * 0.25)
    known = run(DEVICE._replace(idle_w=80.0), powers_w=(400.0,), job=1.0, busy=1.0, uses=uses)["components"]["gpu"]
    assert known["energy_j"] == pytest.approx(LENGTH_S * (80 * 0.5 + 320 * 0.25))
    assert unknown["energy_low_j"] <= known["energy_j"] <= unknown["energy_high_j"]
    assert unknown["flags"] == ["shared_device"]


def test_where_nobody_can_see_into_a_device_it_is_taken_for_the_jobs_own_and_flagged() -> None:
    got = run(DEVICE, powers_w=(400.0,), job=1.0, busy=1.0, uses={0: (0.0, 0.0, 0.0, 1.0)})["components"]["gpu"]
    assert got["energy_j"] == pytest.approx(LENGTH_S * 400)
    assert got["flags"] == ["assumed_exclusive"]
    half = run(DEVICE, powers_w=(400.0,), job=1.0, busy=1.0, uses={0: (0.25, 0.5, 0.25, 0.5)})["components"]["gpu"]
    assert half["energy_j"] == pytest.approx(LENGTH_S * 400 * (0.5 + 0.5 * 0.5))


def test_the_idle_power_of_a_device_is_what_it_drew_while_nobody_used_it() -> None:
    first = {"journal": "lowtide-journal/2", "run_id": "r", "start_utc_s": START_S, "threads": 8, "allocated_cpus": 8.0,
             "idle_share": 0.25, "sources": [DEVICE._asdict()]}  # fmt: skip
    energy_uj, own_s, ticks = 0.0, 0.0, []
    for t in range(21):
        ticks.append({"t": t, "utc": START_S + t, "boot": 0, "job": t, "busy": t, "uj": [round(energy_uj)],
                      "use": [[own_s, 2 * own_s, 0.5 * t, 0.0]]})  # fmt: skip
        energy_uj += 1e6 * (60 if t < 10 else 460)
        own_s += 0 if t < 10 else 0.4
    got = replay(JournalRecords(first, ticks, {"end": "ok"}, 0))
    assert component(got, "gpu") == pytest.approx(60 * 20 * 0.5 + 400 * 10 * 0.5)


def test_a_counter_that_never_moves_has_measured_nothing() -> None:
    got = run(PACKAGE._replace(typical_w=120.0), powers_w=(0.0,), job=1.0, busy=4.0, allocated_cpus=8.0)
    assert got["measured_share"] == 0.0
    assert got["filled_share"] == 1.0
    cpu = got["components"]["cpu"]
    assert cpu["energy_j"] > 0
    assert cpu["energy_low_j"] == 0.0
    assert {"did_not_move", "filled"} <= set(cpu["flags"])


def test_a_node_whose_load_is_unknown_says_so_and_its_band_holds_every_load() -> None:
    got = run(PACKAGE, powers_w=(100.0,), job=1.0, busy=None)
    assert "node_load_unseen" in got["flags"]
    cpu = got["components"]["cpu"]
    assert cpu["energy_j"] == pytest.approx(LENGTH_S * (40 * 2 / 8 + 60))
    assert cpu["energy_low_j"] <= LENGTH_S * (40 * 2 / 8 + 60 * 1 / 8) <= LENGTH_S * (40 * 2 / 8 + 60)


def test_the_scopes_hold_one_another_and_choose_the_headline() -> None:
    figures = {"powers_w": (100.0,), "job": 2.0, "busy": 2.0, "allocated_cpus": 8.0}
    node = run(PACKAGE, REST, **figures)
    assert node["scopes"] == {"device_j": pytest.approx(1000), "node_j": pytest.approx(1700), "facility_j": None}
    assert node["energy_j"] == pytest.approx(1700)
    device = run(PACKAGE, REST, **figures, scope="device")
    assert (device["energy_j"], device["modelled_share"]) == (pytest.approx(1000), 0.0)
    assert device["components"]["rest"]["flags"] == ["out_of_scope"]
    facility = run(PACKAGE, REST, **figures, scope="facility", pue=1.2)
    assert facility["energy_j"] == pytest.approx(2040) == facility["scopes"]["facility_j"]
    assert facility["energy_high_j"] == pytest.approx(1.2 * node["energy_high_j"])
    assert sum(bucket["energy_j"] for bucket in facility["buckets"]) == pytest.approx(2040)


def test_a_counter_that_moves_in_steps_widens_the_band_of_a_short_run() -> None:
    stepped = DEVICE._replace(job_share=1.0, step_s=0.1)
    got = run(stepped, powers_w=(400.0,), job=1.0, busy=1.0)["components"]["gpu"]
    assert got["energy_high_j"] - got["energy_j"] == pytest.approx(40)
    assert "short_for_counter" not in got["flags"]
    slow = run(stepped._replace(step_s=2.0), powers_w=(400.0,), job=1.0, busy=1.0)["components"]["gpu"]
    assert "short_for_counter" in slow["flags"]


@pytest.mark.parametrize("seed", range(20))
def test_the_jobs_of_a_full_node_pay_for_all_of_it_and_no_more(seed: int) -> None:
    chance = random.Random(seed)
    cpus = [chance.uniform(0.5, 4) for _ in range(4)]
    cpus = [8 * own / sum(cpus) for own in cpus]
    jobs = [chance.uniform(0.1, own) for own in cpus]
    got = [
        run(PACKAGE, OTHER, MEMORY, powers_w=(90.0, 70.0, 9.0), job=job, busy=sum(jobs), allocated_cpus=own,
            memory_share=own / 8)["energy_j"]
        for own, job in zip(cpus, jobs, strict=True)
    ]  # fmt: skip
    assert sum(got) == pytest.approx(LENGTH_S * 169)
