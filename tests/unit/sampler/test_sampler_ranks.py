"""Ranks of one node: true processes under a launcher's environment; one reads the counters, whatever happens."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from lowtide_sampler import slurm
from lowtide_sampler.journal import JournalRecords, read_journal, recover
from lowtide_sampler.ranks import Rank, find_rank, merge_peers, replay_run

ROOT = Path(__file__).parents[3]
SCHEMA = json.loads((ROOT / "schemas/run.schema.json").read_text(encoding="utf-8"))
RUN = [sys.executable, "-m", "lowtide_sampler", "run", "--quiet"]
READY_S = 20.0


@pytest.fixture(autouse=True)
def spool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LOWTIDE_SPOOL", str(tmp_path / "spool"))
    return tmp_path / "spool"


@pytest.mark.parametrize(
    ("environ", "rank"),
    [
        ({}, None),
        ({"LOCAL_RANK": "1"}, None),
        ({"SLURM_JOB_ID": "7", "SLURM_LOCALID": "0"}, None),
        (
            {"SLURM_JOB_ID": "7", "SLURM_STEP_ID": "0", "SLURM_LOCALID": "2", "SLURM_PROCID": "6", "SLURM_NODEID": "1"},
            Rank(2, "6", "1", "slurm-7.0"),
        ),
        (
            {"SLURM_JOB_ID": "7", "SLURM_STEP_ID": "0", "SLURM_LOCALID": "0", "SLURM_NODEID": "1",
             "TORCHELASTIC_RUN_ID": "none", "LOCAL_RANK": "3", "RANK": "7", "GROUP_RANK": "1", "MASTER_PORT": "29500"},
            Rank(3, "7", "1", "torchrun-7.0-none-29500"),
        ),
        (
            {"OMPI_COMM_WORLD_LOCAL_RANK": "1", "OMPI_COMM_WORLD_RANK": "5", "PMIX_NAMESPACE": "prterun-1"},
            Rank(1, "5", "", "openmpi-prterun-1"),
        ),
        ({"MPI_LOCALRANKID": "0", "PMI_RANK": "4", "HYDRA_PROXY_PORT": "9"}, Rank(0, "4", "", "hydra-9")),
    ],
)  # fmt: skip
def test_the_innermost_launcher_says_who_we_are(environ: dict[str, str], rank: Rank | None) -> None:
    assert find_rank(environ) == rank


def launched(local: int, job: str = "7", **more: str) -> dict[str, str]:
    slurm_environ = {"SLURM_JOB_ID": job, "SLURM_STEP_ID": "0", "SLURM_LOCALID": str(local), "SLURM_PROCID": str(local)}
    return {**os.environ, **slurm_environ, "SLURM_NODEID": "0", **more}


BURN = "import time\nwhile time.process_time() < 0.5: pass\ntime.sleep(0.8)"


def start(run_id: str, environ: dict[str, str], *command: str) -> subprocess.Popen[bytes]:
    argv = [*RUN, "--run-id", run_id, "--interval", "100ms", "--", *(command or (sys.executable, "-Sc", BURN))]
    return subprocess.Popen(argv, env=environ)


def results(spool: Path) -> list[dict[str, Any]]:
    return [replay_run(spool, path.stem) for path in sorted(spool.glob("*.jsonl"))]


@pytest.mark.parametrize("locals_", [(0, 1, 2), (0, 0, 0), (2, 1, 0)], ids=["as-it-should-be", "all-say-0", "late-0"])
def test_energy_is_counted_once_and_everybody_s_cpu_seconds_with_it(spool: Path, locals_: tuple[int, ...]) -> None:
    environs = [{**launched(local), "SLURM_PROCID": str(number)} for number, local in enumerate(locals_)]
    ranks = [start("job.1", environ) for environ in environs]
    assert [rank.wait(timeout=60) for rank in ranks] == [0, 0, 0]
    found = results(spool)
    assert len(found) == 3
    for result in found:
        jsonschema.validate(result, SCHEMA)
    readers = [result for result in found if result["energy_j"] is not None]
    peers = [result for result in found if result["energy_j"] is None]
    assert (len(readers), len(peers)) == (1, 2)
    (reader,) = readers
    assert reader["run_id"] == "job.1"
    assert reader["cpu_seconds"] == pytest.approx(1.5, abs=0.3)
    assert sorted(reader["ranks"]["peers"]) == sorted(peer["run_id"] for peer in peers)
    for peer in peers:
        assert peer["flags"][-1] == "counted_by_rank_0"
        assert peer["ranks"]["counted_by"] == "job.1"
        assert peer["cpu_seconds"] == pytest.approx(0.5, abs=0.15)
        assert peer["buckets"] == []


def test_where_rank_0_does_not_measure_nobody_counts(spool: Path) -> None:
    assert start("a", launched(1)).wait(timeout=60) == 0
    (result,) = results(spool)
    assert (result["energy_j"], result["ranks"]["counted_by"]) == (None, None)


def test_a_killed_reader_is_not_replaced_and_what_it_saw_stands(spool: Path) -> None:
    reader, peer = start("a", launched(0), "sleep", "2"), start("a", launched(1), "sleep", "2")
    wait_for(lambda: len(list(spool.glob("*.jsonl"))) == 2 and all(map(has_ticks, spool.glob("*.jsonl"))))
    reader.kill()
    reader.wait()
    late = start("a", launched(1, SLURM_PROCID="5"), "true")
    assert (late.wait(timeout=60), peer.wait(timeout=60)) == (0, 0)
    recover(spool)
    by_id = {result["run_id"]: result for result in results(spool)}
    assert {run_id for run_id, result in by_id.items() if result["energy_j"] is not None} == {"a"}
    assert by_id["a"]["end"] == "lost"
    assert by_id["a.r1"]["ranks"]["counted_by"] == "a"


def has_ticks(path: Path) -> bool:
    return len(read_journal(path).ticks) > 2


def wait_for(is_so) -> None:
    deadline_s = time.monotonic() + READY_S
    while not is_so():
        assert time.monotonic() < deadline_s
        time.sleep(0.02)


def test_a_measurement_inside_of_a_rank_s_is_a_table_of_its_own(spool: Path) -> None:
    inner = [*RUN, "--run-id", "inner", "--interval", "100ms", "--", sys.executable, "-Sc", BURN]
    ranks = [start("outer", launched(local), *inner) for local in (0, 1)]
    assert [rank.wait(timeout=60) for rank in ranks] == [0, 0]
    by_id = {result["run_id"]: result for result in results(spool)}
    assert set(by_id) == {"outer", "outer.r1", "inner", "inner.r1"}
    assert {run_id for run_id, result in by_id.items() if result["energy_j"] is not None} == {"outer", "inner"}
    assert by_id["inner"]["ranks"]["peers"] == ["inner.r1"]
    assert by_id["inner"]["cpu_seconds"] == pytest.approx(1.0, abs=0.25)


def test_another_job_and_another_node_do_not_mix(spool: Path) -> None:
    several = [
        start("a", launched(0)),
        start("b", launched(0, job="8")),
        start("b", launched(1, job="8")),
        start("c", launched(0, job="9", SLURM_NODEID="3"), "true"),
    ]
    assert [one.wait(timeout=60) for one in several] == [0, 0, 0, 0]
    by_id = {result["run_id"]: result for result in results(spool)}
    assert set(by_id) == {"a", "b", "b.r1", "c.n3"}
    assert by_id["a"]["ranks"]["peers"] == []
    assert by_id["b"]["ranks"]["peers"] == ["b.r1"]


def test_track_in_every_rank_counts_once(spool: Path) -> None:
    script = (
        "import json, lowtide, time\nwith lowtide.track('x', interval='100ms') as run:\n"
        "    end = time.process_time() + 0.4\n    while time.process_time() < end: pass\n    time.sleep(0.6)\n"
        "print(json.dumps(run.result))"
    )
    argv = [sys.executable, "-c", script]
    ranks = [subprocess.Popen(argv, env=launched(local), stdout=subprocess.PIPE) for local in range(3)]
    found = [json.loads(rank.communicate(timeout=60)[0]) for rank in ranks]
    assert [result["energy_j"] is None for result in found] == [False, True, True]
    (reader,) = (result for result in results(spool) if result["energy_j"] is not None)
    assert reader["cpu_seconds"] == pytest.approx(1.2, abs=0.3)


def test_a_reader_killed_while_it_holds_the_lock_leaves_it_to_the_next_run(spool: Path) -> None:
    first = start("a", launched(0), "sleep", "5")
    wait_for(lambda: any(map(has_ticks, spool.glob("*.jsonl"))))
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    assert start("b", launched(0), "true").wait(timeout=60) == 0
    assert {result["run_id"]: result["energy_j"] is None for result in results(spool)} == {"a": False, "b": False}


def records(job: list[tuple[float, float]], begun_s: float, cpus: list[int]) -> JournalRecords:
    header = {
        "run_id": str(begun_s),
        "start_monotonic_s": begun_s,
        "threads": 8,
        "allocated_share": len(cpus) / 8,
        "rank": {"job": "j", "cpus": cpus},
    }
    return JournalRecords(header, [{"t": t_s, "job": cpu_s} for t_s, cpu_s in job], None, 0)


def test_the_others_seconds_are_added_by_time_and_their_cpus_once() -> None:
    reader = records([(0.0, 0.0), (5.0, 4.0), (10.0, 8.0)], 100.0, [0, 1])
    early = records([(0.0, 0.0), (10.0, 10.0)], 98.0, [1, 2])  # two seconds of it were before the reader
    late = records([(0.0, 0.0), (2.0, 3.0)], 106.0, [3])
    merged = merge_peers(reader, [early, late])
    assert [tick["job"] for tick in merged.ticks] == pytest.approx([0.0, 9.0, 8.0 + 8.0 + 3.0])
    assert merged.header
    assert merged.header["allocated_share"] == 0.5
    assert merge_peers(reader, []) is reader


def test_exclusive_is_what_slurm_says() -> None:
    assert slurm.is_exclusive({"SLURM_JOB_ID": "7", "SLURM_CPUS_ON_NODE": "8"}, 8)
    assert not slurm.is_exclusive({"SLURM_JOB_ID": "7", "SLURM_CPUS_ON_NODE": "4"}, 8)
    assert not slurm.is_exclusive({}, 8)


def sacct(folder: Path, script: str) -> dict[str, str]:
    folder.mkdir(exist_ok=True)
    (folder / "sacct").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "sacct").chmod(0o755)
    return {"PATH": f"{folder}:{os.environ['PATH']}", "SLURM_JOB_ID": "7", "SLURM_STEP_ID": "0"}


def test_slurm_is_asked_once_and_not_for_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    environ = sacct(tmp_path / "bin", 'test "$2" = 7.0 && echo 1234')
    monkeypatch.setenv("PATH", environ["PATH"])
    assert slurm.consumed_energy_j(environ, 60.0) == 1234.0
    assert slurm.consumed_energy_j(environ, 3.0) is None
    assert slurm.consumed_energy_j({}, 60.0) is None
    sacct(tmp_path / "bin", "exec sleep 60")
    began_s = time.monotonic()
    assert slurm.consumed_energy_j(environ, 60.0, within_s=0.3) is None
    assert time.monotonic() - began_s < 5.0
    sacct(tmp_path / "bin", "echo 5; exit 1")
    assert slurm.consumed_energy_j(environ, 60.0) is None
