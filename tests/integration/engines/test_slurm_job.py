"""A whole job on a real Slurm: planned, queued, moved by a new plan, run under the sampler, settled."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lowtide.dispatch.start import hand_over
from lowtide.jobs.states import FINAL
from lowtide.service.ticks import run_tick
from lowtide.testing.jobs import add_job, job_spec, plan_at
from lowtide.wiring import Wiring

if TYPE_CHECKING:
    from lowtide.store import Store
    from lowtide.store.jobs import JobRecord

pytestmark = pytest.mark.usefixtures("slurm_lab")


@pytest.fixture
def wiring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Wiring:
    monkeypatch.setenv("LOWTIDE_STATE", str(tmp_path / "state"))
    return Wiring()


def follow(wiring: Wiring, store: Store, record: JobRecord) -> JobRecord:
    give_up_s = time.monotonic() + 60
    context = wiring.tick_context(store, "test")
    while record.state not in FINAL and time.monotonic() < give_up_s:
        time.sleep(0.3)
        run_tick(context, datetime.now(UTC))
        record = store.jobs.get(record.job_id)
    run_tick(context, datetime.now(UTC))
    return store.jobs.get(record.job_id)


def test_a_job_is_moved_in_the_queue_runs_and_is_settled(wiring: Wiring, tmp_path: Path) -> None:
    now_utc = datetime.now(UTC)
    spec = job_spec(now_utc, argv=("sh", "-c", "echo seen; exit 7"), engine="slurm", working_dir=str(tmp_path))
    with wiring.store() as store:
        planned = plan_at(now_utc + timedelta(hours=5), issued_utc=now_utc)
        record = hand_over(wiring.actor(store, "test"), add_job(store, spec, planned, at_utc=now_utc), now_utc)
        assert record.state == "starting"
        assert record.attempt.ref.isdigit()
        run_tick(wiring.tick_context(store, "test"), datetime.now(UTC))
        assert store.jobs.get(record.job_id).why.startswith("its engine begins it at")
        record = store.jobs.get(record.job_id)
        fresh = replace(plan_at(now_utc, issued_utc=now_utc), vintages=record.vintages)
        record = store.jobs.move(
            record, "shift", at_utc=now_utc, who="test", why="a fresher forecast", planned=fresh, owner=record.owner
        )
        record = follow(wiring, store, record)
        assert (record.state, record.attempt.exit_status) == ("failed", 7)
        assert record.attempt.identity["node"] == "north-1"
        (result,) = store.readings.of_job(record.job_id)
        assert result["exit_status"] == 7
        assert store.settlements.latest(record.job_id) is not None
    log = wiring.engine("slurm").log_path(record.attempt.key)  # type: ignore[attr-defined]
    assert Path(log).read_text() == "seen\n"


def test_an_array_is_measured_task_by_task(wiring: Wiring, tmp_path: Path) -> None:
    now_utc = datetime.now(UTC)
    spec = job_spec(now_utc, argv=("sleep", "0.3"), engine="slurm", working_dir=str(tmp_path), options={"array": "0-3"})
    with wiring.store() as store:
        record = add_job(store, spec, plan_at(now_utc), at_utc=now_utc)
        record = follow(wiring, store, hand_over(wiring.actor(store, "test"), record, now_utc))
        assert record.state == "done"
        runs = [result["run_id"] for result in store.readings.of_job(record.job_id)]
        assert sorted(runs) == [f"{record.attempt.key}.t{task}" for task in range(4)]
        assert store.settlements.latest(record.job_id) is not None


def test_a_lost_journal_is_told(wiring: Wiring, tmp_path: Path) -> None:
    now_utc = datetime.now(UTC)
    lost = ("sh", "-c", f"rm -f {wiring.paths.spool}/*.jsonl; true")
    spec = job_spec(now_utc, argv=lost, engine="slurm", working_dir=str(tmp_path))
    with wiring.store() as store:
        record = add_job(store, spec, plan_at(now_utc), at_utc=now_utc)
        record = follow(wiring, store, hand_over(wiring.actor(store, "test"), record, now_utc))
        assert record.state == "done"
        assert "its journal is not in" in record.why
