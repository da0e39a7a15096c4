"""The sampler is killed and its command lives on: the job runs, and then nobody can say how it ended."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path

import pytest

from lowtide_core.launches import AttemptKey, EngineReport, Launch
from lowtide_providers.engines.local import LocalEngine
from lowtide_sampler.journal import read_journal

KEY = AttemptKey("job.1")


def until(engine: LocalEngine, *states: str, patience_s: float = 20.0) -> EngineReport:
    give_up_s = time.monotonic() + patience_s
    while True:
        (report,) = engine.observe([KEY])
        if report.state in states or time.monotonic() > give_up_s:
            return report
        time.sleep(0.05)


@pytest.mark.parametrize("cancelled", [False, True])
def test_a_killed_sampler_leaves_the_job_running(tmp_path: Path, cancelled: bool) -> None:
    engine = LocalEngine(tmp_path / "engine")
    spool = tmp_path / "spool"
    script = f"touch {tmp_path}/begun; sleep {60 if cancelled else 3}; touch {tmp_path}/ended"
    sampler = (
        sys.executable,
        "-P",
        "-m",
        "lowtide_sampler",
        "run",
        "--quiet",
        "--run-id",
        KEY,
        "--journal",
        str(spool),
    )
    engine.submit(Launch("job", (*sampler, "--", "sh", "-c", script), str(tmp_path), stop_grace_s=1.0), KEY)
    give_up_s = time.monotonic() + 20
    while not (tmp_path / "begun").exists() and time.monotonic() < give_up_s:
        time.sleep(0.05)
    os.kill(json.loads((tmp_path / "engine" / KEY / "child.json").read_text())["pid"], signal.SIGKILL)
    time.sleep(0.3)
    assert until(engine, "running", "ended").state == "running", "its command goes on"
    if cancelled:
        engine.cancel(KEY)
    report = until(engine, "ended")
    assert report.state == "ended"
    assert report.exit_status == 128 + signal.SIGKILL
    assert (tmp_path / "ended").exists() is not cancelled
    assert read_journal(spool / f"{KEY}.jsonl").end is None, "so the status is the sampler's, not the command's"
