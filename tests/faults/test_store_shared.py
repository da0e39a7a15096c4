"""Several who use one database file at once: each job has one owner, and nobody meets a half-made store."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

from lowtide.store import open_store
from lowtide.store.jobs import Attempt
from lowtide.testing.jobs import ZONE, add_job, job_spec, plan_at
from lowtide_core.errors import StaleOwner
from lowtide_core.launches import AttemptKey
from lowtide_core.series import LIFECYCLE_CONSUMPTION, SignalSeries

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
CLAIMERS = 4
JOBS = 25


def claim_all(path: Path, owner: str) -> list[str]:
    """The jobs that this owner got."""
    got = []
    with open_store(path) as store:
        for record in store.jobs.due(NOW):
            attempt = Attempt(1, AttemptKey(f"{record.job_id}.1"), "local", None, NOW, None, None, None, "")
            try:
                store.jobs.move(record, "claim", at_utc=NOW, who=owner, why="due", owner=owner, attempt=attempt)
            except StaleOwner:
                continue
            got.append(str(record.job_id))
    return got


def test_of_several_claimers_each_job_gets_one(tmp_path: Path) -> None:
    path = tmp_path / "lowtide.db"
    with open_store(path) as store:
        jobs = [add_job(store, job_spec(NOW), plan_at(NOW), at_utc=NOW, key=str(n)).job_id for n in range(JOBS)]
        owners = [f"owner-{n}" for n in range(CLAIMERS)]
        with ThreadPoolExecutor(CLAIMERS) as pool:
            got = list(pool.map(lambda owner: claim_all(path, owner), owners))
        assert sorted(job for part in got for job in part) == sorted(jobs)
        held = {record.job_id: record.owner for record in store.jobs.in_flight()}
        assert held == {job: owner for owner, part in zip(owners, got, strict=True) for job in part}


def test_the_same_submission_from_many_sides_is_one_job(tmp_path: Path) -> None:
    path = tmp_path / "lowtide.db"

    def submit(_: int) -> str:
        with open_store(path) as store:
            return add_job(store, job_spec(NOW), plan_at(NOW), at_utc=NOW).job_id

    with open_store(path) as store, ThreadPoolExecutor(CLAIMERS) as pool:
        assert len(set(pool.map(submit, range(2 * CLAIMERS)))) == 1
        assert len(store.jobs.find()) == 1


def test_the_same_vintage_from_many_sides_is_one(tmp_path: Path) -> None:
    path = tmp_path / "lowtide.db"
    series = SignalSeries(ZONE, NOW, 3600.0, [1.0, 2.0], LIFECYCLE_CONSUMPTION, "actual", "invented")

    def archive(_: int) -> str:
        with open_store(path) as store:
            return store.signals.add(series)

    with open_store(path), ThreadPoolExecutor(CLAIMERS) as pool:
        assert len(set(pool.map(archive, range(2 * CLAIMERS)))) == 1


def test_several_processes_may_make_the_store_at_once(tmp_path: Path) -> None:
    script = "import sys; from lowtide.store import open_store; print(len(open_store(sys.argv[1]).jobs.find()))"
    argv = [sys.executable, "-c", script, str(tmp_path / "new" / "lowtide.db")]
    makers = [
        subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(CLAIMERS)
    ]
    told = [maker.communicate(timeout=120) for maker in makers]
    assert [(out.strip(), err, maker.returncode) for (out, err), maker in zip(told, makers, strict=True)] == [
        ("0", "", 0)
    ] * CLAIMERS
