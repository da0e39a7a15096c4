"""``kill -9`` of ``lowtide serve`` while twenty jobs wait, run and end: each has run once, and its state is right."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from lowtide.jobs.states import FINAL
from lowtide.planning.types import Segment
from lowtide.store import Store, open_store
from lowtide.testing.jobs import ZONE, add_job, job_spec, plan_at
from lowtide_core.places import LOCAL

KILLS = int(os.environ.get("LOWTIDE_KILLS", "3"))
JOBS = 20
LATEST_KILL_S = 6.0
TOO_LONG_S = 150.0


def expected_exit(number: int) -> int:
    return 3 if number % 5 == 0 else 0


def serve(state: Path) -> subprocess.Popen[bytes]:
    with (state / "serve.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "lowtide.entry", "serve", "--interval", "0.3s"],
            env={**os.environ, "LOWTIDE_STATE": str(state)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )


def runs(start_utc: datetime, *, pauses: bool) -> tuple[Segment, ...]:
    """An hour, or two seconds and then an hour: the service may die while it pauses or resumes."""
    ends_s = ((0, 2), (4, 3600)) if pauses else ((0, 3600),)
    return tuple(
        Segment(start_utc + timedelta(seconds=first_s), start_utc + timedelta(seconds=last_s), LOCAL, ZONE)
        for first_s, last_s in ends_s
    )


def submit_all(store: Store, lines: Path) -> dict[str, int]:
    """Twenty short jobs that append their number, and are due one after the other; some have a pause. Their ids."""
    now_utc = datetime.now(UTC)
    numbers = {}
    for number in range(JOBS):
        pauses = number % 4 == 1
        command = f"echo {number} >> {lines}; sleep {3 * pauses}.{number % 7}; exit {expected_exit(number)}"
        spec = job_spec(now_utc, argv=("sh", "-c", command), duration_s=60.0)
        start_utc = now_utc + timedelta(seconds=0.2 * number)
        planned = plan_at(start_utc, segments=runs(start_utc, pauses=pauses))
        numbers[str(add_job(store, spec, planned, at_utc=now_utc, key=str(number)).job_id)] = number
    return numbers


def wait_until_ended(store: Store, pid: int) -> None:
    """Until that process has said that it serves, and no job is left to it."""
    give_up_s = time.monotonic() + TOO_LONG_S
    while time.monotonic() < give_up_s:
        serves = pid in {service.pid for service in store.services.alive(datetime.now(UTC))}
        if serves and store.jobs.next_start_utc() is None and not store.jobs.in_flight():
            return
        time.sleep(0.2)


@pytest.mark.parametrize("seed", range(KILLS))
def test_every_job_runs_once_and_every_state_is_right(tmp_path: Path, seed: int) -> None:
    lines = tmp_path / "lines"
    kill_after_s = (
        LATEST_KILL_S * (seed + random.Random(seed).random()) / KILLS
    )  # every part of the life gets its share
    with open_store(tmp_path / "lowtide.db") as store:
        numbers = submit_all(store, lines)
        victim = serve(tmp_path)
        time.sleep(kill_after_s)
        victim.kill()
        victim.wait()
        survivor = serve(tmp_path)
        wait_until_ended(store, survivor.pid)
        survivor.send_signal(signal.SIGTERM)
        log = (tmp_path / "serve.log").read_text
        assert survivor.wait(timeout=60) == 0, log()
        records = store.jobs.find()
        assert {r.state for r in records} <= set(FINAL), log()
        assert Counter(map(int, lines.read_text().split())) == dict.fromkeys(range(JOBS), 1), log()
        for record in records:
            exit_status = expected_exit(numbers[record.job_id])
            assert (record.state, record.attempt.exit_status) == ("failed" if exit_status else "done", exit_status)
            assert len(record.attempts) == 1
