"""``serve`` wakes for what is due, says that it is there, and outlives a store that cannot be used for a while."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from lowtide.dispatch.actor import Actor
from lowtide.planning.types import Segment
from lowtide.service.serve import serve
from lowtide.service.ticks import TickContext, TickReport
from lowtide.store import Store, open_store
from lowtide.testing.engines import FakeEngine
from lowtide.testing.jobs import ZONE, add_job, job_spec, plan_at
from lowtide_core.errors import InputError
from lowtide_core.places import LOCAL

TOO_LONG_S = 30.0


@pytest.fixture
def store(tmp_path: Path) -> Store:
    with open_store(tmp_path / "lowtide.db") as opened:
        yield opened


def rounds(store: Store, engine: FakeEngine, until: Callable[[list[TickReport]], bool], interval_s: float) -> bool:
    """Serves until the reports are as wanted; False where that took too long."""
    stop, reports, reached = threading.Event(), [], []

    def tell(report: TickReport) -> None:
        reports.append(report)
        if until(reports):
            reached.append(True)
            stop.set()

    def nothing(*_: object) -> tuple[str, ...]:
        return ()

    actor = Actor(store.jobs, lambda _: engine, "serve", "me", Path("/spool"), lambda _: None)
    context = TickContext(actor, lambda *_: plan_at(datetime.now(UTC)), nothing, nothing, nothing)
    give_up = threading.Timer(TOO_LONG_S, stop.set)
    give_up.start()
    serve(context, store, interval_s=interval_s, stop=stop, tell=tell)
    give_up.cancel()
    return bool(reached)


def test_it_wakes_for_the_next_job_long_before_its_next_round(store: Store) -> None:
    now_utc = datetime.now(UTC)
    due_utc = now_utc + timedelta(seconds=1)
    record = add_job(store, job_spec(now_utc), plan_at(due_utc), at_utc=now_utc)
    engine = FakeEngine()
    assert rounds(store, engine, lambda _: bool(engine.starts), interval_s=3600)
    after = store.jobs.get(record.job_id)
    assert after.state == "running"
    assert after.attempt.claimed_utc >= due_utc


def test_it_wakes_for_the_turns_of_a_plan_long_before_its_next_round(store: Store) -> None:
    now_utc = datetime.now(UTC)
    edges_s = ((0, 1), (2, 3))
    segments = tuple(
        Segment(now_utc + timedelta(seconds=start_s), now_utc + timedelta(seconds=end_s), LOCAL, ZONE)
        for start_s, end_s in edges_s
    )
    record = add_job(store, job_spec(now_utc), plan_at(now_utc, segments=segments), at_utc=now_utc)

    def resumed(_: list[TickReport]) -> bool:
        return "M" in [event.letter for event in store.jobs.events(record.job_id)]

    assert rounds(store, FakeEngine(at_utc=now_utc), resumed, interval_s=3600)
    turns_s = [
        (event.at_utc - now_utc).total_seconds()
        for event in store.jobs.events(record.job_id)
        if event.letter in ("L", "M")
    ]
    assert all(turn_s >= due_s for turn_s, due_s in zip(turns_s, (1, 2), strict=True))


def test_it_says_that_it_is_there_and_that_it_has_gone(store: Store) -> None:
    seen = []

    def look(_: list[TickReport]) -> bool:
        seen.extend(store.services.alive(datetime.now(UTC)))
        return True

    assert rounds(store, FakeEngine(), look, interval_s=3600)
    assert [service.kind for service in seen] == ["serve"]
    assert store.services.alive(datetime.now(UTC)) == ()


def test_it_goes_on_after_a_round_without_its_store(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    beat, calls = store.services.beat, []

    def beat_later(*arguments: object) -> None:
        calls.append(arguments)
        if len(calls) == 1:
            raise InputError("The disk is full.")
        beat(*arguments)

    monkeypatch.setattr(store.services, "beat", beat_later)
    told: list[TickReport] = []

    def two(reports: list[TickReport]) -> bool:
        told[:] = reports
        return len(reports) == 2

    assert rounds(store, FakeEngine(), two, interval_s=0.3)
    assert [report.failed for report in told] == [("store: The disk is full.",), ()]
