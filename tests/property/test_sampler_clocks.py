"""Clocks that jump, a node that sleeps, a journal cut anywhere: joules are what they were."""

from __future__ import annotations

import itertools
import os
import tempfile
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lowtide_sampler.integrate import Ledger
from lowtide_sampler.journal import VERSION, Journal, JournalError, encode, read_journal, replay
from lowtide_sampler.journal import JournalRecords as Records
from lowtide_sampler.meters import MeterReading, Source, Unreadable
from lowtide_sampler.recorder import Clocks, Recorder
from lowtide_sampler.usage import Nodes, NodeUsage
from lowtide_sampler.workload import Descendants

thorough = settings(max_examples=int(os.environ.get("LOWTIDE_EXAMPLES", "100")), deadline=None)
PMAX_W = 400.0
COUNTER = Source("c", "RAPL package", "cpu", "counter", pmax_w=PMAX_W, error_share=0.05)
MODEL = Source("m", "rest of node", "rest", "model", pmax_w=100.0, idle_w=70.0, low_share=0.6, high_share=1.4)

paths = st.lists(st.tuples(st.floats(0.01, 900.0), st.floats(0.0, PMAX_W)), min_size=1, max_size=20)
jumps = st.floats(-1e7, 1e7)


def header(*sources: Source) -> dict:
    return {"journal": VERSION, "run_id": "r", "start_utc_s": 1.8e9, "threads": 4, "interval_s": 5.0,
            "host": "node1", "pid": 1, "start_ticks": 1, "boot_id": "b",
            "allocated_share": 0.5, "idle_share": 0.2, "sources": [source._asdict() for source in sources]}  # fmt: skip


