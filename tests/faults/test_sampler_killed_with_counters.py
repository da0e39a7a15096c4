"""Killed at any moment on a node whose counters follow a known power: what the journal holds is what was used."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from fakes.powercap_world import World, Zone, square, why_not
from lowtide_sampler.journal import read_journal, recover, replay

pytestmark = pytest.mark.skipif(bool(why_not()), reason=why_not() or "a world can be made")
KILLS = int(os.environ.get("LOWTIDE_KILLS", "8"))
INTERVAL_S = 0.1
STEP_S = 0.06
"""How far a record's time and its reading may be apart on a machine so busy that the sampler is kept waiting."""

# Inside the world: starts, kills, and tells when. "job", "sampler" or both die; a job that is left dies a little later.
KILLER = """
import json, os, random, signal, subprocess, sys, time
folder, rounds, run = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
chance = random.Random(20260203)
for number in range(rounds):
    spool, child_file = f"{folder}/spool{number}", f"{folder}/child{number}"
    argv = [*run, "--quiet", "--attribution", "node", "--interval", "100ms", "--journal", spool,
            "--child-file", child_file, "--", "sleep", "60"]
    sampler = subprocess.Popen(argv)
    while not os.path.exists(child_file):
        time.sleep(0.005)
    child = json.load(open(child_file))["pid"]
    time.sleep(chance.uniform(0, 0.9))
    victims = chance.choice([["job"], ["sampler"], ["sampler", "job"], ["job", "sampler"]])
    killed_s = time.monotonic()
    for victim in victims:
        os.kill(child if victim == "job" else sampler.pid, signal.SIGKILL)
    status = sampler.wait()
    ended_s = time.monotonic()
    survived = None
    if "job" not in victims:
        survived = open(f"/proc/{child}/stat").read().rpartition(")")[2].split()[0] not in "ZX"
        os.kill(child, signal.SIGKILL)
    print(json.dumps({"victims": victims, "killed_s": killed_s, "ended_s": ended_s, "status": status,
                      "survived": survived, "spool": spool, "offset_s": time.time() - time.monotonic()}), flush=True)
"""


def test_what_is_recovered_lies_between_the_last_record_and_the_end(tmp_path: Path) -> None:
    world = World(tmp_path, (Zone("intel-rapl:0", "package-0", square(220, 30, period_s=0.3)),))
    run = [sys.executable, "-m", "lowtide_sampler", "run"]
    argv = world.argv([sys.executable, "-Sc", KILLER, str(tmp_path), str(KILLS), *run])
    shown = subprocess.run(argv, stdout=subprocess.PIPE, text=True, check=True).stdout
    rounds = [json.loads(line) for line in shown.splitlines()]
    assert len(rounds) == KILLS
    for each in rounds:
        check(world, each)


def check(world: World, killed: dict) -> None:
    (journal,) = Path(killed["spool"]).glob("*.jsonl")
    (path_closed,) = recover(killed["spool"]) or [None]
    records = read_journal(journal)
    result = replay(records)
    assert path_closed in (None, result)
    assert records.damaged_lines == 0
    first_s, last_s = (records.ticks[at]["utc"] - killed["offset_s"] for at in (0, -1))
    until_last_j = world.true_j(first_s, last_s)
    until_end_j = world.true_j(first_s, killed["ended_s"] if killed["victims"] == ["job"] else killed["killed_s"])
    slack_j = 220 * STEP_S
    recovered_j = result["components"]["cpu"]["energy_j"]
    assert 0.995 * until_last_j - slack_j <= recovered_j <= until_end_j + slack_j
    (first_uj,), (last_uj,) = (records.ticks[at]["uj"] for at in (0, -1))
    assert recovered_j == pytest.approx(1e-6 * (last_uj - first_uj), abs=1e-4)
    assert killed["status"] == -9
    if killed["victims"] == ["job"]:
        assert (result["end"], result["exit_status"], result["signal"]) == ("ok", 137, 9)
    elif killed["victims"][0] == "sampler":
        assert (result["end"], result["exit_status"]) == ("lost", None)
        assert records.end is not None
        assert records.end["tail_s"] <= INTERVAL_S
        assert killed["killed_s"] - last_s <= INTERVAL_S + 0.5  # and what a busy machine keeps it waiting
        assert result["components"]["cpu"]["energy_high_j"] >= min(
            until_end_j, recovered_j + 60 * records.end["tail_s"]
        )
    if "job" not in killed["victims"]:
        assert killed["survived"], "the job died with its sampler"
