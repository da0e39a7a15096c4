"""One round does every step, and a step that fails stops no other."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from lowtide.dispatch.actor import Actor
from lowtide.service.ticks import TickContext, run_tick
from lowtide.store import Store, open_store
from lowtide.testing.engines import FakeEngine
from lowtide.testing.jobs import add_job, job_spec, plan_at
from lowtide_core.errors import Unavailable

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    with open_store(tmp_path / "lowtide.db") as opened:
        yield opened


def context(store: Store, steps: list[str], broken: tuple[str, ...] = ()) -> TickContext:
    engine = FakeEngine()

    def step(name: str):
        def run(_: datetime, only: object) -> tuple[str, ...]:
            if name in broken:
                raise Unavailable("No answer.", provider=name, operation="fetch", hint="Wait.")
            steps.append(name)
            return (name,)

        return run

    actor = Actor(store.jobs, lambda _: engine, "test", "me", Path("/spool"), lambda _: None)
    return TickContext(actor, lambda *_: plan_at(NOW), step("fetch"), step("collect"), step("settle"))


def test_a_round_does_every_step_in_order(store: Store) -> None:
    record = add_job(store, job_spec(NOW), plan_at(NOW), at_utc=NOW)
    steps: list[str] = []
    report = run_tick(context(store, steps), NOW)
    assert report.did == (
        "fetch",
        f"job {record.job_id} starting: its time has come",
        f"job {record.job_id} running: it runs",
        "collect",
        "settle",
    )
    assert report.failed == ()


def test_a_failing_step_stops_no_other(store: Store) -> None:
    record = add_job(store, job_spec(NOW), plan_at(NOW), at_utc=NOW)
    steps: list[str] = []
    report = run_tick(context(store, steps, broken=("fetch", "collect")), NOW)
    assert steps == ["settle"]
    assert store.jobs.get(record.job_id).state == "running"
    assert report.failed == ("fetch: No answer. Wait.", "collect: No answer. Wait.")


def test_a_round_over_one_job_leaves_the_others_alone(store: Store) -> None:
    one, other = (add_job(store, job_spec(NOW), plan_at(NOW), at_utc=NOW, key=key) for key in "ab")
    run_tick(context(store, []), NOW, only=(one.job_id,))
    assert (store.jobs.get(one.job_id).state, store.jobs.get(other.job_id).state) == ("running", "waiting")
