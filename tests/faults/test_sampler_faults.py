"""The sampler's bad days: killed, no room, no rights. The command never notices."""

from __future__ import annotations

import json
import os
import random
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lowtide_sampler.journal import read_journal, recover, replay

RUN = [sys.executable, "-m", "lowtide_sampler", "run"]
READY_S = 20.0
KILLS = int(os.environ.get("LOWTIDE_KILLS", "8"))


def wait_for(path: Path) -> str:
    """The content of a file that another process is about to write."""
    deadline_s = time.monotonic() + READY_S
    while not (path.exists() and path.read_text()):
        assert time.monotonic() < deadline_s, f"{path} never came"
        time.sleep(0.01)
    return path.read_text()


def test_a_killed_sampler_leaves_its_command_alive_and_its_energy_known(tmp_path: Path) -> None:
    spool, child_file, done = tmp_path / "spool", tmp_path / "child", tmp_path / "done"
    script = "sleep 0.6; echo survived > " + str(done)
    argv = [
        *RUN,
        "--journal",
        str(spool),
        "--interval",
        "100ms",
        "--child-file",
        str(child_file),
        "--",
        "sh",
        "-c",
        script,
    ]
    with subprocess.Popen(argv) as wrapped:
        wait_for(child_file)
        (journal,) = _journals(spool)
        _wait_for_ticks(journal, 3)
        assert recover(spool) == []
        wrapped.kill()
    (lost,) = recover(spool)
    assert lost["end"] == "lost"
    assert lost["exit_status"] is None
    assert lost["energy_j"] > 0
    assert lost["energy_low_j"] <= lost["energy_j"] < lost["energy_high_j"]
    assert recover(spool) == []
    assert wait_for(done) == "survived\n"


def _journals(spool: Path) -> list[Path]:
    return sorted(spool.glob("*.jsonl"))


def _wait_for_ticks(journal: Path, count: int) -> None:
    deadline_s = time.monotonic() + READY_S
    while len(read_journal(journal).ticks) < count:
        assert time.monotonic() < deadline_s
        time.sleep(0.01)


def test_killed_at_any_time_the_journal_reads_and_the_status_is_right(tmp_path: Path) -> None:
    """``KILLS`` rounds (LOWTIDE_KILLS=200 for all of them): the command, its sampler, or both, at a random moment."""
    chance = random.Random(20260103)
    for round_ in range(KILLS):
        spool, child_file = tmp_path / f"spool{round_}", tmp_path / f"child{round_}"
        argv = [
            *RUN,
            "--quiet",
            "--journal",
            str(spool),
            "--interval",
            "50ms",
            "--child-file",
            str(child_file),
            "sleep",
            "9",
        ]
        with subprocess.Popen(argv) as wrapped:
            child = json.loads(wait_for(child_file))["pid"]
            time.sleep(chance.uniform(0, 0.2))
            victims = chance.choice([(child,), (wrapped.pid,), (wrapped.pid, child), (child, wrapped.pid)])
            for pid in victims:
                os.kill(pid, signal.SIGKILL)
        assert wrapped.returncode == -signal.SIGKILL
        if child not in victims:
            os.kill(child, signal.SIGKILL)
        (journal,) = _journals(spool)
        recover(spool)
        result = replay(read_journal(journal))
        assert result["end"] in (("ok",) if victims == (child,) else ("lost", "ok"))
        assert result["energy_low_j"] <= result["energy_j"] <= result["energy_high_j"]


def run(tmp_path: Path, *options: str, **named) -> subprocess.CompletedProcess[str]:
    argv = [*RUN, *options, "--json", "-", "--", "sh", "-c", "echo out; exit 6"]
    return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60, cwd=tmp_path, **named)


def check_undisturbed(got: subprocess.CompletedProcess[str]) -> dict:
    assert got.returncode == 6
    first, _, rest = got.stdout.partition("\n")
    assert first == "out"
    return json.loads(rest)


def test_no_room_in_the_file_costs_the_journal_alone(tmp_path: Path) -> None:
    limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (300, 300))  # noqa: E731
    got = run(tmp_path, "--journal", str(tmp_path / "s"), "--exit-file", "e.json", preexec_fn=limit)
    assert check_undisturbed(got)["energy_j"] > 0
    assert got.stderr.count("the journal could not be written") == 1
    assert json.loads((tmp_path / "e.json").read_text())["exit_status"] == 6


@pytest.mark.root
def test_no_room_on_the_disk_costs_the_journal_alone(tmp_path: Path) -> None:
    full = tmp_path / "full"
    full.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4k", "lowtide-test", str(full)], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("a tmpfs cannot be mounted here")
    try:
        (full / "fill").write_bytes(b"x" * 4096)
        got = run(tmp_path, "--journal", str(full), "--exit-file", str(full / "e.json"))
    finally:
        subprocess.run(["umount", str(full)], check=True)
    assert check_undisturbed(got)["exit_status"] == 6
    assert got.stderr.count("No space left on device") == 2


@pytest.mark.parametrize("spool", ["/proc/lowtide", "/dev/null/spool"])
def test_a_spool_that_cannot_be_made_is_told_once(tmp_path: Path, spool: str) -> None:
    got = run(tmp_path, "--journal", spool)
    assert check_undisturbed(got)["energy_j"] > 0
    assert got.stderr.count("could not be written") == 1


def test_files_that_cannot_be_written_are_told_and_change_nothing(tmp_path: Path) -> None:
    argv = [*RUN, "--journal", str(tmp_path / "s"), "--json", "/proc/x.json", "--exit-file", "/proc/e.json",
            "--child-file", "/proc/c.json", "--", "sh", "-c", "exit 6"]  # fmt: skip
    got = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
    assert got.returncode == 6
    assert "/proc/x.json could not be written" in got.stderr
    assert "/proc/e.json could not be written" in got.stderr


def test_closed_streams_are_no_reason_to_fail(tmp_path: Path) -> None:
    quoted = " ".join([*RUN, "--journal", str(tmp_path / "s"), "--json", str(tmp_path / "r.json")])
    got = subprocess.run(["sh", "-c", f"{quoted} -- sh -c 'exit 6' <&- >&- 2>&-"], check=False, timeout=60)
    assert got.returncode == 6
    assert json.loads((tmp_path / "r.json").read_text())["exit_status"] == 6