def ticks_of(path: list[tuple[float, float]], step_uj: int = 1) -> list[dict]:
    """Readings of a counter that moves in steps of ``step_uj``, after each stretch of (seconds, watts)."""
    t_s, energy_uj, ticks = 0.0, 7e9, []
    for dt_s, power_w in [(0.0, 0.0), *path]:
        t_s += dt_s
        energy_uj += 1e6 * power_w * dt_s
        ticks.append({"t": t_s, "utc": 1.8e9 + t_s, "boot": 0.0, "job": 0.5 * t_s, "busy": t_s,
                      "uj": [int(energy_uj) // step_uj * step_uj]})  # fmt: skip
    return ticks


def result_of(ticks: list[dict], rule: str = "share") -> dict:
    return replay(Records({**header(COUNTER, MODEL), "attribution": rule}, ticks, None, 0))


def node_bounds_j(ticks: list[dict], source: Source) -> tuple[float, float]:
    ledger = Ledger(header(source))
    for tick in ticks:
        ledger.add(tick)
    ledger.close()
    (track,) = ledger.meters
    return sum(cell.low_j for cell in track.cells.values()), sum(cell.high_j for cell in track.cells.values())


def jumped(ticks: list[dict], jump_s: float, at: int) -> list[dict]:
    """The same records, of a wall clock that was set after record ``at``."""
    return [{**tick, "utc": tick["utc"] + (jump_s if number > at else 0)} for number, tick in enumerate(ticks)]


def check_same_joules(plain: dict, shifted: dict) -> None:
    for key in ("energy_j", "energy_low_j", "energy_high_j"):
        assert shifted[key] == pytest.approx(plain[key], rel=1e-6, abs=1e-6)
    assert shifted["duration_s"] == plain["duration_s"]
    assert sum(bucket["energy_j"] for bucket in shifted["buckets"]) == pytest.approx(shifted["energy_j"], rel=1e-9)


@thorough
@given(path=paths, jump_s=jumps, at=st.integers(0, 20))
def test_a_wall_clock_that_jumps_changes_no_joule(path: list[tuple[float, float]], jump_s: float, at: int) -> None:
    ticks = ticks_of(path)
    plain, shifted = result_of(ticks, "node"), result_of(jumped(ticks, jump_s, at), "node")
    check_same_joules(plain, shifted)
    is_seen = abs(jump_s) > 1.001 and at < len(path)
    assert ("clock_jumped" in shifted["flags"]) == is_seen or abs(abs(jump_s) - 1) < 0.01


@pytest.mark.parametrize("jump_s", [150.0, -100.0])
def test_a_wall_clock_that_jumps_changes_no_part_of_a_shared_node(jump_s: float) -> None:
    """Five minutes beside busy neighbours, five nearly alone; 60 W at idle and 20 W for each busy CPU."""
    ticks = []
    energy_j = busy_s = job_s = 0.0
    for number in range(121):
        ticks.append({"t": 5.0 * number, "utc": 1.8e9 + 5.0 * number, "boot": 0.0, "job": job_s, "busy": busy_s,
                      "uj": [round(1e6 * energy_j)]})  # fmt: skip
        busy_cpus = 4.0 if number < 60 else 1.0
        energy_j, busy_s, job_s = energy_j + 5 * (60 + 20 * busy_cpus), busy_s + 5 * busy_cpus, job_s + 5.0
    check_same_joules(result_of(ticks), result_of(jumped(ticks, jump_s, 30)))


@thorough
@given(
    path=paths,
    asleep_s=st.floats(1.5, 1e5),
    asleep_w=st.floats(0.0, 3.0),
    at=st.integers(1, 20),
)
def test_energy_of_a_sleeping_node_is_a_hole_or_what_a_counter_says(
    path: list[tuple[float, float]], asleep_s: float, asleep_w: float, at: int
) -> None:
    """While the node sleeps the monotonic clock stands, the counter may not: its joules stay within the bounds."""
    slept_uj = int(1e6 * asleep_w * asleep_s)
    ticks = ticks_of(path)
    at = min(at, len(ticks) - 1)
    for tick in ticks[at:]:
        tick["boot"] = asleep_s
        tick["utc"] += asleep_s
        tick["uj"] = [tick["uj"][0] + slept_uj]
    low_j, high_j = node_bounds_j(ticks, COUNTER)
    awake_j = sum(dt_s * power_w for dt_s, power_w in path)
    slack_j = 1e-5 + 1e-6 * (awake_j + 1e-6 * slept_uj)
    dt_s, power_w = path[at - 1]
    # The interval that it slept in is believed where its energy is possible, else it is a hole of [0, most].
    is_possible = power_w * dt_s + 1e-6 * slept_uj <= PMAX_W * (dt_s + 0.25)
    if is_possible:
        assert low_j - slack_j <= awake_j + 1e-6 * slept_uj <= high_j + slack_j
    else:
        assert low_j - slack_j <= awake_j <= high_j + slack_j
    assert "suspended" in result_of(ticks)["flags"]
    assert "clock_jumped" not in result_of(ticks)["flags"]


@thorough
@given(path=paths, step_uj=st.sampled_from([61, 15_300, 1_000_000]), data=st.data())
def test_a_counter_that_moves_in_steps_is_right_to_a_step_at_each_end(
    path: list[tuple[float, float]], step_uj: int, data: st.DataObject
) -> None:
    ticks = ticks_of(path, step_uj)
    kept = [ticks[0], *(tick for tick in ticks[1:-1] if data.draw(st.booleans())), ticks[-1]]
    true_j = sum(dt_s * power_w for dt_s, power_w in path)
    stuck = ticks[-1]["uj"] == ticks[0]["uj"]
    for seen in (ticks, kept):
        low_j, high_j = node_bounds_j(seen, COUNTER)
        if stuck:  # nothing moved: it may also be held for a broken counter, and the bounds are then wide
            assert low_j <= true_j + 1e-6 * step_uj
            continue
        impossible = any(  # a step longer than a short interval explains is taken for a hole
            later["uj"][0] - earlier["uj"][0] > 1e6 * PMAX_W * (later["t"] - earlier["t"] + 0.25)
            for earlier, later in itertools.pairwise(seen)
        )
        assert impossible or low_j == pytest.approx(high_j, rel=1e-9, abs=1e-6)
        assert low_j - 1e-6 * step_uj - 1e-3 <= true_j <= high_j + 1e-6 * step_uj + 1e-3


class Script:
    """A meter that answers what the script says; None: it fails."""

    sample_period_s = None

    def __init__(self, source: Source, readings: list[int | None]) -> None:
        self.source = source
        self._readings = iter(readings)

    def read(self) -> MeterReading:
        reading = next(self._readings)
        if reading is None:
            raise Unreadable(self.source.name, "the script says so")
        return MeterReading(reading)


class ScriptedClocks:
    """Clocks that stand where the script has them."""

    start_utc_s = 1.8e9

    def __init__(self, times_s: list[float]) -> None:
        self._times_s = iter(times_s)

    def elapsed_s(self) -> float:
        return 0.0

    def read(self) -> dict[str, float]:
        t_s = next(self._times_s)
        return {"t": t_s, "utc": 1.8e9 + t_s, "boot": 0.0}


readings = st.lists(st.tuples(st.floats(0.05, 30.0), st.none() | st.integers(0, 10**10)), min_size=2, max_size=12)


@settings(thorough, max_examples=min(thorough.max_examples, 1000))
@given(script=readings, cut=st.integers(0, 4000))
def test_the_journal_says_what_the_live_result_says_and_any_part_of_it_is_a_beginning(
    script: list[tuple[float, int | None]], cut: int
) -> None:
    """Written by the real recorder, read again: the same result; cut at any byte: the records before, unharmed."""
    times_s = list(itertools.accumulate(dt_s for dt_s, _ in script))
    with tempfile.TemporaryDirectory() as folder:
        journal = Journal(folder, "r")
        meter = Script(COUNTER, [reading for _, reading in script])
        recorder = make_recorder(header(COUNTER, MODEL), meter, journal, ScriptedClocks(times_s))
        for number in range(len(script)):
            recorder.tick({"end": "ok", "exit_status": 0} if number == len(script) - 1 else None)
        journal.close()
        live = recorder.result()
        path = Path(folder) / "r.jsonl"
        whole = path.read_bytes()
        records = read_journal(path)
        assert replay(records) == live
        assert records.damaged_lines == 0
        path.write_bytes(whole[: cut % (len(whole) + 1)])
        part = read_journal(path)
    assert part.ticks == records.ticks[: len(part.ticks)]
    assert part.header in (None, records.header)
    assert part.damaged_lines <= 1
    if part.header is None:
        with pytest.raises(JournalError):
            replay(part)
    else:
        energy_j = replay(part)["energy_j"]
        assert energy_j is None if not part.ticks else energy_j <= live["energy_j"] + 400 * times_s[-1]
        assert replay(part)["end"] in ("open", "ok")


def make_recorder(head: dict, meter: Script, journal: Journal, clocks: ScriptedClocks) -> Recorder:
    return Recorder(head, [meter], journal, clocks, Descendants(), Nodes(NodeUsage(), None))


def test_the_clocks_of_a_record_never_run_back() -> None:
    clocks = Clocks()
    seen = []
    for _ in range(50):
        seen.append(clocks.read()["t"])
        time.sleep(0.0002)
    assert seen == sorted(seen)
    assert encode({"t": seen[0]}).endswith(b"\n")
