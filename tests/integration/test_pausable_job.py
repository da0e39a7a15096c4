"""A real job on this machine with a plan of two runs: it stands still between them, measured all the while."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from lowtide.cli.app import run
from lowtide.cli.submit import wait_for
from lowtide.planning.types import Segment
from lowtide.testing.jobs import ZONE, add_job, job_spec, plan_at
from lowtide.wiring import Wiring
from lowtide_core.places import LOCAL
from lowtide_providers.engines.local import LocalEngine
from lowtide_sampler.journal import read_journal

# A process below the command does the work, as in a pipeline: a beat every 50 ms, so many.
BEATS = "import sys, time\nfor _ in range({count}):\n    print(time.time(), flush=True); time.sleep(0.05)"
COMMAND = "import subprocess, sys; sys.exit(subprocess.run([sys.executable, '-S', '-c', sys.argv[1]]).returncode)"


@pytest.fixture
def wiring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Wiring:
    monkeypatch.setenv("LOWTIDE_STATE", str(tmp_path))
    return Wiring()


def after(now_utc: datetime, start_s: float, end_s: float) -> Segment:
    return Segment(now_utc + timedelta(seconds=start_s), now_utc + timedelta(seconds=end_s), LOCAL, ZONE)


def test_a_job_stands_still_between_the_runs_of_its_plan(wiring: Wiring) -> None:
    now_utc = datetime.now(UTC)
    planned = plan_at(now_utc, segments=(after(now_utc, 0, 2), after(now_utc, 5, 7)))
    argv = (sys.executable, "-S", "-c", COMMAND, BEATS.format(count=45))
    told: list[str] = []
    with wiring.store() as store:
        record = add_job(store, job_spec(now_utc, argv=argv, duration_s=4.0), planned, at_utc=now_utc)
        record = wait_for(wiring, store, record, tell=told.append)
        events = store.jobs.events(record.job_id)
        (result,) = store.readings.of_job(record.job_id)
        settlement = store.settlements.latest(record.job_id)
    assert (record.state, record.attempt.exit_status) == ("done", 0), record.why
    assert "".join(event.letter for event in events) == "ACDLME"
    assert any("paused: by its plan, until" in line for line in told)

    paused_s, resumed_s = (event.at_utc.timestamp() for event in events if event.letter in "LM")
    log = LocalEngine(wiring.paths.local_engine).log_path(record.attempt.key)
    beats_s = [float(line) for line in Path(log).read_text().split()]
    assert len(beats_s) == 45, "it went on where it was"
    still_s = (paused_s + 1.0, resumed_s)  # the round that pauses takes a moment
    assert still_s[1] - still_s[0] > 0.5
    assert not [beat_s for beat_s in beats_s if still_s[0] < beat_s < still_s[1]], "it stood still"
    assert now_utc.timestamp() + 2 <= paused_s
    assert now_utc.timestamp() + 5 <= resumed_s <= max(beats_s)
    assert record.attempt.paused_s == pytest.approx(resumed_s - paused_s, abs=1.0)

    journal = read_journal(wiring.paths.spool / f"{record.attempt.key}.jsonl")
    assert journal.end is not None
    assert result["end"] == "ok"
    assert result["duration_s"] > resumed_s - paused_s, "the sampler measured the pause too"
    assert settlement is not None
    assert settlement["realised"]["energy_kwh"] > 0


def test_pause_and_resume_at_the_command_line(
    wiring: Wiring, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    now_utc = datetime.now(UTC)
    argv = (sys.executable, "-S", "-c", COMMAND, BEATS.format(count=10_000))
    with wiring.store() as store:
        record = add_job(store, job_spec(now_utc, argv=argv), plan_at(now_utc), at_utc=now_utc)
        later = add_job(store, job_spec(now_utc), plan_at(now_utc + timedelta(hours=5)), at_utc=now_utc, key="later")

    def said(*arguments: str) -> tuple[int, str]:
        status = run(arguments)
        captured = capsys.readouterr()
        return status, captured.out + captured.err

    assert said("pause", later.job_id)[0] == 5
    assert said("tick")[0] == 0
    status, text = said("pause", record.job_id)
    assert (status, text.splitlines()[0]) == (0, f"job {record.job_id} paused: by the user, until resumed")
    status, text = said("jobs", "--state", "paused")
    assert status == 0
    assert "until resumed" in text
    assert "paused" in said("show", record.job_id)[1]
    status, text = said("resume", record.job_id)
    assert (status, text.strip()) == (0, f"job {record.job_id} running: the user lets it run on")
    assert said("resume", record.job_id)[0] == 5
    assert said("pause", record.job_id)[0] == 0
    assert "cancelled" in said("cancel", record.job_id)[1]
    assert said("pause", record.job_id)[0] == 5
